/* SPDX-License-Identifier: MIT */
/*
 * A lock of one word that is good from the first instruction of a process on, in memory that is
 * zero. 0: free, 1: taken, 2: taken and somebody sleeps.
 */
#ifndef LOCK_H
#define LOCK_H

#include "platform.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOCK_TRIES 64

struct lock {
	_Atomic uint32_t state;
};

static inline void lock_take(struct lock *lock)
{
	uint32_t seen = 0;

	if (atomic_compare_exchange_strong_explicit(&lock->state, &seen, 1, memory_order_acquire,
						    memory_order_relaxed))
		return;
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		platform_pause();
		seen = 0;
		if (atomic_compare_exchange_weak_explicit(
			    &lock->state, &seen, 1, memory_order_acquire, memory_order_relaxed))
			return;
	}
	while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0)
		syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

static inline void lock_give(struct lock *lock)
{
	if (atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2)
		syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#endif
