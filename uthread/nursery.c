/* SPDX-License-Identifier: MIT */
/*
 * Nurseries: a list of threads and the first failure among them, under the nursery's bucket lock. A
 * thread is in the list until it is about to end, so that one found there can be cancelled.
 */
#include "uthread_internal.h"

static struct uthread *child_of(struct uthread_waiter *sibling)
{
	return base_container_of(sibling, struct uthread, sibling);
}

int uthread_nursery_init(uthread_nursery_t *nursery)
{
	if (uthread_current() == NULL)
		return uthread_no_thread();
	*nursery = (uthread_nursery_t){.result = 0};
	return 0;
}

static void *run_task(void *argument)
{
	struct uthread *const self = uthread_current();
	int (*const task)(void *) = (int (*)(void *))(uintptr_t)self->slot;

	return (void *)(intptr_t)task(argument);
}

/** Fails everything with @result, if nothing has failed; the bucket is locked. */
static void fail(struct uthread_worker *worker, uthread_nursery_t *nursery, int result)
{
	if (nursery->result != 0)
		return;
	nursery->result = result;
	for (struct uthread_waiter *sibling = nursery->children.first; sibling != NULL;
	     sibling = sibling->next) {
		struct uthread *const child = child_of(sibling);

		if (uthread_cancel_thread(worker->solo, child))
			uthread_ready(worker, child);
	}
}

void uthread_nursery_leave(struct uthread *self, void *result)
{
	uthread_nursery_t *const nursery = self->nursery;
	const bool solo = self->worker->solo;
	const int failure = self->cancelled ? -ECANCELED : (int)(intptr_t)result;
	struct uthread *owner = NULL;
	bool parked = false;

	uthread_lock_object(solo, nursery);
	uthread_list_remove(&nursery->children, &self->sibling);
	if (failure < 0)
		fail(self->worker, nursery, failure);
	if (--nursery->running == 0)
		owner = uthread_claim_first(solo, &nursery->waiters, &parked);
	uthread_unlock_object(solo, nursery);
	uthread_wake(self->worker, owner, parked);
}

int uthread_nursery_start(uthread_nursery_t *nursery, const uthread_attr_t *given,
			  int (*task)(void *), void *argument)
{
	struct uthread *const self = uthread_current();
	uthread_attr_t attr = {.deadline_ns = UTHREAD_NEVER};
	struct uthread_worker *worker;
	int error;

	if (self == NULL)
		return uthread_no_thread();
	worker = self->worker;
	if (given != NULL)
		attr = *given;
	attr.detached = UTHREAD_CREATE_DETACHED;
	uthread_lock_object(worker->solo, nursery);
	if (nursery->result != 0) {
		uthread_unlock_object(worker->solo, nursery);
		return -ECANCELED;
	}
	nursery->running++;
	uthread_unlock_object(worker->solo, nursery);
	error = uthread_spawn(worker, worker->scheduler, NULL, &attr, run_task, argument, nursery,
			      (void *)(uintptr_t)task);
	if (error == 0)
		return 0;
	uthread_lock_object(worker->solo, nursery);
	nursery->running--;
	uthread_unlock_object(worker->solo, nursery);
	return error;
}

int uthread_nursery_cancel(uthread_nursery_t *nursery)
{
	struct uthread *const self = uthread_current();

	if (self == NULL)
		return uthread_no_thread();
	uthread_lock_object(self->worker->solo, nursery);
	fail(self->worker, nursery, -ECANCELED);
	uthread_unlock_object(self->worker->solo, nursery);
	return 0;
}

/** Waits for the last one; cancels all when the wait ends otherwise. The bucket is locked. */
static void await_all(struct uthread *self, uthread_nursery_t *nursery, uint64_t deadline_ns)
{
	const bool solo = self->worker->solo;
	int result;

	while (nursery->running > 0) {
		uthread_wait_link(self, nursery, &nursery->waiters, UTHREAD_WHY_NURSERY,
				  deadline_ns != UTHREAD_NEVER || nursery->result == 0);
		uthread_unlock_object(solo, nursery);
		result = uthread_wait_finish(self, &nursery->waiters, deadline_ns);
		uthread_lock_object(solo, nursery);
		if (result == 0)
			continue;
		fail(self->worker, nursery, result);
		deadline_ns = UTHREAD_NEVER;
	}
}

int uthread_nursery_finish_until(uthread_nursery_t *nursery, uint64_t deadline_ns)
{
	struct uthread *const self = uthread_current();
	int result;

	if (self == NULL)
		return uthread_no_thread();
	uthread_lock_object(self->worker->solo, nursery);
	await_all(self, nursery, deadline_ns);
	result = nursery->result;
	uthread_unlock_object(self->worker->solo, nursery);
	if (uthread_cancel_pending(self))
		return uthread_cancel_now(self);
	return result;
}

int uthread_nursery_finish(uthread_nursery_t *nursery)
{
	return uthread_nursery_finish_until(nursery, UTHREAD_NEVER);
}
