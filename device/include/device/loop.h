/* SPDX-License-Identifier: MIT */
/*
 * The engine's loop as a way in sees it: system calls as messages of asys, and a place in the line
 * of those that have requests to hand over.
 *
 * A loop belongs to one thread and serves any number of queues, of any devices. Its turn: commit
 * what was completed, one system call that hands over what was prepared and waits, run what came
 * back, then fetch from the queues that asked for it. Nothing here is for other threads.
 */
#ifndef DEVICE_LOOP_H
#define DEVICE_LOOP_H

#include <bdus/async.h>

struct bdus_queue;

/**
 * Ends @host with @result, a negative errno, and the last message, as an error of fetch() does,
 * which is then not called any more.
 */
void bdus_host_fail(struct bdus_queue *host, int result);

/** The loop that serves @host, which is what open_queue() was given. */
struct bdus_loop *bdus_host_loop(struct bdus_queue *host);

/**
 * Has the engine call fetch() for this queue, in this turn or the next, without sleeping before.
 * Once per call of this function; a transport with more to hand over calls it again.
 */
void bdus_host_make_ready(struct bdus_queue *host);

/**
 * Has the engine call commit() for this queue before it sleeps, be it without a request: after what
 * this turn completes, so that one message can carry results and ask for requests.
 */
void bdus_host_want_commit(struct bdus_queue *host);

/**
 * Cancels @call, if it is in flight, and waits until it has come back, which `completed` is then
 * not told of. Only for calls that wait for a descriptor or for time, and not from within a
 * callback of the loop.
 */
void bdus_loop_end_call(struct bdus_loop *loop, struct bdus_call *call);

/** Hands what was sent to the kernel now, rather than with the turn's system call. */
void bdus_loop_flush(struct bdus_loop *loop);

/**
 * Whether everything that completed was dispatched, and nothing completes before the loop waits
 * again. Only within fetch() and commit().
 */
bool bdus_loop_is_quiet(const struct bdus_loop *loop);

/** Whether the loop's messages go to io_uring, which ublk cannot do without: 0, or why not. */
int bdus_loop_ring_error(struct bdus_loop *loop);

/**
 * Puts @file into the ring's table of files and returns its index for ASYS_FIXED_FILE; the table is
 * made when it is first wanted. -ENOSPC when it is full.
 */
int bdus_loop_add_file(struct bdus_loop *loop, int file);
/** Whether the table has a file. */
bool bdus_loop_has_files(const struct bdus_loop *loop);
void bdus_loop_remove_file(struct bdus_loop *loop, int index);

/**
 * Reserves @count neighbouring entries of the ring's table of buffers for the kernel to fill in,
 * and returns the first one's index. -ENOSPC, -ENOMEM, -EOPNOTSUPP without io_uring.
 */
int bdus_loop_add_buffers(struct bdus_loop *loop, unsigned count);
void bdus_loop_remove_buffers(struct bdus_loop *loop, unsigned first, unsigned count);

/** The group of a call with ASYS_PICK_BUFFER; its pieces are of the bytes that follow. */
#define BDUS_LOOP_GROUP        0
#define BDUS_LOOP_PICKED_BYTES 256

/**
 * Has memory for such calls, from now on until the loop's end. -ENOMEM; without io_uring,
 * -EOPNOTSUPP.
 */
int bdus_loop_provide_memory(struct bdus_loop *loop);
/** What was picked for the result of @call; NULL for nothing. */
void *bdus_loop_picked(struct bdus_loop *loop, const struct bdus_call *call);
/** Gives it back, if there is something. */
void bdus_loop_return_picked(struct bdus_loop *loop, const struct bdus_call *call);

/** Whether there are several queues in the loop, none of which may hold up the others. */
bool bdus_loop_is_shared(const struct bdus_loop *loop);

/** How long the loop may look for events before it sleeps, while that pays off; the most counts. */
void bdus_loop_allow_polling(struct bdus_loop *loop, uint64_t most_ns);

#endif
