/* SPDX-License-Identifier: MIT */
/*
 * Where the driver "zoned" keeps its image in a simulation: a medium with a volatile cache, in
 * memory, that can lose its power and outlives the device. It takes the place of the file of
 * drivers/zoned/store_file.c, whatever its path.
 *
 * Calls end in any order. A loss of power leaves of each write that no sync covers, whole or torn
 * between sectors, what chance says.
 */
#ifndef TEST_SIM_MEDIUM_H
#define TEST_SIM_MEDIUM_H

#include "sim/sim.h"

struct medium;

struct medium *medium_create(struct sim_world *world, uint64_t seed);
void medium_destroy(struct medium *medium);

/** Names the medium that the next image is on. */
void medium_use(struct medium *medium);

/** Loses power after so many more calls; 0 for never. */
void medium_set_power_failure(struct medium *medium, uint64_t after_calls);

/** Takes the power away, if it is not gone yet, and gives it back. */
void medium_restart(struct medium *medium);

#endif
