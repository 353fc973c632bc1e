/* SPDX-License-Identifier: MIT */
/*
 * From a choice to what the allocators of this process do.
 */
#include "choice.h"
#include "metalloc_internal.h"

void choice_follow(const struct choice *choice)
{
	const struct metalloc_allocator *const allocators[CHOICE_WAYS] = {
		NULL, &metalloc_bump, &metalloc_lists, &metalloc_handover, &metalloc_bitmap,
	};

	metalloc_policy.hardened = (choice->flags & CHOICE_HARDENED) != 0;
	metalloc_policy.huge = (choice->flags & CHOICE_HUGE) != 0;
	metalloc_policy.keep_bytes = base_max(metalloc_policy.keep_bytes, choice->keep_bytes);
	if (choice->flags & CHOICE_LARGE)
		metalloc_policy.large_bytes = choice->keep_bytes + choice->keep_bytes / 4;
	metalloc_policy.huge_large = (choice->flags & CHOICE_LARGE_HUGE) != 0;
	metalloc_policy.expected_bytes = choice->expected_bytes;
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		const unsigned way = choice->ways[i] & ~CHOICE_WHOLE;

		metalloc_policy.whole[i] = (choice->ways[i] & CHOICE_WHOLE) != 0;
		metalloc_policy.allocators[i] =
			metalloc_policy.hardened ? &metalloc_bitmap : allocators[way];
	}
	/* The loader has allocated a little by now. */
	if (metalloc_thread.heap != NULL)
		heap_follow_policy(metalloc_thread.heap);
}
