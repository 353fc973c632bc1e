/* SPDX-License-Identifier: MIT */
/*
 * Switching, in a build without sanitizers: nobody has to be told.
 */
#ifndef UTHREAD_FIBERS_H
#define UTHREAD_FIBERS_H

#include "uthread_internal.h"

static inline void uthread_fiber_create(struct uthread_context *context)
{
	(void)context;
}

static inline void uthread_fiber_adopt(struct uthread_context *context)
{
	(void)context;
}

static inline void uthread_fiber_destroy(struct uthread_context *context)
{
	(void)context;
}

static inline __attribute__((always_inline)) struct uthread_worker *uthread_fiber_switch(
	struct uthread_context *from, struct uthread_context *to, struct uthread_worker *worker)
{
	return uthread_switch(&from->registers, &to->registers, worker);
}

/** From one that has ended. */
static inline __attribute__((always_inline, noreturn)) void uthread_fiber_end(
	struct uthread_context *from, struct uthread_context *to, struct uthread_worker *worker)
{
	uthread_switch_last(&from->registers, &to->registers, worker);
}

static inline void uthread_fiber_begin(struct uthread_worker *worker)
{
	(void)worker;
}

#endif
