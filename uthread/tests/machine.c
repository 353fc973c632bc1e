/* SPDX-License-Identifier: MIT */
/*
 * What the switch of a machine must keep, for machines that only an emulator is here for: a program
 * without any library but uthread's own sources. Ends with 0, or tells what is wrong.
 */
#include "uthread.h"

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 16
#define ROUNDS  50

#define CHECK(condition)                                                                    \
	do {                                                                                \
		if (!(condition)) {                                                         \
			fprintf(stderr, "line %d: not so: %s (%s)\n", __LINE__, #condition, \
				uthread_error());                                           \
			exit(1);                                                            \
		}                                                                           \
	} while (0)

static uthread_mutex_t mutex = UTHREAD_MUTEX_INITIALIZER;
static unsigned long counter;
static int rounds;

/** Keeps more values alive over switches than a machine has registers to preserve. */
static void *compute(void *argument)
{
	volatile double one = 1, ten = 10;
	const uint64_t seed = (uintptr_t)argument;
	uint64_t a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13;
	uint64_t g = seed * 17, h = seed * 19, i = seed * 23, j = seed * 29, k = seed * 31;
	double p = 0.5 * (double)seed, q = p * 3, r = p * 5, s = p * 7, t = p * 11, u = p * 13;
	double v = p * 17, w = p * 19, x = p * 23, y = p * 29;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uthread_yield();
		CHECK(b == a * 3 && c == a * 5 && d == a * 7 && e == a * 11 && f == a * 13);
		CHECK(g == a * 17 && h == a * 19 && i == a * 23 && j == a * 29 && k == a * 31);
		CHECK(q == p * 3 && r == p * 5 && s == p * 7 && t == p * 11 && u == p * 13);
		CHECK(v == p * 17 && w == p * 19 && x == p * 23 && y == p * 29);
		CHECK(fegetround() == FE_TONEAREST && one / ten == 0.1);
		CHECK(uthread_mutex_lock(&mutex) == 0);
		counter++;
		uthread_yield();
		CHECK(uthread_mutex_unlock(&mutex) == 0);
	}
	return (void *)(uintptr_t)(k + (uint64_t)y);
}

static void *round_down(void *unused)
{
	volatile double one = 1, ten = 10;

	CHECK(fesetround(FE_DOWNWARD) == 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uthread_yield();
		/* What is asked for, and what is done. */
		CHECK(fegetround() == FE_DOWNWARD && one / ten < 0.1);
	}
	return unused;
}

static void *start(void *argument)
{
	uthread_t threads[THREADS], other;

	CHECK(uthread_create(&other, NULL, rounds ? round_down : compute, (void *)1) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(uthread_create(&threads[i], NULL, compute, (void *)(i + 1)) == 0);
	for (uintptr_t i = 0; i < THREADS; i++) {
		void *result;

		CHECK(uthread_join(threads[i], &result) == 0);
		CHECK((uintptr_t)result == (i + 1) * 31 + (uintptr_t)(14.5 * (double)(i + 1)));
	}
	CHECK(uthread_join(other, NULL) == 0);
	CHECK(fegetround() == FE_TONEAREST);
	CHECK(uthread_sleep_ms(2) == 0);
	return argument;
}

/** An argument leaves rounding out, which Valgrind does in one way only. */
int main(int count, char **unused)
{
	(void)unused;
	rounds = count == 1;
	for (uint32_t workers = 1; workers <= 3; workers += 2) {
		const struct uthread_options options = {.size = sizeof(options),
							.workers = workers};
		void *result = NULL;

		counter = 0;
		CHECK(uthread_run(&options, start, &counter, &result) == 0);
		CHECK(result == &counter && counter == (THREADS + !rounds) * ROUNDS);
	}
	puts("works");
	return 0;
}
