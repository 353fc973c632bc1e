/* SPDX-License-Identifier: GPL-2.0 */
/* Task work is given a request and a token. */
#define KBDUS_DEFINE_TASK_WORK(name, function)                                               \
	static void name(struct io_tw_req request, io_tw_token_t token)                      \
	{                                                                                    \
		function(io_uring_cmd_from_tw(request), IO_URING_CMD_TASK_WORK_ISSUE_FLAGS); \
	}
