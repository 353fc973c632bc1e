/* SPDX-License-Identifier: MIT */
/*
 * bdus drivers, bdus filters: what is built in, or one of them with the keys that it takes.
 */
#include "cli_internal.h"

#include <stdio.h>

const struct cli_option cli_drivers_options[] = {
	{"json", 0, NULL, "Print one JSON document"},
	CLI_OPTIONS_END,
};

const struct cli_option cli_filters_options[] = {
	{"json", 0, NULL, "Print one JSON document"},
	CLI_OPTIONS_END,
};

/** What is shown of a driver or a filter. */
struct entry {
	const char *name;
	const char *summary;
	const struct bdus_option *options;
};

/** Entries of one kind. */
struct catalogue {
	/** The head of the table, and the key of the array. */
	const char *heading;
	const char *key;
	unsigned count;
	struct entry *entries;
};

static void add(struct catalogue *catalogue, const char *name, const char *summary,
		const struct bdus_option *options)
{
	catalogue->entries = cli_grow(catalogue->entries,
				      (catalogue->count + 1) * sizeof(catalogue->entries[0]));
	catalogue->entries[catalogue->count++] =
		(struct entry){name, summary != NULL ? summary : "", options};
}

static void print_json(const struct catalogue *catalogue)
{
	json_t *const document = json_object();
	json_t *const array = json_array();

	for (unsigned i = 0; i < catalogue->count; i++) {
		const struct entry *const entry = &catalogue->entries[i];
		json_t *const object = json_object();

		cli_json_set(object, "name", cli_json_text(entry->name));
		cli_json_set(object, "summary", cli_json_text(entry->summary));
		cli_json_set(object, "options", cli_json_options(entry->options));
		cli_json_append(array, object);
	}
	cli_json_set(document, catalogue->key, array);
	cli_json_print(document);
}

static void print_table(const struct catalogue *catalogue)
{
	struct cli_table table = {.columns = 2, .wrap = true};

	cli_table_add(&table, "%s", catalogue->heading);
	cli_table_add(&table, "SUMMARY");
	for (unsigned i = 0; i < catalogue->count; i++) {
		cli_table_add(&table, "%s", catalogue->entries[i].name);
		cli_table_add(&table, "%s", catalogue->entries[i].summary);
	}
	cli_table_print(&table);
}

static void print_one(const struct entry *entry)
{
	char *const line = cli_format("%s: %s", entry->name, entry->summary);

	cli_print_wrapped(cli_make_printable(line), 0);
	if (entry->options == NULL || entry->options->key == NULL)
		puts("It takes no keys.");
	else
		cli_print_options(entry->options);
}

static int print(const struct cli_args *args, const struct catalogue *catalogue)
{
	if (cli_args_has(args, "json"))
		print_json(catalogue);
	else if (args->operand_count != 0)
		print_one(&catalogue->entries[0]);
	else
		print_table(catalogue);
	return CLI_OK;
}

int cli_cmd_drivers(const struct cli_args *args)
{
	struct catalogue catalogue = {.heading = "DRIVER", .key = "drivers"};
	const struct bdus_driver *const *drivers = cli_driver_table;
	const struct bdus_driver *one[2] = {NULL, NULL};

	if (args->operand_count != 0) {
		const int status = cli_driver_find(args->operands[0], &one[0]);

		if (status != CLI_OK)
			return status;
		drivers = one;
	}
	for (; *drivers != NULL; drivers++)
		add(&catalogue, (*drivers)->name, (*drivers)->summary, (*drivers)->options);
	return print(args, &catalogue);
}

int cli_cmd_filters(const struct cli_args *args)
{
	struct catalogue catalogue = {.heading = "FILTER", .key = "filters"};
	const struct bdus_filter *const *filters = cli_filter_table;
	const struct bdus_filter *one[2] = {NULL, NULL};

	if (args->operand_count != 0) {
		const int status = cli_filter_find(args->operands[0], &one[0]);

		if (status != CLI_OK)
			return status;
		filters = one;
	}
	for (; *filters != NULL; filters++)
		add(&catalogue, (*filters)->name, (*filters)->summary, (*filters)->options);
	return print(args, &catalogue);
}
