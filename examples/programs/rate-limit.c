/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes together move so many bytes a second, and no more: a request that comes too
 * early waits until it is its turn.
 *
 *	bdus run … --filter opvm:rate-limit.o,maps=limits:0:10M+limits:1:1M
 */
#include "opvm/program.h"

#include "opvm/block.h"

#define SECOND_NS 1000000000ULL

/** 0: bytes a second, 0 for no limit. 1: bytes that may be ahead of that after a pause. */
OPVM_MAP(limits, OPVM_MAP_ARRAY, sizeof(uint32_t), sizeof(uint64_t), 2);
/** 0: when all that was let through will have had its time. */
OPVM_MAP(turns, OPVM_MAP_ARRAY, sizeof(uint32_t), sizeof(uint64_t), 1);

static __attribute__((always_inline)) uint64_t limit(uint32_t index)
{
	const uint64_t *const value = opvm_map_lookup(&limits, &index);

	return value != 0 ? *value : 0;
}

OPVM_PROGRAM uint64_t serve(struct opvm_block *request)
{
	const uint64_t bytes_per_s = limit(0);
	const uint32_t first = 0;
	uint64_t *const turn_ns = opvm_map_lookup(&turns, &first);
	uint64_t earliest_ns, takes_ns, starts_ns;

	if (turn_ns == 0 || bytes_per_s == 0 ||
	    (request->operation != OPVM_BLOCK_READ && request->operation != OPVM_BLOCK_WRITE))
		return OPVM_BLOCK_PASS;
	takes_ns = request->length_bytes * SECOND_NS / bytes_per_s;
	earliest_ns = request->time_ns - limit(1) * SECOND_NS / bytes_per_s;
	if (earliest_ns > request->time_ns)
		earliest_ns = 0;
	/* A pause is no credit beyond the burst. */
	if (*turn_ns < earliest_ns)
		*turn_ns = earliest_ns;
	starts_ns = __sync_fetch_and_add(turn_ns, takes_ns);
	if (starts_ns > request->time_ns)
		request->delay_ns = starts_ns - request->time_ns;
	return OPVM_BLOCK_PASS;
}
