/* SPDX-License-Identifier: GPL-2.0 */
/* From 6.5 on: what a file's own reading brings is spliced as a copy. */
#define KBDUS_SPLICE_READ copy_splice_read
