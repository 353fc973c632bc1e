/* SPDX-License-Identifier: MIT */
/*
 * Taking a recoverable device over: from the driver that it has, or after it lost that.
 */
#ifndef DEVICE_TAKEOVER_H
#define DEVICE_TAKEOVER_H

#include "device/transport.h"
#include "registry.h"

#include <bdus/manage.h>

/** How long a driver may take to finish what it has, before it goes on serving instead. */
#define BDUS_HAND_OVER_MS 30000

/**
 * Has the driver of device @id, if there is one, hand it over, and claims its record, as in
 * bdus_manage_rerun(), with @flags of that. Then @info is what the record says; the caller writes
 * to @record, or lets go of it, and closes what is in @handed, which was empty, whatever the
 * outcome.
 */
int bdus_takeover_claim(uint64_t id, unsigned flags, uint64_t deadline_ns,
			struct bdus_device_info *info, struct bdus_handed *handed,
			struct bdus_record **record);

/** Closes what is left of @handed. */
void bdus_handed_close(struct bdus_handed *handed);

/** Closes what is left of @handed, which ends the device of @info, and waits for that end. */
void bdus_takeover_give_up(const struct bdus_device_info *info, struct bdus_handed *handed);

/**
 * Whether a driver with @attrs, complete, and @native_ops can serve the device of @info; -EINVAL by
 * name when not. Then @attrs become those of the device, but for limits that are the driver's own.
 */
int bdus_takeover_match(const char *driver, const struct bdus_device_info *info,
			uint32_t native_ops, struct bdus_device_attrs *attrs);

#endif
