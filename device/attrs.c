/* SPDX-License-Identifier: MIT */
/*
 * Attributes of a device: defaults and rules, as include/bdus/driver.h states them.
 */
#include "attrs.h"

#include "base/bits.h"
#include "base/error.h"
#include "zones.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>
#include <uthread.h>

#define DEFAULT_BLOCK_SIZE     512U
#define DEFAULT_TRANSFER_BYTES (UINT32_C(1) << 20)
#define LARGEST_TRANSFER_BYTES (UINT32_C(32) << 20)
#define DEFAULT_QUEUE_DEPTH    128U
#define MOST_QUEUES            64U
#define MOST_QUEUE_DEPTH       4096U
#define MOST_CONCURRENCY       1024U

uint32_t bdus_page_size(void)
{
	return (uint32_t)sysconf(_SC_PAGESIZE);
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
	return value != 0 ? value : fallback;
}

static void fill_defaults(struct bdus_device_attrs *attrs)
{
	attrs->logical_block_size = or_default(attrs->logical_block_size, DEFAULT_BLOCK_SIZE);
	attrs->physical_block_size =
		or_default(attrs->physical_block_size, attrs->logical_block_size);
	attrs->max_transfer_bytes = or_default(attrs->max_transfer_bytes, DEFAULT_TRANSFER_BYTES);
	attrs->discard_granularity_bytes =
		or_default(attrs->discard_granularity_bytes, attrs->physical_block_size);
	attrs->max_concurrency = or_default(attrs->max_concurrency, 1);
	attrs->queues = or_default(attrs->queues, 1);
	attrs->queue_depth = or_default(attrs->queue_depth, DEFAULT_QUEUE_DEPTH);
	if (attrs->max_write_zeros_bytes == 0)
		attrs->max_write_zeros_bytes = UINT64_MAX;
	if (attrs->max_discard_bytes == 0)
		attrs->max_discard_bytes = UINT64_MAX;
}

static int check_block_sizes(const char *owner, const struct bdus_device_attrs *attrs)
{
	const uint32_t page = bdus_page_size();
	const uint32_t logical = attrs->logical_block_size;
	const uint32_t physical = attrs->physical_block_size;

	if (!base_is_power_of_two(logical) || logical < 512 || logical > page)
		return base_error(EINVAL,
				  "%s: logical block size %" PRIu32
				  ": must be a power of two from 512 to the page size, %" PRIu32,
				  owner, logical, page);
	if (!base_is_power_of_two(physical) || physical < logical || physical > page)
		return base_error(EINVAL,
				  "%s: physical block size %" PRIu32
				  ": must be a power of two from the logical block size, %" PRIu32
				  ", to the page size, %" PRIu32,
				  owner, physical, logical, page);
	if (attrs->size_bytes == 0 || attrs->size_bytes % physical != 0)
		return base_error(
			EINVAL,
			"%s: size %" PRIu64
			": must be a positive multiple of the physical block size, %" PRIu32,
			owner, attrs->size_bytes, physical);
	if (attrs->size_bytes > INT64_MAX)
		return base_error(EINVAL, "%s: size %" PRIu64 ": must be at most %" PRId64, owner,
				  attrs->size_bytes, INT64_MAX);
	return 0;
}

static int check_limits(const char *owner, const struct bdus_device_attrs *attrs)
{
	if (attrs->max_transfer_bytes < bdus_page_size())
		return base_error(EINVAL,
				  "%s: max_transfer_bytes %" PRIu32
				  ": must be 0 or at least the page size, %" PRIu32,
				  owner, attrs->max_transfer_bytes, bdus_page_size());
	if (attrs->max_write_zeros_bytes < attrs->logical_block_size ||
	    attrs->max_discard_bytes < attrs->logical_block_size)
		return base_error(EINVAL,
				  "%s: max_write_zeros_bytes and max_discard_bytes must be "
				  "0 or at least the logical block size, %" PRIu32,
				  owner, attrs->logical_block_size);
	if (attrs->optimal_io_bytes != 0 && !base_is_power_of_two(attrs->optimal_io_bytes))
		return base_error(EINVAL,
				  "%s: optimal_io_bytes %" PRIu32 ": must be 0 or a power of two",
				  owner, attrs->optimal_io_bytes);
	if (!base_is_power_of_two(attrs->discard_granularity_bytes))
		return base_error(EINVAL,
				  "%s: discard_granularity_bytes %" PRIu32
				  ": must be 0 or a power of two",
				  owner, attrs->discard_granularity_bytes);
	if (attrs->thread_stack_bytes != 0 && (attrs->thread_stack_bytes < UTHREAD_STACK_MIN ||
					       attrs->thread_stack_bytes > UTHREAD_STACK_MAX))
		return base_error(
			EINVAL, "%s: thread_stack_bytes %" PRIu32 ": must be 0 or from %u to %u",
			owner, attrs->thread_stack_bytes, UTHREAD_STACK_MIN, UTHREAD_STACK_MAX);
	return 0;
}

static int check_ops(const char *owner, const struct bdus_device_attrs *attrs)
{
	const uint32_t known = BDUS_OP_BIT(BDUS_OP_COUNT) - 1;

	if (attrs->ops & ~known)
		return base_error(EINVAL,
				  "%s: ops 0x%" PRIx32
				  ": has bits that this version does not know, 0x%" PRIx32,
				  owner, attrs->ops, attrs->ops & ~known);
	return 0;
}

static uint64_t whole_blocks(uint64_t bytes, uint32_t block_size)
{
	return base_align_down(bytes, block_size);
}

/** Lowers what is larger than anything can carry, to whole blocks. */
static void lower_limits(struct bdus_device_attrs *attrs)
{
	const uint32_t block = attrs->logical_block_size;

	attrs->max_transfer_bytes = (uint32_t)whole_blocks(
		base_min(attrs->max_transfer_bytes, LARGEST_TRANSFER_BYTES), block);
	attrs->max_write_zeros_bytes = whole_blocks(attrs->max_write_zeros_bytes, block);
	attrs->max_discard_bytes = whole_blocks(attrs->max_discard_bytes, block);
	attrs->queues = (uint32_t)base_min(attrs->queues, MOST_QUEUES);
	attrs->queue_depth = (uint32_t)base_min(attrs->queue_depth, MOST_QUEUE_DEPTH);
	attrs->max_concurrency = (uint32_t)base_min(attrs->max_concurrency, MOST_CONCURRENCY);
}

int bdus_attrs_complete(const char *owner, struct bdus_device_attrs *attrs)
{
	int result;

	fill_defaults(attrs);
	result = check_block_sizes(owner, attrs);
	if (result == 0)
		result = check_limits(owner, attrs);
	if (result == 0)
		result = check_ops(owner, attrs);
	if (result == 0)
		lower_limits(attrs);
	if (result == 0)
		result = bdus_zone_attrs_complete(owner, attrs);
	return result;
}

/* ---- comparing ----------------------------------------------------------------------------- */

static bool have_same_blocks(const struct bdus_device_attrs *one,
			     const struct bdus_device_attrs *other)
{
	return one->size_bytes == other->size_bytes &&
	       one->logical_block_size == other->logical_block_size &&
	       one->physical_block_size == other->physical_block_size && one->ops == other->ops &&
	       one->flags == other->flags;
}

static bool have_same_limits(const struct bdus_device_attrs *one,
			     const struct bdus_device_attrs *other)
{
	return one->max_transfer_bytes == other->max_transfer_bytes &&
	       one->optimal_io_bytes == other->optimal_io_bytes &&
	       one->max_write_zeros_bytes == other->max_write_zeros_bytes &&
	       one->max_discard_bytes == other->max_discard_bytes &&
	       one->discard_granularity_bytes == other->discard_granularity_bytes &&
	       one->max_concurrency == other->max_concurrency && one->queues == other->queues &&
	       one->queue_depth == other->queue_depth &&
	       one->thread_stack_bytes == other->thread_stack_bytes;
}

static bool have_same_zones(const struct bdus_device_attrs *one,
			    const struct bdus_device_attrs *other)
{
	return one->zone_size_bytes == other->zone_size_bytes &&
	       one->zone_capacity_bytes == other->zone_capacity_bytes &&
	       one->conventional_zones == other->conventional_zones &&
	       one->max_open_zones == other->max_open_zones &&
	       one->max_active_zones == other->max_active_zones &&
	       one->max_append_bytes == other->max_append_bytes;
}

bool bdus_attrs_are_same(const struct bdus_device_attrs *one, const struct bdus_device_attrs *other)
{
	return have_same_blocks(one, other) && have_same_limits(one, other) &&
	       have_same_zones(one, other) && one->ioctl_parts == other->ioctl_parts &&
	       one->ioctl_part_count == other->ioctl_part_count;
}
