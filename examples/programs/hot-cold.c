/* SPDX-License-Identifier: MIT */
/*
 * Which parts of the device are hot: each of 1,024 equal parts has a counter of the bytes that were
 * read from it and one of those written to it.
 *
 *	bdus run … --filter opvm:hot-cold.o
 */
#include "opvm/program.h"

#include "opvm/block.h"

#define PARTS 1024

OPVM_MAP(bytes_read, OPVM_MAP_ARRAY, sizeof(uint32_t), sizeof(uint64_t), PARTS);
OPVM_MAP(bytes_written, OPVM_MAP_ARRAY, sizeof(uint32_t), sizeof(uint64_t), PARTS);

static __attribute__((always_inline)) void add(const void *map, uint32_t part, uint64_t bytes)
{
	uint64_t *const count = opvm_map_lookup(map, &part);

	if (count != 0)
		__sync_fetch_and_add(count, bytes);
}

OPVM_PROGRAM uint64_t serve(struct opvm_block *request)
{
	const uint64_t part_bytes = request->device_bytes / PARTS + 1;
	const uint32_t part = (uint32_t)(request->offset_bytes / part_bytes);
	/* A request that reaches over the edge of its part counts where it begins. */
	const uint64_t bytes = request->length_bytes;

	if (request->operation == OPVM_BLOCK_READ)
		add(&bytes_read, part, bytes);
	else if (request->operation == OPVM_BLOCK_WRITE)
		add(&bytes_written, part, bytes);
	return OPVM_BLOCK_PASS;
}
