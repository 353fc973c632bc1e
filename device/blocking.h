/* SPDX-License-Identifier: MIT */
/*
 * The blocking style: callbacks of the BDUS 0.1 API as a driver of the engine.
 */
#ifndef DEVICE_BLOCKING_H
#define DEVICE_BLOCKING_H

#include <bdus.h>

/** Runs a driver of the 0.1 API; 0 or a negative errno with a message. */
int bdus_blocking_run(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		      void *private_data);

/** Runs one for device @id, in place of the driver that this has or had; likewise. */
int bdus_blocking_rerun(uint64_t id, const struct bdus_ops *ops, const struct bdus_attrs *attrs,
			void *private_data);

/** Checks callbacks and attributes by the rules of include/bdus.h. */
int bdus_blocking_check(const struct bdus_ops *ops, const struct bdus_attrs *attrs);

struct bdus_device_attrs;
struct bdus_device_info;

/** Merges @attrs with those of the device that exists, by the rules of bdus_rerun(); -EINVAL. */
int bdus_blocking_inherit(const struct bdus_device_info *info, struct bdus_attrs *attrs);

/** What the engine is told of a device with these callbacks and attributes. */
void bdus_blocking_describe(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
			    struct bdus_device_attrs *device_attrs);

/** Adjusts @attrs to what the engine settled on, by the rules of include/bdus.h. */
void bdus_blocking_adjust(const struct bdus_ops *ops, const struct bdus_device_attrs *device_attrs,
			  struct bdus_attrs *attrs);

#endif
