/* SPDX-License-Identifier: MIT */
/*
 * The null driver: a device that keeps nothing. Writes succeed and are forgotten; reads give zeros,
 * or, with zero=no, whatever the payload held. Every request is completed within `submit`, so that
 * what remains to be measured is the way in and the engine.
 */
#include <bdus/driver.h>
#include <string.h>

extern const struct bdus_driver bdus_driver_null;

/** The only state of an instance; two constants, so that there is nothing to allocate or share. */
struct null_device {
	bool reads_zeros;
};

static const struct null_device zeroing_device = {.reads_zeros = true};
static const struct null_device idle_device = {.reads_zeros = false};

static const struct bdus_option null_options[] = {
	{.key = "size",
	 .kind = BDUS_OPTION_SIZE,
	 .fallback = "250G",
	 .help = "size of the device",
	 .minimum = 512,
	 .maximum = UINT64_C(1) << 62},
	{
		.key = "zero",
		.kind = BDUS_OPTION_BOOL,
		.fallback = "yes",
		.help = "fill what is read with zeros; \"no\" leaves old data of the server in it",
	},
	{.key = "logical-block-size",
	 .kind = BDUS_OPTION_SIZE,
	 .fallback = "512",
	 .help = "smallest unit of a request, a power of two",
	 .minimum = 512,
	 .maximum = 65536},
	{.key = "physical-block-size",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "unit that the device claims to work in; the logical block size if left out",
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

static int null_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		     void **instance)
{
	const struct null_device *const device =
		bdus_config_bool(config, "zero") ? &zeroing_device : &idle_device;

	attrs->size_bytes = bdus_config_number(config, "size");
	attrs->logical_block_size = (uint32_t)bdus_config_number(config, "logical-block-size");
	attrs->physical_block_size = (uint32_t)bdus_config_number(config, "physical-block-size");
	attrs->ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) |
		     BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS) | BDUS_OP_BIT(BDUS_OP_DISCARD) |
		     BDUS_OP_BIT(BDUS_OP_EXTENTS);
	attrs->flags = BDUS_DEVICE_FAST_ZERO;
	attrs->queues = (uint32_t)bdus_config_number(config, "queues");
	*instance = (void *)(uintptr_t)device;
	return 0;
}

/** One hole as long as the range asked for; it is known to read as zeros only where reads say so.
 */
static void null_extents(const struct null_device *device, struct bdus_request *request)
{
	request->extents[0] = (struct bdus_extent){
		.length_bytes = request->length_bytes,
		.flags = BDUS_EXTENT_HOLE | (device->reads_zeros ? BDUS_EXTENT_ZERO : 0),
	};
	request->extent_count = 1;
}

static void null_submit(void *instance, struct bdus_request *request)
{
	const struct null_device *const device = instance;

	if (request->op == BDUS_OP_READ && device->reads_zeros)
		memset(request->data, 0, request->length_bytes);
	else if (request->op == BDUS_OP_EXTENTS)
		null_extents(device, request);
	bdus_complete(request, 0);
}

/** There is nothing that it would be the size of. */
static int null_resize(void *instance, uint64_t size_bytes)
{
	(void)instance;
	(void)size_bytes;
	return 0;
}

const struct bdus_driver bdus_driver_null = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(struct bdus_driver),
	.name = "null",
	.summary = "discards what is written and reads as zeros",
	.options = null_options,
	.open = null_open,
	.submit = null_submit,
	.resize = null_resize,
};
