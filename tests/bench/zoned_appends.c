/* SPDX-License-Identifier: MIT */
/*
 * The engine with the driver zoned in memory, between a way in that does nothing and no kernel:
 * sequential writes and appends to zones, 32 in flight, against sequential writes to the unzoned
 * driver ram. Zones are reset between passes over the device, which is not part of the time.
 *
 * usage: bench-zoned-appends [SECONDS [ROUNDS]]
 */
#include "base/bits.h"
#include "base/clock.h"
#include "options.h"
#include "queue.h"

#include <bdus/driver.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT   32U
#define SIZE        (UINT64_C(128) << 20)
#define ZONE        (UINT64_C(16) << 20)
#define LARGEST     (128U << 10)
#define MOST_ROUNDS 64U

extern const struct bdus_driver bdus_driver_ram;
extern const struct bdus_driver bdus_driver_zoned;

enum way {
	RAM,
	WRITES,
	APPENDS,
	WAYS,
};

struct side {
	const struct bdus_driver *driver;
	void *instance;
	struct bdus_config *config;
	struct bdus_device_attrs attrs;
	struct bdus_rules rules;
	struct bdus_queue queue;
	uint64_t next;
};

static struct {
	struct bdus_loop *loop;
	struct side sides[2];
	struct bdus_io ios[IN_FLIGHT];
	/** What a turn sends, and to whom. */
	struct side *side;
	enum way way;
	uint32_t bytes;
	bool resets;
	uint64_t failures;
	char *payloads;
} bench;

/* ---- the way in ----------------------------------------------------------------------------- */

static int open_queue(struct bdus_transport_device *device, unsigned index, struct bdus_queue *host,
		      struct bdus_transport_queue **queue)
{
	(void)device;
	(void)index;
	(void)host;
	*queue = NULL;
	return 0;
}

static void close_queue(struct bdus_transport_queue *queue)
{
	(void)queue;
}

static void prepare(struct bdus_io *io, unsigned number)
{
	struct side *const side = bench.side;
	const uint64_t at = side->next;

	side->next = (at + bench.bytes) % SIZE;
	bdus_io_prepare(io, bench.way == APPENDS ? BDUS_OP_ZONE_APPEND : BDUS_OP_WRITE, 0,
			bench.way == APPENDS ? at - at % ZONE : at, bench.bytes,
			bench.payloads + (size_t)number * LARGEST);
}

static int fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity)
{
	(void)queue;
	(void)capacity;
	ios[0] = &bench.ios[0];
	if (bench.resets) {
		bdus_io_prepare(ios[0], BDUS_OP_ZONE_RESET_ALL, 0, 0, SIZE, NULL);
		return 1;
	}
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		ios[i] = &bench.ios[i];
		prepare(ios[i], i);
	}
	return IN_FLIGHT;
}

static void commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios, unsigned count)
{
	(void)queue;
	for (unsigned i = 0; i < count; i++)
		bench.failures += ios[i]->result != 0;
}

static const struct bdus_transport transport = {
	.name = "bench",
	.open_queue = open_queue,
	.close_queue = close_queue,
	.fetch = fetch,
	.commit = commit,
};

/* ---- devices -------------------------------------------------------------------------------- */

static void give_up(const char *what)
{
	fprintf(stderr, "bench-zoned-appends: %s\n", what);
	exit(EXIT_FAILURE);
}

static void open_side(struct side *side, const struct bdus_driver *driver, const char *const *words,
		      unsigned count)
{
	struct bdus_queue_setup setup = {.transport = &transport, .rules = &side->rules};
	uint32_t ops;

	side->driver = driver;
	if (bdus_config_create("driver", driver->options, words, count, &side->config) < 0 ||
	    driver->open(side->config, &side->attrs, &side->instance) < 0)
		give_up("a driver does not open");
	ops = side->attrs.ops;
	side->attrs.physical_block_size = side->attrs.logical_block_size;
	side->attrs.max_transfer_bytes = LARGEST;
	side->attrs.max_append_bytes = LARGEST;
	side->attrs.max_write_zeros_bytes = LARGEST;
	side->attrs.max_discard_bytes = LARGEST;
	setup.top = (struct bdus_layer){.submit = driver->submit, .instance = side->instance};
	if (bdus_rules_init(&side->rules, &side->attrs, ops) < 0 ||
	    bdus_queue_start(&side->queue, bench.loop, &setup) < 0)
		give_up("no queue");
}

static void begin(void)
{
	static const char *const ram[] = {"size=128M"};
	static const char *const zoned[] = {"size=128M", "zone-size=16M"};
	const struct bdus_loop_options options = {
		.size = sizeof(options), .flags = BDUS_LOOP_NOT_POLLED | BDUS_LOOP_NO_RING};

	bench.payloads = malloc((size_t)IN_FLIGHT * LARGEST);
	if (bench.payloads == NULL || bdus_loop_create(&options, &bench.loop) < 0)
		give_up("no loop");
	memset(bench.payloads, 'p', (size_t)IN_FLIGHT * LARGEST);
	open_side(&bench.sides[0], &bdus_driver_ram, ram, 1);
	open_side(&bench.sides[1], &bdus_driver_zoned, zoned, 2);
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		bdus_io_init(&bench.ios[i]);
}

/* ---- measuring ------------------------------------------------------------------------------ */

static void turn(void)
{
	bdus_host_make_ready(&bench.side->queue);
	bdus_loop_turn(bench.loop, 0);
}

/** Writes the whole device, zones of which have to be reset before; nanoseconds of the writes. */
static uint64_t pass(void)
{
	uint64_t start_ns;

	bench.side->next = 0;
	if (bench.way != RAM) {
		bench.resets = true;
		turn();
		bench.resets = false;
	}
	start_ns = base_now_ns();
	for (uint64_t done = 0; done < SIZE; done += (uint64_t)IN_FLIGHT * bench.bytes)
		turn();
	return base_now_ns() - start_ns;
}

/** Nanoseconds a request. */
static double measure(enum way way, uint32_t bytes, double seconds)
{
	uint64_t took_ns = 0, done = 0;

	bench.side = &bench.sides[way == RAM ? 0 : 1];
	bench.way = way;
	bench.bytes = bytes;
	do {
		took_ns += pass();
		done += SIZE / bytes;
	} while ((double)took_ns < seconds * 1e9);
	return (double)took_ns / (double)done;
}

static int compare_numbers(const void *left, const void *right)
{
	const double a = *(const double *)left;
	const double b = *(const double *)right;

	return (a > b) - (a < b);
}

static void compare(uint32_t bytes, double seconds, unsigned rounds)
{
	double times[WAYS][MOST_ROUNDS], ratios[WAYS][MOST_ROUNDS];

	for (unsigned round = 0; round < rounds; round++)
		for (unsigned way = 0; way < WAYS; way++)
			times[way][round] = measure((enum way)way, bytes, seconds);
	for (unsigned way = 0; way < WAYS; way++) {
		for (unsigned round = 0; round < rounds; round++)
			ratios[way][round] = times[RAM][round] / times[way][round];
		qsort(ratios[way], rounds, sizeof(double), compare_numbers);
	}
	qsort(times[RAM], rounds, sizeof(double), compare_numbers);
	printf("%3u KiB: ram %.0f ns a write; zoned, of ram's speed: writes %.3f, appends %.3f\n",
	       bytes >> 10, times[RAM][rounds / 2], ratios[WRITES][rounds / 2],
	       ratios[APPENDS][rounds / 2]);
}

int main(int argc, char **argv)
{
	const double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.3;
	const unsigned long wanted = argc > 2 ? strtoul(argv[2], NULL, 10) : 9;
	const unsigned rounds = (unsigned)base_max(1, base_min(wanted, MOST_ROUNDS));

	begin();
	/* Memory is there after the first. */
	for (unsigned way = 0; way < WAYS; way++)
		measure((enum way)way, LARGEST, 0);
	compare(4096, seconds, rounds);
	compare(LARGEST, seconds, rounds);
	if (bench.failures != 0)
		give_up("requests failed");
	return 0;
}
