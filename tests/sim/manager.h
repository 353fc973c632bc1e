/* SPDX-License-Identifier: MIT */
/*
 * A thread that manages the device while it serves: lists, flushes, bothers the service, and
 * in the end perhaps destroys it.
 */
#ifndef TEST_SIM_MANAGER_H
#define TEST_SIM_MANAGER_H

#include "sim/sim.h"

#include <bdus/manage.h>

struct manager_setup {
	struct sim_world *world;
	uint64_t seed;
	/** How many things it does. */
	unsigned actions;
	bool destroys;
	/** Flushes may fail. */
	bool flushes_fail;
};

/** Starts to manage the device that @info describes. */
void manager_start(const struct manager_setup *setup, const struct bdus_device_info *info);

/** Waits until the manager is done; nothing happens when none was started. */
void manager_finish(void);

/** Whether a flush was asked for of which nobody knows how it ended. */
bool manager_lost_a_flush(void);

#endif
