/* SPDX-License-Identifier: MIT */
/*
 * What filters cost: requests through the engine to a driver that completes them at once, without
 * and with filters, in alternating rounds. The peer is the engine without filters.
 *
 * usage: bench-filters [ROUNDS]
 */
#include "attrs.h"
#include "base/clock.h"
#include "queue.h"
#include "stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH       BDUS_BATCH
#define TURNS       2000
#define MOST_ROUNDS 101

extern const struct bdus_filter bdus_filter_error;
extern const struct bdus_filter bdus_filter_opvm;

/* The engine asks for no way in but by name. */
const struct bdus_transport *const bdus_transport_table[] = {NULL};

static const char *program_path;

/** A filter with its words; the first has none. */
struct way {
	const char *name;
	const struct bdus_filter *filter;
	const char *words[3];
	double rounds_ns[MOST_ROUNDS];
	struct bdus_queue queue;
	struct bdus_rules rules;
	struct bdus_stack *stack;
};

static struct way ways[] = {
	{.name = "no filter"},
	{.name = "error, which passes", .filter = &bdus_filter_error, .words = {"rate=0%"}},
	{.name = "opvm, machine code", .filter = &bdus_filter_opvm, .words = {"", "name=pass"}},
	{.name = "opvm, interpreter",
	 .filter = &bdus_filter_opvm,
	 .words = {"", "name=pass", "interpret"}},
	{.name = "opvm, redirects", .filter = &bdus_filter_opvm, .words = {"", "name=move"}},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* A filter of 14 instructions that passes, and one that moves requests. */
static const char program[] = ".program pass\n"
			      "ldxdw r2, [r1+0]\nldxdw r3, [r1+8]\nldxw r4, [r1+36]\n"
			      "jeq r4, 2, out\nadd r3, r2\nldxdw r5, [r1+24]\njgt r3, r5, bad\n"
			      "mov r6, r2\nand r6, 4095\njne r6, 0, bad\nout:\nmov r0, 0\nexit\n"
			      "bad:\nmov r0, 3\nexit\n"
			      ".program move\n"
			      "ldxdw r2, [r1+0]\nxor r2, 65536\nstxdw [r1+72], r2\nmov r0, 2\n"
			      "exit\n";

/* ---- a way in that hands out the same requests over and over -------------------------------- */

static struct bdus_io ios[BATCH];
static char payload[4096] __attribute__((aligned(4096)));

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

static int fetch(struct bdus_transport_queue *queue, struct bdus_io **fetched, unsigned capacity)
{
	const unsigned count = capacity < BATCH ? capacity : BATCH;

	(void)queue;
	for (unsigned i = 0; i < count; i++) {
		bdus_io_prepare(&ios[i], BDUS_OP_READ, 0, i * UINT64_C(4096), 4096, payload);
		fetched[i] = &ios[i];
	}
	return (int)count;
}

static void commit(struct bdus_transport_queue *queue, struct bdus_io *const *done, unsigned count)
{
	(void)queue;
	for (unsigned i = 0; i < count; i++)
		if (done[i]->result != 0)
			abort();
}

static const struct bdus_transport transport = {
	.name = "bench",
	.open_queue = open_queue,
	.close_queue = close_queue,
	.fetch = fetch,
	.commit = commit,
};

static void complete_at_once(void *instance, struct bdus_request *request)
{
	(void)instance;
	bdus_complete(request, 0);
}

/* ---- measuring ------------------------------------------------------------------------------- */

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, base_error_message());
	exit(1);
}

static struct bdus_layer stack_of(struct way *way, struct bdus_device_attrs *attrs)
{
	struct bdus_layer layer = {.submit = complete_at_once};
	struct bdus_filter_use use = {.filter = way->filter, .options = way->words};
	char option[256];

	if (way->filter == NULL)
		return layer;
	while (use.option_count < 3 && way->words[use.option_count] != NULL)
		use.option_count++;
	if (way->filter == &bdus_filter_opvm) {
		snprintf(option, sizeof(option), "program=%s", program_path);
		way->words[0] = option;
	}
	if (bdus_stack_create(&use, 1, &way->stack) < 0 || bdus_stack_open(way->stack, attrs) < 0)
		fail(way->name);
	return bdus_stack_over(way->stack, layer);
}

static void begin(struct way *way, struct bdus_loop *loop)
{
	struct bdus_device_attrs attrs = {.size_bytes = 1 << 20, .ops = BDUS_OP_BIT(BDUS_OP_READ)};
	struct bdus_queue_setup setup = {.transport = &transport, .rules = &way->rules};

	if (bdus_attrs_complete("bench", &attrs) < 0)
		fail(way->name);
	setup.top = stack_of(way, &attrs);
	if (bdus_rules_init(&way->rules, &attrs, attrs.ops) < 0 ||
	    bdus_queue_start(&way->queue, loop, &setup) < 0)
		fail(way->name);
}

static void end(struct way *way)
{
	bdus_queue_end(&way->queue);
	bdus_rules_finish(&way->rules);
	if (way->stack != NULL)
		bdus_stack_close(way->stack);
	bdus_stack_destroy(way->stack);
}

static double measure(struct way *way)
{
	const uint64_t began = base_now_ns();

	for (unsigned i = 0; i < TURNS; i++) {
		bdus_queue_fetch(&way->queue, BATCH);
		bdus_queue_commit(&way->queue);
	}
	return (double)(base_now_ns() - began) / (TURNS * BATCH);
}

static int compare(const void *a, const void *b)
{
	const double first = *(const double *)a, second = *(const double *)b;

	return (first > second) - (first < second);
}

static double median(struct way *way, unsigned rounds)
{
	qsort(way->rounds_ns, rounds, sizeof(way->rounds_ns[0]), compare);
	return way->rounds_ns[rounds / 2];
}

static void measure_all(unsigned rounds)
{
	const struct bdus_loop_options options = {.size = sizeof(options),
						  .flags = BDUS_LOOP_NOT_POLLED};
	struct bdus_loop *loop;
	double alone_ns;

	if (bdus_loop_create(&options, &loop) < 0)
		fail("loop");
	/* As within a turn. */
	loop->in_turn = true;
	for (unsigned i = 0; i < WAYS; i++)
		begin(&ways[i], loop);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < WAYS; i++)
			ways[i].rounds_ns[round] = measure(&ways[i]);
	alone_ns = median(&ways[0], rounds);
	for (unsigned i = 0; i < WAYS; i++) {
		const double ns = median(&ways[i], rounds);

		printf("%-22s %7.1f ns a request  %5.2f of no filter, %+6.1f ns\n", ways[i].name,
		       ns, ns / alone_ns, ns - alone_ns);
		end(&ways[i]);
	}
	loop->in_turn = false;
	bdus_loop_destroy(loop);
}

int main(int argc, char **argv)
{
	static char path[] = "/tmp/bench-filters-XXXXXX.s";
	const unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 11;
	const int fd = mkstemps(path, 2);

	if (rounds == 0 || rounds > MOST_ROUNDS || fd < 0 ||
	    write(fd, program, sizeof(program) - 1) != (ssize_t)sizeof(program) - 1)
		return 1;
	close(fd);
	program_path = path;
	for (unsigned i = 0; i < BATCH; i++)
		bdus_io_init(&ios[i]);
	measure_all(rounds);
	unlink(path);
	return 0;
}
