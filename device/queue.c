/* SPDX-License-Identifier: MIT */
/*
 * A queue between its transport and the top layer: fetch, submit, and the completions that come
 * back, from the loop's thread or from others, and commit.
 */
#include "queue.h"

#include "base/bits.h"
#include "base/clock.h"
#include "bdus_probes.h"
#include "memory.h"
#include "stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ---------------------------------------------------------------------------------- */

int bdus_queue_start(struct bdus_queue *queue, struct bdus_loop *loop,
		     const struct bdus_queue_setup *setup)
{
	int result;

	*queue = (struct bdus_queue){
		.loop = loop,
		.transport = setup->transport,
		.top = {.layer = setup->top, .rules = *setup->rules},
		.memory = setup->memory,
		.stats = setup->stats,
		.ended = setup->ended,
		.forced = setup->forced,
	};
	bdus_stats_sampler_init(&queue->sampler, (uintptr_t)queue);
	base_list_init(&queue->ready_link);
	base_list_init(&queue->dirty_link);
	base_list_init(&queue->memory_link);
	base_list_push_back(&loop->queues, &queue->link);
	result = queue->transport->open_queue(setup->device, setup->index, queue,
					      &queue->transport_queue);
	if (result < 0) {
		base_list_remove(&queue->ready_link);
		base_list_remove(&queue->link);
		if (queue->memory != NULL)
			bdus_memory_forget(queue->memory, queue);
	}
	return result;
}

void bdus_queue_leave_loop(struct bdus_queue *queue)
{
	if (queue->done_count != 0)
		bdus_queue_commit(queue);
	if (queue->memory != NULL)
		bdus_memory_forget(queue->memory, queue);
	queue->transport->detach_queue(queue->transport_queue);
	base_list_remove(&queue->ready_link);
	base_list_remove(&queue->dirty_link);
	base_list_remove(&queue->link);
	base_list_init(&queue->ready_link);
	base_list_init(&queue->dirty_link);
	queue->loop = NULL;
}

void bdus_queue_enter_loop(struct bdus_queue *queue, struct bdus_loop *loop)
{
	queue->loop = loop;
	base_list_push_back(&loop->queues, &queue->link);
	queue->transport->attach_queue(queue->transport_queue);
	/* What came meanwhile may wait for nothing else. */
	bdus_host_make_ready(queue);
	bdus_loop_wake(loop);
}

/** Says which request broke the rule and ends the process: the driver is wrong. */
static void die_of_driver_bug(const struct bdus_io *io, const char *what)
{
	bdus_say_request(what, io);
	abort();
}

void bdus_queue_end(struct bdus_queue *queue)
{
	if (BDUS_DEBUG_CHECKS && queue->in_flight != 0) {
		bdus_held_tell(&queue->held);
		abort();
	}
	bdus_held_free(&queue->held);
	if (queue->memory != NULL)
		bdus_memory_forget(queue->memory, queue);
	queue->transport->close_queue(queue->transport_queue);
	queue->transport_queue = NULL;
	base_list_remove(&queue->ready_link);
	base_list_remove(&queue->dirty_link);
	base_list_remove(&queue->link);
	bdus_plans_free(queue);
	bdus_children_free(queue);
}

void bdus_queue_close_by_force(struct bdus_queue *queue)
{
	if (BDUS_DEBUG_CHECKS)
		bdus_held_tell(&queue->held);
	queue->in_flight = 0;
	bdus_queue_end(queue);
	if (queue->result == 0)
		queue->result = -ECANCELED;
	if (queue->forced != NULL)
		queue->forced(queue);
	queue->loop = NULL;
}

void bdus_host_fail(struct bdus_queue *host, int result)
{
	/* What a loop that ends takes back is no failure. */
	if (host->result != 0 || host->loop->ending)
		return;
	host->result = result;
	snprintf(host->message, sizeof(host->message), "%s", base_error_message());
	if (host->ended != NULL)
		host->ended(host);
}

struct bdus_loop *bdus_host_loop(struct bdus_queue *host)
{
	return host->loop;
}

void bdus_host_make_ready(struct bdus_queue *host)
{
	if (base_list_is_empty(&host->ready_link))
		base_list_push_back(&host->loop->ready, &host->ready_link);
}

/* ---- the way up ---------------------------------------------------------------------------- */

/** One look at the clock does for a batch, and is only taken if one of it was timed. */
static void count_done(const struct bdus_queue *queue, unsigned count)
{
	uint64_t now_ns = 0;

	for (unsigned i = 0; i < count; i++) {
		struct bdus_io *const io = queue->done[i];

		if (base_unlikely(io->request.op >= BDUS_OP_COUNT))
			continue;
		bdus_stats_ended(queue->stats, io);
		if (base_likely(io->fetched_ns == 0))
			continue;
		if (now_ns == 0)
			now_ns = base_now_ns();
		bdus_stats_end(queue->stats, io, now_ns);
	}
}

/** Relaxed, for the way of each request; who takes the change looks again. */
static inline bool has_change(const struct bdus_queue *queue)
{
	return atomic_load_explicit(&queue->change, memory_order_relaxed) != NULL;
}

void bdus_queue_commit(struct bdus_queue *queue)
{
	const unsigned count = queue->done_count;

	if (count == 0 && !queue->wants_commit)
		return;
	queue->wants_commit = false;
	queue->done_count = 0;
	if (base_unlikely(has_change(queue)))
		bdus_host_make_ready(queue);
	if (base_likely(queue->stats != NULL))
		count_done(queue, count);
	/* A transport that failed has nobody left to tell. */
	if (base_unlikely(queue->result != 0 && queue->result != -ENODEV))
		return;
	queue->transport->commit(queue->transport_queue, queue->done, count);
}

/** The loop commits in its next turn. Outside of one, its descriptor asks for that. */
static void make_dirty(struct bdus_queue *queue)
{
	base_list_push_back(&queue->loop->dirty, &queue->dirty_link);
	if (base_unlikely(!queue->loop->in_turn))
		bdus_loop_wake(queue->loop);
}

void bdus_host_want_commit(struct bdus_queue *host)
{
	host->wants_commit = true;
	if (base_list_is_empty(&host->dirty_link))
		make_dirty(host);
}

void bdus_queue_leave_filter(struct bdus_queue *queue, struct bdus_io *io)
{
	const unsigned row = io->stage->row;

	io->stage = NULL;
	if (base_unlikely(io->entered_ns != 0) && queue->stats != NULL)
		bdus_stats_left(queue->stats, row, io);
}

/** The filter that held it has completed it. */
static void count_completed(struct bdus_queue *queue, struct bdus_io *io)
{
	if (queue->stats != NULL) {
		struct bdus_stats_filter *const filter = &queue->stats->filters[io->stage->row];

		bdus_stats_add(&filter->completed, 1);
		if (io->result != 0)
			bdus_stats_add(&filter->held.errors, 1);
	}
	bdus_queue_leave_filter(queue, io);
}

/** Counts a request that a driver or filter holds from now on, or no longer holds. */
static inline void hold(struct bdus_io *io)
{
	io->queue->in_flight++;
	if (BDUS_DEBUG_CHECKS)
		bdus_held_add(&io->queue->held, io);
}

static inline void let_go(struct bdus_io *io)
{
	io->queue->in_flight--;
	if (BDUS_DEBUG_CHECKS)
		bdus_held_remove(&io->queue->held, io);
}

/** Brings a completed request to whoever made it. Owner only. */
static inline void bring_back(struct bdus_queue *queue, struct bdus_io *io)
{
	io->state = BDUS_IO_IDLE;
	if (base_unlikely(io->stage != NULL))
		count_completed(queue, io);
	if (base_unlikely(io->finished != NULL)) {
		io->finished(io);
		/* That may have been all that it had. */
		if (base_unlikely(has_change(queue)))
			bdus_host_make_ready(queue);
		return;
	}
	bdus_probe_complete(queue, io);
	if (base_unlikely(queue->done_count == BDUS_BATCH))
		bdus_queue_commit(queue);
	queue->done[queue->done_count++] = io;
	if (base_list_is_empty(&queue->dirty_link))
		make_dirty(queue);
}

/** Clients of ioctls are told of any error that the kernel can express. */
static int ioctl_result(int result)
{
	return result < 0 && result > -4096 ? result : -EIO;
}

/** What clients may be told of a driver's failure: errors that block devices have names for. */
static inline int client_result(unsigned op, int result)
{
	switch (result) {
	case 0:
	case -ENOSPC:
	case -EOPNOTSUPP:
	case -ETIMEDOUT:
	case -ENOLINK:
	case -EAGAIN:
	case -ETOOMANYREFS:
	case -EOVERFLOW:
		return result;
	default:
		return op == BDUS_OP_IOCTL ? ioctl_result(result) : -EIO;
	}
}

/** Notes the result; false when @io was completed before and must be left alone. */
static inline bool take_result(struct bdus_io *io, int result)
{
	if (base_unlikely(io->state != BDUS_IO_IN_FLIGHT)) {
		if (BDUS_DEBUG_CHECKS)
			die_of_driver_bug(io, "completed a second time");
		return false;
	}
	io->state = BDUS_IO_DONE;
	io->result = client_result(io->request.op, result);
	return true;
}

void bdus_complete(struct bdus_request *request, int result)
{
	struct bdus_io *const io = base_container_of(request, struct bdus_io, request);
	struct bdus_queue *const queue = io->queue;

	if (BDUS_DEBUG_CHECKS && !pthread_equal(queue->loop->owner, pthread_self()))
		die_of_driver_bug(io, "bdus_complete() outside the queue's thread");
	if (base_unlikely(!take_result(io, result)))
		return;
	let_go(io);
	bring_back(queue, io);
}

void bdus_complete_from_any_thread(struct bdus_request *request, int result)
{
	struct bdus_io *const io = base_container_of(request, struct bdus_io, request);

	if (base_likely(take_result(io, result)))
		bdus_loop_push_remote(io->queue->loop, io);
}

void bdus_queue_take_back(struct bdus_io *io)
{
	let_go(io);
	bring_back(io->queue, io);
}

struct bdus_queue *bdus_request_queue(const struct bdus_request *request)
{
	return base_container_of(request, const struct bdus_io, request)->queue;
}

/* ---- payloads ------------------------------------------------------------------------------ */

/** Copies to or from a payload that only the kernel can reach. */
static int copy_payload(struct bdus_request *request, uint64_t skip_bytes, void *memory,
			size_t length_bytes)
{
	struct bdus_io *const io = base_container_of(request, struct bdus_io, request);
	struct bdus_queue *const queue = io->queue;

	return queue->transport->copy_payload(queue->transport_queue, io, skip_bytes, memory,
					      length_bytes);
}

int bdus_payload_get(struct bdus_request *request, uint64_t skip_bytes, void *to,
		     size_t length_bytes)
{
	if (request->payload_buffer != 0)
		return copy_payload(request, skip_bytes, to, length_bytes);
	memcpy(to, (const char *)request->data + skip_bytes, length_bytes);
	return 0;
}

int bdus_payload_put(struct bdus_request *request, uint64_t skip_bytes, const void *from,
		     size_t length_bytes)
{
	if (request->payload_buffer != 0)
		return copy_payload(request, skip_bytes, (void *)(uintptr_t)from, length_bytes);
	memcpy((char *)request->data + skip_bytes, from, length_bytes);
	return 0;
}

/* ---- the way down -------------------------------------------------------------------------- */

void bdus_queue_pass(struct bdus_queue *queue, const struct bdus_stage *stage, struct bdus_io *io)
{
	io->queue = queue;
	io->state = BDUS_IO_IN_FLIGHT;
	hold(io);
	stage->layer.submit(stage->layer.instance, &io->request);
}

void bdus_queue_let_go(struct bdus_io *io)
{
	if (BDUS_DEBUG_CHECKS && !pthread_equal(io->queue->loop->owner, pthread_self()))
		die_of_driver_bug(io, "bdus_filter_pass() outside the queue's thread");
	if (BDUS_DEBUG_CHECKS && io->state != BDUS_IO_IN_FLIGHT)
		die_of_driver_bug(io, "bdus_filter_pass() of what the filter does not hold");
	io->state = BDUS_IO_IDLE;
	let_go(io);
}

void bdus_queue_refuse(struct bdus_queue *queue, struct bdus_io *io, int result)
{
	io->result = result;
	bring_back(queue, io);
}

void bdus_queue_hold_back(struct bdus_queue *queue, bool hold_back)
{
	queue->is_held_back = hold_back;
	/* What came meanwhile waits for nothing else. */
	if (!hold_back)
		bdus_host_make_ready(queue);
}

bool bdus_queue_is_drained(const struct bdus_queue *queue)
{
	return queue->in_flight == 0 && (queue->transport->is_sending == NULL ||
					 !queue->transport->is_sending(queue->transport_queue));
}

void bdus_queue_ask(struct bdus_queue *queue)
{
	atomic_store(&queue->asked, true);
	atomic_store(&queue->loop->asked, true);
	bdus_loop_wake(queue->loop);
}

void bdus_queue_order(struct bdus_queue *queue, struct bdus_change *change)
{
	atomic_store(&queue->change, change);
	bdus_queue_ask(queue);
}

/** No request is in a layer when the loop calls this, unless one is in flight. */
static void take_change(struct bdus_queue *queue)
{
	struct bdus_change *const change = atomic_load(&queue->change);

	if (queue->in_flight != 0)
		return;
	queue->top.layer = change->top;
	atomic_store(&queue->change, NULL);
	/* What came meanwhile waits for nothing else. */
	bdus_host_make_ready(queue);
	if (atomic_fetch_sub(&change->left, 1) == 1)
		change->taken(change);
}

unsigned bdus_queue_fetch(struct bdus_queue *queue, unsigned capacity)
{
	struct bdus_io *batch[BDUS_BATCH];
	int count;

	if (base_unlikely(has_change(queue))) {
		take_change(queue);
		return 0;
	}
	if (base_unlikely(queue->result != 0 || queue->is_held_back))
		return 0;
	count = queue->transport->fetch(queue->transport_queue, batch, capacity);
	if (base_unlikely(count < 0)) {
		bdus_host_fail(queue, count);
		return 0;
	}
	if (base_likely(queue->stats != NULL && count > 0))
		bdus_stats_fetched(queue->stats, &queue->sampler, batch, (unsigned)count);
	for (int i = 0; i < count; i++) {
		bdus_probe_fetch(queue, batch[i]);
		bdus_rules_apply(queue, &queue->top, batch[i]);
	}
	return (unsigned)count;
}
