/* SPDX-License-Identifier: MIT */
/*
 * From a profile to a choice. Nothing here has any effect on the process.
 */
#include "choice.h"
#include "text.h"

#include "base/bits.h"

/* A class that is asked for less often stays on bump. */
#define RECURRING_BLOCKS 64u
#define RECURRING_BYTES  16384u
/* One in so many blocks is released by another thread: then hand-over is by batches. */
#define FOREIGN_PART 16u
/* Blocks without a class that are allocated so often for each that is live are worth keeping. */
#define CHURN 4u
/* Doublings of METALLOC_MOST_BYTES from which on blocks are mapped, about, and when that matters.
 */
#define LARGE            7u
#define LARGE_FROM_BYTES (UINT64_C(16) << 20)
/* All that is ever carved is so many times the peak: classes take memory from one another. */
#define RECARVED      2u
#define MOST_KEPT     (UINT64_C(256) << 20)
#define MOST_EXPECTED (UINT64_C(64) << 30)

static const char names[CHOICE_WAYS][12] = {"open", "bump", "lists", "handover", "bitmap"};

const char *choice_way_name(unsigned way)
{
	return names[way & ~CHOICE_WHOLE];
}

int choice_way_named(const char *name)
{
	for (unsigned i = 0; i < CHOICE_WAYS; i++)
		if (text_equals(names[i], name))
			return (int)i;
	return -1;
}

/** FNV-1a. */
static uint64_t checksum(const struct choice *choice)
{
	const unsigned char *const bytes = (const unsigned char *)choice;
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < offsetof(struct choice, checksum); i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

void choice_seal(struct choice *choice)
{
	choice->magic = CHOICE_MAGIC;
	choice->bytes = sizeof(*choice);
	choice->checksum = checksum(choice);
}

bool choice_is_valid(const struct choice *choice)
{
	if (choice->magic != CHOICE_MAGIC || choice->bytes != sizeof(*choice) ||
	    choice->checksum != checksum(choice) ||
	    (choice->flags & ~(uint32_t)CHOICE_FLAGS) != 0 || choice->keep_bytes > MOST_KEPT ||
	    choice->expected_bytes > MOST_EXPECTED)
		return false;
	for (unsigned i = 0; i < sizeof(choice->ways); i++)
		if ((choice->ways[i] & ~CHOICE_WHOLE) >= CHOICE_WAYS)
			return false;
	return true;
}

static uint64_t seen(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static bool hands_over(const struct record *merged)
{
	uint64_t allocated = 0;

	for (unsigned i = 1; i < CLASS_COUNT; i++)
		allocated += seen(&merged->allocated[i]);
	return seen(&merged->foreign) > allocated / FOREIGN_PART && seen(&merged->foreign) > 1000;
}

static unsigned way_of(const struct record *merged, unsigned class, bool hand_over)
{
	const uint64_t blocks = seen(&merged->allocated[class]);
	const uint64_t carved_bytes = seen(&merged->carved[class]) * class_bytes(class);
	unsigned way;

	if (blocks == 0)
		return CHOICE_OPEN;
	if (blocks < RECURRING_BLOCKS && blocks * class_bytes(class) < RECURRING_BYTES)
		return CHOICE_BUMP;
	way = hand_over ? CHOICE_HANDOVER : CHOICE_LISTS;
	return carved_bytes >= UINT64_C(4) * METALLOC_GROUP_BYTES ? way | CHOICE_WHOLE : way;
}

/** What blocks without a class need at their peak, if they come and go; from doubling @first on. */
static uint64_t churned_from(const struct record *merged, unsigned first)
{
	uint64_t bytes = 0;

	for (unsigned i = first; i < RECORD_BIG; i++) {
		const int64_t peak =
			atomic_load_explicit(&merged->big_peak[i], memory_order_relaxed);

		if (peak > 0 && seen(&merged->big_allocated[i]) > CHURN * (uint64_t)peak)
			bytes +=
				(uint64_t)peak * ((METALLOC_MOST_BYTES + 1) * UINT64_C(3) / 2 << i);
	}
	return base_min(bytes, base_min(MOST_KEPT, seen(&merged->peak_bytes) / 4 * 3));
}

static uint64_t churned_bytes(const struct record *merged)
{
	return churned_from(merged, 0);
}

/**
 * Blocks of classes that were carved again and again, in memory that another class had before: it
 * would be given back and asked for in turn.
 */
static uint64_t recarved_bytes(const struct record *merged)
{
	const uint64_t peak = seen(&merged->peak_bytes);
	uint64_t bytes = 0;

	for (unsigned i = 1; i < CLASS_COUNT; i++)
		bytes += base_min(seen(&merged->carved[i]), MOST_EXPECTED / class_bytes(i)) *
			 class_bytes(i);
	return bytes / RECARVED < peak ? 0 : base_min(peak, MOST_KEPT);
}

static bool is_resident(const struct record *merged)
{
	const uint64_t peak = seen(&merged->peak_bytes);

	return peak >= CHOICE_HUGE_FROM_BYTES && seen(&merged->resident_bytes) >= peak / 8 * 7;
}

/**
 * Not for a program that allocates much and touches little of it, nor where most of it comes and
 * goes, as the kernel would fill huge pages with zeros each time.
 */
static bool wants_huge_pages(const struct record *merged)
{
	return is_resident(merged) && churned_bytes(merged) < seen(&merged->peak_bytes) / 4;
}

/** Most of what there is at the peak are blocks of megabytes that come and go. */
static bool churns_large(const struct record *merged)
{
	return churned_from(merged, LARGE) >= seen(&merged->peak_bytes) / 2 &&
	       seen(&merged->peak_bytes) >= LARGE_FROM_BYTES;
}

static uint64_t kept_bytes(const struct record *merged)
{
	if (churns_large(merged))
		return base_min(seen(&merged->peak_bytes), MOST_KEPT);
	return base_max(churned_bytes(merged), recarved_bytes(merged));
}

static uint32_t flags_of(const struct record *merged)
{
	uint32_t flags = wants_huge_pages(merged) ? CHOICE_HUGE : 0;

	if (churns_large(merged))
		flags |= CHOICE_LARGE | (is_resident(merged) ? CHOICE_LARGE_HUGE : 0);
	return flags;
}

void choice_make(const struct record *merged, struct choice *choice)
{
	const bool hand_over = hands_over(merged);

	*choice = (struct choice){
		.keep_bytes = kept_bytes(merged),
		.expected_bytes = base_min(seen(&merged->peak_bytes), MOST_EXPECTED),
		.flags = flags_of(merged),
	};
	if (seen(&merged->carved[0]) >= 2)
		choice->ways[0] = CHOICE_WHOLE;
	for (unsigned i = 1; i < CLASS_COUNT; i++)
		choice->ways[i] = (uint8_t)way_of(merged, i, hand_over);
	choice_seal(choice);
}
