/* SPDX-License-Identifier: MIT */
/*
 * What one seed means: which driver, wrapped how, what its device is like, what clients do, and
 * what goes wrong.
 */
#ifndef TEST_SIM_SCENARIO_H
#define TEST_SIM_SCENARIO_H

#include "disk.h"
#include "fold_map.h"
#include "layers.h"
#include "medium.h"
#include "wrap.h"

#include <bdus/driver.h>

#define SCENARIO_WORDS_MAX       12
#define SCENARIO_WORD_BYTES      192
#define SCENARIO_TRANSPORT_BYTES 256

/** What the test asks for on the command line. */
struct scenario_request {
	const char *driver;
	uint64_t seed;
	uint64_t operations;
	bool overlap;
	/** A directory for what drivers store. */
	const char *directory;
};

struct scenario {
	struct scenario_request request;
	struct sim_random random;
	struct wrap_setup wrap;
	uint64_t size_bytes;
	uint32_t logical_block_size;
	uint32_t physical_block_size;
	/** How often the device is made, one time after the other, on the same content. */
	unsigned generations;
	/** The content can be checked against the model. */
	bool stores;
	bool reads_zeros;

	/** The medium, for the driver "disk". */
	struct disk *disk;
	/** The same, for the driver "zoned"; NULL when that is in memory. */
	struct medium *medium;
	/** What the filter "zonefold" keeps over the same; NULL without it. */
	struct map_memory *map;
	bool loses_power;

	enum sim_failure_point failure_point;
	uint64_t failure_at;
	uint64_t terminate_at;
	/** The process is killed after so many requests of the first generation; 0 for not. */
	uint64_t killed_at;
	int open_errno;
	int available_errno;

	/** The device must begin to end this soon after it was asked to; 0 for no limit. */
	uint64_t stops_within_ms;

	/** What lies between clients and driver. */
	unsigned filter_count;
	struct bdus_filter_use filters[LAYERS_MAX + 2];

	unsigned word_count;
	char words[SCENARIO_WORDS_MAX][SCENARIO_WORD_BYTES];
	char transport[SCENARIO_TRANSPORT_BYTES];
	uint32_t run_queues;
	uint32_t run_queue_depth;
	bool run_read_only;

	/** How many things a manager does to the device while it serves; 0 for no manager. */
	unsigned managed;
	bool is_destroyed;
};

/** The drivers that there are scenarios for; ended by NULL. */
extern const char *const scenario_drivers[];

/** Returns false when there is no such driver. */
bool scenario_init(struct scenario *scenario, const struct scenario_request *request);
void scenario_finish(struct scenario *scenario);

#endif
