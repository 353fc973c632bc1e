/* SPDX-License-Identifier: MIT */
/*
 * wire __words: what the shell completions offer, so that they cannot fall behind the command. Each
 *line is a word, a tab and a description. It says nothing on errors: a completion has no place for
 *messages.
 *
 *	commands                 options COMMAND          formats
 *	arguments FORMAT         paths FORMAT IMAGE
 */
#include "command_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/** Paths that are offered at most, and how much of an image is walked for them. */
#define MOST_PATHS  2000
#define MOST_VISITS 20000

static int print_commands(void)
{
	for (const struct command *command = command_table; command->name != NULL; command++)
		if (!command->hidden)
			printf("%s\t%s\n", command->name, command->summary);
	return STATUS_OK;
}

static int print_options(const char *name)
{
	const struct command *const command = command_find(name);

	if (command == NULL)
		return STATUS_USAGE;
	for (const struct option_info *o = option_table; o->name != NULL; o++)
		if (command->options & o->bit)
			printf("--%s%s\t%s\n", o->name, o->argument != NULL ? "=" : "", o->help);
	return STATUS_OK;
}

static int print_formats(void)
{
	for (unsigned i = 0; format_table[i] != NULL; i++)
		printf("%s\t\n", format_title(format_table[i]));
	return STATUS_OK;
}

static int print_arguments(const char *name)
{
	const struct wire_format *format;
	const int status = format_find(name, &format);

	if (status != STATUS_OK)
		return status;
	for (size_t i = 0; i < format->argument_count; i++)
		printf("%s=\tby default %" PRIu64 "\n", format->arguments[i].name,
		       format->arguments[i].value);
	return STATUS_OK;
}

/** The path that a walk is at; lengths of what is around the current node. */
struct paths {
	struct wire_walk walk;
	char text[512];
	size_t lengths[32];
	unsigned depth, printed, visited;
};

static size_t append_step(struct paths *paths, size_t length, const struct wire_node *node)
{
	const size_t room = sizeof(paths->text) - length;
	int added;

	if (node->name == NULL)
		added = snprintf(paths->text + length, room, "[%" PRIu64 "]", node->index);
	else
		added = snprintf(paths->text + length, room, "%s%s", length != 0 ? "." : "",
				 node->name);
	return (size_t)added < room ? length + (size_t)added : length;
}

static int visit_path(struct wire_walk *walk, const struct wire_node *node)
{
	struct paths *const paths = (struct paths *)(void *)walk;
	size_t length = paths->depth != 0 ? paths->lengths[paths->depth - 1] : 0;

	if (++paths->visited > MOST_VISITS || paths->printed > MOST_PATHS)
		return 1;
	if (node->event == WIRE_LEAVE) {
		paths->depth -= paths->depth != 0;
		return 0;
	}
	length = append_step(paths, length, node);
	if (node->event == WIRE_VALUE) {
		printf("%.*s=\t\n", (int)length, paths->text);
		paths->printed++;
		return 0;
	}
	if (paths->depth == sizeof(paths->lengths) / sizeof(paths->lengths[0]))
		return 1;
	paths->lengths[paths->depth++] = length;
	return 0;
}

static int print_paths(const struct words *words)
{
	const struct words inner = {
		.operands = words->operands + 1, .operand_count = 2, .length = UINT64_MAX};
	struct paths paths = {.walk = {.visit = visit_path}};
	struct subject subject = {0};
	const int status = subject_open(&subject, &inner, false);

	if (status != STATUS_OK)
		return status;
	paths.walk.data = subject.image.data;
	paths.walk.size = subject.image.size;
	subject.format->walk(subject.image.data, subject.image.size, subject.arguments,
			     &paths.walk);
	subject_close(&subject);
	return STATUS_OK;
}

static void be_silent(void)
{
	const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, STDERR_FILENO);
	close(null);
}

int command_words(const struct words *words)
{
	const char *const kind = words->operands[0];

	be_silent();
	if (strcmp(kind, "commands") == 0)
		return print_commands();
	if (strcmp(kind, "formats") == 0)
		return print_formats();
	if (strcmp(kind, "options") == 0 && words->operand_count == 2)
		return print_options(words->operands[1]);
	if (strcmp(kind, "arguments") == 0 && words->operand_count == 2)
		return print_arguments(words->operands[1]);
	if (strcmp(kind, "paths") == 0 && words->operand_count == 3)
		return print_paths(words);
	return usage_error("there are no words of kind \"%s\"", kind);
}
