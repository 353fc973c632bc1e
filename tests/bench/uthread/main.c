/* SPDX-License-Identifier: MIT */
/*
 * uthread against Boost.Context, the C library's threads and what other libraries the environment
 * names, in alternating rounds; medians.
 *
 * usage: bench-uthread [ROUNDS [COUNT [THREADS]]]
 *
 * COUNT: how often each case does its thing in a round. THREADS: how many wait at once for the
 * measure of memory. Other peers are programs of their own, as in peers/ (peers.sh makes them):
 * UTHREAD_BENCH_PEERS holds commands, separated by semicolons, each of which is run as `COMMAND
 * CASE COUNT` and prints nanoseconds, or for `memory` bytes.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MOST 99
#define PEERS_MOST  16

static const char *const case_names[BENCH_CASES] = {
	[BENCH_SWITCH] = "switch",  [BENCH_YIELD] = "yield",     [BENCH_CREATE] = "create-join",
	[BENCH_COND] = "condition", [BENCH_CHANNEL] = "channel", [BENCH_MUTEX] = "mutex-of-8",
	[BENCH_SKYNET] = "skynet",
};

static const struct bench_side *const sides[] = {
	&bench_side_uthread,
#if HAVE_BOOST_CONTEXT
	&bench_side_boost,
#endif
	&bench_side_pthread,
};

#define SIDES (sizeof(sides) / sizeof(sides[0]))

static char *peers[PEERS_MOST];
static unsigned peers_count;

static void find_peers(void)
{
	const char *const given = getenv("UTHREAD_BENCH_PEERS");
	char *const copy = strdup(given != NULL ? given : "");
	char *rest = NULL;

	for (char *command = strtok_r(copy, ";", &rest);
	     command != NULL && peers_count < PEERS_MOST; command = strtok_r(NULL, ";", &rest))
		peers[peers_count++] = strdup(command);
	free(copy);
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

static double run_peer(const char *command, const char *what, unsigned long count)
{
	char line[512];
	double result = -1;
	FILE *output;

	snprintf(line, sizeof(line), "%s %s %lu", command, what, count);
	output = popen(line, "r"); /* NOLINT(cert-env33-c): a command of the user's */
	if (output == NULL || fscanf(output, "%lf", &result) != 1)
		result = -1;
	if (output != NULL)
		pclose(output);
	return result;
}

static void tell(const char *name, double *values, unsigned rounds, double own)
{
	const double value = median(values, rounds);
	const char *const slash = strrchr(name, '/');

	if (value >= 0)
		printf("  %-20s %9.1f      uthread at %.3f of it\n",
		       slash != NULL ? slash + 1 : name, value, own / value);
}

static void compare_sides(enum bench_case which, unsigned rounds, unsigned long count)
{
	static double values[SIDES + PEERS_MOST][ROUNDS_MOST];
	double own;

	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned side = 0; side < SIDES; side++)
			values[side][round] = sides[side]->run(which, count);
		for (unsigned peer = 0; peer < peers_count; peer++)
			values[SIDES + peer][round] =
				run_peer(peers[peer], case_names[which], count);
	}
	own = median(values[0], rounds);
	printf("%-22s %9.1f ns\n", case_names[which], own);
	for (unsigned side = 1; side < SIDES; side++)
		tell(sides[side]->name, values[side], rounds, own);
	for (unsigned peer = 0; peer < peers_count; peer++)
		tell(peers[peer], values[SIDES + peer], rounds, own);
}

static void compare_memory(unsigned long threads)
{
	const double own = bench_memory_uthread(threads);

	printf("%lu threads that wait, with guards: %.0f bytes each\n", threads, own);
	for (unsigned peer = 0; peer < peers_count; peer++) {
		double value = run_peer(peers[peer], "memory", threads);

		tell(peers[peer], &value, 1, own);
	}
}

int main(int count, char **arguments)
{
	const unsigned rounds = count > 1 ? (unsigned)atoi(arguments[1]) : 7;
	const unsigned long times = count > 2 ? strtoul(arguments[2], NULL, 10) : 1000000;
	const unsigned long threads = count > 3 ? strtoul(arguments[3], NULL, 10) : 1000000;

	if (rounds == 0 || rounds > ROUNDS_MOST || times == 0 || threads == 0) {
		fputs("usage: bench-uthread [ROUNDS [COUNT [THREADS]]]\n", stderr);
		return 2;
	}
	find_peers();
	for (int which = 0; which < BENCH_CASES; which++)
		compare_sides((enum bench_case)which, rounds, times);
	compare_memory(threads);
	return 0;
}
