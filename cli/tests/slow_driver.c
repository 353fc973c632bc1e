/* SPDX-License-Identifier: MIT */
/*
 * A driver in a shared object whose open, flush and close take as long as they are told to, or
 * fail: for tests of what the command does while it waits.
 */
#include <bdus/driver.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct slow {
	uint64_t flush_ms;
	uint64_t close_ms;
	bool flush_fails;
	unsigned char *data;
};

static const struct bdus_option options[] = {
	{.key = "size",
	 .kind = BDUS_OPTION_SIZE,
	 .fallback = "1M",
	 .help = "Size of the device",
	 .minimum = 4096,
	 .maximum = 1 << 30},
	{.key = "flush-ms", .kind = BDUS_OPTION_NUMBER, .help = "What a flush takes"},
	{.key = "flush-fails", .kind = BDUS_OPTION_BOOL, .help = "Let every flush fail"},
	{.key = "open-ms", .kind = BDUS_OPTION_NUMBER, .help = "What opening takes"},
	{.key = "close-ms", .kind = BDUS_OPTION_NUMBER, .help = "What closing takes"},
	{.key = "colour",
	 .kind = BDUS_OPTION_CHOICE,
	 .fallback = "red",
	 .choices = "red green blue",
	 .help = "Does nothing, and says so in a line that is long enough to be wrapped on a "
		 "terminal of 80 columns"},
	{.key = NULL},
};

static void sleep_ms(uint64_t milliseconds)
{
	struct timespec left = {.tv_sec = (time_t)(milliseconds / 1000),
				.tv_nsec = (long)(milliseconds % 1000) * 1000000};

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

static int slow_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		     void **instance)
{
	struct slow *const slow = calloc(1, sizeof(*slow));

	if (slow == NULL)
		return bdus_config_error(ENOMEM, "no memory for a slow device");
	attrs->size_bytes = bdus_config_number(config, "size");
	attrs->ops =
		BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) | BDUS_OP_BIT(BDUS_OP_FLUSH);
	attrs->max_concurrency = 4;
	slow->flush_ms = bdus_config_number(config, "flush-ms");
	slow->close_ms = bdus_config_number(config, "close-ms");
	slow->flush_fails = bdus_config_bool(config, "flush-fails");
	slow->data = calloc(1, attrs->size_bytes);
	if (slow->data == NULL) {
		free(slow);
		return bdus_config_error(ENOMEM, "no memory for a slow device");
	}
	sleep_ms(bdus_config_number(config, "open-ms"));
	*instance = slow;
	return 0;
}

static int slow_close(void *instance)
{
	struct slow *const slow = instance;

	sleep_ms(slow->close_ms);
	free(slow->data);
	free(slow);
	return 0;
}

static int slow_handle(void *instance, struct bdus_request *request)
{
	struct slow *const slow = instance;

	switch (request->op) {
	case BDUS_OP_READ:
		memcpy(request->data, slow->data + request->offset_bytes, request->length_bytes);
		return 0;
	case BDUS_OP_WRITE:
		memcpy(slow->data + request->offset_bytes, request->data, request->length_bytes);
		return 0;
	default:
		sleep_ms(slow->flush_ms);
		return slow->flush_fails ? -EIO : 0;
	}
}

static const struct bdus_driver slow_driver = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(struct bdus_driver),
	.name = "slow",
	.summary = "Takes its time",
	.options = options,
	.open = slow_open,
	.close = slow_close,
	.handle = slow_handle,
};

BDUS_DRIVER_EXPORT(slow_driver)
