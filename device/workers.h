/* SPDX-License-Identifier: MIT */
/*
 * The elastic pool of threads that serves a driver whose `handle` may block.
 */
#ifndef DEVICE_WORKERS_H
#define DEVICE_WORKERS_H

#include "device/io.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bdus_workers;

/** How the pool grows and shrinks. */
struct bdus_workers_policy {
	/** Most threads. */
	unsigned maximum;
	/** How long a thread stays without work before it ends; one always stays. */
	unsigned idle_ms;
	/** `maximum` threads at all times, for comparison. */
	bool fixed;
	/** Where to note how many threads there are; NULL for nowhere. */
	_Atomic(uint32_t) *shown;
};

/** How long a queue with a backlog may sleep before it looks at the pool again. */
#define BDUS_WORKERS_TICK_MS 1

/** Starts the first thread. @handle is called with @instance on the pool's threads. */
int bdus_workers_create(const struct bdus_workers_policy *policy,
			int (*handle)(void *instance, struct bdus_request *request), void *instance,
			struct bdus_workers **workers);

/** Ends all threads. No request may be waiting or running. Takes NULL. */
void bdus_workers_destroy(struct bdus_workers *workers);

/** The pool as a layer: queues one request. One thread only, the owner of the device's queue. */
void bdus_workers_submit(void *workers, struct bdus_request *request);

/**
 * Lets the pool grow if requests wait and every thread is blocked. Returns whether it wants to be
 * asked again after BDUS_WORKERS_TICK_MS. The queue's owner only.
 */
bool bdus_workers_tick(struct bdus_workers *workers);

/** Waits until no call of `handle` is running, and starts none until bdus_workers_resume(). */
void bdus_workers_pause(struct bdus_workers *workers);
void bdus_workers_resume(struct bdus_workers *workers);

/** Threads that exist now. Any thread. */
unsigned bdus_workers_count(struct bdus_workers *workers);

#endif
