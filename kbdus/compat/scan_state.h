/* SPDX-License-Identifier: GPL-2.0 */
/* From 6.3 on: later scans, on request, are not refused. */
static inline void kbdus_disk_suppress_scan(struct gendisk *disk)
{
	set_bit(GD_SUPPRESS_PART_SCAN, &disk->state);
}
