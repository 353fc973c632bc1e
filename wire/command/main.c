/* SPDX-License-Identifier: MIT */
/*
 * The `wire` command: prints, checks and edits images of the formats in its table.
 */
#include "command_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct command command_table[] = {
	{"dump", "FORMAT IMAGE", 2, 2, OPTIONS_IMAGE | OPTION_JSON, "Print an image", command_dump,
	 false},
	{"check", "FORMAT IMAGE", 2, 2, OPTIONS_IMAGE | OPTION_JSON | OPTION_QUIET,
	 "Tell whether an image keeps to its format", command_check, false},
	{"edit", "FORMAT IMAGE PATH=VALUE…", 3, UINT_MAX,
	 OPTIONS_IMAGE | OPTION_FORCE | OPTION_DRY_RUN, "Change fields, with their checksums",
	 command_edit, false},
	{"formats", "", 0, 0, OPTION_JSON | OPTION_HELP, "List the formats and their arguments",
	 command_formats, false},
	{"version", "", 0, 0, OPTION_HELP, "Print the version", NULL, false},
	{"help", "[COMMAND]", 0, 1, OPTION_HELP, "Tell more of a command", command_help, false},
	{"__words", "KIND [WORD]…", 1, UINT_MAX, OPTION_HELP, "Print words for shell completions",
	 command_words, true},
	{NULL, NULL, 0, 0, 0, NULL, NULL, false},
};

const struct command *command_find(const char *name)
{
	for (const struct command *command = command_table; command->name != NULL; command++)
		if (strcmp(command->name, name) == 0)
			return command;
	return NULL;
}

static void print_command_help(const struct command *command)
{
	printf("usage: wire %s %s\n\n%s.\n\n", command->name, command->operands, command->summary);
	for (const struct option_info *o = option_table; o->name != NULL; o++) {
		char words[40];

		if (!(command->options & o->bit))
			continue;
		snprintf(words, sizeof(words), "-%c, --%s%s%s", o->letter, o->name,
			 o->argument != NULL ? " " : "", o->argument != NULL ? o->argument : "");
		printf("  %-24s  %s\n", words, o->help);
	}
}

static int refuse_command(const char *name)
{
	char allowed[128] = "";
	size_t length = 0;

	for (const struct command *c = command_table; c->name != NULL; c++)
		if (!c->hidden)
			length += (size_t)snprintf(allowed + length, sizeof(allowed) - length,
						   "%s%s", length != 0 ? ", " : "", c->name);
	return usage_error("there is no command \"%s\"; allowed: %s", name, allowed);
}

int command_help(const struct words *words)
{
	const char *const name = words->operand_count != 0 ? words->operands[0] : NULL;
	const struct command *const command = name != NULL ? command_find(name) : NULL;

	if (command != NULL) {
		print_command_help(command);
		return STATUS_OK;
	}
	if (name != NULL)
		return refuse_command(name);
	puts("usage: wire COMMAND …\n");
	for (const struct command *c = command_table; c->name != NULL; c++)
		if (!c->hidden)
			printf("  %-8s %-25s %s\n", c->name, c->operands, c->summary);
	puts("\n\"wire help COMMAND\" tells more; so does wire(1).");
	return STATUS_OK;
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

static int run(int argc, char **argv)
{
	const struct command *command;
	struct words words;
	int status;

	if (argc < 2)
		return usage_error("a command is needed; \"wire help\" lists all");
	command = command_find(command_of_option(argv[1]));
	if (command == NULL)
		return refuse_command(argv[1]);
	status = words_parse(&words, command, argv + 2, (unsigned)argc - 2);
	if (status != STATUS_OK)
		return status;
	if (words.help) {
		print_command_help(command);
		return STATUS_OK;
	}
	if (command->run != NULL)
		return command->run(&words);
	puts("wire " WIRE_COMMAND_VERSION);
	return STATUS_OK;
}

/** An image that shrinks, or a disk that fails, while it is mapped. */
static void die_of_bus_error(int signal_number)
{
	static const char text[] = "wire: the image became shorter, or cannot be read\n";

	(void)signal_number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(STATUS_IO);
	_exit(STATUS_IO);
}

int main(int argc, char **argv)
{
	int status;

	/* No image may get the number of a standard stream that is closed. */
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			return STATUS_IO;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGBUS, die_of_bus_error);
	status = run(argc, argv);
	errno = 0;
	/* A reader that has seen enough is no mistake. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == STATUS_OK && errno != EPIPE) {
		say("cannot write to standard output: %s", strerror(errno));
		return STATUS_IO;
	}
	return status;
}
