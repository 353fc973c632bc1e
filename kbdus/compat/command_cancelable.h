/* SPDX-License-Identifier: GPL-2.0 */
/* From 6.7 on: commands are taken back when their ring or task ends. */
static inline void kbdus_command_mark_cancelable(struct io_uring_cmd *command,
						 unsigned int issue_flags)
{
	io_uring_cmd_mark_cancelable(command, issue_flags);
}

static inline bool kbdus_command_is_cancelled(unsigned int issue_flags)
{
	return issue_flags & IO_URING_F_CANCEL;
}
