/* SPDX-License-Identifier: MIT */
/*
 * A queue: the way of requests between one transport queue and the top layer. Everything in it
 * belongs to the thread of its loop; other threads hand in completions through the loop.
 */
#ifndef DEVICE_QUEUE_H
#define DEVICE_QUEUE_H

#include "base/error.h"
#include "device/transport.h"
#include "held.h"
#include "loop.h"
#include "split.h"
#include "stats.h"

/** A layer that takes requests: a filter or the driver. */
struct bdus_layer {
	void (*submit)(void *instance, struct bdus_request *request);
	void *instance;
};

struct bdus_backends;
struct bdus_own;

/** A layer and what stands before it. */
struct bdus_stage {
	struct bdus_layer layer;
	struct bdus_rules rules;
	/** Of a filter: itself, and its instance; the stage below is the next in memory. */
	const struct bdus_filter *filter;
	void *instance;
	/** Where it may send requests besides; NULL for nowhere. */
	const struct bdus_backends *backends;
	/** Where it counts. */
	unsigned row;
	/** What it makes children of by itself; NULL where it was not started. */
	struct bdus_own *own;
	/** It changes nothing of what is seen of the device above it. */
	bool is_transparent;
};

enum bdus_io_state {
	BDUS_IO_IDLE,
	BDUS_IO_IN_FLIGHT,
	BDUS_IO_DONE,
};

/** Another top layer for the queues of a device, each of which takes it once it is empty. */
struct bdus_change {
	struct bdus_layer top;
	/** How many have not taken it. */
	atomic_uint left;
	/** Called by the thread of the last one. */
	void (*taken)(struct bdus_change *change);
};

struct bdus_queue {
	struct bdus_loop *loop;
	const struct bdus_transport *transport;
	struct bdus_transport_queue *transport_queue;
	struct bdus_stage top;
	/** Requests given to the top layer and not completed yet. */
	unsigned in_flight;
	/** The same by name, where drivers are checked. */
	struct bdus_held held;
	/** 0, -ENODEV, or what it failed with, and the sentence to it. */
	int result;
	char message[BASE_ERROR_MESSAGE_BYTES];
	/** Called once, when `result` is set. */
	void (*ended)(struct bdus_queue *queue);
	/** Called when the queue is closed by its loop's end. */
	void (*forced)(struct bdus_queue *queue);
	struct bdus_plan *free_plans;
	struct bdus_child *free_children;
	/** Fetches nothing until it is empty, and has taken this; NULL for nothing to take. */
	_Atomic(struct bdus_change *) change;
	/** Children that are back, the first one first, while `done` of another one runs. */
	struct bdus_io *returned;
	struct bdus_io **returned_end;
	bool delivering;
	/** Where payloads lie; may be NULL. In its line of those that wait, under its lock. */
	struct bdus_memory *memory;
	struct base_list memory_link;
	/** Any thread: there is something for it, be it memory or a change. */
	atomic_bool asked;
	/** Where it counts; NULL for nowhere. */
	struct bdus_stats_part *stats;
	struct bdus_stats_sampler sampler;
	/** In the loop's `queues`, `ready` and `dirty`. */
	struct base_list link;
	struct base_list ready_link;
	struct base_list dirty_link;

	/** No requests are fetched, as the device is about to be left. */
	bool is_held_back;
	/** The transport wants commit() to be called, be it without requests. */
	bool wants_commit;
	/** Completed, not yet committed. */
	unsigned done_count;
	struct bdus_io *done[BDUS_BATCH];
};

/** What a queue is made of. */
struct bdus_queue_setup {
	const struct bdus_transport *transport;
	struct bdus_transport_device *device;
	unsigned index;
	struct bdus_layer top;
	const struct bdus_rules *rules;
	struct bdus_memory *memory;
	/** NULL for none. */
	struct bdus_stats_part *stats;
	void (*ended)(struct bdus_queue *queue);
	void (*forced)(struct bdus_queue *queue);
};

/** Takes a queue with nothing in flight out of its loop, or puts it into another. */
void bdus_queue_leave_loop(struct bdus_queue *queue);
void bdus_queue_enter_loop(struct bdus_queue *queue, struct bdus_loop *loop);

/** Opens a queue in @loop, by the loop's thread. On failure there is nothing to close. */
int bdus_queue_start(struct bdus_queue *queue, struct bdus_loop *loop,
		     const struct bdus_queue_setup *setup);

/** Takes the queue out of its loop and closes the transport's side. */
void bdus_queue_end(struct bdus_queue *queue);

/** The same for a queue whose loop's ring is gone, whatever it has in flight. */
void bdus_queue_close_by_force(struct bdus_queue *queue);

/** Fetches up to @capacity requests and submits them; returns how many there were. For loop.c. */
unsigned bdus_queue_fetch(struct bdus_queue *queue, unsigned capacity);

/** Has no more requests fetched, or has them fetched again. */
void bdus_queue_hold_back(struct bdus_queue *queue, bool hold_back);

/** Whether nothing that was fetched is with a driver, or on its way to clients. */
bool bdus_queue_is_drained(const struct bdus_queue *queue);

/** Gives the transport what is done. For loop.c. */
void bdus_queue_commit(struct bdus_queue *queue);

/** Takes over a request that another thread completed. For loop.c. */
void bdus_queue_take_back(struct bdus_io *io);

/** Hands @io to the layer of @stage as it is; for split.c. */
void bdus_queue_pass(struct bdus_queue *queue, const struct bdus_stage *stage, struct bdus_io *io);

/** Counts that the filter of @io, its stage, has no longer to do with it. */
void bdus_queue_leave_filter(struct bdus_queue *queue, struct bdus_io *io);

/** Has the loop ask the queue for what there is to do. Any thread, while the queue is open. */
void bdus_queue_ask(struct bdus_queue *queue);

/** Has the queue take @change. Any thread, while the queue is open and has none to take. */
void bdus_queue_order(struct bdus_queue *queue, struct bdus_change *change);

/** Takes @io, which is in flight, from the filter that holds it; for stack.c. */
void bdus_queue_let_go(struct bdus_io *io);

/** Ends @io with @result before it reached a layer; for split.c. */
void bdus_queue_refuse(struct bdus_queue *queue, struct bdus_io *io, int result);

#endif
