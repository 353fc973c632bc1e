/* SPDX-License-Identifier: MIT */
/*
 * A client with few requests in flight sends the next one when it has the answer to the last. Where
 * that takes some ten microseconds, most of the time per request goes into putting the server to
 * sleep and waking it up, in a virtual machine much more than most. So the server looks for events
 * for as long as it paid off of late: the time grows while waits end a little later than it lasted,
 * and falls to nothing with the first wait that is longer than the limit. A server that is idle, or
 * whose clients think before they ask, does not stay awake at all.
 */
#include "wait.h"

#include "base/bits.h"
#include "base/clock.h"

#include <sched.h>

/** The first time tried. */
#define FIRST_NS 10000

/** Looks for events until @until_ns; others who want the processor come first. */
static int poll_until(const struct nbd_waiter *waiter, struct epoll_event *events, int capacity,
		      uint64_t until_ns)
{
	int count;

	do {
		count = epoll_wait(waiter->epoll_fd, events, capacity, 0);
		if (count != 0)
			break;
		sched_yield();
	} while (base_now_ns() < until_ns);
	return count;
}

/** Learns from a wait that slept in the end and took @waited_ns. */
static void adapt(struct nbd_waiter *waiter, uint64_t waited_ns)
{
	if (waited_ns > waiter->most_awake_ns)
		waiter->awake_ns = 0;
	else if (waited_ns > waiter->awake_ns)
		waiter->awake_ns =
			base_min(base_max(waiter->awake_ns * 2, FIRST_NS), waiter->most_awake_ns);
}

int nbd_wait(struct nbd_waiter *waiter, struct epoll_event *events, int capacity, int timeout_ms,
	     bool may_poll)
{
	uint64_t start_ns;
	int count;

	if (timeout_ms == 0 || !may_poll || waiter->most_awake_ns == 0)
		return epoll_wait(waiter->epoll_fd, events, capacity, timeout_ms);
	start_ns = base_now_ns();
	if (waiter->awake_ns != 0) {
		count = poll_until(waiter, events, capacity, start_ns + waiter->awake_ns);
		if (count != 0)
			return count;
	}
	count = epoll_wait(waiter->epoll_fd, events, capacity, timeout_ms);
	adapt(waiter, base_now_ns() - start_ns);
	return count;
}
