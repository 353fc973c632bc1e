/* SPDX-License-Identifier: MIT */
/*
 * How a thread waits, and how it is claimed: the one place that knows of the three ends of a wait.
 */
#include "uthread_leave.h"

void uthread_wait_link(struct uthread *self, const void *object, struct uthread_waiters *list,
		       enum uthread_why why, bool cancellable)
{
	const unsigned flag = cancellable && !self->cancel_disabled ? UTHREAD_WAIT_CANCELLABLE : 0;

	self->object = object;
	self->why = (uint8_t)why;
	if (list != NULL) {
		uthread_list_push(list, &self->waiter);
		self->linked = true;
	}
	if (self->worker->solo)
		atomic_store_explicit(&self->wait, UTHREAD_WAIT_PARKED | flag,
				      memory_order_relaxed);
	else
		atomic_store(&self->wait, UTHREAD_WAIT_PREPARED | flag);
	uthread_probe_park(self, object);
}

bool uthread_claim(bool solo, struct uthread *thread, enum uthread_wait how, bool *parked)
{
	unsigned wait = atomic_load_explicit(&thread->wait, memory_order_relaxed);
	enum uthread_wait state;

	do {
		state = uthread_wait_state(wait);
		if (state != UTHREAD_WAIT_PREPARED && state != UTHREAD_WAIT_PARKED)
			return false;
		if (how == UTHREAD_WAIT_CANCELLED && !(wait & UTHREAD_WAIT_CANCELLABLE))
			return false;
		if (solo) {
			atomic_store_explicit(&thread->wait, how, memory_order_relaxed);
			break;
		}
	} while (!atomic_compare_exchange_weak(&thread->wait, &wait, how));
	*parked = state == UTHREAD_WAIT_PARKED;
	return true;
}

struct uthread *uthread_claim_first(bool solo, struct uthread_waiters *list, bool *parked)
{
	while (list->first != NULL) {
		struct uthread *const thread = uthread_waiting(list->first);

		uthread_list_remove(list, list->first);
		thread->linked = false;
		if (uthread_claim(solo, thread, UTHREAD_WAIT_WOKEN, parked))
			return thread;
	}
	return NULL;
}

/** Whether a thread that is about to wait had better not, and claims it. */
static bool is_over_already(struct uthread *self, uint64_t deadline_ns)
{
	const bool solo = self->worker->solo;
	bool parked;

	if (base_unlikely(uthread_cancel_pending(self)) &&
	    (atomic_load(&self->wait) & UTHREAD_WAIT_CANCELLABLE))
		return uthread_claim(solo, self, UTHREAD_WAIT_CANCELLED, &parked);
	if (deadline_ns == UTHREAD_NEVER)
		return false;
	if (deadline_ns == 0 || deadline_ns <= base_now_ns())
		return uthread_claim(solo, self, UTHREAD_WAIT_TIMED_OUT, &parked);
	uthread_timer_add(self, deadline_ns);
	return false;
}

static void unlink_self(struct uthread *self, struct uthread_waiters *list)
{
	const bool solo = self->worker->solo;

	if (list == NULL)
		return;
	uthread_lock_object(solo, self->object);
	if (self->linked) {
		uthread_list_remove(list, &self->waiter);
		self->linked = false;
	}
	uthread_unlock_object(solo, self->object);
}

int uthread_wait_finish(struct uthread *self, struct uthread_waiters *list, uint64_t deadline_ns)
{
	const bool solo = self->worker->solo;
	unsigned how;

	if (!is_over_already(self, deadline_ns)) {
		const enum uthread_wait state =
			uthread_wait_state(atomic_load_explicit(&self->wait, memory_order_acquire));

		if (state == UTHREAD_WAIT_PREPARED || state == UTHREAD_WAIT_PARKED)
			uthread_leave(self, solo ? UTHREAD_AFTER_NOTHING : UTHREAD_AFTER_PARK);
		if (deadline_ns != UTHREAD_NEVER)
			uthread_timer_remove(self);
	}
	how = atomic_load_explicit(&self->wait, memory_order_acquire);
	atomic_store_explicit(&self->wait, UTHREAD_WAIT_RUNNING, memory_order_relaxed);
	self->why = UTHREAD_WHY_NOTHING;
	if (base_likely(how == UTHREAD_WAIT_WOKEN))
		return 0;
	unlink_self(self, list);
	return how == UTHREAD_WAIT_TIMED_OUT ? -ETIMEDOUT : -ECANCELED;
}

void uthread_wake_all(struct uthread_worker *worker, const void *object,
		      struct uthread_waiters *list)
{
	struct uthread_waiters woken = {NULL, NULL};
	struct uthread *thread;
	bool parked;

	while ((thread = uthread_claim_first(worker->solo, list, &parked)) != NULL)
		if (parked)
			uthread_list_push(&woken, &thread->waiter);
	uthread_unlock_object(worker->solo, object);
	while (woken.first != NULL) {
		thread = uthread_waiting(woken.first);
		uthread_list_remove(&woken, woken.first);
		uthread_ready(worker, thread);
	}
}

const char *uthread_why_name(enum uthread_why why)
{
	static const char *const names[] = {
		[UTHREAD_WHY_NOTHING] = "nothing",
		[UTHREAD_WHY_JOIN] = "the end of thread",
		[UTHREAD_WHY_SLEEP] = "time",
		[UTHREAD_WHY_MUTEX] = "mutex",
		[UTHREAD_WHY_COND] = "condition",
		[UTHREAD_WHY_SEM] = "semaphore",
		[UTHREAD_WHY_READ_LOCK] = "lock for reading",
		[UTHREAD_WHY_WRITE_LOCK] = "lock for writing",
		[UTHREAD_WHY_BARRIER] = "barrier",
		[UTHREAD_WHY_ONCE] = "once",
		[UTHREAD_WHY_SEND] = "sending to channel",
		[UTHREAD_WHY_RECEIVE] = "receiving from channel",
		[UTHREAD_WHY_NURSERY] = "nursery",
		[UTHREAD_WHY_PARK] = "a wake from outside",
	};

	static_assert(BASE_ARRAY_LENGTH(names) == UTHREAD_WHY_COUNT, "a name for each");
	return names[why];
}
