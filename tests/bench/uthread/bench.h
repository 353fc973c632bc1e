/* SPDX-License-Identifier: MIT */
/*
 * What the sides of the benchmark share. A side is one library; each case returns nanoseconds for
 * one of what it counts, or a negative number where the side has no such thing.
 */
#ifndef UTHREAD_BENCH_H
#define UTHREAD_BENCH_H

#include <stdint.h>
#include <time.h>

enum bench_case {
	/** From one context to another, without a scheduler. */
	BENCH_SWITCH,
	/** A yield, with two threads. */
	BENCH_YIELD,
	/** A thread created and joined. */
	BENCH_CREATE,
	/** One wake of the other of two threads, by a condition variable. */
	BENCH_COND,
	/** One element between two threads that answer each other. */
	BENCH_CHANNEL,
	/** A mutex that goes round among eight threads which keep it over a yield. */
	BENCH_MUTEX,
	/** One thread of a tree of ten each, six deep, as a whole: nanoseconds a leaf. */
	BENCH_SKYNET,
	BENCH_CASES
};

struct bench_side {
	const char *name;
	double (*run)(enum bench_case which, unsigned long count);
};

extern const struct bench_side bench_side_uthread;
extern const struct bench_side bench_side_pthread;
extern const struct bench_side bench_side_boost;

static inline double bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/** Bytes of memory a thread when @count of them wait; 0 where it cannot be had. */
double bench_memory_uthread(unsigned long count);

#endif
