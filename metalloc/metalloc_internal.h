/* SPDX-License-Identifier: MIT */
/*
 * What the files of metalloc share.
 *
 * Memory is handed out in units of 64 KiB (units.c). A unit, or a run of units, that holds blocks
 * is a group and begins with a struct group, which every block finds by masking its address: a
 * block never begins at a multiple of 64 KiB unless its group is the unit before.
 *
 *	thread ── lists[class] ──▶ block ─▶ block        what malloc() pops and free() pushes
 *	   │                         │ settled, now and then
 *	   │                         ▼
 *	   └────▶ heap ── classes[class].groups ──▶ group ── free ──▶ block
 *	            └──── remote ◀── blocks that the lists of other threads had
 *
 * A thread's list takes what the thread releases, whichever heap it belongs to. When enough has
 * been released, the list is settled (lists.c): what it has too much of goes to its groups, which
 * know by that when they are empty, or to the heaps that it belongs to.
 *
 * Who may touch what:
 * - `metalloc_thread` and everything in a heap but `remote`: the thread that has the heap. A heap
 *   outlives its thread, and is then idle until another thread adopts it (thread.c). Idle heaps
 *   belong to whoever holds the heaps' lock.
 * - `heap->remote`: everybody, atomically.
 * - `group->heap`: written by the thread that has the new heap; read by everybody. Who finds an
 *   old heap there hands the block to that one, which passes it on.
 * - `group->free` and what goes with it: the thread that has the group's heap.
 * - the other members of a group do not change while it has blocks, but for what is said there.
 * - units, and big and direct blocks that are not in use: who holds the units' lock.
 * Lock order: heaps, units. Nothing is called with the units' lock held.
 */
#ifndef METALLOC_INTERNAL_H
#define METALLOC_INTERNAL_H

#include "classes.h"
#include "lock.h"
#include "platform.h"
#include <metalloc.h>

#include "base/bits.h"

#include <stdatomic.h>
#include <stdbool.h>

#define UNIT_BYTES   ((size_t)METALLOC_GROUP_BYTES)
#define HEADER_BYTES 128u
/** What the kernel maps and protects; units are multiples of every processor's. */
#define PAGE_BYTES ((size_t)4096)
/** In a group of bump, before each block. */
#define TAG_BYTES 8u
/** What is in a block that is free. */
struct block {
	struct block *next;
};

/** A size class of a thread. `left` counts releases down until the list is settled. */
struct list {
	struct block *head;
	int64_t left;
};

struct heap;

/**
 * Everything of a thread; zero when it starts. lists[0] is always empty and never has any `left`:
 * blocks whose groups have it for their list are released by release_slowly().
 */
struct thread {
	struct list lists[CLASS_COUNT];
	struct heap *heap;
};

extern __thread struct thread metalloc_thread __attribute__((tls_model("initial-exec")));

/**
 * The head of a group, in its first HEADER_BYTES. Heads lie 64 KiB apart and compete for the same
 * few places of a processor's cache: what malloc(), free() and settling look at is in 64 bytes.
 */
struct group {
	/** The list of each thread that takes the blocks: a distance from platform_thread(). */
	uintptr_t list;

	const struct metalloc_allocator *allocator;
	/** Changed only by the thread that has the new heap. */
	struct heap *_Atomic heap;
	/** For a user: bytes of one block. Big and direct blocks: bytes from `block` on. */
	size_t block_bytes;
	union {
		/** Big and direct blocks: where the block begins. */
		char *block;
		/** lists: the first of the free blocks that are in no list of a thread. */
		struct block *free;
	};
	/**
	 * Blocks handed out at least once, and of those the ones that are free and in no list of a
	 * thread; of bump, only in the midst of a sweep.
	 */
	uint32_t carved;
	uint32_t free_count;
	/** The next group of the same class and heap. */
	struct group *next;
	/** Number of units from this header on. */
	uint32_t units;
	uint8_t class;
	bool zeroed;

	/** The chunk that the units belong to. */
	uint32_t chunk;
	/** lists: the last of the free blocks, and the next group that has some. */
	struct block *free_last;
	struct group *next_with_free;
};

static_assert(offsetof(struct group, chunk) == 64, "what is looked at often is one cache line");
static_assert(sizeof(struct group) <= HEADER_BYTES, "a group's header has room");

/** A size class of a heap. */
struct heap_class {
	const struct metalloc_allocator *allocator;
	struct group *groups;
	/** bitmap: where a free block was found last. */
	struct group *cursor;
	/** Of the newest group: what was never handed out. */
	char *carve;
	char *carve_end;
	/** Blocks that bump handed out or took back: what promotes a class. */
	uint32_t bumped;
	/** Allocations that came to slow.c: of some, the life is measured. */
	uint32_t measured;
	/** Of bump, and in no list: for itself, or once the class was promoted, for those. */
	struct block *spare;
	/** The profile left this class on bump: it may take more before it is promoted. */
	bool patient;
	/** Groups that have free blocks, newest first. */
	struct group *with_free;
	/** What the list's `left` began with, and will the next time. */
	int64_t begun;
	int64_t period;
	/** Released until then, blocks of all groups that there are, and what the profile has. */
	uint64_t released;
	uint64_t carved;
	uint64_t reported;
};

/** In the last block of a batch of blocks of one class. */
struct batch {
	struct block *first;
	struct batch *older;
};

/** Foreign blocks on their way to their heap, in batches (handover.c). */
struct outgoing {
	struct heap *heap;
	struct block *head;
	struct block *tail;
	uint32_t count;
	uint32_t class;
};

#define OUTGOING_COUNT 4
#define RUNS_MOST      8u

struct heap {
	struct heap_class classes[CLASS_COUNT];
	/** What is left of the newest group of bump, and all of them. */
	char *bump;
	char *bump_end;
	struct group *bump_groups;
	/** Groups in all, after the last sweep, and the most at a sweep. */
	uint32_t groups;
	uint32_t groups_swept;
	uint32_t groups_most;
	struct outgoing outgoing[OUTGOING_COUNT];
	/** big: runs of up to RUNS_MOST units that were released, by their number. */
	struct group *runs[RUNS_MOST + 1];
	size_t runs_bytes;
	/** Of those, how many were allocated again, and are not in the profile yet. */
	uint32_t runs_again[RUNS_MOST + 1];
	struct heap *next_idle;
	struct heap *next;
	/** A cache line that other threads write. */
	_Alignas(64) struct batch *_Atomic remote;
};

static inline struct group *group_of(const void *block)
{
	return (struct group *)(((uintptr_t)block - 1) & ~(uintptr_t)(UNIT_BYTES - 1));
}

/** Where the list of a class is in every thread. */
static inline uintptr_t list_distance(unsigned class)
{
	return platform_own(class * sizeof(struct list));
}

static inline void list_push(struct list *list, void *block)
{
	struct block *const pushed = block;

	pushed->next = list->head;
	list->head = pushed;
}

static inline void *list_pop(struct list *list)
{
	struct block *const popped = list->head;

	list->head = popped->next;
	return popped;
}

/* ---- thread.c: heaps ----------------------------------------------------------------------- */

/** The calling thread's heap, made or adopted on its first call; NULL without memory. */
struct heap *heap_of_thread(void);
/** Serves each class as the policy has it from now on. */
void heap_follow_policy(struct heap *heap);
/** A group becomes the first of its class, or of bump. */
void heap_add_group(struct heap *heap, struct group *group, struct group **groups);
/** Takes over what other threads released, and what nobody has any more. */
void heap_collect(struct heap *heap);
/** Releases of a class so far. */
uint64_t heap_released(const struct heap *heap, unsigned class);
/** Makes the memory of one heap that has no thread this heap's. */
void heap_absorb_idle(struct heap *heap);
uint64_t heap_thread_count(void);

/* ---- sweep.c ------------------------------------------------------------------------------- */

/** Gives back groups of which every block is free, if the heap has grown enough for a look. */
void heap_sweep_if_grown(struct heap *heap);
void heap_sweep(struct heap *heap);

/* ---- slow.c: what malloc() and free() do when their lists do not help ------------------------ */

void *allocate_slowly(size_t size_bytes);
void *allocate_aligned(size_t alignment_bytes, size_t size_bytes);
void release_slowly(void *block);
size_t usable_bytes(const void *block);
/** Moves or stays, as realloc(); @block is not NULL and @size_bytes not 0. */
void *reallocate(void *block, size_t size_bytes);
/** Whether @block is known to be zero, as fresh memory is. Only right after it was allocated. */
bool is_zero(const void *block, size_t size_bytes);

/* ---- units.c ------------------------------------------------------------------------------- */

/** A run of units with its header filled in but for what its allocator does; NULL without memory.
 */
struct group *units_take(size_t units);
/** Has the pages of a new group at hand before they are touched, if so much is expected to be used.
 */
void units_prepare(struct group *group);
/** Tries to make a run longer where it is. */
bool units_extend(struct group *group, size_t units);
void units_give(struct group *group);
/** Lets go of memory that is free, but for @keep_bytes. */
void units_trim(size_t keep_bytes);
/** Unmaps chunks of which nothing is in use. */
void units_unmap(void);
/** Bytes in memory of all units that were written, which are *@written_bytes. */
uint64_t units_resident(uint64_t *written_bytes);
void units_usage(struct metalloc_usage *usage);
/** Accounts for memory that did not come from units. */
void units_count(int64_t mapped_bytes, int64_t used_bytes);
/** Memory for metalloc's own use, zero; it is never given back. */
void *units_for_ourselves(size_t size_bytes);
void units_before_fork(void);
void units_after_fork(void);

/** What the choice says of memory as a whole. Set before main(), and constant from then on. */
struct policy {
	/** Free memory of which this much, or an eighth of what is used, is not given back. */
	uint64_t keep_bytes;
	/** What will be needed: it is asked for at once, before anybody touches it. */
	uint64_t expected_bytes;
	/** What the largest blocks will need at a time, and whether of huge pages. */
	uint64_t large_bytes;
	bool huge_large;
	/** Whether to ask for huge pages for all else. */
	bool huge;
	/** Whether blocks are guarded, checked and kept for a while when they are released. */
	bool hardened;
	/** By class: the allocator to begin with; NULL: bump, until the class recurs. */
	const struct metalloc_allocator *allocators[CLASS_COUNT];
	/** By class, 0 for bump: groups fill up, so that their pages are asked for at once. */
	bool whole[CLASS_COUNT];
};

extern struct policy metalloc_policy;

/** Most units that one run has; more are pages.c's. */
#define UNITS_MOST 63u

/* ---- allocators ---------------------------------------------------------------------------- */

extern const struct metalloc_allocator metalloc_bump, metalloc_lists, metalloc_handover,
	metalloc_bitmap, metalloc_big, metalloc_pages;

/** bitmap.c: gives back groups of all classes in which nothing is allocated. */
void bitmap_give_empty(struct heap *heap);

/** bump.c: a block with an alignment other than of 16; @size_bytes is a class' size. */
void *bump_allocate_aligned(struct heap *heap, size_t size_bytes, size_t alignment_bytes);
/** Takes back a block of this thread's own heap. */
void bump_take_back(struct heap *heap, struct block *block);
/** One whose life is measured. */
void *bump_allocate_measured(struct heap *heap, unsigned class);

/* lists.c. */

/** How many releases of a class there are between two settlements, to begin with. */
int64_t lists_period(const struct heap_class *class, unsigned index);
/** Accounts for the releases since the last settlement. */
void lists_count(struct heap *heap, unsigned index);
/** Everything that the thread's lists have goes where it belongs. */
void lists_settle_all(struct heap *heap);
/** Gives back the groups of a class that are empty; whether there was one. */
void lists_give_empty(struct heap *heap, unsigned index);

/* handover.c. */

/** A block of any kind that is @to's, alone. */
void handover_one(struct heap *to, struct block *block);
/** A block of a class and of @to, released by the thread of @from: in a batch. */
void handover(struct heap *from, struct heap *to, struct block *block, unsigned class);
void handover_flush(struct heap *from);
/** What was handed over, and all older than that, goes to the lists of @heap's thread. */
void handover_take(struct heap *heap, struct batch *batch);

/** big.c and pages.c. @alignment_bytes is a power of two. */
void *big_allocate(size_t size_bytes, size_t alignment_bytes);
void *pages_allocate(size_t size_bytes, size_t alignment_bytes);
/** Gives back what a heap has at hand for big blocks. */
void big_let_go(struct heap *heap);
/** Has the profile know of all blocks. */
void big_flush(struct heap *heap);
/** In place, or for pages anywhere; NULL when that does not work. */
void *big_resize(void *block, size_t size_bytes);
void *pages_resize(void *block, size_t size_bytes);

/** pages.c: unmaps what is kept for later. */
void pages_let_go(void);
/** Bytes in memory of what is kept, which is *@written_bytes. */
uint64_t pages_resident(uint64_t *written_bytes);
void pages_before_fork(void);
void pages_after_fork(void);

/** registry.c: the allocator of that number, or name. */
const struct metalloc_allocator *registry_find(const char *name);

#endif
