/* SPDX-License-Identifier: MIT */
/*
 * Waiting for events: asleep, or for a short while awake where that is likely to be enough.
 */
#ifndef NBD_WAIT_H
#define NBD_WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct nbd_waiter {
	int epoll_fd;
	/** Longest time to look for events before sleeping, and the time that is worth it for now.
	 */
	uint64_t most_awake_ns;
	uint64_t awake_ns;
};

/** As epoll_wait(); with @may_poll it may look for events awhile before it sleeps. */
int nbd_wait(struct nbd_waiter *waiter, struct epoll_event *events, int capacity, int timeout_ms,
	     bool may_poll);

#endif
