/* SPDX-License-Identifier: MIT */
/*
 * Seeded pseudo-random numbers: the same seed gives the same numbers on every machine. For tests;
 * nothing here is secret.
 */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
	uint64_t state;
};

/** Scatters the bits of @value over 64 bits (the finaliser of splitmix64). */
static inline uint64_t sim_mix(uint64_t value)
{
	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return value ^ (value >> 31);
}

/** Streams with different @stream are independent of one another. */
static inline void sim_random_init(struct sim_random *random, uint64_t seed, uint64_t stream)
{
	random->state = sim_mix(seed) ^ sim_mix(~stream);
}

static inline uint64_t sim_random_next(struct sim_random *random)
{
	random->state += UINT64_C(0x9e3779b97f4a7c15);
	return sim_mix(random->state);
}

/** From 0 to @limit - 1; @limit is not 0. */
static inline uint64_t sim_random_below(struct sim_random *random, uint64_t limit)
{
	return sim_random_next(random) % limit;
}

/** From @low to @high, both possible. */
static inline uint64_t sim_random_between(struct sim_random *random, uint64_t low, uint64_t high)
{
	return low + sim_random_below(random, high - low + 1);
}

/** True in @percent of 100 calls. */
static inline bool sim_random_chance(struct sim_random *random, unsigned percent)
{
	return sim_random_below(random, 100) < percent;
}

#endif
