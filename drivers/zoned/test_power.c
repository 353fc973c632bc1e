/* SPDX-License-Identifier: MIT */
/*
 * Power cuts: thousands of seeds, each a few hundred random requests to a disk in an image that
 * lies on a store with a volatile cache, which finishes calls in any order and loses its power at a
 * random moment, torn anywhere between sectors. After each cut every zone must be in a state that
 * it had, with the data that belongs to it, not older than what was made durable.
 *
 * usage: test-zoned-power [FIRST_SEED COUNT]
 */
#include "disk.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK    512U
#define SECTOR   512U
#define ZONE     UINT64_C(8192)
#define CAPACITY 12U
#define ZONES    96U
#define CONV     1U
/* Zones that are used lie so far apart that their states are in different sectors of a page. */
#define STRIDE   13U
#define CALLS    256U
#define LOG      4096U
#define REQUESTS 64U

/* ---- what stands in for BDUS --------------------------------------------------------------- */

static char message[512];

int bdus_config_error(int errnum, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return -errnum;
}

const char *bdus_manage_error(void)
{
	return base_error_message();
}

struct bdus_queue *bdus_request_queue(const struct bdus_request *request)
{
	(void)request;
	return NULL;
}

struct bdus_loop *bdus_queue_loop(struct bdus_queue *queue)
{
	static int nothing;

	(void)queue;
	return (struct bdus_loop *)(void *)&nothing;
}

/* ---- chance -------------------------------------------------------------------------------- */

static uint64_t random_state;
static uint64_t seed;

static uint64_t draw(uint64_t limit)
{
	random_state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t value = random_state;

	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (value ^ (value >> 31)) % limit;
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "seed %llu: ", (unsigned long long)seed);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\nagain: test-zoned-power %llu 1\n", (unsigned long long)seed);
	exit(1);
}

/* ---- a store that loses its power ---------------------------------------------------------- */

struct log_entry {
	uint64_t offset;
	uint64_t length;
	char *data;
};

struct machine {
	struct store store;
	char *cache;
	char *durable;
	/** Writes that ended and are not durable. */
	struct log_entry log[LOG];
	unsigned logged;
	struct store_call *calls[CALLS];
	/** How much of the log a sync covers. */
	unsigned covers[CALLS];
	unsigned call_count;
	/** One call in so many fails; 0 for none. */
	unsigned failing;
	/** The power is gone: what is left of the driver only frees its memory. */
	bool dead;
};

static struct machine machine;

static void send_call(struct store *store, struct bdus_loop *loop, struct store_call *call)
{
	(void)store;
	(void)loop;
	if (machine.call_count == CALLS)
		fail("too many calls");
	machine.covers[machine.call_count] = machine.logged;
	machine.calls[machine.call_count++] = call;
}

static void log_write(uint64_t offset, const void *data, uint64_t length)
{
	struct log_entry *const entry = &machine.log[machine.logged++];

	if (machine.logged == LOG)
		fail("too many writes");
	*entry = (struct log_entry){offset, length, malloc(length)};
	memcpy(entry->data, data, length);
	memcpy(machine.cache + offset, data, length);
}

static void make_durable(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		memcpy(machine.durable + machine.log[i].offset, machine.log[i].data,
		       machine.log[i].length);
		free(machine.log[i].data);
	}
	machine.logged -= count;
	memmove(machine.log, machine.log + count, machine.logged * sizeof(machine.log[0]));
	for (unsigned i = 0; i < machine.call_count; i++)
		machine.covers[i] = machine.covers[i] > count ? machine.covers[i] - count : 0;
}

static int carry_out(enum store_kind kind, void *memory, uint64_t offset, uint64_t length,
		     unsigned covered)
{
	if (kind == STORE_READ)
		memcpy(memory, machine.cache + offset, length);
	else if (kind == STORE_WRITE)
		log_write(offset, memory, length);
	else
		make_durable(covered);
	return 0;
}

static int now(struct store *store, enum store_kind kind, void *memory, uint64_t offset,
	       uint64_t length)
{
	if (machine.dead)
		return -EIO;
	if (kind != STORE_SYNC && !base_range_within(offset, length, store->size_bytes))
		return -ENODATA;
	return carry_out(kind, memory, offset, length, machine.logged);
}

static int close_store(struct store *store)
{
	(void)store;
	return 0;
}

static const struct store_ops ops = {.send = send_call, .now = now, .close = close_store};

/** Ends one call, whichever. */
static void step(void)
{
	const unsigned index = (unsigned)draw(machine.call_count);
	struct store_call *const call = machine.calls[index];
	const unsigned covered = machine.covers[index];

	machine.call_count--;
	machine.calls[index] = machine.calls[machine.call_count];
	machine.covers[index] = machine.covers[machine.call_count];
	if (machine.failing != 0 && call->kind == STORE_WRITE && draw(machine.failing) == 0) {
		call->done(call, seed % 8 == 3 ? -EIO : -ENOSPC);
		return;
	}
	call->done(call, carry_out(call->kind, call->memory, call->offset, call->length, covered));
}

/** Some sectors of a write are there after the cut. */
static void tear(uint64_t offset, const char *data, uint64_t length)
{
	const uint64_t kept = draw(3);

	for (uint64_t done = 0; done < length; done += SECTOR)
		if (kept == 2 || (kept == 1 && draw(2) == 0))
			memcpy(machine.durable + offset + done, data + done, SECTOR);
}

static void cut_power(void)
{
	for (unsigned i = 0; i < machine.logged; i++) {
		tear(machine.log[i].offset, machine.log[i].data, machine.log[i].length);
		free(machine.log[i].data);
	}
	for (unsigned i = 0; i < machine.call_count; i++)
		if (machine.calls[i]->kind == STORE_WRITE)
			tear(machine.calls[i]->offset, machine.calls[i]->memory,
			     machine.calls[i]->length);
	machine.logged = 0;
	memcpy(machine.cache, machine.durable, machine.store.size_bytes);
}

/* ---- the model ----------------------------------------------------------------------------- */

enum state {
	WRITING,
	DONE,
	BROKEN,
};

struct block {
	uint64_t stamp;
	enum state state;
};

struct zone {
	struct block blocks[CAPACITY];
	unsigned written;
	/** What a flush that succeeded covers at least. */
	unsigned durable;
	bool finished;
	bool finish_durable;
	/** A request that will reset or finish it is under way. */
	bool resetting;
	bool finishing;
	/** Changes with each reset. */
	uint64_t life;
	/** Some write failed: its end may be anywhere, or it is read-only. */
	bool doubtful;
};

struct io {
	struct bdus_request request;
	bool used;
	uint64_t stamp;
	/** Of a flush: what it will have made durable. */
	unsigned covers[ZONES];
	uint64_t lives[ZONES];
	char data[4 * BLOCK];
};

static struct zone zones[ZONES];
static struct io ios[REQUESTS];
static unsigned ios_used;
static uint64_t stamps;
static struct disk *disk;

static void fill(char *data, uint64_t stamp, uint64_t length)
{
	for (uint64_t i = 0; i < length; i += sizeof(stamp)) {
		const uint64_t word = stamp * UINT64_C(0x9e3779b97f4a7c15) + i % BLOCK;

		memcpy(data + i, &word, sizeof(word));
	}
}

static unsigned zone_of(const struct bdus_request *request)
{
	return (unsigned)(request->offset_bytes / ZONE);
}

/** The blocks of a zone from its start that no write is under way to. */
static unsigned settled(const struct zone *zone)
{
	unsigned count = 0;

	while (count < zone->written && zone->blocks[count].state == DONE)
		count++;
	return count;
}

static void write_ended(struct io *io, int result)
{
	struct zone *const zone = &zones[zone_of(&io->request)];

	if (result == -ENOSPC && seed % 8 != 7)
		fail("there is room, and a write is told of none");
	if (result < 0)
		zone->doubtful = true;
	for (unsigned i = 0; i < CAPACITY; i++)
		if (zone->blocks[i].stamp == io->stamp)
			zone->blocks[i].state = result < 0 ? BROKEN : DONE;
}

static void flush_ended(const struct io *io)
{
	for (unsigned i = CONV; i < ZONES; i += STRIDE)
		if (zones[i].life == io->lives[i])
			zones[i].durable = (unsigned)base_max(zones[i].durable, io->covers[i]);
}

static void forget(struct zone *zone)
{
	*zone = (struct zone){.life = ++stamps};
}

void bdus_complete(struct bdus_request *request, int result)
{
	struct io *const io = base_container_of(request, struct io, request);
	struct zone *const zone = &zones[zone_of(request)];

	if (!io->used)
		fail("%u completed twice", request->op);
	io->used = false;
	ios_used--;
	if (machine.dead)
		return;
	if (request->op == BDUS_OP_WRITE || request->op == BDUS_OP_ZONE_APPEND) {
		write_ended(io, result);
	} else if (result < 0) {
		if (seed % 4 != 3)
			fail("operation %u failed with %d", request->op, result);
		zone->resetting = false;
		zone->finishing = false;
		zone->doubtful = true;
	} else if (request->op == BDUS_OP_FLUSH) {
		flush_ended(io);
	} else if (request->op == BDUS_OP_ZONE_RESET) {
		forget(zone);
	} else if (request->op == BDUS_OP_ZONE_FINISH) {
		zone->finishing = false;
		zone->finished = true;
		zone->finish_durable = true;
		zone->durable = zone->written;
	}
}

static struct io *take_io(void)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		if (!ios[i].used) {
			ios[i].used = true;
			ios_used++;
			ios[i].request = (struct bdus_request){.data = ios[i].data};
			return &ios[i];
		}
	return NULL;
}

static void issue_write(unsigned index, bool append)
{
	struct zone *const zone = &zones[index];
	const unsigned count = (unsigned)(1 + draw(4));
	struct io *io;

	if (zone->finished || zone->finishing || zone->resetting || zone->doubtful ||
	    zone->written + count > CAPACITY)
		return;
	io = take_io();
	io->stamp = ++stamps;
	io->request.op = append ? BDUS_OP_ZONE_APPEND : BDUS_OP_WRITE;
	io->request.offset_bytes = index * ZONE + (append ? 0 : zone->written * BLOCK);
	io->request.length_bytes = count * BLOCK;
	fill(io->data, io->stamp, count * BLOCK);
	for (unsigned i = 0; i < count; i++)
		zone->blocks[zone->written++] = (struct block){io->stamp, WRITING};
	zdisk_submit(disk, &io->request);
}

static void issue_flush(void)
{
	struct io *const io = take_io();

	io->request.op = BDUS_OP_FLUSH;
	for (unsigned i = CONV; i < ZONES; i += STRIDE) {
		io->covers[i] = zones[i].doubtful ? 0 : settled(&zones[i]);
		io->lives[i] = zones[i].life;
	}
	zdisk_submit(disk, &io->request);
}

static void issue_change(unsigned index, enum bdus_op op)
{
	struct zone *const zone = &zones[index];
	struct io *io;

	if (zone->resetting || zone->finishing || zone->doubtful ||
	    (op == BDUS_OP_ZONE_FINISH && zone->finished) || settled(zone) != zone->written)
		return;
	io = take_io();
	io->request.op = (uint8_t)op;
	io->request.offset_bytes = index * ZONE;
	io->request.length_bytes = ZONE;
	zone->resetting = op == BDUS_OP_ZONE_RESET;
	zone->finishing = op == BDUS_OP_ZONE_FINISH;
	zdisk_submit(disk, &io->request);
}

static void issue(void)
{
	const unsigned index = (unsigned)(CONV + draw((ZONES - CONV) / STRIDE) * STRIDE);
	const uint64_t kind = draw(20);

	if (kind < 7)
		issue_write(index, false);
	else if (kind < 15)
		issue_write(index, true);
	else if (kind < 17)
		issue_flush();
	else if (kind < 19)
		issue_change(index, BDUS_OP_ZONE_RESET);
	else
		issue_change(index, BDUS_OP_ZONE_FINISH);
}

/* ---- after the cut ------------------------------------------------------------------------- */

static struct bdus_zone report(unsigned index)
{
	struct bdus_zone found;
	struct io *const io = take_io();

	io->request.op = BDUS_OP_ZONE_REPORT;
	io->request.offset_bytes = index * ZONE;
	io->request.zones = &found;
	io->request.zone_capacity = 1;
	zdisk_submit(disk, &io->request);
	return found;
}

static const char *read_block(unsigned index, unsigned block)
{
	static char data[BLOCK];
	struct io *const io = take_io();

	io->request.op = BDUS_OP_READ;
	io->request.offset_bytes = index * ZONE + block * BLOCK;
	io->request.length_bytes = BLOCK;
	zdisk_submit(disk, &io->request);
	while (machine.call_count != 0)
		step();
	memcpy(data, io->data, BLOCK);
	return data;
}

/** How much of the zone holds what was written there, from its start; the rest must be zeros. */
static unsigned check_content(unsigned index, const struct zone *zone)
{
	char expected[BLOCK];
	static const char zeros[BLOCK];
	unsigned held = 0;

	for (unsigned block = 0; block < CAPACITY; block++) {
		const char *const data = read_block(index, block);
		unsigned first = block;

		while (first > 0 && zone->blocks[first - 1].stamp == zone->blocks[block].stamp)
			first--;
		fill(expected, zone->blocks[block].stamp, BLOCK);
		if (held == block && block < zone->written && memcmp(data, expected, BLOCK) == 0)
			held++;
		else if (memcmp(data, zeros, BLOCK) != 0)
			fail("zone %u, block %u: neither what was written nor zeros", index, block);
	}
	return held;
}

static void check_zone(unsigned index)
{
	struct zone *const zone = &zones[index];
	const struct bdus_zone found = report(index);
	const unsigned pointer =
		(unsigned)((found.write_pointer_bytes - found.start_bytes) / BLOCK);
	unsigned held;

	if (zone->doubtful) {
		forget(zone);
		zone->doubtful = true;
		return;
	}
	held = check_content(index, zone);
	if (found.condition == BDUS_ZONE_EMPTY && zone->resetting)
		return;
	if (found.condition == BDUS_ZONE_FULL) {
		if (!zone->finished && !zone->finishing && zone->written != CAPACITY)
			fail("zone %u is full and was not filled", index);
	} else {
		if (zone->finish_durable)
			fail("zone %u was finished and is %s", index,
			     bdus_zone_condition_name(found.condition));
		if (pointer != held)
			fail("zone %u: its write pointer is %u, but %u blocks hold data", index,
			     pointer, held);
	}
	if (held < zone->durable)
		fail("zone %u: %u blocks were durable, %u are there", index, zone->durable, held);
}

/** From here on, the model is as the disk was found. */
static void adopt(unsigned index)
{
	struct zone *const zone = &zones[index];
	const struct bdus_zone found = report(index);
	const struct zone before = *zone;
	unsigned held = 0;

	if (zone->doubtful)
		return;
	held = check_content(index, zone);
	forget(zone);
	zone->written = held;
	zone->durable = held;
	memcpy(zone->blocks, before.blocks, held * sizeof(struct block));
	for (unsigned i = 0; i < held; i++)
		zone->blocks[i].state = DONE;
	zone->finished = found.condition == BDUS_ZONE_FULL;
	zone->finish_durable = zone->finished;
}

static void open_disk(const char *when)
{
	const int result = zdisk_open(&machine.store, "image", NULL, &disk);

	if (result < 0)
		fail("cannot be opened %s: %s", when, message);
}

static void run_round(void)
{
	const uint64_t steps = draw(300);

	for (uint64_t i = 0; i < steps; i++) {
		if (ios_used < REQUESTS - 2 && draw(3) != 0)
			issue();
		else if (machine.call_count != 0)
			step();
	}
}

/** A closed image has everything that was answered. */
static void close_in_order(void)
{
	while (machine.call_count != 0)
		step();
	if (zdisk_close(disk) == 0)
		for (unsigned i = CONV; i < ZONES; i += STRIDE)
			zones[i].durable = zones[i].written;
	make_durable(machine.logged);
}

/** After the cut, the driver is made to free what it has; nothing that it does has an effect. */
static void leave_disk(void)
{
	cut_power();
	machine.dead = true;
	while (machine.call_count != 0) {
		struct store_call *const call = machine.calls[--machine.call_count];

		call->done(call, -EIO);
	}
	zdisk_close(disk);
	machine.dead = false;
	if (ios_used != 0)
		fail("%u requests were never completed", ios_used);
}

static void run_seed(void)
{
	const struct bdus_zone_geometry geometry = {
		.size_bytes = ZONES * ZONE,
		.zone_size_bytes = ZONE,
		.zone_capacity_bytes = CAPACITY * BLOCK,
		.logical_block_size = BLOCK,
		.conventional_zones = CONV,
	};

	random_state = seed * UINT64_C(0x2545f4914f6cdd1d);
	memset(zones, 0, sizeof(zones));
	machine.store = (struct store){.ops = &ops, .size_bytes = zimage_bytes(&geometry)};
	machine.cache = calloc(1, machine.store.size_bytes);
	machine.durable = calloc(1, machine.store.size_bytes);
	if (zimage_format(&machine.store, "image", &geometry, 42) < 0)
		fail("no image: %s", message);
	machine.failing = 0;
	for (unsigned round = 0; round < 4; round++) {
		open_disk(round == 0 ? "at first" : "after a cut");
		for (unsigned i = CONV; round > 0 && i < ZONES; i += STRIDE) {
			check_zone(i);
			adopt(i);
		}
		machine.failing = seed % 4 == 3 ? 40 : 0;
		run_round();
		machine.failing = 0;
		if (draw(4) == 0)
			close_in_order();
		else
			leave_disk();
	}
	free(machine.cache);
	free(machine.durable);
}

int main(int argc, char **argv)
{
	const uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	const uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 4000;

	for (seed = first; seed < first + count; seed++)
		run_seed();
	printf("%llu seeds\n", (unsigned long long)count);
	return 0;
}
