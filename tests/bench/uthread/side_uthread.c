/* SPDX-License-Identifier: MIT */
/*
 * uthread, with one worker. The bare switch is the library's own, which it keeps to itself: this
 * program is linked with the library's code.
 */
#include "bench.h"
#include "peers/peer.h"
#include "uthread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "uthread_internal.h"

static unsigned long count;
static double elapsed_ns;

static void finish(double started_ns, unsigned long of)
{
	elapsed_ns = (bench_now_ns() - started_ns) / (double)of;
}

static void run(void *(*start)(void *))
{
	const struct uthread_options options = {.size = sizeof(options), .workers = 1};

	if (uthread_run(&options, start, NULL, NULL) != 0) {
		fprintf(stderr, "uthread: %s\n", uthread_error());
		exit(1);
	}
}

/* ---- switching ----------------------------------------------------------------------------- */

static struct uthread_registers sides[2];

static void other(void)
{
	for (;;)
		uthread_switch(&sides[1], &sides[0], NULL);
}

static void bare(void)
{
	static char stack[65536] __attribute__((aligned(64)));
	struct uthread_context context;
	double started;

	uthread_context_inherit(&context);
	uthread_context_prepare(&context, stack + sizeof(stack) - 64);
	/* A called function finds its stack 8 bytes off. */
	sides[1] = context.registers;
	sides[1].sp = (char *)sides[1].sp - sizeof(void *);
	sides[1].next = (void *)(uintptr_t)other;
	started = bench_now_ns();
	for (unsigned long i = 0; i < count; i++)
		uthread_switch(&sides[0], &sides[1], NULL);
	finish(started, count * 2);
}

static void *yielder(void *unused)
{
	for (unsigned long i = 0; i < count; i++)
		uthread_yield();
	return unused;
}

static void *yield(void *unused)
{
	double started = bench_now_ns();
	uthread_t thread;

	uthread_create(&thread, NULL, yielder, NULL);
	yielder(NULL);
	uthread_join(thread, NULL);
	finish(started, count * 2);
	return unused;
}

/* ---- creating ------------------------------------------------------------------------------ */

static void *nothing(void *unused)
{
	return unused;
}

static void *create(void *unused)
{
	const double started = bench_now_ns();

	for (unsigned long i = 0; i < count; i++) {
		uthread_t thread;

		uthread_create(&thread, NULL, nothing, NULL);
		uthread_join(thread, NULL);
	}
	finish(started, count);
	return unused;
}

/* ---- answering each other ------------------------------------------------------------------ */

static uthread_mutex_t mutex = UTHREAD_MUTEX_INITIALIZER;
static uthread_cond_t conds[2] = {UTHREAD_COND_INITIALIZER, UTHREAD_COND_INITIALIZER};
static unsigned turn;

static void *player(void *argument)
{
	const unsigned own = (unsigned)(uintptr_t)argument;

	uthread_mutex_lock(&mutex);
	for (unsigned long i = 0; i < count; i++) {
		while (turn != own)
			uthread_cond_wait(&conds[own], &mutex);
		turn = !own;
		uthread_cond_signal(&conds[!own]);
	}
	uthread_mutex_unlock(&mutex);
	return NULL;
}

static void *cond(void *unused)
{
	const double started = bench_now_ns();
	uthread_t thread;

	turn = 0;
	uthread_create(&thread, NULL, player, (void *)1);
	player(NULL);
	uthread_join(thread, NULL);
	finish(started, count * 2);
	return unused;
}

static struct uthread_channel *channels[2];

static void *echo(void *unused)
{
	uint64_t value;

	for (unsigned long i = 0; i < count; i++) {
		uthread_channel_receive(channels[0], &value);
		uthread_channel_send(channels[1], &value);
	}
	return unused;
}

static void *channel(void *unused)
{
	const double started = bench_now_ns();
	uthread_t thread;
	uint64_t value;

	uthread_channel_create(sizeof(value), 1, &channels[0]);
	uthread_channel_create(sizeof(value), 1, &channels[1]);
	uthread_create(&thread, NULL, echo, NULL);
	for (uint64_t i = 0; i < count; i++) {
		uthread_channel_send(channels[0], &i);
		uthread_channel_receive(channels[1], &value);
	}
	uthread_join(thread, NULL);
	uthread_channel_destroy(channels[0]);
	uthread_channel_destroy(channels[1]);
	finish(started, count * 2);
	return unused;
}

static void *rounder(void *unused)
{
	for (unsigned long i = 0; i < count; i++) {
		uthread_mutex_lock(&mutex);
		uthread_yield();
		uthread_mutex_unlock(&mutex);
	}
	return unused;
}

static void *round_of_eight(void *unused)
{
	const double started = bench_now_ns();
	uthread_t threads[8];

	for (unsigned i = 0; i < 8; i++)
		uthread_create(&threads[i], NULL, rounder, NULL);
	for (unsigned i = 0; i < 8; i++)
		uthread_join(threads[i], NULL);
	finish(started, count * 8);
	return unused;
}

/* ---- a tree -------------------------------------------------------------------------------- */

struct node {
	unsigned long first;
	unsigned long leaves;
};

static void *grow(void *argument)
{
	const struct node *const node = argument;
	struct node children[10];
	uthread_t threads[10];
	unsigned long sum = 0;

	if (node->leaves == 1)
		return (void *)node->first;
	for (unsigned i = 0; i < 10; i++) {
		children[i] =
			(struct node){node->first + i * (node->leaves / 10), node->leaves / 10};
		uthread_create(&threads[i], NULL, grow, &children[i]);
	}
	for (unsigned i = 0; i < 10; i++) {
		void *part;

		uthread_join(threads[i], &part);
		sum += (unsigned long)part;
	}
	return (void *)sum;
}

static void *skynet(void *unused)
{
	const double started = bench_now_ns();
	struct node root = {0, 10};

	while (root.leaves < count)
		root.leaves *= 10;
	if ((unsigned long)grow(&root) != root.leaves * (root.leaves - 1) / 2)
		abort();
	finish(started, root.leaves);
	return unused;
}

/* ---- memory -------------------------------------------------------------------------------- */

static double memory_each;
static uthread_sem_t gate;

static void *waiter(void *unused)
{
	uthread_sem_wait(&gate);
	return unused;
}

static void *fill(void *unused)
{
	uthread_t *const threads = calloc(count, sizeof(*threads));
	unsigned long made;
	double before;

	uthread_sem_init(&gate, 0);
	memset(threads, 1, count * sizeof(*threads));
	before = peer_memory_bytes();
	for (made = 0; made < count; made++)
		if (uthread_create(&threads[made], NULL, waiter, NULL) != 0)
			break;
	uthread_yield();
	if (made < count)
		fprintf(stderr, "only %lu threads: %s\n", made, uthread_error());
	memory_each = (peer_memory_bytes() - before) / (double)made;
	for (unsigned long i = 0; i < made; i++)
		uthread_sem_post(&gate);
	for (unsigned long i = 0; i < made; i++)
		uthread_join(threads[i], NULL);
	free(threads);
	return unused;
}

double bench_memory_uthread(unsigned long threads)
{
	const struct uthread_options options = {
		.size = sizeof(options), .workers = 1, .policy = &uthread_policy_fifo};

	count = threads;
	uthread_run(&options, fill, NULL, NULL);
	return memory_each;
}

static double run_case(enum bench_case which, unsigned long times)
{
	static void *(*const cases[])(void *) = {
		[BENCH_YIELD] = yield,     [BENCH_CREATE] = create,        [BENCH_COND] = cond,
		[BENCH_CHANNEL] = channel, [BENCH_MUTEX] = round_of_eight, [BENCH_SKYNET] = skynet,
	};

	count = times;
	if (which == BENCH_SWITCH)
		bare();
	else
		run(cases[which]);
	return elapsed_ns;
}

const struct bench_side bench_side_uthread = {"uthread", run_case};
