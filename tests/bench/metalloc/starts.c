/* SPDX-License-Identifier: MIT */
/*
 * Executes a program some times, each from this small process, and prints for one execution the
 * median of its wall time in microseconds, its mean processor time in seconds, and its peak memory
 * in KiB: usage: starts COUNT LIBRARY PROGRAM [ARGUMENT]...
 *
 * The library is preloaded into the program, not here; "-" for none.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 10000u

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	const double first = *(const double *)a, second = *(const double *)b;

	return (first > second) - (first < second);
}

static double seconds_of(const struct rusage *usage)
{
	return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
	       (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

/** Its wall time, or less than 0. */
static double execute(char **words, const posix_spawn_file_actions_t *actions)
{
	const double before = now_us();
	pid_t child;
	int status;

	if (posix_spawnp(&child, words[0], actions, NULL, words, environ) != 0 ||
	    waitpid(child, &status, 0) != child || status != 0) {
		fprintf(stderr, "%s: could not be executed, or failed\n", words[0]);
		return -1;
	}
	return now_us() - before;
}

int main(int count, char **words)
{
	static double times[MOST];
	const unsigned rounds = count >= 4 ? (unsigned)strtoul(words[1], NULL, 10) : 0;
	posix_spawn_file_actions_t actions;
	struct rusage usage;

	if (rounds == 0 || rounds > MOST)
		return 2;
	if (strcmp(words[2], "-") != 0)
		setenv("LD_PRELOAD", words[2], 1);
	posix_spawn_file_actions_init(&actions);
	for (int i = 0; i < 3; i++)
		posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
	for (unsigned i = 0; i < rounds; i++) {
		times[i] = execute(words + 3, &actions);
		if (times[i] < 0)
			return 1;
	}
	qsort(times, rounds, sizeof(times[0]), compare);
	getrusage(RUSAGE_CHILDREN, &usage);
	printf("%f %f %ld\n", times[rounds / 2], seconds_of(&usage) / rounds, usage.ru_maxrss);
	return 0;
}
