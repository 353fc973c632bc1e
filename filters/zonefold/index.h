/* SPDX-License-Identifier: MIT */
/*
 * Where each block of the device above is: the translation in memory, both ways, with what each
 * zone has of valid blocks and which pages of the map have changed. It knows no requests and no
 * files.
 *
 * A place is zone * zone_blocks + block within it, zones counted from the first sequential one;
 * block 0 of each zone has its header and belongs to nobody.
 */
#ifndef ZONEFOLD_INDEX_H
#define ZONEFOLD_INDEX_H

#include "zonefold.h"

#include <stdbool.h>
#include <stdint.h>

#define FOLD_NOWHERE ZONEFOLD_NOWHERE
/** No block, as the owner of a place. */
#define FOLD_NOBODY UINT32_MAX

struct fold_index {
	uint32_t blocks;
	uint32_t zones;
	/** Blocks of each zone, its header among them. */
	uint32_t zone_blocks;
	uint32_t *places;
	uint32_t *owners;
	/** Of each zone. */
	uint32_t *valid;
	/** Of each page of ZONEFOLD_PAGE_ENTRIES blocks. */
	bool *dirty;
	uint32_t page_count;
	uint32_t dirty_count;
	uint32_t mapped;
};

/** With nothing mapped. -ENOMEM. */
int fold_index_init(struct fold_index *index, uint32_t blocks, uint32_t zones,
		    uint32_t zone_blocks);
void fold_index_finish(struct fold_index *index);

/** Puts a block to another place, or to FOLD_NOWHERE; its page becomes dirty if that is new. */
void fold_index_set(struct fold_index *index, uint32_t block, uint32_t place);

/** Takes a page of a map over. -EINVAL: a place that cannot be, or has an owner. */
int fold_index_load(struct fold_index *index, const struct zonefold_page *page);

/** Fills in places of a page that is to be stored. */
void fold_index_store(const struct fold_index *index, uint32_t number, struct zonefold_page *page);

/** Marks a page as changed, or as stored. */
void fold_index_soil(struct fold_index *index, uint32_t number, bool dirty);

/**
 * How many blocks from @block on, at most @count, lie behind one another, or nowhere; *@place is
 * that of the first.
 */
uint32_t fold_index_run(const struct fold_index *index, uint32_t block, uint32_t count,
			uint32_t *place);

/** The end of the last valid block of a zone, as a block within it; 0 without any. */
uint32_t fold_index_extent(const struct fold_index *index, uint32_t zone);

#endif
