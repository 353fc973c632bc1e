/* SPDX-License-Identifier: MIT */
/*
 * libdill, whose coroutines speak by channels.
 */
#include <libdill.h>

#include "peer.h"

static unsigned long times;

static coroutine void yielder(void)
{
	for (unsigned long i = 0; i < times; i++)
		yield();
}

static double yields(unsigned long count)
{
	const double started_ns = peer_now_ns();
	int handle;

	times = count;
	handle = go(yielder());
	yielder();
	bundle_wait(handle, -1);
	hclose(handle);
	return peer_each(started_ns, count * 2);
}

static coroutine void nothing(void)
{
}

static double create(unsigned long count)
{
	const double started_ns = peer_now_ns();

	for (unsigned long i = 0; i < count; i++) {
		const int handle = go(nothing());

		bundle_wait(handle, -1);
		hclose(handle);
	}
	return peer_each(started_ns, count);
}

static coroutine void echo(int in, int out)
{
	unsigned long value;

	for (unsigned long i = 0; i < times; i++) {
		chrecv(in, &value, sizeof(value), -1);
		chsend(out, &value, sizeof(value), -1);
	}
}

static double channel(unsigned long count)
{
	int there[2], back[2], handle;
	double started_ns;

	times = count;
	if (chmake(there) != 0 || chmake(back) != 0)
		abort();
	handle = go(echo(there[0], back[1]));
	started_ns = peer_now_ns();
	for (unsigned long i = 0; i < count; i++) {
		unsigned long value = i;

		chsend(there[1], &value, sizeof(value), -1);
		chrecv(back[0], &value, sizeof(value), -1);
	}
	bundle_wait(handle, -1);
	hclose(handle);
	return peer_each(started_ns, count * 2);
}

int main(int count, char **words)
{
	static const struct peer_case cases[] = {
		{"yield", yields}, {"create-join", create}, {"channel", channel}, {NULL, NULL}};

	return peer_main(count, words, cases);
}
