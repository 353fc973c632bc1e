/* SPDX-License-Identifier: GPL-2.0 */
/* Who wants a report of zones, and how they are told of one: by a function before 6.19. */
#ifndef KBDUS_COMPAT_REPORT_H
#define KBDUS_COMPAT_REPORT_H

#include <linux/blkdev.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#define KBDUS_REPORT_PARAMETERS              report_zones_cb callback, void *data
#define KBDUS_REPORT_ZONE(disk, zone, index) callback(zone, index, data)
#else
#define KBDUS_REPORT_PARAMETERS              struct blk_report_zones_args *args
#define KBDUS_REPORT_ZONE(disk, zone, index) disk_report_zone(disk, zone, index, args)
#endif

#endif
