/* SPDX-License-Identifier: MIT */
/*
 * What the files on zones share: zones.c, which keeps their state; zone_requests.c, which puts
 * requests to it; zone_attrs.c, which checks what devices say of their zones.
 */
#ifndef DEVICE_ZONES_H
#define DEVICE_ZONES_H

#include <bdus/driver.h>
#include <bdus/zoned.h>

/** Fills in what the attributes of a zoned device leave open, and checks them; -EINVAL. */
int bdus_zone_attrs_complete(const char *owner, struct bdus_device_attrs *attrs);

/** Checks a complete geometry; @owner starts the message. */
int bdus_zone_geometry_check(const char *owner, const struct bdus_zone_geometry *geometry);

const struct bdus_zone_geometry *bdus_zones_geometry(const struct bdus_zones *zones);

/** Describes zone number @index. */
void bdus_zones_describe(const struct bdus_zones *zones, uint32_t index, struct bdus_zone *zone);

/** Puts zone number @index into the condition of @reported, which was checked to be possible. */
void bdus_zones_adopt(struct bdus_zones *zones, const struct bdus_zone *reported, uint32_t index);

/** Whether nobody knows what the zone is like; what the next report says is then taken over. */
bool bdus_zones_is_doubtful(const struct bdus_zones *zones, uint32_t index);
bool bdus_zones_have_doubts(const struct bdus_zones *zones);
void bdus_zones_doubt(struct bdus_zones *zones, uint32_t index);

#endif
