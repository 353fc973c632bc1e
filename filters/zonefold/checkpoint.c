/* SPDX-License-Identifier: MIT */
/*
 * Checkpoints, one at a time, for flushes of clients and for zones that are to be reset:
 *
 *   IDLE ──▶ FLUSHING ──▶ COMMITTING ──▶ IDLE: flushes are answered, empty zones released
 *              the layer      the map
 *              below
 *
 * A checkpoint stores the translation as it is when it begins, after the data that it speaks of was
 * made durable. What is asked for while one is under way waits for the next one. One that fails
 * leaves the map as it was; what it was to store is then for the next one.
 */
#include "fold.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is stored -------------------------------------------------------------------------- */

static uint32_t count_renamed(const struct fold *fold)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < fold->index.zones; i++)
		count += fold->zones[i].renamed;
	return count;
}

static void take_pages(struct fold *fold, struct fold_commit *commit)
{
	struct fold_index *const index = &fold->index;

	for (uint32_t i = 0; i < index->page_count; i++) {
		struct zonefold_page *page;

		if (!index->dirty[i])
			continue;
		page = &commit->pages[commit->page_count++];
		zonefold_page_init(page);
		zonefold_page_set_number(page, i);
		fold_index_store(index, i, page);
		fold_index_soil(index, i, false);
	}
}

static void take_zones(struct fold *fold, struct fold_commit *commit)
{
	for (uint32_t i = 0; i < fold->index.zones; i++) {
		if (!fold->zones[i].renamed)
			continue;
		commit->zones[commit->zone_count++] =
			(struct fold_zone_row){i, fold->zones[i].sequence};
		fold->zones[i].renamed = false;
	}
}

static int take_all(struct fold *fold)
{
	struct fold_commit *const commit = &fold->checkpoint.commit;

	*commit = (struct fold_commit){
		.commits = fold->record.commits + 1,
		.sequence = fold->record.sequence,
	};
	commit->pages = malloc((fold->index.dirty_count + 1) * sizeof(*commit->pages));
	commit->zones = malloc((count_renamed(fold) + 1) * sizeof(*commit->zones));
	if (commit->pages == NULL || commit->zones == NULL)
		return -ENOMEM;
	take_pages(fold, commit);
	take_zones(fold, commit);
	for (uint32_t i = 0; i < fold->index.zones; i++)
		fold->zones[i].noted = fold_is_empty(fold, i);
	return 0;
}

/** What was not stored is still to be. */
static void give_back(struct fold *fold)
{
	const struct fold_commit *const commit = &fold->checkpoint.commit;

	for (uint32_t i = 0; i < commit->page_count; i++)
		fold_index_soil(&fold->index, zonefold_page_number(&commit->pages[i]), true);
	for (uint32_t i = 0; i < commit->zone_count; i++)
		fold->zones[commit->zones[i].number].renamed = true;
	for (uint32_t i = 0; i < fold->index.zones; i++)
		fold->zones[i].noted = false;
	fold->unsynced = true;
}

static void release_zones(struct fold *fold)
{
	for (uint32_t i = 0; i < fold->index.zones; i++) {
		if (!fold->zones[i].noted)
			continue;
		fold->zones[i].noted = false;
		fold_release(fold, i);
	}
}

/* ---- the way of a checkpoint ----------------------------------------------------------------- */

static void answer(struct fold_list *list, int result)
{
	struct bdus_request *request;

	while ((request = fold_pop(list)) != NULL)
		bdus_complete(request, result);
}

static void end_checkpoint(struct fold *fold, int result)
{
	struct fold_checkpoint *const checkpoint = &fold->checkpoint;
	struct fold_list served = checkpoint->served;

	checkpoint->served = (struct fold_list){0};
	checkpoint->phase = FOLD_CHECKPOINT_IDLE;
	checkpoint->failed = result;
	if (result == 0) {
		fold->record.commits++;
		fold->counters.commits++;
		release_zones(fold);
	} else {
		fold->trouble = result;
		fold->counters.failed_commits++;
		give_back(fold);
	}
	free(checkpoint->commit.pages);
	free(checkpoint->commit.zones);
	checkpoint->commit = (struct fold_commit){0};
	answer(&served, result);
	fold_go_on(fold);
}

static void map_is_stored(void *opaque, int result, const char *message)
{
	struct fold *const fold = opaque;

	if (result < 0)
		snprintf(fold->last_error, sizeof(fold->last_error), "%s", message);
	end_checkpoint(fold, result);
}

static void below_is_flushed(void *instance, struct bdus_request *parent,
			     struct bdus_request *child, int result)
{
	struct fold *const fold = instance;
	struct fold_checkpoint *const checkpoint = &fold->checkpoint;

	(void)parent;
	(void)child;
	if (result < 0)
		snprintf(fold->last_error, sizeof(fold->last_error),
			 "the layer below cannot be flushed: %s", strerror(-result));
	checkpoint->phase = FOLD_CHECKPOINT_COMMITTING;
	if (result == 0)
		result = fold_committer_begin(checkpoint->committer,
					      bdus_queue_loop(bdus_request_queue(fold->own)),
					      &checkpoint->commit, map_is_stored, fold);
	if (result < 0)
		end_checkpoint(fold, result);
}

static void begin_checkpoint(struct fold *fold)
{
	struct fold_checkpoint *const checkpoint = &fold->checkpoint;
	struct bdus_request *const child = bdus_filter_child(fold->own, 0, 0, below_is_flushed);

	checkpoint->served = checkpoint->asking;
	checkpoint->asking = (struct fold_list){0};
	checkpoint->wanted = false;
	checkpoint->phase = FOLD_CHECKPOINT_FLUSHING;
	if (child == NULL || take_all(fold) < 0) {
		if (child != NULL)
			bdus_filter_drop(child);
		end_checkpoint(fold, -ENOMEM);
		return;
	}
	fold->unsynced = false;
	child->op = BDUS_OP_FLUSH;
	bdus_filter_send(child);
}

void fold_checkpoint_go_on(struct fold *fold)
{
	struct fold_checkpoint *const checkpoint = &fold->checkpoint;
	const bool dirty = fold->unsynced || fold->index.dirty_count != 0;

	if (checkpoint->phase != FOLD_CHECKPOINT_IDLE)
		return;
	if (checkpoint->wanted || (checkpoint->asking.first != NULL && dirty)) {
		begin_checkpoint(fold);
		return;
	}
	answer(&checkpoint->asking, 0);
}

void fold_flush(struct fold *fold, struct bdus_request *request)
{
	fold_push(&fold->checkpoint.asking, request);
	fold_go_on(fold);
}
