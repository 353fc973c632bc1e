/* SPDX-License-Identifier: MIT */
/*
 * State Threads, whose condition variables need no mutex.
 */
#include <st.h>

#include "peer.h"

static unsigned long times;
static st_cond_t conds[2];
static unsigned turn;

static void *yielder(void *unused)
{
	for (unsigned long i = 0; i < times; i++)
		st_thread_yield();
	return unused;
}

static double yield(unsigned long count)
{
	st_thread_t thread;
	double started_ns;

	times = count;
	thread = st_thread_create(yielder, NULL, 1, 0);
	started_ns = peer_now_ns();
	yielder(NULL);
	st_thread_join(thread, NULL);
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
		st_thread_join(st_thread_create(nothing, NULL, 1, 0), NULL);
	return peer_each(started_ns, count);
}

static void *player(void *argument)
{
	const unsigned own = argument != NULL;

	for (unsigned long i = 0; i < times; i++) {
		while (turn != own)
			st_cond_wait(conds[own]);
		turn = !own;
		st_cond_signal(conds[!own]);
	}
	return NULL;
}

static double cond(unsigned long count)
{
	st_thread_t threads[2];
	double started_ns;

	times = count;
	for (unsigned i = 0; i < 2; i++)
		conds[i] = st_cond_new();
	started_ns = peer_now_ns();
	threads[0] = st_thread_create(player, NULL, 1, 0);
	threads[1] = st_thread_create(player, conds, 1, 0);
	for (unsigned i = 0; i < 2; i++)
		st_thread_join(threads[i], NULL);
	return peer_each(started_ns, count * 2);
}

int main(int count, char **words)
{
	static const struct peer_case cases[] = {
		{"yield", yield}, {"create-join", create}, {"condition", cond}, {NULL, NULL}};

	st_set_eventsys(ST_EVENTSYS_ALT);
	if (st_init() != 0)
		return 1;
	return peer_main(count, words, cases);
}
