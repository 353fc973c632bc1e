/* SPDX-License-Identifier: GPL-2.0 */
/* From 6.11 on: caches and rotation are features among the limits. */
#include "limits.h"

static inline struct gendisk *kbdus_disk_allocate(struct blk_mq_tag_set *tags,
						  const struct kbdus_abi_device *created,
						  const struct kbdus_abi_zoned *zoned)
{
	const u32 attrs = kbdus_abi_device_attrs(created);
	struct queue_limits limits = kbdus_disk_limits(created);

	if (kbdus_abi_device_ops(created) & KBDUS_ABI_OPS_FLUSH) {
		limits.features |= BLK_FEAT_WRITE_CACHE;
		if (attrs & KBDUS_ABI_ATTR_FUA)
			limits.features |= BLK_FEAT_FUA;
	}
	if (attrs & KBDUS_ABI_ATTR_ROTATIONAL)
		limits.features |= BLK_FEAT_ROTATIONAL;
	if (kbdus_abi_zoned_zone_bytes(zoned))
		kbdus_zones_limit(&limits, zoned);
	return blk_mq_alloc_disk(tags, &limits, NULL);
}
