/* SPDX-License-Identifier: MIT */
/*
 * From sending to an executor: batches and links, and the choice.
 *
 * With a ring, everything goes there but what it cannot do, what the kernel would give to a thread
 * of its own at once, and files in memory, whose reads and writes are done here. Without one, what
 * can be tried without blocking is tried here; a pipe or socket that is not ready is waited for by
 * epoll; all else goes to workers.
 */
#include "asys_internal.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/** From here on, a copy is worth a thread of its own: some 30 microseconds. */
#define LONG_BYTES (256 << 10)

/* ---- executors ----------------------------------------------------------------------------- */

static void give_workers(struct asys *asys, struct asys_message *message)
{
	message->state = ASYS_STATE_IN_WORKERS;
	message->file = (int32_t)asys_file_of(asys, message);
	asys->given_workers++;
	asys_pool_give(asys->pool, message);
}

static bool give_ring(struct asys *asys, struct asys_message *message)
{
	return asys_has_ring(asys) && asys_ring_give(asys, message);
}

static void ring_or_workers(struct asys *asys, struct asys_message *message)
{
	if (!give_ring(asys, message))
		give_workers(asys, message);
}

static bool may_inline(const struct asys *asys)
{
	return (asys->flags & ASYS_NO_INLINE) == 0;
}

static void run_inline(struct asys *asys, struct asys_message *message)
{
	asys->given_inline++;
	asys_complete(asys, message, asys_call(message, asys_file_of(asys, message)));
}

static void inline_or_workers(struct asys *asys, struct asys_message *message)
{
	if (may_inline(asys))
		run_inline(asys, message);
	else
		give_workers(asys, message);
}

/** A read of what the kernel has in memory; anything else, a short one included, is for a worker.
 */
static bool read_from_cache(struct asys *asys, struct asys_message *message)
{
	uint64_t asked = 0;
	int64_t result;

	if (!may_inline(asys) || asys_class_of(message) != ASYS_CLASS_READ)
		return false;
	result = asys_try(message, asys_file_of(asys, message));
	asys_asks_for_bytes(message, &asked);
	if (result < 0 || (uint64_t)result != asked)
		return false;
	asys->given_inline++;
	asys_complete(asys, message, result);
	return true;
}

/**
 * Whether copying takes so long that the sending thread does better to go on with other things
 * meanwhile, on a machine that can do both.
 */
static bool is_long(const struct asys *asys, const struct asys_message *message)
{
	uint64_t asked = 0;

	return asys->has_processors && asys_asks_for_bytes(message, &asked) && asked >= LONG_BYTES;
}

static void start_at_offset(struct asys *asys, struct asys_message *message)
{
	if (asys_needs_kernel_buffer(asys, message)) {
		if (!give_ring(asys, message))
			asys_complete(asys, message, -EFAULT);
		return;
	}
	switch (asys_kind_of(asys, message)) {
	case ASYS_FILE_MEMORY:
	case ASYS_FILE_STREAM:
		if (is_long(asys, message))
			give_workers(asys, message);
		else
			inline_or_workers(asys, message);
		return;
	case ASYS_FILE_BLOCKING:
		give_workers(asys, message);
		return;
	case ASYS_FILE_NO_WAIT:
		if (is_long(asys, message) ||
		    (!give_ring(asys, message) && !read_from_cache(asys, message)))
			give_workers(asys, message);
		return;
	default:
		ring_or_workers(asys, message);
		return;
	}
}

static bool is_stream(struct asys *asys, const struct asys_message *message)
{
	enum asys_file_kind kind;

	if (message->flags & ASYS_FIXED_FILE)
		kind = asys->fixed[message->arguments[0]].kind;
	else
		kind = asys_look_at_file((int)message->arguments[0]);
	return kind == ASYS_FILE_STREAM || kind == ASYS_FILE_DEVICE;
}

/** Whether the file lies in memory for sure: a read of what it might be instead could block. */
static bool is_in_memory(struct asys *asys, const struct asys_message *message)
{
	if (asys_kind_of(asys, message) != ASYS_FILE_MEMORY)
		return false;
	return (message->flags & ASYS_FIXED_FILE) ||
	       asys_look_at_file((int)message->arguments[0]) == ASYS_FILE_MEMORY;
}

uint32_t asys_events_of(const struct asys_message *message)
{
	switch (asys_class_of(message)) {
	case ASYS_CLASS_POLL:
		return (uint32_t)message->arguments[1];
	case ASYS_CLASS_SOCKET_OUT:
	case ASYS_CLASS_STREAM_WRITE:
		return EPOLLOUT;
	default:
		return EPOLLIN;
	}
}

static void wait_for_file(struct asys *asys, struct asys_message *message)
{
	const int result = asys_wait_for(asys, message, (int)asys_file_of(asys, message));

	if (result == -EPERM)
		give_workers(asys, message);
	else if (result < 0)
		asys_complete(asys, message, result);
}

/** After an attempt that must not block: the end, or a wait for the file. */
static void after_try(struct asys *asys, struct asys_message *message, int64_t result)
{
	const bool stopped = asys->cancelling ||
			     (message->marks & (ASYS_MARK_CANCELLED | ASYS_MARK_EXPIRED)) != 0;

	if ((result == -EAGAIN || result == ASYS_CANNOT_TRY) && stopped) {
		asys_complete(asys, message, -ECANCELED);
	} else if (result == -EAGAIN && !asys_must_not_wait(message)) {
		message->marks |= ASYS_MARK_NO_WAIT;
		wait_for_file(asys, message);
	} else if (result == ASYS_CANNOT_TRY) {
		message->marks &= (uint8_t)~ASYS_MARK_NO_WAIT;
		wait_for_file(asys, message);
	} else {
		asys_complete(asys, message, result);
	}
}

static void try_or_wait(struct asys *asys, struct asys_message *message)
{
	if (may_inline(asys)) {
		asys->given_inline++;
		after_try(asys, message, asys_try(message, asys_file_of(asys, message)));
	} else {
		message->marks |= ASYS_MARK_NO_WAIT;
		give_workers(asys, message);
	}
}

static void start_at_position(struct asys *asys, struct asys_message *message)
{
	if (!asys_needs_kernel_buffer(asys, message) && is_in_memory(asys, message))
		inline_or_workers(asys, message);
	else if (give_ring(asys, message))
		return;
	else if (asys_has_ring(asys) || !is_stream(asys, message))
		give_workers(asys, message);
	else
		try_or_wait(asys, message);
}

static void start_socket(struct asys *asys, struct asys_message *message)
{
	if (give_ring(asys, message))
		return;
	if (asys_has_ring(asys))
		give_workers(asys, message);
	else
		try_or_wait(asys, message);
}

static void start_sync(struct asys *asys, struct asys_message *message)
{
	if (is_in_memory(asys, message))
		inline_or_workers(asys, message);
	else
		ring_or_workers(asys, message);
}

static void start_nop(struct asys *asys, struct asys_message *message)
{
	if (!give_ring(asys, message))
		inline_or_workers(asys, message);
}

void asys_resume(struct asys *asys, struct asys_message *message)
{
	if (message->marks & ASYS_MARK_NO_WAIT)
		try_or_wait(asys, message);
	else
		give_workers(asys, message);
}

static void start_timeout(struct asys *asys, struct asys_message *message)
{
	message->state = ASYS_STATE_TIMED;
	if ((message->marks & ASYS_MARK_HAS_DEADLINE) == 0)
		asys_deadlines_add(asys, message);
}

static void start_poll(struct asys *asys, struct asys_message *message)
{
	if (!give_ring(asys, message))
		wait_for_file(asys, message);
}

static void choose(struct asys *asys, struct asys_message *message)
{
	switch (asys_class_of(message)) {
	case ASYS_CLASS_READ:
	case ASYS_CLASS_WRITE:
		start_at_offset(asys, message);
		break;
	case ASYS_CLASS_STREAM_READ:
	case ASYS_CLASS_STREAM_WRITE:
		start_at_position(asys, message);
		break;
	case ASYS_CLASS_SOCKET_IN:
	case ASYS_CLASS_SOCKET_OUT:
		start_socket(asys, message);
		break;
	case ASYS_CLASS_SYNC:
		start_sync(asys, message);
		break;
	case ASYS_CLASS_NOP:
		start_nop(asys, message);
		break;
	case ASYS_CLASS_QUICK:
		inline_or_workers(asys, message);
		break;
	case ASYS_CLASS_CLOSE:
		asys_files_forget(asys, (int)message->arguments[0]);
		ring_or_workers(asys, message);
		break;
	case ASYS_CLASS_RING:
		ring_or_workers(asys, message);
		break;
	case ASYS_CLASS_URING_CMD:
		if (!give_ring(asys, message))
			asys_complete(asys, message, -EOPNOTSUPP);
		break;
	case ASYS_CLASS_POLL:
		start_poll(asys, message);
		break;
	case ASYS_CLASS_TIMEOUT:
		start_timeout(asys, message);
		break;
	case ASYS_CLASS_CANCEL:
		asys_complete(asys, message,
			      asys_cancel_message(asys, (void *)(uintptr_t)message->arguments[0]));
		break;
	case ASYS_CLASS_CALL:
		give_workers(asys, message);
		break;
	}
}

/** A short transfer of memory that the ring does better than this thread. */
static inline bool is_plain_transfer(struct asys *asys, const struct asys_message *message)
{
	enum asys_file_kind kind;

	if ((message->flags & ASYS_FIXED_BUFFER) || (int64_t)message->arguments[3] < 0 ||
	    message->arguments[2] >= LONG_BYTES)
		return false;
	kind = asys_kind_of(asys, message);
	return kind == ASYS_FILE_NO_WAIT || kind == ASYS_FILE_DIRECT;
}

/** The ring's operation of a message for start_at_once(); -1 for all others. */
static inline int plain_opcode(struct asys *asys, const struct asys_message *message)
{
	switch (message->number) {
	case ASYS_NOP:
		return IORING_OP_NOP;
	case SYS_pread64:
		return is_plain_transfer(asys, message) ? IORING_OP_READ : -1;
	case SYS_pwrite64:
		return is_plain_transfer(asys, message) ? IORING_OP_WRITE : -1;
	case ASYS_URING_CMD:
		return asys_ring_takes_command(asys, message) ? IORING_OP_URING_CMD : -1;
	default:
		return -1;
	}
}

/**
 * What most messages are, straight into the ring: the same as choose() would do, without its
 * tables. False for all others.
 */
static inline bool start_at_once(struct asys *asys, struct asys_message *message)
{
	const int opcode = plain_opcode(asys, message);
	struct io_uring_sqe *sqe;

	if (opcode < 0)
		return false;
	sqe = io_uring_get_sqe(&asys->ring);
	if (base_unlikely(sqe == NULL))
		return false;
	asys_ring_clear(sqe, message, (uint8_t)opcode);
	if (opcode == IORING_OP_URING_CMD) {
		asys_ring_encode_command(message, sqe, ASYS_COMMAND_BYTES);
		asys->commands++;
	} else if (opcode != IORING_OP_NOP) {
		asys_ring_encode_transfer(message, sqe, message->arguments[3]);
	}
	message->state = ASYS_STATE_IN_RING;
	asys->given_ring++;
	return true;
}

/** Why a message is not to start; 0 when it is. */
static int obstacle(struct asys *asys, struct asys_message *message)
{
	if (message->marks & ASYS_MARK_CANCELLED || asys->cancelling)
		return -ECANCELED;
	if (message->marks & ASYS_MARK_EXPIRED)
		return -ETIMEDOUT;
	if (message->deadline_ns != 0 && message->deadline_ns <= base_now_ns()) {
		message->marks |= ASYS_MARK_EXPIRED;
		return -ETIMEDOUT;
	}
	return 0;
}

/** Gives a message that nothing holds back any more to an executor. */
static inline void start(struct asys *asys, struct asys_message *message)
{
	int error = 0;

	if (base_unlikely(message->marks != 0 || message->deadline_ns != 0 || asys->cancelling))
		error = obstacle(asys, message);
	if (base_unlikely(error == 0 && (message->flags & ASYS_REFERENCES)))
		error = asys_check_references(asys, message);
	if (base_unlikely(error != 0)) {
		asys_complete(asys, message, error);
		return;
	}
	if (base_unlikely(message->deadline_ns != 0 &&
			  (message->marks & ASYS_MARK_HAS_DEADLINE) == 0))
		asys_deadlines_add(asys, message);
	if (!asys_has_ring(asys) || !start_at_once(asys, message))
		choose(asys, message);
}

void asys_start_due(struct asys *asys)
{
	while (asys->due.first != NULL && !asys->stalled)
		start(asys, asys_fifo_pop(&asys->due));
}

/* ---- the end of a message ------------------------------------------------------------------ */

static int64_t name_the_cause(const struct asys *asys, const struct asys_message *message,
			      int64_t result)
{
	if (result != -ECANCELED && result != -EINTR)
		return result;
	if (message->marks & ASYS_MARK_CANCELLED || asys->cancelling)
		return -ECANCELED;
	return (message->marks & ASYS_MARK_EXPIRED) ? -ETIMEDOUT : result;
}

static bool lets_follower_start(const struct asys_message *message)
{
	uint64_t asked;

	if (message->flags & ASYS_LINK_HARD)
		return true;
	if (message->flags & ASYS_LINK_AFTER)
		return message->result != -ECANCELED &&
		       (message->result != -ETIMEDOUT || (message->marks & ASYS_MARK_EXPIRED) == 0);
	if (message->result < 0)
		return false;
	return !asys_asks_for_bytes(message, &asked) || (uint64_t)message->result == asked;
}

static void release_follower(struct asys *asys, struct asys_message *message)
{
	struct asys_message *const follower = message->follower;

	message->follower = NULL;
	if (!lets_follower_start(message))
		follower->marks |= ASYS_MARK_CANCELLED;
	follower->state = ASYS_STATE_DUE;
	asys_fifo_push(&asys->due, follower);
}

void asys_complete(struct asys *asys, struct asys_message *message, int64_t result)
{
	if (base_unlikely(message->marks & ASYS_MARK_HAS_DEADLINE))
		asys_deadlines_remove(asys, message);
	message->result = result;
	if (base_unlikely(result == -ECANCELED || result == -EINTR))
		message->result = name_the_cause(asys, message, result);
	if (base_unlikely(message->marks & ASYS_MARK_HAS_FOLLOWER))
		release_follower(asys, message);
	message->state = ASYS_STATE_READY;
	asys_fifo_push(&asys->ready, message);
	asys->ready_count++;
}

/* ---- batches ------------------------------------------------------------------------------- */

static int refuse_in_flight(const struct asys_message *message)
{
	if (BDUS_DEBUG_CHECKS) {
		fprintf(stderr, "asys: message %p was sent while it is in flight\n",
			(const void *)message);
		abort();
	}
	return base_error(EALREADY, "message %p is in flight already", (const void *)message);
}

static int check_message(const struct asys_message *message)
{
	const unsigned links = message->flags & ASYS_LINKS;

	if (base_unlikely(message->state != ASYS_STATE_IDLE))
		return refuse_in_flight(message);
	if (base_unlikely((links & (links - 1)) != 0))
		return base_error(EINVAL, "a message has two kinds of links: flags 0x%x",
				  message->flags);
	return 0;
}

/** Marks and links the batch; 0, or with the batch as it was, an error. */
static int prepare(struct asys_message *const messages[], unsigned count,
		   enum asys_state head_state)
{
	struct asys_message *before = NULL;
	int error = 0;
	unsigned i;

	for (i = 0; i < count && error == 0; i++) {
		struct asys_message *const message = messages[i];

		error = check_message(message);
		if (error != 0)
			break;
		message->marks = 0;
		message->state = (uint8_t)head_state;
		if (base_unlikely(before != NULL)) {
			message->state = ASYS_STATE_HELD;
			before->follower = message;
			before->marks = ASYS_MARK_HAS_FOLLOWER;
		}
		before = (message->flags & ASYS_LINKS) ? message : NULL;
	}
	if (error == 0 && before != NULL)
		error = base_error(EINVAL, "the last of %u messages links to none", count);
	while (error != 0 && i-- > 0)
		messages[i]->state = ASYS_STATE_IDLE;
	return error;
}

static int accept_batch(struct asys *asys, struct asys_message *const messages[], unsigned count)
{
	int error = asys_check(asys);

	if (base_unlikely(error != 0))
		return error;
	if (base_unlikely(asys->closing && count > 0))
		return base_error(ESHUTDOWN, "the handle was closed and takes no more messages");
	error = prepare(messages, count, ASYS_STATE_DUE);
	if (base_unlikely(error != 0))
		return error;
	asys->in_flight += count;
	for (unsigned i = 0; i < count; i++) {
		/* Held, or started by the end of the one before. */
		if (base_unlikely(i > 0 && (messages[i - 1]->flags & ASYS_LINKS) != 0))
			continue;
		if (base_likely(asys->due.first == NULL))
			start(asys, messages[i]);
		else
			asys_fifo_push(&asys->due, messages[i]);
	}
	asys_start_due(asys);
	return (int)count;
}

int asys_queue(struct asys *asys, struct asys_message *const messages[], unsigned count)
{
	return accept_batch(asys, messages, count);
}

int asys_send(struct asys *asys, struct asys_message *const messages[], unsigned count)
{
	const int result = accept_batch(asys, messages, count);

	if (base_unlikely(result < 0))
		return result;
	if (asys_has_ring(asys))
		asys_ring_submit(asys);
	asys_leave(asys);
	return result;
}

/* ---- other threads ------------------------------------------------------------------------- */

void asys_shared_push(struct asys *asys, _Atomic(struct asys_message *) *list,
		      struct asys_message *first, struct asys_message *last)
{
	struct asys_message *head = atomic_load_explicit(list, memory_order_relaxed);

	do
		last->next = head;
	while (!atomic_compare_exchange_weak(list, &head, first));
	asys_wake_owner(asys);
}

void asys_wake_owner(struct asys *asys)
{
	const int saved = errno;
	const uint64_t one = 1;

	if (!atomic_load(&asys->wake_wanted) || !atomic_exchange(&asys->wake_wanted, false))
		return;
	while (write(asys->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	errno = saved;
}

int asys_wake(struct asys *asys)
{
	const int error = asys_check_process(asys);

	if (error != 0)
		return error;
	/* Who was here before and is not yet heard of has seen to the rest. */
	if (!atomic_exchange(&asys->woken, true))
		asys_wake_owner(asys);
	return 0;
}

int asys_post(struct asys *asys, struct asys_message *const messages[], unsigned count)
{
	struct asys_message *latest = NULL;
	int error = asys_check_process(asys);

	if (error == 0)
		error = prepare(messages, count, ASYS_STATE_POSTED);
	if (error != 0 || count == 0)
		return error;
	for (unsigned i = 0; i < count; i++) {
		if (messages[i]->state == ASYS_STATE_HELD)
			continue;
		messages[i]->next = latest;
		latest = messages[i];
	}
	asys_shared_push(asys, &asys->inbox, latest, messages[0]);
	return (int)count;
}

static struct asys_message *take_in_order(_Atomic(struct asys_message *) *list)
{
	struct asys_message *latest_first = atomic_exchange(list, NULL);
	struct asys_message *ordered = NULL;

	while (latest_first != NULL) {
		struct asys_message *const next = latest_first->next;

		latest_first->next = ordered;
		ordered = latest_first;
		latest_first = next;
	}
	return ordered;
}

/** A posted message and those that it holds. */
static void admit(struct asys *asys, struct asys_message *message)
{
	for (struct asys_message *held = message; held != NULL; held = held->follower) {
		asys->in_flight++;
		if ((held->marks & ASYS_MARK_HAS_FOLLOWER) == 0)
			break;
	}
	message->state = ASYS_STATE_DUE;
	if (asys->closing)
		asys_complete(asys, message, -ESHUTDOWN);
	else
		asys_fifo_push(&asys->due, message);
}

static void take_finished(struct asys *asys, struct asys_message *message)
{
	if (message->marks & ASYS_MARK_NO_WAIT)
		after_try(asys, message, message->result);
	else
		asys_complete(asys, message, message->result);
}

void asys_take_shared(struct asys *asys)
{
	struct asys_message *message = NULL, *next;

	if (atomic_load_explicit(&asys->finished, memory_order_relaxed) != NULL)
		message = take_in_order(&asys->finished);
	for (; message != NULL; message = next) {
		next = message->next;
		take_finished(asys, message);
	}
	if (atomic_load_explicit(&asys->inbox, memory_order_relaxed) != NULL)
		message = take_in_order(&asys->inbox);
	for (; message != NULL; message = next) {
		next = message->next;
		admit(asys, message);
	}
}
