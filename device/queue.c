/* SPDX-License-Identifier: MIT */
/*
 * The loop of a queue: commit, fetch, submit, and the completions that come back, from its own
 * thread or from others.
 *
 * Other threads push onto `remote` and wake the owner only when it sleeps: the owner sets
 * `sleeping` and then looks at `remote` once more, they push and then look at `sleeping`; with both
 * in one total order, one of the two sees the other.
 */
#include "queue.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/** What is long for a turn of a driver that is served in place. */
#define LONG_TURN_NS (UINT64_C(2) * 1000 * 1000)

int bdus_queue_init(struct bdus_queue *queue, const struct bdus_transport *transport,
		    struct bdus_layer top, const struct bdus_rules *rules)
{
	const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return base_error_errno(errno, "cannot create an eventfd for a queue");
	*queue = (struct bdus_queue){
		.transport = transport,
		.top = top,
		.rules = *rules,
		.event_fd = fd,
		.wake_fd = fd,
		.owner = pthread_self(),
		.batch = BDUS_BATCH,
	};
	return 0;
}

void bdus_queue_finish(struct bdus_queue *queue)
{
	close(queue->event_fd);
	bdus_plans_free(queue);
}

int bdus_queue_open(struct bdus_queue *queue, struct bdus_transport_device *device, unsigned index)
{
	queue->owner = pthread_self();
	return queue->transport->open_queue(device, index, queue->wake_fd, &queue->transport_queue);
}

/** Says which request broke the rule and ends the process: the driver is wrong. */
static void die_of_driver_bug(const struct bdus_io *io, const char *what)
{
	fprintf(stderr, "bdus: %s: %s request at offset %llu, length %llu\n", what,
		bdus_op_name(io->request.op), (unsigned long long)io->request.offset_bytes,
		(unsigned long long)io->request.length_bytes);
	abort();
}

void bdus_queue_close(struct bdus_queue *queue)
{
	if (BDUS_DEBUG_CHECKS && queue->in_flight != 0) {
		fprintf(stderr, "bdus: %u requests were never completed\n", queue->in_flight);
		abort();
	}
	queue->transport->close_queue(queue->transport_queue);
	queue->transport_queue = NULL;
}

void bdus_queue_wake(struct bdus_queue *queue)
{
	const int saved = errno;
	const uint64_t one = 1;
	/* Fails only when the counter is full, and then the owner is awake. */
	const ssize_t written = write(queue->event_fd, &one, sizeof(one));

	(void)written;
	errno = saved;
}

void bdus_queue_drain_wake(struct bdus_queue *queue)
{
	uint64_t count;
	const ssize_t got = read(queue->event_fd, &count, sizeof(count));

	(void)got;
}

static void commit_done(struct bdus_queue *queue)
{
	const unsigned count = queue->done_count;

	if (count == 0)
		return;
	queue->done_count = 0;
	queue->transport->commit(queue->transport_queue, queue->done, count);
}

/** Brings a completed request to whoever made it. Owner only. */
static inline void bring_back(struct bdus_queue *queue, struct bdus_io *io)
{
	io->state = BDUS_IO_IDLE;
	if (base_unlikely(io->finished != NULL)) {
		io->finished(io);
		return;
	}
	if (base_unlikely(queue->done_count == BDUS_BATCH))
		commit_done(queue);
	queue->done[queue->done_count++] = io;
}

/** What clients may be told of a driver's failure: errors that block devices have names for. */
static inline int client_result(int result)
{
	switch (result) {
	case 0:
	case -ENOSPC:
	case -EOPNOTSUPP:
	case -ETIMEDOUT:
	case -ENOLINK:
	case -EAGAIN:
		return result;
	default:
		return -EIO;
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
	io->result = client_result(result);
	return true;
}

void bdus_complete(struct bdus_request *request, int result)
{
	struct bdus_io *const io = base_container_of(request, struct bdus_io, request);
	struct bdus_queue *const queue = io->queue;

	if (BDUS_DEBUG_CHECKS && !pthread_equal(queue->owner, pthread_self()))
		die_of_driver_bug(io, "bdus_complete() outside the queue's thread");
	if (base_unlikely(!take_result(io, result)))
		return;
	queue->in_flight--;
	bring_back(queue, io);
}

void bdus_complete_from_any_thread(struct bdus_request *request, int result)
{
	struct bdus_io *const io = base_container_of(request, struct bdus_io, request);
	struct bdus_queue *const queue = io->queue;
	struct bdus_io *head = atomic_load_explicit(&queue->remote, memory_order_relaxed);

	if (base_unlikely(!take_result(io, result)))
		return;
	do
		io->next = head;
	while (!atomic_compare_exchange_weak(&queue->remote, &head, io));
	if (atomic_load(&queue->sleeping) && atomic_exchange(&queue->sleeping, false))
		bdus_queue_wake(queue);
}

/** Takes over what other threads completed, in the order in which they did. */
static void take_remote(struct bdus_queue *queue)
{
	struct bdus_io *last_first;
	struct bdus_io *ordered = NULL;

	if (atomic_load_explicit(&queue->remote, memory_order_relaxed) == NULL)
		return;
	last_first = atomic_exchange_explicit(&queue->remote, NULL, memory_order_acquire);
	while (last_first != NULL) {
		struct bdus_io *const next = last_first->next;

		last_first->next = ordered;
		ordered = last_first;
		last_first = next;
	}
	while (ordered != NULL) {
		struct bdus_io *const next = ordered->next;

		queue->in_flight--;
		bring_back(queue, ordered);
		ordered = next;
	}
}

void bdus_queue_pass(struct bdus_queue *queue, struct bdus_io *io)
{
	io->queue = queue;
	io->state = BDUS_IO_IN_FLIGHT;
	queue->in_flight++;
	queue->top.submit(queue->top.instance, &io->request);
}

void bdus_queue_refuse(struct bdus_queue *queue, struct bdus_io *io, int result)
{
	io->result = result;
	bring_back(queue, io);
}

void bdus_queue_wait_for_own(struct bdus_queue *queue)
{
	for (;;) {
		struct pollfd wake = {.fd = queue->event_fd, .events = POLLIN};

		take_remote(queue);
		if (queue->in_flight == 0)
			return;
		atomic_store(&queue->sleeping, true);
		if (atomic_load(&queue->remote) == NULL)
			poll(&wake, 1, -1);
		atomic_store(&queue->sleeping, false);
		bdus_queue_drain_wake(queue);
	}
}

/**
 * Whether the turn's length matters: a driver that is served in place keeps the results of a batch
 * from their clients for as long as it works on the rest. A clock is not free everywhere.
 */
static inline bool is_timed(const struct bdus_queue *queue, unsigned count)
{
	return queue->serves_in_place && (count > 1 || queue->batch < BDUS_BATCH);
}

/** Fetch less where a turn took long, and more again where it did not. */
static void adapt_batch(struct bdus_queue *queue, unsigned count, uint64_t took_ns)
{
	if (took_ns > LONG_TURN_NS)
		queue->batch = (unsigned)base_max(count / 2, 1);
	else if (took_ns < LONG_TURN_NS / 4)
		queue->batch = (unsigned)base_min((uint64_t)queue->batch * 2, BDUS_BATCH);
}

static void submit_batch(struct bdus_queue *queue, struct bdus_io **batch, unsigned count)
{
	const bool timed = is_timed(queue, count);
	const uint64_t started = timed ? base_now_ns() : 0;

	for (unsigned i = 0; i < count; i++)
		bdus_rules_apply(queue, batch[i]);
	if (timed)
		adapt_batch(queue, count, base_now_ns() - started);
}

int bdus_queue_turn(struct bdus_queue *queue, int timeout_ms)
{
	struct bdus_io *batch[BDUS_BATCH];
	int count;

	take_remote(queue);
	commit_done(queue);
	atomic_store(&queue->sleeping, true);
	if (atomic_load(&queue->remote) != NULL)
		timeout_ms = 0;
	count = queue->transport->fetch(queue->transport_queue, batch, queue->batch, timeout_ms);
	atomic_store_explicit(&queue->sleeping, false, memory_order_relaxed);
	if (count > 0)
		submit_batch(queue, batch, (unsigned)count);
	queue->turns++;
	return count;
}
