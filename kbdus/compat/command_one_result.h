/* SPDX-License-Identifier: GPL-2.0 */
/* From 6.18 on: a command has one result. */
static inline void kbdus_command_done(struct io_uring_cmd *command, int result,
				      unsigned int issue_flags)
{
	io_uring_cmd_done(command, result, issue_flags);
}
