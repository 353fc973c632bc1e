/* SPDX-License-Identifier: MIT */
/*
 * bdus __words: what the shell completions offer, so that they cannot fall behind the command. Each
 * line is a word, a tab and a description. It says nothing on errors: a completion has no place for
 * messages.
 *
 *	commands                 options COMMAND          drivers
 *	filters                  filter-keys NAME         filter-values NAME KEY
 *	keys DRIVER              values DRIVER KEY        devices
 *	transports               transport-keys NAME      transport-values NAME KEY
 *	levels
 */
#include "cli_internal.h"

#include <stdio.h>
#include <string.h>

#define MOST_WAYS 8

static void print_word(const char *word, const char *ending, const char *description)
{
	char *const line = cli_format("%s%s", word, ending);
	char *const text = cli_format("%s", description != NULL ? description : "");

	printf("%s\t%s\n", cli_make_printable(line), cli_make_printable(text));
}

static void print_commands(void)
{
	for (const struct cli_command *command = cli_commands; command->name != NULL; command++)
		if (!command->hidden)
			print_word(command->name, "", command->summary);
}

static void print_command_options(const char *name)
{
	const struct cli_command *const command = cli_command_find(name);

	if (command == NULL)
		return;
	for (const struct cli_option *option = command->options; option->name != NULL; option++)
		printf("--%s\t%s\n", option->name, option->help);
}

static void print_drivers(void)
{
	for (const struct bdus_driver *const *driver = cli_driver_table; *driver != NULL; driver++)
		print_word((*driver)->name, "", (*driver)->summary);
}

static void print_filters(void)
{
	for (const struct bdus_filter *const *filter = cli_filter_table; *filter != NULL; filter++)
		print_word((*filter)->name, "", (*filter)->summary);
}

static void print_levels(void)
{
	for (unsigned level = BDUS_LOG_ERRORS; level <= BDUS_LOG_DEBUG; level++)
		print_word(cli_log_level_name((enum bdus_log_level)level), "", "");
}

static void print_devices(void)
{
	struct cli_devices devices = {0};

	if (cli_devices_list(&devices) != CLI_OK)
		return;
	for (unsigned i = 0; i < devices.count; i++) {
		const struct bdus_device_info *const info = &devices.infos[i];
		char size[CLI_SIZE_TEXT];
		char *const text = cli_format("%s, %s, %s", info->driver,
					      cli_size_text(info->size_bytes, size),
					      bdus_state_name(info->state));
		char *const id = cli_format("%llu", (unsigned long long)info->id);

		if (info->id != BDUS_ID_NONE)
			print_word(id, "", text);
		print_word(cli_device_name(info), "", text);
	}
}

static void print_keys(const struct bdus_option *options)
{
	for (; options != NULL && options->key != NULL; options++)
		print_word(options->key, options->kind == BDUS_OPTION_BOOL ? "" : "=",
			   options->help);
}

static void print_choices(const char *choices)
{
	for (choices += strspn(choices, " "); *choices != '\0'; choices += strspn(choices, " ")) {
		const size_t length = strcspn(choices, " ");

		printf("%.*s\t\n", (int)length, choices);
		choices += length;
	}
}

static void print_values(const struct bdus_option *options, const char *key)
{
	for (; options != NULL && options->key != NULL; options++) {
		if (strcmp(options->key, key) != 0)
			continue;
		if (options->kind == BDUS_OPTION_BOOL)
			print_choices("yes no");
		else if (options->kind == BDUS_OPTION_CHOICE)
			print_choices(options->choices);
	}
}

/** The options of a built-in driver. A shared object is not run for a completion. */
static const struct bdus_option *driver_options(const char *name)
{
	for (const struct bdus_driver *const *driver = cli_driver_table; *driver != NULL; driver++)
		if (strcmp((*driver)->name, name) == 0)
			return (*driver)->options;
	return NULL;
}

static const struct bdus_option *filter_options(const char *name)
{
	for (const struct bdus_filter *const *filter = cli_filter_table; *filter != NULL; filter++)
		if (strcmp((*filter)->name, name) == 0)
			return (*filter)->options;
	return NULL;
}

static void print_transports(void)
{
	static struct bdus_transport_report reports[MOST_WAYS];
	const int count = bdus_manage_check(reports, MOST_WAYS);

	print_word("auto", "", "The best that works here");
	for (int i = 0; i < count; i++)
		print_word(reports[i].name, "", reports[i].summary);
}

static const struct bdus_option *transport_options(const char *name)
{
	static struct bdus_transport_report reports[MOST_WAYS];
	const int count = bdus_manage_check(reports, MOST_WAYS);

	for (int i = 0; i < count; i++)
		if (strcmp(reports[i].name, name) == 0)
			return reports[i].options;
	return NULL;
}

/** Words about filters; false when @kind is none of theirs. */
static bool print_filter_words(const char *kind, const char *first, const char *second)
{
	if (strcmp(kind, "filters") == 0)
		print_filters();
	else if (strcmp(kind, "filter-keys") == 0)
		print_keys(filter_options(first));
	else if (strcmp(kind, "filter-values") == 0)
		print_values(filter_options(first), second);
	else
		return false;
	return true;
}

int cli_cmd_words(const struct cli_args *args)
{
	const char *const kind = args->operands[0];
	const char *const first = args->operand_count > 1 ? args->operands[1] : "";
	const char *const second = args->operand_count > 2 ? args->operands[2] : "";

	if (print_filter_words(kind, first, second))
		return CLI_OK;
	if (strcmp(kind, "commands") == 0)
		print_commands();
	else if (strcmp(kind, "options") == 0)
		print_command_options(first);
	else if (strcmp(kind, "drivers") == 0)
		print_drivers();
	else if (strcmp(kind, "devices") == 0)
		print_devices();
	else if (strcmp(kind, "levels") == 0)
		print_levels();
	else if (strcmp(kind, "keys") == 0)
		print_keys(driver_options(first));
	else if (strcmp(kind, "values") == 0)
		print_values(driver_options(first), second);
	else if (strcmp(kind, "transports") == 0)
		print_transports();
	else if (strcmp(kind, "transport-keys") == 0)
		print_keys(transport_options(first));
	else if (strcmp(kind, "transport-values") == 0)
		print_values(transport_options(first), second);
	else
		return cli_usage_error("there are no words of kind \"%s\"", kind);
	return CLI_OK;
}
