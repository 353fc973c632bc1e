/* SPDX-License-Identifier: MIT */
/*
 * Bad sectors: reads and writes that touch a sector of the list fail, each with the error that the
 * list has for it.
 *
 *	bdus run … --filter opvm:fault-injection.o,maps=bad:2048:5+bad:4096:28
 */
#include "opvm/program.h"

#include "opvm/block.h"

#define SECTOR_BYTES 512
#define MOST_SECTORS 65536

/** By number of the sector: an error number. */
OPVM_MAP(bad, OPVM_MAP_HASH, sizeof(uint64_t), sizeof(uint32_t), 4096);

OPVM_PROGRAM uint64_t serve(struct opvm_block *request)
{
	uint64_t sector = request->offset_bytes / SECTOR_BYTES;
	const uint64_t end = (request->offset_bytes + request->length_bytes) / SECTOR_BYTES;

	if (request->operation != OPVM_BLOCK_READ && request->operation != OPVM_BLOCK_WRITE)
		return OPVM_BLOCK_PASS;
	for (uint32_t i = 0; i < MOST_SECTORS && sector < end; i++, sector++) {
		const uint32_t *const error = opvm_map_lookup(&bad, &sector);

		if (error != 0) {
			request->status = *error;
			return OPVM_BLOCK_FAIL;
		}
	}
	return OPVM_BLOCK_PASS;
}
