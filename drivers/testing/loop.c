/* SPDX-License-Identifier: MIT */
/*
 * The queue and the loop that stand in for those of BDUS in unit tests of drivers: one of each on
 * every thread.
 */
#include "double.h"
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	MOST_CALLS = 256,
};

struct bdus_loop {
	/* Not 0, as model_random() wants it. */
	uint64_t random;
	struct bdus_call *calls[MOST_CALLS];
	unsigned count;
};

struct bdus_queue {
	struct bdus_loop loop;
};

static _Thread_local struct bdus_queue this_queue = {.loop = {.random = 1}};

struct bdus_queue *bdus_request_queue(const struct bdus_request *request)
{
	(void)request;
	return &this_queue;
}

struct bdus_loop *bdus_queue_loop(struct bdus_queue *queue)
{
	return &queue->loop;
}

int bdus_loop_send(struct bdus_loop *loop, struct bdus_call *call)
{
	/* A loop belongs to one thread, and a call that is in flight cannot be sent. */
	if (loop != &this_queue.loop || loop->count == MOST_CALLS)
		abort();
	for (unsigned i = 0; i < loop->count; i++)
		if (loop->calls[i] == call)
			abort();
	loop->calls[loop->count++] = call;
	return 0;
}

/* ---- carrying out -------------------------------------------------------------------------- */

static long transfer(const struct asys_message *message)
{
	const uint64_t *const arguments = message->arguments;
	const struct iovec vector = {(void *)(uintptr_t)arguments[1], arguments[2]};
	const int file = (int)arguments[0];
	const off_t offset = (off_t)arguments[3];
	const int flags = message->number >= ASYS_NOP ? (int)arguments[4] : 0;

	if (message->number == SYS_pread64 || message->number == ASYS_READ)
		return preadv2(file, &vector, 1, offset, flags);
	return pwritev2(file, &vector, 1, offset, flags);
}

static long carry_out(const struct asys_message *message)
{
	const uint64_t *const arguments = message->arguments;

	switch (message->number) {
	case SYS_pread64:
	case SYS_pwrite64:
	case ASYS_READ:
	case ASYS_WRITE:
		return transfer(message);
	case SYS_fdatasync:
		return fdatasync((int)arguments[0]);
	case SYS_fallocate:
		return fallocate((int)arguments[0], (int)arguments[1], (off_t)arguments[2],
				 (off_t)arguments[3]);
	default:
		return syscall(message->number, arguments[0], arguments[1], arguments[2],
			       arguments[3], arguments[4], arguments[5]);
	}
}

bool double_step(void)
{
	struct bdus_loop *const loop = &this_queue.loop;
	struct bdus_call *call;
	unsigned index;
	long result;

	if (loop->count == 0)
		return false;
	index = (unsigned)(model_random(&loop->random) % loop->count);
	call = loop->calls[index];
	result = carry_out(&call->message);
	call->message.result = result < 0 ? -errno : result;
	loop->calls[index] = loop->calls[--loop->count];
	call->completed(call);
	return true;
}

const struct bdus_call *double_call(unsigned index)
{
	const struct bdus_loop *const loop = &this_queue.loop;

	return index < loop->count ? loop->calls[index] : NULL;
}
