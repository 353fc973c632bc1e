/* SPDX-License-Identifier: MIT */
/*
 * Tells Valgrind which memory is a stack: a few instructions that do nothing elsewhere.
 */
#ifndef UTHREAD_VALGRIND_H
#define UTHREAD_VALGRIND_H

#include "uthread_internal.h"

#include <valgrind/valgrind.h>

static inline unsigned uthread_valgrind_register(const struct uthread_context *context)
{
	return (unsigned)VALGRIND_STACK_REGISTER(context->bottom,
						 (char *)context->bottom + context->bytes);
}

static inline void uthread_valgrind_deregister(unsigned stack)
{
	VALGRIND_STACK_DEREGISTER(stack);
}

#endif
