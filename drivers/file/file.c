/* SPDX-License-Identifier: MIT */
/*
 * The file driver: a disk in a regular file or on a block device. Requests are served by blocking
 * system calls on the threads of the engine.
 */
#include "file_internal.h"

#include <bdus/driver.h>
#include <errno.h>

extern const struct bdus_driver bdus_driver_file;

/* What one request may ask of the file system at a stretch, so that those behind it are not stuck.
 */
#define WRITE_ZEROS_BYTES (UINT64_C(256) << 20)
#define DISCARD_BYTES     (UINT64_C(1) << 30)

static const struct bdus_option file_options[] = {
	{.key = "path",
	 .kind = BDUS_OPTION_STRING,
	 .required = true,
	 .help = "the image: a regular file or a block device"},
	{.key = "size",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "how much of the image to use, from its start; all of it if left out",
	 .minimum = 512,
	 .maximum = UINT64_C(1) << 62},
	{.key = "create",
	 .kind = BDUS_OPTION_BOOL,
	 .fallback = "no",
	 .help = "make the file, or make it longer, sparse, where it is shorter than size"},
	{.key = "read-only",
	 .kind = BDUS_OPTION_BOOL,
	 .fallback = "no",
	 .help = "never write; others may read the image at the same time"},
	{.key = "direct",
	 .kind = BDUS_OPTION_CHOICE,
	 .fallback = "auto",
	 .help = "pass the page cache by; \"auto\" where the file system can",
	 .choices = "auto yes no"},
	{.key = "lock",
	 .kind = BDUS_OPTION_BOOL,
	 .fallback = "yes",
	 .help = "keep other writers out; \"no\" for file systems without locks"},
	{.key = "logical-block-size",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "smallest unit of a request, a power of two; that of the block device, or 512",
	 .minimum = 512,
	 .maximum = 65536},
	{.key = "threads",
	 .kind = BDUS_OPTION_NUMBER,
	 .fallback = "16",
	 .help = "most requests in progress at once",
	 .minimum = 1,
	 .maximum = 1024},
	{.key = NULL},
};

static uint32_t file_ops(const struct image *image)
{
	uint32_t ops = BDUS_OP_BIT(BDUS_OP_READ);

	if (image->can_tell_extents)
		ops |= BDUS_OP_BIT(BDUS_OP_EXTENTS);
	/* What is read ahead is in the page cache, where direct reads do not look. */
	if (image->direct_fd < 0)
		ops |= BDUS_OP_BIT(BDUS_OP_CACHE);
	if (image->read_only)
		return ops;
	if (image->can_discard)
		ops |= BDUS_OP_BIT(BDUS_OP_DISCARD);
	return ops | BDUS_OP_BIT(BDUS_OP_WRITE) | BDUS_OP_BIT(BDUS_OP_FLUSH) |
	       BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS);
}

static uint32_t file_flags(const struct image *image)
{
	return (image->read_only ? BDUS_DEVICE_READ_ONLY : BDUS_DEVICE_FUA) |
	       (image->rotational ? BDUS_DEVICE_ROTATIONAL : 0);
}

static int file_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		     void **instance)
{
	struct image *image;
	const bool read_only =
		bdus_config_bool(config, "read-only") || (attrs->flags & BDUS_DEVICE_READ_ONLY);
	const int result = image_open(config, read_only, &image);

	if (result < 0)
		return result;
	attrs->size_bytes = image->size_bytes;
	attrs->logical_block_size = image->logical_block_size;
	attrs->physical_block_size = image->physical_block_size;
	attrs->ops = file_ops(image);
	attrs->flags = file_flags(image);
	attrs->max_write_zeros_bytes = WRITE_ZEROS_BYTES;
	attrs->max_discard_bytes = DISCARD_BYTES;
	attrs->discard_granularity_bytes = image->can_discard ? image->hole_alignment : 0;
	attrs->max_concurrency = (uint32_t)bdus_config_number(config, "threads");
	*instance = image;
	return 0;
}

static int file_close(void *instance)
{
	return image_close(instance);
}

static int file_handle(void *instance, struct bdus_request *request)
{
	struct image *const image = instance;
	const uint64_t offset = request->offset_bytes, length = request->length_bytes;
	const bool durable = request->flags & BDUS_REQUEST_FUA;
	const bool no_wait = request->flags & BDUS_REQUEST_NO_WAIT;

	if (request->op == BDUS_OP_READ)
		return io_read(image, offset, length, request->data, no_wait);
	if (request->op == BDUS_OP_WRITE)
		return io_write(image, offset, length, request->data, durable, no_wait);
	if (no_wait)
		return -EAGAIN;
	switch (request->op) {
	case BDUS_OP_FLUSH:
		return io_sync(image);
	case BDUS_OP_WRITE_ZEROS:
		return space_write_zeros(image, request);
	case BDUS_OP_DISCARD:
		return space_discard(image, offset, length);
	case BDUS_OP_EXTENTS:
		return space_extents(image, request);
	case BDUS_OP_CACHE:
		return io_cache(image, offset, length);
	default:
		return -EOPNOTSUPP;
	}
}

const struct bdus_driver bdus_driver_file = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(struct bdus_driver),
	.name = "file",
	.summary = "a disk in a regular file or on a block device",
	.options = file_options,
	.open = file_open,
	.close = file_close,
	.handle = file_handle,
};
