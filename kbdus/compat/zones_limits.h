/* SPDX-License-Identifier: GPL-2.0 */
/* From 6.11 on: zones are a feature among the limits. */
#define KBDUS_HAS_ZONES true

static inline void kbdus_zones_limit_all(struct queue_limits *limits,
					 const struct kbdus_abi_zoned *zoned)
{
	limits->features |= BLK_FEAT_ZONED;
	limits->chunk_sectors = kbdus_abi_zoned_zone_bytes(zoned) >> SECTOR_SHIFT;
	limits->max_open_zones = kbdus_abi_zoned_max_open_zones(zoned);
	limits->max_active_zones = kbdus_abi_zoned_max_active_zones(zoned);
}

static inline int kbdus_zones_revalidate(struct gendisk *disk)
{
	return blk_revalidate_disk_zones(disk);
}
