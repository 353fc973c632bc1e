/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One interface to what differs between Linux 6.1 and 7.3. Which file speaks to the kernel at hand
 * is decided here and nowhere else.
 *
 *	kbdus_disk_allocate()          a disk with the limits of a device
 *	KBDUS_HAS_ZONES                whether there are zoned devices; without, what follows does
 *nothing kbdus_zones_limit()            a zoned device among the limits of a disk
 *	kbdus_zones_revalidate()       has the block layer ask for the zones of a disk
 *	KBDUS_REPORT_PARAMETERS        of a report of zones, who wants it (report.h)
 *	KBDUS_REPORT_ZONE(d, z, i)     tells those of a zone
 *	kbdus_disk_suppress_scan()     no look for partitions when it is added
 *	KBDUS_TAG_SET_FLAGS
 *	kbdus_iter_user()              an iterator over memory of user space
 *	KBDUS_DEFINE_TASK_WORK(n, f)   n: for task work, calls f(command, issue_flags)
 *	kbdus_command_done()           completes a command of io_uring
 *	kbdus_command_mark_cancelable(), kbdus_command_is_cancelled()
 *	KBDUS_SPLICE_READ              splices from a file that can be read
 */
#ifndef KBDUS_COMPAT_H
#define KBDUS_COMPAT_H

#include <linux/version.h>

#if !defined(CONFIG_BLK_DEV_ZONED) || LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
#include "zones_none.h"
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#include "zones_append.h"
#else
#include "zones_hw_append.h"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
#include "disk_setters.h"
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
#include "disk_limits.h"
#else
#include "disk_features.h"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#include "scan_flag.h"
#else
#include "scan_state.h"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#define KBDUS_TAG_SET_FLAGS BLK_MQ_F_SHOULD_MERGE
#else
#define KBDUS_TAG_SET_FLAGS 0
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#include <linux/io_uring.h>
#else
#include <linux/io_uring/cmd.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
#include "command_kept.h"
#else
#include "command_cancelable.h"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
#include "command_two_results.h"
#else
#include "command_one_result.h"
#endif

#ifdef IO_URING_CMD_TASK_WORK_ISSUE_FLAGS
#include "task_work_token.h"
#else
#include "task_work_command.h"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#include "splice_generic.h"
#else
#include "splice_copy.h"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <asm/unaligned.h>
#else
#include <linux/unaligned.h>
#endif

#define KBDUS_ITER_TO   READ
#define KBDUS_ITER_FROM WRITE

static inline void kbdus_iter_user(struct iov_iter *iter, unsigned int direction,
				   void __user *memory, size_t bytes)
{
	iov_iter_ubuf(iter, direction, memory, bytes);
}

#endif
