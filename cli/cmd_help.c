/* SPDX-License-Identifier: MIT */
/*
 * bdus help, and the help of each command, from the tables of commands and options.
 */
#include "cli_internal.h"

#include <stdio.h>

const struct cli_option cli_help_options[] = {CLI_OPTIONS_END};

static void print_overview(void)
{
	struct cli_table table = {.columns = 2, .wrap = true};

	puts("Usage: bdus COMMAND [OPTION]… [ARGUMENT]…\n\n"
	     "Block devices in user space.\n");
	for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
		if (command->hidden)
			continue;
		cli_table_add(&table, "  %s", command->name);
		cli_table_add(&table, "%s", command->summary);
	}
	cli_table_print(&table);
	puts("\n\"bdus help COMMAND\" tells more, bdus(1) tells all.");
}

void cli_print_help(const struct cli_command *command)
{
	struct cli_table table = {.columns = 2, .wrap = true};

	printf("Usage: bdus %s%s%s [OPTION]…\n\n", command->name,
	       command->operands[0] == '\0' ? "" : " ", command->operands);
	cli_print_wrapped(command->summary, 0);
	if (command->details != NULL) {
		putchar('\n');
		cli_print_wrapped(command->details, 0);
	}
	putchar('\n');
	for (const struct cli_option *option = command->options; option->name != NULL; option++) {
		char letter[] = "-x, ";

		letter[1] = option->letter;
		cli_table_add(&table, "  %s--%s%s%s", option->letter != 0 ? letter : "    ",
			      option->name, option->argument != NULL ? " " : "",
			      option->argument != NULL ? option->argument : "");
		cli_table_add(&table, "%s", option->help);
	}
	cli_table_print(&table);
}

int cli_cmd_help(const struct cli_args *args)
{
	const struct cli_command *command;

	if (args->operand_count == 0) {
		print_overview();
		return CLI_OK;
	}
	command = cli_command_find(args->operands[0]);
	if (command == NULL)
		return cli_usage_error("there is no command \"%s\"; \"bdus help\" lists all",
				       args->operands[0]);
	cli_print_help(command);
	return CLI_OK;
}
