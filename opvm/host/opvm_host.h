/* SPDX-License-Identifier: MIT */
/*
 * What opvm takes from its surroundings, in user space. It is all that differs inside the kernel,
 * whose build has a file of this name of its own.
 */
#ifndef OPVM_HOST_H
#define OPVM_HOST_H

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/** Memory of zeros, for any type; NULL if there is none. */
static inline void *opvm_host_allocate(size_t size_bytes)
{
	return calloc(1, size_bytes);
}

static inline void opvm_host_free(void *memory)
{
	free(memory);
}

/** As vsnprintf(). */
static inline int opvm_host_format(char *text, size_t size_bytes, const char *format,
				   va_list arguments) __attribute__((format(printf, 3, 0)));
static inline int opvm_host_format(char *text, size_t size_bytes, const char *format,
				   va_list arguments)
{
	return vsnprintf(text, size_bytes, format, arguments);
}

/** How many processors there can be; opvm_host_processor() is below this. */
static inline uint32_t opvm_host_processors(void)
{
	const long count = sysconf(_SC_NPROCESSORS_CONF);

	return count > 0 && count < 4096 ? (uint32_t)count : 1;
}

static inline uint32_t opvm_host_processor(void)
{
	const int processor = sched_getcpu();

	return processor < 0 ? 0 : (uint32_t)processor;
}

static inline uint64_t opvm_host_time_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/** A lock that is held for a few dozen instructions and never while anything waits. */
struct opvm_host_lock {
	uint32_t taken;
};

static inline void opvm_host_lock_init(struct opvm_host_lock *lock)
{
	lock->taken = 0;
}

static inline void opvm_host_lock(struct opvm_host_lock *lock)
{
	unsigned tries = 0;

	while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE) != 0)
		if (++tries % 64 == 0)
			sched_yield();
}

static inline void opvm_host_unlock(struct opvm_host_lock *lock)
{
	__atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}

/** Lets others go on while this thread tries something again. */
static inline void opvm_host_relax(void)
{
	sched_yield();
}

/** Tells tools that check machine code of a function whose jumps between labels puzzle them. */
#define OPVM_HOST_UNUSUAL_JUMPS(function)

#endif
