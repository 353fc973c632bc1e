/* SPDX-License-Identifier: MIT */
/*
 * Buddies: a piece of order n is 2^n pages that start at a multiple of 2^n pages from the region's
 * start. It is made by halving one of order n + 1, and when both halves are free they become that
 * again. `orders` has the order of each free piece at its first page, so that a buddy can be found
 * free without a search.
 */
#include "region.h"

#include "base/bits.h"
#include "base/error.h"
#include "base/list.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES  ((size_t)4096)
#define ORDER_COUNT 20
/** In `orders`: no free piece starts at this page. */
#define NOT_FREE 0xff

struct bdus_region {
	char *start;
	size_t pages;
	/** Free pieces by order, linked in their own memory. */
	struct base_list free[ORDER_COUNT];
	uint8_t orders[];
};

static unsigned order_of(size_t bytes)
{
	unsigned order = 0;

	while (PAGE_BYTES << order < bytes)
		order++;
	return order;
}

static struct base_list *piece_at(const struct bdus_region *region, size_t page)
{
	return (struct base_list *)(void *)(region->start + page * PAGE_BYTES);
}

static size_t page_of(const struct bdus_region *region, const void *piece)
{
	return (size_t)((const char *)piece - region->start) / PAGE_BYTES;
}

static void add_free(struct bdus_region *region, size_t page, unsigned order)
{
	region->orders[page] = (uint8_t)order;
	base_list_push_front(&region->free[order], piece_at(region, page));
}

static void take_free(struct bdus_region *region, size_t page)
{
	region->orders[page] = NOT_FREE;
	base_list_remove(piece_at(region, page));
}

/** The largest aligned pieces, one after the other. */
static void cut_up(struct bdus_region *region)
{
	size_t page = 0;

	while (page < region->pages) {
		unsigned order = ORDER_COUNT - 1;

		while ((page & (((size_t)1 << order) - 1)) != 0 ||
		       page + ((size_t)1 << order) > region->pages)
			order--;
		add_free(region, page, order);
		page += (size_t)1 << order;
	}
}

int bdus_region_create(void *start, size_t bytes, struct bdus_region **result_region)
{
	const size_t pages = bytes / PAGE_BYTES;
	struct bdus_region *region;

	if (start == NULL || ((uintptr_t)start & (PAGE_BYTES - 1)) != 0 || pages == 0)
		return base_error(EINVAL,
				  "a region of %zu bytes at %p: it has to start at a page and have "
				  "one at least",
				  bytes, start);
	region = malloc(sizeof(*region) + pages);
	if (region == NULL)
		return base_error(ENOMEM, "no memory to manage a region of %zu pages", pages);
	region->start = start;
	region->pages = pages;
	memset(region->orders, NOT_FREE, pages);
	for (unsigned order = 0; order < ORDER_COUNT; order++)
		base_list_init(&region->free[order]);
	cut_up(region);
	*result_region = region;
	return 0;
}

void bdus_region_destroy(struct bdus_region *region)
{
	free(region);
}

void *bdus_region_get(struct bdus_region *region, size_t bytes)
{
	const unsigned wanted = order_of(bytes);
	unsigned order = wanted;
	size_t page;

	while (order < ORDER_COUNT && base_list_is_empty(&region->free[order]))
		order++;
	if (order >= ORDER_COUNT)
		return NULL;
	page = page_of(region, region->free[order].next);
	take_free(region, page);
	while (order > wanted) {
		order--;
		add_free(region, page + ((size_t)1 << order), order);
	}
	return piece_at(region, page);
}

void bdus_region_put(struct bdus_region *region, void *piece, size_t bytes)
{
	unsigned order = order_of(bytes);
	size_t page = page_of(region, piece);

	for (; order < ORDER_COUNT - 1; order++) {
		const size_t buddy = page ^ ((size_t)1 << order);

		if (buddy >= region->pages || region->orders[buddy] != order)
			break;
		take_free(region, buddy);
		page = base_min(page, buddy);
	}
	add_free(region, page, order);
}

size_t bdus_region_largest(const struct bdus_region *region)
{
	unsigned order = 0;

	while (order < ORDER_COUNT - 1 && (size_t)2 << order <= region->pages)
		order++;
	return PAGE_BYTES << order;
}
