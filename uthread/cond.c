/* SPDX-License-Identifier: MIT */
/*
 * Condition variables: a list of those who wait. They are in it before they let go of the mutex, so
 * that no signal is lost, and get the mutex back by locking it as anybody does.
 */
#include "uthread_internal.h"

int uthread_cond_init(uthread_cond_t *cond)
{
	*cond = (uthread_cond_t)UTHREAD_COND_INITIALIZER;
	return 0;
}

int uthread_cond_destroy(uthread_cond_t *cond)
{
	if (cond->waiters.first == NULL)
		return 0;
	return base_error(EBUSY, "threads wait for the condition");
}

static int check_mutex(struct uthread *self, const uthread_mutex_t *mutex)
{
	const int error = uthread_mutex_check(self, mutex);

	if (error == 0 && mutex->depth > 0)
		return base_error(EINVAL, "the mutex is locked %u times: waiting lets go of one",
				  mutex->depth + 1);
	return error;
}

static inline int wait_until(uthread_cond_t *cond, uthread_mutex_t *mutex, uint64_t deadline_ns)
{
	struct uthread *const self = uthread_current();
	int result;

	if (self == NULL)
		return uthread_no_thread();
	result = check_mutex(self, mutex);
	if (result != 0)
		return result;
	uthread_lock_object(self->worker->solo, cond);
	uthread_wait_link(self, cond, &cond->waiters, UTHREAD_WHY_COND, true);
	uthread_unlock_object(self->worker->solo, cond);
	uthread_mutex_release(self, mutex);
	result = uthread_wait_finish(self, &cond->waiters, deadline_ns);
	uthread_mutex_relock(self, mutex);
	return uthread_cancel_point(self, result);
}

int uthread_cond_wait_until(uthread_cond_t *cond, uthread_mutex_t *mutex, uint64_t deadline_ns)
{
	return wait_until(cond, mutex, deadline_ns);
}

int uthread_cond_wait(uthread_cond_t *cond, uthread_mutex_t *mutex)
{
	return wait_until(cond, mutex, UTHREAD_NEVER);
}

int uthread_cond_signal(uthread_cond_t *cond)
{
	struct uthread_worker *const worker = uthread_here;
	struct uthread *thread;
	bool parked = false;

	if (worker == NULL || worker->current == NULL)
		return uthread_no_thread();
	uthread_lock_object(worker->solo, cond);
	thread = uthread_claim_first(worker->solo, &cond->waiters, &parked);
	uthread_unlock_object(worker->solo, cond);
	uthread_wake(worker, thread, parked);
	return 0;
}

int uthread_cond_broadcast(uthread_cond_t *cond)
{
	struct uthread_worker *const worker = uthread_here;

	if (worker == NULL || worker->current == NULL)
		return uthread_no_thread();
	uthread_lock_object(worker->solo, cond);
	uthread_wake_all(worker, cond, &cond->waiters);
	return 0;
}
