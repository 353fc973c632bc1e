/* SPDX-License-Identifier: MIT */
/*
 * Payload memory that a program supplied, as a way in takes it. Where none was supplied, a way in
 * has memory of its own (device/pool.h).
 */
#ifndef DEVICE_MEMORY_H
#define DEVICE_MEMORY_H

#include <bdus/async.h>

struct bdus_queue;

/**
 * Memory for a payload of @bytes, or NULL when there is none at present: bdus_host_make_ready() is
 * then called for @host, on its own thread, when some may have come back. Memory that is not
 * aligned to a page fails @host. Owner of @host only.
 */
void *bdus_memory_get(struct bdus_memory *memory, struct bdus_queue *host, size_t bytes);

/** Gives it back. Any thread. */
void bdus_memory_put(struct bdus_memory *memory, void *piece, size_t bytes);

#endif
