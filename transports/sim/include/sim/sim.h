/* SPDX-License-Identifier: MIT */
/*
 * What a test program shares with the simulated way in: the world that requests are made for, what
 * is expected of it, and what was found.
 *
 * The transport is chosen as any other is, by "sim,seed=…"; since it runs in the test's own process
 * it takes the rest from the world that sim_use_world() named. It never prints.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "sim/model.h"
#include "sim/random.h"
#include "sim/zones.h"

#include <bdus/driver.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

/** Where start-up, or the device while it runs, goes wrong on purpose. */
enum sim_failure_point {
	SIM_FAIL_NEVER,
	SIM_FAIL_CREATE,
	SIM_FAIL_OPEN_QUEUE,
	SIM_FAIL_START,
	SIM_FAIL_START_RESULT,
	SIM_FAIL_FETCH,
};

/** What the transport returns where it fails on purpose. */
#define SIM_FAILURE_ERRNO EREMOTEIO

/**
 * A bad spot of the disk: an operation of @ops that touches the range fails with @errnum, and with
 * nothing else. A pure function of the place, so that the results of split requests are known, too.
 */
struct sim_bad_spot {
	uint64_t offset_bytes;
	uint64_t length_bytes;
	uint32_t ops;
	int errnum;
};

#define SIM_BAD_SPOTS_MAX 4
#define SIM_TRACE_LENGTH  96

enum sim_trace_kind {
	SIM_TRACE_NONE,
	SIM_TRACE_CLIENT_ISSUES,
	SIM_TRACE_CLIENT_IS_ANSWERED,
	SIM_TRACE_DRIVER_TAKES,
	SIM_TRACE_STOP_IS_ASKED,
};

struct sim_trace_line {
	/** Of the request; of a driver's line, how many pieces it tells of. */
	uint64_t number;
	uint64_t offset_bytes;
	uint64_t length_bytes;
	int result;
	uint16_t flags;
	uint8_t kind;
	uint8_t queue;
	uint8_t op;
};

struct sim_world {
	/* ---- set by the test before a run ---------------------------------------------------- */

	/** NULL when the content is not to be checked, as of a driver that stores nothing. */
	struct sim_model *model;
	/** Of a zoned device, which has no `model`; the test's own. */
	struct sim_zones *zones;
	/** Whether, without a model, every read must give zeros. */
	bool reads_zeros;
	/** What the driver takes itself and how, after all wrapping. */
	uint32_t driver_ops;
	uint32_t driver_flags;
	struct sim_bad_spot spots[SIM_BAD_SPOTS_MAX];
	unsigned spot_count;
	enum sim_failure_point failure_point;
	/** After how many requests a fetch fails; modulo the queues, the one whose open fails. */
	uint64_t failure_at;
	/** Ask the process to end (SIGTERM) after so many requests; 0 for never. */
	uint64_t terminate_at;
	/** Read the whole device before anything else, as after a restart. */
	bool sweep_first;

	/* ---- set by the transport before requests arrive ---------------------------------------
	 */

	/** The device as the transport lowered it. */
	struct bdus_device_attrs attrs;

	/* ---- set by the driver while it runs --------------------------------------------------
	 */

	/** Nothing works any more; every request may fail with -EIO from now on. */
	atomic_bool power_failed;
	/** Flushes that the driver was made to fail, and flushes that it answered well. */
	atomic_uint flushes_failed;
	/** How often what a driver keeps beside its data found no room; -ENOSPC follows from that.
	 */
	atomic_uint stores_full;
	atomic_uint flushes_done;

	/* ---- what was found; `found_lock` --------------------------------------------------- */

	pthread_mutex_t found_lock;
	bool failed;
	char failure[768];
	struct sim_trace_line trace[SIM_TRACE_LENGTH];
	uint64_t trace_count;

	/* ---- `lock`, which is taken before found_lock ---------------------------------------- */

	/** Protects the model, the clock and the ranges in flight. */
	pthread_mutex_t lock;
	uint64_t now;
	/** Distinguishes the stamps of several runs on one world. */
	unsigned generation;
	/** Failed flushes as clients saw them. */
	unsigned flush_failures_seen;
	uint64_t requests;
	uint64_t answered[BDUS_OP_COUNT + 1];
	uint64_t refused;
	uint64_t failures_seen;
	uint64_t verified_bytes;
	unsigned max_in_flight;
	/** Calls that the engine owes: each open queue closed, each device destroyed. */
	unsigned devices;
	unsigned queues;
	bool stopped;
	/** How long the engine took to begin to end the device after it was asked to; 0 if it was
	 * not. */
	uint64_t stop_delay_ms;
	atomic_bool available;
};

/** The world may be in memory that processes share. */
void sim_world_init(struct sim_world *world);
/** After a process that used the world was killed, which held `lock` at most as its last deed. */
void sim_world_revive(struct sim_world *world);
void sim_world_finish(struct sim_world *world);

/** Names the world that the next device of this thread is made in. */
void sim_use_world(struct sim_world *world);

/** Notes the first failure of a run; later ones follow from it and are dropped. Any thread. */
void sim_fail(struct sim_world *world, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
bool sim_has_failed(struct sim_world *world);

/** Adds to the trace. Any thread. */
void sim_trace(struct sim_world *world, const struct sim_trace_line *line);
void sim_print_trace(struct sim_world *world, FILE *to);

/** The errno of the first bad spot that @op on the range touches; 0 for none. */
int sim_bad_spot(const struct sim_world *world, unsigned op, uint64_t offset_bytes,
		 uint64_t length_bytes);

/** The queue that the calling thread owns; -1 for none. */
int sim_owned_queue(void);

#endif
