/* SPDX-License-Identifier: MIT */
/*
 * Monotonic time and deadlines.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/** Nanoseconds of CLOCK_MONOTONIC. */
static inline uint64_t base_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static inline uint64_t base_deadline_ns(uint64_t timeout_ms)
{
	return base_now_ns() + timeout_ms * 1000000U;
}

/** Milliseconds left until @deadline_ns, rounded up, at least 0, fit for poll(). */
static inline int base_remaining_ms(uint64_t deadline_ns)
{
	const uint64_t now = base_now_ns();
	const uint64_t left = deadline_ns > now ? (deadline_ns - now + 999999U) / 1000000U : 0;

	return left > INT32_MAX ? INT32_MAX : (int)left;
}

#endif
