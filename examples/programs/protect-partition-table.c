/* SPDX-License-Identifier: MIT */
/*
 * The partition table cannot be overwritten: the first 34 and the last 33 blocks of a GPT are
 * read-only, until the map `unlocked` says otherwise.
 *
 *	bdus run … --filter opvm:protect-partition-table.o
 */
#include "opvm/program.h"

#include "opvm/block.h"

#define EPERM       1
#define TABLE_BYTES 16384

/** 0: 1 while the table may be written. */
OPVM_MAP(unlocked, OPVM_MAP_ARRAY, sizeof(uint32_t), sizeof(uint64_t), 1);

OPVM_PROGRAM uint64_t serve(struct opvm_block *request)
{
	const uint32_t operation = request->operation;
	const uint32_t first = 0;
	const uint64_t *const is_unlocked = opvm_map_lookup(&unlocked, &first);
	const uint64_t ends = request->offset_bytes + request->length_bytes;
	/* The protective MBR and the header before the entries; the entries before the other
	 * header. */
	const uint64_t head_bytes = 2 * (uint64_t)request->block_bytes + TABLE_BYTES;
	const uint64_t tail_bytes = request->block_bytes + TABLE_BYTES;

	if (operation != OPVM_BLOCK_WRITE && operation != OPVM_BLOCK_WRITE_ZEROS &&
	    operation != OPVM_BLOCK_DISCARD && operation != OPVM_BLOCK_SECURE_ERASE)
		return OPVM_BLOCK_PASS;
	if (is_unlocked != 0 && *is_unlocked != 0)
		return OPVM_BLOCK_PASS;
	if (request->offset_bytes >= head_bytes && ends + tail_bytes <= request->device_bytes)
		return OPVM_BLOCK_PASS;
	request->status = EPERM;
	return OPVM_BLOCK_FAIL;
}
