/* SPDX-License-Identifier: MIT */
/*
 * A disk in memory: `ram MEBIBYTES`.
 *
 * Memory is taken when the disk is first written to and given back when it is discarded. The
 * driver holds it from `initialize` to `terminate`, that is, in the process that serves the device,
 * which is not the one that main() began in once that has gone to the background.
 */
#define _GNU_SOURCE 1
#include <bdus.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct ram {
	char *memory;
};

static int ram_initialize(struct bdus_ctx *ctx)
{
	struct ram *ram = ctx->private_data;
	void *memory = mmap(NULL, ctx->attrs->size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return errno;
	ram->memory = memory;
	return 0;
}

static int ram_terminate(struct bdus_ctx *ctx)
{
	struct ram *ram = ctx->private_data;

	return munmap(ram->memory, ctx->attrs->size) ? errno : 0;
}

static int ram_read(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	struct ram *ram = ctx->private_data;

	memcpy(buffer, ram->memory + offset, size);
	return 0;
}

static int ram_write(const char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	struct ram *ram = ctx->private_data;

	memcpy(ram->memory + offset, buffer, size);
	return 0;
}

/* The logical block is a page, so that every range can be given back. It reads as zeros then. */
static int ram_discard(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	struct ram *ram = ctx->private_data;

	return madvise(ram->memory + offset, size, MADV_DONTNEED) ? errno : 0;
}

/* Writing there later may find memory exhausted, which is only allowed if the client says so. */
static int ram_write_zeros(uint64_t offset, uint32_t size, bool may_unmap, struct bdus_ctx *ctx)
{
	struct ram *ram = ctx->private_data;

	if (may_unmap)
		return ram_discard(offset, size, ctx);
	memset(ram->memory + offset, 0, size);
	return 0;
}

static const struct bdus_ops ram_ops = {
	.initialize = ram_initialize,
	.terminate = ram_terminate,
	.read = ram_read,
	.write = ram_write,
	.write_zeros = ram_write_zeros,
	.discard = ram_discard,
};

int main(int argc, char **argv)
{
	struct ram ram = {NULL};
	struct bdus_attrs attrs = {.logical_block_size = 4096};
	unsigned long long mebibytes = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;

	if (mebibytes == 0 || mebibytes > 1024 * 1024) {
		fprintf(stderr, "usage: ram MEBIBYTES (1 to 1048576)\n");
		return 2;
	}
	attrs.size = (uint64_t)mebibytes << 20;
	if (!bdus_run(&ram_ops, &attrs, &ram)) {
		fprintf(stderr, "ram: %s\n", bdus_get_error_message());
		return 1;
	}
	return 0;
}
