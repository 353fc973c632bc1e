/* SPDX-License-Identifier: MIT */
/*
 * bdus filter: filters that come and go while a device is in use.
 */
#include "cli_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 30000

const struct cli_option cli_filter_options[] = {
	{"timeout", 0, "SECONDS", "Wait at most so long for requests to end (default: 30)"},
	CLI_OPTIONS_END,
};

int cli_filter_for_device(const char *name, const struct bdus_filter **filter)
{
	if (cli_is_driver_path(name))
		return bdus_manage_load_filter(name, filter);
	for (size_t i = 0; cli_filter_table[i] != NULL; i++)
		if (strcmp(cli_filter_table[i]->name, name) == 0) {
			*filter = cli_filter_table[i];
			return 0;
		}
	return bdus_config_error(ENOENT, "there is no filter \"%s\"", name);
}

static int attach(const struct bdus_device_info *info, const char *spec, uint64_t timeout_ms)
{
	const char *word = cli_format("%.*s", (int)strcspn(spec, ":"), spec);
	struct bdus_filter_use use = {.filter = NULL};
	const int status = cli_filter_parse(spec, &use);

	if (status != CLI_OK)
		return status;
	/* The device's process is elsewhere. */
	if (cli_is_driver_path(word))
		word = realpath(word, NULL);
	if (word == NULL)
		return cli_usage_error("\"%s\" is gone", spec);
	return bdus_manage_attach_filter(info, word, use.options, use.option_count, timeout_ms);
}

int cli_cmd_filter(const struct cli_args *args)
{
	const struct cli_args device = {
		.command = args->command, .operands = args->operands + 1, .operand_count = 1};
	const char *const verb = args->operands[0];
	struct cli_devices devices = {0};
	uint64_t timeout_ms;
	int result = cli_args_seconds(args, "timeout", &timeout_ms);

	if (result != CLI_OK)
		return result;
	if (strcmp(verb, "attach") != 0 && strcmp(verb, "detach") != 0)
		return cli_usage_error("\"%s\" is not attach or detach", verb);
	result = cli_devices_select(&device, &devices, NULL, NULL);
	if (result != CLI_OK)
		return result;
	timeout_ms = timeout_ms != 0 ? timeout_ms : TIMEOUT_MS;
	result = *verb == 'a' ? attach(&devices.infos[0], args->operands[2], timeout_ms)
			      : bdus_manage_detach_filter(&devices.infos[0], args->operands[2],
							  timeout_ms);
	if (result >= 0)
		return result;
	cli_say_library_error(cli_device_name(&devices.infos[0]), result);
	return cli_status_of(result);
}
