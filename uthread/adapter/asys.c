/* SPDX-License-Identifier: MIT */
/*
 * Where uthread and asys meet: the hooks that give each worker a handle, or have a host's used, and
 * the calls that wait for a message. This room includes the two public headers and nothing else of
 * ours.
 *
 * Threads: a handle is its worker's. A call queues its message on the handle of the worker that it
 * is on, and parks; the worker hands the queue over in its next `poll` or `wait`, with one system
 * call for all, and wakes whom the completions belong to. A thread that is cancelled may go on
 * elsewhere before its message has ended; it then posts a cancellation to that handle, which any
 * thread may.
 */
#include "uthread/asys.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#define REAPED_AT_ONCE 64
/** Looks at what is there for each system call: while threads run, a batch is better for being
 * large. */
#define POLLS_PER_CALL 8

/** Of a worker: the handle that is its own, or the host that has one. */
struct state {
	struct asys *asys;
	const struct uthread_asys_host *host;
	/** Messages that are queued or posted on the handle, and not yet reaped. */
	atomic_uint in_flight;
	unsigned polls;
};

/* ---- hooks --------------------------------------------------------------------------------- */

static int attach(void *context, void **result)
{
	struct state *const state = calloc(1, sizeof(*state));
	int error;

	if (state == NULL)
		return -ENOMEM;
	error = asys_create(context, &state->asys);
	if (error != 0) {
		free(state);
		return error;
	}
	*result = state;
	return 0;
}

static void detach(void *memory)
{
	struct state *const state = memory;

	asys_destroy(state->asys);
	free(state);
}

static void wake(struct state *state, struct asys_message *const completed[], int count)
{
	for (int i = 0; i < count; i++)
		uthread_unpark(completed[i]->user);
	if (count > 0)
		atomic_fetch_sub_explicit(&state->in_flight, (unsigned)count, memory_order_relaxed);
}

static void poll_messages(void *memory)
{
	struct asys_message *completed[REAPED_AT_ONCE];
	struct state *const state = memory;
	int count;

	if (asys_ready(state->asys) == 0 && ++state->polls % POLLS_PER_CALL != 0)
		return;
	do {
		if (atomic_load_explicit(&state->in_flight, memory_order_relaxed) == 0)
			return;
		count = asys_reap(state->asys, completed, REAPED_AT_ONCE);
		wake(state, completed, count);
	} while (count == REAPED_AT_ONCE);
}

/** Milliseconds until the deadline, rounded up. */
static int timeout_of(uint64_t deadline_ns)
{
	const uint64_t now_ns = asys_deadline(0);
	uint64_t left_ms;

	if (deadline_ns == UTHREAD_NEVER)
		return -1;
	if (deadline_ns <= now_ns)
		return 0;
	left_ms = (deadline_ns - now_ns - 1) / 1000000U + 1;
	return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

static void wait_for_messages(void *memory, uint64_t deadline_ns)
{
	struct asys_message *completed[REAPED_AT_ONCE];
	struct state *const state = memory;
	const int count =
		asys_wait(state->asys, completed, REAPED_AT_ONCE, timeout_of(deadline_ns));

	wake(state, completed, count);
}

static void kick(void *memory)
{
	const struct state *const state = memory;

	asys_wake(state->asys);
}

const struct uthread_hooks uthread_asys_hooks = {
	.size = sizeof(struct uthread_hooks),
	.attach = attach,
	.detach = detach,
	.wait = wait_for_messages,
	.kick = kick,
	.poll = poll_messages,
	/* asys knows that its handle is the parent's. */
	.forked = detach,
};

/* ---- a host ---------------------------------------------------------------------------------- */

static int attach_host(void *context, void **result)
{
	const struct uthread_asys_host *const host = context;
	struct state *state;

	if (host == NULL || host->size != sizeof(*host) || host->send == NULL ||
	    host->cancel == NULL || host->kick == NULL)
		return -EINVAL;
	state = calloc(1, sizeof(*state));
	if (state == NULL)
		return -ENOMEM;
	state->host = host;
	*result = state;
	return 0;
}

/** Never called: uthread_turn() does not wait. */
static void wait_for_host(void *memory, uint64_t deadline_ns)
{
	(void)memory;
	(void)deadline_ns;
}

static void kick_host(void *memory)
{
	const struct uthread_asys_host *const host = ((struct state *)memory)->host;

	host->kick(host->opaque);
}

const struct uthread_hooks uthread_asys_host_hooks = {
	.size = sizeof(struct uthread_hooks),
	.attach = attach_host,
	.detach = free,
	.wait = wait_for_host,
	.kick = kick_host,
	.forked = free,
};

void uthread_asys_completed(struct uthread_asys_envelope *envelope)
{
	uthread_unpark(envelope->message.user);
}

/* ---- calls --------------------------------------------------------------------------------- */

/** Asks for the end of @message by another one, and waits for that. */
static void post_cancel(struct state *state, struct asys_message *message)
{
	struct asys_message cancel, *batch = &cancel;
	struct uthread_parker cancel_parker;

	uthread_parker_init(&cancel_parker);
	asys_prep_cancel(&cancel, message);
	cancel.user = &cancel_parker;
	atomic_fetch_add_explicit(&state->in_flight, 1, memory_order_relaxed);
	if (asys_post(state->asys, &batch, 1) == 1)
		uthread_park(&cancel_parker, UTHREAD_NEVER);
}

/** Stops the message, and waits until it has come back. */
static void stop(struct state *state, struct uthread_asys_envelope *envelope,
		 struct asys_message *message, struct uthread_parker *parker)
{
	int cancel_state;

	uthread_setcancelstate(UTHREAD_CANCEL_DISABLE, &cancel_state);
	if (state->host != NULL)
		state->host->cancel(state->host->opaque, envelope);
	else
		post_cancel(state, message);
	uthread_park(parker, UTHREAD_NEVER);
	uthread_setcancelstate(cancel_state, NULL);
}

/** A host's handle gets the envelope, the worker's own the message itself. */
static int send_message(struct state *state, struct uthread_asys_envelope *envelope,
			struct asys_message *message)
{
	int result;

	if (state->host != NULL) {
		envelope->message = *message;
		return state->host->send(state->host->opaque, envelope);
	}
	result = asys_queue(state->asys, &message, 1);
	if (result >= 0)
		atomic_fetch_add_explicit(&state->in_flight, 1, memory_order_relaxed);
	return result < 0 ? result : 0;
}

/** Waits for the end of what was sent, cancelling it when the caller is: whether that was so. */
static bool await(struct state *state, struct uthread_asys_envelope *envelope,
		  struct asys_message *message, struct uthread_parker *parker)
{
	const bool cancelled = uthread_park(parker, UTHREAD_NEVER) == -ECANCELED;

	if (cancelled)
		stop(state, envelope, message, parker);
	if (state->host != NULL)
		message->result = envelope->message.result;
	return cancelled;
}

static int check_flags(const struct state *state, const struct asys_message *message)
{
	const unsigned allowed = state->host != NULL ? ASYS_FIXED_FILE | ASYS_FIXED_BUFFER : 0;

	return (message->flags & ~allowed) != 0 ? -EINVAL : 0;
}

int64_t uthread_asys_call(struct asys_message *message)
{
	struct state *const state = uthread_hooks_state();
	struct uthread_asys_envelope envelope;
	struct uthread_parker parker;
	bool cancelled;
	int error, type;

	if (state == NULL || uthread_parker_init(&parker) != 0)
		return -EPERM;
	error = check_flags(state, message);
	if (error == 0)
		error = uthread_testcancel();
	if (error != 0)
		return error;
	/* The message is back before this returns: */
	/* cppcheck-suppress autoVariables */
	message->user = &parker;
	error = send_message(state, &envelope, message);
	if (error < 0)
		return error;
	uthread_setcanceltype(UTHREAD_CANCEL_RETURNS, &type);
	cancelled = await(state, &envelope, message, &parker);
	uthread_setcanceltype(type, NULL);
	/* Who did not learn of it by the result has to at the next point of cancellation. */
	if (cancelled && (type == UTHREAD_CANCEL_DEFERRED || message->result != -ECANCELED))
		uthread_cancel(uthread_self());
	if (cancelled && type == UTHREAD_CANCEL_DEFERRED)
		uthread_testcancel();
	return message->result;
}

int64_t uthread_syscall(uint16_t number, uint64_t argument0, uint64_t argument1, uint64_t argument2,
			uint64_t argument3, uint64_t argument4, uint64_t argument5)
{
	struct asys_message message;

	asys_prep(&message, number, argument0, argument1, argument2, argument3, argument4,
		  argument5);
	return uthread_asys_call(&message);
}

int64_t uthread_read(int file, void *buffer, size_t length_bytes)
{
	return uthread_pread(file, buffer, length_bytes, -1);
}

int64_t uthread_write(int file, const void *buffer, size_t length_bytes)
{
	return uthread_pwrite(file, buffer, length_bytes, -1);
}

int64_t uthread_pread(int file, void *buffer, size_t length_bytes, int64_t offset)
{
	struct asys_message message;

	asys_prep_read(&message, file, buffer, length_bytes, offset);
	return uthread_asys_call(&message);
}

int64_t uthread_pwrite(int file, const void *buffer, size_t length_bytes, int64_t offset)
{
	struct asys_message message;

	asys_prep_write(&message, file, buffer, length_bytes, offset);
	return uthread_asys_call(&message);
}

int64_t uthread_openat(int directory, const char *path, int flags, mode_t mode)
{
	struct asys_message message;

	asys_prep_openat(&message, directory, path, flags, mode);
	return uthread_asys_call(&message);
}

int64_t uthread_close(int file)
{
	struct asys_message message;

	asys_prep_close(&message, file);
	return uthread_asys_call(&message);
}

int64_t uthread_fsync(int file)
{
	struct asys_message message;

	asys_prep_fsync(&message, file);
	return uthread_asys_call(&message);
}

int64_t uthread_accept(int socket, struct sockaddr *address, socklen_t *length, int flags)
{
	struct asys_message message;

	asys_prep_accept(&message, socket, address, length, flags);
	return uthread_asys_call(&message);
}

int64_t uthread_connect(int socket, const struct sockaddr *address, socklen_t length)
{
	struct asys_message message;

	asys_prep_connect(&message, socket, address, length);
	return uthread_asys_call(&message);
}

int64_t uthread_send(int socket, const void *buffer, size_t length_bytes, int flags)
{
	struct asys_message message;

	asys_prep_send(&message, socket, buffer, length_bytes, flags);
	return uthread_asys_call(&message);
}

int64_t uthread_recv(int socket, void *buffer, size_t length_bytes, int flags)
{
	struct asys_message message;

	asys_prep_recv(&message, socket, buffer, length_bytes, flags);
	return uthread_asys_call(&message);
}

int64_t uthread_sendmsg(int socket, const struct msghdr *header, int flags)
{
	struct asys_message message;

	asys_prep_sendmsg(&message, socket, header, flags);
	return uthread_asys_call(&message);
}

int64_t uthread_recvmsg(int socket, struct msghdr *header, int flags)
{
	struct asys_message message;

	asys_prep_recvmsg(&message, socket, header, flags);
	return uthread_asys_call(&message);
}

int64_t uthread_poll(int file, unsigned events, uint64_t deadline_ns)
{
	struct asys_message message;

	asys_prep_poll(&message, file, events);
	if (deadline_ns != UTHREAD_NEVER)
		message.deadline_ns = deadline_ns != 0 ? deadline_ns : 1;
	return uthread_asys_call(&message);
}
