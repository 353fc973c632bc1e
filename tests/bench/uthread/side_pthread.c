/* SPDX-License-Identifier: MIT */
/*
 * The C library's threads, kept on one processor as the other sides are.
 */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

static unsigned long count;

static void *yielder(void *unused)
{
	for (unsigned long i = 0; i < count; i++)
		sched_yield();
	return unused;
}

static double yield(void)
{
	const double started = bench_now_ns();
	pthread_t thread;

	pthread_create(&thread, NULL, yielder, NULL);
	yielder(NULL);
	pthread_join(thread, NULL);
	return (bench_now_ns() - started) / (double)(count * 2);
}

static void *nothing(void *unused)
{
	return unused;
}

static double create(void)
{
	const double started = bench_now_ns();

	for (unsigned long i = 0; i < count; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, nothing, NULL);
		pthread_join(thread, NULL);
	}
	return (bench_now_ns() - started) / (double)count;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t conds[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static unsigned turn;

static void *player(void *argument)
{
	const unsigned own = argument != NULL;

	pthread_mutex_lock(&mutex);
	for (unsigned long i = 0; i < count; i++) {
		while (turn != own)
			pthread_cond_wait(&conds[own], &mutex);
		turn = !own;
		pthread_cond_signal(&conds[!own]);
	}
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static double cond(void)
{
	const double started = bench_now_ns();
	pthread_t thread;

	turn = 0;
	pthread_create(&thread, NULL, player, &turn);
	player(NULL);
	pthread_join(thread, NULL);
	return (bench_now_ns() - started) / (double)(count * 2);
}

static double run_case(enum bench_case which, unsigned long times)
{
	static double (*const cases[BENCH_CASES])(void) = {
		[BENCH_YIELD] = yield,
		[BENCH_CREATE] = create,
		[BENCH_COND] = cond,
	};
	cpu_set_t before, one;
	double result;

	if (cases[which] == NULL)
		return -1;
	count = times / 100 + 1;
	sched_getaffinity(0, sizeof(before), &before);
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	result = cases[which]();
	sched_setaffinity(0, sizeof(before), &before);
	return result;
}

const struct bench_side bench_side_pthread = {"pthread", run_case};
