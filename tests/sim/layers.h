/* SPDX-License-Identifier: MIT */
/*
 * Filters that the simulation lays over a driver: each does something else that filters may do, and
 * none changes what clients may see.
 */
#ifndef TEST_SIM_LAYERS_H
#define TEST_SIM_LAYERS_H

#include "sim/sim.h"

#include <bdus/filter.h>
#include <bdus/manage.h>

#define LAYERS_MAX 3

/** Draws up to LAYERS_MAX filters into @uses, some of which cut requests if they @may_cut, and
 * returns their number. */
unsigned layers_draw(struct sim_random *random, bool may_cut, struct bdus_filter_use *uses);

#endif
