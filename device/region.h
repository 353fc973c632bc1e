/* SPDX-License-Identifier: MIT */
/*
 * A region of memory given out in pieces of powers of two, which find each other again when they
 * come back. Not safe against concurrent use.
 */
#ifndef DEVICE_REGION_H
#define DEVICE_REGION_H

#include <stddef.h>

struct bdus_region;

/** @bytes at @start, both multiples of a page; the end that makes no whole page is left alone. */
int bdus_region_create(void *start, size_t bytes, struct bdus_region **region);
/** Takes NULL. The memory itself is the caller's. */
void bdus_region_destroy(struct bdus_region *region);

/** A piece of at least @bytes, aligned to its size or to a page's; NULL when none is that large. */
void *bdus_region_get(struct bdus_region *region, size_t bytes);
/** Gives back what bdus_region_get() returned for the same @bytes. */
void bdus_region_put(struct bdus_region *region, void *piece, size_t bytes);

/** The largest piece that can be had when nothing is out. */
size_t bdus_region_largest(const struct bdus_region *region);

#endif
