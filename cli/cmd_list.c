/* SPDX-License-Identifier: MIT */
/*
 * bdus list: one line a device. The path comes last and is never cut, as it may be an NBD URI.
 */
#include "cli_internal.h"

const struct cli_option cli_list_options[] = {
	{"json", 0, NULL, "Print one JSON document"},
	CLI_OPTIONS_END,
};

static void add_heading(struct cli_table *table)
{
	static const char *const headings[] = {"ID",  "STATE", "SIZE", "DRIVER",
					       "VIA", "PID",   "PATH"};

	for (unsigned i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
		cli_table_add(table, "%s", headings[i]);
}

static void add_row(struct cli_table *table, const struct bdus_device_info *info)
{
	char size[CLI_SIZE_TEXT];

	if (info->id == BDUS_ID_NONE)
		cli_table_add(table, "-");
	else
		cli_table_add(table, "%llu", (unsigned long long)info->id);
	cli_table_add(table, "%s", bdus_state_name(info->state));
	cli_table_add(table, "%s",
		      info->size_bytes != 0 ? cli_size_text(info->size_bytes, size) : "-");
	cli_table_add(table, "%s", info->driver[0] != '\0' ? info->driver : "-");
	cli_table_add(table, "%s", info->transport[0] != '\0' ? info->transport : "-");
	if (info->pid > 0)
		cli_table_add(table, "%d", info->pid);
	else
		cli_table_add(table, "-");
	cli_table_add(table, "%s", cli_device_name(info));
}

static void print_table(const struct cli_devices *devices)
{
	struct cli_table table = {.columns = 7, .right = 1 << 0 | 1 << 2 | 1 << 5};

	add_heading(&table);
	for (unsigned i = 0; i < devices->count; i++)
		add_row(&table, &devices->infos[i]);
	cli_table_print(&table);
}

static void print_json(const struct cli_devices *devices)
{
	json_t *const document = json_object();
	json_t *const array = json_array();

	for (unsigned i = 0; i < devices->count; i++)
		cli_json_append(array, cli_json_device(&devices->infos[i]));
	cli_json_set(document, "devices", array);
	cli_json_print(document);
}

int cli_cmd_list(const struct cli_args *args)
{
	struct cli_devices devices = {0};
	const int status = cli_devices_list(&devices);

	if (status != CLI_OK)
		return status;
	if (cli_args_has(args, "json"))
		print_json(&devices);
	else
		print_table(&devices);
	return CLI_OK;
}
