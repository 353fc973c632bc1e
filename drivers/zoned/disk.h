/* SPDX-License-Identifier: MIT */
/*
 * A zoned disk in an image that survives kills and power cuts.
 */
#ifndef ZONED_DISK_H
#define ZONED_DISK_H

#include "image.h"

#include <bdus/driver.h>

struct disk;

/** Opens the image in @store, which is the disk's from then on; closed also when this fails. */
int zdisk_open(struct store *store, const char *name, const struct bdus_zone_geometry *wanted,
	       struct disk **disk);

const struct bdus_zone_geometry *zdisk_geometry(const struct disk *disk);

/** Takes a request, on the thread of the device's queue. */
void zdisk_submit(struct disk *disk, struct bdus_request *request);

/** Makes everything durable and closes; nothing is in flight. */
int zdisk_close(struct disk *disk);

#endif
