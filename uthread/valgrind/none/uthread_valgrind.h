/* SPDX-License-Identifier: MIT */
/*
 * Where Valgrind's header is absent, it is told nothing.
 */
#ifndef UTHREAD_VALGRIND_H
#define UTHREAD_VALGRIND_H

#include "uthread_internal.h"

static inline unsigned uthread_valgrind_register(const struct uthread_context *context)
{
	(void)context;
	return 0;
}

static inline void uthread_valgrind_deregister(unsigned stack)
{
	(void)stack;
}

#endif
