/* SPDX-License-Identifier: MIT */
/*
 * Condition variables that are waited on until a deadline of base/clock.h.
 */
#ifndef BASE_COND_H
#define BASE_COND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/** Initialises @cond for base_cond_wait_until(). */
static inline void base_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attributes);
	pthread_condattr_destroy(&attributes);
}

/** As pthread_cond_wait(); false when it is past @deadline_ns. */
static inline bool base_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock,
					uint64_t deadline_ns)
{
	const struct timespec deadline = {
		.tv_sec = (time_t)(deadline_ns / 1000000000U),
		.tv_nsec = (long)(deadline_ns % 1000000000U),
	};

	return pthread_cond_timedwait(cond, lock, &deadline) == 0;
}

#endif
