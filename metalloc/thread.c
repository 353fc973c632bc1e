/* SPDX-License-Identifier: MIT */
/*
 * Heaps and the threads that have them.
 *
 *	heap_of_thread()            leave()                  adopt()
 *	  new ──▶ has a thread ──────────▶ idle ─────────────────▶ has a thread
 *	                 ▲                   │ absorb(), by a heap that grows
 *	                 └───── adopt() ──── idle, empty
 *
 * A heap is never freed: others may be about to return blocks to it. The first heap is the first
 * thread's and costs nothing to make. A second thread's first allocation is where this process
 *learns that it has threads, and prepares for their end and for forks.
 *
 * A fork copies the heaps of threads that the child does not have, in whatever state they were. The
 * child leaves them alone: they keep their thread, which never runs.
 */
#include "metalloc_internal.h"
#include "profile.h"

#include <pthread.h>
#include <string.h>

__thread struct thread metalloc_thread __attribute__((tls_model("initial-exec")));

static struct heap first_heap;

static struct {
	struct lock lock;
	struct heap *all;
	/** Without a thread, and of those the ones without groups. */
	struct heap *idle;
	struct heap *empty;
	uint64_t threads;
} heaps;

/** What a process with more than one thread needs. The lock is taken with no other. */
static struct {
	struct lock lock;
	bool ready;
	pthread_key_t key;
} ends;

static void set_heap(struct group *groups, struct heap *heap)
{
	for (struct group *group = groups; group != NULL; group = group->next)
		atomic_store_explicit(&group->heap, heap, memory_order_relaxed);
}

static struct heap *take(struct heap **from)
{
	struct heap *const heap = *from;

	if (heap != NULL)
		*from = heap->next_idle;
	return heap;
}

static void put(struct heap **to, struct heap *heap)
{
	heap->next_idle = *to;
	*to = heap;
}

/** The thread ends: what it has waits for another one. */
static void leave(void *argument)
{
	struct heap *const heap = argument;

	lists_settle_all(heap);
	big_let_go(heap);
	profile_flush(heap);
	memset(&metalloc_thread, 0, sizeof(metalloc_thread));
	lock_take(&heaps.lock);
	put(heap->groups == 0 ? &heaps.empty : &heaps.idle, heap);
	heaps.threads--;
	lock_give(&heaps.lock);
}

static void before_fork(void)
{
	lock_take(&heaps.lock);
	pages_before_fork();
	units_before_fork();
}

static void after_fork(void)
{
	units_after_fork();
	pages_after_fork();
	lock_give(&heaps.lock);
}

static void after_fork_in_child(void)
{
	heaps.threads = 1;
	after_fork();
}

/** Has the end of this thread noticed. Both calls may allocate, which works by now. */
static void watch_end(struct heap *heap)
{
	lock_take(&ends.lock);
	if (!ends.ready) {
		ends.ready = pthread_key_create(&ends.key, leave) == 0;
		pthread_atfork(before_fork, after_fork, after_fork_in_child);
	}
	lock_give(&ends.lock);
	if (ends.ready)
		pthread_setspecific(ends.key, heap);
}

void heap_follow_policy(struct heap *heap)
{
	for (unsigned i = 1; i < CLASS_COUNT; i++) {
		const struct metalloc_allocator *const chosen = metalloc_policy.allocators[i];

		heap->classes[i].allocator = chosen != NULL ? chosen : &metalloc_bump;
		heap->classes[i].patient = chosen == &metalloc_bump;
		heap->classes[i].period = lists_period(&heap->classes[i], i);
	}
}

static struct heap *new_heap(void)
{
	struct heap *const heap =
		heaps.all == NULL ? &first_heap : units_for_ourselves(sizeof(*heap));

	if (heap == NULL)
		return NULL;
	heap->next = heaps.all;
	heaps.all = heap;
	heap_follow_policy(heap);
	return heap;
}

static void adopt(struct heap *heap)
{
	metalloc_thread.heap = heap;
	for (unsigned i = 1; i < CLASS_COUNT; i++)
		metalloc_thread.lists[i].left = heap->classes[i].begun = heap->classes[i].period;
}

struct heap *heap_of_thread(void)
{
	struct heap *heap = metalloc_thread.heap;

	if (base_likely(heap != NULL))
		return heap;
	lock_take(&heaps.lock);
	heap = take(&heaps.idle);
	if (heap == NULL)
		heap = take(&heaps.empty);
	if (heap == NULL)
		heap = new_heap();
	if (heap != NULL)
		heaps.threads++;
	lock_give(&heaps.lock);
	if (heap == NULL)
		return NULL;
	adopt(heap);
	profile_thread();
	if (heap != &first_heap)
		watch_end(heap);
	return heap;
}

void heap_add_group(struct heap *heap, struct group *group, struct group **groups)
{
	atomic_store_explicit(&group->heap, heap, memory_order_relaxed);
	group->next = *groups;
	*groups = group;
	heap->groups++;
}

uint64_t heap_released(const struct heap *heap, unsigned class)
{
	return heap->classes[class].released +
	       (uint64_t)(heap->classes[class].begun - metalloc_thread.lists[class].left);
}

void heap_collect(struct heap *heap)
{
	if (atomic_load_explicit(&heap->remote, memory_order_relaxed) == NULL)
		return;
	handover_take(heap, atomic_exchange_explicit(&heap->remote, NULL, memory_order_acquire));
}

/** Groups of another heap go behind the first, which is the one that blocks are carved from. */
static void append_groups(struct group **groups, struct group *more)
{
	struct group **end = groups;

	while (*end != NULL)
		end = &(*end)->next;
	*end = more;
}

static void absorb_class(struct heap_class *to, struct heap_class *from)
{

	if (to->carve == to->carve_end && from->carve != from->carve_end) {
		to->carve = from->carve;
		to->carve_end = from->carve_end;
		append_groups(&from->groups, to->groups);
		to->groups = from->groups;
	} else {
		append_groups(&to->groups, from->groups);
	}
	from->groups = NULL;
	from->cursor = NULL;
	from->carve = from->carve_end = NULL;
	to->carved += from->carved;
	to->released += from->released;
	to->reported += from->reported;
	from->carved = from->released = from->reported = 0;
	while (from->with_free != NULL) {
		struct group *const group = from->with_free;

		from->with_free = group->next_with_free;
		group->next_with_free = to->with_free;
		to->with_free = group;
	}
	while (from->spare != NULL) {
		struct block *const spare = from->spare;

		from->spare = spare->next;
		spare->next = to->spare;
		to->spare = spare;
	}
}

/** Makes the memory of an idle heap this heap's. Blocks of it that are in use may come back to
 * either. */
static void absorb(struct heap *heap, struct heap *other)
{
	struct batch *const returned =
		atomic_exchange_explicit(&other->remote, NULL, memory_order_acquire);

	set_heap(other->bump_groups, heap);
	for (unsigned i = 1; i < CLASS_COUNT; i++) {
		set_heap(other->classes[i].groups, heap);
		absorb_class(&heap->classes[i], &other->classes[i]);
	}
	append_groups(&heap->bump_groups, other->bump_groups);
	other->bump_groups = NULL;
	other->bump = other->bump_end = NULL;
	heap->groups += other->groups;
	other->groups = 0;
	handover_take(heap, returned);
}

void heap_absorb_idle(struct heap *heap)
{
	struct heap *other;

	lock_take(&heaps.lock);
	other = take(&heaps.idle);
	lock_give(&heaps.lock);
	if (other == NULL)
		return;
	absorb(heap, other);
	lock_take(&heaps.lock);
	put(&heaps.empty, other);
	lock_give(&heaps.lock);
}

uint64_t heap_thread_count(void)
{
	uint64_t count;

	lock_take(&heaps.lock);
	count = heaps.threads;
	lock_give(&heaps.lock);
	return count;
}
