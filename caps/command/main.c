/* SPDX-License-Identifier: MIT */
/*
 * The `caps` command: looks at services and talks to them.
 */
#include "command_internal.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct command {
	const char *name, *operands;
	unsigned least, most;
	int (*run)(const struct options *options);
	const char *summary;
} commands[] = {
	{"list", "", 0, 0, command_list, "List services, the newest of a name first"},
	{"describe", "SERVICE", 1, 1, command_describe, "Tell what a service does"},
	{"call", "SERVICE OPERATION [JSON]", 2, 3, command_call, "Send a request, print the reply"},
	{"monitor", "SERVICE", 1, 1, command_monitor, "Stand before a service and print messages"},
	{"bench", "SERVICE OPERATION [JSON]", 2, 3, command_bench, "Measure round trips"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *to)
{
	fputs("usage: caps COMMAND [OPTION]... [OPERAND]...\n\n", to);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-8s %-25s %s\n", commands[i].name, commands[i].operands,
			commands[i].summary);
	fputs("\n"
	      "  -d, --directory FOLDER  the namespace is this folder\n"
	      "  -s, --system            look into the namespace of the system only\n"
	      "  -t, --timeout MS        how long to wait, also for the service; 5000\n"
	      "  -n, --count N           calls of bench (10000), messages of monitor (no end)\n"
	      "  -f, --fd NUMBER         a descriptor to send along; may be given several times\n"
	      "  -j, --json              print JSON\n"
	      "  -h, --help              this\n",
	      to);
}

void put_printable(FILE *to, const char *text)
{
	for (; text != NULL && *text != '\0'; text++) {
		const unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];
		const bool is_long = c == 0xc2 && next >= 0x80 && next < 0xa0;

		fputc(c < ' ' || c == 127 || is_long ? '?' : c, to);
		text += is_long;
	}
}

int fail(const char *format, ...)
{
	va_list arguments;
	char text[1024];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fputs("caps: ", stderr);
	put_printable(stderr, text);
	fputc('\n', stderr);
	return STATUS_FAILED;
}

double now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

struct caps_client_options client_options(const struct options *options, uid_t users[1])
{
	struct caps_client_options client = {.size = sizeof(client),
					     .timeout_ms = options->timeout_ms,
					     .directory = options->directory};

	if (options->system) {
		users[0] = CAPS_SYSTEM;
		client.users = users;
		client.user_count = 1;
	}
	return client;
}

int connect_to(const struct options *options, struct caps_port **port)
{
	uid_t users[1];
	const struct caps_client_options client = client_options(options, users);

	return caps_connect(options->operands[0], &client, port) == 0 ? STATUS_GOOD
								      : fail("%s", caps_error());
}

static bool take_number(const char *text, long most, long *value)
{
	char *end;

	*value = strtol(text, &end, 10);
	if (end != text && *end == '\0' && *value >= 0 && *value <= most)
		return true;
	fail("'%s' is no number from 0 to %ld", text, most);
	return false;
}

static bool take_option(struct options *options, int letter, const char *argument)
{
	long value = 0;

	if (strchr("tnf", letter) != NULL && !take_number(argument, 1000000000, &value))
		return false;
	switch (letter) {
	case 'd':
		options->directory = argument;
		return true;
	case 's':
		options->system = true;
		return true;
	case 'j':
		options->json = true;
		return true;
	case 't':
		options->timeout_ms = (int)value;
		return true;
	case 'n':
		options->count = (unsigned)value;
		return true;
	case 'f':
		if (options->fd_count == CAPS_MAX_FDS) {
			fail("more than %d descriptors", CAPS_MAX_FDS);
			return false;
		}
		options->fds[options->fd_count++] = (int)value;
		return true;
	case 'h':
		print_usage(stdout);
		exit(STATUS_GOOD);
	default:
		return false;
	}
}

static bool parse(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {{"directory", required_argument, NULL, 'd'},
					      {"system", no_argument, NULL, 's'},
					      {"timeout", required_argument, NULL, 't'},
					      {"count", required_argument, NULL, 'n'},
					      {"fd", required_argument, NULL, 'f'},
					      {"json", no_argument, NULL, 'j'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	int letter;

	while ((letter = getopt_long(argc, argv, "d:st:n:f:jh", known, NULL)) != -1)
		if (!take_option(options, letter, optarg))
			return false;
	options->operands = argv + optind;
	options->operand_count = (unsigned)(argc - optind);
	return true;
}

int main(int argc, char **argv)
{
	struct options options = {.timeout_ms = 5000};
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_usage(stdout);
		return STATUS_GOOD;
	}
	for (size_t i = 0; i < COMMANDS; i++) {
		const struct command *command = &commands[i];

		if (strcmp(command->name, name) != 0)
			continue;
		if (!parse(&options, argc - 1, argv + 1))
			return STATUS_USAGE;
		if (options.operand_count >= command->least &&
		    options.operand_count <= command->most)
			return command->run(&options);
		fprintf(stderr, "usage: caps %s [OPTION]... %s\n", name, command->operands);
		return STATUS_USAGE;
	}
	print_usage(stderr);
	return STATUS_USAGE;
}
