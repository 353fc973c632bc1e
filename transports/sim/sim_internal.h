/* SPDX-License-Identifier: MIT */
/*
 * Within the simulated way in: its device, queues and request slots.
 *
 * A queue and its slots belong to the thread that opened it. What is shared between queues (the
 * device's counters and the list of ranges in flight, the model) is reached under the world's lock.
 */
#ifndef SIM_INTERNAL_H
#define SIM_INTERNAL_H

#include "base/list.h"
#include "device/transport.h"
#include "sim/sim.h"
#include "sim/zones.h"

#include <bdus/zoned.h>

#include <pthread.h>

#define SIM_QUEUES_MAX  16
#define SIM_EXTENTS_MAX 16

enum sim_mix {
	SIM_MIX_EVEN,
	SIM_MIX_READS,
	SIM_MIX_WRITES,
	SIM_MIX_HOLES,
};

/** What must become of a request. */
enum sim_expectation {
	/** To reach the driver, whose answer is known from the bad spots. */
	SIM_EXPECT_SERVICE,
	/** To be refused since its range makes no sense. */
	SIM_EXPECT_BAD_RANGE,
	/** To be refused since the device is read-only. */
	SIM_EXPECT_READ_ONLY,
	/** To be refused since nothing here can do it, or not as fast as was asked. */
	SIM_EXPECT_UNSUPPORTED,
};

/** A request before it is issued. */
struct sim_plan {
	uint8_t op;
	uint16_t flags;
	enum sim_expectation expectation;
	uint64_t offset_bytes;
	uint64_t length_bytes;
	/** Room for the answer to an extents request. */
	unsigned extent_capacity;

	/* Of a zoned device; the range is made up when the request is admitted. */
	/** Reads or reports a whole zone, as the sweeps do. */
	bool is_sweep;
	bool was_alone;
	/** How it may end: see zones.c. */
	unsigned allowed;
	uint32_t zone;
	uint32_t zone_capacity;
	uint64_t dice;
	uint64_t begun;
};

struct sim_slot {
	struct bdus_io io;
	struct sim_plan plan;
	/** In the device's list of ranges in flight. */
	struct base_list link;
	struct sim_slot *next_free;
	bool issued_to_engine;
	uint64_t number;
	uint64_t issued;
	uint64_t stamp;
	/** Failed flushes of the driver when this request was issued. */
	unsigned flushes_failed_before;
	unsigned stores_full_before;
	void *payload;
	struct bdus_extent *extents;
	struct bdus_zone *zones;
};

enum sim_phase {
	SIM_PHASE_FIRST_SWEEP,
	SIM_PHASE_RANDOM,
	SIM_PHASE_LAST_SWEEP,
	SIM_PHASE_ENDED,
};

struct bdus_transport_queue {
	struct bdus_transport_device *device;
	unsigned index;
	struct bdus_queue *host;
	struct bdus_call look_again;
	bool looks_again;
	pthread_t owner;
	enum sim_phase phase;
	/** What is asked for; drawn from nothing but the seed and the queue's index. */
	struct sim_random requests;
	/** When it is asked for. */
	struct sim_random timing;
	uint64_t planned;
	uint64_t quota;
	uint64_t sweep_bytes;
	/** Of a zoned device. */
	uint64_t sweep_step;
	/** The next request, which may have to wait for others. */
	bool has_plan;
	struct sim_plan plan;
	unsigned in_flight;
	/** How many requests the client likes to have in flight just now. */
	unsigned wanted;
	struct sim_slot *slots;
	struct sim_slot *free_slots;
	bool fetched;
	/** fetch() said -ENODEV, or failed on purpose. */
	bool gone;
	bool failed;
};

struct bdus_transport_device {
	struct sim_world *world;
	struct bdus_device_attrs attrs;
	uint32_t native_ops;
	uint64_t id;
	pthread_t main;

	uint64_t seed;
	uint64_t operations;
	uint64_t max_request_bytes;
	enum sim_mix mix;
	bool overlap;

	/* Main only. */
	unsigned start_results;
	bool started;

	/* Under the world's lock. */
	struct base_list in_flight;
	unsigned in_flight_count;
	/** Queues that have not planned their last random request, or wait for its answer. */
	unsigned busy_queues;
	bool swept;
	bool fetch_failed;
	bool terminating;
	uint64_t terminated_ns;
	bool stopping;
	unsigned open_queues;
};

/** Draws the queue's next random request. */
void sim_plan_random(struct bdus_transport_queue *queue, struct sim_plan *plan);

/** What must become of @plan on @device. */
enum sim_expectation sim_expect(const struct bdus_transport_device *device,
				const struct sim_plan *plan);

static inline bool sim_op_writes(unsigned op)
{
	return op == BDUS_OP_WRITE || op == BDUS_OP_WRITE_ZEROS || op == BDUS_OP_DISCARD ||
	       op == BDUS_OP_SECURE_ERASE;
}

static inline bool sim_op_reads(unsigned op)
{
	return op == BDUS_OP_READ || op == BDUS_OP_EXTENTS;
}

/** Tells the model that the slot's request begins. The world's lock is held. */
void sim_begin(struct bdus_transport_device *device, struct sim_slot *slot);

/** Checks a request that came back, and tells the model. The world's lock is held. */
void sim_check_answer(struct bdus_transport_device *device, struct sim_slot *slot);

/** Tells the model that the slot's request will never be answered. The world's lock is held. */
void sim_abandon(struct bdus_transport_device *device, struct sim_slot *slot);

/* ---- zones.c; the world's lock is held ------------------------------------------------------ */

/** Takes over how the way in lowered the limits on lengths. */
void sim_zones_set_limits(struct sim_zones *zones, const struct bdus_device_attrs *attrs);

/** Draws the next request, without its range. */
void sim_zones_plan(const struct sim_zones *zones, struct sim_random *random,
		    struct sim_plan *plan);

/** The request number @step of a sweep; false when there is none. */
bool sim_zones_plan_sweep(const struct sim_zones *zones, uint64_t step, struct sim_plan *plan);

/** Whether the request may be issued now; gives it its range then. */
bool sim_zones_admit(const struct sim_zones *zones, struct sim_plan *plan);

/** Puts into the payload what the request writes. */
void sim_zones_fill(const struct sim_zones *zones, struct sim_slot *slot);

void sim_zones_begin(struct sim_zones *zones, struct sim_slot *slot);

/** Checks the answer; a sentence that says what is wrong with it, or NULL. */
const char *sim_zones_answer(struct sim_zones *zones, struct sim_slot *slot, uint64_t now,
			     bool power_failed);

/** A flush that was issued at @issued succeeded. */
void sim_zones_end_flush(struct sim_zones *zones, uint64_t issued);

#endif
