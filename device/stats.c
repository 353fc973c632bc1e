/* SPDX-License-Identifier: MIT */
/*
 * The memory of statistics, who is timed, and those who read.
 */
#include "stats.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC   UINT64_C(0x7374617473756462)
#define VERSION 1
/** Requests are timed about this far apart, where they are many. */
#define SAMPLE_NS UINT64_C(100000)
/** The most that pass on average between two that are timed. */
#define MOST_PASSED 64
/** Widths of buckets: 32 ns, then an eighth of their power of two. */
#define UNIT_SHIFT  5
#define PART_SHIFT  3
#define MOST_QUEUES 65536

/** How the memory begins; a part for each queue follows. */
struct header {
	uint64_t magic;
	uint32_t version;
	uint32_t ops;
	uint32_t buckets;
	uint32_t queues;
	uint32_t queue_depth;
	uint32_t part_bytes;
	_Alignas(64) _Atomic(uint32_t) workers;
	_Atomic(uint32_t) worker_limit;
	/* Zeros in memory of libraries that counted no filters. */
	_Alignas(64) _Atomic(uint32_t) filters;
	uint32_t filters_at;
	uint32_t filter_bytes;
	/** By place: where it counts, and its name. */
	_Atomic(uint32_t) filter_rows[BDUS_STATS_FILTERS];
	char filter_names[BDUS_STATS_FILTERS][BDUS_STATS_FILTER_BYTES];
};

_Static_assert(sizeof(struct header) <= sizeof(struct bdus_stats_part), "the header has a place");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "counters are shared between processes");

static uint64_t load(const _Atomic(uint64_t) *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- buckets ------------------------------------------------------------------------------- */

static unsigned bucket_of(uint64_t ns)
{
	const uint64_t units = ns >> UNIT_SHIFT;
	unsigned power;

	if (units < 1 << PART_SHIFT)
		return (unsigned)units;
	power = 63 - (unsigned)__builtin_clzll(units) - PART_SHIFT;
	return (unsigned)base_min(((uint64_t)power << PART_SHIFT) + (units >> power),
				  BDUS_STATS_BUCKETS - 1);
}

uint64_t bdus_stats_bucket_ns(unsigned bucket)
{
	const unsigned power = bucket >> PART_SHIFT;
	const uint64_t part = bucket & ((1 << PART_SHIFT) - 1);

	if (power == 0)
		return part << UNIT_SHIFT;
	return (part + (1 << PART_SHIFT)) << (power - 1 + UNIT_SHIFT);
}

/* ---- counting ------------------------------------------------------------------------------ */

static uint32_t draw(struct bdus_stats_sampler *sampler, uint64_t mean)
{
	/* xorshift64. */
	sampler->random ^= sampler->random << 13;
	sampler->random ^= sampler->random >> 7;
	sampler->random ^= sampler->random << 17;
	return 1 + (uint32_t)((sampler->random >> 32) % (2 * mean - 1));
}

void bdus_stats_sampler_init(struct bdus_stats_sampler *sampler, uint64_t seed)
{
	*sampler = (struct bdus_stats_sampler){.until = 1, .mean = 1, .random = seed | 1};
}

void bdus_stats_begin(struct bdus_stats_sampler *sampler, struct bdus_io *io)
{
	const uint64_t now_ns = base_now_ns();
	const uint64_t elapsed_ns = base_max(now_ns - sampler->last_ns, 1);
	const uint64_t mean = sampler->passed * SAMPLE_NS / elapsed_ns;

	io->fetched_ns = now_ns;
	sampler->last_ns = now_ns;
	sampler->passed = 0;
	/* The first ones of a burst say the most of it. */
	sampler->mean = (uint32_t)base_max(
		base_min(mean, base_min((uint64_t)sampler->mean * 2, MOST_PASSED)), 1);
	sampler->until = draw(sampler, sampler->mean);
}

void bdus_stats_end(struct bdus_stats_part *part, struct bdus_io *io, uint64_t now_ns)
{
	struct bdus_stats_counters *const op = &part->ops[io->request.op];
	const uint64_t took_ns = now_ns - io->fetched_ns;

	io->fetched_ns = 0;
	bdus_stats_add(&op->timed, 1);
	bdus_stats_add(&op->timed_ns, took_ns);
	bdus_stats_add(&part->buckets[io->request.op][bucket_of(took_ns)], 1);
}

void bdus_stats_left(struct bdus_stats_part *part, unsigned row, struct bdus_io *io)
{
	struct bdus_stats_filter *const filter = &part->filters[row];
	const uint64_t took_ns = base_now_ns() - io->entered_ns;

	io->entered_ns = 0;
	bdus_stats_add(&filter->held.timed, 1);
	bdus_stats_add(&filter->held.timed_ns, took_ns);
	bdus_stats_add(&filter->buckets[bucket_of(took_ns)], 1);
}

/* ---- the memory ---------------------------------------------------------------------------- */

/** Others can map it to read, and can rely on its size. */
static int seal(int fd)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

	return fcntl(fd, F_ADD_SEALS, seals) != 0
		       ? base_error_errno(errno, "cannot seal the memory of statistics")
		       : 0;
}

static int map_new(struct bdus_stats_memory *memory)
{
	memory->fd = memfd_create("bdus-statistics", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory->fd < 0)
		return base_error_errno(errno, "cannot make memory for statistics");
	if (ftruncate(memory->fd, (off_t)memory->size) != 0)
		return base_error_errno(errno, "cannot make %zu bytes for statistics",
					memory->size);
	memory->start = mmap(NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
	if (memory->start == MAP_FAILED) {
		memory->start = NULL;
		return base_error_errno(errno, "cannot map memory for statistics");
	}
	return seal(memory->fd);
}

int bdus_stats_memory_init(struct bdus_stats_memory *memory, uint32_t queues, uint32_t queue_depth)
{
	struct bdus_stats_memory made = {
		.fd = -1,
		.size = sizeof(struct bdus_stats_part) * ((size_t)queues + 1),
	};
	const int result = map_new(&made);

	if (result < 0) {
		bdus_stats_memory_finish(&made);
		return result;
	}
	*(struct header *)made.start = (struct header){
		.magic = MAGIC,
		.version = VERSION,
		.ops = BDUS_OP_COUNT,
		.buckets = BDUS_STATS_BUCKETS,
		.queues = queues,
		.queue_depth = queue_depth,
		.part_bytes = sizeof(struct bdus_stats_part),
		.filters_at = offsetof(struct bdus_stats_part, filters),
		.filter_bytes = sizeof(struct bdus_stats_filter),
	};
	*memory = made;
	return 0;
}

void bdus_stats_memory_finish(struct bdus_stats_memory *memory)
{
	if (memory->start != NULL)
		munmap(memory->start, memory->size);
	if (memory->size != 0 && memory->fd >= 0)
		close(memory->fd);
	*memory = (struct bdus_stats_memory){.fd = -1};
}

struct bdus_stats_part *bdus_stats_part(const struct bdus_stats_memory *memory, unsigned index)
{
	if (memory->start == NULL)
		return NULL;
	return (struct bdus_stats_part *)memory->start + 1 + index;
}

void bdus_stats_name_filters(const struct bdus_stats_memory *memory,
			     const struct bdus_stats_row *rows, unsigned count)
{
	struct header *const header = memory->start;

	if (header == NULL)
		return;
	count = count < BDUS_STATS_FILTERS ? count : BDUS_STATS_FILTERS;
	for (unsigned i = 0; i < count; i++) {
		snprintf(header->filter_names[i], BDUS_STATS_FILTER_BYTES, "%s", rows[i].name);
		atomic_store_explicit(&header->filter_rows[i], rows[i].row, memory_order_relaxed);
	}
	atomic_store_explicit(&header->filters, count, memory_order_release);
}

void bdus_stats_clear_filter(const struct bdus_stats_memory *memory, unsigned row)
{
	const struct header *const header = memory->start;

	for (uint32_t i = 0; header != NULL && i < header->queues; i++) {
		struct bdus_stats_filter *const filter = &bdus_stats_part(memory, i)->filters[row];

		/* What was never used takes no memory, and is not to. */
		if (load(&filter->held.operations) != 0)
			memset((void *)filter, 0, sizeof(*filter));
	}
}

_Atomic(uint32_t) *bdus_stats_workers(const struct bdus_stats_memory *memory, uint32_t limit)
{
	struct header *const header = memory->start;

	if (header == NULL)
		return NULL;
	atomic_store_explicit(&header->worker_limit, limit, memory_order_relaxed);
	return &header->workers;
}

/* ---- reading ------------------------------------------------------------------------------- */

/** What the header says is checked once and then remembered: its writer may be hostile. */
struct bdus_stats {
	const char *start;
	size_t size;
	uint32_t queues;
	uint32_t queue_depth;
	uint32_t ops;
	uint32_t part_bytes;
	/** Of the filters in each part; how many there are comes later. */
	uint32_t filters_at;
	uint32_t filter_bytes;
};

/** Where the parts have what this version reads, however many operations another one knows. */
static size_t counters_at(const struct bdus_stats *stats, uint32_t queue, uint32_t op)
{
	return stats->part_bytes * ((size_t)queue + 1) + offsetof(struct bdus_stats_part, ops) +
	       op * sizeof(struct bdus_stats_counters);
}

static size_t buckets_offset(uint32_t ops)
{
	const size_t end =
		offsetof(struct bdus_stats_part, ops) + ops * sizeof(struct bdus_stats_counters);

	return (end + 63) & ~(size_t)63;
}

static size_t buckets_at(const struct bdus_stats *stats, uint32_t queue, uint32_t op)
{
	return stats->part_bytes * ((size_t)queue + 1) + buckets_offset(stats->ops) +
	       op * sizeof(uint64_t) * BDUS_STATS_BUCKETS;
}

_Static_assert(offsetof(struct bdus_stats_part, buckets) ==
		       ((offsetof(struct bdus_stats_part, ops) +
			 BDUS_OP_COUNT * sizeof(struct bdus_stats_counters) + 63) &
			~(size_t)63),
	       "buckets follow the counters");

/** Numbers of filters that cannot be are taken for none. */
static void check_filters(struct bdus_stats *stats)
{
	const struct header *const header = (const void *)stats->start;
	const uint64_t at = header->filters_at;
	const uint64_t bytes = header->filter_bytes;

	if (at % 64 != 0 || bytes % 64 != 0 || bytes < sizeof(struct bdus_stats_filter) ||
	    at + bytes * BDUS_STATS_FILTERS > stats->part_bytes)
		return;
	stats->filters_at = (uint32_t)at;
	stats->filter_bytes = (uint32_t)bytes;
}

static int check_header(struct bdus_stats *stats)
{
	const struct header *const header = (const void *)stats->start;

	stats->queues = header->queues;
	stats->queue_depth = header->queue_depth;
	stats->ops = header->ops;
	stats->part_bytes = header->part_bytes;
	if (header->magic != MAGIC || header->version != VERSION ||
	    header->buckets != BDUS_STATS_BUCKETS)
		return base_error(EPROTO, "statistics of version %u: this is for version %u",
				  header->version, VERSION);
	if (stats->queues == 0 || stats->queues > MOST_QUEUES || stats->ops == 0 ||
	    stats->ops > 256 || stats->part_bytes % 64 != 0 ||
	    stats->part_bytes < buckets_offset(stats->ops) +
					stats->ops * sizeof(uint64_t) * BDUS_STATS_BUCKETS ||
	    stats->size / stats->part_bytes < (size_t)stats->queues + 1)
		return base_error(EPROTO,
				  "statistics of %zu bytes say that they have %u queues with %u "
				  "operations in parts of %u bytes",
				  stats->size, stats->queues, stats->ops, stats->part_bytes);
	check_filters(stats);
	return 0;
}

/** Who shrinks what others have mapped, kills them. */
static int check_file(int fd, size_t *size)
{
	const int wanted = F_SEAL_SHRINK;
	const int seals = fcntl(fd, F_GET_SEALS);
	struct stat status;

	if (seals < 0 || (seals & wanted) != wanted || fstat(fd, &status) != 0 ||
	    status.st_size < (off_t)sizeof(struct header))
		return base_error(EPROTO, "what came for statistics is not sealed memory");
	*size = (size_t)status.st_size;
	return 0;
}

static int map_to_read(int fd, struct bdus_stats *stats)
{
	const int result = check_file(fd, &stats->size);
	void *start;

	if (result < 0)
		return result;
	start = mmap(NULL, stats->size, PROT_READ, MAP_SHARED, fd, 0);
	if (start == MAP_FAILED)
		return base_error_errno(errno, "cannot map statistics of %zu bytes", stats->size);
	stats->start = start;
	return check_header(stats);
}

int bdus_stats_open_fd(int fd, struct bdus_stats **result_stats)
{
	struct bdus_stats *const stats = calloc(1, sizeof(*stats));
	int result;

	if (stats == NULL) {
		close(fd);
		return base_error(ENOMEM, "no memory to read statistics");
	}
	result = map_to_read(fd, stats);
	close(fd);
	if (result < 0) {
		bdus_stats_close(stats);
		return result;
	}
	*result_stats = stats;
	return 0;
}

void bdus_stats_close(struct bdus_stats *stats)
{
	if (stats == NULL)
		return;
	if (stats->start != NULL)
		munmap((void *)(uintptr_t)stats->start, stats->size);
	free(stats);
}

/** The queues that are meant by @queue: from *@first to before *@end. */
static int choose(const struct bdus_stats *stats, uint32_t queue, uint32_t *first, uint32_t *end)
{
	if (queue != BDUS_STATS_ALL && queue >= stats->queues)
		return base_error(EINVAL, "statistics of queue %u: the device has %u", queue,
				  stats->queues);
	*first = queue == BDUS_STATS_ALL ? 0 : queue;
	*end = queue == BDUS_STATS_ALL ? stats->queues : queue + 1;
	return 0;
}

static void add(struct bdus_op_stats *sum, const struct bdus_stats_counters *counters,
		const _Atomic(uint64_t) *buckets)
{
	sum->operations += load(&counters->operations);
	sum->bytes += load(&counters->bytes);
	sum->errors += load(&counters->errors);
	sum->timed += load(&counters->timed);
	sum->timed_ns += load(&counters->timed_ns);
	if (load(&counters->timed) == 0)
		return;
	for (unsigned i = 0; i < BDUS_STATS_BUCKETS; i++)
		sum->buckets[i] += load(&buckets[i]);
}

static void add_counters(struct bdus_op_stats *sum, const struct bdus_stats *stats, uint32_t queue,
			 uint32_t op)
{
	add(sum, (const void *)(stats->start + counters_at(stats, queue, op)),
	    (const void *)(stats->start + buckets_at(stats, queue, op)));
}

int bdus_stats_read(const struct bdus_stats *stats, uint32_t queue, uint32_t op,
		    struct bdus_op_stats *result)
{
	const uint32_t first_op = op == BDUS_STATS_ALL ? 0 : op;
	const uint32_t end_op = op >= stats->ops ? (op == BDUS_STATS_ALL ? stats->ops : 0) : op + 1;
	uint32_t first = 0;
	uint32_t end = 0;
	const int error = choose(stats, queue, &first, &end);

	if (error < 0)
		return error;
	*result = (struct bdus_op_stats){0};
	for (uint32_t i = first; i < end; i++)
		for (uint32_t j = first_op; j < end_op; j++)
			add_counters(result, stats, i, j);
	return 0;
}

int bdus_stats_read_filter(const struct bdus_stats *stats, uint32_t queue, uint32_t place,
			   struct bdus_filter_stats *result)
{
	const struct header *const header = (const void *)stats->start;
	const uint32_t filters =
		stats->filter_bytes == 0
			? 0
			: atomic_load_explicit(&header->filters, memory_order_acquire);
	uint32_t first = 0;
	uint32_t end = 0;
	uint32_t row = BDUS_STATS_FILTERS;
	const int error = choose(stats, queue, &first, &end);

	if (error < 0)
		return error;
	if (place < base_min(filters, BDUS_STATS_FILTERS))
		row = atomic_load_explicit(&header->filter_rows[place], memory_order_relaxed);
	if (row >= BDUS_STATS_FILTERS)
		return base_error(ENODEV, "statistics of filter %u: the device has %u", place,
				  filters);
	*result = (struct bdus_filter_stats){0};
	memcpy(result->name, header->filter_names[place], sizeof(result->name) - 1);
	for (uint32_t i = first; i < end; i++) {
		const struct bdus_stats_filter *const filter =
			(const void *)(stats->start + stats->part_bytes * ((size_t)i + 1) +
				       stats->filters_at + row * (size_t)stats->filter_bytes);

		add(&result->held, &filter->held, filter->buckets);
		result->completed += load(&filter->completed);
	}
	return 0;
}

static uint64_t ended_of(const struct bdus_stats *stats, uint32_t queue)
{
	uint64_t ended = 0;

	for (uint32_t op = 0; op < stats->ops; op++) {
		const struct bdus_stats_counters *const counters =
			(const void *)(stats->start + counters_at(stats, queue, op));

		ended += load(&counters->operations);
	}
	return ended;
}

int bdus_stats_read_queue(const struct bdus_stats *stats, uint32_t queue,
			  struct bdus_queue_stats *result)
{
	const struct header *const header = (const void *)stats->start;
	struct bdus_queue_stats sum = {
		.queues = stats->queues,
		.queue_depth = stats->queue_depth,
		.ops = stats->ops,
		.workers = atomic_load_explicit(&header->workers, memory_order_relaxed),
		.worker_limit = atomic_load_explicit(&header->worker_limit, memory_order_relaxed),
	};
	uint32_t first = 0;
	uint32_t end = 0;
	const int error = choose(stats, queue, &first, &end);

	if (error < 0)
		return error;
	for (uint32_t i = first; i < end; i++) {
		const struct bdus_stats_part *const part =
			(const void *)(stats->start + stats->part_bytes * ((size_t)i + 1));
		/* What ended first, so that no request ended that was not fetched. */
		const uint64_t ended = ended_of(stats, i);
		const uint64_t fetched = atomic_load_explicit(&part->fetched, memory_order_acquire);

		sum.fetched += fetched;
		sum.batches += load(&part->batches);
		sum.in_flight += fetched > ended ? fetched - ended : 0;
	}
	sum.time_ns = base_now_ns();
	*result = sum;
	return 0;
}

void bdus_stats_subtract(struct bdus_op_stats *later, const struct bdus_op_stats *earlier)
{
	later->operations -= earlier->operations;
	later->bytes -= earlier->bytes;
	later->errors -= earlier->errors;
	later->timed -= earlier->timed;
	later->timed_ns -= earlier->timed_ns;
	for (unsigned i = 0; i < BDUS_STATS_BUCKETS; i++)
		later->buckets[i] -= earlier->buckets[i];
}

uint64_t bdus_stats_quantile_ns(const struct bdus_op_stats *stats, double quantile)
{
	uint64_t total = 0;
	uint64_t below = 0;
	double wanted;

	for (unsigned i = 0; i < BDUS_STATS_BUCKETS; i++)
		total += stats->buckets[i];
	wanted = quantile * (double)total;
	for (unsigned i = 0; i < BDUS_STATS_BUCKETS; i++) {
		const uint64_t here = stats->buckets[i];
		const double start = (double)bdus_stats_bucket_ns(i);
		const double width = (double)bdus_stats_bucket_ns(i + 1) - start;

		if (here != 0 && (double)(below + here) >= wanted && wanted >= (double)below)
			return (uint64_t)(start + width * (wanted - (double)below) / (double)here);
		below += here;
	}
	return 0;
}
