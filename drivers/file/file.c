/* SPDX-License-Identifier: MIT */
/*
 * The file driver: a disk in a regular file or on a block device. Requests become system calls in
 * the loop of their queue.
 */
#include "base/bits.h"
#include "file_internal.h"
#include "operation.h"

#include <bdus/driver.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
	{.key = "queues",
	 .kind = BDUS_OPTION_NUMBER,
	 .fallback = "4",
	 .help = "most queues served at once, each by a thread of its own",
	 .minimum = 1,
	 .maximum = 4096},
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
	       (image->rotational ? BDUS_DEVICE_ROTATIONAL : 0) | BDUS_DEVICE_ANY_PAYLOAD;
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
	/* Writes that take turns do so within one queue. */
	attrs->queues = image->mixed ? 1 : (uint32_t)bdus_config_number(config, "queues");
	if (image->zones != NULL)
		zones_describe(image, attrs);
	*instance = image;
	return 0;
}

static int file_close(void *instance)
{
	return image_close(instance);
}

/** Makes an image as long as it has to be; one that is longer stays. */
static int lengthen(const struct image *image, uint64_t size_bytes)
{
	struct stat status;

	if (fstat(image->fd, &status) != 0)
		return bdus_config_error(errno, "file: cannot look at the image: %s",
					 strerror(errno));
	if (S_ISREG(status.st_mode) && (uint64_t)status.st_size < size_bytes &&
	    ftruncate(image->fd, (off_t)size_bytes) != 0)
		return bdus_config_error(errno, "file: cannot make the image %llu bytes long: %s",
					 (unsigned long long)size_bytes, strerror(errno));
	return 0;
}

/** Grows only: what a client still has in mind for the end of the image is not to be lost. */
static int file_resize(void *instance, uint64_t size_bytes)
{
	struct image *const image = instance;
	int result;

	if (image->read_only || image->is_block_device)
		return bdus_config_error(EOPNOTSUPP, "file: %s keeps its size",
					 image->read_only ? "a read-only image" : "a block device");
	if (size_bytes < image_size(image))
		return bdus_config_error(
			EINVAL,
			"file: size %llu: must be at least the %llu bytes that the "
			"image has",
			(unsigned long long)size_bytes, (unsigned long long)image_size(image));
	result = lengthen(image, size_bytes);
	if (result == 0)
		__atomic_store_n(&image->size_bytes, size_bytes, __ATOMIC_RELAXED);
	return result;
}

typedef void begin_function(struct operation *operation);

static begin_function *const begins[BDUS_OP_COUNT] = {
	[BDUS_OP_READ] = io_read,          [BDUS_OP_WRITE] = io_write,
	[BDUS_OP_FLUSH] = io_sync,         [BDUS_OP_WRITE_ZEROS] = space_write_zeros,
	[BDUS_OP_DISCARD] = space_discard, [BDUS_OP_EXTENTS] = space_extents,
	[BDUS_OP_CACHE] = io_cache,
};

static begin_function *const zoned_begins[BDUS_OP_COUNT] = {
	[BDUS_OP_READ] = io_read,
	[BDUS_OP_WRITE] = zones_begin,
	[BDUS_OP_FLUSH] = io_sync,
	[BDUS_OP_ZONE_REPORT] = zones_report,
	[BDUS_OP_ZONE_OPEN] = zones_begin,
	[BDUS_OP_ZONE_CLOSE] = zones_begin,
	[BDUS_OP_ZONE_FINISH] = zones_begin,
	[BDUS_OP_ZONE_RESET] = zones_begin,
	[BDUS_OP_ZONE_APPEND] = zones_begin,
};

/** What begins an operation; NULL where there is none like it. */
static begin_function *find_begin(const struct image *image, unsigned op)
{
	if (op >= BDUS_OP_COUNT)
		return NULL;
	return base_unlikely(image->zones != NULL) ? zoned_begins[op] : begins[op];
}

static void file_submit(void *instance, struct bdus_request *request)
{
	begin_function *const begin = find_begin(instance, request->op);
	struct operation *operation;

	if (begin == NULL) {
		bdus_complete(request, -EOPNOTSUPP);
		return;
	}
	/* Reads and writes have a flag for this; of the others nobody knows how long they take. */
	if ((request->flags & BDUS_REQUEST_NO_WAIT) && begin != io_read && begin != io_write) {
		bdus_complete(request, -EAGAIN);
		return;
	}
	operation = operation_begin(instance, request);
	if (operation != NULL)
		begin(operation);
	else
		bdus_complete(request, -ENOMEM);
}

const struct bdus_driver bdus_driver_file = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(struct bdus_driver),
	.name = "file",
	.summary = "a disk in a regular file or on a block device",
	.options = file_options,
	.open = file_open,
	.close = file_close,
	.submit = file_submit,
	.resize = file_resize,
};
