/* SPDX-License-Identifier: MIT */
/*
 * A model of a disk for unit tests of drivers: random requests from a seed go to the driver and to
 * an array of bytes, and every answer of the driver is checked against the array.
 */
#ifndef DRIVERS_TESTING_MODEL_H
#define DRIVERS_TESTING_MODEL_H

#include "double.h"

struct model_result {
	/** Number of requests after which the driver was wrong; 0 when it never was. */
	unsigned failed_at;
	/** What was wrong. */
	char complaint[256];
};

/**
 * Plays @count requests on the device's range [@start, @start + @length), in units of @block bytes;
 * nothing else may touch that range. It must read as zeros at the beginning.
 */
struct model_result model_play(const struct opened *opened, uint64_t start, uint64_t length,
			       uint32_t block, uint64_t seed, unsigned count);

/** The next number of a sequence that depends on its seed alone; the seed must not be 0. */
uint64_t model_random(uint64_t *state);

#endif
