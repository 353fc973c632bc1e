/* SPDX-License-Identifier: MIT */
/*
 * The translation in memory: two arrays of 32 bits a block.
 */
#include "index.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int fold_index_init(struct fold_index *index, uint32_t blocks, uint32_t zones, uint32_t zone_blocks)
{
	const size_t places = (size_t)zones * zone_blocks;

	*index = (struct fold_index){
		.blocks = blocks,
		.zones = zones,
		.zone_blocks = zone_blocks,
		.page_count = (blocks + ZONEFOLD_PAGE_ENTRIES - 1) / ZONEFOLD_PAGE_ENTRIES,
	};
	index->places = malloc(blocks * sizeof(*index->places));
	index->owners = malloc(places * sizeof(*index->owners));
	index->valid = calloc(zones, sizeof(*index->valid));
	index->dirty = calloc(index->page_count, sizeof(*index->dirty));
	if (index->places == NULL || index->owners == NULL || index->valid == NULL ||
	    index->dirty == NULL) {
		fold_index_finish(index);
		return -ENOMEM;
	}
	memset(index->places, 0xff, blocks * sizeof(*index->places));
	memset(index->owners, 0xff, places * sizeof(*index->owners));
	return 0;
}

void fold_index_finish(struct fold_index *index)
{
	free(index->places);
	free(index->owners);
	free(index->valid);
	free(index->dirty);
	*index = (struct fold_index){0};
}

void fold_index_soil(struct fold_index *index, uint32_t number, bool dirty)
{
	if (index->dirty[number] == dirty)
		return;
	index->dirty[number] = dirty;
	index->dirty_count += dirty ? 1 : UINT32_MAX;
}

/** A block comes to a place, or leaves it. */
static void settle(struct fold_index *index, uint32_t block, uint32_t place)
{
	index->places[block] = place;
	index->owners[place] = block;
	index->valid[place / index->zone_blocks]++;
	index->mapped++;
}

void fold_index_set(struct fold_index *index, uint32_t block, uint32_t place)
{
	const uint32_t old = index->places[block];

	if (old == place)
		return;
	if (old != FOLD_NOWHERE) {
		index->owners[old] = FOLD_NOBODY;
		index->valid[old / index->zone_blocks]--;
		index->mapped--;
		index->places[block] = FOLD_NOWHERE;
	}
	if (place != FOLD_NOWHERE)
		settle(index, block, place);
	fold_index_soil(index, block / ZONEFOLD_PAGE_ENTRIES, true);
}

int fold_index_load(struct fold_index *index, const struct zonefold_page *page)
{
	const uint32_t first = zonefold_page_number(page) * ZONEFOLD_PAGE_ENTRIES;
	const uint64_t all = (uint64_t)index->zones * index->zone_blocks;

	for (uint32_t i = 0; i < ZONEFOLD_PAGE_ENTRIES; i++) {
		const uint32_t place = zonefold_page_places(page, i);

		if (place == FOLD_NOWHERE)
			continue;
		if (first + i >= index->blocks || place >= all || place % index->zone_blocks == 0 ||
		    index->owners[place] != FOLD_NOBODY || index->places[first + i] != FOLD_NOWHERE)
			return -EINVAL;
		settle(index, first + i, place);
	}
	return 0;
}

void fold_index_store(const struct fold_index *index, uint32_t number, struct zonefold_page *page)
{
	const uint32_t first = number * ZONEFOLD_PAGE_ENTRIES;

	for (uint32_t i = 0; i < ZONEFOLD_PAGE_ENTRIES; i++)
		zonefold_page_set_places(page, i,
					 first + i < index->blocks ? index->places[first + i]
								   : FOLD_NOWHERE);
}

uint32_t fold_index_run(const struct fold_index *index, uint32_t block, uint32_t count,
			uint32_t *place)
{
	const uint32_t first = index->places[block];
	const uint32_t step = first == FOLD_NOWHERE ? 0 : 1;
	uint32_t length = 1;

	while (length < count && index->places[block + length] == first + step * length)
		length++;
	*place = first;
	return length;
}

uint32_t fold_index_extent(const struct fold_index *index, uint32_t zone)
{
	const uint32_t *const owners = index->owners + (size_t)zone * index->zone_blocks;
	uint32_t end = index->valid[zone] != 0 ? index->zone_blocks : 0;

	while (end > 0 && owners[end - 1] == FOLD_NOBODY)
		end--;
	return end;
}
