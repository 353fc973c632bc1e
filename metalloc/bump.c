/* SPDX-License-Identifier: MIT */
/*
 * bump: every class in one group, one block after the other, each with a tag before it that says
 * how large it is. Nothing is denser or quicker to set up, which is what a short program needs, and
 * a class that is seldom asked for. Released blocks serve their class again. A class that recurs
 * moves to `lists`; this is also the cap for a class that was wrongly left here.
 */
#include "metalloc_internal.h"
#include "profile.h"

/* Of one class, in one thread: enough to say that it recurs. */
#define PROMOTE_BLOCKS 64u
#define PROMOTE_BYTES  16384u
/* A class that a profile leaves here may take this much before it moves after all. */
#define LEFT_HERE_BYTES (256u << 10)

/** Before each block: bytes, and the moment of its birth if it is one whose life is measured. */
struct tag {
	uint32_t bytes;
	uint32_t born;
};

static_assert(sizeof(struct tag) == TAG_BYTES, "blocks stay aligned");

static struct tag *tag_of(const void *block)
{
	return (struct tag *)((uintptr_t)block - TAG_BYTES);
}

static bool add_group(struct heap *heap)
{
	struct group *const group = units_take(1);

	if (group == NULL)
		return false;
	group->allocator = &metalloc_bump;
	heap_add_group(heap, group, &heap->bump_groups);
	profile_carved(0, 1);
	if (metalloc_policy.whole[0])
		units_prepare(group);
	heap->bump = (char *)group + HEADER_BYTES;
	heap->bump_end = (char *)group + UNIT_BYTES;
	return true;
}

void *bump_allocate_aligned(struct heap *heap, size_t size_bytes, size_t alignment_bytes)
{
	char *block;

	for (unsigned i = 0; i < 2; i++) {
		block = (char *)base_align_up((uintptr_t)heap->bump + TAG_BYTES, alignment_bytes);
		if (heap->bump != NULL && block + size_bytes <= heap->bump_end &&
		    block != heap->bump_end) {
			heap->bump = block + size_bytes;
			heap->bump_groups->carved++;
			*tag_of(block) = (struct tag){.bytes = (uint32_t)size_bytes};
			return block;
		}
		if (i == 0 && !add_group(heap))
			break;
	}
	return NULL;
}

static bool recurs(const struct heap_class *class, size_t bytes)
{
	if (class->patient)
		return class->bumped * bytes >= LEFT_HERE_BYTES;
	return class->bumped >= PROMOTE_BLOCKS || class->bumped * bytes >= PROMOTE_BYTES;
}

/** One more block of the class came or went. */
static void count_one(struct heap_class *class, unsigned index)
{
	class->bumped++;
	if (class->allocator == &metalloc_bump && recurs(class, class_bytes(index))) {
		class->allocator = &metalloc_lists;
		profile_carved(index, class->bumped);
	}
}

/** A block that bump had before, or a new one. */
static void *take(struct heap *heap, unsigned index)
{
	struct heap_class *const class = &heap->classes[index];
	struct block *const spare = class->spare;

	count_one(class, index);
	if (spare != NULL) {
		class->spare = spare->next;
		return spare;
	}
	class->carved++;
	return bump_allocate_aligned(heap, class_bytes(index), CLASS_STEP_BYTES);
}

static void *bump_allocate(const struct metalloc_allocator *self, size_t size_bytes)
{
	(void)self;
	return take(metalloc_thread.heap, class_of_size(size_bytes));
}

void *bump_allocate_measured(struct heap *heap, unsigned index)
{
	void *const block = take(heap, index);

	if (block != NULL)
		tag_of(block)->born = (uint32_t)heap_released(heap, index) | 1;
	return block;
}

/** What was measured tells how many releases of its class it outlived. */
static void note_life(const struct heap *heap, unsigned class, struct tag *tag)
{
	const uint32_t released = (uint32_t)heap_released(heap, class);

	profile_life(released < tag->born ? 0 : released - tag->born);
	tag->born = 0;
}

/** Blocks of a class that was promoted do not come back into its list, as each would come here
 * again. */
void bump_take_back(struct heap *heap, struct block *block)
{
	struct tag *const tag = tag_of(block);
	const unsigned index = class_of_size(tag->bytes);
	struct heap_class *const class = &heap->classes[index];

	if (base_unlikely(tag->born != 0))
		note_life(heap, index, tag);
	count_one(class, index);
	metalloc_thread.lists[index].left--;
	if (class->allocator == &metalloc_bump) {
		list_push(&metalloc_thread.lists[index], block);
		return;
	}
	block->next = class->spare;
	class->spare = block;
}

static void bump_release(const struct metalloc_allocator *self, void *block)
{
	struct heap *const heap = group_of(block)->heap;

	(void)self;
	if (heap == metalloc_thread.heap)
		bump_take_back(heap, block);
	else
		handover_one(heap, block);
}

static size_t bump_usable(const struct metalloc_allocator *self, const void *block)
{
	(void)self;
	return tag_of(block)->bytes;
}

const struct metalloc_allocator metalloc_bump = {
	.name = "bump",
	.least_bytes = 0,
	.most_bytes = METALLOC_MOST_BYTES,
	.alignment_bytes = CLASS_STEP_BYTES,
	.flags = METALLOC_NO_REUSE | METALLOC_SINGLE_THREAD,
	.allocate = bump_allocate,
	.release = bump_release,
	.usable = bump_usable,
};
