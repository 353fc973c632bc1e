/* SPDX-License-Identifier: GPL-2.0 */
/* Before 6.3: the only way is a disk that never has partitions. */
static inline void kbdus_disk_suppress_scan(struct gendisk *disk)
{
	disk->flags |= GENHD_FL_NO_PART;
}
