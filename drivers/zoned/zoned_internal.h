/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the zoned driver offer one another:
 *
 *	zoned.c    the driver: options, attributes, which requests go where
 *	memory.c   the disk in memory
 *	disk.c     the disk in an image: requests
 *	image.c    what the image tells of zones
 *	store_file.c  the file that it is in
 */
#ifndef ZONED_INTERNAL_H
#define ZONED_INTERNAL_H

#include <bdus/driver.h>
#include <bdus/zoned.h>

/* ---- memory.c ------------------------------------------------------------------------------ */

struct memory_disk;

/** As open() of a driver: 0, or a negative errno after bdus_config_error(). */
int memory_disk_create(const struct bdus_zone_geometry *geometry, struct memory_disk **disk);
void memory_disk_destroy(struct memory_disk *disk);

/** Serves and completes a request, at once. */
void memory_disk_submit(struct memory_disk *disk, struct bdus_request *request);

/** For zones that the user wants broken. */
struct bdus_zones *memory_disk_zones(struct memory_disk *disk);

#endif
