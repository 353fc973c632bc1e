/* SPDX-License-Identifier: MIT */
/*
 * The device is cut into equal columns, and what clients see as one after the other lies in stripes
 * across them, as on that many disks.
 *
 *	bdus run … --filter opvm:stripe-map.o,maps=geometry:0:4+geometry:1:64K
 */
#include "opvm/program.h"

#include "opvm/block.h"

#define EINVAL 22

/** 0: number of columns. 1: length of a stripe in bytes; a device of whole stripes in each column.
 */
OPVM_MAP(geometry, OPVM_MAP_ARRAY, sizeof(uint32_t), sizeof(uint64_t), 2);

static __attribute__((always_inline)) uint64_t number(uint32_t index)
{
	const uint64_t *const value = opvm_map_lookup(&geometry, &index);

	return value != 0 ? *value : 0;
}

OPVM_PROGRAM uint64_t serve(struct opvm_block *request)
{
	const uint64_t columns = number(0);
	const uint64_t stripe_bytes = number(1);
	uint64_t stripe, within, left;

	if (request->operation == OPVM_BLOCK_FLUSH)
		return OPVM_BLOCK_PASS;
	/* What is allocated is another question in each column: say nothing but that there is data.
	 */
	if (request->operation == OPVM_BLOCK_EXTENTS)
		return OPVM_BLOCK_DONE;
	if (columns == 0 || stripe_bytes == 0 ||
	    request->device_bytes % (columns * stripe_bytes) != 0) {
		request->status = EINVAL;
		return OPVM_BLOCK_FAIL;
	}
	stripe = request->offset_bytes / stripe_bytes;
	within = request->offset_bytes % stripe_bytes;
	left = stripe_bytes - within;
	request->target_bytes = stripe % columns * (request->device_bytes / columns) +
				stripe / columns * stripe_bytes + within;
	if (request->length_bytes > left)
		request->covers_bytes = left;
	return OPVM_BLOCK_REDIRECT;
}
