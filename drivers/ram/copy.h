/* SPDX-License-Identifier: MIT */
/*
 * Copying into memory that nobody will look at soon.
 */
#ifndef RAM_COPY_H
#define RAM_COPY_H

#include <stddef.h>

/**
 * As memcpy(), best for long copies to where the processor's caches do not reach: on some
 * processors the destination is written without being read first, which memcpy() does only for
 * copies longer than requests are.
 */
void copy_past_caches(void *to, const void *from, size_t length);

#endif
