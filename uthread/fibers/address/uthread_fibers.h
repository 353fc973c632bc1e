/* SPDX-License-Identifier: MIT */
/*
 * Switching under AddressSanitizer, which has to know which stack is in use, and keeps a fake stack
 * for each.
 */
#ifndef UTHREAD_FIBERS_H
#define UTHREAD_FIBERS_H

#include "uthread_internal.h"

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

static inline void uthread_fiber_create(struct uthread_context *context)
{
	context->tool = NULL;
	__asan_unpoison_memory_region(context->bottom, context->bytes);
}

/** The bounds of a thread of the kernel's own stack are learnt when it is left. */
static inline void uthread_fiber_adopt(struct uthread_context *context)
{
	pthread_attr_t attributes;

	pthread_getattr_np(pthread_self(), &attributes);
	pthread_attr_getstack(&attributes, &context->bottom, &context->bytes);
	pthread_attr_destroy(&attributes);
}

static inline void uthread_fiber_destroy(struct uthread_context *context)
{
	__asan_unpoison_memory_region(context->bottom, context->bytes);
}

static inline __attribute__((always_inline)) struct uthread_worker *uthread_fiber_switch(
	struct uthread_context *from, struct uthread_context *to, struct uthread_worker *worker)
{
	struct uthread_worker *now;

	__sanitizer_start_switch_fiber(&from->tool, to->bottom, to->bytes);
	now = uthread_switch(&from->registers, &to->registers, worker);
	__sanitizer_finish_switch_fiber(from->tool, NULL, NULL);
	return now;
}

/** From one that has ended. */
static inline __attribute__((always_inline, noreturn)) void uthread_fiber_end(
	struct uthread_context *from, struct uthread_context *to, struct uthread_worker *worker)
{
	__sanitizer_start_switch_fiber(NULL, to->bottom, to->bytes);
	uthread_switch_last(&from->registers, &to->registers, worker);
}

static inline void uthread_fiber_begin(struct uthread_worker *worker)
{
	(void)worker;
	__sanitizer_finish_switch_fiber(NULL, NULL, NULL);
}

#endif
