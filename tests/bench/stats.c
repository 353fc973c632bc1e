/* SPDX-License-Identifier: MIT */
/*
 * What statistics cost. Usage:
 *
 *	bench-stats [SECONDS [ROUNDS]]
 *		the engine alone, between a way in and a driver that do nothing
 *	bench-stats count on|off BATCH N
 *		N requests and no more, for tools that count instructions
 *	bench-stats serve on|off|read URI
 *		a null device over NBD, for stats.sh; read: ten times a second
 */
#include "base/clock.h"
#include "queue.h"

#include <bdus/async.h>
#include <bdus/stats.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READ_PAUSE_NS 100000000

/* ---- the engine alone ---------------------------------------------------------------------- */

struct bench {
	struct bdus_loop *loop;
	struct bdus_queue queue;
	struct bdus_rules rules;
	struct bdus_stats_memory memory;
	struct bdus_io ios[BDUS_BATCH];
	unsigned batch;
};

static struct bench bench;

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

static int fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity)
{
	(void)queue;
	(void)capacity;
	for (unsigned i = 0; i < bench.batch; i++) {
		ios[i] = &bench.ios[i];
		bdus_io_prepare(ios[i], BDUS_OP_READ, 0, (uint64_t)i * 4096, 4096, NULL);
	}
	return (int)bench.batch;
}

static void commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios, unsigned count)
{
	(void)queue;
	(void)ios;
	(void)count;
}

static const struct bdus_transport transport = {
	.name = "bench",
	.open_queue = open_queue,
	.close_queue = close_queue,
	.fetch = fetch,
	.commit = commit,
};

static void submit(void *instance, struct bdus_request *request)
{
	(void)instance;
	bdus_complete(request, 0);
}

static void begin(void)
{
	const struct bdus_loop_options options = {
		.size = sizeof(options), .flags = BDUS_LOOP_NOT_POLLED | BDUS_LOOP_NO_RING};
	const struct bdus_device_attrs attrs = {
		.size_bytes = 1 << 30,
		.logical_block_size = 512,
		.physical_block_size = 512,
		.ops = BDUS_OP_BIT(BDUS_OP_READ),
		.max_transfer_bytes = 1 << 20,
		.max_write_zeros_bytes = 1 << 20,
		.max_discard_bytes = 1 << 20,
	};
	struct bdus_queue_setup setup = {
		.transport = &transport, .top = {.submit = submit}, .rules = &bench.rules};

	if (bdus_rules_init(&bench.rules, &attrs, attrs.ops) < 0 ||
	    bdus_stats_memory_init(&bench.memory, 1, BDUS_BATCH) < 0 ||
	    bdus_loop_create(&options, &bench.loop) < 0 ||
	    bdus_queue_start(&bench.queue, bench.loop, &setup) < 0)
		exit(EXIT_FAILURE);
	for (unsigned i = 0; i < BDUS_BATCH; i++)
		bdus_io_init(&bench.ios[i]);
}

static void turns(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		bdus_host_make_ready(&bench.queue);
		bdus_loop_turn(bench.loop, 0);
	}
}

static void choose(bool on, unsigned batch)
{
	bench.queue.stats = on ? bdus_stats_part(&bench.memory, 0) : NULL;
	bench.batch = batch;
}

/** Nanoseconds a request. */
static double measure(bool on, unsigned batch, double seconds)
{
	const uint64_t start_ns = base_now_ns();
	uint64_t took_ns;
	uint64_t done = 0;

	choose(on, batch);
	do {
		turns(1000);
		done += 1000;
		took_ns = base_now_ns() - start_ns;
	} while ((double)took_ns < seconds * 1e9);
	return (double)took_ns / (double)(done * batch);
}

static int compare_numbers(const void *left, const void *right)
{
	const double a = *(const double *)left;
	const double b = *(const double *)right;

	return (a > b) - (a < b);
}

static void compare(unsigned batch, double seconds, unsigned rounds)
{
	double times[2][64];

	for (unsigned round = 0; round < rounds; round++)
		for (unsigned on = 0; on < 2; on++)
			times[on][round] = measure(on, batch, seconds);
	for (unsigned on = 0; on < 2; on++)
		qsort(times[on], rounds, sizeof(double), compare_numbers);
	printf("batches of %3u: %6.1f ns a request without, %6.1f ns with statistics: %+5.1f ns\n",
	       batch, times[0][rounds / 2], times[1][rounds / 2],
	       times[1][rounds / 2] - times[0][rounds / 2]);
}

/* ---- a device over NBD --------------------------------------------------------------------- */

static struct bdus_device *device;

static void available(void *instance, const struct bdus_device_info *info)
{
	(void)instance;
	printf("%s\n", info->path);
	fflush(stdout);
}

static void stop(int number)
{
	(void)number;
	bdus_device_stop(device);
}

static void *read_ten_times_a_second(void *argument)
{
	const struct timespec pause = {.tv_nsec = READ_PAUSE_NS};

	for (;;) {
		struct bdus_op_stats ops;

		for (unsigned op = 0; op < BDUS_OP_COUNT; op++)
			bdus_stats_read(argument, BDUS_STATS_ALL, op, &ops);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static int start_reader(void)
{
	struct bdus_stats *stats;
	pthread_t thread;

	return bdus_stats_of_device(device, &stats) < 0 ||
	       pthread_create(&thread, NULL, read_ten_times_a_second, stats) != 0;
}

static int serve(const char *mode, const char *transport_words)
{
	const struct bdus_async_driver driver = {
		.size = sizeof(driver), .name = "null", .submit = submit, .available = available};
	const struct bdus_device_options options = {
		.size = sizeof(options),
		.driver = &driver,
		.attrs = {.size_bytes = 1 << 30,
			  .ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE)},
		.transport = transport_words,
	};
	struct bdus_queue *queue;

	if (strcmp(mode, "off") == 0)
		setenv("BDUS_NO_STATISTICS", "1", 1);
	if (bdus_device_create(&options, &device) < 0 ||
	    bdus_queue_open(device, 0, NULL, &queue) < 0 || bdus_device_start(device) < 0 ||
	    (strcmp(mode, "read") == 0 && start_reader() != 0)) {
		fprintf(stderr, "bench-stats: %s\n", bdus_manage_error());
		return EXIT_FAILURE;
	}
	signal(SIGTERM, stop);
	while (bdus_queue_result(queue) == 0)
		bdus_queue_process(queue, -1);
	bdus_queue_close(queue);
	return bdus_device_destroy(device) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const double seconds = argc > 1 ? atof(argv[1]) : 0.3;
	const unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 5;

	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3]);
	begin();
	if (argc == 5 && strcmp(argv[1], "count") == 0) {
		choose(strcmp(argv[2], "on") == 0, (unsigned)atoi(argv[3]));
		turns((uint64_t)atoll(argv[4]) / bench.batch);
		return EXIT_SUCCESS;
	}
	if (seconds <= 0 || rounds < 1 || rounds > 64)
		return 2;
	for (unsigned batch = 1; batch <= BDUS_BATCH; batch *= 8)
		compare(batch, seconds, rounds);
	return EXIT_SUCCESS;
}
