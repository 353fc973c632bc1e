/* SPDX-License-Identifier: MIT */
/*
 * A driver that `bdus run` loads:
 *
 *	cc -shared -fPIC -o pattern.so pattern.c $(pkg-config --cflags --libs bdus)
 *	sudo bdus run ./pattern.so size=1G seed=7
 *
 * A read-only disk of any size that stores nothing: each 64-bit word of it, low byte first, is a
 * function of the word's offset and the seed. Whoever reads it can tell from the data alone whether
 * they got the right place, which makes it good for testing what lies in between.
 */
#include <bdus/driver.h>

#include <errno.h>
#include <stdlib.h>

struct pattern {
	uint64_t seed;
};

static const struct bdus_option pattern_options[] = {
	{
		.key = "size",
		.kind = BDUS_OPTION_SIZE,
		.required = true,
		.help = "size of the disk, a multiple of 512",
		.minimum = 512,
		.maximum = UINT64_C(1) << 60,
	},
	{
		.key = "seed",
		.kind = BDUS_OPTION_NUMBER,
		.fallback = "0",
		.help = "XORed to every word",
	},
	{.key = NULL},
};

static int pattern_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
			void **instance)
{
	uint64_t size_bytes = bdus_config_number(config, "size");
	struct pattern *pattern;

	if (size_bytes % 512 != 0)
		return bdus_config_error(EINVAL, "size=%llu: must be a multiple of 512",
					 (unsigned long long)size_bytes);
	pattern = malloc(sizeof(*pattern));
	if (!pattern)
		return bdus_config_error(ENOMEM, "no memory for the driver");
	pattern->seed = bdus_config_number(config, "seed");
	attrs->size_bytes = size_bytes;
	attrs->ops = BDUS_OP_BIT(BDUS_OP_READ);
	attrs->flags = BDUS_DEVICE_READ_ONLY;
	*instance = pattern;
	return 0;
}

static int pattern_close(void *instance)
{
	free(instance);
	return 0;
}

/* Ranges are whole logical blocks, so whole words. */
static void pattern_fill(unsigned char *data, uint64_t offset_bytes, uint64_t length_bytes,
			 uint64_t seed)
{
	for (uint64_t i = 0; i < length_bytes; i++) {
		uint64_t word = ((offset_bytes + i) & ~UINT64_C(7)) ^ seed;

		data[i] = (unsigned char)(word >> (i % 8 * 8));
	}
}

/* Only reads arrive: no other operation is in `ops`. It never waits, so one thread is enough. */
static void pattern_submit(void *instance, struct bdus_request *request)
{
	const struct pattern *pattern = instance;

	pattern_fill(request->data, request->offset_bytes, request->length_bytes, pattern->seed);
	bdus_complete(request, 0);
}

static const struct bdus_driver pattern_driver = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(struct bdus_driver),
	.name = "pattern",
	.summary = "read-only disk whose content tells its own offsets",
	.options = pattern_options,
	.open = pattern_open,
	.close = pattern_close,
	.submit = pattern_submit,
};

BDUS_DRIVER_EXPORT(pattern_driver)
