/* SPDX-License-Identifier: MIT */
/*
 * metalloc explain: why a program is served as it is, in sentences, and what it allocates when, in
 * a picture.
 */
#include "command.h"

#include <inttypes.h>
#include <stdio.h>

/** Darker means more: each step is eight times as many allocations. */
static const char shades[] = " .:-=+*#%@";

static uint64_t total(const _Atomic uint64_t *counts, unsigned count)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += counts[i];
	return sum;
}

static unsigned count_ways(const struct choice *choice, unsigned way)
{
	unsigned count = 0;

	for (unsigned i = 1; i < CLASS_COUNT; i++)
		count += (choice->ways[i] & ~CHOICE_WHOLE) == way;
	return count;
}

static void explain_profile(const struct store_head *head, const struct record *merged)
{
	const uint64_t blocks = total(merged->allocated, CLASS_COUNT);
	uint64_t carved = 0;
	char peak[32];

	for (unsigned i = 1; i < CLASS_COUNT; i++)
		carved += merged->carved[i];
	printf("%s was recorded %" PRIu32 " times. It allocates about %" PRIu64
	       " blocks and uses %s at its peak.\n",
	       head->name, head->runs, blocks, bytes_text(merged->peak_bytes, peak));
	if (carved != 0)
		printf("A block of memory is used for %.1f allocations on average.\n",
		       (double)blocks / (double)carved);
	printf("It has %" PRIu64 " thread%s that allocate; %" PRIu64
	       " blocks are released by another thread than the one that allocated them.\n",
	       merged->threads, merged->threads == 1 ? "" : "s", merged->foreign);
	if (head->stable >= STORE_CONVERGED)
		printf("The choice has not changed for %" PRIu32
		       " executions, so that only one in %u is still recorded.\n",
		       head->stable, STORE_SAMPLED);
}

static void explain_choice(const struct choice *choice)
{
	char text[32];

	if (count_ways(choice, CHOICE_LISTS) != 0)
		printf("%u size classes are asked for again and again by the same thread: they are "
		       "served by lists from the start.\n",
		       count_ways(choice, CHOICE_LISTS));
	if (count_ways(choice, CHOICE_HANDOVER) != 0)
		printf("%u size classes are served by lists, and blocks go back to their threads "
		       "in "
		       "batches, since many are released by another thread.\n",
		       count_ways(choice, CHOICE_HANDOVER));
	if (count_ways(choice, CHOICE_BUMP) != 0)
		printf("%u size classes are seldom asked for: they stay on bump, which needs the "
		       "least memory.\n",
		       count_ways(choice, CHOICE_BUMP));
	printf("%u size classes were never seen: they begin on bump, and move to lists when they "
	       "recur.\n",
	       count_ways(choice, CHOICE_OPEN));
	if (count_ways(choice, CHOICE_BITMAP) != 0)
		printf("%u size classes are served by bitmap.\n",
		       count_ways(choice, CHOICE_BITMAP));
	if (choice->flags & CHOICE_HUGE)
		printf("The peak is large enough for huge pages, which are asked for.\n");
	else if (choice->expected_bytes != 0)
		printf("Pages of groups that fill up are asked for at once, up to %s in all.\n",
		       bytes_text(choice->expected_bytes, text));
	if (choice->flags & CHOICE_LARGE)
		printf("Blocks of megabytes come and go: they are cut from one place of %s%s.\n",
		       bytes_text(choice->keep_bytes + choice->keep_bytes / 4, text),
		       choice->flags & CHOICE_LARGE_HUGE ? " in huge pages" : "");
	else if (choice->keep_bytes != 0)
		printf("Large blocks come and go: %s of free memory are kept for the next ones.\n",
		       bytes_text(choice->keep_bytes, text));
	if (choice->flags & CHOICE_HARDENED)
		printf("Blocks are guarded, checked, and kept in quarantine.\n");
}

static void explain_lives(const struct record *merged)
{
	uint64_t measured = 0, shortest = 0;

	for (unsigned i = 0; i < RECORD_LIVES; i++) {
		measured += merged->lives[i];
		shortest += i < 3 ? merged->lives[i] : 0;
	}
	if (measured != 0)
		printf("Of the blocks whose life was measured, %u %% were released before 16 "
		       "others "
		       "of their class.\n",
		       (unsigned)(shortest * 100 / measured));
}

static char shade(uint32_t allocations)
{
	unsigned index = 0;

	for (; allocations != 0 && index < sizeof(shades) - 2; allocations /= 8)
		index++;
	return shades[index];
}

static void draw(const struct record *merged)
{
	printf("\nAllocations by size over the last recorded execution, %.0f ms a column:\n\n",
	       (double)merged->epoch_ns / 1e6);
	for (unsigned band = RECORD_BANDS; band-- > 0;) {
		bool any = false;

		for (unsigned epoch = 0; epoch < RECORD_EPOCHS; epoch++)
			any |= merged->epochs[epoch][band] != 0;
		if (!any)
			continue;
		printf("%8u |", 16u << band);
		for (unsigned epoch = 0; epoch < RECORD_EPOCHS; epoch++) {
			const char dot = shade(merged->epochs[epoch][band]);

			printf("%c%c", dot, dot);
		}
		printf("|\n");
	}
	printf("   bytes +");
	for (unsigned epoch = 0; epoch < RECORD_EPOCHS; epoch++)
		printf("--");
	printf("> time      each step of \"%s\" is 8 times as many\n", shades + 1);
}

int command_explain(int count, char *words[])
{
	char path[STORE_PATH];
	struct store store;

	if (count < 1 || count > 2)
		return EXIT_USAGE;
	if (find_profile(words[0], count > 1 ? words[1] : NULL, path, &store) != 0)
		return 1;
	explain_profile(&store.pages[0].head, &store.pages[1].record);
	explain_lives(&store.pages[1].record);
	explain_choice(&store.pages[0].head.choice);
	if (store.pages[1].record.epoch_ns != 0)
		draw(&store.pages[1].record);
	return 0;
}
