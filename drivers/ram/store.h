/* SPDX-License-Identifier: MIT */
/*
 * Sparse memory: a range of address space as long as the device, of which only the units that were
 * written are backed by memory. A unit is a page, or 2 MiB where huge pages are used.
 *
 * Every function may be called from several threads at once. Calls whose ranges overlap leave each
 * byte as one of them would have; calls that do not overlap never affect one another, even within
 * one unit.
 */
#ifndef RAM_STORE_H
#define RAM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/**
 * @limit_bytes: most memory to use for content. @reserve_bytes: how much the machine must have left
 * for anything else; 0 not to look. Returns 0, or -ENOMEM when there is no address space for it.
 */
int store_create(struct store **store, uint64_t size_bytes, bool huge_pages, uint64_t limit_bytes,
		 uint64_t reserve_bytes);

/** Takes NULL. */
void store_destroy(struct store *store);

uint64_t store_unit_bytes(const struct store *store);

/** Memory that content takes, in bytes. */
uint64_t store_used_bytes(const struct store *store);

void store_read(const struct store *store, uint64_t offset, uint64_t length, void *data);

/** Where the content of the range lies; NULL when a part of it has no memory. */
void *store_memory(const struct store *store, uint64_t offset, uint64_t length);

/** Returns 0, or -ENOSPC when memory is out; then the range may have been written in part. */
int store_write(struct store *store, uint64_t offset, uint64_t length, const void *data);

/** Writes zeros, and leaves memory behind the whole range. Returns as store_write(). */
int store_write_zeros(struct store *store, uint64_t offset, uint64_t length);

/** Gives back the units that lie wholly within the range; they then read as zeros. */
void store_discard(struct store *store, uint64_t offset, uint64_t length);

/** As store_discard(), and makes the rest of the range read as zeros, too. */
void store_unmap(struct store *store, uint64_t offset, uint64_t length);

/**
 * Whether the unit at @offset has memory, and for how many bytes from @offset, up to at most
 * @length and the end of the device, that stays the same.
 */
bool store_extent(const struct store *store, uint64_t offset, uint64_t length,
		  uint64_t *extent_length);

#endif
