/* SPDX-License-Identifier: MIT */
/*
 * The counters of this process. They are written where allocators do something slow anyway, and
 * where a list is settled; of malloc() and free() themselves only the latter counts, down to that.
 */
#ifndef PROFILE_H
#define PROFILE_H

#include "record.h"

#include "base/bits.h"

#include <stdbool.h>
#include <stddef.h>

struct heap;

/**
 * Where the counters are: in this library's own memory to begin with, later in a shared mapping of
 * the database, if this execution is one that is recorded.
 */
extern struct record *_Atomic metalloc_record;

static inline struct record *profile_record(void)
{
	return atomic_load_explicit(&metalloc_record, memory_order_acquire);
}

static inline void profile_carved(unsigned class, uint64_t blocks)
{
	atomic_fetch_add_explicit(&profile_record()->carved[class], blocks, memory_order_relaxed);
}

static inline void profile_foreign(uint64_t blocks)
{
	atomic_fetch_add_explicit(&profile_record()->foreign, blocks, memory_order_relaxed);
}

/** Of a measured block: how many others of its class were released in its life. */
static inline void profile_life(uint32_t releases)
{
	const unsigned bits = releases == 0 ? 0 : 32u - (unsigned)__builtin_clz(releases);
	const unsigned life = (unsigned)base_min((bits + 1) / 2, RECORD_LIVES - 1);

	atomic_fetch_add_explicit(&profile_record()->lives[life], 1, memory_order_relaxed);
}

/** The most memory in use so far; with no lock held, since here a process begins to be recorded. */
void profile_peak(uint64_t peak_bytes);
/** @blocks more of that size than before: 1 or -1. */
void profile_big(size_t size_bytes, int blocks);
/** Blocks of that size that were released are allocated again, without having been counted as gone.
 */
void profile_big_again(size_t size_bytes, uint64_t blocks);
/** Allocations of a class since the last call for it in this thread; or, counted in two's
 * complement, how many of those reported before were none. */
void profile_allocated(unsigned class, uint64_t blocks);
/** A thread has got a heap. */
void profile_thread(void);
/**
 * Who is to make this execution's record lasting, once it has used enough memory to be worth it;
 * NULL for nobody. Called once, by any thread.
 */
extern void (*_Atomic metalloc_begin_record)(void);
/** From now on counts are written to @record, which is zero, and to which those so far are added.
 */
void profile_move(struct record *record);
/** Counts are this process' own again. */
void profile_move_back(void);
/** Reports what the calling thread has counted and not reported. */
void profile_flush(struct heap *heap);

#endif
