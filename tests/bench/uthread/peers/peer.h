/* SPDX-License-Identifier: MIT */
/*
 * What programs around other libraries share: each is run as `PROGRAM CASE COUNT`, by bench-uthread
 * and bench-uthread-reads, and prints nanoseconds as bench.h has them (for `memory`: bytes a
 * thread; for `reads`: with the descriptor of the file as a third word), or nothing where the
 * library has no such thing. They know the libraries by their public headers only.
 */
#ifndef UTHREAD_BENCH_PEER_H
#define UTHREAD_BENCH_PEER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PEER_SKYNET_CHILDREN 10

struct peer_case {
	const char *name;
	double (*run)(unsigned long count);
};

static inline double peer_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline double peer_each(double started_ns, unsigned long of)
{
	return (peer_now_ns() - started_ns) / (double)of;
}

/** Resident memory and page tables. */
static inline double peer_memory_bytes(void)
{
	char line[128];
	double bytes = 0;
	unsigned long value;
	FILE *const file = fopen("/proc/self/status", "r");

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "VmRSS: %lu", &value) == 1 ||
		    sscanf(line, "VmPTE: %lu", &value) == 1)
			bytes += (double)value * 1024;
	if (file != NULL)
		fclose(file);
	return bytes;
}

/** The leaves of the tree of @count: a power of ten. */
static inline unsigned long peer_leaves(unsigned long count)
{
	unsigned long leaves = PEER_SKYNET_CHILDREN;

	while (leaves < count)
		leaves *= PEER_SKYNET_CHILDREN;
	return leaves;
}

static inline int peer_main(int count, char **words, const struct peer_case *cases)
{
	const unsigned long times = count > 2 ? strtoul(words[2], NULL, 10) : 0;

	if (times == 0) {
		fputs("usage: CASE COUNT\n", stderr);
		return 2;
	}
	for (; cases->name != NULL; cases++)
		if (strcmp(cases->name, words[1]) == 0)
			printf("%f\n", cases->run(times));
	return 0;
}

#endif
