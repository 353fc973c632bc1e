/* SPDX-License-Identifier: MIT */
/*
 * A queue: the way of requests between one transport queue and the top layer. Everything in it
 * belongs to the thread that opened it, except `remote` and `sleeping`, through which other threads
 * hand in completions, and `event_fd`, by which they wake the owner.
 */
#ifndef DEVICE_QUEUE_H
#define DEVICE_QUEUE_H

#include "device/transport.h"
#include "split.h"

#include <pthread.h>
#include <stdatomic.h>

/** A layer that takes requests: a filter or the driver. */
struct bdus_layer {
	void (*submit)(void *instance, struct bdus_request *request);
	void *instance;
};

enum bdus_io_state {
	BDUS_IO_IDLE,
	BDUS_IO_IN_FLIGHT,
	BDUS_IO_DONE,
};

struct bdus_queue {
	const struct bdus_transport *transport;
	struct bdus_transport_queue *transport_queue;
	struct bdus_layer top;
	struct bdus_rules rules;
	pthread_t owner;
	/** Requests given to the top layer and not completed yet. */
	unsigned in_flight;
	unsigned turns;
	/** Most requests that one turn fetches. */
	unsigned batch;
	/** Requests are served within `submit` and may take long there: keep turns short. */
	bool serves_in_place;
	/** The fd that the transport watches: event_fd, or one that includes it. */
	int wake_fd;
	int event_fd;
	/** Completed, not yet committed. */
	unsigned done_count;
	struct bdus_io *done[BDUS_BATCH];
	struct bdus_plan *free_plans;

	/** Completions from other threads, last first. */
	_Alignas(64) _Atomic(struct bdus_io *) remote;
	/** Set while the owner waits, or is about to, and would not look at `remote`. */
	atomic_bool sleeping;
};

/** Prepares @queue; its event_fd is created here, wake_fd starts as the same. */
int bdus_queue_init(struct bdus_queue *queue, const struct bdus_transport *transport,
		    struct bdus_layer top, const struct bdus_rules *rules);
void bdus_queue_finish(struct bdus_queue *queue);

/** Opens the transport's side; the calling thread becomes the owner. */
int bdus_queue_open(struct bdus_queue *queue, struct bdus_transport_device *device, unsigned index);
void bdus_queue_close(struct bdus_queue *queue);

/**
 * One turn of the owner's loop: commits what is done, fetches a batch (waiting at most @timeout_ms)
 * and submits it. Returns the number fetched, 0 when woken or timed out, -ENODEV at the end, or the
 * transport's error.
 */
int bdus_queue_turn(struct bdus_queue *queue, int timeout_ms);

/** After -ENODEV: waits until the engine's own requests are done. Owner only. */
void bdus_queue_wait_for_own(struct bdus_queue *queue);

/** Makes the owner's wait return. Any thread, and signal handlers. */
void bdus_queue_wake(struct bdus_queue *queue);

/** Resets the wake-up. Owner only. */
void bdus_queue_drain_wake(struct bdus_queue *queue);

/** Hands @io to the top layer as it is. Owner only; for split.c. */
void bdus_queue_pass(struct bdus_queue *queue, struct bdus_io *io);

/** Ends @io with @result before it reached a layer. Owner only; for split.c. */
void bdus_queue_refuse(struct bdus_queue *queue, struct bdus_io *io, int result);

#endif
