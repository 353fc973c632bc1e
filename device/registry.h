/* SPDX-License-Identifier: MIT */
/*
 * The record of every device: a text file RUNTIME/ID.dev, locked by the process that serves the
 * device for as long as it lives, so that a record without a lock is one whose process is gone.
 * Also where ids come from, and the links /dev/bdus-ID.
 */
#ifndef DEVICE_REGISTRY_H
#define DEVICE_REGISTRY_H

#include "device/control.h"

#include <bdus/manage.h>
#include <stddef.h>

/** A record held by this process. */
struct bdus_record;

/** Reserves an id that was never used since the machine started, and holds its record. */
int bdus_registry_reserve(struct bdus_record **record, uint64_t *id);

/** Writes what others may know of the device. */
int bdus_registry_write(struct bdus_record *record, const struct bdus_device_info *info);

/** Makes /dev/bdus-ID point to info->native_path and notes that in info->path, where permitted. */
int bdus_registry_link(struct bdus_device_info *info);

/** Removes the link, if it is still the one to info->native_path. */
void bdus_registry_unlink(const struct bdus_device_info *info);

/**
 * Takes over the record of a device that nobody serves. -EBUSY: somebody holds it; -ENOENT: there
 * is none any more; these two without a message.
 */
int bdus_registry_claim(uint64_t id, struct bdus_record **record);

/** Gives up the lock and leaves the record, for another to claim. Takes NULL. */
void bdus_registry_let_go(struct bdus_record *record);

/** Removes the record and gives up its lock. Takes NULL. */
void bdus_registry_release(struct bdus_record *record);

/** Reads one record: 1 with @info, its state set to orphaned when nobody holds it; 0 for none. */
int bdus_registry_read(uint64_t id, struct bdus_device_info *info);

/** Calls @found for each record until it returns non-zero, and returns that. */
int bdus_registry_each(int (*found)(const struct bdus_device_info *info, void *opaque),
		       void *opaque);

/** Removes what a process that is gone left behind for @info: record, sockets, link. */
void bdus_registry_forget(const struct bdus_device_info *info);

#endif
