/* SPDX-License-Identifier: MIT */
/*
 * Times of the C library as deadlines.
 */
#include "preload_internal.h"

#define SECOND_NS 1000000000

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

/** @base_ns + @add_ns, but before UTHREAD_NEVER. */
static uint64_t add(uint64_t base_ns, uint64_t add_ns)
{
	return add_ns < UTHREAD_NEVER - 1 - base_ns ? base_ns + add_ns : UTHREAD_NEVER - 1;
}

static bool to_ns(const struct timespec *time, uint64_t *time_ns)
{
	if (time->tv_sec < 0) {
		*time_ns = 0;
		return true;
	}
	if (__builtin_mul_overflow((uint64_t)time->tv_sec, SECOND_NS, time_ns))
		*time_ns = UTHREAD_NEVER / 2;
	*time_ns = add(*time_ns, (uint64_t)time->tv_nsec);
	return true;
}

uint64_t preload_deadline(clockid_t clock, const struct timespec *when, int *error)
{
	uint64_t when_ns, now_ns;

	*error = 0;
	if (when->tv_nsec < 0 || when->tv_nsec >= SECOND_NS ||
	    (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)) {
		*error = EINVAL;
		return 0;
	}
	to_ns(when, &when_ns);
	if (clock == CLOCK_MONOTONIC)
		return when_ns;
	now_ns = now(CLOCK_REALTIME);
	return when_ns <= now_ns ? 0 : add(now(CLOCK_MONOTONIC), when_ns - now_ns);
}

uint64_t preload_timeout(const struct timespec *timeout)
{
	uint64_t timeout_ns;

	if (timeout == NULL)
		return UTHREAD_NEVER;
	to_ns(timeout, &timeout_ns);
	return add(now(CLOCK_MONOTONIC), timeout_ns);
}
