/* SPDX-License-Identifier: MIT */
/*
 * The `metalloc` command.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int count, char *words[]);
	const char *usage;
} commands[] = {
	{"run", command_run, "run [--choice CHOICE] PROGRAM [ARGUMENT]..."},
	{"profile", command_profile,
	 "profile show [PROGRAM [SCRIPT]] | diff A B | forget PROGRAM [SCRIPT] | forget --all"},
	{"explain", command_explain, "explain PROGRAM [SCRIPT]"},
	{"seed", command_seed, "seed [--output FILE] TEXT | seed --from PROGRAM [SCRIPT]"},
	{"bench", command_bench, "bench [--rounds N] PROGRAM [ARGUMENT]..."},
	{"doctor", command_doctor, "doctor"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *file)
{
	fprintf(file, "usage:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(file, "  metalloc %s\n", commands[i].usage);
	fprintf(file, "metalloc(1) has the rest.\n");
}

int main(int count, char *words[])
{
	if (count > 1 && strcmp(words[1], "--help") == 0) {
		print_usage(stdout);
		return 0;
	}
	if (count > 1 && strcmp(words[1], "--version") == 0) {
		printf("metalloc " METALLOC_VERSION "\n");
		return 0;
	}
	for (size_t i = 0; count > 1 && i < COMMANDS; i++)
		if (strcmp(words[1], commands[i].name) == 0) {
			const int status = commands[i].run(count - 2, words + 2);

			if (status == EXIT_USAGE)
				fprintf(stderr, "usage: metalloc %s\n", commands[i].usage);
			return status;
		}
	print_usage(stderr);
	return EXIT_USAGE;
}
