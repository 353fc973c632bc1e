/* SPDX-License-Identifier: MIT */
/*
 * A disk with a volatile cache that can lose its power: a driver for the simulation, whose medium
 * outlives the device, so that what a crash left can be looked at.
 */
#ifndef TEST_SIM_DISK_H
#define TEST_SIM_DISK_H

#include "sim/sim.h"

#include <bdus/driver.h>

struct disk;

struct disk_setup {
	struct sim_world *world;
	uint64_t seed;
	uint64_t size_bytes;
	uint32_t logical_block_size;
	uint32_t physical_block_size;
	/** Completed writes may be lost until a flush. */
	bool volatile_cache;
	/** Lose power after so many requests; 0 for never. */
	uint64_t power_fails_at;
};

struct disk *disk_create(const struct disk_setup *setup);
void disk_destroy(struct disk *disk);

/** Names the disk that the driver's next `open` opens. */
void disk_use(struct disk *disk);

/** Takes the power away, if it is not gone yet, and gives it back: the cache is lost at random. */
void disk_restart(struct disk *disk);

/** Loses power after so many more requests; 0 for never. */
void disk_set_power_failure(struct disk *disk, uint64_t after_requests);

extern const struct bdus_driver disk_driver;

#endif
