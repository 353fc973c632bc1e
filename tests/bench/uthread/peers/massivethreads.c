/* SPDX-License-Identifier: MIT */
/*
 * MassiveThreads, with one worker.
 */
#include <myth/myth.h>

#include "peer.h"

static unsigned long times;
static myth_mutex_t mutex;
static myth_cond_t conds[2];
static unsigned turn;

static void *yielder(void *unused)
{
	for (unsigned long i = 0; i < times; i++)
		myth_yield();
	return unused;
}

static double yield(unsigned long count)
{
	const double started_ns = peer_now_ns();
	myth_thread_t thread;

	times = count;
	thread = myth_create(yielder, NULL);
	yielder(NULL);
	myth_join(thread, NULL);
	return peer_each(started_ns, count * 2);
}

static void *nothing(void *unused)
{
	return unused;
}

static double create(unsigned long count)
{
	const double started_ns = peer_now_ns();

	for (unsigned long i = 0; i < count; i++)
		myth_join(myth_create(nothing, NULL), NULL);
	return peer_each(started_ns, count);
}

static void *player(void *argument)
{
	const unsigned own = argument != NULL;

	myth_mutex_lock(&mutex);
	for (unsigned long i = 0; i < times; i++) {
		while (turn != own)
			myth_cond_wait(&conds[own], &mutex);
		turn = !own;
		myth_cond_signal(&conds[!own]);
	}
	myth_mutex_unlock(&mutex);
	return NULL;
}

static double cond(unsigned long count)
{
	const double started_ns = peer_now_ns();
	myth_thread_t threads[2];

	times = count;
	for (unsigned i = 0; i < 2; i++)
		myth_cond_init(&conds[i], NULL);
	threads[0] = myth_create(player, NULL);
	threads[1] = myth_create(player, conds);
	for (unsigned i = 0; i < 2; i++)
		myth_join(threads[i], NULL);
	return peer_each(started_ns, count * 2);
}

static void *rounder(void *unused)
{
	for (unsigned long i = 0; i < times; i++) {
		myth_mutex_lock(&mutex);
		myth_yield();
		myth_mutex_unlock(&mutex);
	}
	return unused;
}

static double round_of_eight(unsigned long count)
{
	const double started_ns = peer_now_ns();
	myth_thread_t threads[8];

	times = count;
	for (unsigned i = 0; i < 8; i++)
		threads[i] = myth_create(rounder, NULL);
	for (unsigned i = 0; i < 8; i++)
		myth_join(threads[i], NULL);
	return peer_each(started_ns, count * 8);
}

struct node {
	unsigned long first;
	unsigned long leaves;
};

static void *grow(void *argument)
{
	const struct node *const node = argument;
	struct node children[PEER_SKYNET_CHILDREN];
	myth_thread_t threads[PEER_SKYNET_CHILDREN];
	const unsigned long part = node->leaves / PEER_SKYNET_CHILDREN;
	unsigned long sum = 0;

	if (node->leaves == 1)
		return (void *)node->first;
	for (unsigned i = 0; i < PEER_SKYNET_CHILDREN; i++) {
		children[i] = (struct node){node->first + i * part, part};
		threads[i] = myth_create(grow, &children[i]);
	}
	for (unsigned i = 0; i < PEER_SKYNET_CHILDREN; i++) {
		void *value;

		myth_join(threads[i], &value);
		sum += (unsigned long)value;
	}
	return (void *)sum;
}

static double skynet(unsigned long count)
{
	struct node root = {0, peer_leaves(count)};
	const double started_ns = peer_now_ns();

	if ((unsigned long)grow(&root) != root.leaves * (root.leaves - 1) / 2)
		abort();
	return peer_each(started_ns, root.leaves);
}

int main(int count, char **words)
{
	static const struct peer_case cases[] = {
		{"yield", yield},   {"create-join", create},        {"condition", cond},
		{"skynet", skynet}, {"mutex-of-8", round_of_eight}, {NULL, NULL}};

	setenv("MYTH_NUM_WORKERS", "1", 1);
	myth_init();
	myth_mutex_init(&mutex, NULL);
	return peer_main(count, words, cases);
}
