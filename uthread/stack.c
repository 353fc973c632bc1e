/* SPDX-License-Identifier: MIT */
/*
 * Stacks: slabs of them by class, which are powers of two. The lowest page of each is its guard,
 *the highest one holds its thread, so that one that hardly ran takes a single page:
 *
 *	| guard |        stack ◀──────── | struct uthread |
 *	0       page                                      stack_bytes
 *
 * Where the kernel has MADV_GUARD_INSTALL, guards are marks in the page tables, and a slab is one
 * mapping however many stacks it has; elsewhere each guard splits it. Freed stacks go to the
 * worker's cache and, when that is full, to the scheduler's pool under stacks_lock; memory goes
 * back to the kernel when the scheduler ends, and that of a large pool but for the threads' pages
 * before.
 */
#include "uthread_fibers.h"
#include "uthread_internal.h"
#include "uthread_valgrind.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* In <sys/mman.h> since glibc 2.41. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define SLAB_BYTES_LEAST (1U << 20)
#define SLAB_COUNT_MOST  4096
#define COLOURS          8
#define COLOUR_BYTES     256
/** Free stacks of a class may keep this much. */
#define POOL_BYTES_KEPT (64U << 20)

static size_t page_bytes(void)
{
	static size_t bytes;

	if (bytes == 0)
		bytes = (size_t)sysconf(_SC_PAGESIZE);
	return bytes;
}

static void lock_stacks(struct uthread_scheduler *scheduler)
{
	if (!scheduler->solo)
		uthread_lock(&scheduler->stacks_lock);
}

static void unlock_stacks(struct uthread_scheduler *scheduler)
{
	if (!scheduler->solo)
		uthread_unlock(&scheduler->stacks_lock);
}

void uthread_stacks_init(struct uthread_scheduler *scheduler)
{
	const size_t bytes = page_bytes();
	void *const page =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return;
	scheduler->light_guards = !(scheduler->flags & UTHREAD_CLASSIC_GUARDS) &&
				  madvise(page, bytes, MADV_GUARD_INSTALL) == 0;
	munmap(page, bytes);
}

/* ---- slabs --------------------------------------------------------------------------------- */

/** More stacks in each further slab of a class, so that a million take few mappings. */
static uint32_t slab_count(const struct uthread_slab *before, size_t stack_bytes)
{
	if (before == NULL)
		return (uint32_t)base_max(SLAB_BYTES_LEAST / stack_bytes, 1);
	return (uint32_t)base_min((uint64_t)before->count * 2, SLAB_COUNT_MOST);
}

static struct uthread_slab *create_slab(struct uthread_scheduler *scheduler, unsigned stack_class)
{
	const size_t stack_bytes = (size_t)UTHREAD_STACK_MIN << stack_class;
	struct uthread_slab *const slab = calloc(1, sizeof(*slab));

	if (slab == NULL)
		return NULL;
	slab->stack_class = (uint8_t)stack_class;
	slab->stack_bytes = stack_bytes;
	slab->count = slab_count(scheduler->open[stack_class], stack_bytes);
	slab->memory = mmap(NULL, slab->count * stack_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (slab->memory == MAP_FAILED) {
		free(slab);
		return NULL;
	}
	/* A huge page would give each thread the memory of many. Kernels without them refuse. */
	(void)madvise(slab->memory, slab->count * stack_bytes, MADV_NOHUGEPAGE);
	slab->next = scheduler->slabs;
	scheduler->slabs = slab;
	scheduler->open[stack_class] = slab;
	return slab;
}

/**
 * Threads lie a little apart from where their neighbours do in their pages: the tops of all stacks
 * would compete for the same few lines of the processor's cache.
 */
static struct uthread *thread_of_stack(const struct uthread_slab *slab, uint32_t index)
{
	char *const end = slab->memory + (index + 1) * slab->stack_bytes;

	return (struct uthread *)(void *)(end - index % COLOURS * COLOUR_BYTES) - 1;
}

/** Guards a stack that was never used, and names it. */
static struct uthread *make_stack(struct uthread_scheduler *scheduler, struct uthread_slab *slab)
{
	char *const bottom = slab->memory + slab->made * slab->stack_bytes;
	const int refused = scheduler->light_guards
				    ? madvise(bottom, page_bytes(), MADV_GUARD_INSTALL)
				    : mprotect(bottom, page_bytes(), PROT_NONE);
	struct uthread *thread;

	if (refused != 0)
		return NULL;
	thread = thread_of_stack(slab, slab->made);
	slab->made++;
	scheduler->stacks++;
	thread->stack_class = slab->stack_class;
	thread->slab = slab;
	thread->generation = 1;
	uthread_stack_bounds(thread);
	thread->tool_stack = uthread_valgrind_register(&thread->context);
	return thread;
}

static struct uthread *extend(struct uthread_scheduler *scheduler, unsigned stack_class)
{
	struct uthread_slab *slab = scheduler->open[stack_class];

	if (slab == NULL || slab->made == slab->count)
		slab = create_slab(scheduler, stack_class);
	return slab != NULL ? make_stack(scheduler, slab) : NULL;
}

static int no_stack(const struct uthread_scheduler *scheduler, size_t bytes)
{
	return base_error_errno(EAGAIN,
				"cannot have one more stack of %zu bytes beside %u others (%s "
				"guards; see vm.max_map_count and RLIMIT_AS)",
				bytes, scheduler->stacks,
				scheduler->light_guards ? "light" : "classic");
}

/* ---- caches -------------------------------------------------------------------------------- */

struct uthread *uthread_stack_make(struct uthread_scheduler *scheduler, unsigned stack_class,
				   int *error)
{
	struct uthread *thread;

	lock_stacks(scheduler);
	thread = uthread_cache_pop(&scheduler->pool[stack_class]);
	if (thread == NULL)
		thread = extend(scheduler, stack_class);
	unlock_stacks(scheduler);
	if (thread == NULL) {
		*error = no_stack(scheduler, (size_t)UTHREAD_STACK_MIN << stack_class);
		return NULL;
	}
	return thread;
}

void uthread_stack_bounds(struct uthread *thread)
{
	const uintptr_t stack_bytes = (uintptr_t)UTHREAD_STACK_MIN << thread->stack_class;
	const uintptr_t distance =
		((uintptr_t)thread - (uintptr_t)thread->slab->memory) % stack_bytes;

	thread->context.bottom = (char *)thread - distance;
	thread->context.bytes = distance;
}

/** What is below the page of the thread goes back to the kernel; a guard stays a guard. */
static void trim(const struct uthread *thread)
{
	const uintptr_t top = base_align_down((uintptr_t)thread, page_bytes());
	const uintptr_t bottom = (uintptr_t)thread->context.bottom + page_bytes();

	if (top > bottom)
		(void)madvise((void *)bottom, top - bottom, MADV_DONTNEED);
}

static bool pool_is_large(struct uthread_scheduler *scheduler, unsigned stack_class)
{
	uint64_t count;

	lock_stacks(scheduler);
	count = scheduler->pool[stack_class].count;
	unlock_stacks(scheduler);
	return count * ((uint64_t)UTHREAD_STACK_MIN << stack_class) > POOL_BYTES_KEPT;
}

void uthread_stacks_spill(struct uthread_scheduler *scheduler, struct uthread_stack_cache *cache,
			  unsigned stack_class)
{
	const bool is_large = pool_is_large(scheduler, stack_class);
	struct uthread_stack_cache spilled = {NULL, 0};

	while (cache->count > UTHREAD_CACHE_MOST / 2) {
		struct uthread *const thread = uthread_cache_pop(cache);

		if (is_large)
			trim(thread);
		uthread_cache_push(&spilled, thread);
	}
	lock_stacks(scheduler);
	while (spilled.count > 0)
		uthread_cache_push(&scheduler->pool[stack_class], uthread_cache_pop(&spilled));
	unlock_stacks(scheduler);
}

/* ---- all of them --------------------------------------------------------------------------- */

void uthread_stacks_visit(struct uthread_scheduler *scheduler,
			  void (*visit)(struct uthread *thread, void *context), void *context)
{
	for (struct uthread_slab *slab = scheduler->slabs; slab != NULL; slab = slab->next)
		for (uint32_t i = 0; i < slab->made; i++)
			visit(thread_of_stack(slab, i), context);
}

static void forget(struct uthread *thread, void *context)
{
	(void)context;
	uthread_valgrind_deregister(thread->tool_stack);
	if (atomic_load(&thread->life) != UTHREAD_LIFE_FREE) {
		free(thread->specific);
		uthread_fiber_destroy(&thread->context);
	}
}

void uthread_stacks_finish(struct uthread_scheduler *scheduler)
{
	struct uthread_slab *slab, *next;

	uthread_stacks_visit(scheduler, forget, NULL);
	for (slab = scheduler->slabs; slab != NULL; slab = next) {
		next = slab->next;
		munmap(slab->memory, slab->count * slab->stack_bytes);
		free(slab);
	}
}
