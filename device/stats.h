/* SPDX-License-Identifier: MIT */
/*
 * Statistics of a device: counters in memory that other processes may map to read, never to write.
 *
 * The owner of a queue is the only one that writes its part, with relaxed stores; readers load
 * relaxed, too, at any time. That of the workers is written under the lock of their pool.
 *
 * A clock is not free, so not every request is timed: the sampler draws how many requests to let
 * pass, on average as many as come within SAMPLE_NS. One compare a batch is all that the others
 * cost.
 */
#ifndef DEVICE_STATS_H
#define DEVICE_STATS_H

#include "base/clock.h"
#include "device/control.h"
#include "device/io.h"

#include <bdus/stats.h>
#include <stdatomic.h>

struct bdus_stats_counters {
	_Atomic(uint64_t) operations;
	_Atomic(uint64_t) bytes;
	_Atomic(uint64_t) errors;
	_Atomic(uint64_t) timed;
	_Atomic(uint64_t) timed_ns;
};

/** Of one filter; the pages of those that there are not are never touched. */
struct bdus_stats_filter {
	_Alignas(64) struct bdus_stats_counters held;
	_Atomic(uint64_t) completed;
	_Alignas(64) _Atomic(uint64_t) buckets[BDUS_STATS_BUCKETS];
};

/** The part of one queue, on pages of its own. */
struct bdus_stats_part {
	_Alignas(4096) _Atomic(uint64_t) fetched;
	_Atomic(uint64_t) batches;
	_Alignas(64) struct bdus_stats_counters ops[BDUS_OP_COUNT];
	_Alignas(64) _Atomic(uint64_t) buckets[BDUS_OP_COUNT][BDUS_STATS_BUCKETS];
	struct bdus_stats_filter filters[BDUS_STATS_FILTERS];
};

/** Chooses the requests that are timed. Belongs to the queue's owner. */
struct bdus_stats_sampler {
	/** How many requests until the next one that is timed, itself included. */
	uint32_t until;
	/** Requests since the last one that was timed. */
	uint32_t passed;
	/** How many pass on average; at most doubles from one that is timed to the next. */
	uint32_t mean;
	uint64_t random;
	uint64_t last_ns;
};

/** Of a device: its mapping of the memory, and the descriptor that others may have. */
struct bdus_stats_memory {
	int fd;
	size_t size;
	void *start;
};

/** Fewest requests of one, between two that are timed, for which a slow queue waits. */
#define BDUS_STATS_LONELY 8

/** Makes the memory of a device; on failure nothing is left. */
int bdus_stats_memory_init(struct bdus_stats_memory *memory, uint32_t queues, uint32_t queue_depth);
/** One that is zeroed, too. */
void bdus_stats_memory_finish(struct bdus_stats_memory *memory);

/** The part of queue @index; NULL where there is no memory. */
struct bdus_stats_part *bdus_stats_part(const struct bdus_stats_memory *memory, unsigned index);

/** Where to note how many workers there are, and the most that there can be; NULL as above. */
_Atomic(uint32_t) *bdus_stats_workers(const struct bdus_stats_memory *memory, uint32_t limit);

/** A filter, and where it counts, which does not change with its place. */
struct bdus_stats_row {
	const char *name;
	unsigned row;
};

/** Tells of the filters of the device, the one next to the clients first. */
void bdus_stats_name_filters(const struct bdus_stats_memory *memory,
			     const struct bdus_stats_row *rows, unsigned count);

/** Begins anew for a filter that is to count in @row, in which none counts. */
void bdus_stats_clear_filter(const struct bdus_stats_memory *memory, unsigned row);

/** Notes how long the filter with that row held @io, which was timed. */
void bdus_stats_left(struct bdus_stats_part *part, unsigned row, struct bdus_io *io);

/** Draws the first request to be timed. */
void bdus_stats_sampler_init(struct bdus_stats_sampler *sampler, uint64_t seed);

/** Times @io from now on, and draws the next one. */
void bdus_stats_begin(struct bdus_stats_sampler *sampler, struct bdus_io *io);

/** Notes how long @io took, which was timed. */
void bdus_stats_end(struct bdus_stats_part *part, struct bdus_io *io, uint64_t now_ns);

static inline void bdus_stats_add(_Atomic(uint64_t) *counter, uint64_t more)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
			      memory_order_relaxed);
}

/** A batch of requests was fetched. */
static inline void bdus_stats_fetched(struct bdus_stats_part *part,
				      struct bdus_stats_sampler *sampler, struct bdus_io **ios,
				      unsigned count)
{
	bdus_stats_add(&part->fetched, count);
	bdus_stats_add(&part->batches, 1);
	sampler->passed += count;
	if (count == 1 && sampler->until > BDUS_STATS_LONELY)
		sampler->until = BDUS_STATS_LONELY;
	if (sampler->until > count)
		sampler->until -= count;
	else
		bdus_stats_begin(sampler, ios[sampler->until - 1]);
}

/** A request's result goes to the way in. */
static inline void bdus_stats_ended(struct bdus_stats_part *part, const struct bdus_io *io)
{
	struct bdus_stats_counters *const op = &part->ops[io->request.op];

	bdus_stats_add(&op->operations, 1);
	if (__builtin_expect(io->result == 0, 1))
		bdus_stats_add(&op->bytes, io->request.length_bytes);
	else
		bdus_stats_add(&op->errors, 1);
}

/** A filter was given a request. */
static inline void bdus_stats_entered(struct bdus_stats_part *part, unsigned row,
				      struct bdus_io *io)
{
	struct bdus_stats_counters *const held = &part->filters[row].held;

	bdus_stats_add(&held->operations, 1);
	bdus_stats_add(&held->bytes, io->request.length_bytes);
	if (__builtin_expect(io->fetched_ns != 0, 0))
		io->entered_ns = base_now_ns();
}

#endif
