/* SPDX-License-Identifier: MIT */
/*
 * The threaded style: an adapter on the asynchronous one. A loop carries one scheduler of userland
 * threads, made when the first of them is wanted, whose system calls are calls of the loop.
 *
 * A request's thread runs within `submit` until it waits, on a stack that the one before has just
 * left warm. It leaves its result in the request's `struct bdus_io` and the request in a list; the
 * requests in the list are completed on the loop's own stack, as completing one may fill a batch,
 * commit it, or submit the next piece of a larger request.
 *
 * Owner: the loop's thread, but for `wanted`, which whoever wakes a thread from elsewhere sets
 * before it wakes the loop.
 */
#include "thread.h"

#include "base/bits.h"
#include "base/error.h"
#include "loop.h"
#include "queue.h"

#include <assert.h>
#include <bdus/thread.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

struct bdus_threads {
	struct bdus_loop *loop;
	struct uthread_scheduler *scheduler;
	struct uthread_asys_host host;
	/** Threads may be ready to run. */
	atomic_bool wanted;
	/** Requests that were served, in order. */
	struct bdus_io *done;
	struct bdus_io **done_end;
	/** When the first thread wants to be woken; and the call that ends the loop's wait then. */
	uint64_t deadline_ns;
	struct bdus_call timer;
	uint64_t timer_ns;
	bool timer_sent;
};

/* ---- a host for the threads' system calls --------------------------------------------------- */

/** A bdus_call is made of an envelope and its room. */
static_assert(sizeof(struct bdus_call) <= sizeof(struct uthread_asys_envelope) &&
		      offsetof(struct bdus_call, message) == 0,
	      "an envelope has room for a call");

static void call_completed(struct bdus_call *call)
{
	uthread_asys_completed((struct uthread_asys_envelope *)call);
}

static int send_envelope(void *opaque, struct uthread_asys_envelope *envelope)
{
	struct bdus_threads *const threads = opaque;
	struct bdus_call *const call = (struct bdus_call *)envelope;

	call->completed = call_completed;
	return bdus_loop_send(threads->loop, call);
}

static void cancel_envelope(void *opaque, struct uthread_asys_envelope *envelope)
{
	struct bdus_threads *const threads = opaque;

	bdus_loop_cancel(threads->loop, (struct bdus_call *)envelope);
}

/** A turn of the loop looks at `wanted` after all that may set it on its own thread. */
static void want_turn(void *opaque)
{
	struct bdus_threads *const threads = opaque;
	struct bdus_loop *const loop = threads->loop;

	atomic_store(&threads->wanted, true);
	if (!pthread_equal(loop->owner, pthread_self()) || !loop->in_turn)
		bdus_loop_wake(loop);
}

/* ---- life ---------------------------------------------------------------------------------- */

static int make_scheduler(struct bdus_threads *threads)
{
	const struct uthread_options options = {
		.size = sizeof(options),
		.hooks = &uthread_asys_host_hooks,
		.hooks_context = &threads->host,
	};
	const int result = uthread_scheduler_create(&options, &threads->scheduler);

	return result == 0
		       ? 0
		       : base_error(-result, "cannot make userland threads: %s", uthread_error());
}

/** The threads of @loop, made when they are first wanted. */
static int get_threads(struct bdus_loop *loop, struct bdus_threads **result)
{
	struct bdus_threads *threads = loop->threads;
	int error;

	if (base_unlikely(loop->ending))
		return base_error(ESHUTDOWN, "the loop is being destroyed");
	if (base_unlikely(threads == NULL)) {
		threads = malloc(sizeof(*threads));
		if (threads == NULL)
			return base_error(ENOMEM, "no memory for userland threads");
		*threads = (struct bdus_threads){
			.loop = loop,
			.host = {.size = sizeof(threads->host),
				 .send = send_envelope,
				 .cancel = cancel_envelope,
				 .kick = want_turn,
				 .opaque = threads},
			.done_end = &threads->done,
			.deadline_ns = UTHREAD_NEVER,
		};
		error = make_scheduler(threads);
		if (error < 0) {
			free(threads);
			return error;
		}
		loop->threads = threads;
	}
	*result = threads;
	return 0;
}

void bdus_threads_destroy(struct bdus_threads *threads)
{
	if (threads == NULL)
		return;
	uthread_scheduler_destroy(threads->scheduler);
	free(threads);
}

void bdus_threads_cancel(struct bdus_threads *threads)
{
	if (threads == NULL)
		return;
	uthread_scheduler_cancel(threads->scheduler);
	atomic_store(&threads->wanted, true);
}

/* ---- running ------------------------------------------------------------------------------- */

static void complete_done(struct bdus_threads *threads)
{
	struct bdus_io *io;

	while ((io = threads->done) != NULL) {
		threads->done = io->next;
		if (threads->done == NULL)
			threads->done_end = &threads->done;
		bdus_complete(&io->request, io->result);
	}
}

/** Runs threads on the loop's own stack until each of them waits. */
static void run(struct bdus_threads *threads)
{
	struct uthread_turn left = {.deadline_ns = UTHREAD_NEVER};

	uthread_turn(threads->scheduler, &left);
	threads->deadline_ns = left.deadline_ns;
	complete_done(threads);
}

static void timer_completed(struct bdus_call *call)
{
	struct bdus_threads *const threads = base_container_of(call, struct bdus_threads, timer);

	threads->timer_sent = false;
	atomic_store_explicit(&threads->wanted, true, memory_order_relaxed);
}

/** Has the loop wake up at the deadline. One that comes too early does no harm. */
static void set_timer(struct bdus_threads *threads)
{
	if (threads->deadline_ns == 0) {
		atomic_store_explicit(&threads->wanted, true, memory_order_relaxed);
		bdus_loop_wake(threads->loop);
		return;
	}
	if (threads->timer_sent) {
		if (threads->deadline_ns < threads->timer_ns)
			bdus_loop_cancel(threads->loop, &threads->timer);
		return;
	}
	threads->timer_ns = threads->deadline_ns;
	threads->timer.completed = timer_completed;
	asys_prep_timeout(&threads->timer.message, threads->timer_ns);
	threads->timer_sent = bdus_loop_send(threads->loop, &threads->timer) == 0;
}

void bdus_threads_turn(struct bdus_threads *threads)
{
	/* The exchange brings what was done before another thread set it. */
	if (atomic_load_explicit(&threads->wanted, memory_order_relaxed) &&
	    atomic_exchange(&threads->wanted, false))
		run(threads);
	if (base_unlikely(threads->deadline_ns != UTHREAD_NEVER) && !threads->loop->ending)
		set_timer(threads);
}

/* ---- requests ------------------------------------------------------------------------------ */

static void *serve(void *argument)
{
	struct bdus_io *const io = argument;
	const struct bdus_thread_driver *const driver = io->threaded;
	struct bdus_threads *const threads = io->queue->loop->threads;

	io->result = driver->handle(driver->instance, &io->request);
	io->next = NULL;
	*threads->done_end = io;
	threads->done_end = &io->next;
	return NULL;
}

void bdus_thread_submit(void *opaque, struct bdus_request *request)
{
	const struct bdus_thread_driver *const driver = opaque;
	struct bdus_io *const io = base_container_of(request, struct bdus_io, request);
	const uthread_attr_t attr = {
		.stack_bytes = driver->stack_bytes,
		.deadline_ns = UTHREAD_NEVER,
		.detached = UTHREAD_CREATE_DETACHED,
		.name = "request",
	};
	struct bdus_threads *threads = NULL;
	int error = get_threads(io->queue->loop, &threads);

	if (base_likely(error == 0)) {
		io->threaded = driver;
		error = uthread_scheduler_spawn(threads->scheduler, NULL, &attr, serve, io);
	}
	if (base_unlikely(error != 0))
		bdus_complete(request, -ENOMEM);
	else if (base_likely(uthread_self() == 0))
		run(threads);
	else
		atomic_store_explicit(&threads->wanted, true, memory_order_relaxed);
}

int bdus_thread_create(struct bdus_loop *loop, uthread_t *thread, const uthread_attr_t *attr,
		       void *(*start)(void *), void *argument)
{
	struct bdus_threads *threads = NULL;
	int error = get_threads(loop, &threads);

	if (error != 0)
		return error;
	error = uthread_scheduler_spawn(threads->scheduler, thread, attr, start, argument);
	if (error != 0)
		return base_error(-error, "cannot make a thread: %s", uthread_error());
	if (uthread_self() == 0)
		want_turn(threads);
	return 0;
}
