/* SPDX-License-Identifier: MIT */
/*
 * The one place that knows processors: how a thread recognizes itself in one instruction, and how
 * it waits for another for a moment.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stdint.h>

#if defined(__x86_64__)
/** Differs between all threads that live at the same time. */
static inline uintptr_t platform_thread(void)
{
	uintptr_t thread;

	/* Not volatile: the compiler may keep the value, which never changes in a thread. */
	__asm__("movq %%fs:0, %0" : "=r"(thread));
	return thread;
}

static inline void platform_pause(void)
{
	__asm__ volatile("pause");
}
#else
static inline uintptr_t platform_thread(void)
{
	return (uintptr_t)__builtin_thread_pointer();
}

static inline void platform_pause(void)
{
	__asm__ volatile("" ::: "memory");
}
#endif

#endif
