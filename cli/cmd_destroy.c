/* SPDX-License-Identifier: MIT */
/*
 * bdus destroy: flushes devices and ends them. A device whose flush fails is kept, so that no data
 * is lost without the user having said so by --no-flush.
 */
#include "cli_internal.h"

#include <errno.h>
#include <time.h>

const struct cli_option cli_destroy_options[] = {
	{"all", 'a', NULL, "Destroy every device of this user (of everybody, for root)"},
	{"no-flush", 0, NULL, "Do not flush first: data not yet durable may be lost"},
	{"timeout", 0, "SECONDS", "Wait at most so long for each device (default: no limit)"},
	CLI_OPTIONS_END,
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/** What is left of @timeout_ms (0: no limit); at least 1 ms, as 0 would mean no limit. */
static uint64_t remaining_ms(uint64_t timeout_ms, uint64_t started_ms)
{
	const uint64_t used_ms = now_ms() - started_ms;

	if (timeout_ms == 0)
		return 0;
	return used_ms < timeout_ms ? timeout_ms - used_ms : 1;
}

/** Whether there is still somebody who could flush it. */
static bool can_be_flushed(const struct bdus_device_info *info)
{
	return info->state == BDUS_STATE_AVAILABLE;
}

/** Whether the device lost its driver, or ended, after it was looked up. */
static bool nobody_serves(const struct bdus_device_info *info)
{
	struct bdus_device_info now;
	const int error = bdus_manage_find_id(info->id, &now);

	return error == -ENODEV || (error >= 0 && now.state == BDUS_STATE_ORPHANED);
}

static int flush(const struct bdus_device_info *info, uint64_t timeout_ms)
{
	struct cli_progress progress;
	char *reason;
	int error;

	cli_progress_begin(&progress, "flushing", cli_device_name(info));
	error = bdus_manage_flush(info, timeout_ms, cli_progress_fn, &progress);
	if (error >= 0)
		return CLI_OK;
	reason = cli_format("%s", bdus_manage_error());
	if (nobody_serves(info))
		return CLI_OK;
	cli_say("%s: not destroyed, as flushing it failed: %s (--no-flush destroys it anyway)",
		cli_device_name(info), reason);
	return cli_status_of(error);
}

static int destroy(const struct bdus_device_info *info, bool flush_first, uint64_t timeout_ms)
{
	const uint64_t started_ms = now_ms();
	struct cli_progress progress;
	int error;

	if (flush_first && can_be_flushed(info)) {
		const int status = flush(info, timeout_ms);

		if (status != CLI_OK)
			return status;
	}
	cli_progress_begin(&progress, "destroying", cli_device_name(info));
	error = bdus_manage_destroy(info, remaining_ms(timeout_ms, started_ms), cli_progress_fn,
				    &progress);
	if (error >= 0)
		return CLI_OK;
	cli_say_library_error(cli_device_name(info), error);
	return cli_status_of(error);
}

int cli_cmd_destroy(const struct cli_args *args)
{
	const bool flush_first = !cli_args_has(args, "no-flush");
	struct cli_devices devices = {0};
	uint64_t timeout_ms;
	int status = cli_args_seconds(args, "timeout", &timeout_ms);

	if (status != CLI_OK)
		return status;
	status = cli_devices_select(args, &devices, NULL, NULL);
	for (unsigned i = 0; i < devices.count; i++)
		cli_status_merge(&status, destroy(&devices.infos[i], flush_first, timeout_ms));
	return status;
}
