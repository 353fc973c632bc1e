/* SPDX-License-Identifier: MIT */
/*
 * Deadlines of waiting threads: a pairing heap whose links are on their stacks. Under the
 * scheduler's timers_lock. A thread with a deadline goes through that lock before its wait ends, so
 * that one found in the heap is there.
 */
#include "uthread_internal.h"

static void lock_timers(struct uthread_scheduler *scheduler)
{
	if (!scheduler->solo)
		uthread_lock(&scheduler->timers_lock);
}

static void unlock_timers(struct uthread_scheduler *scheduler)
{
	if (!scheduler->solo)
		uthread_unlock(&scheduler->timers_lock);
}

/** The heap of both; either may be NULL. */
static struct uthread *meld(struct uthread *a, struct uthread *b)
{
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	if (b->own->wake_ns < a->own->wake_ns) {
		struct uthread *const swapped = a;

		a = b;
		b = swapped;
	}
	b->own->timer_next = a->own->timer_child;
	if (b->own->timer_next != NULL)
		b->own->timer_next->own->timer_link = &b->own->timer_next;
	b->own->timer_link = &a->own->timer_child;
	a->own->timer_child = b;
	return a;
}

/** Makes one heap of siblings: in pairs from the front, then those together from the back. */
static struct uthread *meld_siblings(struct uthread *first)
{
	struct uthread *pairs = NULL, *heap = NULL, *next;

	for (; first != NULL; first = next) {
		struct uthread *const second = first->own->timer_next;

		next = second != NULL ? second->own->timer_next : NULL;
		first->own->timer_next = NULL;
		if (second != NULL)
			second->own->timer_next = NULL;
		first = meld(first, second);
		first->own->timer_next = pairs;
		pairs = first;
	}
	for (; pairs != NULL; pairs = next) {
		next = pairs->own->timer_next;
		pairs->own->timer_next = NULL;
		heap = meld(heap, pairs);
	}
	return heap;
}

static void set_root(struct uthread_scheduler *scheduler, struct uthread *root)
{
	const uint64_t first_ns = root != NULL ? root->own->wake_ns : UTHREAD_NEVER;

	scheduler->timers = root;
	if (root != NULL) {
		root->own->timer_link = &scheduler->timers;
		root->own->timer_next = NULL;
	}
	if (scheduler->solo)
		atomic_store_explicit(&scheduler->first_wake_ns, first_ns, memory_order_relaxed);
	else
		atomic_store(&scheduler->first_wake_ns, first_ns);
}

static void remove_thread(struct uthread_scheduler *scheduler, struct uthread *thread)
{
	struct uthread *const children = meld_siblings(thread->own->timer_child);

	thread->own->in_timers = false;
	if (thread == scheduler->timers) {
		set_root(scheduler, children);
		return;
	}
	*thread->own->timer_link = thread->own->timer_next;
	if (thread->own->timer_next != NULL)
		thread->own->timer_next->own->timer_link = thread->own->timer_link;
	set_root(scheduler, meld(scheduler->timers, children));
}

void uthread_timer_add(struct uthread *thread, uint64_t wake_ns)
{
	struct uthread_scheduler *const scheduler = thread->worker->scheduler;
	bool is_first;

	thread->own->wake_ns = wake_ns;
	thread->own->timer_child = NULL;
	thread->own->timer_next = NULL;
	lock_timers(scheduler);
	thread->own->in_timers = true;
	set_root(scheduler, meld(scheduler->timers, thread));
	is_first = scheduler->timers == thread;
	unlock_timers(scheduler);
	/* Those who sleep do so until the time that was the first. */
	if (is_first && !scheduler->solo)
		uthread_wake_worker(scheduler);
}

void uthread_timer_remove(struct uthread *thread)
{
	struct uthread_scheduler *const scheduler = thread->worker->scheduler;

	lock_timers(scheduler);
	if (thread->own->in_timers)
		remove_thread(scheduler, thread);
	unlock_timers(scheduler);
}

/** Claims the first one if it is due. False when there is none; @thread NULL: nothing to wake. */
static bool expire_first(struct uthread_scheduler *scheduler, uint64_t now_ns,
			 struct uthread **thread)
{
	struct uthread *const first = scheduler->timers;
	bool parked;

	*thread = NULL;
	if (first == NULL || first->own->wake_ns > now_ns)
		return false;
	remove_thread(scheduler, first);
	if (uthread_claim(scheduler->solo, first, UTHREAD_WAIT_TIMED_OUT, &parked) && parked)
		*thread = first;
	return true;
}

void uthread_timers_run(struct uthread_worker *worker)
{
	struct uthread_scheduler *const scheduler = worker->scheduler;
	const uint64_t now_ns = base_now_ns();
	struct uthread *thread;
	bool more;

	if (uthread_timers_first(scheduler) > now_ns)
		return;
	do {
		lock_timers(scheduler);
		more = expire_first(scheduler, now_ns, &thread);
		unlock_timers(scheduler);
		if (thread != NULL)
			uthread_ready(worker, thread);
	} while (more);
}
