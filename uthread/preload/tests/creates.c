/* SPDX-License-Identifier: MIT */
/*
 * A program that creates and joins 10,000 threads, and says how many nanoseconds each took: one
 * after the other, and all of them before the first is joined. usage: preload-creates ROUNDS
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREADS 10000

static pthread_t threads[THREADS];

static void *nothing(void *argument)
{
	return argument;
}

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void create(unsigned i)
{
	if (pthread_create(&threads[i], NULL, nothing, (void *)(uintptr_t)i) == 0)
		return;
	perror("pthread_create");
	exit(1);
}

static void join(unsigned i)
{
	void *result;

	if (pthread_join(threads[i], &result) == 0 && result == (void *)(uintptr_t)i)
		return;
	fputs("a thread had another's result\n", stderr);
	exit(1);
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double measure(unsigned rounds, unsigned at_once)
{
	double *const took = calloc(rounds, sizeof(*took));
	double median;

	for (unsigned round = 0; round < rounds; round++) {
		const double start_ns = now_ns();

		for (unsigned i = 0; i < THREADS; i += at_once) {
			for (unsigned j = i; j < i + at_once; j++)
				create(j);
			for (unsigned j = i; j < i + at_once; j++)
				join(j);
		}
		took[round] = (now_ns() - start_ns) / THREADS;
	}
	qsort(took, rounds, sizeof(*took), compare);
	median = took[rounds / 2];
	free(took);
	return median;
}

int main(int count, char **words)
{
	const unsigned rounds = count > 1 ? (unsigned)atoi(words[1]) : 1;

	printf("%.1f %.1f\n", measure(rounds, 1), measure(rounds, THREADS));
	return 0;
}
