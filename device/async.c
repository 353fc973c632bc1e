/* SPDX-License-Identifier: MIT */
/*
 * Devices that a program creates itself: its own driver as the top layer of the engine's device.
 * What the functions of include/bdus/async.h do beyond that is in device.c and loop.c.
 */
#include "attrs.h"
#include "base/error.h"
#include "device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/** What a device made here keeps of its program's driver; freed with the device. */
struct async_driver {
	struct bdus_async_driver functions;
	void *instance;
};

static int resize(void *opaque, uint64_t size_bytes)
{
	const struct async_driver *const driver = opaque;

	return driver->functions.resize(driver->instance, size_bytes);
}

static int check(const struct bdus_device_options *options)
{
	if (options->size != sizeof(*options))
		return base_error(EINVAL, "size of the device's options is %zu: it has to be %zu",
				  options->size, sizeof(*options));
	if (options->driver == NULL || options->driver->size != sizeof(*options->driver) ||
	    options->driver->name == NULL || options->driver->submit == NULL)
		return base_error(EINVAL,
				  "a device needs a driver of size %zu that has `name` and "
				  "`submit`",
				  sizeof(*options->driver));
	return 0;
}

static int available(void *opaque, const struct bdus_device_info *info)
{
	const struct async_driver *const driver = opaque;

	if (driver->functions.available != NULL)
		driver->functions.available(driver->instance, info);
	return 0;
}

static void stopping(void *opaque, int result)
{
	const struct async_driver *const driver = opaque;

	if (driver->functions.stopping != NULL)
		driver->functions.stopping(driver->instance, result);
}

static int make(const struct bdus_device_options *options, struct async_driver *driver,
		struct bdus_device **device)
{
	struct bdus_device_attrs attrs = options->attrs;
	struct bdus_device_config config = {
		.driver_name = driver->functions.name,
		.top = {.submit = driver->functions.submit, .instance = options->instance},
		.attrs = &attrs,
		.transport = options->transport,
		.memory = options->memory,
		.available = available,
		.stopping = stopping,
		.resize = driver->functions.resize != NULL ? resize : NULL,
		.opaque = driver,
		.free_opaque = free,
	};
	char owner[96];
	int result;

	snprintf(owner, sizeof(owner), "driver %s", driver->functions.name);
	result = bdus_attrs_complete(owner, &attrs);

	if (result < 0)
		return result;
	config.native_ops = attrs.ops;
	attrs.ops = bdus_rules_effective_ops(attrs.ops, attrs.flags);
	return bdus_device_make(&config, device);
}

int bdus_device_create(const struct bdus_device_options *options, struct bdus_device **device)
{
	struct async_driver *driver;
	int result = check(options);

	if (result < 0)
		return result;
	driver = malloc(sizeof(*driver));
	if (driver == NULL)
		return base_error(ENOMEM, "no memory for a device");
	*driver = (struct async_driver){*options->driver, options->instance};
	result = make(options, driver, device);
	if (result < 0)
		free(driver);
	return result;
}
