/* SPDX-License-Identifier: MIT */
/*
 * The loop: turns that commit, wait, run what came back, and fetch.
 *
 * Other threads push completions onto `remote` and then call asys_wake(): the wait that the owner
 * is in, or its next one, ends, and `remote` is looked at after each.
 */
#include "loop.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "device/transport.h"
#include "queue.h"
#include "thread.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/** What is long for a turn of a driver that is served in place. */
#define LONG_TURN_NS (UINT64_C(2) * 1000 * 1000)
/** The first time that busy polling tries. */
#define FIRST_AWAKE_NS 10000
/** Entries of the ring's tables; the kernel may allow fewer files. */
#define FILES_MOST   1024
#define BUFFERS_MOST 16384
/** Pieces of memory for the kernel to pick from: as many batches may be on their way. */
#define PIECES 64
/** How long the end of a loop waits before it tries once more to cancel what is left. */
#define END_PAUSE_MS 100

/* ---- life ---------------------------------------------------------------------------------- */

static int check_options(const struct bdus_loop_options *options)
{
	const uint32_t known = BDUS_LOOP_NOT_POLLED | BDUS_LOOP_NO_RING;

	if (options->size != sizeof(*options))
		return base_error(EINVAL, "size of the loop's options is %zu: it has to be %zu",
				  options->size, sizeof(*options));
	if (options->flags & ~known)
		return base_error(EINVAL, "flags of a loop are 0x%x: only 0x%x have a meaning",
				  options->flags, known);
	return 0;
}

/** The error of asys as ours. */
static int asys_failed(int result, const char *what)
{
	return base_error(-result, "cannot %s: %s", what, asys_error());
}

static int open_asys(struct bdus_loop *loop, const struct bdus_loop_options *options)
{
	const struct asys_options how = {
		.size = sizeof(how),
		.depth = options->depth,
		.flags = (options->flags & BDUS_LOOP_NO_RING) ? ASYS_NO_RING : 0,
	};
	int result = asys_create(&how, &loop->asys);

	if (result < 0)
		return asys_failed(result, "make a loop");
	if (options->flags & BDUS_LOOP_NOT_POLLED)
		return 0;
	result = asys_fd(loop->asys);
	return result < 0 ? asys_failed(result, "make a loop that can be polled") : 0;
}

int bdus_loop_create(const struct bdus_loop_options *given, struct bdus_loop **result_loop)
{
	const struct bdus_loop_options defaults = {.size = sizeof(defaults)};
	const struct bdus_loop_options *const options = given != NULL ? given : &defaults;
	struct bdus_loop *loop;
	int result = check_options(options);

	if (result < 0)
		return result;
	loop = aligned_alloc(_Alignof(struct bdus_loop), sizeof(*loop));
	if (loop == NULL)
		return base_error(ENOMEM, "no memory for a loop");
	*loop = (struct bdus_loop){
		.owner = pthread_self(),
		.flags = options->flags,
		.batch = BDUS_BATCH,
		.most_awake_ns = (uint64_t)options->busy_poll_us * 1000,
		.stashed_end = &loop->stashed,
	};
	base_list_init(&loop->queues);
	base_list_init(&loop->ready);
	base_list_init(&loop->dirty);
	base_list_init(&loop->hooks);
	result = open_asys(loop, options);
	if (result < 0) {
		asys_destroy(loop->asys);
		free(loop);
		return result;
	}
	*result_loop = loop;
	return 0;
}

static void dispatch(struct asys_message *const messages[], unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct bdus_call *const call =
			base_container_of(messages[i], struct bdus_call, message);

		call->completed(call);
	}
}

static void dispatch_stashed(struct bdus_loop *loop)
{
	struct asys_message *message = loop->stashed;

	loop->stashed = NULL;
	loop->stashed_end = &loop->stashed;
	while (message != NULL) {
		struct asys_message *const next = message->next;

		dispatch(&message, 1);
		message = next;
	}
}

/** Lets every call complete; commands of queues stay in the kernel until the ring is closed. */
static void end_calls(struct bdus_loop *loop)
{
	struct asys_message *completed[BDUS_BATCH];

	loop->in_turn = true;
	loop->ending = true;
	dispatch_stashed(loop);
	bdus_threads_cancel(loop->threads);
	do {
		asys_close(loop->asys, ASYS_CLOSE_CANCEL);
		const int count = asys_wait(loop->asys, completed, BDUS_BATCH,
					    asys_pending(loop->asys) > 0 ? END_PAUSE_MS : 0);

		dispatch(completed, count > 0 ? (unsigned)count : 0);
		if (loop->threads != NULL)
			bdus_threads_turn(loop->threads);
	} while (asys_pending(loop->asys) > 0);
	loop->in_turn = false;
}

void bdus_loop_destroy(struct bdus_loop *loop)
{
	if (loop == NULL)
		return;
	end_calls(loop);
	while (atomic_load_explicit(&loop->pushers, memory_order_acquire) != 0)
		sched_yield();
	/* Waits for those who wake one of its threads, and the loop with it. */
	bdus_threads_destroy(loop->threads);
	asys_destroy(loop->asys);
	loop->asys = NULL;
	while (!base_list_is_empty(&loop->queues))
		bdus_queue_close_by_force(
			base_list_entry(loop->queues.next, struct bdus_queue, link));
	free(loop->file_used);
	free(loop->buffer_used);
	free(loop->pieces);
	free(loop);
}

int bdus_loop_fd(struct bdus_loop *loop)
{
	int result;

	if (loop->flags & BDUS_LOOP_NOT_POLLED)
		return base_error(EINVAL, "the loop was made with BDUS_LOOP_NOT_POLLED and has no "
					  "descriptor to poll");
	result = asys_fd(loop->asys);
	return result < 0 ? asys_failed(result, "poll the loop") : result;
}

void bdus_loop_wake(struct bdus_loop *loop)
{
	asys_wake(loop->asys);
}

/* ---- calls --------------------------------------------------------------------------------- */

int bdus_loop_send(struct bdus_loop *loop, struct bdus_call *call)
{
	struct asys_message *message = &call->message;
	const int result = asys_queue(loop->asys, &message, 1);

	return base_likely(result >= 0) ? 0 : asys_failed(result, "send a call");
}

int bdus_loop_send_linked(struct bdus_loop *loop, struct bdus_call *const calls[], unsigned count)
{
	struct asys_message *messages[BDUS_BATCH];
	int result;

	if (count == 0 || count > BDUS_BATCH)
		return base_error(EINVAL, "%u linked calls: 1 to %u are possible", count,
				  BDUS_BATCH);
	for (unsigned i = 0; i < count; i++)
		messages[i] = &calls[i]->message;
	result = asys_queue(loop->asys, messages, count);
	return result >= 0 ? 0 : asys_failed(result, "send linked calls");
}

int bdus_loop_post(struct bdus_loop *loop, struct bdus_call *call)
{
	struct asys_message *message = &call->message;
	const int result = asys_post(loop->asys, &message, 1);

	return result >= 0 ? 0 : asys_failed(result, "post a call");
}

int bdus_loop_cancel(struct bdus_loop *loop, struct bdus_call *call)
{
	return asys_cancel(loop->asys, &call->message);
}

static void stash(struct bdus_loop *loop, struct asys_message *message)
{
	message->next = NULL;
	*loop->stashed_end = message;
	loop->stashed_end = &message->next;
}

static bool take_from_stash(struct bdus_loop *loop, const struct asys_message *message)
{
	for (struct asys_message **place = &loop->stashed; *place != NULL;
	     place = &(*place)->next) {
		if (*place != message)
			continue;
		*place = message->next;
		if (loop->stashed_end == &message->next)
			loop->stashed_end = place;
		return true;
	}
	return false;
}

void bdus_loop_end_call(struct bdus_loop *loop, struct bdus_call *call)
{
	struct asys_message *completed;

	if (loop->asys == NULL || take_from_stash(loop, &call->message) ||
	    asys_cancel(loop->asys, &call->message) == -ENOENT)
		return;
	for (;;) {
		if (asys_wait(loop->asys, &completed, 1, -1) <= 0)
			continue;
		if (completed == &call->message)
			return;
		stash(loop, completed);
	}
}

void bdus_loop_flush(struct bdus_loop *loop)
{
	asys_send(loop->asys, NULL, 0);
}

bool bdus_loop_is_quiet(const struct bdus_loop *loop)
{
	struct asys_info info;

	return loop->stashed == NULL && asys_describe(loop->asys, &info) == 0 &&
	       (info.ring_setup & IORING_SETUP_DEFER_TASKRUN) && asys_ready(loop->asys) == 0;
}

/* ---- the ring's tables --------------------------------------------------------------------- */

int bdus_loop_ring_error(struct bdus_loop *loop)
{
	struct asys_info info;
	const int result = asys_describe(loop->asys, &info);

	return result < 0 ? result : info.ring_error;
}

/** @count neighbouring free entries of a table; -1 for none. */
static int find_free(const bool *used, unsigned entries, unsigned count)
{
	unsigned run = 0;

	for (unsigned i = 0; i < entries; i++) {
		run = used[i] ? 0 : run + 1;
		if (run == count)
			return (int)(i + 1 - count);
	}
	return -1;
}

static int make_file_table(struct bdus_loop *loop)
{
	struct rlimit limit = {.rlim_cur = FILES_MOST};
	int none[FILES_MOST];
	unsigned files;
	int result;

	getrlimit(RLIMIT_NOFILE, &limit);
	files = (unsigned)base_min(limit.rlim_cur, FILES_MOST);
	loop->file_used = calloc(files, sizeof(bool));
	if (loop->file_used == NULL)
		return base_error(ENOMEM, "no memory for a table of files");
	memset(none, -1, sizeof(none));
	result = asys_register_files(loop->asys, none, files);
	if (result < 0)
		return asys_failed(result, "register files in a ring");
	loop->files = files;
	return 0;
}

int bdus_loop_add_file(struct bdus_loop *loop, int file)
{
	int result = loop->files == 0 ? make_file_table(loop) : 0;
	int index;

	if (result < 0)
		return result;
	index = find_free(loop->file_used, loop->files, 1);
	if (index < 0)
		return base_error(ENOSPC,
				  "a loop has room for %u registered files, which are "
				  "taken",
				  loop->files);
	result = asys_update_file(loop->asys, (unsigned)index, file);
	if (result < 0)
		return asys_failed(result, "register a file in a ring");
	loop->file_used[index] = true;
	return index;
}

void bdus_loop_remove_file(struct bdus_loop *loop, int index)
{
	if (loop->asys == NULL || index < 0)
		return;
	asys_update_file(loop->asys, (unsigned)index, -1);
	loop->file_used[index] = false;
}

static int make_buffer_table(struct bdus_loop *loop)
{
	struct iovec *none;
	int result = bdus_loop_ring_error(loop);

	if (result < 0)
		return base_error_errno(-result, "buffers of the kernel need io_uring");
	none = calloc(BUFFERS_MOST, sizeof(*none));
	loop->buffer_used = calloc(BUFFERS_MOST, sizeof(bool));
	if (none == NULL || loop->buffer_used == NULL)
		result = base_error(ENOMEM, "no memory for a table of buffers");
	else
		result = asys_register_buffers(loop->asys, none, BUFFERS_MOST);
	free(none);
	if (result < 0)
		return asys_failed(result, "register buffers in a ring");
	loop->buffers = BUFFERS_MOST;
	return 0;
}

int bdus_loop_add_buffers(struct bdus_loop *loop, unsigned count)
{
	const int result = loop->buffers == 0 ? make_buffer_table(loop) : 0;
	int first;

	if (result < 0)
		return result;
	first = find_free(loop->buffer_used, loop->buffers, count);
	if (first < 0)
		return base_error(ENOSPC,
				  "a loop has room for %u registered buffers, of which fewer "
				  "than %u are free",
				  loop->buffers, count);
	memset(loop->buffer_used + first, true, count);
	return first;
}

void bdus_loop_remove_buffers(struct bdus_loop *loop, unsigned first, unsigned count)
{
	memset(loop->buffer_used + first, false, count);
}

bool bdus_loop_has_files(const struct bdus_loop *loop)
{
	for (unsigned i = 0; i < loop->files; i++)
		if (loop->file_used[i])
			return true;
	return false;
}

int bdus_loop_provide_memory(struct bdus_loop *loop)
{
	int result;

	if (loop->pieces != NULL)
		return 0;
	loop->pieces = malloc((size_t)PIECES * BDUS_LOOP_PICKED_BYTES);
	if (loop->pieces == NULL)
		return base_error(ENOMEM, "no memory for a loop");
	result = asys_provide_buffers(loop->asys, BDUS_LOOP_GROUP, loop->pieces,
				      BDUS_LOOP_PICKED_BYTES, PIECES);
	if (result == 0)
		return 0;
	free(loop->pieces);
	loop->pieces = NULL;
	return asys_failed(result, "let the kernel pick memory");
}

void *bdus_loop_picked(struct bdus_loop *loop, const struct bdus_call *call)
{
	const int32_t piece = call->message.picked_buffer;

	return piece < 0 ? NULL : loop->pieces + piece * BDUS_LOOP_PICKED_BYTES;
}

void bdus_loop_return_picked(struct bdus_loop *loop, const struct bdus_call *call)
{
	asys_return_buffer(loop->asys, BDUS_LOOP_GROUP, call->message.picked_buffer);
}

/* ---- waiting ------------------------------------------------------------------------------- */

bool bdus_loop_is_shared(const struct bdus_loop *loop)
{
	return loop->queues.next != loop->queues.previous;
}

void bdus_loop_allow_polling(struct bdus_loop *loop, uint64_t most_ns)
{
	loop->most_awake_ns = base_max(loop->most_awake_ns, most_ns);
}

/** Looks for events until @until_ns; others who want the processor come first. */
static int poll_until(struct bdus_loop *loop, struct asys_message *completed[], uint64_t until_ns)
{
	int count;

	do {
		count = asys_reap(loop->asys, completed, BDUS_BATCH);
		if (count != 0)
			break;
		sched_yield();
	} while (base_now_ns() < until_ns);
	return count;
}

/** Learns from a wait that slept in the end and took @waited_ns. */
static void adapt_polling(struct bdus_loop *loop, uint64_t waited_ns)
{
	if (waited_ns > loop->most_awake_ns)
		loop->awake_ns = 0;
	else if (waited_ns > loop->awake_ns)
		loop->awake_ns =
			base_min(base_max(loop->awake_ns * 2, FIRST_AWAKE_NS), loop->most_awake_ns);
}

/**
 * A client with few requests in flight sends the next one when it has the answer to the last. Where
 * that takes some ten microseconds, most of the time per request goes into putting the server to
 * sleep and waking it up. So the loop looks for events for as long as it paid off of late: the time
 * grows while waits end a little later than it lasted, and falls to nothing with the first wait
 * that is longer than the limit.
 */
static int wait_awake(struct bdus_loop *loop, struct asys_message *completed[], int timeout_ms)
{
	const uint64_t start_ns =
		loop->looked_since_ns != 0 ? loop->looked_since_ns : base_now_ns();
	int count;

	if (loop->awake_ns != 0 && loop->looked_since_ns == 0) {
		count = poll_until(loop, completed, start_ns + loop->awake_ns);
		/* Looking takes the word of who woke the loop: the turn sees what for, then sleeps.
		 */
		loop->looked_since_ns = count == 0 ? start_ns : 0;
		return count;
	}
	loop->looked_since_ns = 0;
	count = asys_wait(loop->asys, completed, BDUS_BATCH, timeout_ms);
	adapt_polling(loop, base_now_ns() - start_ns);
	return count;
}

/** With requests in flight, the processor is needed to complete them. */
static bool may_stay_awake(const struct bdus_loop *loop, int timeout_ms)
{
	if (base_likely(loop->most_awake_ns == 0) || timeout_ms == 0)
		return false;
	base_list_for_each (link, &loop->queues)
		if (base_list_entry(link, struct bdus_queue, link)->in_flight != 0)
			return false;
	return true;
}

static int wait_for_events(struct bdus_loop *loop, struct asys_message *completed[], int timeout_ms)
{
	if (!base_list_is_empty(&loop->ready) || loop->stashed != NULL)
		timeout_ms = 0;
	if (base_unlikely(may_stay_awake(loop, timeout_ms)))
		return wait_awake(loop, completed, timeout_ms);
	loop->looked_since_ns = 0;
	return asys_wait(loop->asys, completed, BDUS_BATCH, timeout_ms);
}

/* ---- turns --------------------------------------------------------------------------------- */

void bdus_loop_push_remote(struct bdus_loop *loop, struct bdus_io *io)
{
	struct bdus_io *head = atomic_load_explicit(&loop->remote, memory_order_relaxed);

	/* Once the last request is seen to be completed, the owner may end the loop. */
	atomic_fetch_add_explicit(&loop->pushers, 1, memory_order_relaxed);
	do
		io->next = head;
	while (!atomic_compare_exchange_weak_explicit(&loop->remote, &head, io,
						      memory_order_release, memory_order_relaxed));
	asys_wake(loop->asys);
	atomic_fetch_sub_explicit(&loop->pushers, 1, memory_order_release);
}

/** Takes over what other threads completed, in the order in which they did. */
static void take_remote(struct bdus_loop *loop)
{
	struct bdus_io *last_first;
	struct bdus_io *ordered = NULL;

	if (atomic_load_explicit(&loop->remote, memory_order_relaxed) == NULL)
		return;
	last_first = atomic_exchange_explicit(&loop->remote, NULL, memory_order_acquire);
	while (last_first != NULL) {
		struct bdus_io *const next = last_first->next;

		last_first->next = ordered;
		ordered = last_first;
		last_first = next;
	}
	while (ordered != NULL) {
		struct bdus_io *const next = ordered->next;

		bdus_queue_take_back(ordered);
		ordered = next;
	}
}

static void commit_dirty(struct bdus_loop *loop)
{
	struct base_list *link;

	while ((link = base_list_pop_front(&loop->dirty)) != NULL)
		bdus_queue_commit(base_list_entry(link, struct bdus_queue, dirty_link));
}

/**
 * Whether the turn's length matters: a driver that is served in place keeps the results of a batch
 * from their clients for as long as it works on the rest. A clock is not free everywhere.
 */
static inline bool is_timed(const struct bdus_loop *loop)
{
	return loop->serves_in_place && !base_list_is_empty(&loop->ready);
}

/** Fetch less where a turn took long, and more again where it did not. */
static void adapt_batch(struct bdus_loop *loop, unsigned count, uint64_t took_ns)
{
	if (took_ns > LONG_TURN_NS)
		loop->batch = (unsigned)base_max(count / 2, 1);
	else if (took_ns < LONG_TURN_NS / 4)
		loop->batch = (unsigned)base_min((uint64_t)loop->batch * 2, BDUS_BATCH);
}

/** Fetches from each queue that was ready when this began. */
static unsigned fetch_ready(struct bdus_loop *loop)
{
	struct base_list *const last = loop->ready.previous;
	struct base_list *link;
	unsigned count = 0;

	while ((link = base_list_pop_front(&loop->ready)) != NULL) {
		count += bdus_queue_fetch(base_list_entry(link, struct bdus_queue, ready_link),
					  loop->batch);
		if (link == last)
			break;
	}
	return count;
}

static unsigned serve_ready(struct bdus_loop *loop)
{
	const bool timed = is_timed(loop);
	const uint64_t started = timed ? base_now_ns() : 0;
	const unsigned count = fetch_ready(loop);

	if (timed && (count > 1 || loop->batch < BDUS_BATCH))
		adapt_batch(loop, count, base_now_ns() - started);
	return count;
}

/** Queues for which other threads left something look for it. */
static void see_asked(struct bdus_loop *loop)
{
	if (base_likely(!atomic_load_explicit(&loop->asked, memory_order_relaxed)) ||
	    !atomic_exchange(&loop->asked, false))
		return;
	base_list_for_each (link, &loop->queues) {
		struct bdus_queue *const queue = base_list_entry(link, struct bdus_queue, link);

		if (atomic_exchange(&queue->asked, false))
			bdus_host_make_ready(queue);
	}
}

static void run_hooks(struct bdus_loop *loop)
{
	struct base_list *link = loop->hooks.next;

	while (link != &loop->hooks) {
		struct bdus_loop_hook *const hook =
			base_list_entry(link, struct bdus_loop_hook, link);

		/* It may take itself out. */
		link = link->next;
		hook->run(hook);
	}
}

static int turn(struct bdus_loop *loop, int timeout_ms)
{
	struct asys_message *completed[BDUS_BATCH];
	int count;

	commit_dirty(loop);
	count = wait_for_events(loop, completed, timeout_ms);
	if (base_unlikely(count < 0))
		return asys_failed(count, "wait for events");
	/* After the wait, so that who processes the loop sees what came of it before the next. */
	take_remote(loop);
	see_asked(loop);
	if (base_unlikely(loop->stashed != NULL))
		dispatch_stashed(loop);
	dispatch(completed, (unsigned)count);
	count = (int)serve_ready(loop);
	if (loop->threads != NULL)
		bdus_threads_turn(loop->threads);
	if (base_unlikely(!base_list_is_empty(&loop->hooks)))
		run_hooks(loop);
	loop->turns++;
	return count;
}

int bdus_loop_turn(struct bdus_loop *loop, int timeout_ms)
{
	int result;

	if (base_unlikely(loop->in_turn))
		return base_error(EBUSY, "a loop cannot be processed from within its callbacks");
	loop->in_turn = true;
	result = turn(loop, timeout_ms);
	loop->in_turn = false;
	return result;
}

int bdus_loop_process(struct bdus_loop *loop, int timeout_ms)
{
	const int result = bdus_loop_turn(loop, timeout_ms);

	if (result < 0 || (loop->flags & BDUS_LOOP_NOT_POLLED))
		return result;
	/* The program may do other things for long; and readiness must show in the descriptor. */
	take_remote(loop);
	commit_dirty(loop);
	if (!base_list_is_empty(&loop->ready) || loop->stashed != NULL)
		asys_wake(loop->asys);
	asys_send(loop->asys, NULL, 0);
	return result;
}

void bdus_loop_add_hook(struct bdus_loop *loop, struct bdus_loop_hook *hook)
{
	base_list_push_back(&loop->hooks, &hook->link);
}

void bdus_loop_remove_hook(struct bdus_loop_hook *hook)
{
	base_list_remove(&hook->link);
	base_list_init(&hook->link);
}
