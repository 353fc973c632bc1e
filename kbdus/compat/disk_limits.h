/* SPDX-License-Identifier: GPL-2.0 */
/* 6.9 and 6.10: caches and rotation are still set one by one. */
#include "limits.h"

static inline struct gendisk *kbdus_disk_allocate(struct blk_mq_tag_set *tags,
						  const struct kbdus_abi_device *created,
						  const struct kbdus_abi_zoned *zoned)
{
	const u32 attrs = kbdus_abi_device_attrs(created);
	struct queue_limits limits = kbdus_disk_limits(created);
	struct gendisk *disk = blk_mq_alloc_disk(tags, &limits, NULL);

	if (IS_ERR(disk))
		return disk;
	if (kbdus_abi_device_ops(created) & KBDUS_ABI_OPS_FLUSH)
		blk_queue_write_cache(disk->queue, true, attrs & KBDUS_ABI_ATTR_FUA);
	if (!(attrs & KBDUS_ABI_ATTR_ROTATIONAL))
		blk_queue_flag_set(QUEUE_FLAG_NONROT, disk->queue);
	return disk;
}
