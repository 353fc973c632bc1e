/* SPDX-License-Identifier: MIT */
/*
 * The counters of this process; see profile.h.
 */
#include "profile.h"
#include "metalloc_internal.h"

#include <time.h>

static struct record own;
struct record *_Atomic metalloc_record = &own;

static unsigned big_index(size_t size_bytes)
{
	const size_t over = size_bytes / (METALLOC_MOST_BYTES + 1);

	return over == 0
		       ? 0
		       : (unsigned)base_min(63u - (unsigned)__builtin_clzll(over), RECORD_BIG - 1);
}

static void note_most(_Atomic int64_t *most, int64_t now)
{
	int64_t seen = atomic_load_explicit(most, memory_order_relaxed);

	while (seen < now && !atomic_compare_exchange_weak_explicit(
				     most, &seen, now, memory_order_relaxed, memory_order_relaxed))
		;
}

void profile_big(size_t size_bytes, int blocks)
{
	struct record *const record = profile_record();
	const unsigned index = big_index(size_bytes);
	const int64_t live = blocks + atomic_fetch_add_explicit(&record->big_live[index], blocks,
								memory_order_relaxed);

	if (blocks < 0)
		return;
	atomic_fetch_add_explicit(&record->big_allocated[index], 1, memory_order_relaxed);
	note_most(&record->big_peak[index], live);
}

void profile_allocated(unsigned class, uint64_t blocks)
{
	atomic_fetch_add_explicit(&profile_record()->allocated[class], blocks,
				  memory_order_relaxed);
}

void profile_thread(void)
{
	atomic_fetch_add_explicit(&profile_record()->threads, 1, memory_order_relaxed);
}
