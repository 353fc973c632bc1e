/* SPDX-License-Identifier: MIT */
/*
 * The smallest driver: a disk of 1 GiB that reads as zeros and cannot be written to.
 *
 *	cc -o zero zero.c $(pkg-config --cflags --libs bdus)
 *	sudo ./zero
 *
 * prints the path of the new device and goes on serving it in the background until somebody says
 * `bdus destroy` with that path.
 */
#include <bdus.h>

#include <stdio.h>
#include <string.h>

static int zero_read(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)offset;
	(void)ctx;
	memset(buffer, 0, size);
	return 0;
}

int main(void)
{
	const struct bdus_ops ops = {.read = zero_read};
	const struct bdus_attrs attrs = {
		.size = UINT64_C(1) << 30,
		.logical_block_size = 512,
		.max_concurrent_callbacks = 16,
	};

	if (!bdus_run(&ops, &attrs, NULL)) {
		fprintf(stderr, "zero: %s\n", bdus_get_error_message());
		return 1;
	}
	return 0;
}
