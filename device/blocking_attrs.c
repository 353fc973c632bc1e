/* SPDX-License-Identifier: MIT */
/*
 * The rules of the BDUS 0.1 API on callbacks and attributes, as include/bdus.h states them.
 */
#include "attrs.h"
#include "base/bits.h"
#include "base/error.h"
#include "blocking.h"
#include "zones.h"

#include <bdus/driver.h>
#include <bdus/manage.h>
#include <errno.h>
#include <inttypes.h>

static int check_ops(const struct bdus_ops *ops)
{
	if (ops->fua_write != NULL && ops->flush == NULL)
		return base_error(EINVAL,
				  "callback 'fua_write' is set but 'flush' is not: a driver "
				  "with the first must have the second");
	return 0;
}

static int check_block_sizes(const struct bdus_attrs *attrs)
{
	const uint32_t page = bdus_page_size();
	const uint32_t logical = attrs->logical_block_size;
	const uint32_t physical = attrs->physical_block_size;
	const uint32_t unit = physical != 0 ? physical : logical;

	if (!base_is_power_of_two(logical) || logical < 512 || logical > page)
		return base_error(EINVAL,
				  "attribute 'logical_block_size' is %" PRIu32
				  ": must be a power of two from 512 to the page size, %" PRIu32,
				  logical, page);
	if (physical != 0 &&
	    (!base_is_power_of_two(physical) || physical < logical || physical > page))
		return base_error(
			EINVAL,
			"attribute 'physical_block_size' is %" PRIu32
			": must be 0 or a power of two from 'logical_block_size', %" PRIu32
			", to the page size, %" PRIu32,
			physical, logical, page);
	if (attrs->size == 0 || attrs->size % unit != 0)
		return base_error(EINVAL,
				  "attribute 'size' is %" PRIu64
				  ": must be a positive multiple of '%s', %" PRIu32,
				  attrs->size,
				  physical != 0 ? "physical_block_size" : "logical_block_size",
				  unit);
	return 0;
}

static int check_limit(const char *name, uint32_t value, const char *bound_name, uint32_t bound)
{
	if (value != 0 && value < bound)
		return base_error(
			EINVAL, "attribute '%s' is %" PRIu32 ": must be 0 or at least %s, %" PRIu32,
			name, value, bound_name, bound);
	return 0;
}

static int check_callback(const char *name, bool is_set, bool zoned)
{
	if (zoned && !is_set)
		return base_error(EINVAL, "attribute 'zone_size' is set but callback '%s' is not",
				  name);
	if (!zoned && is_set)
		return base_error(EINVAL, "callback '%s' is set but attribute 'zone_size' is 0",
				  name);
	return 0;
}

static bool has_zone_changes(const struct bdus_ops *ops)
{
	return ops->zone_open != NULL || ops->zone_close != NULL || ops->zone_finish != NULL ||
	       ops->zone_reset != NULL || ops->zone_reset_all != NULL || ops->zone_append != NULL;
}

/** A device that cannot be written needs to tell of its zones only. */
static int check_zone_callbacks(const struct bdus_ops *ops, bool zoned)
{
	const bool changes = has_zone_changes(ops) || ops->write != NULL;
	int result = check_callback("zone_report", ops->zone_report != NULL, zoned);

	if (result < 0 || !changes)
		return result;
	result = check_callback("zone_open", ops->zone_open != NULL, zoned);
	if (result == 0)
		result = check_callback("zone_close", ops->zone_close != NULL, zoned);
	if (result == 0)
		result = check_callback("zone_finish", ops->zone_finish != NULL, zoned);
	if (result == 0)
		result = check_callback("zone_reset", ops->zone_reset != NULL, zoned);
	if (result == 0 && !zoned && ops->zone_append != NULL)
		result = check_callback("zone_append", true, zoned);
	if (result == 0 && !zoned && ops->zone_reset_all != NULL)
		result = check_callback("zone_reset_all", true, zoned);
	return result;
}

static int check_zones(const struct bdus_ops *ops, const struct bdus_attrs *attrs)
{
	const bool zoned = attrs->zone_size != 0;
	const struct bdus_zone_geometry geometry = {
		.size_bytes = attrs->size,
		.zone_size_bytes = attrs->zone_size,
		.zone_capacity_bytes =
			attrs->zone_capacity != 0 ? attrs->zone_capacity : attrs->zone_size,
		.logical_block_size = attrs->logical_block_size,
		.conventional_zones = attrs->conventional_zones,
		.max_open_zones = attrs->max_open_zones,
		.max_active_zones = attrs->max_active_zones,
		.max_append_bytes = attrs->max_zone_append_size,
	};
	const int result = check_zone_callbacks(ops, zoned);

	if (result < 0 || !zoned)
		return result;
	if (ops->discard != NULL || ops->secure_erase != NULL)
		return base_error(EINVAL,
				  "callback '%s' is set and so is attribute 'zone_size': zones are "
				  "reset instead",
				  ops->discard != NULL ? "discard" : "secure_erase");
	return bdus_zone_geometry_check("attributes", &geometry);
}

int bdus_blocking_check(const struct bdus_ops *ops, const struct bdus_attrs *attrs)
{
	const uint32_t block = attrs->logical_block_size;
	int result = check_ops(ops);

	if (result == 0)
		result = check_block_sizes(attrs);
	if (result == 0)
		result = check_limit("max_read_write_size", attrs->max_read_write_size,
				     "the page size", bdus_page_size());
	if (result == 0)
		result = check_limit("max_write_same_size", attrs->max_write_same_size,
				     "'logical_block_size'", block);
	if (result == 0)
		result = check_limit("max_write_zeros_size", attrs->max_write_zeros_size,
				     "'logical_block_size'", block);
	if (result == 0)
		result = check_limit("max_discard_erase_size", attrs->max_discard_erase_size,
				     "'logical_block_size'", block);
	if (result == 0)
		result = check_zones(ops, attrs);
	return result;
}

static uint32_t offered_zone_ops(const struct bdus_ops *ops)
{
	uint32_t mask = 0;

	if (ops->zone_report != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_ZONE_REPORT);
	if (ops->zone_open != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_ZONE_OPEN);
	if (ops->zone_close != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_ZONE_CLOSE);
	if (ops->zone_finish != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_ZONE_FINISH);
	if (ops->zone_reset != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_ZONE_RESET);
	if (ops->zone_reset_all != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_ZONE_RESET_ALL);
	if (ops->zone_append != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_ZONE_APPEND);
	return mask;
}

static uint32_t offered_ops(const struct bdus_ops *ops)
{
	uint32_t mask = 0;

	if (ops->read != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_READ);
	if (ops->write != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_WRITE);
	if (ops->write_zeros != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS);
	if (ops->flush != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_FLUSH);
	if (ops->discard != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_DISCARD);
	if (ops->secure_erase != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_SECURE_ERASE);
	if (ops->ioctl != NULL)
		mask |= BDUS_OP_BIT(BDUS_OP_IOCTL);
	return mask | offered_zone_ops(ops);
}

/** The callbacks count sizes in 32 bits. */
static uint64_t limit_32_bits(uint32_t value)
{
	return value != 0 ? value : UINT32_MAX;
}

void bdus_blocking_describe(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
			    struct bdus_device_attrs *device_attrs)
{
	const bool writable = ops->write != NULL || ops->write_zeros != NULL ||
			      ops->discard != NULL || ops->secure_erase != NULL ||
			      has_zone_changes(ops);

	*device_attrs = (struct bdus_device_attrs){
		.size_bytes = attrs->size,
		.logical_block_size = attrs->logical_block_size,
		.physical_block_size = attrs->physical_block_size,
		.ops = offered_ops(ops),
		/* Whole pages, so that a request that is split has aligned pieces. */
		.max_transfer_bytes =
			(uint32_t)base_align_down(attrs->max_read_write_size, bdus_page_size()),
		.max_write_zeros_bytes = limit_32_bits(attrs->max_write_zeros_size),
		.max_discard_bytes = limit_32_bits(attrs->max_discard_erase_size),
		.max_concurrency = attrs->max_concurrent_callbacks,
		.zone_size_bytes = attrs->zone_size,
		.zone_capacity_bytes = attrs->zone_capacity,
		.conventional_zones = attrs->conventional_zones,
		.max_open_zones = attrs->max_open_zones,
		.max_active_zones = attrs->max_active_zones,
		.max_append_bytes = attrs->max_zone_append_size,
	};
	if (!writable)
		device_attrs->flags |= BDUS_DEVICE_READ_ONLY;
	if (ops->fua_write != NULL)
		device_attrs->flags |= BDUS_DEVICE_FUA;
	if (ops->ioctl != NULL)
		device_attrs->flags |= BDUS_DEVICE_MIRRORED_IOCTLS;
	if (attrs->disable_partition_scanning)
		device_attrs->flags |= BDUS_DEVICE_NO_PARTITION_SCAN;
	if (attrs->recoverable)
		device_attrs->flags |= BDUS_DEVICE_RECOVERABLE;
}

static uint32_t adjusted(bool wanted, uint64_t settled)
{
	return wanted ? (uint32_t)base_min(settled, UINT32_MAX) : 0;
}

void bdus_blocking_adjust(const struct bdus_ops *ops, const struct bdus_device_attrs *device_attrs,
			  struct bdus_attrs *attrs)
{
	const bool transfers = ops->read != NULL || ops->write != NULL || ops->fua_write != NULL;
	const bool discards = ops->discard != NULL || ops->secure_erase != NULL;
	const uint64_t write_same = base_align_down(limit_32_bits(attrs->max_write_same_size),
						    attrs->logical_block_size);

	attrs->physical_block_size = device_attrs->physical_block_size;
	attrs->max_concurrent_callbacks = device_attrs->max_concurrency;
	attrs->max_read_write_size = adjusted(transfers, device_attrs->max_transfer_bytes);
	attrs->max_write_same_size = adjusted(ops->write_same != NULL, write_same);
	attrs->max_write_zeros_size =
		adjusted(ops->write_zeros != NULL, device_attrs->max_write_zeros_bytes);
	attrs->max_discard_erase_size = adjusted(discards, device_attrs->max_discard_bytes);
}

/* ---- a device that exists ------------------------------------------------------------------ */

/** 0 stands for what the device has; anything else must be that. */
static int inherit(const char *name, uint64_t is, uint64_t has, uint64_t *value)
{
	*value = has;
	if (is == 0 || is == has)
		return 0;
	return base_error(
		EINVAL, "attribute '%s' is %" PRIu64 ": must be 0 or that of the device, %" PRIu64,
		name, is, has);
}

/** The same for limits, which may be larger, and then are those of the device. */
static int inherit_limit(const char *name, bool is_known, uint64_t has, uint32_t *value)
{
	const uint32_t limit = (uint32_t)base_min(has, UINT32_MAX);

	if (!is_known)
		return 0;
	if (*value != 0 && *value < limit)
		return base_error(EINVAL,
				  "attribute '%s' is %" PRIu32
				  ": must be 0 or at least that of the device, %" PRIu32,
				  name, *value, limit);
	*value = limit;
	return 0;
}

static int inherit_sizes(const struct bdus_device_info *info, struct bdus_attrs *attrs)
{
	uint64_t size = 0;
	uint64_t logical = 0;
	uint64_t physical = 0;
	int result = inherit("size", attrs->size, info->size_bytes, &size);

	if (result == 0)
		result = inherit("logical_block_size", attrs->logical_block_size,
				 info->logical_block_size, &logical);
	if (result == 0)
		result = inherit("physical_block_size", attrs->physical_block_size,
				 info->physical_block_size, &physical);
	if (result < 0)
		return result;
	attrs->size = size;
	attrs->logical_block_size = (uint32_t)logical;
	attrs->physical_block_size = (uint32_t)physical;
	return 0;
}

static bool had(const struct bdus_device_info *info, uint32_t ops)
{
	return (info->native_ops & ops) != 0;
}

int bdus_blocking_inherit(const struct bdus_device_info *info, struct bdus_attrs *attrs)
{
	const uint32_t transfers = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE);
	const uint32_t discards = BDUS_OP_BIT(BDUS_OP_DISCARD) | BDUS_OP_BIT(BDUS_OP_SECURE_ERASE);
	struct bdus_attrs merged = *attrs;
	int result = inherit_sizes(info, &merged);

	if (result == 0)
		result = inherit_limit("max_read_write_size", had(info, transfers),
				       info->max_transfer_bytes, &merged.max_read_write_size);
	if (result == 0)
		result = inherit_limit("max_write_zeros_size",
				       had(info, BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS)),
				       info->max_write_zeros_bytes, &merged.max_write_zeros_size);
	if (result == 0)
		result = inherit_limit("max_discard_erase_size", had(info, discards),
				       info->max_discard_bytes, &merged.max_discard_erase_size);
	if (result < 0)
		return result;
	merged.disable_partition_scanning = (info->flags & BDUS_DEVICE_NO_PARTITION_SCAN) != 0;
	merged.recoverable = (info->flags & BDUS_DEVICE_RECOVERABLE) != 0;
	*attrs = merged;
	return 0;
}
