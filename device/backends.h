/* SPDX-License-Identifier: MIT */
/*
 * Backends: drivers beside a device's own, to which filters send what they like
 * (bdus_filter_send_to()). They belong to one device, lie below all filters, and each has rules of
 * its own, so that a child may be what the backend's attributes do not allow and is split or
 * refused as one for the driver would be.
 */
#ifndef DEVICE_BACKENDS_H
#define DEVICE_BACKENDS_H

#include "queue.h"

#include <bdus/driver.h>
#include <bdus/manage.h>

struct bdus_backends;

/** Checks the drivers and parses their words; opens none. -EINVAL, -EOPNOTSUPP, -ENOMEM. */
int bdus_backends_create(const struct bdus_backend_use *uses, unsigned count,
			 struct bdus_backends **backends);

/**
 * Opens them. @attrs are the driver's, complete: what not all can do is taken out of them. On
 * failure none is open.
 */
int bdus_backends_open(struct bdus_backends *backends, struct bdus_device_attrs *attrs);

/** Closes those that are open; the first error. Takes NULL. */
int bdus_backends_close(struct bdus_backends *backends);

/** Takes NULL. None may be open. */
void bdus_backends_destroy(struct bdus_backends *backends);

/** Takes NULL, for none. */
unsigned bdus_backends_count(const struct bdus_backends *backends);

/** Of an open backend, whose index is less than the count. */
const struct bdus_stage *bdus_backends_stage(const struct bdus_backends *backends, unsigned index);
const struct bdus_device_attrs *bdus_backends_attrs(const struct bdus_backends *backends,
						    unsigned index);

#endif
