/* SPDX-License-Identifier: MIT */
/*
 * Small arithmetic on powers of two, ranges and containers.
 */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BASE_ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/** The structure of type @type whose member @member is at @pointer. */
#define base_container_of(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define base_likely(condition)   __builtin_expect(!!(condition), 1)
#define base_unlikely(condition) __builtin_expect(!!(condition), 0)

static inline bool base_is_power_of_two(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

static inline uint64_t base_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t base_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/** Rounds down to a multiple of @alignment, a power of two. */
static inline uint64_t base_align_down(uint64_t value, uint64_t alignment)
{
	return value & ~(alignment - 1);
}

/** Rounds up to a multiple of @alignment, a power of two; wraps to 0 past the end of 64 bits. */
static inline uint64_t base_align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

/** Base-2 logarithm of @value, a power of two. */
static inline unsigned base_log2(uint64_t value)
{
	return (unsigned)__builtin_ctzll(value);
}

/** Whether [offset, offset + length) lies within [0, size), without overflow. */
static inline bool base_range_within(uint64_t offset, uint64_t length, uint64_t size)
{
	return offset <= size && length <= size - offset;
}

#endif
