/* SPDX-License-Identifier: MIT */
/*
 * Sparse memory on one private anonymous mapping, with a bitmap of the units that have memory.
 *
 * The bitmap is what makes reading an untouched unit free: the mapping is not looked at, where a
 * read would have cost a page fault and an entry in the page tables. It also counts the memory
 * used, answers extents, and is sparse itself, being a mapping of the same kind.
 *
 * Invariant: a unit whose bit is clear reads as zeros in the mapping as well, so that setting the
 * bit needs no clearing of memory and the order in which two writers of one unit come is of no
 * matter. Taking memory away clears bits first and then drops the memory. A writer that copied into
 * a unit whose bit was cleared under its hands would break the invariant; it therefore looks at
 * its bits again after the copy, and sets them again where that happened.
 */
#include "store.h"

#include "base/bits.h"
#include "copy.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	HUGE_UNIT_BYTES = 2 << 20,
	WORD_BITS = 64,
	/* From this many new bytes on, one call for all pages is faster than a fault for each. */
	POPULATE_BYTES = 64 << 10,
	/* How much memory may be taken between two looks at what the machine has left. */
	GRANT_BYTES = 16 << 20,
	/* From here on a write is no longer in the caches when it is read again. */
	LONG_COPY_BYTES = 256 << 10,
};

/* Absent from the C library's headers of Debian 12 and Ubuntu 22.04; from <linux/mman.h>. */
enum {
	ADVICE_POPULATE_WRITE = 23,
	ADVICE_DONTNEED_LOCKED = 24,
};

struct store {
	unsigned char *memory;
	_Atomic uint64_t *bitmap;
	uint64_t size_bytes;
	uint64_t mapped_bytes;
	uint64_t bitmap_bytes;
	uint64_t page_bytes;
	unsigned unit_shift;
	/* /proc/meminfo, or -1 not to look. */
	int meminfo_fd;
	uint64_t reserve_bytes;
	uint64_t limit_units;
	uint64_t grant_units;
	/* Units that have their bit set or are about to. */
	_Atomic uint64_t used_units;
	/* Up to how many units may be used before looking at the machine again. */
	_Atomic uint64_t granted_units;
};

static uint64_t unit_of(const struct store *store, uint64_t offset)
{
	return offset >> store->unit_shift;
}

static uint64_t unit_mask(uint64_t unit)
{
	return UINT64_C(1) << (unit % WORD_BITS);
}

/* The bits of one word that stand for units from @first to before @end, which lie in it. */
static uint64_t units_mask(uint64_t first, uint64_t end)
{
	const uint64_t count = end - first;

	return (count == WORD_BITS ? UINT64_MAX : (UINT64_C(1) << count) - 1)
	       << (first % WORD_BITS);
}

/* The end of the word that @unit is in, or @end if that comes first. */
static uint64_t word_end(uint64_t unit, uint64_t end)
{
	return base_min(base_align_down(unit, WORD_BITS) + WORD_BITS, end);
}

static bool unit_is_used(const struct store *store, uint64_t unit)
{
	const uint64_t word =
		atomic_load_explicit(&store->bitmap[unit / WORD_BITS], memory_order_acquire);

	return word & unit_mask(unit);
}

/* ---- what memory may be taken -------------------------------------------------------------- */

/* The number of kilobytes after @key in the text of /proc/meminfo, in bytes. */
static uint64_t meminfo_field(const char *text, const char *key)
{
	const char *const found = strstr(text, key);

	return found ? strtoull(found + strlen(key), NULL, 10) << 10 : 0;
}

/* Memory and swap that the machine could still hand out; UINT64_MAX when it does not say. */
static uint64_t available_bytes(const struct store *store)
{
	char text[4096];
	const ssize_t got = pread(store->meminfo_fd, text, sizeof(text) - 1, 0);

	if (got <= 0)
		return UINT64_MAX;
	text[got] = '\0';
	return meminfo_field(text, "MemAvailable:") + meminfo_field(text, "SwapFree:");
}

/* Whether the machine has room for this store to grow to @units and a grant more. */
static bool machine_has_room(struct store *store, uint64_t units)
{
	const uint64_t granted = atomic_load(&store->granted_units);

	if (store->meminfo_fd < 0 || units <= granted)
		return true;
	const uint64_t wanted = (units - granted + store->grant_units) << store->unit_shift;
	if (available_bytes(store) < store->reserve_bytes + wanted)
		return false;
	atomic_store(&store->granted_units, units + store->grant_units);
	return true;
}

/* Counts @units more as used, if that is allowed. */
static bool reserve_units(struct store *store, uint64_t units)
{
	const uint64_t used = atomic_fetch_add(&store->used_units, units) + units;

	if (base_likely(used <= store->limit_units && machine_has_room(store, used)))
		return true;
	atomic_fetch_sub(&store->used_units, units);
	return false;
}

/* ---- setting and clearing bits ------------------------------------------------------------- */

/* Sets @mask in a word and returns how many of its bits were clear; these must be counted. */
static uint64_t set_bits(_Atomic uint64_t *word, uint64_t mask)
{
	const uint64_t before = atomic_fetch_or(word, mask);

	return (uint64_t)__builtin_popcountll(mask & ~before);
}

/* Claims the units of @mask in one word; returns how many are new, or -1 when memory is out. */
static int64_t claim_word(struct store *store, _Atomic uint64_t *word, uint64_t mask)
{
	const uint64_t seen = atomic_load_explicit(word, memory_order_acquire);
	const uint64_t wanted = (uint64_t)__builtin_popcountll(mask & ~seen);
	uint64_t added;

	if (base_likely(wanted == 0))
		return 0;
	if (!reserve_units(store, wanted))
		return -1;
	added = set_bits(word, mask);
	/* Another thread may have set, or cleared, some of them since they were looked at. */
	atomic_fetch_add(&store->used_units, added - wanted);
	return (int64_t)added;
}

/*
 * Sets the bits of the units of a range that is about to be written, and has many new pages brought
 * in at once. A failure leaves the bits set that were set so far: their units read as zeros.
 */
static int claim(struct store *store, uint64_t offset, uint64_t length)
{
	const uint64_t end = unit_of(store, offset + length - 1) + 1;
	uint64_t added = 0;

	for (uint64_t unit = unit_of(store, offset), next; unit < end; unit = next) {
		next = word_end(unit, end);
		const int64_t result =
			claim_word(store, &store->bitmap[unit / WORD_BITS], units_mask(unit, next));
		if (base_unlikely(result < 0))
			return -ENOSPC;
		added += (uint64_t)result;
	}
	if (added << store->unit_shift >= POPULATE_BYTES) {
		const uint64_t from = base_align_down(offset, store->page_bytes);
		const int result = madvise(store->memory + from, offset + length - from,
					   ADVICE_POPULATE_WRITE);
		/* Other errors, such as of a kernel before 5.14, only mean to go page by page. */
		if (result < 0 && errno == ENOMEM)
			return -ENOSPC;
	}
	return 0;
}

/* Sets the bits of a range again that was just written, for the invariant's sake. */
static void confirm(struct store *store, uint64_t offset, uint64_t length)
{
	const uint64_t end = unit_of(store, offset + length - 1) + 1;

	atomic_thread_fence(memory_order_seq_cst);
	for (uint64_t unit = unit_of(store, offset), next; unit < end; unit = next) {
		_Atomic uint64_t *const word = &store->bitmap[unit / WORD_BITS];
		next = word_end(unit, end);
		const uint64_t mask = units_mask(unit, next);
		if (base_unlikely(mask & ~atomic_load_explicit(word, memory_order_relaxed)))
			atomic_fetch_add(&store->used_units, set_bits(word, mask));
	}
}

/* Gives the memory of whole units back, or, where the system refuses, makes it read as zeros. */
static void drop_memory(struct store *store, uint64_t from, uint64_t to)
{
	unsigned char *const start = store->memory + (from << store->unit_shift);
	const uint64_t length = (to - from) << store->unit_shift;

	if (madvise(start, length, MADV_DONTNEED) == 0 ||
	    madvise(start, length, ADVICE_DONTNEED_LOCKED) == 0)
		return;
	memset(start, 0, length);
}

/*
 * Counts @units less as used. The next growth by more than a grant looks at the machine again:
 * what was given back may be in use elsewhere by now.
 */
static void unreserve_units(struct store *store, uint64_t units)
{
	const uint64_t used = atomic_fetch_sub(&store->used_units, units) - units;

	if (atomic_load(&store->granted_units) > used + store->grant_units)
		atomic_store(&store->granted_units, used + store->grant_units);
}

/* Clears the bits of units @from to before @to and drops the memory of those that had any. */
static void release_units(struct store *store, uint64_t from, uint64_t to)
{
	uint64_t first = to, last = to, cleared = 0;

	for (uint64_t unit = from, next; unit < to; unit = next) {
		_Atomic uint64_t *const word = &store->bitmap[unit / WORD_BITS];
		next = word_end(unit, to);
		const uint64_t mask = units_mask(unit, next);
		if (!(atomic_load_explicit(word, memory_order_relaxed) & mask))
			continue;
		cleared += (uint64_t)__builtin_popcountll(atomic_fetch_and(word, ~mask) & mask);
		first = base_min(first, unit);
		last = next;
	}
	if (first == to)
		return;
	drop_memory(store, first, last);
	unreserve_units(store, cleared);
}

/* ---- content ------------------------------------------------------------------------------- */

void store_read(const struct store *store, uint64_t offset, uint64_t length, void *data)
{
	unsigned char *to = data;

	assert(base_range_within(offset, length, store->size_bytes));
	while (length != 0) {
		const uint64_t unit_left = (UINT64_C(1) << store->unit_shift) -
					   (offset & ((UINT64_C(1) << store->unit_shift) - 1));
		const uint64_t part = base_min(length, unit_left);
		if (unit_is_used(store, unit_of(store, offset)))
			memcpy(to, store->memory + offset, part);
		else
			memset(to, 0, part);
		to += part;
		offset += part;
		length -= part;
	}
}

void *store_memory(const struct store *store, uint64_t offset, uint64_t length)
{
	const uint64_t last = unit_of(store, offset + length - 1);

	assert(base_range_within(offset, length, store->size_bytes));
	for (uint64_t unit = unit_of(store, offset); unit <= last; unit++) {
		if (!unit_is_used(store, unit))
			return NULL;
	}
	return store->memory + offset;
}

static void copy_in(struct store *store, uint64_t offset, uint64_t length, const void *data)
{
	if (length >= LONG_COPY_BYTES)
		copy_past_caches(store->memory + offset, data, length);
	else
		memcpy(store->memory + offset, data, length);
}

int store_write(struct store *store, uint64_t offset, uint64_t length, const void *data)
{
	assert(base_range_within(offset, length, store->size_bytes));
	const int result = claim(store, offset, length);
	if (base_unlikely(result < 0))
		return result;
	copy_in(store, offset, length, data);
	confirm(store, offset, length);
	return 0;
}

int store_write_zeros(struct store *store, uint64_t offset, uint64_t length)
{
	assert(base_range_within(offset, length, store->size_bytes));
	const int result = claim(store, offset, length);
	if (result < 0)
		return result;
	memset(store->memory + offset, 0, length);
	confirm(store, offset, length);
	return 0;
}

/* The units wholly within a range; the last one of the device may be cut short by its end. */
static void whole_units(const struct store *store, uint64_t offset, uint64_t length, uint64_t *from,
			uint64_t *to)
{
	const uint64_t unit_bytes = UINT64_C(1) << store->unit_shift;
	uint64_t end = offset + length;

	if (end == store->size_bytes)
		end = base_align_up(end, unit_bytes);
	*from = unit_of(store, base_align_up(offset, unit_bytes));
	*to = base_max(unit_of(store, end), *from);
}

void store_discard(struct store *store, uint64_t offset, uint64_t length)
{
	uint64_t from, to;

	assert(base_range_within(offset, length, store->size_bytes));
	whole_units(store, offset, length, &from, &to);
	release_units(store, from, to);
}

/* Zeros a part of one unit, which needs nothing where the unit has no memory. */
static void zero_part(struct store *store, uint64_t offset, uint64_t end)
{
	if (offset >= end || !unit_is_used(store, unit_of(store, offset)))
		return;
	memset(store->memory + offset, 0, end - offset);
	confirm(store, offset, end - offset);
}

void store_unmap(struct store *store, uint64_t offset, uint64_t length)
{
	const uint64_t end = offset + length;
	uint64_t from, to;

	assert(base_range_within(offset, length, store->size_bytes));
	whole_units(store, offset, length, &from, &to);
	if (from << store->unit_shift > end) {
		zero_part(store, offset, end);
		return;
	}
	zero_part(store, offset, from << store->unit_shift);
	release_units(store, from, to);
	zero_part(store, to << store->unit_shift, end);
}

bool store_extent(const struct store *store, uint64_t offset, uint64_t length,
		  uint64_t *extent_length)
{
	const uint64_t range_end = base_min(offset + length, store->size_bytes);
	const uint64_t end = unit_of(store, range_end - 1) + 1;
	const bool used = unit_is_used(store, unit_of(store, offset));
	uint64_t unit = unit_of(store, offset) + 1;

	while (unit < end) {
		const uint64_t next = word_end(unit, end), mask = units_mask(unit, next);
		const uint64_t word = atomic_load(&store->bitmap[unit / WORD_BITS]);
		const uint64_t others = (used ? ~word : word) & mask;
		if (others != 0) {
			unit = base_align_down(unit, WORD_BITS) + base_log2(others & -others);
			break;
		}
		unit = next;
	}
	*extent_length = base_min(unit << store->unit_shift, range_end) - offset;
	return used;
}

uint64_t store_unit_bytes(const struct store *store)
{
	return UINT64_C(1) << store->unit_shift;
}

uint64_t store_used_bytes(const struct store *store)
{
	return atomic_load(&store->used_units) << store->unit_shift;
}

/* ---- the mapping --------------------------------------------------------------------------- */

static void *map_sparse(uint64_t length)
{
	void *const memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* A child has no use for it; copying the page tables of a large disk would take long. */
	madvise(memory, length, MADV_DONTFORK);
	return memory;
}

/* Maps the content, aligned to its unit; what alignment leaves over is unmapped again. */
static int map_memory(struct store *store)
{
	const uint64_t unit_bytes = UINT64_C(1) << store->unit_shift;
	const uint64_t slack = unit_bytes == store->page_bytes ? 0 : unit_bytes;
	unsigned char *const start = map_sparse(store->mapped_bytes + slack);

	if (start == NULL)
		return -ENOMEM;
	const uint64_t skip = base_align_up((uintptr_t)start, unit_bytes) - (uintptr_t)start;
	if (skip != 0)
		munmap(start, skip);
	if (slack != skip)
		munmap(start + skip + store->mapped_bytes, slack - skip);
	store->memory = start + skip;
	/* Both are wishes: without them the store takes more memory, or dumps core slowly. */
	madvise(store->memory, store->mapped_bytes, slack ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	madvise(store->memory, store->mapped_bytes, MADV_DONTDUMP);
	return 0;
}

static int map_all(struct store *store)
{
	const uint64_t units = store->mapped_bytes >> store->unit_shift;

	store->bitmap_bytes = base_align_up(units, WORD_BITS) / 8;
	store->bitmap = map_sparse(store->bitmap_bytes);
	return store->bitmap == NULL ? -ENOMEM : map_memory(store);
}

int store_create(struct store **store, uint64_t size_bytes, bool huge_pages, uint64_t limit_bytes,
		 uint64_t reserve_bytes)
{
	struct store *const created = calloc(1, sizeof(*created));

	if (created == NULL)
		return -ENOMEM;
	created->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	created->unit_shift = base_log2(huge_pages ? HUGE_UNIT_BYTES : created->page_bytes);
	created->size_bytes = size_bytes;
	created->mapped_bytes = base_align_up(size_bytes, UINT64_C(1) << created->unit_shift);
	created->limit_units = limit_bytes >> created->unit_shift;
	created->grant_units = base_max(GRANT_BYTES >> created->unit_shift, 1);
	created->reserve_bytes = reserve_bytes;
	created->meminfo_fd = reserve_bytes == 0 ? -1 : open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	if (map_all(created) < 0) {
		store_destroy(created);
		return -ENOMEM;
	}
	*store = created;
	return 0;
}

void store_destroy(struct store *store)
{
	if (store == NULL)
		return;
	if (store->memory != NULL)
		munmap(store->memory, store->mapped_bytes);
	if (store->bitmap != NULL)
		munmap((void *)store->bitmap, store->bitmap_bytes);
	if (store->meminfo_fd >= 0)
		close(store->meminfo_fd);
	free(store);
}
