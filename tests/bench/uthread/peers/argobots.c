/* SPDX-License-Identifier: MIT */
/*
 * Argobots, with one execution stream.
 */
#include <abt.h>

#include "peer.h"

static ABT_pool pool;
static unsigned long times;
static ABT_mutex mutex;
static ABT_cond conds[2];
static unsigned turn;

static ABT_thread start(void (*function)(void *), void *argument)
{
	ABT_thread thread;

	if (ABT_thread_create(pool, function, argument, ABT_THREAD_ATTR_NULL, &thread) !=
	    ABT_SUCCESS)
		abort();
	return thread;
}

static void yielder(void *unused)
{
	(void)unused;
	for (unsigned long i = 0; i < times; i++)
		ABT_thread_yield();
}

static double yield(unsigned long count)
{
	const double started_ns = peer_now_ns();
	ABT_thread thread;

	times = count;
	thread = start(yielder, NULL);
	yielder(NULL);
	ABT_thread_free(&thread);
	return peer_each(started_ns, count * 2);
}

static void nothing(void *unused)
{
	(void)unused;
}

static double create(unsigned long count)
{
	const double started_ns = peer_now_ns();

	for (unsigned long i = 0; i < count; i++) {
		ABT_thread thread = start(nothing, NULL);

		ABT_thread_free(&thread);
	}
	return peer_each(started_ns, count);
}

static void player(void *argument)
{
	const unsigned own = argument != NULL;

	ABT_mutex_lock(mutex);
	for (unsigned long i = 0; i < times; i++) {
		while (turn != own)
			ABT_cond_wait(conds[own], mutex);
		turn = !own;
		ABT_cond_signal(conds[!own]);
	}
	ABT_mutex_unlock(mutex);
}

static double cond(unsigned long count)
{
	const double started_ns = peer_now_ns();
	ABT_thread threads[2];

	times = count;
	for (unsigned i = 0; i < 2; i++)
		ABT_cond_create(&conds[i]);
	threads[0] = start(player, NULL);
	threads[1] = start(player, conds);
	for (unsigned i = 0; i < 2; i++)
		ABT_thread_free(&threads[i]);
	return peer_each(started_ns, count * 2);
}

static void rounder(void *unused)
{
	(void)unused;
	for (unsigned long i = 0; i < times; i++) {
		ABT_mutex_lock(mutex);
		ABT_thread_yield();
		ABT_mutex_unlock(mutex);
	}
}

static double round_of_eight(unsigned long count)
{
	const double started_ns = peer_now_ns();
	ABT_thread threads[8];

	times = count;
	for (unsigned i = 0; i < 8; i++)
		threads[i] = start(rounder, NULL);
	for (unsigned i = 0; i < 8; i++)
		ABT_thread_free(&threads[i]);
	return peer_each(started_ns, count * 8);
}

struct node {
	unsigned long first;
	unsigned long leaves;
	unsigned long sum;
};

static void grow(void *argument)
{
	struct node *const node = argument;
	struct node children[PEER_SKYNET_CHILDREN];
	ABT_thread threads[PEER_SKYNET_CHILDREN];
	const unsigned long part = node->leaves / PEER_SKYNET_CHILDREN;

	if (node->leaves == 1) {
		node->sum = node->first;
		return;
	}
	node->sum = 0;
	for (unsigned i = 0; i < PEER_SKYNET_CHILDREN; i++) {
		children[i] = (struct node){node->first + i * part, part, 0};
		threads[i] = start(grow, &children[i]);
	}
	for (unsigned i = 0; i < PEER_SKYNET_CHILDREN; i++) {
		ABT_thread_free(&threads[i]);
		node->sum += children[i].sum;
	}
}

static double skynet(unsigned long count)
{
	struct node root = {0, peer_leaves(count), 0};
	const double started_ns = peer_now_ns();

	grow(&root);
	if (root.sum != root.leaves * (root.leaves - 1) / 2)
		abort();
	return peer_each(started_ns, root.leaves);
}

static ABT_eventual gate;

static void waiter(void *unused)
{
	(void)unused;
	ABT_eventual_wait(gate, NULL);
}

static double memory(unsigned long count)
{
	ABT_thread *const threads = calloc(count, sizeof(*threads));
	const double before = peer_memory_bytes();
	double each;

	ABT_eventual_create(0, &gate);
	for (unsigned long i = 0; i < count; i++)
		threads[i] = start(waiter, NULL);
	ABT_thread_yield();
	each = (peer_memory_bytes() - before) / (double)count;
	ABT_eventual_set(gate, NULL, 0);
	for (unsigned long i = 0; i < count; i++)
		ABT_thread_free(&threads[i]);
	free(threads);
	return each;
}

int main(int count, char **words)
{
	static const struct peer_case cases[] = {
		{"yield", yield},   {"create-join", create},        {"condition", cond},
		{"skynet", skynet}, {"mutex-of-8", round_of_eight}, {"memory", memory},
		{NULL, NULL}};
	ABT_xstream stream;

	if (ABT_init(0, NULL) != ABT_SUCCESS || ABT_xstream_self(&stream) != ABT_SUCCESS ||
	    ABT_xstream_get_main_pools(stream, 1, &pool) != ABT_SUCCESS)
		return 1;
	ABT_mutex_create(&mutex);
	return peer_main(count, words, cases);
}
