/* SPDX-License-Identifier: MIT */
/*
 * Leaving a stack for another: inline where it is called, because each function to return from
 * after a switch is one return that the processor foresees wrongly.
 */
#ifndef UTHREAD_LEAVE_H
#define UTHREAD_LEAVE_H

#include "uthread_fibers.h"
#include "uthread_internal.h"
#include "uthread_probes.h"

/** Makes @thread, or with NULL the worker's own stack, what runs on @worker: where to go. */
static inline __attribute__((always_inline)) struct uthread_context *uthread_turn_to(
	struct uthread_worker *worker, struct uthread *thread)
{
	const unsigned long switches =
		atomic_load_explicit(&worker->switches, memory_order_relaxed);

	atomic_store_explicit(&worker->switches, switches + 1, memory_order_relaxed);
	uthread_probe_switch(worker->current, thread);
	worker->current = thread;
	if (base_unlikely(thread == NULL))
		return &worker->base;
	thread->worker = worker;
	if (base_unlikely(thread->context.registers.sp == NULL))
		uthread_stack_enter(worker, thread);
	return &thread->context;
}

/** From whatever runs on @worker to @thread, or to the worker's own stack. */
static inline __attribute__((always_inline)) struct uthread_worker *uthread_go(
	struct uthread_worker *worker, struct uthread_context *from, struct uthread *thread)
{
	return uthread_fiber_switch(from, uthread_turn_to(worker, thread), worker);
}

/**
 * Leaves @self for whoever comes next; @after says what is to become of it. Returns when it runs
 * again; its worker may be another then.
 */
static inline __attribute__((always_inline)) void uthread_leave(struct uthread *self,
								enum uthread_after after)
{
	struct uthread_worker *worker = self->worker;
	struct uthread *const next = uthread_pick(worker);

	/* Nobody else wants to run, or the wait is over already. */
	if (base_unlikely(next == self))
		return;
	worker->after = (uint8_t)after;
	worker->previous = self;
	self->saved_errno = *worker->errno_location;
	worker = uthread_go(worker, &self->context, next);
	while (base_unlikely(worker->inspection != NULL)) {
		uthread_inspect_self(worker->inspection);
		worker = uthread_go(worker, &self->context, NULL);
	}
	*worker->errno_location = self->saved_errno;
	if (base_unlikely(worker->after != UTHREAD_AFTER_NOTHING))
		uthread_arrive(worker);
}

/** Leaves @self, which has ended, for whoever comes next. */
static inline __attribute__((always_inline, noreturn)) void uthread_leave_for_good(
	struct uthread *self)
{
	struct uthread_worker *const worker = self->worker;
	struct uthread *const next = uthread_pick(worker);

	worker->after = UTHREAD_AFTER_END;
	worker->previous = self;
	uthread_fiber_end(&self->context, uthread_turn_to(worker, next), worker);
}

#endif
