/* SPDX-License-Identifier: MIT */
/*
 * The ram driver: a disk in memory. Memory follows what is written, and discards give it back; the
 * content is lost when the driver ends. Every request is completed within `submit`.
 */
#include "store.h"

#include "base/bits.h"

#include <bdus/driver.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

extern const struct bdus_driver bdus_driver_ram;

/*
 * What one request may make the queue's thread do at a stretch, some 20 ms at the worst: filling
 * 64 MiB of new memory with zeros, and giving 256 MiB of memory back. Reading the map of 64 GiB
 * takes a fraction of a millisecond; an answer may end before the range asked for does.
 */
#define WRITE_ZEROS_BYTES (UINT64_C(64) << 20)
#define DISCARD_BYTES     (UINT64_C(256) << 20)
#define EXTENTS_BYTES     (UINT64_C(64) << 30)

static const struct bdus_option ram_options[] = {
	{.key = "size",
	 .kind = BDUS_OPTION_SIZE,
	 .required = true,
	 .help = "size of the disk; takes memory only where it is written",
	 .minimum = 512,
	 .maximum = UINT64_C(64) << 40},
	{.key = "limit",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "most memory for content; a write that needs more gets \"no space left\"",
	 .minimum = UINT64_C(2) << 20},
	{.key = "reserve",
	 .kind = BDUS_OPTION_SIZE,
	 .fallback = "64M",
	 .help = "memory to leave to the rest of the machine; a write that would take it gets "
		 "\"no space left\", 0 to take all"},
	{.key = "logical-block-size",
	 .kind = BDUS_OPTION_SIZE,
	 .fallback = "512",
	 .help = "smallest unit of a request, a power of two",
	 .minimum = 512,
	 .maximum = 65536},
	{.key = "physical-block-size",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "unit that the disk claims to work in; the logical block size if left out",
	 .minimum = 512,
	 .maximum = 65536},
	{.key = "huge-pages",
	 .kind = BDUS_OPTION_BOOL,
	 .fallback = "no",
	 .help = "take and give back memory 2 MiB at a time, which is faster"},
	{.key = "queues",
	 .kind = BDUS_OPTION_NUMBER,
	 .fallback = "4",
	 .help = "most queues served at once, each by a thread of its own",
	 .minimum = 1,
	 .maximum = 4096},
	{.key = NULL},
};

static int ram_open_store(const struct bdus_config *config, struct store **store)
{
	const uint64_t size = bdus_config_number(config, "size");
	const uint64_t limit = bdus_config_given(config, "limit")
				       ? bdus_config_number(config, "limit")
				       : UINT64_MAX;
	const int result = store_create(store, size, bdus_config_bool(config, "huge-pages"), limit,
					bdus_config_number(config, "reserve"));

	if (result < 0)
		return bdus_config_error(
			-result,
			"ram: no address space for size=%llu bytes; it may be limited by \"ulimit "
			"-v\", by \"ulimit -l\" where memory is locked, or by the sysctl "
			"vm.overcommit_memory=2",
			(unsigned long long)size);
	return 0;
}

static int ram_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		    void **instance)
{
	struct store *store;
	const int result = ram_open_store(config, &store);

	if (result < 0)
		return result;
	attrs->size_bytes = bdus_config_number(config, "size");
	attrs->logical_block_size = (uint32_t)bdus_config_number(config, "logical-block-size");
	attrs->physical_block_size = (uint32_t)bdus_config_number(config, "physical-block-size");
	attrs->ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) |
		     BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS) | BDUS_OP_BIT(BDUS_OP_DISCARD) |
		     BDUS_OP_BIT(BDUS_OP_EXTENTS);
	attrs->flags = BDUS_DEVICE_FAST_ZERO;
	attrs->max_write_zeros_bytes = WRITE_ZEROS_BYTES;
	attrs->max_discard_bytes = DISCARD_BYTES;
	attrs->discard_granularity_bytes = (uint32_t)store_unit_bytes(store);
	attrs->queues = (uint32_t)bdus_config_number(config, "queues");
	*instance = store;
	return 0;
}

static int ram_close(void *instance)
{
	store_destroy(instance);
	return 0;
}

static void ram_extents(const struct store *store, struct bdus_request *request)
{
	const uint64_t length = base_min(request->length_bytes, EXTENTS_BYTES);
	uint32_t count = 0;

	for (uint64_t done = 0; done < length && count < request->extent_capacity; count++) {
		struct bdus_extent *const extent = &request->extents[count];
		const bool used = store_extent(store, request->offset_bytes + done, length - done,
					       &extent->length_bytes);
		extent->flags = used ? 0 : BDUS_EXTENT_HOLE | BDUS_EXTENT_ZERO;
		done += extent->length_bytes;
	}
	request->extent_count = count;
}

static int ram_write_zeros(struct store *store, const struct bdus_request *request)
{
	if (!(request->flags & BDUS_REQUEST_MAY_UNMAP))
		return store_write_zeros(store, request->offset_bytes, request->length_bytes);
	store_unmap(store, request->offset_bytes, request->length_bytes);
	return 0;
}

static void ram_read(const struct store *store, struct bdus_request *request)
{
	void *const memory =
		request->flags & BDUS_REQUEST_MAY_LEND
			? store_memory(store, request->offset_bytes, request->length_bytes)
			: NULL;

	if (memory != NULL)
		request->data = memory;
	else
		store_read(store, request->offset_bytes, request->length_bytes, request->data);
}

static int ram_serve(struct store *store, struct bdus_request *request)
{
	switch (request->op) {
	case BDUS_OP_READ:
		ram_read(store, request);
		return 0;
	case BDUS_OP_WRITE:
		return store_write(store, request->offset_bytes, request->length_bytes,
				   request->data);
	case BDUS_OP_WRITE_ZEROS:
		return ram_write_zeros(store, request);
	case BDUS_OP_DISCARD:
		store_discard(store, request->offset_bytes, request->length_bytes);
		return 0;
	case BDUS_OP_EXTENTS:
		ram_extents(store, request);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static void ram_submit(void *instance, struct bdus_request *request)
{
	bdus_complete(request, ram_serve(instance, request));
}

const struct bdus_driver bdus_driver_ram = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(struct bdus_driver),
	.name = "ram",
	.summary = "a sparse disk in memory",
	.options = ram_options,
	.open = ram_open,
	.close = ram_close,
	.submit = ram_submit,
};
