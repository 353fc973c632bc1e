/* SPDX-License-Identifier: MIT */
/*
 * Barriers, and things to be done once.
 */
#include "uthread_internal.h"

/* ---- barriers ------------------------------------------------------------------------------ */

int uthread_barrier_init(uthread_barrier_t *barrier, uint32_t count)
{
	if (count == 0)
		return base_error(EINVAL, "a barrier for 0 threads: at least 1 has to come");
	*barrier = (uthread_barrier_t){.count = count};
	return 0;
}

int uthread_barrier_destroy(uthread_barrier_t *barrier)
{
	if (barrier->arrived == 0)
		return 0;
	return base_error(EBUSY, "%u of %u threads wait at the barrier", barrier->arrived,
			  barrier->count);
}

/** Takes one whose deadline passed out again; 0 when the others have come all the same. */
static int give_up(struct uthread *self, uthread_barrier_t *barrier)
{
	const bool solo = self->worker->solo;
	int result = 0;

	uthread_lock_object(solo, barrier);
	if (self->linked) {
		uthread_list_remove(&barrier->waiters, &self->waiter);
		self->linked = false;
		barrier->arrived--;
		result = -ETIMEDOUT;
	}
	uthread_unlock_object(solo, barrier);
	return result;
}

int uthread_barrier_wait_until(uthread_barrier_t *barrier, uint64_t deadline_ns)
{
	struct uthread *const self = uthread_current();

	if (self == NULL)
		return uthread_no_thread();
	uthread_lock_object(self->worker->solo, barrier);
	if (++barrier->arrived == barrier->count) {
		barrier->arrived = 0;
		uthread_wake_all(self->worker, barrier, &barrier->waiters);
		return UTHREAD_BARRIER_SERIAL_THREAD;
	}
	uthread_wait_link(self, barrier, &barrier->waiters, UTHREAD_WHY_BARRIER, false);
	uthread_unlock_object(self->worker->solo, barrier);
	/* Leaving the list and the count has to be one step. */
	if (uthread_wait_finish(self, NULL, deadline_ns) == 0)
		return 0;
	return give_up(self, barrier);
}

int uthread_barrier_wait(uthread_barrier_t *barrier)
{
	return uthread_barrier_wait_until(barrier, UTHREAD_NEVER);
}

/* ---- once ---------------------------------------------------------------------------------- */

enum once_state {
	ONCE_NEW,
	ONCE_RUNNING,
	ONCE_DONE
};

/** The routine ended, or its thread did. */
static void leave_once(uthread_once_t *once, enum once_state state)
{
	struct uthread *const self = uthread_current();

	uthread_lock_object(self->worker->solo, once);
	__atomic_store_n(&once->state, state, __ATOMIC_RELEASE);
	uthread_wake_all(self->worker, once, &once->waiters);
}

static void abandon(void *once)
{
	leave_once(once, ONCE_NEW);
}

static void run_once(uthread_once_t *once, void (*routine)(void))
{
	uthread_cleanup_push(abandon, once);
	routine();
	uthread_cleanup_pop(0);
	leave_once(once, ONCE_DONE);
}

int uthread_once(uthread_once_t *once, void (*routine)(void))
{
	struct uthread *const self = uthread_current();

	if (__atomic_load_n(&once->state, __ATOMIC_ACQUIRE) == ONCE_DONE)
		return 0;
	if (self == NULL)
		return uthread_no_thread();
	for (;;) {
		uthread_lock_object(self->worker->solo, once);
		if (once->state != ONCE_RUNNING)
			break;
		uthread_wait_link(self, once, &once->waiters, UTHREAD_WHY_ONCE, false);
		uthread_unlock_object(self->worker->solo, once);
		uthread_wait_finish(self, &once->waiters, UTHREAD_NEVER);
	}
	if (once->state == ONCE_DONE) {
		uthread_unlock_object(self->worker->solo, once);
		return 0;
	}
	__atomic_store_n(&once->state, ONCE_RUNNING, __ATOMIC_RELAXED);
	uthread_unlock_object(self->worker->solo, once);
	run_once(once, routine);
	return 0;
}
