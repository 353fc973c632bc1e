/* SPDX-License-Identifier: GPL-2.0 */
/* Before 6.7: commands are not taken back when their ring or task ends. */
static inline void kbdus_command_mark_cancelable(struct io_uring_cmd *command,
						 unsigned int issue_flags)
{
}

static inline bool kbdus_command_is_cancelled(unsigned int issue_flags)
{
	return false;
}
