/* SPDX-License-Identifier: MIT */
/*
 * metalloc bench: a program with and without the library, in turn; medians of processor time and of
 * peak memory. The first executions with it are not counted: they make the profile.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_ROUNDS    101
#define LEARNING       3
#define MOST_VARIABLES 4096

struct figures {
	double seconds;
	double kib;
};

/** Executes it once, with its output thrown away. */
static int measure(char *words[], char *environment[], struct figures *figures)
{
	posix_spawn_file_actions_t actions;
	struct rusage usage;
	int error, status;
	pid_t child;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	error = posix_spawnp(&child, words[0], &actions, NULL, words, environment);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0)
		return fail("%s: %s", words[0], strerror(error));
	if (wait4(child, &status, 0, &usage) != child)
		return fail("%s: %s", words[0], strerror(errno));
	if (!WIFEXITED(status))
		return fail("%s ended by signal %d", words[0], WTERMSIG(status));
	figures->seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	figures->kib = (double)usage.ru_maxrss;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const double first = *(const double *)a, second = *(const double *)b;

	return (first > second) - (first < second);
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), compare);
	return values[count / 2];
}

/** This environment, with the library preloaded. */
static void with_library(char *environment[static MOST_VARIABLES])
{
	static char preload[STORE_PATH + 16];
	size_t count = 0;

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", find_library());
	for (char **variable = environ; *variable != NULL && count < MOST_VARIABLES - 2; variable++)
		if (strncmp(*variable, "LD_PRELOAD=", 11) != 0)
			environment[count++] = *variable;
	environment[count++] = preload;
	environment[count] = NULL;
}

int command_bench(int count, char *words[])
{
	static char *environment[MOST_VARIABLES];
	static double times[2][MOST_ROUNDS], sizes[2][MOST_ROUNDS];
	struct figures figures = {0};
	int rounds = 9;

	if (count > 1 && strcmp(words[0], "--rounds") == 0) {
		rounds = atoi(words[1]);
		count -= 2;
		words += 2;
	}
	if (count < 1 || rounds < 1 || rounds > MOST_ROUNDS)
		return EXIT_USAGE;
	with_library(environment);
	for (int i = -LEARNING; i < rounds; i++)
		for (int side = 0; side < 2; side++) {
			if (measure(words, side == 0 ? environ : environment, &figures) != 0)
				return 1;
			if (i < 0)
				continue;
			times[side][i] = figures.seconds;
			sizes[side][i] = figures.kib;
		}
	printf("%-16s %12s %12s %8s\n", "", "as it is", "metalloc", "ratio");
	for (int memory = 0; memory < 2; memory++) {
		const double plain = median(memory ? sizes[0] : times[0], rounds);
		const double ours = median(memory ? sizes[1] : times[1], rounds);

		printf("%-16s %12.4f %12.4f %8.3f\n", memory ? "peak, MiB" : "processor, s",
		       memory ? plain / 1024 : plain, memory ? ours / 1024 : ours, ours / plain);
	}
	return 0;
}
