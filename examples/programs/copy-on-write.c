/* SPDX-License-Identifier: MIT */
/*
 * The device is never changed: what clients write goes to a backend, and they read it from there
 * afterwards. The end of the process forgets all that was written.
 *
 *	bdus run file path=disk.img --backend file:path=overlay.img --filter \
 *		opvm:copy-on-write.o,name=serve,completion=back
 *
 * Without a backend, the second half of the device serves as one:
 *
 *	bdus run file path=disk.img --filter \
 *		opvm:copy-on-write.o,name=serve,completion=back,size=512M      (of a disk of 1G)
 *
 * Before a device of kbdus, within the kernel:
 *
 *	bdus program load /dev/bdus-0 copy-on-write.o serve back --kernel --backend=/dev/sdb
 *
 * A block counts as written once its write is back, so that nobody reads what is not there yet.
 * Requests are cut where 64 blocks begin, as the map has one bit for each block.
 */
#include "opvm/program.h"

#include "opvm/block.h"

#define ALL_BITS ((uint64_t)-1)

/** One bit for each block of 512 bytes or more: up to 2 GiB. */
OPVM_MAP(written, OPVM_MAP_ARRAY, sizeof(uint32_t), sizeof(uint64_t), 65536);

/** How many blocks from @first on, of at most @count, are like the first one in @word. */
static __attribute__((always_inline)) uint64_t alike(uint64_t word, uint32_t first, uint64_t count)
{
	const uint64_t is_written = word >> first & 1;
	uint64_t run = 1;

	for (uint32_t bit = first + 1; bit < 64 && run < count; bit++, run++)
		if ((word >> (bit & 63) & 1) != is_written)
			break;
	return run;
}

static __attribute__((always_inline)) int changes(uint32_t operation)
{
	return operation == OPVM_BLOCK_WRITE || operation == OPVM_BLOCK_WRITE_ZEROS;
}

static __attribute__((always_inline)) uint64_t to_copy(struct opvm_block *request)
{
	request->backend = request->backends != 0;
	if (request->backends == 0)
		request->target_bytes = request->offset_bytes + request->device_bytes / 2;
	return OPVM_BLOCK_REDIRECT;
}

OPVM_PROGRAM uint64_t serve(struct opvm_block *request)
{
	const uint32_t block_bytes = request->block_bytes;
	const uint64_t block = request->offset_bytes / block_bytes;
	const uint32_t index = (uint32_t)(block / 64);
	const uint32_t first = block % 64;
	const uint64_t *const word = opvm_map_lookup(&written, &index);
	uint64_t blocks = request->length_bytes / block_bytes;

	if (request->operation == OPVM_BLOCK_FLUSH)
		return OPVM_BLOCK_PASS;
	/* Discarding may as well do nothing, and of extents nothing is known but that there is
	 * data. */
	if (request->operation != OPVM_BLOCK_READ && !changes(request->operation))
		return OPVM_BLOCK_DONE;
	if (word == 0)
		return OPVM_BLOCK_FAIL;
	if (changes(request->operation))
		return to_copy(request);
	if (blocks > 64 - first)
		blocks = 64 - first;
	request->covers_bytes = alike(*word, first, blocks) * block_bytes;
	if ((*word >> first & 1) == 0)
		return OPVM_BLOCK_PASS;
	return to_copy(request);
}

OPVM_PROGRAM uint64_t back(struct opvm_block *request)
{
	const uint32_t block_bytes = request->block_bytes;
	uint64_t block = request->offset_bytes / block_bytes;
	uint64_t left = request->length_bytes / block_bytes;

	if (request->result != 0 || !changes(request->operation))
		return 0;
	while (left > 0) {
		const uint32_t index = (uint32_t)(block / 64);
		const uint32_t first = block % 64;
		const uint64_t run = left < 64 - first ? left : 64 - first;
		uint64_t *const word = opvm_map_lookup(&written, &index);

		if (word == 0)
			return 0;
		__sync_fetch_and_or(word, (ALL_BITS >> (64 - run)) << first);
		block += run;
		left -= run;
	}
	return 0;
}
