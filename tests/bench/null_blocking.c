/* SPDX-License-Identifier: MIT */
/*
 * A null device on blocking callbacks, one at a time: what remains is the way in, the engine and
 * the adapter. Served until a signal comes; prints the device's path.
 */
#include <bdus.h>
#include <stdio.h>

static int do_nothing_read(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)buffer;
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}

static int do_nothing_write(const char *buffer, uint64_t offset, uint32_t size,
			    struct bdus_ctx *ctx)
{
	(void)buffer;
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}

int main(void)
{
	static const struct bdus_ops ops = {.read = do_nothing_read, .write = do_nothing_write};
	static const struct bdus_attrs attrs = {
		.size = UINT64_C(250) << 30,
		.logical_block_size = 512,
		.dont_daemonize = true,
	};

	if (!bdus_run(&ops, &attrs, NULL)) {
		fprintf(stderr, "null_blocking: %s\n", bdus_get_error_message());
		return 1;
	}
	return 0;
}
