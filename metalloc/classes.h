/* SPDX-License-Identifier: MIT */
/*
 * Size classes. 1 to 64 are the multiples of 16 up to 1024 bytes; from there, four to each doubling
 * up to METALLOC_MOST_BYTES. Class 0 has no blocks: requests of 0 bytes, and those whose rounding
 * wraps around, arrive there and are looked at again.
 */
#ifndef CLASSES_H
#define CLASSES_H

#include <metalloc.h>

#include <assert.h>

#define CLASS_STEP_BYTES  16u
#define CLASS_LAST_SMALL  64u
#define CLASS_SMALL_BYTES (CLASS_LAST_SMALL * CLASS_STEP_BYTES)
#define CLASS_COUNT       84u

/** The class of a size from 0 to METALLOC_MOST_BYTES. */
static inline unsigned class_of_size(size_t size_bytes)
{
	unsigned shift;

	if (size_bytes <= CLASS_SMALL_BYTES)
		return size_bytes == 0 ? 1 : (unsigned)((size_bytes + 15) / CLASS_STEP_BYTES);
	shift = 63u - (unsigned)__builtin_clzll(size_bytes - 1);
	return CLASS_LAST_SMALL + 1 + (shift - 10) * 4 +
	       (unsigned)(((size_bytes - 1) >> (shift - 2)) & 3);
}

/** The size of a class' blocks. */
static inline size_t class_bytes(unsigned class)
{
	const unsigned above = class - CLASS_LAST_SMALL - 1;

	if (class <= CLASS_LAST_SMALL)
		return class * (size_t)CLASS_STEP_BYTES;
	return (size_t)(5 + (above & 3)) << (above / 4 + 8);
}

#endif
