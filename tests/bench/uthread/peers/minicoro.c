/* SPDX-License-Identifier: MIT */
/*
 * minicoro: coroutines without a scheduler.
 */
#define MINICORO_IMPL
#include <minicoro.h>

#include "peer.h"

static void go_back(mco_coro *self)
{
	for (;;)
		mco_yield(self);
}

static double bare(unsigned long count)
{
	mco_desc description = mco_desc_init(go_back, 0);
	mco_coro *coroutine;
	double started_ns;

	if (mco_create(&coroutine, &description) != MCO_SUCCESS)
		abort();
	mco_resume(coroutine);
	started_ns = peer_now_ns();
	for (unsigned long i = 0; i < count; i++)
		mco_resume(coroutine);
	return peer_each(started_ns, count * 2);
}

int main(int count, char **words)
{
	static const struct peer_case cases[] = {{"switch", bare}, {NULL, NULL}};

	return peer_main(count, words, cases);
}
