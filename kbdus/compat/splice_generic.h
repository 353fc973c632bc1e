/* SPDX-License-Identifier: GPL-2.0 */
/* Before 6.5: reading goes straight into the pipe. */
#define KBDUS_SPLICE_READ generic_file_splice_read
