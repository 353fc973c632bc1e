/* SPDX-License-Identifier: MIT */
/*
 * The ring: set-up by what the kernel refuses, handing over and taking back, and cancelling.
 *
 * Owner: the thread that created the handle. The kernel insists on it, too.
 */
#include "asys_internal.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A ring without these is not worth having; older kernels get workers. */
static const uint8_t needed_operations[] = {
	IORING_OP_NOP,          IORING_OP_READ,   IORING_OP_WRITE,    IORING_OP_READV,
	IORING_OP_WRITEV,       IORING_OP_RECV,   IORING_OP_SEND,     IORING_OP_RECVMSG,
	IORING_OP_SENDMSG,      IORING_OP_ACCEPT, IORING_OP_POLL_ADD, IORING_OP_TIMEOUT,
	IORING_OP_ASYNC_CANCEL,
};

/* ---- setting up ---------------------------------------------------------------------------- */

/*
 * The best set-up first. Kernels that lack a flag say -EINVAL. What comes after FIRST_POLLABLE
 * wakes who polls the ring's descriptor.
 */
#define FIRST_POLLABLE 1
static const unsigned setups[] = {
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		IORING_SETUP_SUBMIT_ALL,
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		IORING_SETUP_SUBMIT_ALL,
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
	IORING_SETUP_SUBMIT_ALL,
};

/*
 * Memory that a ring gives up may be the next ring's, of another thread. That the one comes after
 * the other is the kernel's doing, and said here for tools that look at threads.
 */
static atomic_uint rings_closed;

static void close_ring(struct asys *asys)
{
	atomic_fetch_add_explicit(&rings_closed, 1, memory_order_release);
	io_uring_queue_exit(&asys->ring);
}

static int create(struct asys *asys, unsigned first)
{
	const unsigned always = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE |
				((asys->flags & ASYS_WIDE_ENTRIES) ? IORING_SETUP_SQE128 : 0);
	int result = -EINVAL;

	for (unsigned i = first; result == -EINVAL && i < BASE_ARRAY_LENGTH(setups); i++) {
		struct io_uring_params parameters = {
			.flags = setups[i] | always,
			.cq_entries = asys->depth * 4,
		};

		result = io_uring_queue_init_params(asys->depth, &asys->ring, &parameters);
		asys->ring_setup = setups[i] | always;
	}
	atomic_load_explicit(&rings_closed, memory_order_acquire);
	return result;
}

static int probe(struct asys *asys)
{
	struct io_uring_probe *const operations = io_uring_get_probe_ring(&asys->ring);
	int result = operations != NULL ? 0 : -ENOSYS;

	if (operations == NULL)
		return result;
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(asys->ring_takes); i++)
		asys->ring_takes[i] = io_uring_opcode_supported(operations, (int)i) != 0;
	io_uring_free_probe(operations);
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(needed_operations); i++)
		if (!asys->ring_takes[needed_operations[i]])
			result = -ENOSYS;
	return result;
}

/* Everything at once; -ENOENT says that there was nothing, -EINVAL that the kernel cannot do that.
 */
static int try_to_cancel_all(struct asys *asys)
{
	asys->cancel_answered = false;
	asys_ring_cancel_by(asys, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
			    ASYS_EVENT_CANCEL);
	return asys_ring_await_answer(asys);
}

static void limit_kernel_workers(struct asys *asys, unsigned most)
{
	unsigned values[2] = {most, most};

	io_uring_register_iowq_max_workers(&asys->ring, values);
}

static void set_up(struct asys *asys, unsigned first)
{
	asys->timer_ns = UINT64_MAX;
	asys->ring_error = (asys->flags & ASYS_NO_RING) ? -ENOTSUP : create(asys, first);
	if (asys->ring_error != 0)
		return;
	/* A child that had the ring mapped would share it with us. */
	io_uring_ring_dontfork(&asys->ring);
	io_uring_register_ring_fd(&asys->ring);
	limit_kernel_workers(asys, asys->max_kernel_workers);
	asys->ring_error = probe(asys);
	if (asys->ring_error == 0 && try_to_cancel_all(asys) == -EINVAL)
		asys->ring_error = -ENOSYS;
	if (asys->ring_error != 0)
		close_ring(asys);
}

void asys_ring_init(struct asys *asys)
{
	set_up(asys, 0);
}

int asys_ring_make_pollable(struct asys *asys)
{
	if ((asys->ring_setup & IORING_SETUP_DEFER_TASKRUN) == 0)
		return 0;
	if (asys->in_flight != 0 || asys->fixed_count != 0 || asys->buffer_count != 0 ||
	    asys->group_count != 0)
		return base_error(EBUSY, "the descriptor has to be asked for before messages are "
					 "sent, and files or buffers registered");
	/* The old ring must not take an event that is meant for the new one. */
	while (asys->wake_armed) {
		asys_ring_stop_all(asys);
		asys_ring_enter(asys, UINT64_MAX);
		asys_ring_take(asys, NULL, 0);
	}
	close_ring(asys);
	set_up(asys, FIRST_POLLABLE);
	return 0;
}

void asys_ring_finish(struct asys *asys)
{
	if (asys_has_ring(asys))
		close_ring(asys);
}

/* ---- handing over -------------------------------------------------------------------------- */

static bool is_shortage(int result)
{
	return result == -EAGAIN || result == -EBUSY || result == -ENOMEM;
}

void asys_ring_submit(struct asys *asys)
{
	int result;

	if (io_uring_sq_ready(&asys->ring) == 0)
		return;
	do
		result = io_uring_submit(&asys->ring);
	while (result == -EINTR);
	/* A shortage passes; the entries stay where they are until the next turn. */
	asys->stalled = result < 0;
}

struct io_uring_sqe *asys_ring_entry(struct asys *asys)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&asys->ring);

	if (base_likely(sqe != NULL))
		return sqe;
	asys_ring_submit(asys);
	return io_uring_get_sqe(&asys->ring);
}

bool asys_ring_give(struct asys *asys, struct asys_message *message)
{
	const int opcode = asys_ring_opcode(message);
	struct io_uring_sqe *sqe;

	if (base_unlikely(opcode < 0 || !asys->ring_takes[opcode]))
		return false;
	sqe = asys_ring_entry(asys);
	if (base_unlikely(sqe == NULL)) {
		asys->stalled = true;
		asys_fifo_push(&asys->due, message);
		return true;
	}
	if (base_unlikely(!asys_ring_encode(asys, message, opcode, sqe))) {
		/* The entry is taken; it says nothing now. */
		io_uring_prep_nop(sqe);
		sqe->user_data = ASYS_EVENT_IGNORED;
		return false;
	}
	message->state = ASYS_STATE_IN_RING;
	asys->commands += message->number == ASYS_URING_CMD;
	asys->given_ring++;
	return true;
}

bool asys_ring_has_work(const struct asys *asys)
{
	const unsigned flags = IO_URING_READ_ONCE(*asys->ring.sq.kflags);

	return io_uring_sq_ready(&asys->ring) != 0 ||
	       (flags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0;
}

void asys_ring_enter(struct asys *asys, uint64_t timeout_ns)
{
	struct __kernel_timespec timeout;
	struct io_uring_cqe *cqe;
	int result;

	if (timeout_ns == 0) {
		result = io_uring_submit_and_get_events(&asys->ring);
	} else if (timeout_ns == UINT64_MAX) {
		result = io_uring_submit_and_wait(&asys->ring, 1);
	} else {
		timeout.tv_sec = (int64_t)(timeout_ns / 1000000000U);
		timeout.tv_nsec = (int64_t)(timeout_ns % 1000000000U);
		result = io_uring_submit_and_wait_timeout(&asys->ring, &cqe, 1, &timeout, NULL);
	}
	asys->interrupted = result == -EINTR;
	asys->stalled = is_shortage(result);
}

/* ---- taking back --------------------------------------------------------------------------- */

static void take_event(struct asys *asys, uint64_t event, int result)
{
	switch (event) {
	case ASYS_EVENT_WAKE:
		asys->wake_armed = false;
		asys->wake_sent = false;
		break;
	case ASYS_EVENT_TIMER:
		asys->timer_ns = UINT64_MAX;
		break;
	case ASYS_EVENT_CANCEL:
		asys->cancel_answered = true;
		asys->cancel_result = result;
		break;
	default:
		break;
	}
}

/* ---- messages that repeat ------------------------------------------------------------------ */

/*
 * A message has room for one result, which the program must have seen before the next takes its
 * place: one result a wait. Those that come earlier are put off, in their order.
 */

static void show(struct asys *asys, const struct asys_repeat *repeat)
{
	struct asys_message *const message = repeat->message;

	message->shown = asys->wait_number;
	message->result = repeat->result;
	message->more = (repeat->flags & IORING_CQE_F_MORE) != 0;
	message->picked_buffer = (repeat->flags & IORING_CQE_F_BUFFER)
					 ? (int32_t)(repeat->flags >> IORING_CQE_BUFFER_SHIFT)
					 : -1;
	if (message->more)
		return;
	message->state = ASYS_STATE_IDLE;
	asys->commands--;
	asys->in_flight--;
}

/** False when there is no memory for it; it can be tried again. */
static bool put_off(struct asys *asys, const struct asys_repeat *repeat)
{
	if (asys->repeat_count == asys->repeat_room) {
		const unsigned room = asys->repeat_room * 2 + 64;
		struct asys_repeat *const repeats = realloc(asys->repeats, room * sizeof(*repeats));

		if (repeats == NULL)
			return false;
		asys->repeats = repeats;
		asys->repeat_room = room;
	}
	asys->repeats[asys->repeat_count++] = *repeat;
	return true;
}

static unsigned show_what_was_put_off(struct asys *asys, struct asys_message *completed[],
				      unsigned capacity)
{
	unsigned left = 0, count = 0;

	for (unsigned i = 0; i < asys->repeat_count; i++) {
		const struct asys_repeat repeat = asys->repeats[i];

		if (repeat.message->shown == asys->wait_number || count == capacity) {
			asys->repeats[left++] = repeat;
			continue;
		}
		show(asys, &repeat);
		completed[count++] = repeat.message;
	}
	asys->repeat_count = left;
	return count;
}

/** Whether the event is done with. */
static bool take_repeat(struct asys *asys, const struct io_uring_cqe *cqe,
			struct asys_message *completed[], unsigned *count, unsigned capacity)
{
	const struct asys_repeat repeat = {
		.message = (void *)(uintptr_t)cqe->user_data,
		.result = cqe->res,
		.flags = cqe->flags,
	};

	if (repeat.message->shown == asys->wait_number || *count >= capacity)
		return put_off(asys, &repeat);
	show(asys, &repeat);
	completed[(*count)++] = repeat.message;
	return true;
}

/* ---- what came back ------------------------------------------------------------------------ */

/** An event of our own, and not the end of a message. */
static inline bool is_event(const struct io_uring_cqe *cqe)
{
	return cqe->user_data < ASYS_EVENT_COUNT || cqe->user_data == LIBURING_UDATA_TIMEOUT;
}

/** What is not as plain as most; whether it is done with. */
static bool take_message(struct asys *asys, const struct io_uring_cqe *cqe,
			 struct asys_message *completed[], unsigned *count, unsigned capacity)
{
	struct asys_message *const message = (void *)(uintptr_t)cqe->user_data;

	if (message->flags & ASYS_REPEAT)
		return take_repeat(asys, cqe, completed, count, capacity);
	if (message->number == ASYS_URING_CMD)
		asys->commands--;
	asys_complete(asys, message, cqe->res);
	return true;
}

static bool take_any(struct asys *asys, const struct io_uring_cqe *cqe,
		     struct asys_message *completed[], unsigned *count, unsigned capacity)
{
	if (!is_event(cqe))
		return take_message(asys, cqe, completed, count, capacity);
	take_event(asys, cqe->user_data, cqe->res);
	return true;
}

/** The message that ends with @cqe and needs nothing else; NULL for all others. */
static inline struct asys_message *take_plain(const struct io_uring_cqe *cqe)
{
	struct asys_message *const message = (void *)(uintptr_t)cqe->user_data;

	if (base_unlikely(is_event(cqe) || message->marks != 0 || (message->flags & ASYS_REPEAT)))
		return NULL;
	message->result = cqe->res;
	message->state = ASYS_STATE_IDLE;
	return message;
}

unsigned asys_ring_take(struct asys *asys, struct asys_message *completed[], unsigned capacity)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0, count = 0, ended = 0, commands = 0;

	if (base_unlikely(asys->repeat_count != 0))
		count = show_what_was_put_off(asys, completed, capacity);
	io_uring_for_each_cqe(&asys->ring, head, cqe)
	{
		struct asys_message *const message =
			count < capacity && !asys->cancelling ? take_plain(cqe) : NULL;

		if (base_likely(message != NULL)) {
			completed[count++] = message;
			ended++;
			commands += message->number == ASYS_URING_CMD;
		} else if (!take_any(asys, cqe, completed, &count, capacity)) {
			break;
		}
		seen++;
	}
	asys->in_flight -= ended;
	asys->commands -= commands;
	io_uring_cq_advance(&asys->ring, seen);
	return count;
}

/* ---- cancelling ---------------------------------------------------------------------------- */

void asys_ring_cancel_by(struct asys *asys, uint64_t user_data, unsigned flags,
			 enum asys_event event)
{
	struct io_uring_sqe *sqe;

	/* A shortage passes, the sooner as what has completed is taken. */
	while ((sqe = asys_ring_entry(asys)) == NULL) {
		asys_ring_enter(asys, 0);
		asys_ring_take(asys, NULL, 0);
	}
	io_uring_prep_cancel64(sqe, user_data, (int)flags);
	sqe->user_data = event;
}

int asys_ring_await_answer(struct asys *asys)
{
	asys_ring_enter(asys, 0);
	asys_ring_take(asys, NULL, 0);
	while (!asys->cancel_answered) {
		asys_ring_enter(asys, UINT64_MAX);
		asys_ring_take(asys, NULL, 0);
	}
	return asys->cancel_result;
}

int asys_ring_cancel(struct asys *asys, struct asys_message *message)
{
	int result;

	message->marks |= ASYS_MARK_CANCELLED;
	asys->cancel_answered = false;
	asys_ring_cancel_by(asys, asys_pointer(message), 0, ASYS_EVENT_CANCEL);
	result = asys_ring_await_answer(asys);
	/* For some operations the answer is how many were stopped. */
	return result >= 0 ? 0 : -EALREADY;
}

void asys_ring_stop(struct asys *asys, struct asys_message *message)
{
	asys_ring_cancel_by(asys, asys_pointer(message), 0, ASYS_EVENT_IGNORED);
}

void asys_ring_stop_all(struct asys *asys)
{
	asys_ring_submit(asys);
	asys_ring_cancel_by(asys, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
			    ASYS_EVENT_IGNORED);
	asys_ring_submit(asys);
}

/* ---- what wakes a waiting program ---------------------------------------------------------- */

static void arm_wake(struct asys *asys)
{
	struct io_uring_sqe *const sqe = asys_ring_entry(asys);

	if (sqe == NULL)
		return;
	io_uring_prep_read(sqe, asys->wake_fd, &asys->wake_count, sizeof(asys->wake_count), 0);
	sqe->user_data = ASYS_EVENT_WAKE;
	asys->wake_armed = true;
}

static void arm_timer(struct asys *asys, uint64_t when_ns)
{
	struct io_uring_sqe *const sqe = asys_ring_entry(asys);

	if (sqe == NULL)
		return;
	asys->timer.tv_sec = (int64_t)(when_ns / 1000000000U);
	asys->timer.tv_nsec = (int64_t)(when_ns % 1000000000U);
	asys->timer_ns = when_ns;
	io_uring_prep_timeout(sqe, &asys->timer, 0, IORING_TIMEOUT_ABS);
	sqe->user_data = ASYS_EVENT_TIMER;
}

void asys_ring_arm(struct asys *asys)
{
	if (!asys->wake_armed)
		arm_wake(asys);
	if (asys->deadlines == NULL)
		return;
	if (asys_deadline_of(asys->deadlines) < asys->timer_ns)
		arm_timer(asys, asys_deadline_of(asys->deadlines));
}
