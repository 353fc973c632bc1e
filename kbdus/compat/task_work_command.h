/* SPDX-License-Identifier: GPL-2.0 */
/* Task work is given the command. */
#define KBDUS_DEFINE_TASK_WORK(name, function)                                   \
	static void name(struct io_uring_cmd *command, unsigned int issue_flags) \
	{                                                                        \
		function(command, issue_flags);                                  \
	}
