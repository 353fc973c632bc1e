/* SPDX-License-Identifier: MIT */
/*
 * pages: the largest blocks, each a mapping of its own, and blocks whose alignment no group has.
 *
 *	mapping: | header, 128 bytes | block …                 |
 *	   with an alignment of 64 KiB or more: the header's unit, and the block at its end
 *	   hardened: | header | gap | block | a page that nobody may touch |
 *
 * A size that is released a second time recurs: its mappings are kept for the next requests, as
 * many bytes as twice the largest that recurred, and more when what was unmapped is needed again.
 * A program whose profile has such blocks begins with one place for all of them, of huge pages if
 * it used what it allocated, from the beginning of which they are cut: what was never used is
 * zero, and is not mixed with what was. Kept mappings that lie side by side are one, and one that
 *is larger than a request is cut, for which all of them are whole units. One that is too small has
 *the kernel move its pages to a larger place. `cache` is under its own lock, with which nothing is
 *called.
 */
#include "metalloc_internal.h"
#include "profile.h"

#include <stdint.h>
#include <sys/mman.h>

#define CACHE_SLOTS 32u
#define HUGE_BYTES  (UINT64_C(2) << 20)

struct kept {
	char *mapping;
	size_t bytes;
};

static struct {
	struct lock lock;
	struct kept kept[CACHE_SLOTS];
	size_t bytes;
	/** The largest mapping released so far. */
	size_t largest;
	/** What did not fit and was unmapped, and what experience says to keep. */
	size_t dropped;
	size_t keep;
	/** Of the place for all, what was never used; it is looked for once. */
	char *fresh;
	size_t fresh_bytes;
	bool begun;
} cache;

/** The mapping of a block is from its header to here. */
static size_t mapping_bytes(const struct group *group)
{
	return (size_t)(group->block - (char *)group) + group->block_bytes;
}

static void unmap(char *mapping, size_t bytes)
{
	munmap(mapping, bytes);
	units_count(-(int64_t)bytes, 0);
}

static char *map(size_t bytes)
{
	char *const mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return mapping == MAP_FAILED ? NULL : mapping;
}

/** Maps @bytes whose byte at @offset is aligned to @alignment; nothing else stays mapped. */
static char *map_at(size_t bytes, size_t offset, size_t alignment_bytes)
{
	const size_t more = alignment_bytes;
	char *mapping, *first;
	size_t before;

	if (bytes > PTRDIFF_MAX - more)
		return NULL;
	/* Most often right where it should be, and next to another one. */
	mapping = map(bytes);
	if (mapping == NULL || ((uintptr_t)mapping + offset) % alignment_bytes == 0)
		return mapping;
	munmap(mapping, bytes);
	mapping = map(bytes + more);
	if (mapping == NULL)
		return NULL;
	before = -((uintptr_t)mapping + offset) % alignment_bytes;
	first = mapping + before;
	if (before != 0)
		munmap(mapping, before);
	if (more != before)
		munmap(first + bytes, more - before);
	return first;
}

/** Has the kernel move the pages to a mapping at a multiple of a unit. */
static struct group *move(struct group *group, size_t old_bytes, size_t new_bytes)
{
	char *const place = map_at(new_bytes, 0, UNIT_BYTES);

	if (place == NULL)
		return NULL;
	if (mremap(group, old_bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place) ==
	    MAP_FAILED) {
		munmap(place, new_bytes);
		return NULL;
	}
	return (struct group *)(void *)place;
}

static bool is_better(size_t one, size_t other, size_t wanted)
{
	if (one < wanted || other < wanted)
		return one > other;
	return one < other;
}

/** Maps the place for blocks that the profile expects; the lock is held. */
static void begin(void)
{
	const size_t bytes = base_align_up(metalloc_policy.large_bytes, HUGE_BYTES);
	char *mapping;

	cache.begun = true;
	mapping = bytes == 0 ? NULL : map_at(bytes, 0, HUGE_BYTES);
	if (mapping == NULL)
		return;
	if (metalloc_policy.huge_large)
		madvise(mapping, bytes, MADV_HUGEPAGE);
	cache.fresh = mapping;
	cache.fresh_bytes = bytes;
}

/** What was never used, behind @before bytes that were; the lock is held. */
static char *cut_fresh(size_t bytes, size_t before)
{
	char *const mapping = cache.fresh - before;

	cache.fresh += bytes - before;
	cache.fresh_bytes -= bytes - before;
	return mapping;
}

/** What is kept right before what was never used, if both are enough. */
static struct kept *find_before_fresh(size_t bytes)
{
	for (unsigned i = 0; i < CACHE_SLOTS; i++)
		if (cache.kept[i].mapping != NULL &&
		    cache.kept[i].mapping + cache.kept[i].bytes == cache.fresh &&
		    cache.kept[i].bytes + cache.fresh_bytes >= bytes)
			return &cache.kept[i];
	return NULL;
}

/** From the place for all, of which *@fresh bytes were never used. The lock is held. */
static char *take_fresh(size_t bytes, size_t *fresh)
{
	struct kept *const before = find_before_fresh(bytes);
	size_t had = 0;

	if (before == NULL && cache.fresh_bytes < bytes)
		return NULL;
	if (before != NULL) {
		had = before->bytes;
		cache.bytes -= had;
		*before = (struct kept){NULL, 0};
	}
	*fresh = bytes - had;
	return cut_fresh(bytes, had);
}

/** The first @bytes of it; the others stay. The lock is held. */
static char *cut(struct kept *kept, size_t bytes)
{
	char *const mapping = kept->mapping;

	cache.bytes -= bytes;
	kept->bytes -= bytes;
	kept->mapping = kept->bytes == 0 ? NULL : mapping + bytes;
	return mapping;
}

static struct kept *find_best(size_t bytes)
{
	struct kept *best = NULL;

	for (unsigned i = 0; i < CACHE_SLOTS; i++) {
		struct kept *const kept = &cache.kept[i];

		if (kept->bytes >= bytes / 2 && kept->bytes != 0 &&
		    (best == NULL || is_better(kept->bytes, best->bytes, bytes)))
			best = kept;
	}
	return best;
}

/**
 * Of the smallest that fits what is wanted, or of what was never used, or else the largest that has
 * at least half of it.
 */
static char *take_kept(size_t bytes, size_t *got, size_t *fresh)
{
	struct kept *best;
	char *mapping = NULL;

	lock_take(&cache.lock);
	if (!cache.begun)
		begin();
	best = find_best(bytes);
	if (best == NULL || best->bytes < bytes)
		mapping = take_fresh(bytes, fresh);
	if (mapping != NULL) {
		*got = bytes;
	} else if (best != NULL) {
		*got = base_min(best->bytes, bytes);
		mapping = cut(best, *got);
	}
	lock_give(&cache.lock);
	return mapping;
}

/** A mapping becomes longer by what lies right behind it, if that is kept. */
static bool extend(const char *end, size_t bytes)
{
	bool taken = false;

	lock_take(&cache.lock);
	for (unsigned i = 0; i < CACHE_SLOTS && !taken; i++)
		if (cache.kept[i].mapping == end && cache.kept[i].bytes >= bytes) {
			cut(&cache.kept[i], bytes);
			taken = true;
		}
	lock_give(&cache.lock);
	return taken;
}

/** The same by what was never used. */
static bool extend_fresh(const char *end, size_t bytes)
{
	bool taken;

	lock_take(&cache.lock);
	taken = cache.fresh == end && cache.fresh_bytes >= bytes;
	if (taken)
		cut_fresh(bytes, 0);
	lock_give(&cache.lock);
	return taken;
}

/** Makes a mapping longer or shorter where it is. */
static bool resize_in_place(struct group *group, size_t old_bytes, size_t new_bytes)
{
	const size_t more = new_bytes - old_bytes;

	if (new_bytes > old_bytes && extend_fresh((char *)group + old_bytes, more))
		return true;
	if (new_bytes > old_bytes && extend((char *)group + old_bytes, more)) {
		/* It is mapped already, unlike what resized() counts. */
		units_count(-(int64_t)more, 0);
		return true;
	}
	return mremap(group, old_bytes, new_bytes, 0) != MAP_FAILED;
}

/** Adds it to what is kept, as one with its neighbours; whether there was a slot. */
static bool insert(struct kept new)
{
	struct kept *slot = NULL;
	const size_t bytes = new.bytes;

	for (unsigned i = 0; i < CACHE_SLOTS; i++) {
		struct kept *const kept = &cache.kept[i];

		if (kept->mapping != NULL && kept->mapping + kept->bytes == new.mapping)
			new.mapping = kept->mapping;
		else if (kept->mapping == NULL || kept->mapping != new.mapping + new.bytes) {
			slot = kept->mapping == NULL ? kept : slot;
			continue;
		}
		new.bytes += kept->bytes;
		*kept = (struct kept){NULL, 0};
		slot = kept;
	}
	if (slot == NULL)
		return false;
	*slot = new;
	cache.bytes += bytes;
	return true;
}

static bool keep(char *mapping, size_t bytes)
{
	const bool recurs = bytes <= cache.largest || metalloc_policy.large_bytes != 0;
	bool done = false;

	lock_take(&cache.lock);
	cache.largest = base_max(cache.largest, bytes);
	if (recurs &&
	    cache.bytes + bytes <=
		    base_max(base_max(metalloc_policy.keep_bytes, cache.keep), 2 * cache.largest))
		done = insert((struct kept){mapping, bytes});
	if (!done)
		cache.dropped += bytes;
	lock_give(&cache.lock);
	return done;
}

void pages_let_go(void)
{
	struct kept fresh;

	for (unsigned i = 0; i < CACHE_SLOTS; i++) {
		struct kept kept;

		lock_take(&cache.lock);
		kept = cache.kept[i];
		cache.kept[i] = (struct kept){NULL, 0};
		cache.bytes -= kept.bytes;
		lock_give(&cache.lock);
		if (kept.mapping != NULL)
			unmap(kept.mapping, kept.bytes);
	}
	lock_take(&cache.lock);
	fresh = (struct kept){cache.fresh, cache.fresh_bytes};
	cache.fresh = NULL;
	cache.fresh_bytes = 0;
	lock_give(&cache.lock);
	if (fresh.bytes != 0)
		munmap(fresh.mapping, fresh.bytes);
}

uint64_t pages_resident(uint64_t *written_bytes)
{
	uint64_t resident = 0;

	*written_bytes = 0;
	lock_take(&cache.lock);
	for (unsigned i = 0; i < CACHE_SLOTS; i++)
		for (size_t at = 0; at < cache.kept[i].bytes; at += UNIT_BYTES) {
			unsigned char pages[UNIT_BYTES / PAGE_BYTES];

			if (mincore(cache.kept[i].mapping + at, UNIT_BYTES, pages) != 0)
				continue;
			*written_bytes += UNIT_BYTES;
			for (unsigned k = 0; k < sizeof(pages); k++)
				resident += (pages[k] & 1) * PAGE_BYTES;
		}
	lock_give(&cache.lock);
	return resident;
}

void pages_before_fork(void)
{
	lock_take(&cache.lock);
}

void pages_after_fork(void)
{
	lock_give(&cache.lock);
}

/** What is mapped now was unmapped before: next time more is kept, up to three quarters of the
 * peak. */
static void regret(size_t bytes)
{
	struct metalloc_usage usage;

	if (cache.dropped < bytes)
		return;
	units_usage(&usage);
	lock_take(&cache.lock);
	cache.dropped = 0;
	cache.keep =
		base_min(base_max(2 * cache.keep, 4 * cache.largest), usage.peak_bytes / 4 * 3);
	lock_give(&cache.lock);
}

/** A kept mapping, made as large as it has to be; *@bytes becomes what it is, *@zeroed whether it
 * was never used. */
static char *reuse(size_t *bytes, bool *zeroed)
{
	const size_t wanted = *bytes;
	size_t got = 0, fresh = 0;
	char *const mapping = take_kept(wanted, &got, &fresh);
	struct group *moved;

	if (fresh != 0)
		units_count((int64_t)fresh, 0);
	*zeroed = fresh == wanted;
	if (mapping == NULL || got >= wanted) {
		*bytes = mapping == NULL ? wanted : got;
		return mapping;
	}
	moved = move((struct group *)(void *)mapping, got, wanted);
	/* The kernel moves no pages of what was mapped at different times and became one here. */
	if (moved == NULL) {
		if (!keep(mapping, got))
			unmap(mapping, got);
		return NULL;
	}
	units_count((int64_t)(wanted - got), 0);
	return (char *)moved;
}

static char *map_new(size_t bytes, size_t alignment_bytes)
{
	const bool far = alignment_bytes >= UNIT_BYTES;
	char *mapping = map_at(bytes, far ? UNIT_BYTES : 0, far ? alignment_bytes : UNIT_BYTES);

	if (mapping == NULL) {
		pages_let_go();
		mapping = map_at(bytes, far ? UNIT_BYTES : 0, far ? alignment_bytes : UNIT_BYTES);
	}
	if (mapping == NULL)
		return NULL;
	if (metalloc_policy.huge && bytes >= HUGE_BYTES)
		madvise(mapping, bytes, MADV_HUGEPAGE);
	units_count((int64_t)bytes, 0);
	regret(bytes);
	return mapping;
}

/** Where the block begins in its mapping, of which @bytes is to become the length. */
static size_t offset_for(size_t size_bytes, size_t alignment_bytes, size_t *bytes)
{
	const size_t guard = metalloc_policy.hardened ? PAGE_BYTES : 0;
	size_t offset = base_max(HEADER_BYTES, alignment_bytes);

	if (alignment_bytes >= UNIT_BYTES)
		offset = UNIT_BYTES;
	if (guard != 0)
		offset += (-(offset + size_bytes) % PAGE_BYTES) / base_max(16, alignment_bytes) *
			  base_max(16, alignment_bytes);
	*bytes = base_align_up(offset + size_bytes, guard != 0 ? PAGE_BYTES : UNIT_BYTES) + guard;
	return offset;
}

static void *describe(char *mapping, size_t bytes, size_t offset, bool zeroed)
{
	struct group *const group = (struct group *)(void *)mapping;
	const size_t guard = metalloc_policy.hardened ? PAGE_BYTES : 0;

	group->list = list_distance(0);
	group->class = 0;
	group->allocator = &metalloc_pages;
	group->block = mapping + offset;
	group->block_bytes = bytes - offset - guard;
	group->zeroed = zeroed;
	if (guard != 0)
		mprotect(mapping + bytes - guard, guard, PROT_NONE);
	units_count(0, (int64_t)bytes);
	profile_big(group->block_bytes, 1);
	return group->block;
}

void *pages_allocate(size_t size_bytes, size_t alignment_bytes)
{
	size_t bytes, offset;
	char *mapping = NULL;
	bool zeroed = false;

	if (size_bytes > PTRDIFF_MAX - 4 * UNIT_BYTES || alignment_bytes > PTRDIFF_MAX / 4)
		return NULL;
	offset = offset_for(size_bytes, alignment_bytes, &bytes);
	if (alignment_bytes < UNIT_BYTES && !metalloc_policy.hardened)
		mapping = reuse(&bytes, &zeroed);
	if (mapping == NULL) {
		mapping = map_new(bytes, alignment_bytes);
		zeroed = true;
	}
	return mapping == NULL ? NULL : describe(mapping, bytes, offset, zeroed);
}

static void pages_release(const struct metalloc_allocator *self, void *block)
{
	struct group *const group = group_of(block);
	const size_t guard = metalloc_policy.hardened ? PAGE_BYTES : 0;
	const size_t bytes = mapping_bytes(group) + guard;

	(void)self;
	profile_big(group->block_bytes, -1);
	units_count(0, -(int64_t)bytes);
	if (guard != 0 || !keep((char *)group, bytes))
		unmap((char *)group, bytes);
}

static void resized(struct group *group, size_t old_bytes, size_t new_bytes)
{
	const int64_t change = (int64_t)new_bytes - (int64_t)old_bytes;

	profile_big(group->block_bytes, -1);
	group->block_bytes = (size_t)((int64_t)group->block_bytes + change);
	group->zeroed = false;
	profile_big(group->block_bytes, 1);
	units_count(change, change);
}

void *pages_resize(void *block, size_t size_bytes)
{
	struct group *group = group_of(block);
	const size_t offset = (size_t)(group->block - (char *)group);
	const size_t old_bytes = mapping_bytes(group);
	size_t new_bytes;

	if (metalloc_policy.hardened || size_bytes > PTRDIFF_MAX - 4 * UNIT_BYTES)
		return NULL;
	new_bytes = base_align_up(offset + size_bytes, UNIT_BYTES);
	if (size_bytes <= METALLOC_MOST_BYTES)
		return NULL;
	if (new_bytes == old_bytes)
		return block;
	if (!resize_in_place(group, old_bytes, new_bytes)) {
		group = offset >= UNIT_BYTES ? NULL : move(group, old_bytes, new_bytes);
		if (group == NULL)
			return NULL;
		group->block = (char *)group + offset;
	}
	resized(group, old_bytes, new_bytes);
	return group->block;
}

static size_t pages_usable(const struct metalloc_allocator *self, const void *block)
{
	(void)self;
	return group_of(block)->block_bytes;
}

static void *pages_take(const struct metalloc_allocator *self, size_t size_bytes)
{
	(void)self;
	return pages_allocate(size_bytes, CLASS_STEP_BYTES);
}

const struct metalloc_allocator metalloc_pages = {
	.name = "pages",
	.least_bytes = UNITS_MOST * UNIT_BYTES - HEADER_BYTES + 1,
	.most_bytes = PTRDIFF_MAX - 4 * UNIT_BYTES,
	.alignment_bytes = CLASS_STEP_BYTES,
	.flags = METALLOC_ZEROED,
	.allocate = pages_take,
	.release = pages_release,
	.usable = pages_usable,
};
