/* SPDX-License-Identifier: MIT */
/*
 * The `bdus` command: the table of its commands, and the way from a command line to one of them.
 */
#include "cli_internal.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

const struct cli_command cli_commands[] = {
	{"run", "DRIVER [KEY=VALUE]…", 1, UINT_MAX, "Create a device and serve it",
	 "DRIVER is the name of a built-in driver (see \"bdus drivers\") or the path of a shared "
	 "object. The command returns once the device is available, having printed its path, and "
	 "the device is served in the background; with -f it stays and serves the device until "
	 "that is destroyed or SIGTERM or SIGINT arrives.",
	 cli_run_options, cli_cmd_run, false},
	{"list", "", 0, 0, "List devices", NULL, cli_list_options, cli_cmd_list, false},
	{"info", "DEVICE…", 1, UINT_MAX, "Tell all that is known of devices",
	 "A DEVICE is an id, a path, a link to one, or an NBD URI.", cli_info_options, cli_cmd_info,
	 false},
	{"destroy", "DEVICE…", 0, UINT_MAX, "Flush and end devices",
	 "A DEVICE is an id, a path, a link to one, or an NBD URI. One that fails does not keep "
	 "the others; one whose flush fails is not destroyed.",
	 cli_destroy_options, cli_cmd_destroy, false},
	{"flush", "DEVICE…", 0, UINT_MAX, "Make what was written to devices durable",
	 "A DEVICE is an id, a path, a link to one, or an NBD URI.", cli_flush_options,
	 cli_cmd_flush, false},
	{"replace", "DEVICE DRIVER [KEY=VALUE]…", 2, UINT_MAX,
	 "Give a device another driver while it is in use",
	 "The device was made with --recoverable or --restart. Its driver, if it has one, finishes "
	 "the requests that it has, is flushed and ends; others wait until DRIVER is there. "
	 "Everything else is as for \"bdus run\"; see bdus-replace(7).",
	 cli_replace_options, cli_cmd_replace, false},
	{"recover", "DEVICE DRIVER [KEY=VALUE]…", 2, UINT_MAX,
	 "Give a device that lost its driver another one",
	 "As \"bdus replace\", but fails where the device still has a driver.", cli_recover_options,
	 cli_cmd_recover, false},
	{"resize", "DEVICE SIZE", 2, 2, "Give a device another size while it is in use",
	 "SIZE is a number of bytes, which may be followed by K, M, G, T or P.", cli_resize_options,
	 cli_cmd_resize, false},
	{"log", "DEVICE [LEVEL]", 1, 2, "Show or set how much a device's process tells",
	 "LEVEL is error, warning, info or debug, each of which has those before it as well. The "
	 "process tells it on its standard error, so one that \"bdus run --foreground\" runs, "
	 "as a service does.",
	 cli_log_options, cli_cmd_log, false},
	{"stats", "DEVICE…", 0, UINT_MAX, "Tell what devices have done, and how fast",
	 "A DEVICE is an id, a path, a link to one, or an NBD URI. Reading stops nobody.",
	 cli_stats_options, cli_cmd_stats, false},
	{"top", "", 0, 0, "Show what devices are doing", "Ends with q.", cli_top_options,
	 cli_cmd_top, false},
	{"check", "[WAY]", 0, 1, "Tell what works on this machine, and why the rest does not",
	 "Without WAY, prints a table of all ways in and what each can carry; with WAY, tells more "
	 "of that one, with the keys that --transport WAY,KEY=VALUE takes.",
	 cli_check_options, cli_cmd_check, false},
	{"drivers", "[DRIVER]", 0, 1, "List the built-in drivers, or the keys that one takes",
	 "DRIVER is the name of a built-in driver or the path of a shared object.",
	 cli_drivers_options, cli_cmd_drivers, false},
	{"filters", "[FILTER]", 0, 1, "List the built-in filters, or the keys that one takes",
	 "FILTER is the name of a built-in filter or the path of a shared object; \"bdus run "
	 "DRIVER "
	 "--filter FILTER:KEY=VALUE,…\" puts it before a driver.",
	 cli_filters_options, cli_cmd_filters, false},
	{"filter", "VERB DEVICE FILTER[:KEY=VALUE,…]", 3, 3,
	 "Put filters before a device in use, or take them away",
	 "attach DEVICE FILTER[:KEY=VALUE,…] puts a filter before all others; detach DEVICE FILTER "
	 "takes one away, by its name or its place from 0 on. Requests wait meanwhile.",
	 cli_filter_options, cli_cmd_filter, false},
	{"program", "VERB DEVICE [ARGUMENT]…", 1, 6,
	 "Look after programs in a device's filters or in the kernel",
	 "list DEVICE; load DEVICE FILE [NAME [COMPLETION]] puts another program in place of the "
	 "one "
	 "that runs; replace does the same and keeps values of maps; detach DEVICE lets all "
	 "requests "
	 "pass; map get DEVICE MAP [KEY], map set DEVICE MAP KEY VALUE, map read DEVICE RING. See "
	 "bdus-filter-opvm(7).",
	 cli_program_options, cli_cmd_program, false},
	{"version", "", 0, 0, "Print the version", NULL, cli_version_options, cli_cmd_version,
	 false},
	{"help", "[COMMAND]", 0, 1, "Tell more of a command", NULL, cli_help_options, cli_cmd_help,
	 false},
	{"__words", "KIND [WORD]…", 1, 3, "Print words for shell completions", NULL,
	 cli_help_options, cli_cmd_words, true},
	{NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, false},
};

static int refuse_command(const char *name)
{
	struct cli_suggestion suggestion = {.word = name};
	char *allowed = cli_format("%s", "");

	for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
		if (command->hidden)
			continue;
		cli_suggest(&suggestion, command->name);
		allowed = cli_format("%s%s%s", allowed, allowed[0] == '\0' ? "" : ", ",
				     command->name);
	}
	return cli_usage_error("there is no command \"%s\"%s; allowed: %s", name,
			       cli_suggestion_text(&suggestion), allowed);
}

/** The options that stand in a command's place. */
static const char *command_of_option(const char *word)
{
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return "help";
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
		return "version";
	return word;
}

static int run_command(int argc, char **argv)
{
	const struct cli_command *command;
	struct cli_args args;
	int status;

	if (argc < 2)
		return cli_usage_error("a command is needed; \"bdus help\" lists all");
	command = cli_command_find(command_of_option(argv[1]));
	if (command == NULL)
		return refuse_command(argv[1]);
	status = cli_args_parse(&args, command, argv + 2, (unsigned)(argc - 2));
	if (status != CLI_OK)
		return status;
	if (!cli_args_has(&args, "help"))
		return command->run(&args);
	cli_print_help(command);
	return CLI_OK;
}

/** The status of a command whose output has to be written yet. */
static int finish_output(int status)
{
	const int error = cli_flush_stdout();

	if (error == 0 || status != CLI_OK)
		return status;
	/* A reader that has seen enough need not be told that it left. */
	if (error != -EPIPE)
		cli_say("cannot write to standard output: %s", strerror(-error));
	return CLI_FAILED;
}

int main(int argc, char **argv)
{

	int status;

	cli_guard_streams();
	/* A reader that went away is an error of write(), not the end of a driver. */
	signal(SIGPIPE, SIG_IGN);
	status = finish_output(run_command(argc, argv));
	cli_free_all();
	return status;
}
