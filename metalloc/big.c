/* SPDX-License-Identifier: MIT */
/*
 * big: blocks of more than METALLOC_MOST_BYTES and less than 4 MiB, each a run of units. A block
 * begins right behind its group's header, or at the first multiple of its alignment in the first
 * unit.
 */
#include "metalloc_internal.h"
#include "profile.h"

#define MOST_BYTES (UNITS_MOST * UNIT_BYTES)

static size_t units_for(size_t bytes)
{
	return (bytes + UNIT_BYTES - 1) / UNIT_BYTES;
}

static void describe(struct group *group, size_t offset)
{
	group->block = (char *)group + offset;
	group->block_bytes = group->units * UNIT_BYTES - offset;
}

void *big_allocate(size_t size_bytes, size_t alignment_bytes)
{
	const size_t offset = base_max(HEADER_BYTES, alignment_bytes);
	struct group *group;

	if (offset >= UNIT_BYTES || size_bytes > MOST_BYTES - offset || metalloc_policy.hardened)
		return pages_allocate(size_bytes, alignment_bytes);
	group = units_take(units_for(offset + size_bytes));
	if (group == NULL)
		return NULL;
	group->allocator = &metalloc_big;
	describe(group, offset);
	profile_big(group->block_bytes, 1);
	return group->block;
}

static void big_release(const struct metalloc_allocator *self, void *block)
{
	struct group *const group = group_of(block);

	(void)self;
	profile_big(group->block_bytes, -1);
	units_give(group);
}

void *big_resize(void *block, size_t size_bytes)
{
	struct group *const group = group_of(block);
	const size_t offset = (size_t)(group->block - (char *)group);

	if (size_bytes <= group->block_bytes)
		return size_bytes >= group->block_bytes / 2 ? block : NULL;
	if (size_bytes > MOST_BYTES - offset ||
	    !units_extend(group, units_for(offset + size_bytes)))
		return NULL;
	describe(group, offset);
	return block;
}

static size_t big_usable(const struct metalloc_allocator *self, const void *block)
{
	(void)self;
	return group_of(block)->block_bytes;
}

static void *big_take(const struct metalloc_allocator *self, size_t size_bytes)
{
	(void)self;
	return big_allocate(size_bytes, CLASS_STEP_BYTES);
}

const struct metalloc_allocator metalloc_big = {
	.name = "big",
	.least_bytes = METALLOC_MOST_BYTES + 1,
	.most_bytes = MOST_BYTES - HEADER_BYTES,
	.alignment_bytes = CLASS_STEP_BYTES,
	.flags = METALLOC_BIG_CHURN,
	.allocate = big_take,
	.release = big_release,
	.usable = big_usable,
};
