/* SPDX-License-Identifier: MIT */
/*
 * The memory of threads, and stacks.
 *
 * Threads lie side by side in slabs of their own, as many are created before one runs. A thread
 * takes a stack when it first runs and gives it back when it ends, so that those which only run
 * after one another share one that is in the processor's cache. That there will be a stack is made
 * sure of on creation, where a lack of it can be told: `promised` counts the threads that have or
 * will want one of a class, and there are as many, beyond those that caches of workers may keep
 * from others.
 *
 * Stacks come in slabs by class, which are powers of two. The lowest page of each is its guard; at
 * the top lies what a thread keeps once it runs, and a thread that hardly ran takes a single page:
 *
 *	| guard |        stack ◀──────── | struct uthread_own | colour |
 *	0       page                                             stack_bytes
 *
 * Where the kernel has MADV_GUARD_INSTALL, guards are marks in the page tables, and a slab is one
 * mapping however many stacks it has; elsewhere each guard splits it. Freed stacks go to the
 * worker's cache and, when that is full, to the scheduler's pool under stacks_lock; memory goes
 * back to the kernel when the scheduler ends, and that of a large pool before.
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

#define STACK_MIN_LOG2   14
#define SLAB_BYTES_LEAST (1U << 20)
#define SLAB_COUNT_MOST  4096
#define COLOURS          8
#define COLOUR_BYTES     256
/** Free stacks of a class may keep this much. */
#define POOL_BYTES_KEPT (64U << 20)
/** Those that a worker keeps; fewer where other workers may be in want of them. */
#define CACHE_BYTES_MOST  (4U << 20)
#define CACHE_MOST_SHARED 16
/** Threads in the first slab of them, and in the largest. */
#define THREADS_LEAST 256
#define THREADS_MOST  16384
/** Free threads that a worker keeps from others. */
#define FREE_THREADS_MOST 128

static_assert(UTHREAD_STACK_MIN == 1U << STACK_MIN_LOG2, "the first class");

static size_t page_bytes(void)
{
	static size_t bytes;

	if (bytes == 0)
		bytes = (size_t)sysconf(_SC_PAGESIZE);
	return bytes;
}

static size_t class_bytes(unsigned stack_class)
{
	return (size_t)UTHREAD_STACK_MIN << stack_class;
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

static void *map(size_t bytes)
{
	void *const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* A huge page would give each thread the memory of many. Kernels without them refuse. */
	(void)madvise(memory, bytes, MADV_NOHUGEPAGE);
	return memory;
}

static bool has_light_guards(const struct uthread_scheduler *scheduler)
{
	void *const page = (scheduler->flags & UTHREAD_CLASSIC_GUARDS) ? NULL : map(page_bytes());
	bool has;

	if (page == NULL)
		return false;
	has = madvise(page, page_bytes(), MADV_GUARD_INSTALL) == 0;
	munmap(page, page_bytes());
	return has;
}

void uthread_stacks_init(struct uthread_scheduler *scheduler)
{
	const uint32_t most = scheduler->solo ? UTHREAD_CACHE_MOST : CACHE_MOST_SHARED;

	scheduler->light_guards = has_light_guards(scheduler);
	for (unsigned i = 0; i < UTHREAD_STACK_CLASSES; i++) {
		struct uthread_stack_class *const class = &scheduler->classes[i];

		class->cache_most =
			(uint32_t)base_min((uint64_t)most, CACHE_BYTES_MOST / class_bytes(i));
		if (!scheduler->solo)
			class->out_of_reach = scheduler->workers_count * class->cache_most;
	}
}

/* ---- threads ------------------------------------------------------------------------------- */

static struct uthread_thread_slab *create_thread_slab(struct uthread_scheduler *scheduler)
{
	const struct uthread_thread_slab *const before = scheduler->thread_slabs;
	struct uthread_thread_slab *const slab = calloc(1, sizeof(*slab));

	if (slab == NULL)
		return NULL;
	slab->count = before == NULL
			      ? THREADS_LEAST
			      : (uint32_t)base_min((uint64_t)before->count * 2, THREADS_MOST);
	slab->threads = map(slab->count * sizeof(struct uthread));
	if (slab->threads == NULL) {
		free(slab);
		return NULL;
	}
	slab->next = scheduler->thread_slabs;
	scheduler->thread_slabs = slab;
	return slab;
}

static struct uthread *make_thread(struct uthread_scheduler *scheduler)
{
	struct uthread_thread_slab *slab = scheduler->thread_slabs;
	struct uthread *thread;

	if (slab == NULL || slab->made == slab->count)
		slab = create_thread_slab(scheduler);
	if (slab == NULL)
		return NULL;
	thread = &slab->threads[slab->made++];
	thread->generation = 1;
	return thread;
}

struct uthread *uthread_memory_make(struct uthread_scheduler *scheduler)
{
	struct uthread *thread;

	lock_stacks(scheduler);
	thread = uthread_free_pop(&scheduler->free_threads);
	if (thread == NULL)
		thread = make_thread(scheduler);
	unlock_stacks(scheduler);
	return thread;
}

void uthread_memory_give(struct uthread_worker *worker, struct uthread *thread)
{
	struct uthread_scheduler *const scheduler = worker->scheduler;

	uthread_free_push(&worker->free_threads, thread);
	if (base_likely(worker->solo || worker->free_threads.count <= FREE_THREADS_MOST))
		return;
	lock_stacks(scheduler);
	while (worker->free_threads.count > FREE_THREADS_MOST / 2)
		uthread_free_push(&scheduler->free_threads,
				  uthread_free_pop(&worker->free_threads));
	unlock_stacks(scheduler);
}

void uthread_threads_visit(struct uthread_scheduler *scheduler,
			   void (*visit)(struct uthread *thread, void *context), void *context)
{
	for (struct uthread_thread_slab *slab = scheduler->thread_slabs; slab != NULL;
	     slab = slab->next)
		for (uint32_t i = 0; i < slab->made; i++)
			visit(&slab->threads[i], context);
}

/* ---- slabs of stacks ----------------------------------------------------------------------- */

/** More stacks in each further slab of a class, so that a million take few mappings. */
static uint32_t slab_count(const struct uthread_slab *before, size_t stack_bytes)
{
	if (before == NULL)
		return (uint32_t)base_max(SLAB_BYTES_LEAST / stack_bytes, 1);
	return (uint32_t)base_min((uint64_t)before->count * 2, SLAB_COUNT_MOST);
}

static struct uthread_slab *create_slab(struct uthread_scheduler *scheduler, unsigned stack_class)
{
	const size_t stack_bytes = class_bytes(stack_class);
	struct uthread_slab *const slab = calloc(1, sizeof(*slab));

	if (slab == NULL)
		return NULL;
	slab->stack_bytes = stack_bytes;
	slab->count = slab_count(scheduler->classes[stack_class].open, stack_bytes);
	slab->memory = map(slab->count * stack_bytes);
	if (slab->memory == NULL) {
		free(slab);
		return NULL;
	}
	slab->next = scheduler->slabs;
	scheduler->slabs = slab;
	scheduler->classes[stack_class].open = slab;
	return slab;
}

/** Room for all stacks of the class. In the child of a fork, the old or the new one is there. */
static bool make_room(struct uthread_stack_list *list, uint32_t made)
{
	const uint32_t room = (uint32_t)base_max(list->room * 2, 64);
	char **grown, **const before = list->stacks;

	if (made < list->room)
		return true;
	grown = malloc(room * sizeof(*grown));
	if (grown == NULL)
		return false;
	if (list->count > 0)
		memcpy(grown, before, list->count * sizeof(*grown));
	list->stacks = grown;
	list->room = room;
	free(before);
	return true;
}

/** Guards a stack that was never used. */
static bool make_stack(struct uthread_scheduler *scheduler, struct uthread_stack_class *class,
		       struct uthread_slab *slab)
{
	char *const bottom = slab->memory + slab->made * slab->stack_bytes;
	const int refused = scheduler->light_guards
				    ? madvise(bottom, page_bytes(), MADV_GUARD_INSTALL)
				    : mprotect(bottom, page_bytes(), PROT_NONE);

	if (refused != 0)
		return false;
	slab->made++;
	scheduler->stacks++;
	class->free.stacks[class->free.count++] = bottom;
	atomic_fetch_add_explicit(&class->made, 1, memory_order_relaxed);
	return true;
}

static bool extend(struct uthread_scheduler *scheduler, unsigned stack_class)
{
	struct uthread_stack_class *const class = &scheduler->classes[stack_class];
	struct uthread_slab *slab = class->open;

	if (!make_room(&class->free, class->made))
		return false;
	if (slab == NULL || slab->made == slab->count)
		slab = create_slab(scheduler, stack_class);
	return slab != NULL && make_stack(scheduler, class, slab);
}

/* ---- promises ------------------------------------------------------------------------------ */

int uthread_stack_ensure(struct uthread_scheduler *scheduler, unsigned stack_class,
			 uint32_t promised)
{
	struct uthread_stack_class *const class = &scheduler->classes[stack_class];
	const uint32_t wanted = promised + class->out_of_reach;
	bool made = true;

	lock_stacks(scheduler);
	while (made && class->made < wanted)
		made = extend(scheduler, stack_class);
	unlock_stacks(scheduler);
	if (made)
		return 0;
	uthread_count_down(scheduler->solo, &class->promised);
	return base_error_errno(EAGAIN,
				"cannot have one more stack of %zu bytes beside %u others (%s "
				"guards; see vm.max_map_count and RLIMIT_AS)",
				class_bytes(stack_class), scheduler->stacks,
				scheduler->light_guards ? "light" : "classic");
}

/* ---- taking and giving back ---------------------------------------------------------------- */

static char *take(struct uthread_worker *worker, unsigned stack_class)
{
	struct uthread_stack_cache *const cache = &worker->cache[stack_class];
	struct uthread_stack_list *const pool = &worker->scheduler->classes[stack_class].free;
	char *bottom;

	if (base_likely(cache->count > 0))
		return cache->stacks[--cache->count];
	lock_stacks(worker->scheduler);
	assert(pool->count > 0);
	bottom = pool->stacks[--pool->count];
	unlock_stacks(worker->scheduler);
	return bottom;
}

/**
 * Tops of stacks lie a little apart from where their neighbours have them in their pages: all would
 * compete for the same few lines of the processor's cache.
 */
static void *top_of(const char *bottom, unsigned stack_class)
{
	const uintptr_t place = (uintptr_t)bottom >> (STACK_MIN_LOG2 + stack_class);

	return (void *)(uintptr_t)(bottom + class_bytes(stack_class) -
				   place % COLOURS * COLOUR_BYTES);
}

void uthread_stack_enter(struct uthread_worker *worker, struct uthread *thread)
{
	struct uthread_context *const context = &thread->context;
	struct uthread_own *own;
	void *top;

	if (thread->stack_class == UTHREAD_STACK_CLASSES) {
		top = (char *)context->bottom + context->bytes;
	} else {
		context->bottom = take(worker, thread->stack_class);
		top = top_of(context->bottom, thread->stack_class);
	}
	own = (struct uthread_own *)base_align_down((uintptr_t)top, 16) - 1;
	context->bytes = (size_t)((char *)own - (char *)context->bottom);
	uthread_fiber_create(context);
	*own = (struct uthread_own){.tool_stack = uthread_valgrind_register(context)};
	thread->own = own;
	uthread_context_prepare(context, own);
}

/** What is below the first page goes back to the kernel; a guard stays a guard. */
static void trim(char *bottom, unsigned stack_class)
{
	const uintptr_t top =
		base_align_down((uintptr_t)top_of(bottom, stack_class) - 1, page_bytes());
	const uintptr_t lowest = (uintptr_t)bottom + page_bytes();

	if (top > lowest)
		(void)madvise((void *)lowest, top - lowest, MADV_DONTNEED);
}

/** Moves half of a full cache to the pool. */
static void spill(struct uthread_scheduler *scheduler, struct uthread_stack_cache *cache,
		  unsigned stack_class)
{
	struct uthread_stack_class *const class = &scheduler->classes[stack_class];
	const uint32_t first = class->cache_most / 2;
	bool is_large;

	lock_stacks(scheduler);
	is_large = class->free.count * (uint64_t)class_bytes(stack_class) > POOL_BYTES_KEPT;
	unlock_stacks(scheduler);
	for (uint32_t i = first; is_large && i < cache->count; i++)
		trim(cache->stacks[i], stack_class);
	lock_stacks(scheduler);
	for (uint32_t i = first; i < cache->count; i++)
		class->free.stacks[class->free.count++] = cache->stacks[i];
	unlock_stacks(scheduler);
	cache->count = first;
}

void uthread_stack_leave(struct uthread_worker *worker, struct uthread *thread)
{
	const unsigned stack_class = thread->stack_class;
	struct uthread_stack_cache *cache;

	uthread_fiber_destroy(&thread->context);
	uthread_valgrind_deregister(thread->own->tool_stack);
	thread->own = NULL;
	if (stack_class == UTHREAD_STACK_CLASSES)
		return;
	cache = &worker->cache[stack_class];
	cache->stacks[cache->count++] = thread->context.bottom;
	if (base_unlikely(cache->count > worker->scheduler->classes[stack_class].cache_most))
		spill(worker->scheduler, cache, stack_class);
	uthread_count_down(worker->solo, &worker->scheduler->classes[stack_class].promised);
}

/* ---- all of them --------------------------------------------------------------------------- */

static void forget(struct uthread *thread, void *context)
{
	(void)context;
	if (thread->own == NULL)
		return;
	free(thread->own->specific);
	uthread_valgrind_deregister(thread->own->tool_stack);
	uthread_fiber_destroy(&thread->context);
}

static void free_thread_slabs(struct uthread_scheduler *scheduler)
{
	struct uthread_thread_slab *slab, *next;

	for (slab = scheduler->thread_slabs; slab != NULL; slab = next) {
		next = slab->next;
		munmap(slab->threads, slab->count * sizeof(struct uthread));
		free(slab);
	}
}

void uthread_stacks_finish(struct uthread_scheduler *scheduler)
{
	struct uthread_slab *slab, *next;

	uthread_threads_visit(scheduler, forget, NULL);
	free_thread_slabs(scheduler);
	for (slab = scheduler->slabs; slab != NULL; slab = next) {
		next = slab->next;
		munmap(slab->memory, slab->count * slab->stack_bytes);
		free(slab);
	}
	for (unsigned i = 0; i < UTHREAD_STACK_CLASSES; i++)
		free(scheduler->classes[i].free.stacks);
}

void uthread_stacks_forked(struct uthread_worker *worker)
{
	const struct uthread *const self = worker->current;

	for (unsigned i = 0; i < UTHREAD_STACK_CLASSES; i++) {
		struct uthread_stack_class *const class = &worker->scheduler->classes[i];
		const uint32_t own = self->stack_class == i;

		atomic_store(&class->promised, own);
		atomic_store(&class->made, worker->cache[i].count + class->free.count + own);
		class->out_of_reach = 0;
	}
}
