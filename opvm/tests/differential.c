/* SPDX-License-Identifier: MIT */
/*
 * Random programs, run in every way that there is. usage: differential SEED PROGRAMS
 */
#include "random.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t state;

static uint8_t random_byte(void)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint8_t)(state >> 56);
}

int main(int count, char **arguments)
{
	const uint64_t seed = count > 1 ? strtoull(arguments[1], NULL, 0) : 1;
	const uint64_t programs = count > 2 ? strtoull(arguments[2], NULL, 0) : 20000;
	struct random_totals totals = {0};
	uint8_t bytes[160];

	for (uint64_t index = 0; index < programs; index++) {
		size_t length;

		state = seed * 1000000007u + index;
		random_byte();
		length = 8 + random_byte() % 152u;
		for (size_t at = 0; at < length; at++)
			bytes[at] = random_byte();
		if (!random_try(bytes, length, &totals)) {
			printf("FAILED: seed %llu, program %llu\n", (unsigned long long)seed,
			       (unsigned long long)index);
			return 1;
		}
	}
	printf("%llu programs, %llu accepted, %llu as machine code, %llu runs out of fuel\n",
	       (unsigned long long)totals.programs, (unsigned long long)totals.accepted,
	       (unsigned long long)totals.compiled, (unsigned long long)totals.exhausted);
	return totals.accepted * 50 < totals.programs;
}
