/* SPDX-License-Identifier: MIT */
/*
 * The beginning of a context on x86-64.
 */
#include "uthread_internal.h"

void uthread_context_prepare(struct uthread_context *context, void *top)
{
	context->registers.sp = (void *)base_align_down((uintptr_t)top, 16);
	context->registers.frame = NULL;
	context->registers.next = (void *)(uintptr_t)uthread_context_start;
}
