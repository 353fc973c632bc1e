/* SPDX-License-Identifier: MIT */
/*
 * The drivers beside a device's own.
 *
 * Owner threads: opening and closing belong to the thread that runs the device; in between nothing
 * changes, so that all queues share them.
 */
#include "backends.h"

#include "attrs.h"
#include "base/bits.h"
#include "base/error.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_BACKENDS 8

struct backend {
	const struct bdus_driver *driver;
	struct bdus_config *config;
	struct bdus_device_attrs attrs;
	struct bdus_stage stage;
};

struct bdus_backends {
	unsigned count;
	/** The first ones, that many, are open. */
	unsigned open;
	struct backend backends[MOST_BACKENDS];
};

static void write_owner(const struct backend *backend, char owner[static 96])
{
	snprintf(owner, 96, "backend %s", backend->driver->name);
}

static int add_backend(struct bdus_backends *backends, const struct bdus_backend_use *use)
{
	struct backend *const backend = &backends->backends[backends->count];
	char owner[96];

	if (use->driver->open == NULL || use->driver->submit == NULL)
		return base_error(EOPNOTSUPP,
				  "driver %s: cannot be a backend, as it has no `submit`",
				  use->driver->name);
	backend->driver = use->driver;
	backends->count++;
	write_owner(backend, owner);
	return bdus_config_create(owner, use->driver->options, use->options, use->option_count,
				  &backend->config);
}

int bdus_backends_create(const struct bdus_backend_use *uses, unsigned count,
			 struct bdus_backends **result_backends)
{
	struct bdus_backends *backends;
	int result = 0;

	if (count > MOST_BACKENDS)
		return base_error(EINVAL, "%u backends: at most %u are possible", count,
				  MOST_BACKENDS);
	backends = calloc(1, sizeof(*backends));
	if (backends == NULL)
		return base_error(ENOMEM, "no memory for backends");
	for (unsigned index = 0; index < count && result == 0; index++)
		result = add_backend(backends, &uses[index]);
	if (result < 0) {
		bdus_backends_destroy(backends);
		return result;
	}
	*result_backends = backends;
	return 0;
}

void bdus_backends_destroy(struct bdus_backends *backends)
{
	if (backends == NULL)
		return;
	for (unsigned index = 0; index < backends->count; index++)
		bdus_config_destroy(backends->backends[index].config);
	free(backends);
}

/** Whether what is sent to the device can be sent to the backend. */
static int check_fit(const char *owner, const struct bdus_device_attrs *backend,
		     const struct bdus_device_attrs *device)
{
	if (backend->zone_size_bytes != 0 || device->zone_size_bytes != 0)
		return base_error(EOPNOTSUPP, "%s: devices with zones have no other backends",
				  owner);
	if (backend->logical_block_size > device->logical_block_size)
		return base_error(EINVAL,
				  "%s: its blocks of %u bytes are larger than the %u of the device",
				  owner, backend->logical_block_size, device->logical_block_size);
	return 0;
}

static void lower(struct bdus_device_attrs *device, const struct bdus_device_attrs *backend)
{
	device->queues = (uint32_t)base_min(device->queues, backend->queues);
	if (!(backend->flags & BDUS_DEVICE_ANY_PAYLOAD))
		device->flags &= ~(uint32_t)BDUS_DEVICE_ANY_PAYLOAD;
	if (!(backend->flags & BDUS_DEVICE_FAST_ZERO))
		device->flags &= ~(uint32_t)BDUS_DEVICE_FAST_ZERO;
}

static int open_backend(struct backend *backend, struct bdus_device_attrs *device)
{
	struct bdus_stage *const stage = &backend->stage;
	struct bdus_device_attrs *const attrs = &backend->attrs;
	char owner[96];
	int result;

	write_owner(backend, owner);
	*attrs = (struct bdus_device_attrs){.flags = device->flags & BDUS_DEVICE_READ_ONLY};
	result = backend->driver->open(backend->config, attrs, &stage->instance);
	if (result < 0)
		return result;
	result = bdus_attrs_complete(owner, attrs);
	if (result == 0)
		result = check_fit(owner, attrs, device);
	if (result == 0)
		result = bdus_rules_init(&stage->rules, attrs, attrs->ops);
	if (result < 0) {
		if (backend->driver->close != NULL)
			backend->driver->close(stage->instance);
		return result;
	}
	stage->layer =
		(struct bdus_layer){.submit = backend->driver->submit, .instance = stage->instance};
	lower(device, attrs);
	return 0;
}

int bdus_backends_open(struct bdus_backends *backends, struct bdus_device_attrs *attrs)
{
	int result = 0;

	while (backends->open < backends->count && result == 0) {
		result = open_backend(&backends->backends[backends->open], attrs);
		backends->open += result == 0;
	}
	if (result < 0) {
		char message[BASE_ERROR_MESSAGE_BYTES];

		snprintf(message, sizeof(message), "%s", base_error_message());
		bdus_backends_close(backends);
		return base_error(-result, "%s", message);
	}
	return 0;
}

int bdus_backends_close(struct bdus_backends *backends)
{
	int result = 0;

	while (backends != NULL && backends->open > 0) {
		struct backend *const backend = &backends->backends[--backends->open];
		const int closed = backend->driver->close != NULL
					   ? backend->driver->close(backend->stage.instance)
					   : 0;

		bdus_rules_finish(&backend->stage.rules);
		if (result == 0)
			result = closed;
	}
	return result;
}

unsigned bdus_backends_count(const struct bdus_backends *backends)
{
	return backends != NULL ? backends->count : 0;
}

const struct bdus_stage *bdus_backends_stage(const struct bdus_backends *backends, unsigned index)
{
	return &backends->backends[index].stage;
}

const struct bdus_device_attrs *bdus_backends_attrs(const struct bdus_backends *backends,
						    unsigned index)
{
	return &backends->backends[index].attrs;
}
