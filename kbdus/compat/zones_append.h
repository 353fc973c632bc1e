/* SPDX-License-Identifier: GPL-2.0 */
/* 6.11 and 6.12: one limit of appends, which the block layer lowers. */
#include "zones_limits.h"

static inline void kbdus_zones_limit(struct queue_limits *limits,
				     const struct kbdus_abi_zoned *zoned)
{
	kbdus_zones_limit_all(limits, zoned);
	limits->max_zone_append_sectors = kbdus_abi_zoned_max_append_bytes(zoned) >> SECTOR_SHIFT;
}
