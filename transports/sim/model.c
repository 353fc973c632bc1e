/* SPDX-License-Identifier: MIT */
/*
 * The model of a disk: see model.h for its rules.
 *
 * Each block has a short list of the writes whose content may be there, now (`live`) or after a
 * crash (all in the list). A write leaves the list when a later one has certainly replaced it on
 * both counts. While reads of a block are in flight nothing leaves its list, since they may still
 * return what was replaced after they began.
 */
#include "sim/model.h"

#include "base/bits.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define IN_FLIGHT    UINT64_MAX
#define CELL_ENTRIES 6
#define WORD_BYTES   sizeof(uint64_t)
#define STAMP_FACTOR UINT64_C(0x9e3779b97f4a7c15)
#define PLACE_FACTOR UINT64_C(0xc2b2ae3d27d4eb4f)

struct entry {
	uint64_t stamp;
	uint64_t issued;
	uint64_t done;
	bool certain;
	bool durable;
	/** A read that begins now may return it. */
	bool live;
};

struct cell {
	struct entry entries[CELL_ENTRIES];
	uint8_t count;
	/** More writes than the list can hold may survive a crash; the last of them ended then. */
	bool forgot;
	uint16_t readers;
	uint64_t forgot_done;
};

struct sim_model {
	struct cell *cells;
	uint64_t cell_count;
	uint32_t block_bytes;
	bool track_crashes;
	bool volatile_cache;
	/** What completed before this time is durable. */
	uint64_t flushed;
};

static void *map_shared(size_t bytes)
{
	void *const memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory != MAP_FAILED ? memory : NULL;
}

static size_t cells_bytes(const struct sim_model *model)
{
	return model->cell_count * sizeof(*model->cells);
}

struct sim_model *sim_model_create(uint64_t size_bytes, uint32_t block_bytes, bool track_crashes)
{
	struct sim_model *const model = map_shared(sizeof(*model));

	if (model == NULL)
		return NULL;
	model->block_bytes = block_bytes;
	model->cell_count = size_bytes / block_bytes;
	model->track_crashes = track_crashes;
	model->cells = map_shared(cells_bytes(model));
	if (model->cells == NULL) {
		munmap(model, sizeof(*model));
		return NULL;
	}
	for (uint64_t i = 0; i < model->cell_count; i++) {
		model->cells[i].count = 1;
		model->cells[i].entries[0] = (struct entry){
			.stamp = SIM_STAMP_ZERO, .certain = true, .durable = true, .live = true};
	}
	return model;
}

void sim_model_destroy(struct sim_model *model)
{
	if (model == NULL)
		return;
	munmap(model->cells, cells_bytes(model));
	munmap(model, sizeof(*model));
}

void sim_model_set_volatile_cache(struct sim_model *model, bool volatile_cache)
{
	model->volatile_cache = volatile_cache;
}

/* ---- patterns ------------------------------------------------------------------------------ */

/** The word of a write at word @place of the device is this plus place * PLACE_FACTOR. */
static uint64_t word_at(uint64_t stamp, uint64_t place)
{
	return stamp == SIM_STAMP_ZERO ? 0 : stamp * STAMP_FACTOR + place * PLACE_FACTOR;
}

/* Computing in a buffer of its own spares a sanitizer that counts every word of a payload. */
#define SCRATCH_WORDS 512
#define UNCOUNTED     __attribute__((no_sanitize("thread")))

static UNCOUNTED void compute_words(uint64_t *words, uint64_t count, uint64_t place, uint64_t stamp)
{
	const uint64_t first = word_at(stamp, place);
	const uint64_t step = stamp == SIM_STAMP_ZERO ? 0 : PLACE_FACTOR;

	for (uint64_t i = 0; i < count; i++)
		words[i] = first + i * step;
}

static UNCOUNTED bool computed_words_are(const uint64_t *words, uint64_t count, uint64_t place,
					 uint64_t stamp)
{
	const uint64_t first = word_at(stamp, place);
	const uint64_t step = stamp == SIM_STAMP_ZERO ? 0 : PLACE_FACTOR;
	uint64_t difference = 0;

	for (uint64_t i = 0; i < count; i++)
		difference |= words[i] ^ (first + i * step);
	return difference == 0;
}

static void fill_words(uint64_t *words, uint64_t count, uint64_t place, uint64_t stamp)
{
	uint64_t scratch[SCRATCH_WORDS];

	for (uint64_t done = 0; done < count; done += SCRATCH_WORDS) {
		const uint64_t some = base_min(count - done, SCRATCH_WORDS);

		compute_words(scratch, some, place + done, stamp);
		memcpy(words + done, scratch, some * WORD_BYTES);
	}
}

static bool words_are(const uint64_t *words, uint64_t count, uint64_t place, uint64_t stamp)
{
	uint64_t scratch[SCRATCH_WORDS];
	bool same = true;

	for (uint64_t done = 0; same && done < count; done += SCRATCH_WORDS) {
		const uint64_t some = base_min(count - done, SCRATCH_WORDS);

		memcpy(scratch, words + done, some * WORD_BYTES);
		same = computed_words_are(scratch, some, place + done, stamp);
	}
	return same;
}

void sim_model_fill(const struct sim_model *model, void *data, uint64_t offset_bytes,
		    uint64_t length_bytes, uint64_t stamp)
{
	(void)model;
	fill_words(data, length_bytes / WORD_BYTES, offset_bytes / WORD_BYTES, stamp);
}

bool sim_model_is_filled(const struct sim_model *model, const void *data, uint64_t offset_bytes,
			 uint64_t length_bytes, uint64_t stamp)
{
	(void)model;
	return words_are(data, length_bytes / WORD_BYTES, offset_bytes / WORD_BYTES, stamp);
}

/** The stamp that word @place would belong to: the inverse of word_at(). */
static uint64_t stamp_of(uint64_t word, uint64_t place)
{
	uint64_t inverse = STAMP_FACTOR;

	/* Newton's iteration doubles the number of right bits; an odd number is right in three. */
	for (unsigned i = 0; i < 5; i++)
		inverse *= 2 - STAMP_FACTOR * inverse;
	return (word - place * PLACE_FACTOR) * inverse;
}

/* ---- lists --------------------------------------------------------------------------------- */

static bool replaces(const struct entry *later, const struct entry *former)
{
	return later->certain && later->done != IN_FLIGHT && former->done != IN_FLIGHT &&
	       later->issued > former->done;
}

static bool is_durable(const struct sim_model *model, const struct entry *entry)
{
	return !model->volatile_cache || entry->durable || entry->done < model->flushed;
}

static bool is_replaced(const struct cell *cell, const struct entry *entry)
{
	for (unsigned i = 0; i < cell->count; i++) {
		if (replaces(&cell->entries[i], entry))
			return true;
	}
	return false;
}

/** Whether @entry cannot be there after a crash. */
static bool is_lost(const struct sim_model *model, const struct cell *cell,
		    const struct entry *entry)
{
	for (unsigned i = 0; i < cell->count; i++) {
		if (replaces(&cell->entries[i], entry) && is_durable(model, &cell->entries[i]))
			return true;
	}
	return false;
}

static void recall(const struct sim_model *model, struct cell *cell)
{
	for (unsigned i = 0; cell->forgot && i < cell->count; i++) {
		const struct entry *const entry = &cell->entries[i];

		if (entry->certain && entry->done != IN_FLIGHT &&
		    entry->issued > cell->forgot_done && is_durable(model, entry))
			cell->forgot = false;
	}
}

/** Drops what was certainly replaced. */
static void prune(const struct sim_model *model, struct cell *cell)
{
	bool keep[CELL_ENTRIES];
	unsigned kept = 0;

	if (cell->readers > 0)
		return;
	recall(model, cell);
	for (unsigned i = 0; i < cell->count; i++) {
		struct entry *const entry = &cell->entries[i];

		if (is_replaced(cell, entry))
			entry->live = false;
		keep[i] = entry->live || (model->track_crashes && !is_lost(model, cell, entry));
	}
	for (unsigned i = 0; i < cell->count; i++) {
		if (keep[i])
			cell->entries[kept++] = cell->entries[i];
	}
	cell->count = (uint8_t)kept;
}

/** Drops the first entry that only a crash could bring back; the crash may then bring anything. */
static bool forget_one(struct cell *cell)
{
	for (unsigned i = 0; i < cell->count; i++) {
		if (cell->entries[i].live)
			continue;
		cell->forgot = true;
		cell->forgot_done = base_max(cell->forgot_done, cell->entries[i].done);
		cell->count--;
		memmove(&cell->entries[i], &cell->entries[i + 1],
			(cell->count - i) * sizeof(struct entry));
		return true;
	}
	return false;
}

/** Gives up following a block of which nothing is in flight: it may hold anything from now on. */
static bool give_up(struct cell *cell)
{
	uint64_t done = 0;

	for (unsigned i = 0; i < cell->count; i++)
		done = base_max(done, cell->entries[i].done);
	if (done == IN_FLIGHT)
		return false;
	cell->entries[0] = (struct entry){.stamp = SIM_STAMP_ANY, .done = done, .live = true};
	cell->count = 1;
	return true;
}

static bool make_room(const struct sim_model *model, struct cell *cell)
{
	if (cell->count < CELL_ENTRIES)
		return true;
	if (cell->readers > 0)
		return false;
	prune(model, cell);
	return cell->count < CELL_ENTRIES || forget_one(cell) || give_up(cell);
}

static struct cell *first_cell(const struct sim_model *model, uint64_t offset_bytes)
{
	return &model->cells[offset_bytes / model->block_bytes];
}

bool sim_model_has_room(struct sim_model *model, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct cell *const cells = first_cell(model, offset_bytes);

	for (uint64_t i = 0; i < length_bytes / model->block_bytes; i++) {
		if (!make_room(model, &cells[i]))
			return false;
	}
	return true;
}

/* ---- writes -------------------------------------------------------------------------------- */

void sim_model_begin_write(struct sim_model *model, uint64_t offset_bytes, uint64_t length_bytes,
			   uint64_t stamp, uint64_t now)
{
	struct cell *const cells = first_cell(model, offset_bytes);

	for (uint64_t i = 0; i < length_bytes / model->block_bytes; i++) {
		assert(cells[i].count < CELL_ENTRIES);
		cells[i].entries[cells[i].count++] = (struct entry){
			.stamp = stamp, .issued = now, .done = IN_FLIGHT, .live = true};
	}
}

static struct entry *find_entry(struct cell *cell, uint64_t stamp, uint64_t issued)
{
	for (unsigned i = 0; i < cell->count; i++) {
		if (cell->entries[i].stamp == stamp && cell->entries[i].issued == issued)
			return &cell->entries[i];
	}
	return NULL;
}

/** Two uncertain writes of one content are as good as the later one. */
static void merge_uncertain(struct cell *cell, const struct entry *entry)
{
	for (unsigned i = 0; i < cell->count; i++) {
		struct entry *const other = &cell->entries[i];

		if (other == entry || other->stamp != entry->stamp || other->certain ||
		    other->done == IN_FLIGHT)
			continue;
		cell->count--;
		memmove(other, other + 1,
			(size_t)(&cell->entries[cell->count] - other) * sizeof(*other));
		return;
	}
}

static void end_write(const struct sim_model *model, struct cell *cell, uint64_t stamp,
		      const struct sim_write_end *end)
{
	struct entry *const entry = find_entry(cell, stamp, end->issued);

	assert(entry != NULL);
	entry->done = end->now;
	entry->certain = end->certain;
	entry->durable = end->durable;
	if (!end->certain)
		merge_uncertain(cell, entry);
	prune(model, cell);
}

void sim_model_end_write(struct sim_model *model, uint64_t offset_bytes, uint64_t length_bytes,
			 uint64_t stamp, const struct sim_write_end *end)
{
	struct cell *const cells = first_cell(model, offset_bytes);

	for (uint64_t i = 0; i < length_bytes / model->block_bytes; i++)
		end_write(model, &cells[i], stamp, end);
}

void sim_model_end_flush(struct sim_model *model, uint64_t issued)
{
	model->flushed = base_max(model->flushed, issued);
}

/* ---- reads --------------------------------------------------------------------------------- */

void sim_model_begin_read(struct sim_model *model, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct cell *const cells = first_cell(model, offset_bytes);

	for (uint64_t i = 0; i < length_bytes / model->block_bytes; i++) {
		prune(model, &cells[i]);
		cells[i].readers++;
	}
}

/** Whether a read that was issued at @issued and ends now may return @entry. */
static bool may_be_read(const struct cell *cell, const struct entry *entry, uint64_t issued)
{
	if (!entry->live)
		return false;
	for (unsigned i = 0; i < cell->count; i++) {
		const struct entry *const later = &cell->entries[i];

		if (replaces(later, entry) && later->done < issued)
			return false;
	}
	return true;
}

/** The bytes of @word, a bit for each, that are as @entry has them at @place. */
static unsigned matching_bytes(const struct entry *entry, uint64_t word, uint64_t place)
{
	const uint64_t right = word_at(entry->stamp, place);
	unsigned bytes = 0;

	for (unsigned i = 0; i < WORD_BYTES; i++)
		if (((word ^ right) >> (i * 8) & 0xff) == 0)
			bytes |= 1U << i;
	return bytes;
}

/**
 * Requests in flight at the same time may tear anywhere, as two threads copy at once; so each byte
 * has to be from one of the writes that may be read.
 */
static bool word_is_possible(const struct cell *cell, uint64_t word, uint64_t place,
			     uint64_t issued)
{
	unsigned bytes = 0;

	for (unsigned i = 0; i < cell->count; i++) {
		const struct entry *const entry = &cell->entries[i];

		if (!may_be_read(cell, entry, issued))
			continue;
		if (entry->stamp == SIM_STAMP_ANY)
			return true;
		bytes |= matching_bytes(entry, word, place);
	}
	return bytes == (1U << WORD_BYTES) - 1;
}

/** Knows better, now that all of the block read as @stamp while no write was on its way. */
static void settle(struct cell *cell, uint64_t stamp, uint64_t issued)
{
	if (cell->readers != 1)
		return;
	for (unsigned i = 0; i < cell->count; i++) {
		if (cell->entries[i].done >= issued)
			return;
	}
	for (unsigned i = 0; i < cell->count; i++) {
		if (cell->entries[i].stamp != stamp)
			cell->entries[i].live = false;
	}
}

static void describe_stamp(char *text, size_t bytes, uint64_t stamp)
{
	if (stamp == SIM_STAMP_ZERO)
		snprintf(text, bytes, "zeros");
	else
		snprintf(text, bytes, "write %llu of queue %llu",
			 (unsigned long long)(uint32_t)stamp,
			 (unsigned long long)(stamp >> 32 & 0xff));
}

static void describe_allowed(const struct cell *cell, uint64_t issued, char *text, size_t bytes)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < cell->count && used < bytes; i++) {
		char one[64];

		if (!may_be_read(cell, &cell->entries[i], issued))
			continue;
		describe_stamp(one, sizeof(one), cell->entries[i].stamp);
		used += (size_t)snprintf(text + used, bytes - used, "%s%s", used > 0 ? ", " : "",
					 one);
	}
}

static void explain(const struct cell *cell, uint64_t word, uint64_t place, uint64_t issued,
		    char *why, size_t why_bytes)
{
	char seen[64];
	char allowed[256];

	describe_stamp(seen, sizeof(seen), word == 0 ? SIM_STAMP_ZERO : stamp_of(word, place));
	describe_allowed(cell, issued, allowed, sizeof(allowed));
	snprintf(why, why_bytes,
		 "read 0x%016llx at byte %llu (as of %s, if of a write to this place); allowed: %s",
		 (unsigned long long)word, (unsigned long long)(place * WORD_BYTES), seen, allowed);
}

/** Whether the whole block is what one write left, which is then settled. */
static bool block_is_uniform(struct cell *cell, const uint64_t *words, uint64_t count,
			     uint64_t place, uint64_t issued)
{
	for (unsigned i = 0; i < cell->count; i++) {
		const struct entry *const entry = &cell->entries[i];

		if (!may_be_read(cell, entry, issued))
			continue;
		if (entry->stamp == SIM_STAMP_ANY)
			return true;
		if (words_are(words, count, place, entry->stamp)) {
			settle(cell, entry->stamp, issued);
			return true;
		}
	}
	return false;
}

static bool check_block(struct cell *cell, const uint64_t *words, uint64_t count, uint64_t place,
			uint64_t issued, char *why, size_t why_bytes)
{
	if (block_is_uniform(cell, words, count, place, issued))
		return true;
	for (uint64_t i = 0; i < count; i++) {
		if (!word_is_possible(cell, words[i], place + i, issued)) {
			explain(cell, words[i], place + i, issued, why, why_bytes);
			return false;
		}
	}
	return true;
}

bool sim_model_end_read(struct sim_model *model, uint64_t offset_bytes, uint64_t length_bytes,
			const void *data, uint64_t issued, char *why, size_t why_bytes)
{
	struct cell *const cells = first_cell(model, offset_bytes);
	const uint64_t words_per_block = model->block_bytes / WORD_BYTES;
	const uint64_t first_block = offset_bytes / model->block_bytes;
	const uint64_t *const words = data;
	bool right = true;

	for (uint64_t i = 0; i < length_bytes / model->block_bytes; i++) {
		if (words != NULL && right)
			right = check_block(&cells[i], words + i * words_per_block, words_per_block,
					    (first_block + i) * words_per_block, issued, why,
					    why_bytes);
		cells[i].readers--;
		prune(model, &cells[i]);
	}
	return right;
}

static bool may_be_zero(const struct cell *cell, uint64_t issued)
{
	for (unsigned i = 0; i < cell->count; i++) {
		const struct entry *const entry = &cell->entries[i];

		if ((entry->stamp == SIM_STAMP_ZERO || entry->stamp == SIM_STAMP_ANY) &&
		    may_be_read(cell, entry, issued))
			return true;
	}
	return false;
}

bool sim_model_find_nonzero(const struct sim_model *model, uint64_t offset_bytes,
			    uint64_t length_bytes, uint64_t issued, uint64_t *found_bytes)
{
	const struct cell *const cells = first_cell(model, offset_bytes);

	for (uint64_t i = 0; i < length_bytes / model->block_bytes; i++) {
		if (!may_be_zero(&cells[i], issued)) {
			*found_bytes = offset_bytes + i * model->block_bytes;
			return true;
		}
	}
	return false;
}

void sim_model_interrupt(struct sim_model *model, uint64_t now)
{
	for (uint64_t i = 0; i < model->cell_count; i++) {
		struct cell *const cell = &model->cells[i];

		cell->readers = 0;
		for (unsigned j = 0; j < cell->count; j++) {
			if (cell->entries[j].done == IN_FLIGHT)
				cell->entries[j].done = now;
		}
	}
}

/* ---- crashes ------------------------------------------------------------------------------- */

static void crash_cell(const struct sim_model *model, struct cell *cell, uint64_t now)
{
	assert(cell->readers == 0);
	prune(model, cell);
	if (cell->forgot) {
		cell->entries[0].stamp = SIM_STAMP_ANY;
		cell->count = 1;
		cell->forgot = false;
		cell->forgot_done = 0;
	}
	for (unsigned i = 0; i < cell->count; i++) {
		cell->entries[i].live = true;
		cell->entries[i].issued = 0;
		cell->entries[i].done = now;
		cell->entries[i].durable = true;
	}
}

void sim_model_crash(struct sim_model *model, uint64_t now)
{
	assert(model->track_crashes);
	for (uint64_t i = 0; i < model->cell_count; i++)
		crash_cell(model, &model->cells[i], now);
	model->flushed = now;
}
