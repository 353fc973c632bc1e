/* SPDX-License-Identifier: MIT */
/*
 * Payload memory from the program, as devices use it.
 */
#ifndef DEVICE_INTERNAL_MEMORY_H
#define DEVICE_INTERNAL_MEMORY_H

#include <bdus/async.h>

/** A device with payloads of up to @largest_bytes begins to use @memory; -EINVAL if that is less.
 */
int bdus_memory_join(struct bdus_memory *memory, size_t largest_bytes);
void bdus_memory_leave(struct bdus_memory *memory);

/** @queue waits for memory no longer. */
void bdus_memory_forget(struct bdus_memory *memory, struct bdus_queue *queue);

#endif
