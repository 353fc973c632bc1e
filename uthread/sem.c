/* SPDX-License-Identifier: MIT */
/*
 * Semaphores: a value, and those who wait while it is 0. A post gives its unit to the first of
 * them.
 */
#include "uthread_internal.h"

int uthread_sem_init(uthread_sem_t *sem, uint32_t value)
{
	if (value > UTHREAD_SEM_VALUE_MAX)
		return base_error(EINVAL, "a value of %u: at most %u is possible", value,
				  UTHREAD_SEM_VALUE_MAX);
	*sem = (uthread_sem_t){.value = value};
	return 0;
}

int uthread_sem_destroy(uthread_sem_t *sem)
{
	if (sem->waiters.first == NULL)
		return 0;
	return base_error(EBUSY, "threads wait for the semaphore");
}

/** Takes a unit, or leaves the bucket locked. */
static bool take_or_lock(struct uthread *self, uthread_sem_t *sem)
{
	uthread_lock_object(self->worker->solo, sem);
	if (sem->value == 0)
		return false;
	sem->value--;
	uthread_unlock_object(self->worker->solo, sem);
	return true;
}

static inline int wait_until(uthread_sem_t *sem, uint64_t deadline_ns)
{
	struct uthread *const self = uthread_current();
	int result;

	if (self == NULL)
		return uthread_no_thread();
	if (base_unlikely(uthread_cancel_pending(self)))
		return uthread_cancel_now(self);
	if (take_or_lock(self, sem))
		return 0;
	result = uthread_wait_for(self, sem, &sem->waiters, UTHREAD_WHY_SEM, deadline_ns);
	return uthread_cancel_point(self, result);
}

int uthread_sem_wait_until(uthread_sem_t *sem, uint64_t deadline_ns)
{
	return wait_until(sem, deadline_ns);
}

int uthread_sem_wait(uthread_sem_t *sem)
{
	return wait_until(sem, UTHREAD_NEVER);
}

int uthread_sem_trywait(uthread_sem_t *sem)
{
	struct uthread *const self = uthread_current();

	if (self == NULL)
		return uthread_no_thread();
	if (take_or_lock(self, sem))
		return 0;
	uthread_unlock_object(self->worker->solo, sem);
	return -EAGAIN;
}

int uthread_sem_post(uthread_sem_t *sem)
{
	struct uthread_worker *const worker = uthread_here;
	struct uthread *thread;
	bool parked = false;
	int error = 0;

	if (worker == NULL || worker->current == NULL)
		return uthread_no_thread();
	uthread_lock_object(worker->solo, sem);
	thread = uthread_claim_first(worker->solo, &sem->waiters, &parked);
	if (thread == NULL && sem->value == UTHREAD_SEM_VALUE_MAX)
		error = -EOVERFLOW;
	else if (thread == NULL)
		sem->value++;
	uthread_unlock_object(worker->solo, sem);
	uthread_wake(worker, thread, parked);
	return error == 0 ? 0
			  : base_error(EOVERFLOW, "the semaphore has its greatest value, %u",
				       UTHREAD_SEM_VALUE_MAX);
}

int uthread_sem_getvalue(const uthread_sem_t *sem, uint32_t *value)
{
	*value = __atomic_load_n(&sem->value, __ATOMIC_RELAXED);
	return 0;
}
