/* SPDX-License-Identifier: MIT */
/*
 * Units of 64 KiB: where all memory but direct pages comes from.
 *
 * Chunks of up to 64 units are mapped and stay mapped; one word says which units are free, another
 * which may have been written since the kernel last gave them. The lowest free run of the first
 * chunk that has one is taken, which keeps memory together. What is free and was written is kept up
 * to a bound, since taking it again costs no page faults, and given back beyond it, down to half
 * the bound, so that a program at the bound does not give and take in turn.
 *
 * Everything here is under `units.lock`, but for the memory of a run that is taken.
 */
#include "metalloc_internal.h"
#include "profile.h"

#include <string.h>
#include <sys/mman.h>

#define CHUNK_UNITS       64u
#define PAGES_OF_UNIT     (unsigned)(UNIT_BYTES / PAGE_BYTES)
#define FIRST_CHUNK_UNITS 16u
#define FIRST_CHUNKS      16u
#define HUGE_BYTES        (UINT64_C(2) << 20)
#define KEEP_LEAST_BYTES  (UINT64_C(1) << 20)
/* Since Linux 5.14; earlier kernels refuse it, which does no harm. */
#define POPULATE_WRITE 23

struct chunk {
	/** NULL: unmapped, to be used for another. */
	char *base;
	uint64_t free;
	uint64_t written;
	/** Given back, and not taken since. */
	uint64_t returned;
	uint32_t units;
};

static struct {
	struct lock lock;
	struct chunk *chunks;
	uint32_t count;
	uint32_t capacity;
	/** Of those counted, how many are none. */
	uint32_t unmapped;
	/** No chunk before this one has a free unit. */
	uint32_t lowest;
	/** Units in use, and those free that may occupy memory. */
	uint64_t used;
	uint64_t kept;
	/** What experience says to keep. */
	uint64_t keep;
	uint64_t peak_bytes;
	uint64_t mapped_bytes;
	uint64_t other_bytes;
	_Atomic uint64_t prepared_bytes;
	char *own;
	char *own_end;
	struct chunk first[FIRST_CHUNKS];
} units;

struct policy metalloc_policy = {.keep_bytes = KEEP_LEAST_BYTES};

static void *map(size_t size_bytes)
{
	void *const memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/** Maps memory at a multiple of @alignment; nothing but it stays mapped. */
static char *map_aligned(size_t size_bytes, size_t alignment_bytes)
{
	char *memory = map(size_bytes), *aligned;
	size_t before;

	if (memory == NULL || (uintptr_t)memory % alignment_bytes == 0)
		return memory;
	munmap(memory, size_bytes);
	memory = map(size_bytes + alignment_bytes);
	if (memory == NULL)
		return NULL;
	before = -(uintptr_t)memory % alignment_bytes;
	aligned = memory + before;
	if (before != 0)
		munmap(memory, before);
	if (before != alignment_bytes)
		munmap(aligned + size_bytes, alignment_bytes - before);
	return aligned;
}

static void *own_memory(size_t size_bytes)
{
	char *taken;

	size_bytes = base_align_up(size_bytes, 64);
	if ((size_t)(units.own_end - units.own) < size_bytes) {
		const size_t more = base_align_up(size_bytes, UNIT_BYTES);

		units.own = map(more);
		if (units.own == NULL) {
			units.own_end = NULL;
			return NULL;
		}
		units.own_end = units.own + more;
	}
	taken = units.own;
	units.own += size_bytes;
	return taken;
}

void *units_for_ourselves(size_t size_bytes)
{
	void *memory;

	lock_take(&units.lock);
	memory = own_memory(size_bytes);
	lock_give(&units.lock);
	return memory;
}

/** A chunk that is none, to become one. */
static struct chunk *spare_chunk(void)
{
	struct chunk *more;

	if (units.capacity == 0) {
		units.chunks = units.first;
		units.capacity = FIRST_CHUNKS;
	}
	for (uint32_t i = 0; units.unmapped != 0 && i < units.count; i++)
		if (units.chunks[i].base == NULL)
			return &units.chunks[i];
	if (units.count < units.capacity)
		return &units.chunks[units.count];
	more = own_memory(2 * units.capacity * sizeof(*more));
	if (more == NULL)
		return NULL;
	memcpy(more, units.chunks, units.count * sizeof(*more));
	units.chunks = more;
	units.capacity *= 2;
	return &units.chunks[units.count];
}

/** The first of @count set bits in a row, or -1. */
static int find_run(uint64_t bits, unsigned count)
{
	unsigned have = 1;

	while (have < count && bits != 0) {
		const unsigned step = have < count - have ? have : count - have;

		bits &= bits >> step;
		have += step;
	}
	return bits == 0 ? -1 : __builtin_ctzll(bits);
}

static uint64_t run_mask(unsigned first, unsigned count)
{
	return (count == 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1) << first;
}

/** Makes a chunk of @count units; all are free and never written. */
static bool map_chunk(struct chunk *chunk, unsigned count)
{
	const size_t bytes = count * UNIT_BYTES;
	const bool huge = metalloc_policy.huge && bytes % HUGE_BYTES == 0;
	char *const base = map_aligned(bytes, huge ? HUGE_BYTES : UNIT_BYTES);

	if (base == NULL)
		return false;
	if (huge)
		madvise(base, bytes, MADV_HUGEPAGE);
	if (chunk == &units.chunks[units.count])
		units.count++;
	else
		units.unmapped--;
	*chunk = (struct chunk){.base = base, .free = run_mask(0, count), .units = count};
	units.mapped_bytes += bytes;
	units.lowest = (uint32_t)base_min(units.lowest, (uint64_t)(chunk - units.chunks));
	return true;
}

/** As large a chunk as can be had in which a run of @count units fits; or NULL. */
static struct chunk *grow(unsigned count)
{
	const unsigned usual =
		units.count == 0 && !metalloc_policy.huge ? FIRST_CHUNK_UNITS : CHUNK_UNITS;
	struct chunk *const chunk = spare_chunk();

	if (chunk == NULL)
		return NULL;
	return (count < usual && map_chunk(chunk, usual)) || map_chunk(chunk, count) ? chunk : NULL;
}

/** The first of @count units in a row that are free, and their chunk; or -1. */
static int find(unsigned count, uint32_t *chunk)
{
	const struct chunk *grown;

	for (; units.lowest < units.count && units.chunks[units.lowest].free == 0; units.lowest++)
		;
	for (uint32_t i = units.lowest; i < units.count; i++) {
		const int first = find_run(units.chunks[i].free, count);

		if (first >= 0) {
			*chunk = i;
			return first;
		}
	}
	grown = grow(count);
	if (grown == NULL)
		return -1;
	*chunk = (uint32_t)(grown - units.chunks);
	return 0;
}

static void note_peak(void)
{
	units.peak_bytes = base_max(units.peak_bytes, units.used * UNIT_BYTES + units.other_bytes);
}

/** Units were needed again that had been given back: next time more are kept, up to half of the
 * peak. */
static void regret(void)
{
	const uint64_t more = base_max(2 * units.keep, KEEP_LEAST_BYTES / UNIT_BYTES);

	units.keep = base_min(more, units.peak_bytes / UNIT_BYTES / 2);
}

/** Takes these units, which are free; whether none was ever written. */
static bool take(struct chunk *chunk, unsigned first, unsigned count)
{
	const uint64_t mask = run_mask(first, count);
	const uint64_t written = chunk->written & mask;

	if (base_unlikely((chunk->returned & mask) != 0))
		regret();
	chunk->returned &= ~mask;
	chunk->free &= ~mask;
	chunk->written |= mask;
	units.used += count;
	units.kept -= (unsigned)__builtin_popcountll(written);
	note_peak();
	return written == 0;
}

/** One call is far cheaper than the faults that it saves. */
void units_prepare(struct group *group)
{
	const size_t bytes = group->units * UNIT_BYTES;

	if (!group->zeroed || metalloc_policy.huge ||
	    atomic_load_explicit(&units.prepared_bytes, memory_order_relaxed) + bytes >
		    metalloc_policy.expected_bytes)
		return;
	atomic_fetch_add_explicit(&units.prepared_bytes, bytes, memory_order_relaxed);
	madvise(group, bytes, POPULATE_WRITE);
}

struct group *units_take(size_t count)
{
	struct group *group = NULL;
	uint32_t chunk = 0;
	uint64_t peak_bytes;
	bool zeroed;
	int first;

	if (count > CHUNK_UNITS)
		return NULL;
	lock_take(&units.lock);
	first = find((unsigned)count, &chunk);
	if (first >= 0) {
		group = (struct group *)(void *)(units.chunks[chunk].base +
						 (size_t)first * UNIT_BYTES);
		zeroed = take(&units.chunks[chunk], (unsigned)first, (unsigned)count);
	}
	peak_bytes = units.peak_bytes;
	lock_give(&units.lock);
	if (group == NULL)
		return NULL;
	memset(group, 0, sizeof(*group));
	group->list = list_distance(0);
	group->units = (uint32_t)count;
	group->chunk = chunk;
	group->zeroed = zeroed;
	profile_peak(peak_bytes);
	return group;
}

bool units_extend(struct group *group, size_t count)
{
	struct chunk *chunk;
	unsigned first, more;
	bool free = false;

	lock_take(&units.lock);
	chunk = &units.chunks[group->chunk];
	first = (unsigned)((size_t)((char *)group - chunk->base) / UNIT_BYTES) + group->units;
	more = (unsigned)(count - group->units);
	if (count > group->units && first + more <= CHUNK_UNITS) {
		free = (chunk->free & run_mask(first, more)) == run_mask(first, more);
		if (free) {
			take(chunk, first, more);
			group->units = (uint32_t)count;
			group->zeroed = false;
		}
	}
	lock_give(&units.lock);
	return free;
}

static void trim_chunk(struct chunk *chunk, uint64_t keep)
{
	uint64_t idle = chunk->free & chunk->written;

	while (idle != 0 && units.kept > keep) {
		const unsigned first = (unsigned)__builtin_ctzll(idle);
		const uint64_t above = ~(idle >> first);
		const unsigned count = above == 0 ? 64 - first : (unsigned)__builtin_ctzll(above);

		if (madvise(chunk->base + first * UNIT_BYTES, count * UNIT_BYTES, MADV_DONTNEED))
			return;
		idle &= ~run_mask(first, count);
		chunk->written &= ~run_mask(first, count);
		chunk->returned |= run_mask(first, count);
		units.kept -= count;
	}
}

static void trim(uint64_t keep)
{
	for (uint32_t i = units.count; i > 0 && units.kept > keep; i--)
		trim_chunk(&units.chunks[i - 1], keep);
}

void units_give(struct group *group)
{
	struct chunk *chunk;
	uint64_t bound;
	unsigned first, count;

	lock_take(&units.lock);
	chunk = &units.chunks[group->chunk];
	first = (unsigned)((size_t)((char *)group - chunk->base) / UNIT_BYTES);
	count = group->units;
	chunk->free |= run_mask(first, count);
	units.lowest = (uint32_t)base_min(units.lowest, group->chunk);
	units.used -= count;
	units.kept += count;
	bound = base_max(metalloc_policy.keep_bytes / UNIT_BYTES,
			 base_max(units.used / 8, units.keep));
	if (units.kept > bound)
		trim(bound / 2);
	lock_give(&units.lock);
}

void units_unmap(void)
{
	lock_take(&units.lock);
	for (uint32_t i = 0; i < units.count; i++) {
		struct chunk *const chunk = &units.chunks[i];

		if (chunk->base == NULL || chunk->free != run_mask(0, chunk->units) ||
		    munmap(chunk->base, chunk->units * UNIT_BYTES) != 0)
			continue;
		units.kept -= (unsigned)__builtin_popcountll(chunk->written);
		units.mapped_bytes -= chunk->units * UNIT_BYTES;
		units.unmapped++;
		*chunk = (struct chunk){.base = NULL};
	}
	lock_give(&units.lock);
}

void units_trim(size_t keep_bytes)
{
	lock_take(&units.lock);
	trim(keep_bytes / UNIT_BYTES);
	lock_give(&units.lock);
}

void units_usage(struct metalloc_usage *usage)
{
	lock_take(&units.lock);
	*usage = (struct metalloc_usage){
		.mapped_bytes = units.mapped_bytes,
		.used_bytes = units.used * UNIT_BYTES + units.other_bytes,
		.peak_bytes = units.peak_bytes,
		.kept_bytes = units.kept * UNIT_BYTES,
	};
	lock_give(&units.lock);
}

/** How many pages of a chunk's written units are in memory. */
static uint64_t count_resident(const struct chunk *chunk)
{
	unsigned char pages[CHUNK_UNITS * PAGES_OF_UNIT];
	uint64_t count = 0;

	if (mincore(chunk->base, chunk->units * UNIT_BYTES, pages) != 0)
		return 0;
	for (unsigned i = 0; i < chunk->units * PAGES_OF_UNIT; i++)
		count += (chunk->written >> i / PAGES_OF_UNIT) & pages[i] & 1;
	return count;
}

uint64_t units_resident(uint64_t *written_bytes)
{
	uint64_t pages = 0, written = 0;

	lock_take(&units.lock);
	for (uint32_t i = 0; i < units.count; i++)
		if (units.chunks[i].base != NULL) {
			pages += count_resident(&units.chunks[i]);
			written += (unsigned)__builtin_popcountll(units.chunks[i].written);
		}
	lock_give(&units.lock);
	*written_bytes = written * UNIT_BYTES;
	return pages * PAGE_BYTES;
}

void units_count(int64_t mapped_bytes, int64_t used_bytes)
{
	uint64_t peak_bytes;

	lock_take(&units.lock);
	units.mapped_bytes += (uint64_t)mapped_bytes;
	units.other_bytes += (uint64_t)used_bytes;
	note_peak();
	peak_bytes = units.peak_bytes;
	lock_give(&units.lock);
	profile_peak(peak_bytes);
}

void units_before_fork(void)
{
	lock_take(&units.lock);
}

void units_after_fork(void)
{
	lock_give(&units.lock);
}
