/* SPDX-License-Identifier: MIT */
/*
 * Reader-writer locks. Those who wait do so in one list, in order; a lock that becomes free is
 * handed to the first writer or to all readers before the next writer. All under the bucket's lock.
 */
#include "uthread_internal.h"

int uthread_rwlock_init(uthread_rwlock_t *rwlock)
{
	*rwlock = (uthread_rwlock_t)UTHREAD_RWLOCK_INITIALIZER;
	return 0;
}

int uthread_rwlock_destroy(uthread_rwlock_t *rwlock)
{
	if (rwlock->writer == 0 && rwlock->readers == 0)
		return 0;
	return base_error(EBUSY, "the lock is held by %s",
			  rwlock->writer != 0 ? "a writer" : "readers");
}

static bool take_to_read(struct uthread *self, uthread_rwlock_t *rwlock)
{
	(void)self;
	if (rwlock->writer != 0 || rwlock->waiters.first != NULL)
		return false;
	rwlock->readers++;
	return true;
}

static bool take_to_write(struct uthread *self, uthread_rwlock_t *rwlock)
{
	if (rwlock->writer != 0 || rwlock->readers != 0)
		return false;
	rwlock->writer = (uintptr_t)self;
	return true;
}

/** Lets in whom the state and the order allow; unlocks the bucket. */
static void let_in(struct uthread *self, uthread_rwlock_t *rwlock)
{
	const bool solo = self->worker->solo;
	struct uthread_waiters woken = {NULL, NULL};

	while (rwlock->waiters.first != NULL && rwlock->writer == 0) {
		struct uthread *const first = uthread_waiting(rwlock->waiters.first);
		const bool writes = first->why == UTHREAD_WHY_WRITE_LOCK;
		bool parked = false;

		if (writes && rwlock->readers > 0)
			break;
		uthread_list_remove(&rwlock->waiters, &first->waiter);
		first->linked = false;
		if (!uthread_claim(solo, first, UTHREAD_WAIT_WOKEN, &parked))
			continue;
		if (writes)
			rwlock->writer = (uintptr_t)first;
		else
			rwlock->readers++;
		if (parked)
			uthread_list_push(&woken, &first->waiter);
	}
	uthread_unlock_object(solo, rwlock);
	while (woken.first != NULL) {
		struct uthread *const thread = uthread_waiting(woken.first);

		uthread_list_remove(&woken, woken.first);
		uthread_ready(self->worker, thread);
	}
}

static int lock_until(uthread_rwlock_t *rwlock, enum uthread_why why, uint64_t deadline_ns)
{
	struct uthread *const self = uthread_current();
	bool taken;
	int result;

	if (self == NULL)
		return uthread_no_thread();
	uthread_lock_object(self->worker->solo, rwlock);
	if (rwlock->writer == (uintptr_t)self) {
		uthread_unlock_object(self->worker->solo, rwlock);
		return base_error(EDEADLK, "thread '%s' has the lock for writing", self->name);
	}
	taken = why == UTHREAD_WHY_READ_LOCK ? take_to_read(self, rwlock)
					     : take_to_write(self, rwlock);
	if (!taken)
		uthread_wait_link(self, rwlock, &rwlock->waiters, why, false);
	uthread_unlock_object(self->worker->solo, rwlock);
	if (taken)
		return 0;
	result = uthread_wait_finish(self, &rwlock->waiters, deadline_ns);
	if (result != 0) {
		/* Those behind one who gave up may not have to wait. */
		uthread_lock_object(self->worker->solo, rwlock);
		let_in(self, rwlock);
	}
	return result;
}

int uthread_rwlock_rdlock(uthread_rwlock_t *rwlock)
{
	return lock_until(rwlock, UTHREAD_WHY_READ_LOCK, UTHREAD_NEVER);
}

int uthread_rwlock_rdlock_until(uthread_rwlock_t *rwlock, uint64_t deadline_ns)
{
	return lock_until(rwlock, UTHREAD_WHY_READ_LOCK, deadline_ns);
}

int uthread_rwlock_wrlock(uthread_rwlock_t *rwlock)
{
	return lock_until(rwlock, UTHREAD_WHY_WRITE_LOCK, UTHREAD_NEVER);
}

int uthread_rwlock_wrlock_until(uthread_rwlock_t *rwlock, uint64_t deadline_ns)
{
	return lock_until(rwlock, UTHREAD_WHY_WRITE_LOCK, deadline_ns);
}

static int try_to(uthread_rwlock_t *rwlock, bool (*take)(struct uthread *, uthread_rwlock_t *))
{
	struct uthread *const self = uthread_current();
	bool taken;

	if (self == NULL)
		return uthread_no_thread();
	uthread_lock_object(self->worker->solo, rwlock);
	taken = take(self, rwlock);
	uthread_unlock_object(self->worker->solo, rwlock);
	return taken ? 0 : -EBUSY;
}

int uthread_rwlock_tryrdlock(uthread_rwlock_t *rwlock)
{
	return try_to(rwlock, take_to_read);
}

int uthread_rwlock_trywrlock(uthread_rwlock_t *rwlock)
{
	return try_to(rwlock, take_to_write);
}

int uthread_rwlock_unlock(uthread_rwlock_t *rwlock)
{
	struct uthread *const self = uthread_current();

	if (self == NULL)
		return uthread_no_thread();
	uthread_lock_object(self->worker->solo, rwlock);
	if (rwlock->writer == (uintptr_t)self) {
		rwlock->writer = 0;
	} else if (rwlock->writer == 0 && rwlock->readers > 0) {
		rwlock->readers--;
	} else {
		uthread_unlock_object(self->worker->solo, rwlock);
		return base_error(EPERM, "thread '%s' does not have the lock", self->name);
	}
	let_in(self, rwlock);
	return 0;
}
