/* SPDX-License-Identifier: MIT */
/*
 * Boost.Context: two functions of assembly, with the names that its own C++ headers declare. It has
 * contexts and no scheduler, so that creating is making a context on a stack that is there, going
 * to it, and coming back.
 */
#include "bench.h"

#include <stddef.h>

struct transfer {
	void *from;
	void *data;
};

struct transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *stack, size_t bytes, void (*run)(struct transfer));

static char stack[65536] __attribute__((aligned(64)));

static void other(struct transfer transfer)
{
	for (;;)
		transfer = jump_fcontext(transfer.from, NULL);
}

static double bare(unsigned long count)
{
	struct transfer transfer = {make_fcontext(stack + sizeof(stack), sizeof(stack), other),
				    NULL};
	const double started = bench_now_ns();

	for (unsigned long i = 0; i < count; i++)
		transfer = jump_fcontext(transfer.from, NULL);
	return (bench_now_ns() - started) / (double)(count * 2);
}

static double create(unsigned long count)
{
	const double started = bench_now_ns();

	for (unsigned long i = 0; i < count; i++)
		jump_fcontext(make_fcontext(stack + sizeof(stack), sizeof(stack), other), NULL);
	return (bench_now_ns() - started) / (double)count;
}

static double run_case(enum bench_case which, unsigned long count)
{
	if (which == BENCH_SWITCH)
		return bare(count);
	return which == BENCH_CREATE ? create(count) : -1;
}

const struct bench_side bench_side_boost = {"Boost.Context", run_case};
