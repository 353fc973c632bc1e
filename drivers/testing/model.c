/* SPDX-License-Identifier: MIT */
/*
 * Plays random requests on a driver and on an array of bytes.
 */
#include "model.h"

#include "base/bits.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LONGEST_BLOCKS = 300,
	MOST_EXTENTS = 32,
	/* A payload begins at a page, or some blocks behind one, as pieces of a request do. */
	PAYLOAD_SLACK = 8,
};

struct model {
	const struct opened *opened;
	uint64_t start;
	uint64_t length;
	uint32_t block;
	uint64_t random;
	unsigned char *content;
	unsigned char *payload_memory;
	struct model_result result;
};

/* One request, chosen at random. */
struct step {
	uint64_t offset;
	uint64_t length;
	unsigned flags;
	unsigned char *payload;
};

uint64_t model_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t pick(struct model *model, uint64_t below)
{
	return model_random(&model->random) % below;
}

__attribute__((format(printf, 2, 3))) static bool complain(struct model *model, const char *format,
							   ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(model->result.complaint, sizeof(model->result.complaint), format, arguments);
	va_end(arguments);
	return false;
}

static int request(struct model *model, enum bdus_op op, const struct step *step)
{
	return double_request(model->opened, op, step->flags, model->start + step->offset,
			      step->length, step->payload);
}

/* ---- one function for each operation; each returns whether the driver was right -------------- */

static bool play_read(struct model *model, const struct step *step)
{
	memset(step->payload, 0xee, step->length);
	const int result = request(model, BDUS_OP_READ, step);
	if (result != 0)
		return complain(model, "read gave %d", result);
	if (memcmp(step->payload, model->content + step->offset, step->length) == 0)
		return true;
	for (uint64_t i = 0; i < step->length; i++)
		if (step->payload[i] != model->content[step->offset + i])
			return complain(model, "byte %llu reads as 0x%02x, not 0x%02x",
					(unsigned long long)(step->offset + i), step->payload[i],
					model->content[step->offset + i]);
	return false;
}

static bool play_write(struct model *model, const struct step *step)
{
	for (uint64_t i = 0; i < step->length; i += sizeof(uint64_t)) {
		const uint64_t value = model_random(&model->random);
		memcpy(step->payload + i, &value, sizeof(value));
	}
	memcpy(model->content + step->offset, step->payload, step->length);
	const int result = request(model, BDUS_OP_WRITE, step);
	return result == 0 || complain(model, "write gave %d", result);
}

static bool play_write_zeros(struct model *model, const struct step *step)
{
	const int result = request(model, BDUS_OP_WRITE_ZEROS, step);

	if (result == -EOPNOTSUPP && (step->flags & BDUS_REQUEST_FAST_ONLY))
		return true;
	memset(model->content + step->offset, 0, step->length);
	return result == 0 || complain(model, "write zeros gave %d", result);
}

/* What was discarded reads as before or as zeros, block by block; the model takes that over. */
static bool play_discard(struct model *model, const struct step *step)
{
	static const unsigned char zeros[4096];
	const int result = request(model, BDUS_OP_DISCARD, step);

	if (result != 0 && result != -EOPNOTSUPP)
		return complain(model, "discard gave %d", result);
	if (request(model, BDUS_OP_READ, step) != 0)
		return complain(model, "read after discard failed");
	for (uint64_t i = 0; i < step->length; i += model->block) {
		unsigned char *const before = model->content + step->offset + i;
		const bool is_zero = memcmp(step->payload + i, zeros, model->block) == 0;
		if (!is_zero && memcmp(step->payload + i, before, model->block) != 0)
			return complain(model, "discarded byte %llu reads as something new",
					(unsigned long long)(step->offset + i));
		memcpy(before, step->payload + i, model->block);
	}
	return true;
}

static bool is_all_zeros(const unsigned char *bytes, uint64_t length)
{
	return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

static bool check_extent(struct model *model, uint64_t offset, const struct bdus_extent *extent)
{
	const uint64_t known = base_min(extent->length_bytes, model->length - offset);

	if (extent->length_bytes == 0 || extent->length_bytes % model->block != 0)
		return complain(model, "extent at %llu is %llu bytes long",
				(unsigned long long)offset,
				(unsigned long long)extent->length_bytes);
	if ((extent->flags & BDUS_EXTENT_ZERO) && !is_all_zeros(model->content + offset, known))
		return complain(model, "extent of %llu bytes at %llu is not zeros",
				(unsigned long long)extent->length_bytes,
				(unsigned long long)offset);
	return true;
}

static bool play_extents(struct model *model, const struct step *step)
{
	struct bdus_extent extents[MOST_EXTENTS];
	const uint32_t capacity = (uint32_t)pick(model, MOST_EXTENTS) + 1;
	const int count = double_extents(model->opened, model->start + step->offset, step->length,
					 extents, capacity);
	uint64_t at = step->offset;

	if (count == -EOPNOTSUPP)
		return true;
	if (count < 1 || (uint32_t)count > capacity)
		return complain(model, "extents gave %d of %u", count, capacity);
	for (int i = 0; i < count; i++) {
		if (at >= step->offset + step->length)
			return complain(model, "extent %d lies behind the range", i);
		if (!check_extent(model, at, &extents[i]))
			return false;
		at += extents[i].length_bytes;
	}
	if (model->start + at > model->opened->attrs.size_bytes)
		return complain(model, "extents reach past the device");
	return true;
}

static bool play_flush(struct model *model)
{
	const int result = double_request(model->opened, BDUS_OP_FLUSH, 0, 0, 0, NULL);

	return result == 0 || result == -EOPNOTSUPP || complain(model, "flush gave %d", result);
}

/* ---- the game ------------------------------------------------------------------------------ */

static struct step choose_step(struct model *model)
{
	const uint64_t blocks = model->length / model->block;
	const uint64_t first = pick(model, blocks);
	/* Short ones are likelier, and meet the edges of pages and file system blocks more often.
	 */
	const uint64_t most = base_min(pick(model, 2) ? 12 : LONGEST_BLOCKS, blocks - first);
	const uint64_t slack = pick(model, 2) ? pick(model, PAYLOAD_SLACK) : 0;

	return (struct step){
		.offset = first * model->block,
		.length = (pick(model, most) + 1) * model->block,
		.payload = model->payload_memory + slack * model->block,
	};
}

static unsigned choose_flags(struct model *model)
{
	return (unsigned)pick(model, 8) &
	       (BDUS_REQUEST_FUA | BDUS_REQUEST_MAY_UNMAP | BDUS_REQUEST_FAST_ONLY);
}

static bool play_step(struct model *model)
{
	struct step step = choose_step(model);
	const uint64_t dice = pick(model, 100);

	if (dice < 35) {
		step.flags = pick(model, 2) == 0 ? BDUS_REQUEST_MAY_LEND : 0;
		return play_read(model, &step);
	}
	if (dice < 70) {
		step.flags = pick(model, 8) == 0 ? BDUS_REQUEST_FUA : 0;
		return play_write(model, &step);
	}
	if (dice < 82) {
		step.flags = choose_flags(model);
		return play_write_zeros(model, &step);
	}
	if (dice < 90)
		return play_discard(model, &step);
	if (dice < 98)
		return play_extents(model, &step);
	return play_flush(model);
}

static bool check_everything(struct model *model)
{
	for (uint64_t done = 0; done < model->length;) {
		struct step step = {.offset = done, .payload = model->payload_memory};
		step.length = base_min(model->length - done, LONGEST_BLOCKS * model->block);
		if (!play_read(model, &step))
			return false;
		done += step.length;
	}
	return true;
}

struct model_result model_play(const struct opened *opened, uint64_t start, uint64_t length,
			       uint32_t block, uint64_t seed, unsigned count)
{
	struct model model = {
		.opened = opened, .start = start, .length = length, .block = block, .random = seed};
	unsigned played = 0;

	model.content = calloc(1, length);
	if (model.content == NULL ||
	    posix_memalign((void **)&model.payload_memory, 4096,
			   (LONGEST_BLOCKS + PAYLOAD_SLACK) * (size_t)block) != 0)
		abort();
	while (played < count && model.result.failed_at == 0) {
		played++;
		if (!play_step(&model))
			model.result.failed_at = played;
	}
	if (model.result.failed_at == 0 && !check_everything(&model))
		model.result.failed_at = played + 1;
	free(model.payload_memory);
	free(model.content);
	return model.result;
}
