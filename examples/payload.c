/* SPDX-License-Identifier: MIT */
/*
 * What the compiler may know of a payload: a disk in memory that stores every byte XORed with a
 * mask.
 *
 * `payload` serves reads with read_restrict(), `payload plain` with read_plain(). Their loops are
 * the same. Yet only that of read_restrict() is turned into vector instructions, and it is many
 * times faster. A store through a `char *` may change any object, so in read_plain() the compiler
 * must expect each stored byte to change `disk->memory` or `disk->mask` and load both anew for each
 * byte. BDUS_RESTRICT says that the payload is apart from whatever else the callback uses.
 *
 * Why not ask some function for the pointer, with the attribute `malloc`? Because memory fresh from
 * malloc() that nobody can reach once the callback has returned is memory whose content nobody can
 * ever see: a compiler is free to leave out all stores to it, and GCC does.
 */
#include <bdus.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct disk {
	unsigned char *memory;
	unsigned char mask;
};

static int read_plain(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	const struct disk *disk = ctx->private_data;

	for (uint32_t i = 0; i < size; i++)
		buffer[i] = (char)(disk->memory[offset + i] ^ disk->mask);
	return 0;
}

static int read_restrict(char *BDUS_RESTRICT buffer, uint64_t offset, uint32_t size,
			 struct bdus_ctx *ctx)
{
	const struct disk *disk = ctx->private_data;

	for (uint32_t i = 0; i < size; i++)
		buffer[i] = (char)(disk->memory[offset + i] ^ disk->mask);
	return 0;
}

/*
 * Here it is the stores to the driver's own memory that could change `disk`; no word about the
 * payload can help against that. Copies in local variables do.
 */
static int write_masked(const char *BDUS_RESTRICT buffer, uint64_t offset, uint32_t size,
			struct bdus_ctx *ctx)
{
	const struct disk *disk = ctx->private_data;
	unsigned char *memory = disk->memory + offset;
	const unsigned char mask = disk->mask;

	for (uint32_t i = 0; i < size; i++)
		memory[i] = (unsigned char)buffer[i] ^ mask;
	return 0;
}

int main(int argc, char **argv)
{
	struct bdus_ops ops = {.read = read_restrict, .write = write_masked};
	const struct bdus_attrs attrs = {.size = UINT64_C(64) << 20, .logical_block_size = 512};
	struct disk disk = {.mask = 0x5a};
	bool done;

	if (argc == 2 && strcmp(argv[1], "plain") == 0)
		ops.read = read_plain;
	disk.memory = malloc(attrs.size);
	if (!disk.memory)
		return 1;
	memset(disk.memory, disk.mask, attrs.size);
	done = bdus_run(&ops, &attrs, &disk);
	if (!done)
		fprintf(stderr, "payload: %s\n", bdus_get_error_message());
	free(disk.memory);
	return done ? 0 : 1;
}
