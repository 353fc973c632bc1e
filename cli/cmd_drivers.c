/* SPDX-License-Identifier: MIT */
/*
 * bdus drivers: the built-in drivers, or one driver with the keys that it takes.
 */
#include "cli_internal.h"

#include <stdio.h>

const struct cli_option cli_drivers_options[] = {
	{"json", 0, NULL, "Print one JSON document"},
	CLI_OPTIONS_END,
};

static json_t *json_driver(const struct bdus_driver *driver)
{
	json_t *const object = json_object();

	cli_json_set(object, "name", cli_json_text(driver->name));
	cli_json_set(object, "summary", cli_json_text(driver->summary));
	cli_json_set(object, "options", cli_json_options(driver->options));
	return object;
}

static void print_json(const struct bdus_driver *const *drivers)
{
	json_t *const document = json_object();
	json_t *const array = json_array();

	for (; *drivers != NULL; drivers++)
		cli_json_append(array, json_driver(*drivers));
	cli_json_set(document, "drivers", array);
	cli_json_print(document);
}

static const char *summary_of(const struct bdus_driver *driver)
{
	return driver->summary != NULL ? driver->summary : "";
}

static void print_table(void)
{
	struct cli_table table = {.columns = 2, .wrap = true};

	cli_table_add(&table, "DRIVER");
	cli_table_add(&table, "SUMMARY");
	for (const struct bdus_driver *const *driver = cli_driver_table; *driver != NULL;
	     driver++) {
		cli_table_add(&table, "%s", (*driver)->name);
		cli_table_add(&table, "%s", summary_of(*driver));
	}
	cli_table_print(&table);
}

static void print_driver(const struct bdus_driver *driver)
{
	char *const line = cli_format("%s: %s", driver->name, summary_of(driver));

	cli_print_wrapped(cli_make_printable(line), 0);
	if (driver->options == NULL || driver->options->key == NULL)
		puts("It takes no keys.");
	else
		cli_print_options(driver->options);
}

int cli_cmd_drivers(const struct cli_args *args)
{
	const struct bdus_driver *const *drivers = cli_driver_table;
	const struct bdus_driver *one[2] = {NULL, NULL};

	if (args->operand_count != 0) {
		const int status = cli_driver_find(args->operands[0], &one[0]);

		if (status != CLI_OK)
			return status;
		drivers = one;
	}
	if (cli_args_has(args, "json"))
		print_json(drivers);
	else if (args->operand_count != 0)
		print_driver(one[0]);
	else
		print_table();
	return CLI_OK;
}
