/* SPDX-License-Identifier: MIT */
/*
 * For tests of metalloc: has everything served in one way, named by the program's first argument.
 */
#ifndef WAYS_H
#define WAYS_H

#include "metalloc_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** Before the first allocation: default, hardened, huge, large, or an allocator's name for all
 * classes. */
static inline void choose_way(const char *name)
{
	const struct metalloc_allocator *const allocator = registry_find(name);

	metalloc_policy.hardened = strcmp(name, "hardened") == 0;
	metalloc_policy.huge = strcmp(name, "huge") == 0;
	metalloc_policy.huge_large = strcmp(name, "large") == 0;
	metalloc_policy.large_bytes = metalloc_policy.huge_large ? UINT64_C(80) << 20 : 0;
	for (unsigned i = 1; i < CLASS_COUNT; i++)
		metalloc_policy.allocators[i] =
			metalloc_policy.hardened ? &metalloc_bitmap : allocator;
}

#define CHECK(condition)                                                                          \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                  \
		}                                                                                 \
	} while (0)

#endif
