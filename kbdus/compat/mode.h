/* SPDX-License-Identifier: GPL-2.0 */
/* kbdus_mode_t: how a disk was opened. */
#ifndef KBDUS_COMPAT_MODE_H
#define KBDUS_COMPAT_MODE_H

#include <linux/blkdev.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
typedef fmode_t kbdus_mode_t;
#else
typedef blk_mode_t kbdus_mode_t;
#endif

#endif
