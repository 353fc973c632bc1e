/* SPDX-License-Identifier: MIT */
/*
 * Where the filter "zonefold" keeps its map in a simulation: memory that outlives the device and
 * obeys the power of the medium. It takes the place of filters/zonefold/map.c, whatever the path. A
 * commit takes its time, and a loss of power during it leaves all of it or nothing, and an error.
 * In every other simulation there is no room for some of them, of which nothing is then left.
 */
#ifndef TEST_SIM_FOLD_MAP_H
#define TEST_SIM_FOLD_MAP_H

#include "sim/sim.h"

struct map_memory;

struct map_memory *map_memory_create(struct sim_world *world, uint64_t seed);
void map_memory_destroy(struct map_memory *memory);

/** Names the memory that the next map is in. */
void map_memory_use(struct map_memory *memory);

#endif
