/* SPDX-License-Identifier: MIT */
/*
 * Random calls of the whole family against a model: a table of live blocks, each filled with its
 * own pattern. A block that overlaps another one, moves its contents, is not aligned or too small
 * is found when its pattern is looked at.
 *
 * usage: metalloc-model WAY [SEED [STEPS]]
 */
#include "entry.h"
#include "ways.h"

#define SLOTS 4000u

struct slot {
	unsigned char *block;
	size_t bytes;
	unsigned char pattern;
};

static struct slot slots[SLOTS];
static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/** Mostly small; each magnitude has its share. */
static size_t random_size(void)
{
	const uint64_t kind = next_random() % 1000;

	if (kind < 700)
		return next_random() % 300;
	if (kind < 930)
		return next_random() % 5000;
	if (kind < 990)
		return next_random() % 60000;
	return kind < 998 ? next_random() % 600000 : next_random() % 9000000;
}

/** Large blocks are looked at in places. */
static size_t step_in(size_t bytes)
{
	return bytes < 4096 ? 1 : bytes / 512 | 1;
}

static void fill(struct slot *slot, unsigned char *block, size_t bytes)
{
	*slot = (struct slot){block, bytes, (unsigned char)next_random()};
	for (size_t i = 0; i < bytes; i += step_in(bytes))
		block[i] = slot->pattern;
	if (bytes != 0)
		block[bytes - 1] = slot->pattern;
}

static void check(const struct slot *slot)
{
	const size_t bytes = slot->bytes;

	CHECK(ENTRY(malloc_usable_size)(slot->block) >= bytes);
	for (size_t i = 0; i < bytes; i += step_in(bytes))
		CHECK(slot->block[i] == slot->pattern);
	CHECK(bytes == 0 || slot->block[bytes - 1] == slot->pattern);
}

static void allocate(struct slot *slot)
{
	const size_t bytes = random_size();
	size_t alignment = 16;
	unsigned char *block;

	switch (next_random() % 8) {
	case 0:
		alignment <<= next_random() % 14;
		block = ENTRY(memalign)(alignment, bytes);
		break;
	case 1:
		block = ENTRY(calloc)(1, bytes);
		for (size_t i = 0; block != NULL && i < bytes; i++)
			CHECK(block[i] == 0);
		break;
	default:
		block = ENTRY(malloc)(bytes);
	}
	CHECK(block != NULL && (uintptr_t)block % alignment == 0);
	fill(slot, block, bytes);
}

static void resize(struct slot *slot)
{
	const struct slot old = *slot;
	const size_t bytes = random_size() + 1, kept = base_min(bytes, old.bytes);
	unsigned char *const block = ENTRY(realloc)(old.block, bytes);

	CHECK(block != NULL);
	for (size_t i = 0; i < kept; i += step_in(old.bytes))
		CHECK(block[i] == old.pattern);
	fill(slot, block, bytes);
}

static void step(void)
{
	struct slot *const slot = &slots[next_random() % SLOTS];

	if (slot->block == NULL) {
		allocate(slot);
		return;
	}
	check(slot);
	if (next_random() % 5 == 0) {
		resize(slot);
		return;
	}
	ENTRY(free)(slot->block);
	slot->block = NULL;
}

int main(int count, char **arguments)
{
	unsigned steps = 300000;

	CHECK(count > 1);
	choose_way(arguments[1]);
	random_state = count > 2 ? strtoull(arguments[2], NULL, 10) : 20261122;
	if (count > 3)
		steps = (unsigned)strtoul(arguments[3], NULL, 10);
	for (unsigned i = 0; i < steps; i++) {
		step();
		if (i % 50000 == 49999)
			metalloc_trim();
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i].block != NULL) {
			check(&slots[i]);
			ENTRY(free)(slots[i].block);
		}
	return 0;
}
