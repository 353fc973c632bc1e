/* SPDX-License-Identifier: MIT */
/*
 * What a profile consists of: one execution's counters, and the same merged over executions. This
 * is also the layout in the database, of the machine that wrote it.
 */
#ifndef RECORD_H
#define RECORD_H

#include "classes.h"

#include <stdatomic.h>
#include <stdint.h>

/** Blocks without a class, by the number of doublings of METALLOC_MOST_BYTES. */
#define RECORD_BIG   16u
#define RECORD_LIVES 12u
/** The picture over time: this many moments of groups of size classes. */
#define RECORD_EPOCHS 16u
#define RECORD_BANDS  12u

/** Counters of one process. Written by its threads, atomically; they lose nothing when it is
 * killed. */
struct record {
	/** Nanoseconds of CLOCK_MONOTONIC at the start, and as of the last look. */
	_Atomic uint64_t started_ns;
	_Atomic uint64_t seen_ns;
	_Atomic uint64_t threads;
	/** Blocks that another thread than the one that allocated them released. */
	_Atomic uint64_t foreign;
	/** Most bytes in use by allocators, in whole groups. */
	_Atomic uint64_t peak_bytes;
	/** Of an execution without huge pages that came to exit(): what of the peak was in memory,
	 * if that could matter; else 0. */
	_Atomic uint64_t resident_bytes;

	/** By class: allocations, and blocks that were ever carved, which is the most live at a
	 * time. */
	_Atomic uint64_t allocated[CLASS_COUNT];
	_Atomic uint64_t carved[CLASS_COUNT];
	/** Of those measured: how many outlived 0, 1 to 3, 4 to 15, … others of their class. */
	_Atomic uint32_t lives[RECORD_LIVES];

	_Atomic uint64_t big_allocated[RECORD_BIG];
	_Atomic int64_t big_live[RECORD_BIG];
	_Atomic int64_t big_peak[RECORD_BIG];

	/** Allocations in each epoch; an epoch lasts epoch_ns, which doubles when there are too
	 * many. */
	_Atomic uint64_t epoch_ns;
	_Atomic uint32_t epochs[RECORD_EPOCHS][RECORD_BANDS];
};

/** The band of a class in the picture: each a doubling of its size, from 16 bytes on. */
static inline unsigned record_band(unsigned class)
{
	const unsigned bits = 63u - (unsigned)__builtin_clzll(class_bytes(class) - 1);

	return bits - 3;
}

#endif
