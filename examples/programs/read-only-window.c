/* SPDX-License-Identifier: MIT */
/*
 * One range of the device cannot be changed; a request that reaches into it fails, and what lies
 * before is not written either.
 *
 *	bdus run … --filter opvm:read-only-window.o,maps=window:0:1M+window:1:2M
 */
#include "opvm/program.h"

#include "opvm/block.h"

#define EPERM 1

/** 0: where it begins. 1: where it ends. */
OPVM_MAP(window, OPVM_MAP_ARRAY, sizeof(uint32_t), sizeof(uint64_t), 2);

static __attribute__((always_inline)) uint64_t edge(uint32_t index)
{
	const uint64_t *const value = opvm_map_lookup(&window, &index);

	return value != 0 ? *value : 0;
}

OPVM_PROGRAM uint64_t serve(struct opvm_block *request)
{
	const uint32_t operation = request->operation;
	const uint64_t begins = request->offset_bytes;
	const uint64_t ends = begins + request->length_bytes;

	if (operation != OPVM_BLOCK_WRITE && operation != OPVM_BLOCK_WRITE_ZEROS &&
	    operation != OPVM_BLOCK_DISCARD && operation != OPVM_BLOCK_SECURE_ERASE)
		return OPVM_BLOCK_PASS;
	if (begins >= edge(1) || ends <= edge(0))
		return OPVM_BLOCK_PASS;
	request->status = EPERM;
	return OPVM_BLOCK_FAIL;
}
