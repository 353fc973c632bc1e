/* SPDX-License-Identifier: MIT */
/*
 * The entry points, under the names of names.h.
 */
#ifndef ENTRY_H
#define ENTRY_H

#include "names.h"

#include <stddef.h>

#pragma GCC visibility push(default)

void *ENTRY(malloc)(size_t size_bytes);
void ENTRY(free)(void *released);
void *ENTRY(calloc)(size_t count, size_t size_bytes);
void *ENTRY(realloc)(void *block, size_t size_bytes);
void *ENTRY(reallocarray)(void *block, size_t count, size_t size_bytes);
int ENTRY(posix_memalign)(void **block, size_t alignment_bytes, size_t size_bytes);
void *ENTRY(aligned_alloc)(size_t alignment_bytes, size_t size_bytes);
void *ENTRY(memalign)(size_t alignment_bytes, size_t size_bytes);
void *ENTRY(valloc)(size_t size_bytes);
void *ENTRY(pvalloc)(size_t size_bytes);
size_t ENTRY(malloc_usable_size)(void *block);

#pragma GCC visibility pop

#endif
