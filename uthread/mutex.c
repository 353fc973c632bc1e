/* SPDX-License-Identifier: MIT */
/*
 * Mutexes. `owner` is the owning thread, with a bit set while somebody waits; threads are aligned,
 * so that the bit is free. It goes from 0 to an owner and from an owner without waiters to 0
 * without a lock; all else happens under the bucket's. Unlocking hands the mutex to the first
 * waiter.
 */
#include "uthread_internal.h"

#define HAS_WAITERS ((uintptr_t)1)

static struct uthread *owner_of(const uthread_mutex_t *mutex)
{
	return (struct uthread *)(__atomic_load_n(&mutex->owner, __ATOMIC_RELAXED) & ~HAS_WAITERS);
}

int uthread_mutex_init(uthread_mutex_t *mutex, int kind)
{
	if (kind < UTHREAD_MUTEX_NORMAL || kind > UTHREAD_MUTEX_ERRORCHECK)
		return base_error(EINVAL, "mutex kind %d: from 0 to %d are known", kind,
				  UTHREAD_MUTEX_ERRORCHECK);
	*mutex = (uthread_mutex_t){.kind = (uint32_t)kind};
	return 0;
}

int uthread_mutex_destroy(uthread_mutex_t *mutex)
{
	const struct uthread *const owner = owner_of(mutex);

	if (owner == NULL)
		return 0;
	return base_error(EBUSY, "the mutex is locked by thread '%s'", owner->name);
}

/** Gets the mutex, or leaves the bucket locked with the mutex marked as waited for. */
static bool take_or_mark(struct uthread *self, uthread_mutex_t *mutex)
{
	const bool solo = self->worker->solo;

	uthread_lock_object(solo, mutex);
	for (;;) {
		const uintptr_t owner = __atomic_load_n(&mutex->owner, __ATOMIC_RELAXED);

		if (owner == 0) {
			if (!uthread_swap_word(solo, &mutex->owner, 0, (uintptr_t)self))
				continue;
			uthread_unlock_object(solo, mutex);
			return true;
		}
		if ((owner & HAS_WAITERS) ||
		    uthread_swap_word(solo, &mutex->owner, owner, owner | HAS_WAITERS))
			return false;
	}
}

static int lock_slowly(struct uthread *self, uthread_mutex_t *mutex, uint64_t deadline_ns)
{
	if (take_or_mark(self, mutex))
		return 0;
	uthread_wait_link(self, mutex, &mutex->waiters, UTHREAD_WHY_MUTEX, false);
	uthread_unlock_object(self->worker->solo, mutex);
	return uthread_wait_finish(self, &mutex->waiters, deadline_ns);
}

static int lock_again(uthread_mutex_t *mutex, struct uthread *self, uint64_t deadline_ns)
{
	if (mutex->kind == UTHREAD_MUTEX_ERRORCHECK)
		return base_error(EDEADLK, "thread '%s' has the mutex already", self->name);
	if (mutex->kind != UTHREAD_MUTEX_RECURSIVE)
		return lock_slowly(self, mutex, deadline_ns);
	if (mutex->depth == UINT32_MAX)
		return base_error(EAGAIN, "the mutex is locked %u times", mutex->depth);
	mutex->depth++;
	return 0;
}

static inline int lock_until(uthread_mutex_t *mutex, uint64_t deadline_ns)
{
	struct uthread *const self = uthread_current();

	if (base_unlikely(self == NULL))
		return uthread_no_thread();
	if (base_likely(uthread_swap_word(self->worker->solo, &mutex->owner, 0, (uintptr_t)self)))
		return 0;
	if (base_unlikely(owner_of(mutex) == self))
		return lock_again(mutex, self, deadline_ns);
	return lock_slowly(self, mutex, deadline_ns);
}

int uthread_mutex_lock(uthread_mutex_t *mutex)
{
	return lock_until(mutex, UTHREAD_NEVER);
}

int uthread_mutex_lock_until(uthread_mutex_t *mutex, uint64_t deadline_ns)
{
	return lock_until(mutex, deadline_ns);
}

int uthread_mutex_trylock(uthread_mutex_t *mutex)
{
	struct uthread *const self = uthread_current();

	if (self == NULL)
		return uthread_no_thread();
	if (uthread_swap_word(self->worker->solo, &mutex->owner, 0, (uintptr_t)self))
		return 0;
	if (owner_of(mutex) == self && mutex->kind == UTHREAD_MUTEX_RECURSIVE)
		return lock_again(mutex, self, 0);
	return -EBUSY;
}

int uthread_mutex_relock(struct uthread *self, uthread_mutex_t *mutex)
{
	if (uthread_swap_word(self->worker->solo, &mutex->owner, 0, (uintptr_t)self))
		return 0;
	return lock_slowly(self, mutex, UTHREAD_NEVER);
}

void uthread_mutex_release(struct uthread *self, uthread_mutex_t *mutex)
{
	const bool solo = self->worker->solo;
	struct uthread *next;
	uintptr_t owner = 0;
	bool parked = false;

	if (base_likely(uthread_swap_word(solo, &mutex->owner, (uintptr_t)self, 0)))
		return;
	uthread_lock_object(solo, mutex);
	next = uthread_claim_first(solo, &mutex->waiters, &parked);
	if (next != NULL)
		owner = (uintptr_t)next | (mutex->waiters.first != NULL ? HAS_WAITERS : 0);
	__atomic_store_n(&mutex->owner, owner, __ATOMIC_RELEASE);
	uthread_unlock_object(solo, mutex);
	if (parked)
		uthread_ready(self->worker, next);
}

int uthread_mutex_check(struct uthread *self, const uthread_mutex_t *mutex)
{
	const struct uthread *const owner = owner_of(mutex);

	if (base_likely(owner == self))
		return 0;
	if (owner == NULL)
		return base_error(EPERM, "the mutex is not locked");
	return base_error(EPERM, "the mutex belongs to thread '%s', not to '%s'", owner->name,
			  self->name);
}

int uthread_mutex_unlock(uthread_mutex_t *mutex)
{
	struct uthread *const self = uthread_current();
	int error;

	if (base_unlikely(self == NULL))
		return uthread_no_thread();
	error = uthread_mutex_check(self, mutex);
	if (base_unlikely(error != 0))
		return error;
	if (mutex->depth > 0) {
		mutex->depth--;
		return 0;
	}
	uthread_mutex_release(self, mutex);
	return 0;
}
