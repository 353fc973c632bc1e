/* SPDX-License-Identifier: MIT */
/*
 * bdus info: all that is known of the named devices.
 */
#include "cli_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const struct cli_option cli_info_options[] = {
	{"json", 0, NULL, "Print one JSON document"},
	CLI_OPTIONS_END,
};

/** How long a device's process may take to tell; then what is recorded counts. */
#define REFRESH_MS 1000

static void refresh(struct cli_devices *devices)
{
	for (unsigned i = 0; i < devices->count; i++)
		if (devices->infos[i].state == BDUS_STATE_AVAILABLE &&
		    devices->infos[i].id != BDUS_ID_NONE)
			bdus_manage_refresh(&devices->infos[i], REFRESH_MS);
}

static void add_text(struct cli_table *table, const char *label, const char *text)
{
	cli_table_add(table, "%s", label);
	cli_table_add(table, "%s", text[0] != '\0' ? text : "-");
}

static void add_number(struct cli_table *table, const char *label, uint64_t value, const char *unit)
{
	cli_table_add(table, "%s", label);
	if (value != 0)
		cli_table_add(table, "%llu%s", (unsigned long long)value, unit);
	else
		cli_table_add(table, "-");
}

static void add_size(struct cli_table *table, uint64_t bytes)
{
	char size[CLI_SIZE_TEXT];

	cli_table_add(table, "size");
	if (bytes != 0)
		cli_table_add(table, "%llu bytes (%s)", (unsigned long long)bytes,
			      cli_size_text(bytes, size));
	else
		cli_table_add(table, "-");
}

static void add_created(struct cli_table *table, uint64_t created_s)
{
	const time_t seconds = (time_t)created_s;
	struct tm broken_down;
	char text[64] = "-";

	if (created_s != 0 && localtime_r(&seconds, &broken_down) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &broken_down);
	add_text(table, "created", text);
}

static void add_device_number(struct cli_table *table, const struct bdus_device_info *info)
{
	cli_table_add(table, "device number");
	if (info->major != 0 || info->minor != 0)
		cli_table_add(table, "%u:%u", info->major, info->minor);
	else
		cli_table_add(table, "-");
}

static void add_names(struct cli_table *table, const struct bdus_device_info *info)
{
	char *ops = cli_format("%s", "");
	char *flags = cli_format("%s", "");

	for (unsigned op = 0; op < BDUS_OP_COUNT; op++)
		if ((info->ops & BDUS_OP_BIT(op)) != 0)
			ops = cli_format("%s%s%s", ops, ops[0] == '\0' ? "" : ", ",
					 cli_op_name(op));
	for (unsigned bit = 0; bit < 32; bit++)
		if ((info->flags >> bit & 1) != 0 && cli_flag_name(bit) != NULL)
			flags = cli_format("%s%s%s", flags, flags[0] == '\0' ? "" : ", ",
					   cli_flag_name(bit));
	add_text(table, "operations", ops);
	add_text(table, "flags", flags);
}

/* ---- filters ------------------------------------------------------------------------------- */

#define ANSWER_BYTES 8192

/** What a filter tells of itself, an object; NULL when it tells nothing. */
static json_t *ask_filter(const struct bdus_device_info *info, unsigned place)
{
	static const char *const words[] = {"status"};
	const char *const filter = cli_format("%u", place);
	char answer[ANSWER_BYTES];
	json_t *status;

	if (bdus_manage_filter_command(info, filter, words, 1, answer, sizeof(answer), REFRESH_MS) <
	    0)
		return NULL;
	status = json_loads(answer, 0, NULL);
	if (json_is_object(status))
		return status;
	json_decref(status);
	return NULL;
}

/** Calls @tell for each filter of a device, which counts its references to what that says. */
static void for_each_filter(const struct bdus_device_info *info,
			    void (*tell)(unsigned place, const char *name, json_t *status,
					 void *opaque),
			    void *opaque)
{
	struct cli_sample *sample = NULL;
	int error;

	if (info->state == BDUS_STATE_AVAILABLE && info->id != BDUS_ID_NONE)
		sample = cli_sample_open(info, REFRESH_MS, &error);
	if (sample == NULL)
		return;
	cli_sample_read(sample);
	for (unsigned place = 0; place < sample->filter_count; place++) {
		json_t *const status = ask_filter(info, place);

		tell(place, sample->filters[place].name, status, opaque);
		json_decref(status);
	}
	cli_sample_close(sample);
}

/** A row for each number, word or truth value of a filter's; lists are for --json. */
static void add_filter(unsigned place, const char *name, json_t *status, void *opaque)
{
	struct cli_table *const table = opaque;
	const char *key;
	json_t *value;

	cli_table_add(table, "filter %u", place);
	cli_table_add(table, "%s", name);
	json_object_foreach(status, key, value)
	{
		char *const label = cli_format("  %s", key);

		if (json_is_object(value) || json_is_array(value))
			continue;
		for (char *at = label; *at != '\0'; at++)
			*at = *at == '_' ? ' ' : *at;
		if (json_is_string(value))
			add_text(table, label, json_string_value(value));
		else
			add_text(table, label,
				 json_is_real(value) ? cli_format("%.3f", json_real_value(value))
				 : json_is_integer(value)
					 ? cli_format("%lld", (long long)json_integer_value(value))
				 : json_is_true(value) ? "yes"
						       : "no");
	}
}

static void append_filter(unsigned place, const char *name, json_t *status, void *opaque)
{
	json_t *const object = json_object();

	(void)place;
	cli_json_set(object, "name", cli_json_text(name));
	cli_json_set(object, "status", status != NULL ? json_incref(status) : json_null());
	cli_json_append(opaque, object);
}

/** How much the device's process tells; empty where that is not known. */
static const char *log_level(const struct bdus_device_info *info)
{
	enum bdus_log_level level;

	if (info->state != BDUS_STATE_AVAILABLE || info->id == BDUS_ID_NONE ||
	    bdus_manage_log_level(info, &level, REFRESH_MS) < 0)
		return "";
	return cli_log_level_name(level);
}

static json_t *json_device(const struct bdus_device_info *info)
{
	json_t *const device = cli_json_device(info);
	json_t *const filters = json_array();

	for_each_filter(info, append_filter, filters);
	cli_json_set(device, "filters", filters);
	cli_json_set(device, "log_level", cli_json_text(log_level(info)));
	return device;
}

/* ---- devices ------------------------------------------------------------------------------- */

static void print_device(const struct bdus_device_info *info)
{
	struct cli_table table = {.columns = 2, .wrap = true};

	add_text(&table, "path", info->path);
	add_text(&table, "native path", info->native_path);
	cli_table_add(&table, "id");
	if (info->id != BDUS_ID_NONE)
		cli_table_add(&table, "%llu", (unsigned long long)info->id);
	else
		cli_table_add(&table, "-");
	add_text(&table, "state", bdus_state_name(info->state));
	add_text(&table, "via", info->transport);
	add_text(&table, "driver", info->driver);
	add_number(&table, "process", info->pid > 0 ? (uint64_t)info->pid : 0, "");
	add_size(&table, info->size_bytes);
	add_number(&table, "logical block", info->logical_block_size, " bytes");
	add_number(&table, "physical block", info->physical_block_size, " bytes");
	add_number(&table, "queues", info->queues, "");
	add_number(&table, "queue depth", info->queue_depth, "");
	add_names(&table, info);
	add_device_number(&table, info);
	add_created(&table, info->created_s);
	add_text(&table, "log level", log_level(info));
	for_each_filter(info, add_filter, &table);
	cli_table_print(&table);
}

/** Notes in the document that a name led to no device. */
static void note_missing(const char *name, int status, void *errors)
{
	json_t *const object = json_object();

	cli_json_set(object, "device", cli_json_text(name));
	cli_json_set(object, "status", json_integer(status));
	cli_json_set(object, "message", cli_json_text(bdus_manage_error()));
	cli_json_append(errors, object);
}

static int print_json(const struct cli_args *args)
{
	struct cli_devices devices = {0};
	json_t *const document = json_object();
	json_t *const array = json_array();
	json_t *const errors = json_array();
	const int status = cli_devices_select(args, &devices, note_missing, errors);

	refresh(&devices);
	for (unsigned i = 0; i < devices.count; i++)
		cli_json_append(array, json_device(&devices.infos[i]));
	cli_json_set(document, "devices", array);
	cli_json_set(document, "errors", errors);
	cli_json_print(document);
	return status;
}

int cli_cmd_info(const struct cli_args *args)
{
	struct cli_devices devices = {0};
	int status;

	if (cli_args_has(args, "json"))
		return print_json(args);
	status = cli_devices_select(args, &devices, NULL, NULL);
	refresh(&devices);
	for (unsigned i = 0; i < devices.count; i++) {
		if (i != 0)
			putchar('\n');
		print_device(&devices.infos[i]);
	}
	return status;
}
