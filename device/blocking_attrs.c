/* SPDX-License-Identifier: MIT */
/*
 * The rules of the BDUS 0.1 API on callbacks and attributes, as include/bdus.h states them.
 */
#include "attrs.h"
#include "base/bits.h"
#include "base/error.h"
#include "blocking.h"

#include <bdus/driver.h>
#include <errno.h>
#include <inttypes.h>

static int check_ops(const struct bdus_ops *ops, const struct bdus_attrs *attrs)
{
	if (ops->fua_write != NULL && ops->flush == NULL)
		return base_error(EINVAL,
				  "callback 'fua_write' is set but 'flush' is not: a driver "
				  "with the first must have the second");
	if (ops->ioctl != NULL)
		return base_error(ENOTSUP, "callback 'ioctl' is set, but no way in of this version "
					   "carries ioctls");
	if (attrs->recoverable)
		return base_error(ENOTSUP, "attribute 'recoverable' is true, but no way in of this "
					   "version keeps a device without its driver");
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

int bdus_blocking_check(const struct bdus_ops *ops, const struct bdus_attrs *attrs)
{
	const uint32_t block = attrs->logical_block_size;
	int result = check_ops(ops, attrs);

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
	return result;
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
	return mask;
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
			      ops->discard != NULL || ops->secure_erase != NULL;

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
	};
	if (!writable)
		device_attrs->flags |= BDUS_DEVICE_READ_ONLY;
	if (ops->fua_write != NULL)
		device_attrs->flags |= BDUS_DEVICE_FUA;
	if (attrs->disable_partition_scanning)
		device_attrs->flags |= BDUS_DEVICE_NO_PARTITION_SCAN;
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
