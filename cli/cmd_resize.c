/* SPDX-License-Identifier: MIT */
/*
 * bdus resize: another size for a device in use.
 */
#include "cli_internal.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 30000

const struct cli_option cli_resize_options[] = {
	{"shrink", 0, NULL, "Allow a smaller size; its driver decides what that does to data"},
	{"timeout", 0, "SECONDS", "Wait at most so long for the device (default: 30)"},
	CLI_OPTIONS_END,
};

/** "64M" and the like. */
static bool read_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMGTP";
	const char *suffix;
	uint64_t value = 0;

	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return false;
	if (*text == '\0') {
		*bytes = value;
		return true;
	}
	suffix = strchr(suffixes, *text);
	if (suffix == NULL || text[1] != '\0')
		return false;
	return !__builtin_mul_overflow(value, UINT64_C(1) << 10 * (suffix - suffixes + 1), bytes);
}

static int resize(const struct bdus_device_info *info, uint64_t size_bytes, uint64_t timeout_ms)
{
	const int error = bdus_manage_resize(info, size_bytes, timeout_ms);

	if (error >= 0)
		return CLI_OK;
	cli_say_library_error(cli_device_name(info), error);
	return cli_status_of(error);
}

int cli_cmd_resize(const struct cli_args *args)
{
	const struct cli_args device = {
		.command = args->command, .operands = args->operands, .operand_count = 1};
	struct cli_devices devices = {0};
	uint64_t timeout_ms;
	uint64_t size_bytes;
	int status = cli_args_seconds(args, "timeout", &timeout_ms);

	if (status != CLI_OK)
		return status;
	if (!read_size(args->operands[1], &size_bytes))
		return cli_usage_error(
			"\"%s\" is not a size: a number, which may be followed by K, "
			"M, G, T or P",
			args->operands[1]);
	status = cli_devices_select(&device, &devices, NULL, NULL);
	if (status != CLI_OK)
		return status;
	if (size_bytes < devices.infos[0].size_bytes && !cli_args_has(args, "shrink"))
		return cli_usage_error(
			"%s has %llu bytes, and would be smaller: that takes --shrink",
			cli_device_name(&devices.infos[0]),
			(unsigned long long)devices.infos[0].size_bytes);
	return resize(&devices.infos[0], size_bytes, timeout_ms != 0 ? timeout_ms : TIMEOUT_MS);
}
