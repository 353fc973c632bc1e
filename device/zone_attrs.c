/* SPDX-License-Identifier: MIT */
/*
 * What devices say of their zones: defaults and rules, as include/bdus/driver.h states them.
 */
#include "attrs.h"
#include "base/bits.h"
#include "base/error.h"
#include "zones.h"

#include <errno.h>
#include <inttypes.h>

/* Linux counts the sectors of a zone in 32 bits, and zones in 31. */
#define LARGEST_ZONE_BYTES (UINT64_C(1) << 40)
#define MOST_ZONES         INT32_MAX

#define REPORT_OP BDUS_OP_BIT(BDUS_OP_ZONE_REPORT)
#define CHANGE_OPS                                                          \
	(BDUS_OP_BIT(BDUS_OP_ZONE_OPEN) | BDUS_OP_BIT(BDUS_OP_ZONE_CLOSE) | \
	 BDUS_OP_BIT(BDUS_OP_ZONE_FINISH) | BDUS_OP_BIT(BDUS_OP_ZONE_RESET))
#define OTHER_OPS   (BDUS_OP_BIT(BDUS_OP_ZONE_RESET_ALL) | BDUS_OP_BIT(BDUS_OP_ZONE_APPEND))
#define DISCARD_OPS (BDUS_OP_BIT(BDUS_OP_DISCARD) | BDUS_OP_BIT(BDUS_OP_SECURE_ERASE))

static int check_sizes(const char *owner, const struct bdus_zone_geometry *geometry)
{
	const uint64_t zone = geometry->zone_size_bytes;
	const uint32_t page = bdus_page_size();

	if (!base_is_power_of_two(zone) || zone < page || zone > LARGEST_ZONE_BYTES)
		return base_error(EINVAL,
				  "%s: zone size %" PRIu64
				  ": must be a power of two from the page size, %" PRIu32
				  ", to %" PRIu64,
				  owner, zone, page, LARGEST_ZONE_BYTES);
	if (geometry->size_bytes == 0 || geometry->size_bytes % zone != 0)
		return base_error(EINVAL,
				  "%s: size %" PRIu64
				  ": must be a positive multiple of the zone size, %" PRIu64,
				  owner, geometry->size_bytes, zone);
	if (geometry->size_bytes / zone > MOST_ZONES)
		return base_error(EINVAL,
				  "%s: size %" PRIu64 " has %" PRIu64 " zones of %" PRIu64
				  " bytes: must be at most %d",
				  owner, geometry->size_bytes, geometry->size_bytes / zone, zone,
				  MOST_ZONES);
	if (geometry->zone_capacity_bytes == 0 || geometry->zone_capacity_bytes > zone ||
	    geometry->zone_capacity_bytes % geometry->logical_block_size != 0)
		return base_error(EINVAL,
				  "%s: zone capacity %" PRIu64
				  ": must be a multiple of the logical block size, %" PRIu32
				  ", and at most the zone size, %" PRIu64,
				  owner, geometry->zone_capacity_bytes,
				  geometry->logical_block_size, zone);
	return 0;
}

static int check_limits(const char *owner, const struct bdus_zone_geometry *geometry)
{
	const uint64_t count = geometry->size_bytes / geometry->zone_size_bytes;
	const uint64_t sequential = count - geometry->conventional_zones;
	const uint32_t open = geometry->max_open_zones;
	const uint32_t active = geometry->max_active_zones;

	if (geometry->conventional_zones >= count)
		return base_error(EINVAL,
				  "%s: %" PRIu32
				  " conventional zones: must be fewer than all %" PRIu64,
				  owner, geometry->conventional_zones, count);
	if (open > sequential || active > sequential)
		return base_error(EINVAL,
				  "%s: at most %" PRIu32 " open and %" PRIu32
				  " active zones: must be 0 for no limit, or at most the "
				  "number of sequential zones, %" PRIu64,
				  owner, open, active, sequential);
	if (open > active && active != 0)
		return base_error(EINVAL,
				  "%s: at most %" PRIu32
				  " open zones: must not be more than at most "
				  "are active, %" PRIu32,
				  owner, open, active);
	return 0;
}

int bdus_zone_geometry_check(const char *owner, const struct bdus_zone_geometry *geometry)
{
	const uint32_t block = geometry->logical_block_size;
	int result;

	if (!base_is_power_of_two(block) || block < 512 || block > bdus_page_size())
		return base_error(EINVAL,
				  "%s: logical block size %" PRIu32
				  ": must be a power of two from 512 to the page size, %" PRIu32,
				  owner, block, bdus_page_size());
	result = check_sizes(owner, geometry);
	if (result == 0)
		result = check_limits(owner, geometry);
	if (result == 0 && geometry->max_append_bytes != 0 && geometry->max_append_bytes < block)
		return base_error(EINVAL,
				  "%s: largest append %" PRIu32
				  ": must be 0 or at least the logical block size, %" PRIu32,
				  owner, geometry->max_append_bytes, block);
	return result;
}

static int check_ops(const char *owner, const struct bdus_device_attrs *attrs)
{
	const bool read_only = attrs->flags & BDUS_DEVICE_READ_ONLY;
	const uint32_t required = read_only ? REPORT_OP : REPORT_OP | CHANGE_OPS;
	const uint32_t missing = required & ~attrs->ops;

	if (missing != 0)
		return base_error(EINVAL, "%s: a zoned device must have the operation %s", owner,
				  bdus_op_name(base_log2(missing & -missing)));
	if (attrs->ops & DISCARD_OPS)
		return base_error(EINVAL,
				  "%s: a zoned device cannot have the operation %s: zones are "
				  "reset instead",
				  owner,
				  bdus_op_name(attrs->ops & BDUS_OP_BIT(BDUS_OP_DISCARD)
						       ? BDUS_OP_DISCARD
						       : BDUS_OP_SECURE_ERASE));
	return 0;
}

static int check_not_zoned(const char *owner, const struct bdus_device_attrs *attrs)
{
	const uint32_t zone_ops = attrs->ops & (REPORT_OP | CHANGE_OPS | OTHER_OPS);

	if (zone_ops != 0)
		return base_error(EINVAL,
				  "%s: the operation %s needs a zoned device, and zone_size_bytes "
				  "is 0",
				  owner, bdus_op_name(base_log2(zone_ops & -zone_ops)));
	return 0;
}

static void lower_append(struct bdus_device_attrs *attrs)
{
	const uint64_t most = base_min(attrs->max_transfer_bytes, attrs->zone_capacity_bytes);

	if (attrs->max_append_bytes == 0 || attrs->max_append_bytes > most)
		attrs->max_append_bytes = (uint32_t)most;
	attrs->max_append_bytes =
		(uint32_t)base_align_down(attrs->max_append_bytes, attrs->logical_block_size);
}

int bdus_zone_attrs_complete(const char *owner, struct bdus_device_attrs *attrs)
{
	struct bdus_zone_geometry geometry;
	int result;

	if (attrs->zone_size_bytes == 0)
		return check_not_zoned(owner, attrs);
	if (attrs->zone_capacity_bytes == 0)
		attrs->zone_capacity_bytes = attrs->zone_size_bytes;
	geometry = (struct bdus_zone_geometry){
		.size_bytes = attrs->size_bytes,
		.zone_size_bytes = attrs->zone_size_bytes,
		.zone_capacity_bytes = attrs->zone_capacity_bytes,
		.logical_block_size = attrs->logical_block_size,
		.conventional_zones = attrs->conventional_zones,
		.max_open_zones = attrs->max_open_zones,
		.max_active_zones = attrs->max_active_zones,
		.max_append_bytes = attrs->max_append_bytes,
	};
	result = bdus_zone_geometry_check(owner, &geometry);
	if (result == 0)
		result = check_ops(owner, attrs);
	if (result == 0)
		lower_append(attrs);
	return result;
}
