/* SPDX-License-Identifier: MIT */
/*
 * The one place that knows processors: how a thread finds what is its own, and how it waits for
 * another for a moment.
 *
 * Where something in `metalloc_thread` is, is told as a distance from platform_thread(), which is
 * the same in all threads: thread-local memory of the initial-exec model. On x86-64 an access by
 * distance is one instruction, which no C names; the compiler would first compute an address.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thread;
extern __thread struct thread metalloc_thread __attribute__((tls_model("initial-exec")));

#if defined(__x86_64__)
/** Differs between all threads that live at the same time. */
static inline uintptr_t platform_thread(void)
{
	uintptr_t thread;

	/* Not volatile: the compiler may keep the value, which never changes in a thread. */
	__asm__("movq %%fs:0, %0" : "=r"(thread));
	return thread;
}

/** The distance of what lies @offset bytes into metalloc_thread. */
static inline uintptr_t platform_own(size_t offset)
{
	__asm__("addq metalloc_thread@gottpoff(%%rip), %0" : "+r"(offset) : : "cc");
	return offset;
}

/** Into the register that malloc() returns it in, which compilers do not come upon by themselves.
 */
static inline void *platform_load(uintptr_t distance)
{
	void *value;

	__asm__ volatile("movq %%fs:(%1), %0" : "=a"(value) : "r"(distance) : "memory");
	return value;
}

static inline void platform_store(uintptr_t distance, void *value)
{
	__asm__ volatile("movq %1, %%fs:(%0)" : : "r"(distance), "r"(value) : "memory");
}

/** Counts down what is 8 bytes behind @distance; whether it is less than 0 by now. */
static inline bool platform_count_down(uintptr_t distance)
{
	bool ended;

	__asm__ volatile("subq $1, %%fs:8(%1)" : "=@ccs"(ended) : "r"(distance) : "memory");
	return ended;
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

static inline uintptr_t platform_own(size_t offset)
{
	return offset + (uintptr_t)&metalloc_thread - platform_thread();
}

static inline void *platform_load(uintptr_t distance)
{
	return *(void **)(platform_thread() + distance);
}

static inline void platform_store(uintptr_t distance, void *value)
{
	*(void **)(platform_thread() + distance) = value;
}

static inline bool platform_count_down(uintptr_t distance)
{
	return --*(int64_t *)(platform_thread() + distance + 8) < 0;
}

static inline void platform_pause(void)
{
	__asm__ volatile("" ::: "memory");
}
#endif

#endif
