/* SPDX-License-Identifier: MIT */
/*
 * bdus log: how much the process of a device tells of what happens to it.
 */
#include "cli_internal.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 30000

const struct cli_option cli_log_options[] = {
	{"timeout", 0, "SECONDS", "Wait at most so long for the device (default: 30)"},
	CLI_OPTIONS_END,
};

static const char *const names[] = {
	[BDUS_LOG_ERRORS] = "error",
	[BDUS_LOG_WARNINGS] = "warning",
	[BDUS_LOG_INFO] = "info",
	[BDUS_LOG_DEBUG] = "debug",
};

#define LEVELS (sizeof(names) / sizeof(names[0]))

const char *cli_log_level_name(enum bdus_log_level level)
{
	return level < LEVELS ? names[level] : "?";
}

int cli_log_level_read(const char *name, enum bdus_log_level *level)
{
	for (unsigned i = 0; i < LEVELS; i++) {
		if (strcmp(names[i], name) == 0) {
			*level = (enum bdus_log_level)i;
			return CLI_OK;
		}
	}
	return cli_usage_error("\"%s\" is not a log level: error, warning, info or debug", name);
}

static int show(const struct bdus_device_info *info, uint64_t timeout_ms)
{
	enum bdus_log_level level;
	const int error = bdus_manage_log_level(info, &level, timeout_ms);

	if (error >= 0)
		printf("%s\n", cli_log_level_name(level));
	return error;
}

int cli_cmd_log(const struct cli_args *args)
{
	const struct cli_args device = {
		.command = args->command, .operands = args->operands, .operand_count = 1};
	const bool sets = args->operand_count == 2;
	struct cli_devices devices = {0};
	enum bdus_log_level level = BDUS_LOG_ERRORS;
	uint64_t timeout_ms;
	int error;
	int status = cli_args_seconds(args, "timeout", &timeout_ms);

	if (status == CLI_OK && sets)
		status = cli_log_level_read(args->operands[1], &level);
	if (status == CLI_OK)
		status = cli_devices_select(&device, &devices, NULL, NULL);
	if (status != CLI_OK)
		return status;
	if (timeout_ms == 0)
		timeout_ms = TIMEOUT_MS;
	error = sets ? bdus_manage_set_log_level(&devices.infos[0], level, timeout_ms)
		     : show(&devices.infos[0], timeout_ms);
	if (error >= 0)
		return CLI_OK;
	cli_say_library_error(cli_device_name(&devices.infos[0]), error);
	return cli_status_of(error);
}
