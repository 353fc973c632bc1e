/* SPDX-License-Identifier: GPL-2.0 */
/* Before 6.18: a command has a second result. */
static inline void kbdus_command_done(struct io_uring_cmd *command, int result,
				      unsigned int issue_flags)
{
	io_uring_cmd_done(command, result, 0, issue_flags);
}
