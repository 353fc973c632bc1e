/* SPDX-License-Identifier: MIT */
/*
 * bdus flush: makes what was written to devices durable.
 */
#include "cli_internal.h"

const struct cli_option cli_flush_options[] = {
	{"all", 'a', NULL, "Flush every device of this user (of everybody, for root)"},
	{"timeout", 0, "SECONDS", "Wait at most so long for each device (default: no limit)"},
	CLI_OPTIONS_END,
};

static int flush(const struct bdus_device_info *info, uint64_t timeout_ms)
{
	struct cli_progress progress;
	int error;

	cli_progress_begin(&progress, "flushing", cli_device_name(info));
	error = bdus_manage_flush(info, timeout_ms, cli_progress_fn, &progress);
	if (error >= 0)
		return CLI_OK;
	cli_say_library_error(cli_device_name(info), error);
	return cli_status_of(error);
}

int cli_cmd_flush(const struct cli_args *args)
{
	struct cli_devices devices = {0};
	uint64_t timeout_ms;
	int status = cli_args_seconds(args, "timeout", &timeout_ms);

	if (status != CLI_OK)
		return status;
	status = cli_devices_select(args, &devices, NULL, NULL);
	for (unsigned i = 0; i < devices.count; i++)
		cli_status_merge(&status, flush(&devices.infos[i], timeout_ms));
	return status;
}
