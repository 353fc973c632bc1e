/* SPDX-License-Identifier: MIT */
/*
 * What the files of asys share: the handle, the life of a message, and the calls between them.
 *
 * The life of a message, as its `state` says:
 *
 *	          send          start
 *	IDLE ──┬───────▶ DUE ───────────┬─▶ IN_RING ────────────┐
 *	       │         ▲              ├─▶ WAITING (a file) ──┐│ completed
 *	  post │         │ predecessor  ├─▶ IN_WORKERS ────────┼┼──────────▶ READY ──▶ IDLE
 *	       ▼         │ completed    ├─▶ TIMED ─────────────┘│              reap
 *	    POSTED ──▶ HELD             └─▶ carried out inline ─┘
 *
 * Threads: all is the owner's but `inbox`, `finished`, `wake_wanted`, `woken` and what a pool keeps
 *under its lock. A message that is IN_WORKERS belongs to the pool until it is in `finished`.
 */
#ifndef ASYS_INTERNAL_H
#define ASYS_INTERNAL_H

#include "asys.h"
#include "base/bits.h"

#include <assert.h>
#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

static_assert(ASYS_FIXED_FILE == IOSQE_FIXED_FILE && ASYS_PICK_BUFFER == IOSQE_BUFFER_SELECT,
	      "flags of messages serve as the ring's");

/** Flags that name things which the handle may not have. */
#define ASYS_REFERENCES (ASYS_FIXED_FILE | ASYS_FIXED_BUFFER | ASYS_PICK_BUFFER | ASYS_REPEAT)

/** Of newer kernels than liburing's header may know. */
#define ASYS_RING_COMMAND_REPEATS (1U << 1)

#define ASYS_LINKS (ASYS_LINK_AFTER | ASYS_LINK_SUCCESS | ASYS_LINK_HARD)

/** More than any kernel has; asys uses none of them past 51. */
#define ASYS_RING_OPERATIONS 64

enum asys_state {
	ASYS_STATE_IDLE,
	/** In an inbox. */
	ASYS_STATE_POSTED,
	/** Behind another message that links to it. */
	ASYS_STATE_HELD,
	/** In `due`. */
	ASYS_STATE_DUE,
	ASYS_STATE_IN_RING,
	/** Without a ring: for a file to be readable or writable. */
	ASYS_STATE_WAITING,
	ASYS_STATE_IN_WORKERS,
	/** For its time. */
	ASYS_STATE_TIMED,
	/** In `ready`. */
	ASYS_STATE_READY
};

enum asys_mark {
	/** It was asked to end before its time, by asys_cancel(), or by its deadline. */
	ASYS_MARK_CANCELLED = 1 << 0,
	ASYS_MARK_EXPIRED = 1 << 1,
	/** In `deadlines`. */
	ASYS_MARK_HAS_DEADLINE = 1 << 2,
	/** `follower` is set. */
	ASYS_MARK_HAS_FOLLOWER = 1 << 3,
	/** It is tried without blocking; on -EAGAIN it waits for its file again. */
	ASYS_MARK_NO_WAIT = 1 << 4
};

/** What a file is like, for the choice of the executor. */
enum asys_file_kind {
	ASYS_FILE_UNKNOWN,
	/** Reads without blocking can be asked for. */
	ASYS_FILE_NO_WAIT,
	/** Lies in memory: nothing on it blocks, and the kernel does not know that. */
	ASYS_FILE_MEMORY,
	/** Has no positions: a pipe, a socket, a terminal. */
	ASYS_FILE_STREAM,
	/** A terminal, an event descriptor, a character device: may or may not have positions. */
	ASYS_FILE_DEVICE,
	/** Opened with O_DIRECT or only for writing: the ring can do better than a worker. */
	ASYS_FILE_DIRECT,
	/** Whatever else; the kernel would give it to threads of its own. */
	ASYS_FILE_BLOCKING
};

/** Messages in order, linked by `next`. */
struct asys_fifo {
	struct asys_message *first;
	struct asys_message *last;
};

struct asys_fixed_file {
	int file;
	uint8_t kind;
};

/** A remembered kind and how often it may be used before another look. */
struct asys_known_file {
	uint8_t kind;
	uint8_t uses_left;
};

/** Messages that wait for a descriptor, linked both ways, and whether epoll knows it. */
struct asys_waiters {
	struct asys_message *first;
	bool registered;
};

/** Memory for the kernel to pick from. */
struct asys_group {
	struct io_uring_buf_ring *ring;
	uint8_t *memory;
	uint32_t length_bytes;
	unsigned count;
};

#define ASYS_GROUPS 16

/** A result of a message that repeats, until it can be handed out. */
struct asys_repeat {
	struct asys_message *message;
	int32_t result;
	uint32_t flags;
};

struct asys_pool;

struct asys {
	/** In a page that the kernel clears in the child of a fork. */
	const volatile uint32_t *alive;
	pthread_t owner;
	uint32_t flags;
	int ring_error;
	/** More than one processor to run on. */
	bool has_processors;
	bool closing;
	bool cancelling;
	/** asys_fd() was called: the descriptor must tell what goes on. */
	bool polled;
	/** The wake event was written by us and not yet consumed. */
	bool wake_sent;
	/** A signal ended the last sleep. */
	bool interrupted;
	unsigned turns;

	struct io_uring ring;
	uint32_t ring_setup;
	uint32_t depth;
	uint32_t max_kernel_workers;
	/** By the ring's operation. */
	bool ring_takes[ASYS_RING_OPERATIONS];
	bool wake_armed;
	/** The kernel took no more entries; try again in the next turn. */
	bool stalled;
	/** Result of the asys_cancel() that waits for it. */
	bool cancel_answered;
	int cancel_result;
	/** Of the ring's timer; UINT64_MAX for none. */
	uint64_t timer_ns;
	struct __kernel_timespec timer;
	uint64_t wake_count;

	/** Completed; to be started; their number. */
	struct asys_fifo ready;
	struct asys_fifo due;
	unsigned in_flight;
	/** Of those, commands to drivers, which the kernel may keep until the ring is closed. */
	unsigned commands;
	unsigned ready_count;
	struct asys_message *deadlines;
	uint64_t given_ring;
	uint64_t given_inline;
	uint64_t given_workers;

	/** Without a ring: readiness of files, by descriptor. */
	int epoll_fd;
	int timer_fd;
	struct asys_waiters *waiters;
	unsigned waiters_count;

	struct asys_known_file *known;
	unsigned known_count;
	struct asys_fixed_file *fixed;
	unsigned fixed_count;
	/** Whether a registered buffer is the kernel's rather than memory, by index. */
	bool *kernel_buffers;
	unsigned buffer_count;
	struct asys_group groups[ASYS_GROUPS];
	unsigned group_count;
	/** Of this asys_wait() or asys_reap(): a message is handed out once in each. */
	uint32_t wait_number;
	struct asys_repeat *repeats;
	unsigned repeat_count;
	unsigned repeat_room;

	struct asys_pool *pool;

	/** From here on: shared between threads. Latest first. */
	_Alignas(64) _Atomic(struct asys_message *) inbox;
	_Atomic(struct asys_message *) finished;
	/** The owner sleeps or polls: who adds to the lists writes the event. */
	atomic_bool wake_wanted;
	/** asys_wake() was called since the last wait ended. */
	atomic_bool woken;
	int wake_fd;
};

static inline bool asys_has_ring(const struct asys *asys)
{
	return asys->ring_error == 0;
}

/* ---- lists --------------------------------------------------------------------------------- */

static inline void asys_fifo_push(struct asys_fifo *fifo, struct asys_message *message)
{
	message->next = NULL;
	if (fifo->first == NULL)
		fifo->first = message;
	else
		fifo->last->next = message;
	fifo->last = message;
}

static inline struct asys_message *asys_fifo_pop(struct asys_fifo *fifo)
{
	struct asys_message *const message = fifo->first;

	if (message != NULL)
		fifo->first = message->next;
	return message;
}

/** Adds @first … @last, linked by `next`, to a list that the owner takes as a whole. */
void asys_shared_push(struct asys *asys, _Atomic(struct asys_message *) *list,
		      struct asys_message *first, struct asys_message *last);

/** Wakes the owner if it sleeps, or is about to. Any thread, and signal handlers. */
void asys_wake_owner(struct asys *asys);

/* ---- asys.c, send.c, reap.c ---------------------------------------------------------------- */

/** 0, or what a call on a handle that is not this process's returns. */
int asys_check_process(const struct asys *asys);

/** The same for calls that only the owner makes; a debug build aborts on any other thread. */
int asys_check(const struct asys *asys);

/** Goes on with a message whose file is ready. */
void asys_resume(struct asys *asys, struct asys_message *message);

/** What of asys_cancel() needs no check. */
int asys_cancel_message(struct asys *asys, struct asys_message *message);

/** The end of every public call: the descriptor tells what the program has to know. */
void asys_leave(struct asys *asys);

/** Starts what is due, and what that makes due. */
void asys_start_due(struct asys *asys);

/** The end of a message: it is READY then, and its follower DUE. */
void asys_complete(struct asys *asys, struct asys_message *message, int64_t result);

/** The kind of waiting that a message does without a ring; EPOLLIN, EPOLLOUT or what it asks for.
 */
uint32_t asys_events_of(const struct asys_message *message);

/** Takes over what other threads posted and finished. */
void asys_take_shared(struct asys *asys);

/** Cancels without waiting for an answer, for a deadline or the end. */
void asys_stop_message(struct asys *asys, struct asys_message *message);

/* ---- operation.c: what is known of each operation ------------------------------------------ */

enum asys_class {
	/** Any system call: workers. */
	ASYS_CLASS_CALL,
	/** Reads and writes of a file at an offset; and at its position. */
	ASYS_CLASS_READ,
	ASYS_CLASS_WRITE,
	ASYS_CLASS_STREAM_READ,
	ASYS_CLASS_STREAM_WRITE,
	/** Sockets: wait for input, or for room. */
	ASYS_CLASS_SOCKET_IN,
	ASYS_CLASS_SOCKET_OUT,
	/** Goes to the ring, or to workers. */
	ASYS_CLASS_RING,
	/** fsync(2), for which files in memory have nothing to do. */
	ASYS_CLASS_SYNC,
	/** Never blocks, and the ring has no such thing. */
	ASYS_CLASS_QUICK,
	ASYS_CLASS_CLOSE,
	ASYS_CLASS_NOP,
	ASYS_CLASS_POLL,
	ASYS_CLASS_TIMEOUT,
	ASYS_CLASS_URING_CMD,
	ASYS_CLASS_CANCEL
};

enum asys_class asys_class_of(const struct asys_message *message);

/** Whether the call's result is a number of bytes, and how many were asked for. */
bool asys_asks_for_bytes(const struct asys_message *message, uint64_t *length_bytes);

/** Carries a message out by system calls, on this thread, with arguments[0] replaced by @file. */
int64_t asys_call(const struct asys_message *message, uint64_t file);

/** No result of any call. */
#define ASYS_CANNOT_TRY INT64_MIN

/** The same without blocking: -EAGAIN when it would have to wait; or ASYS_CANNOT_TRY. */
int64_t asys_try(const struct asys_message *message, uint64_t file);

/** Whether -EAGAIN is what the program wants rather than to wait, as its flags say. */
bool asys_must_not_wait(const struct asys_message *message);

/* ---- ring.c, ring_encode.c ----------------------------------------------------------------- */

/** What completions of asys' own say: no message lies at such an address. */
enum asys_event {
	ASYS_EVENT_WAKE = 1,
	ASYS_EVENT_TIMER,
	ASYS_EVENT_CANCEL,
	ASYS_EVENT_IGNORED,
	ASYS_EVENT_COUNT
};

/** Sets the ring up, or leaves the reason in ring_error. */
void asys_ring_init(struct asys *asys);
void asys_ring_finish(struct asys *asys);

/**
 * Sees to it that who polls the ring is woken: with deferred work it is not told of what only its
 * own thread can finish. That takes another ring, and so an idle one, or -EBUSY. Without a ring on
 * return, none could be had.
 */
int asys_ring_make_pollable(struct asys *asys);

/** Gives @message to the ring; false when it has no such operation or cannot take it now. */
bool asys_ring_give(struct asys *asys, struct asys_message *message);

/** Submits; and waits for a completion if @timeout_ns is not 0, UINT64_MAX being for ever. */
void asys_ring_enter(struct asys *asys, uint64_t timeout_ns);

/** Hands what is prepared to the kernel. */
void asys_ring_submit(struct asys *asys);

/** Up to @capacity completions that need nothing more to @completed; others become READY. */
unsigned asys_ring_take(struct asys *asys, struct asys_message *completed[], unsigned capacity);

/** Whether looking at the ring needs a system call: something is prepared, or waits in the kernel.
 */
bool asys_ring_has_work(const struct asys *asys);

/** Prepares a cancellation whose answer is @event. */
void asys_ring_cancel_by(struct asys *asys, uint64_t user_data, unsigned flags,
			 enum asys_event event);

/** Waits for the answer to the one whose event is ASYS_EVENT_CANCEL; what else comes is READY. */
int asys_ring_await_answer(struct asys *asys);
int asys_ring_cancel(struct asys *asys, struct asys_message *message);
void asys_ring_stop(struct asys *asys, struct asys_message *message);
void asys_ring_stop_all(struct asys *asys);
void asys_ring_arm(struct asys *asys);

/** A free entry, by a system call if need be; NULL when the kernel takes none now. */
struct io_uring_sqe *asys_ring_entry(struct asys *asys);

/** Fills in an entry; false when the ring has no such thing. */
bool asys_ring_encode(const struct asys *asys, const struct asys_message *message, int opcode,
		      struct io_uring_sqe *sqe);

/** What one call moves at most; the kernel cuts lengths the same way. */
#define ASYS_CALL_BYTES_MOST 0x7ffff000U

static inline uint32_t asys_ring_cut_length(uint64_t length_bytes)
{
	return (uint32_t)base_min(length_bytes, ASYS_CALL_BYTES_MOST);
}

/** What entries of all operations have in common. */
static inline void asys_ring_clear(struct io_uring_sqe *sqe, const struct asys_message *message,
				   uint8_t opcode)
{
	*sqe = (struct io_uring_sqe){
		.opcode = opcode,
		.flags = message->flags & (ASYS_FIXED_FILE | ASYS_PICK_BUFFER),
		.fd = (int32_t)message->arguments[0],
		.user_data = asys_pointer(message),
	};
}

static inline void asys_ring_encode_transfer(const struct asys_message *message,
					     struct io_uring_sqe *sqe, uint64_t offset)
{
	sqe->off = offset;
	sqe->addr = message->arguments[1];
	sqe->len = asys_ring_cut_length(message->arguments[2]);
	sqe->buf_index = message->buffer_index;
}

/** What a command's body may take in an entry of the usual size. */
#define ASYS_COMMAND_BYTES 16

/** Whether the ring is sure to take a command to a driver, as it is in an entry of the usual size.
 */
static inline bool asys_ring_takes_command(const struct asys *asys,
					   const struct asys_message *message)
{
	return asys->ring_takes[IORING_OP_URING_CMD] &&
	       message->arguments[3] == ASYS_COMMAND_BYTES &&
	       (asys->ring_setup & IORING_SETUP_SQE128) == 0;
}

/** The body has to fit. */
static inline void asys_ring_encode_command(const struct asys_message *message,
					    struct io_uring_sqe *sqe, size_t body_bytes)
{
	sqe->cmd_op = (uint32_t)message->arguments[1];
	sqe->addr = message->arguments[4];
	sqe->buf_index = message->buffer_index;
	sqe->uring_cmd_flags = ((message->flags & ASYS_FIXED_BUFFER) ? 1U : 0) |
			       ((message->flags & ASYS_REPEAT) ? ASYS_RING_COMMAND_REPEATS : 0);
	memcpy(sqe->cmd, (const void *)(uintptr_t)message->arguments[2], body_bytes);
}

/** The ring's operation of a message; -1 for none. */
int asys_ring_opcode(const struct asys_message *message);

/* ---- wait.c: without a ring, readiness and time -------------------------------------------- */

int asys_wait_init(struct asys *asys);
void asys_wait_finish(struct asys *asys);

/** Looks at, or waits for, files, the wake event and the timer; starts what may go on. */
void asys_wait_turn(struct asys *asys, uint64_t timeout_ns);

/** Parks @message until @file has what it waits for. -EPERM when that is always so. */
int asys_wait_for(struct asys *asys, struct asys_message *message, int file);
void asys_wait_remove(struct asys *asys, struct asys_message *message);

void asys_wait_arm(struct asys *asys);

/* ---- deadlines.c --------------------------------------------------------------------------- */

/** When @message is due, for one that waits for time or has a deadline. */
uint64_t asys_deadline_of(const struct asys_message *message);
void asys_deadlines_add(struct asys *asys, struct asys_message *message);
void asys_deadlines_remove(struct asys *asys, struct asys_message *message);

/** Ends what is past its time. */
void asys_deadlines_run(struct asys *asys);

/** The lesser of @timeout_ns and the time to the first deadline. */
uint64_t asys_deadlines_limit(const struct asys *asys, uint64_t timeout_ns);

/* ---- files.c ------------------------------------------------------------------------------- */

/** The kind of the file in arguments[0], looked up or looked at. */
enum asys_file_kind asys_kind_of(struct asys *asys, const struct asys_message *message);

/** What a descriptor is now, never remembered. */
enum asys_file_kind asys_look_at_file(int file);

/** The descriptor in arguments[0]; as it is for a message without ASYS_FIXED_FILE. */
uint64_t asys_file_of(const struct asys *asys, const struct asys_message *message);

void asys_files_forget(struct asys *asys, int file);
void asys_files_finish(struct asys *asys);

/** Takes the groups of memory away; of a copy in a forked child, only their memory. */
void asys_groups_finish(struct asys *asys, bool forked);

/** 0, or the error of a message whose indexes name nothing, or that cannot have such flags. */
int asys_check_references(const struct asys *asys, struct asys_message *message);

/** Whether the message uses memory that only the kernel can reach. */
bool asys_needs_kernel_buffer(const struct asys *asys, const struct asys_message *message);

/* ---- workers.c ----------------------------------------------------------------------------- */

int asys_pool_create(struct asys *asys, const struct asys_options *options,
		     struct asys_pool **pool);

/** Waits for running messages; there are none queued. @forked: only frees. */
void asys_pool_destroy(struct asys_pool *pool, bool forked);
void asys_pool_give(struct asys_pool *pool, struct asys_message *message);

enum asys_pool_cancelled {
	/** No thread had it: it is the owner's again. */
	ASYS_POOL_TAKEN_BACK,
	/** A thread has it and will give it back. */
	ASYS_POOL_WILL_END
};

/** One of the above, or -EALREADY when a thread has it and cannot be stopped. */
int asys_pool_cancel(struct asys_pool *pool, struct asys_message *message);

/** Takes all waiting messages back, linked by `next`, and stops what can be stopped. */
struct asys_message *asys_pool_take_all(struct asys_pool *pool);
unsigned asys_pool_size(struct asys_pool *pool);

#endif
