/* SPDX-License-Identifier: MIT */
/*
 * Switching under ThreadSanitizer, which keeps a clock and a history for each thread.
 */
#ifndef UTHREAD_FIBERS_H
#define UTHREAD_FIBERS_H

#include "uthread_internal.h"

#include <sanitizer/tsan_interface.h>

static inline void uthread_fiber_create(struct uthread_context *context)
{
	context->tool = __tsan_create_fiber(0);
}

static inline void uthread_fiber_adopt(struct uthread_context *context)
{
	context->tool = __tsan_get_current_fiber();
}

static inline void uthread_fiber_destroy(struct uthread_context *context)
{
	__tsan_destroy_fiber(context->tool);
	context->tool = NULL;
}

static inline __attribute__((always_inline)) struct uthread_worker *uthread_fiber_switch(
	struct uthread_context *from, struct uthread_context *to, struct uthread_worker *worker)
{
	__tsan_switch_to_fiber(to->tool, 0);
	return uthread_switch(&from->registers, &to->registers, worker);
}

/** From one that has ended. */
static inline __attribute__((always_inline, noreturn)) void uthread_fiber_end(
	struct uthread_context *from, struct uthread_context *to, struct uthread_worker *worker)
{
	__tsan_switch_to_fiber(to->tool, 0);
	uthread_switch_last(&from->registers, &to->registers, worker);
}

static inline void uthread_fiber_begin(struct uthread_worker *worker)
{
	(void)worker;
}

#endif
