/* SPDX-License-Identifier: MIT */
/*
 * What the files of the preload share.
 *
 * A program that is carried runs main() in a userland thread, and so does every thread that it
 * creates. `preload_self` is the thread that runs on this thread of the kernel; it is NULL before
 * main(), in a signal handler, in threads of the kernel that are none of ours, and throughout in a
 * program that is not carried. A call with no `preload_self` is the C library's.
 *
 * Objects of the C library (mutexes and so on) hold those of uthread in the same memory; ones that
 * processes share, and robust ones, stay what they are.
 *
 * With several workers a thread keeps the one that it has from its creation, main() the first one:
 * what lies with threads of the kernel stays in its place.
 *
 * Whatever waits is between preload_leave() and preload_return(), as others run meanwhile: what
 * they change that should be each thread's own is put back.
 */
#ifndef UTHREAD_PRELOAD_INTERNAL_H
#define UTHREAD_PRELOAD_INTERNAL_H

#include "real.h"

#include <errno.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unwind.h>
#include <uthread/asys.h>

#define PRELOAD_VALUES 1024

/** How a signal that was handled ends a call of the main thread. */
enum preload_call {
	/** It does not: it is no system call. */
	PRELOAD_CALL_NONE,
	/** With SA_RESTART it goes on. */
	PRELOAD_CALL_RESTARTS,
	PRELOAD_CALL_ENDS
};

struct preload_thread {
	struct preload_thread *next_free;
	start_fn *start;
	void *argument;
	void *result;
	/** Of pthread_cleanup_push(), the last first. */
	__pthread_unwind_buf_t *cleanups;
	/** Of pthread_setspecific(): PRELOAD_VALUES of them, once there are any. */
	const void **values;
	/** Of the C++ runtime: exceptions that are being handled. */
	void *exceptions[2];
	struct _Unwind_Exception unwinding;
	sigset_t mask;
	uint64_t mask_number;
	enum preload_call call;
	bool interrupted;
	/** Its values are the C library's own. */
	bool is_main;
	bool cancel_disabled;
};

/** Counted for the report; relaxed. */
struct preload_counts {
	atomic_ulong threads;
	atomic_ulong real_threads;
	atomic_ulong carried_calls;
	atomic_ulong shared_objects;
	atomic_ulong ignored;
};

extern __thread struct preload_thread *preload_self __attribute__((tls_model("initial-exec")));
extern struct preload_counts preload_counts;
extern struct preload_thread preload_main;
/** Threads of the program that have not ended, main() among them. */
extern atomic_uint preload_alive;

static inline void preload_count(atomic_ulong *count)
{
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

/** Nobody else could run meanwhile: a call may as well block. */
static inline bool preload_is_alone(void)
{
	return atomic_load_explicit(&preload_alive, memory_order_relaxed) == 1;
}

/* ---- around.c: what is each thread's own ----------------------------------------------------- */

extern void *(*preload_exceptions)(void);
/** Of the mask that this thread of the kernel has. */
extern __thread unsigned long preload_mask_number __attribute__((tls_model("initial-exec")));

void preload_leave_slowly(struct preload_thread *self);
void preload_return_slowly(struct preload_thread *self);

static inline void preload_leave(struct preload_thread *self)
{
	if (preload_exceptions != NULL)
		preload_leave_slowly(self);
}

/** What a worker does with nothing to run. */
const struct uthread_hooks *preload_hooks(void);

static inline void preload_return(struct preload_thread *self)
{
	preload_self = self;
	if (preload_exceptions != NULL || self->mask_number != preload_mask_number)
		preload_return_slowly(self);
}

/* ---- threads.c ------------------------------------------------------------------------------- */

/** Makes the calling userland thread @self, runs what it has to, and ends it. */
void *preload_thread_main(void *self);

/** Ends the calling thread as pthread_exit() does. */
void preload_exit(struct preload_thread *self, void *result) __attribute__((noreturn));

/** For a wait that returned -ECANCELED: ends the thread, or returns whether a signal was why. */
bool preload_cancelled(struct preload_thread *self);

/* ---- allocators.c -------------------------------------------------------------------------------
 */

bool preload_is_allocator(const char *path);
/** Gives them the C library's functions. Before main(). */
void preload_spare_allocators(void);

/* ---- time.c -----------------------------------------------------------------------------------
 */

/** A time of @clock as a deadline of uthread; 0 when it has passed; -EINVAL in *@error. */
uint64_t preload_deadline(clockid_t clock, const struct timespec *when, int *error);
/** A time from now; UTHREAD_NEVER for NULL. */
uint64_t preload_timeout(const struct timespec *timeout);

/* ---- signals.c --------------------------------------------------------------------------------
 */

/** The service's thread; runs for ever. */
void preload_serve(void);
void preload_serve_init(uthread_t main_thread);
/** For sem_post() in a signal handler: whether it is one, and the service will do it. */
bool preload_post_later(sem_t *sem);
void preload_post_now(sem_t *sem);

/* ---- start.c ----------------------------------------------------------------------------------
 */

extern bool preload_is_carried;
/** The C library's, for a name that is not in the list. */
void *preload_find(const char *name);

#endif
