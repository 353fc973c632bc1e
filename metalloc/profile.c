/* SPDX-License-Identifier: MIT */
/*
 * The counters of this process; see profile.h.
 */
#include "profile.h"
#include "metalloc_internal.h"

#include <string.h>
#include <time.h>

static struct record own;
struct record *_Atomic metalloc_record = &own;
void (*_Atomic metalloc_begin_record)(void);

/* A process that uses less is too short for a profile to matter. */
#define RECORDED_FROM_BYTES (UINT64_C(256) << 10)
#define FIRST_EPOCH_NS      UINT64_C(4000000)

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

void profile_big_again(size_t size_bytes, uint64_t blocks)
{
	atomic_fetch_add_explicit(&profile_record()->big_allocated[big_index(size_bytes)], blocks,
				  memory_order_relaxed);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/** Epochs become twice as long: each two are added up. Threads that count meanwhile do no harm. */
static void lengthen_epochs(struct record *record)
{
	for (unsigned i = 0; i < RECORD_EPOCHS; i++)
		for (unsigned band = 0; band < RECORD_BANDS; band++)
			record->epochs[i][band] = i >= RECORD_EPOCHS / 2
							  ? 0
							  : record->epochs[2 * i][band] +
								    record->epochs[2 * i + 1][band];
	atomic_fetch_add_explicit(&record->epoch_ns, record->epoch_ns, memory_order_relaxed);
}

static void draw(struct record *record, unsigned class, uint64_t blocks)
{
	static struct lock lock;
	const uint64_t now = now_ns();
	uint64_t epoch;

	record->seen_ns = now;
	lock_take(&lock);
	while ((epoch = (now - record->started_ns) / record->epoch_ns) >= RECORD_EPOCHS)
		lengthen_epochs(record);
	record->epochs[epoch][record_band(class)] += (uint32_t)blocks;
	lock_give(&lock);
}

void profile_allocated(unsigned class, uint64_t blocks)
{
	struct record *const record = profile_record();

	atomic_fetch_add_explicit(&record->allocated[class], blocks, memory_order_relaxed);
	if (record != &own && (int64_t)blocks > 0)
		draw(record, class, blocks);
}

void profile_peak(uint64_t peak_bytes)
{
	void (*begin)(void);

	atomic_store_explicit(&profile_record()->peak_bytes, peak_bytes, memory_order_relaxed);
	if (base_likely(peak_bytes < RECORDED_FROM_BYTES) || metalloc_begin_record == NULL)
		return;
	begin = atomic_exchange(&metalloc_begin_record, NULL);
	if (begin != NULL)
		begin();
}

void profile_move(struct record *record)
{
	memcpy((char *)record, (const char *)&own, sizeof(own));
	record->started_ns = now_ns();
	record->seen_ns = record->started_ns;
	record->epoch_ns = FIRST_EPOCH_NS;
	atomic_store_explicit(&metalloc_record, record, memory_order_release);
}

void profile_move_back(void)
{
	atomic_store_explicit(&metalloc_record, &own, memory_order_release);
}

void profile_thread(void)
{
	atomic_fetch_add_explicit(&profile_record()->threads, 1, memory_order_relaxed);
}
