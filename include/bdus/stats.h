/* SPDX-License-Identifier: MIT */
/*
 * What a device has done: operations, bytes and errors, how long requests took, and how many are on
 * their way, for each of its queues.
 *
 *	struct bdus_op_stats reads;
 *	struct bdus_stats *stats;
 *
 *	bdus_stats_of_device(device, &stats);
 *	bdus_stats_read(stats, BDUS_STATS_ALL, BDUS_OP_READ, &reads);
 *	// reads.operations, bdus_stats_quantile_ns(&reads, 0.99)
 *	bdus_stats_close(stats);
 *
 * The numbers are in memory that the device's process shares; its queues count with plain stores
 * and readers read them there, so that reading stops nobody and makes no system call. Every number
 * is right by itself and never falls; two of them may be of slightly different times.
 *
 * A request counts when its result is handed to the way in; with it, its bytes, and a failure. How
 * long it took is the time from when the engine fetched it to then, by CLOCK_MONOTONIC, for all
 * requests of a queue while they are few, and for a random sample of them while they are many:
 *about ten thousand a second, and never fewer than one in 64 on average. `timed` says how many
 *these were. Each request counts once, whatever pieces it was split into.
 *
 * Functions return 0, or a negative errno with a sentence in bdus_manage_error(); outputs are
 * untouched on failure. A `struct bdus_stats` is for any thread, and several at a time.
 */
#ifndef BDUS_STATS_H
#define BDUS_STATS_H

#include <bdus/manage.h>
#include <bdus/request.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bdus_device;
struct bdus_stats;

/** Times fall into this many buckets, see bdus_stats_bucket_ns(). */
#define BDUS_STATS_BUCKETS 256

/** In place of a queue or an operation: the sum of all. */
#define BDUS_STATS_ALL UINT32_MAX

/** Of one operation. */
struct bdus_op_stats {
	/** Requests that ended, those with an error among them. */
	uint64_t operations;
	/** Of those that succeeded: the sum of their lengths. */
	uint64_t bytes;
	uint64_t errors;
	/** Requests that were timed, and the sum of their times. */
	uint64_t timed;
	uint64_t timed_ns;
	/** How many of these took how long. */
	uint64_t buckets[BDUS_STATS_BUCKETS];
};

/** Of one queue, or of all. */
struct bdus_queue_stats {
	/** CLOCK_MONOTONIC, when this was read. */
	uint64_t time_ns;
	/** Requests fetched so far, and in how many batches. */
	uint64_t fetched;
	uint64_t batches;
	/** Requests on their way between fetch and result. */
	uint64_t in_flight;
	/** The same for each queue: of the device. */
	uint32_t queues;
	uint32_t queue_depth;
	/** Operations that the device counts; reading those with higher numbers gives zeros. */
	uint32_t ops;
	/** Threads that serve requests of a blocking driver, and the most that there can be. */
	uint32_t workers;
	uint32_t worker_limit;
};

/**
 * The statistics of a device of this process, from bdus_device_create() on; they may be read even
 * after it was destroyed. -ENOMEM, -EMFILE; -EOPNOTSUPP when the environment has
 * BDUS_NO_STATISTICS.
 */
int bdus_stats_of_device(const struct bdus_device *device, struct bdus_stats **stats);

/**
 * The same for a device of any process of this user, or for root of any user, that
 * bdus_manage_find() or its like has found. Waits for that process at most @timeout_ms (0: no
 * limit). -ENOENT: no process answers for the device; -EPERM: it belongs to another user;
 * -ETIMEDOUT; -EPROTO: the process gave something else.
 */
int bdus_stats_open(const struct bdus_device_info *info, uint64_t timeout_ms,
		    struct bdus_stats **stats);

/** Takes NULL. */
void bdus_stats_close(struct bdus_stats *stats);

/** Of @queue, or the sum with BDUS_STATS_ALL. -EINVAL for a queue that the device does not have. */
int bdus_stats_read_queue(const struct bdus_stats *stats, uint32_t queue,
			  struct bdus_queue_stats *result);

/** As that, of operation @op (enum bdus_op), or the sum with BDUS_STATS_ALL. */
int bdus_stats_read(const struct bdus_stats *stats, uint32_t queue, uint32_t op,
		    struct bdus_op_stats *result);

/** Most filters of a device that are counted, and room for the name of one. */
#define BDUS_STATS_FILTERS      16
#define BDUS_STATS_FILTER_BYTES 32

/** Of one filter of a device. */
struct bdus_filter_stats {
	/** It, with its terminating zero. */
	char name[BDUS_STATS_FILTER_BYTES];
	/**
	 * What the filter was given, children and pieces that come from above among it; `errors`
	 * are those that it completed with an error itself; and the times are those for which it
	 * held requests, until it passed them on or they were completed: that of the layers below
	 * is in it only where it sends children. The sample is that of the device's requests.
	 */
	struct bdus_op_stats held;
	/** Requests that it completed itself, rather than passing them on. */
	uint64_t completed;
};

/**
 * As bdus_stats_read(), of the filter with place @place, from 0 next to the clients on.
 * -ENODEV: there are not that many; and their numbers are 0 where the device's process has an older
 * library.
 */
int bdus_stats_read_filter(const struct bdus_stats *stats, uint32_t queue, uint32_t place,
			   struct bdus_filter_stats *result);

/** What happened since @earlier was read, in place of @later. */
void bdus_stats_subtract(struct bdus_op_stats *later, const struct bdus_op_stats *earlier);

/**
 * The shortest time that falls into @bucket: multiples of 32 ns up to 256 ns, from there eight
 * buckets for each doubling, so that a bucket is at most an eighth wider than its start. The last
 * one, from some 8 minutes on, has no end.
 */
uint64_t bdus_stats_bucket_ns(unsigned bucket);

/**
 * The time within which the share @quantile (0 to 1) of the timed requests ended, to the width of a
 * bucket; 0 when none was timed.
 */
uint64_t bdus_stats_quantile_ns(const struct bdus_op_stats *stats, double quantile);

#ifdef __cplusplus
}
#endif

#endif
