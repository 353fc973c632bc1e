/* SPDX-License-Identifier: GPL-2.0 */
/* From 6.13 on: the limit of appends that the device has is one of its own. */
#include "zones_limits.h"

static inline void kbdus_zones_limit(struct queue_limits *limits,
				     const struct kbdus_abi_zoned *zoned)
{
	kbdus_zones_limit_all(limits, zoned);
	limits->max_hw_zone_append_sectors =
		kbdus_abi_zoned_max_append_bytes(zoned) >> SECTOR_SHIFT;
}
