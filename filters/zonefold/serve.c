/* SPDX-License-Identifier: MIT */
/*
 * Requests of clients. A read goes to where its blocks are, in as many parts as that takes, and
 * keeps the zones from being reset meanwhile. A write is appended to the open zone, and its blocks
 * are where it landed once it is back: of two writes to one block that are on their way at once,
 * the last one to come back counts. Writes wait in line while there is no zone with room.
 */
#include "base/bits.h"
#include "fold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- operations ------------------------------------------------------------------------------ */

static struct fold_operation *take_operation(struct fold *fold, struct bdus_request *request)
{
	struct fold_operation *operation = fold->free_operations;

	if (operation != NULL)
		fold->free_operations = operation->next;
	else
		operation = malloc(sizeof(*operation));
	if (operation == NULL) {
		bdus_complete(request, -ENOMEM);
		return NULL;
	}
	*operation = (struct fold_operation){
		.request = request,
		.block = (uint32_t)(request->offset_bytes / FOLD_BLOCK),
		.count = (uint32_t)(request->length_bytes / FOLD_BLOCK),
		.pending = 1,
	};
	request->driver_data = operation;
	return operation;
}

/** A part of the operation is done, or its beginning; the last one completes the request. */
static void end_part(struct fold *fold, struct fold_operation *operation, int result)
{
	struct bdus_request *const request = operation->request;

	if (operation->result == 0)
		operation->result = result;
	if (--operation->pending != 0)
		return;
	result = operation->result;
	operation->next = fold->free_operations;
	fold->free_operations = operation;
	bdus_complete(request, result);
}

static struct fold_piece *take_piece(struct fold *fold)
{
	struct fold_piece *const piece = fold->free_pieces;

	if (piece == NULL)
		return malloc(sizeof(*piece));
	fold->free_pieces = piece->next;
	return piece;
}

static void put_piece(struct fold *fold, struct fold_piece *piece)
{
	piece->next = fold->free_pieces;
	fold->free_pieces = piece;
}

void fold_operations_free(struct fold *fold)
{
	while (fold->free_operations != NULL) {
		struct fold_operation *const operation = fold->free_operations;

		fold->free_operations = operation->next;
		free(operation);
	}
	while (fold->free_pieces != NULL) {
		struct fold_piece *const piece = fold->free_pieces;

		fold->free_pieces = piece->next;
		free(piece);
	}
}

/* ---- reads ----------------------------------------------------------------------------------- */

static void part_was_read(void *instance, struct bdus_request *parent, struct bdus_request *child,
			  int result)
{
	struct fold *const fold = instance;

	fold_reader_goes(fold, fold_zone_at(fold, child->offset_bytes));
	end_part(fold, parent->driver_data, result);
}

/** What was never written reads as zeros. */
static int fill_zeros(struct bdus_request *request, uint64_t skip_bytes, uint64_t length_bytes)
{
	static const char zeros[FOLD_BLOCK];
	int result = 0;

	if (request->payload_buffer == 0) {
		memset((char *)request->data + skip_bytes, 0, length_bytes);
		return 0;
	}
	for (uint64_t done = 0; done < length_bytes && result == 0; done += sizeof(zeros))
		result = bdus_payload_put(request, skip_bytes + done, zeros, sizeof(zeros));
	return result;
}

static void read_part(struct fold *fold, struct fold_operation *operation, uint32_t place,
		      uint32_t count)
{
	struct bdus_request *const request = operation->request;
	const uint64_t skip_bytes = operation->sent * FOLD_BLOCK;
	struct bdus_request *child;

	if (place == FOLD_NOWHERE) {
		end_part(fold, operation, fill_zeros(request, skip_bytes, count * FOLD_BLOCK));
		return;
	}
	child = bdus_filter_child(request, skip_bytes, count * FOLD_BLOCK, part_was_read);
	if (child == NULL) {
		end_part(fold, operation, -ENOMEM);
		return;
	}
	/* What is lent may be other data's before the client has seen it. */
	child->flags &= (uint16_t)~BDUS_REQUEST_MAY_LEND;
	child->offset_bytes = fold_place_bytes(fold, place);
	fold_reader_comes(fold, place / fold->index.zone_blocks);
	bdus_filter_send(child);
}

void fold_read(struct fold *fold, struct bdus_request *request)
{
	struct fold_operation *const operation = take_operation(fold, request);

	if (operation == NULL)
		return;
	while (operation->sent < operation->count && operation->result == 0) {
		uint32_t place;
		const uint32_t count =
			fold_index_run(&fold->index, operation->block + operation->sent,
				       operation->count - operation->sent, &place);

		operation->pending++;
		read_part(fold, operation, place, count);
		operation->sent += count;
	}
	end_part(fold, operation, 0);
}

/* ---- writes ---------------------------------------------------------------------------------- */

/** Takes the note of a child that is back from those of its operation. */
static struct fold_piece find_piece(struct fold *fold, struct fold_operation *operation,
				    const struct bdus_request *child)
{
	struct fold_piece **link = &operation->pieces;
	struct fold_piece *found;
	struct fold_piece piece;

	while ((*link)->child != child)
		link = &(*link)->next;
	found = *link;
	piece = *found;
	*link = found->next;
	put_piece(fold, found);
	return piece;
}

static void part_was_written(void *instance, struct bdus_request *parent,
			     struct bdus_request *child, int result)
{
	struct fold *const fold = instance;
	struct fold_operation *const operation = parent->driver_data;
	const struct fold_piece piece = find_piece(fold, operation, child);
	uint32_t place = FOLD_NOWHERE;

	if (result == 0)
		place = fold_landing(fold, piece.zone, piece.count, child->append_offset_bytes);
	if (result == 0 && place == FOLD_NOWHERE)
		result = -EIO;
	for (uint32_t i = 0; i < piece.count && result == 0; i++)
		fold_index_set(&fold->index, piece.block + i, place + i);
	if (result == 0)
		fold->counters.written_blocks += piece.count;
	fold_append_is_back(fold, piece.zone, result);
	end_part(fold, operation, result);
	fold_go_on(fold);
}

/** Appends as much of the operation as one child can; false when memory is out. */
static bool write_part(struct fold *fold, struct fold_operation *operation, uint32_t zone)
{
	const uint32_t room = fold->index.zone_blocks - fold->zones[zone].filled;
	const uint32_t count = (uint32_t)base_min(
		base_min(operation->count - operation->sent, room), fold->most_append);
	struct fold_piece *const piece = take_piece(fold);
	struct bdus_request *const child =
		piece != NULL ? bdus_filter_child(operation->request, operation->sent * FOLD_BLOCK,
						  count * FOLD_BLOCK, part_was_written)
			      : NULL;

	if (child == NULL) {
		if (piece != NULL)
			put_piece(fold, piece);
		return false;
	}
	*piece = (struct fold_piece){child, zone, operation->block + operation->sent, count,
				     operation->pieces};
	operation->pieces = piece;
	operation->pending++;
	operation->sent += count;
	child->op = BDUS_OP_ZONE_APPEND;
	child->offset_bytes = fold_zone_bytes(fold, zone);
	fold_append_begins(fold, zone, count);
	bdus_filter_send(child);
	return true;
}

/** The first in line has been sent, or fails. */
static void end_first_writer(struct fold *fold, int result)
{
	struct fold_operation *const operation = fold->writers;

	fold->writers = operation->next;
	if (fold->writers == NULL)
		fold->writers_end = &fold->writers;
	end_part(fold, operation, result);
}

/** Why there is no room: zones that cannot be written, or a commit that some wait for. */
static int reason(const struct fold *fold)
{
	if (fold->trouble != 0)
		return fold->trouble;
	return fold->checkpoint.failed != 0 ? fold->checkpoint.failed : -EIO;
}

/** No zone has room, and none will: too much is broken. There would be enough for all blocks. */
static void give_up(struct fold *fold)
{
	while (fold->writers != NULL)
		end_first_writer(fold, reason(fold));
}

void fold_writers_go_on(struct fold *fold)
{
	while (fold->writers != NULL) {
		struct fold_operation *const operation = fold->writers;
		uint32_t zone;

		if (operation->sent == operation->count || operation->result < 0) {
			end_first_writer(fold, 0);
			continue;
		}
		zone = fold_target(fold, FOLD_WRITTEN);
		if (zone == FOLD_NOBODY)
			break;
		if (!write_part(fold, operation, zone))
			end_first_writer(fold, -ENOMEM);
	}
	if (fold->writers != NULL && !fold->go_again && !fold_space_is_coming(fold) &&
	    !fold->checkpoint.wanted)
		give_up(fold);
}

/** What failed before may succeed now: it is tried once for each write. */
static void forget_trouble(struct fold *fold)
{
	fold->trouble = 0;
	fold->checkpoint.failed = 0;
	for (uint32_t i = 0; i < fold->index.zones; i++)
		fold->zones[i].unreadable = false;
}

void fold_write(struct fold *fold, struct bdus_request *request)
{
	struct fold_operation *const operation = take_operation(fold, request);

	if (operation == NULL)
		return;
	*fold->writers_end = operation;
	fold->writers_end = &operation->next;
	if (fold->trouble != 0 || fold->checkpoint.failed != 0)
		forget_trouble(fold);
	fold_go_on(fold);
}

/* ---- the rest -------------------------------------------------------------------------------- */

void fold_unmap(struct fold *fold, struct bdus_request *request)
{
	const uint32_t first = (uint32_t)(request->offset_bytes / FOLD_BLOCK);
	const uint32_t count = (uint32_t)(request->length_bytes / FOLD_BLOCK);

	for (uint32_t i = 0; i < count; i++)
		fold_index_set(&fold->index, first + i, FOLD_NOWHERE);
	bdus_complete(request, 0);
	fold_go_on(fold);
}

void fold_tell_extents(struct fold *fold, struct bdus_request *request)
{
	const uint32_t first = (uint32_t)(request->offset_bytes / FOLD_BLOCK);
	const uint32_t count = (uint32_t)(request->length_bytes / FOLD_BLOCK);
	uint32_t done = 0;

	request->extent_count = 0;
	while (done < count && request->extent_count < request->extent_capacity) {
		const bool hole = fold->index.places[first + done] == FOLD_NOWHERE;
		uint32_t length = 1;

		while (done + length < count &&
		       (fold->index.places[first + done + length] == FOLD_NOWHERE) == hole)
			length++;
		request->extents[request->extent_count++] = (struct bdus_extent){
			.length_bytes = length * FOLD_BLOCK,
			.flags = hole ? BDUS_EXTENT_HOLE | BDUS_EXTENT_ZERO : 0,
		};
		done += length;
	}
	bdus_complete(request, 0);
}
