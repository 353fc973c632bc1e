/* SPDX-License-Identifier: MIT */
/*
 * The life of a handle, and cancelling.
 */
#include "asys_internal.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIVE             0x61737973U
#define DEPTH             256
#define DEPTH_MOST        32768
#define WORKERS           64
#define WORKERS_MOST      1024
#define IDLE_MS           1000
#define PAUSE_MS          50
#define DISCARDED_AT_ONCE 64

/* ---- the guard against forks --------------------------------------------------------------- */

static int create_guard(struct asys *asys)
{
	const size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
	uint32_t *const page =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return base_error_errno(errno, "cannot map %zu bytes", bytes);
	if (madvise(page, bytes, MADV_WIPEONFORK) != 0) {
		munmap(page, bytes);
		return base_error_errno(errno, "cannot have memory cleared in forked children");
	}
	*page = ALIVE;
	asys->alive = page;
	return 0;
}

static bool is_ours(const struct asys *asys)
{
	return *asys->alive == ALIVE;
}

int asys_check_process(const struct asys *asys)
{
	if (base_likely(is_ours(asys)))
		return 0;
	return base_error(EBADF,
			  "the handle is the parent process's and closed in this one; create "
			  "another after fork()");
}

int asys_check(const struct asys *asys)
{
	if (BDUS_DEBUG_CHECKS && is_ours(asys) && !pthread_equal(asys->owner, pthread_self())) {
		fputs("asys: a call on a handle from a thread that does not own it\n", stderr);
		abort();
	}
	return asys_check_process(asys);
}

/* ---- creating ------------------------------------------------------------------------------ */

static int limit(const char *name, uint32_t *value, uint32_t usual, uint32_t most)
{
	if (*value == 0)
		*value = usual;
	if (*value <= most)
		return 0;
	return base_error(EINVAL, "%s is %u: at most %u is possible", name, *value, most);
}

static int complete_options(const struct asys_options *given, struct asys_options *options)
{
	const uint32_t known = ASYS_NO_RING | ASYS_NO_INLINE | ASYS_WIDE_ENTRIES;
	int error = 0;

	memset(options, 0, sizeof(*options));
	if (given != NULL && given->size != sizeof(*given))
		return base_error(EINVAL, "size of options is %u: it has to be %zu", given->size,
				  sizeof(*given));
	if (given != NULL)
		*options = *given;
	if (options->flags & ~known)
		return base_error(EINVAL, "flags of options are 0x%x: only 0x%x have a meaning",
				  options->flags, known);
	error = limit("depth", &options->depth, DEPTH, DEPTH_MOST);
	if (error == 0)
		error = limit("max_workers", &options->max_workers, WORKERS, WORKERS_MOST);
	if (error == 0)
		error = limit("max_kernel_workers", &options->max_kernel_workers, WORKERS,
			      WORKERS_MOST);
	if (error == 0)
		error = limit("worker_idle_ms", &options->worker_idle_ms, IDLE_MS, UINT32_MAX);
	return error;
}

static int open_parts(struct asys *asys, const struct asys_options *options)
{
	int error = create_guard(asys);

	if (error != 0)
		return error;
	asys->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (asys->wake_fd < 0)
		return base_error_errno(errno, "cannot create an event descriptor");
	error = asys_pool_create(asys, options, &asys->pool);
	if (error != 0)
		return error;
	asys_ring_init(asys);
	return asys_has_ring(asys) ? 0 : asys_wait_init(asys);
}

/** Frees all; of a copy in a forked child only what is the child's. */
static void close_parts(struct asys *asys)
{
	const bool forked = asys->alive != NULL && !is_ours(asys);

	asys_pool_destroy(asys->pool, forked);
	asys_groups_finish(asys, forked);
	if (!forked)
		asys_ring_finish(asys);
	else if (asys_has_ring(asys))
		close(asys->ring.ring_fd);
	asys_wait_finish(asys);
	asys_files_finish(asys);
	free(asys->repeats);
	if (asys->wake_fd >= 0)
		close(asys->wake_fd);
	if (asys->alive != NULL)
		munmap((void *)(uintptr_t)asys->alive, (size_t)sysconf(_SC_PAGESIZE));
	free(asys);
}

int asys_create(const struct asys_options *given, struct asys **result_asys)
{
	struct asys_options options;
	struct asys *asys;
	int error = complete_options(given, &options);

	if (error != 0)
		return error;
	asys = aligned_alloc(_Alignof(struct asys), sizeof(*asys));
	if (asys == NULL)
		return base_error(ENOMEM, "no memory for a handle");
	memset(asys, 0, sizeof(*asys));
	asys->owner = pthread_self();
	asys->flags = options.flags;
	asys->depth = options.depth;
	asys->max_kernel_workers = options.max_kernel_workers;
	asys->has_processors = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	asys->wake_fd = -1;
	asys->epoll_fd = -1;
	asys->timer_fd = -1;
	asys->ring_error = -ENOTSUP;
	error = open_parts(asys, &options);
	if (error != 0) {
		close_parts(asys);
		return error;
	}
	*result_asys = asys;
	return 0;
}

/* ---- cancelling ---------------------------------------------------------------------------- */

static int end_now(struct asys *asys, struct asys_message *message)
{
	asys_complete(asys, message, -ECANCELED);
	return 0;
}

static int cancel_in_workers(struct asys *asys, struct asys_message *message)
{
	const int result = asys_pool_cancel(asys->pool, message);

	if (result == ASYS_POOL_TAKEN_BACK)
		return end_now(asys, message);
	/* A thread that only tries will bring it back at once, and then it ends. */
	return (message->marks & ASYS_MARK_NO_WAIT) ? 0 : (result < 0 ? result : 0);
}

/** Stops a message whose marks say why; what asys_cancel() returns, but for the ring's answer. */
static int stop(struct asys *asys, struct asys_message *message)
{
	switch (message->state) {
	case ASYS_STATE_HELD:
	case ASYS_STATE_DUE:
		return 0;
	case ASYS_STATE_TIMED:
		return end_now(asys, message);
	case ASYS_STATE_WAITING:
		asys_wait_remove(asys, message);
		return end_now(asys, message);
	case ASYS_STATE_IN_WORKERS:
		return cancel_in_workers(asys, message);
	default:
		return -EALREADY;
	}
}

void asys_stop_message(struct asys *asys, struct asys_message *message)
{
	if (message->state == ASYS_STATE_IN_RING)
		asys_ring_stop(asys, message);
	else
		stop(asys, message);
}

int asys_cancel_message(struct asys *asys, struct asys_message *message)
{
	asys_take_shared(asys);
	if (message->state == ASYS_STATE_IDLE || message->state == ASYS_STATE_POSTED)
		return -ENOENT;
	if (message->state == ASYS_STATE_READY)
		return -EALREADY;
	message->marks |= ASYS_MARK_CANCELLED;
	if (message->state == ASYS_STATE_IN_RING)
		return asys_ring_cancel(asys, message);
	return stop(asys, message);
}

int asys_cancel(struct asys *asys, struct asys_message *message)
{
	int result = asys_check(asys);

	if (result != 0)
		return result;
	result = asys_cancel_message(asys, message);
	asys_start_due(asys);
	if (asys_has_ring(asys))
		asys_ring_submit(asys);
	asys_leave(asys);
	return result;
}

/* ---- closing ------------------------------------------------------------------------------- */

static void stop_timed(struct asys *asys)
{
	while (asys->deadlines != NULL) {
		struct asys_message *const message = asys->deadlines;

		asys_deadlines_remove(asys, message);
		if (message->state == ASYS_STATE_TIMED)
			end_now(asys, message);
	}
}

static void stop_waiting(struct asys *asys)
{
	for (unsigned file = 0; file < asys->waiters_count; file++) {
		struct asys_message *message;

		while ((message = asys->waiters[file].first) != NULL) {
			asys_wait_remove(asys, message);
			end_now(asys, message);
		}
	}
}

static void stop_everything(struct asys *asys)
{
	struct asys_message *message, *next;

	asys_take_shared(asys);
	stop_timed(asys);
	stop_waiting(asys);
	for (message = asys_pool_take_all(asys->pool); message != NULL; message = next) {
		next = message->next;
		end_now(asys, message);
	}
	if (asys_has_ring(asys))
		asys_ring_stop_all(asys);
	asys_start_due(asys);
}

int asys_close(struct asys *asys, enum asys_close_how how)
{
	const int error = asys_check(asys);

	if (error != 0)
		return error;
	if (how != ASYS_CLOSE_DRAIN && how != ASYS_CLOSE_CANCEL)
		return base_error(EINVAL, "closing in way %d: there are only two", (int)how);
	asys->closing = true;
	if (how == ASYS_CLOSE_CANCEL) {
		asys->cancelling = true;
		stop_everything(asys);
	}
	asys_leave(asys);
	return 0;
}

void asys_destroy(struct asys *asys)
{
	struct asys_message *discarded[DISCARDED_AT_ONCE];

	if (asys == NULL)
		return;
	if (is_ours(asys)) {
		asys_close(asys, ASYS_CLOSE_CANCEL);
		/* What is sent to the kernel at the last moment may escape one attempt. */
		while (asys->in_flight > asys->commands)
			if (asys_wait(asys, discarded, DISCARDED_AT_ONCE, PAUSE_MS) == 0)
				stop_everything(asys);
	}
	close_parts(asys);
}

/* ---- telling ------------------------------------------------------------------------------- */

int asys_pending(const struct asys *asys)
{
	const int error = asys_check(asys);

	if (error != 0)
		return error;
	return (int)(asys->cancelling ? asys->in_flight - asys->commands : asys->in_flight);
}

int asys_describe(struct asys *asys, struct asys_info *info)
{
	const int error = asys_check(asys);

	if (error != 0)
		return error;
	memset(info, 0, sizeof(*info));
	info->ring_error = asys->ring_error;
	info->ring_setup = asys_has_ring(asys) ? asys->ring_setup : 0;
	info->workers = asys_pool_size(asys->pool);
	info->given_ring = asys->given_ring;
	info->given_inline = asys->given_inline;
	info->given_workers = asys->given_workers;
	return 0;
}

const char *asys_error(void)
{
	return base_error_message();
}
