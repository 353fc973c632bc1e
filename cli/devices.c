/* SPDX-License-Identifier: MIT */
/*
 * Lists of devices: all of them, or those that the user named. Ids are never reused, so that all
 * names can be looked up before the first device is touched.
 */
#include "cli_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *cli_device_name(const struct bdus_device_info *info)
{
	return info->path[0] != '\0' ? info->path : info->native_path;
}

static int add_device(const struct bdus_device_info *info, void *opaque)
{
	struct cli_devices *const devices = opaque;

	if (devices->count == devices->capacity) {
		devices->capacity = devices->capacity == 0 ? 16 : devices->capacity * 2;
		devices->infos =
			cli_grow(devices->infos, devices->capacity * sizeof(devices->infos[0]));
	}
	devices->infos[devices->count++] = *info;
	return 0;
}

static int compare_devices(const void *a, const void *b)
{
	const struct bdus_device_info *const first = a;
	const struct bdus_device_info *const second = b;

	if (first->id != second->id)
		return first->id < second->id ? -1 : 1;
	return strcmp(first->native_path, second->native_path);
}

int cli_devices_list(struct cli_devices *devices)
{
	const int error = bdus_manage_list(add_device, devices);

	if (error < 0) {
		cli_say_library_error("cannot list devices", error);
		return cli_status_of(error);
	}
	if (devices->count > 1)
		qsort(devices->infos, devices->count, sizeof(devices->infos[0]), compare_devices);
	return CLI_OK;
}

/** Adds the device unless an earlier operand named it already. */
static void add_once(struct cli_devices *devices, const struct bdus_device_info *info)
{
	for (unsigned i = 0; i < devices->count; i++)
		if (compare_devices(&devices->infos[i], info) == 0)
			return;
	add_device(info, devices);
}

/** The status for a name that leads to no device. */
static int status_of_missing(int error)
{
	return error == -EINVAL || error == -ENOENT ? CLI_NO_DEVICE : cli_status_of(error);
}

/** Drops the devices that other programs made: they go only when they are named. */
static void keep_own(struct cli_devices *devices)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < devices->count; i++)
		if (devices->infos[i].id != BDUS_ID_NONE)
			devices->infos[kept++] = devices->infos[i];
	devices->count = kept;
}

static int select_all(const struct cli_args *args, struct cli_devices *devices)
{
	int status;

	if (args->operand_count != 0)
		return cli_usage_error("%s takes either devices or --all, not both",
				       args->command->name);
	status = cli_devices_list(devices);
	keep_own(devices);
	return status;
}

int cli_devices_select(const struct cli_args *args, struct cli_devices *devices,
		       void (*missing)(const char *name, int status, void *opaque), void *opaque)
{
	int status = CLI_OK;

	if (cli_args_has(args, "all"))
		return select_all(args, devices);
	if (args->operand_count == 0)
		return cli_usage_error("%s needs %s; see \"bdus help %s\"", args->command->name,
				       args->command->operands, args->command->name);
	for (unsigned i = 0; i < args->operand_count; i++) {
		struct bdus_device_info info;
		const int error = bdus_manage_find(args->operands[i], &info);

		if (error >= 0) {
			add_once(devices, &info);
			continue;
		}
		/* The library's message says what was looked for. */
		cli_say_library_error(NULL, error);
		cli_status_merge(&status, status_of_missing(error));
		if (missing != NULL)
			missing(args->operands[i], status_of_missing(error), opaque);
	}
	return status;
}
