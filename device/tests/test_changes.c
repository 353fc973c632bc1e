/* SPDX-License-Identifier: MIT */
/*
 * Filters that come and go while requests run on all queues, each with a thread of its own: every
 * request is answered once, and nothing is in a filter any more when it is closed.
 *
 * Owner threads: a `struct lane` belongs to the thread of its queue, the stack to the main thread,
 * and what filters count is for any.
 */
#include "attrs.h"
#include "base/bits.h"
#include "base/clock.h"
#include "queue.h"
#include "stack.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define LANES     4
#define DEPTH     24
#define CHANGES   300
#define MOST_HIGH 4
#define READ_SIZE 8192
#define DEVICE    (1 << 20)

/** One queue, the clients before it and the driver behind it. */
struct lane {
	struct bdus_queue queue;
	struct bdus_loop *loop;
	pthread_t thread;
	struct bdus_io ios[DEPTH];
	bool is_out[DEPTH];
	/** What the driver has, in the order in which it came. */
	struct bdus_request *held[2 * DEPTH];
	unsigned held_count;
	unsigned next;
	unsigned seed;
	uint64_t begun;
	uint64_t ended;
	char data[READ_SIZE];
};

static struct lane lanes[LANES];
static struct bdus_rules rules;
static struct bdus_stack *stack;
static struct bdus_layer first_top;
static atomic_bool over;
static atomic_uint ready;
static atomic_uint open_instances;
static atomic_ullong in_filters;
static sem_t taken;

/* ---- the way in ----------------------------------------------------------------------------- */

static int open_queue(struct bdus_transport_device *device, unsigned index, struct bdus_queue *host,
		      struct bdus_transport_queue **queue)
{
	(void)device;
	(void)index;
	*queue = (void *)base_container_of(host, struct lane, queue);
	return 0;
}

static void close_queue(struct bdus_transport_queue *queue)
{
	(void)queue;
}

static int fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity)
{
	struct lane *const lane = (void *)queue;
	unsigned count = 0;

	for (unsigned i = 0; i < DEPTH && count < capacity && !atomic_load(&over); i++) {
		if (lane->is_out[i])
			continue;
		bdus_io_init(&lane->ios[i]);
		bdus_io_prepare(&lane->ios[i], BDUS_OP_READ, 0, (uint64_t)i * READ_SIZE, READ_SIZE,
				lane->data);
		lane->is_out[i] = true;
		ios[count++] = &lane->ios[i];
	}
	lane->begun += count;
	return (int)count;
}

static void commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios, unsigned count)
{
	struct lane *const lane = (void *)queue;

	for (unsigned i = 0; i < count; i++) {
		const size_t index = (size_t)(ios[i] - lane->ios);

		if (index >= DEPTH || !lane->is_out[index] || ios[i]->result != 0)
			abort();
		lane->is_out[index] = false;
	}
	lane->ended += count;
	bdus_host_make_ready(&lane->queue);
}

static const struct bdus_transport transport = {
	.name = "lanes",
	.open_queue = open_queue,
	.close_queue = close_queue,
	.fetch = fetch,
	.commit = commit,
};

/* ---- the driver ----------------------------------------------------------------------------- */

static void keep(void *instance, struct bdus_request *request)
{
	struct bdus_io *const io = base_container_of(request, struct bdus_io, request);
	struct lane *const lane = base_container_of(io->queue, struct lane, queue);

	(void)instance;
	if (lane->held_count == 2 * DEPTH)
		abort();
	lane->held[lane->held_count++] = request;
}

/** Completes some of what the driver has, so that now and then nothing is left. */
static void complete_some(struct lane *lane)
{
	struct bdus_request *ending[2 * DEPTH];
	const unsigned keeps =
		(unsigned)rand_r(&lane->seed) % 4 == 0 ? 0 : (unsigned)rand_r(&lane->seed) % DEPTH;
	unsigned count = 0;

	while (lane->held_count > keeps)
		ending[count++] = lane->held[--lane->held_count];
	for (unsigned i = 0; i < count; i++)
		bdus_complete(ending[i], 0);
}

static void *serve(void *argument)
{
	static const struct bdus_loop_options options = {.size = sizeof(options),
							 .flags = BDUS_LOOP_NOT_POLLED};
	struct lane *const lane = argument;
	const struct bdus_queue_setup setup = {
		.transport = &transport,
		.index = (unsigned)(lane - lanes),
		.top = first_top,
		.rules = &rules,
	};

	if (bdus_loop_create(&options, &lane->loop) != 0 ||
	    bdus_queue_start(&lane->queue, lane->loop, &setup) != 0)
		abort();
	bdus_host_make_ready(&lane->queue);
	atomic_fetch_add(&ready, 1);
	while (!atomic_load(&over) || lane->begun != lane->ended) {
		bdus_loop_turn(lane->loop, lane->held_count != 0 ? 0 : 1);
		complete_some(lane);
	}
	bdus_queue_end(&lane->queue);
	bdus_loop_destroy(lane->loop);
	return NULL;
}

/* ---- filters -------------------------------------------------------------------------------- */

struct instance {
	/** Requests that came and are not completed. */
	atomic_uint inside;
};

static int open_filter(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		       void **instance)
{
	(void)config;
	(void)attrs;
	*instance = calloc(1, sizeof(struct instance));
	atomic_fetch_add(&open_instances, 1);
	return *instance != NULL ? 0 : -ENOMEM;
}

static int close_filter(void *instance)
{
	if (atomic_load(&((struct instance *)instance)->inside) != 0)
		abort();
	/* Whoever comes in later finds that. */
	atomic_store(&((struct instance *)instance)->inside, 1 << 30);
	free(instance);
	atomic_fetch_sub(&open_instances, 1);
	return 0;
}

static void enter(struct instance *instance)
{
	atomic_fetch_add(&in_filters, 1);
	if (atomic_fetch_add(&instance->inside, 1) >= LANES * DEPTH)
		abort();
}

static void came_back(void *instance, struct bdus_request *parent, struct bdus_request *child,
		      int result)
{
	struct instance *const own = instance;

	if (child->offset_bytes + child->length_bytes < parent->offset_bytes + READ_SIZE) {
		bdus_filter_send(
			bdus_filter_child(parent, READ_SIZE / 2, READ_SIZE / 2, came_back));
		return;
	}
	atomic_fetch_sub(&own->inside, 1);
	bdus_complete(parent, result);
}

/** One half after the other. */
static void halve(void *instance, struct bdus_request *request)
{
	enter(instance);
	bdus_filter_send(bdus_filter_child(request, 0, READ_SIZE / 2, came_back));
}

/** The filter is out of it at once. */
static void pass(void *instance, struct bdus_request *request)
{
	struct instance *const own = instance;

	enter(own);
	atomic_fetch_sub(&own->inside, 1);
	bdus_filter_pass(request);
}

#define FILTER(word, function)                                                              \
	{                                                                                   \
		.abi = BDUS_FILTER_ABI, .size = sizeof(struct bdus_filter), .name = (word), \
		.summary = "for a test", .open = open_filter, .close = close_filter,        \
		.submit = (function),                                                       \
	}

static const struct bdus_filter filters[] = {FILTER("halving", halve), FILTER("passing", pass)};

/* ---- the test ------------------------------------------------------------------------------- */

static void change_taken(struct bdus_change *change)
{
	(void)change;
	sem_post(&taken);
}

static void begin(unsigned *high, unsigned round, const struct bdus_device_attrs *attrs,
		  struct bdus_layer *top)
{
	const struct bdus_filter_use use = {.filter = &filters[round / 3 % 2]};
	const bool comes = *high == 0 || (*high < MOST_HIGH && round % 3 != 0);
	const char *const place = round % 2 == 0 ? "0" : *high > 1 ? "1" : "0";

	assert_int_equal(comes ? bdus_stack_attach(stack, &use, attrs, top)
			       : bdus_stack_detach(stack, place, top),
			 0);
	*high = comes ? *high + 1 : *high - 1;
}

static void change_all(struct bdus_layer top)
{
	struct bdus_change change = {.top = top, .taken = change_taken};
	struct timespec deadline;

	atomic_init(&change.left, LANES);
	for (unsigned i = 0; i < LANES; i++)
		bdus_queue_order(&lanes[i].queue, &change);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 60;
	if (sem_timedwait(&taken, &deadline) != 0)
		fail_msg("not all queues took a change within a minute");
	assert_int_equal(bdus_stack_settle(stack), 0);
}

static void start(struct bdus_device_attrs *attrs)
{
	assert_int_equal(bdus_attrs_complete("driver lanes", attrs), 0);
	assert_int_equal(bdus_rules_init(&rules, attrs, attrs->ops), 0);
	assert_int_equal(bdus_stack_create(NULL, 0, &stack), 0);
	assert_int_equal(bdus_stack_open(stack, attrs), 0);
	first_top = bdus_stack_over(stack, (struct bdus_layer){.submit = keep});
	assert_int_equal(sem_init(&taken, 0, 0), 0);
	for (unsigned i = 0; i < LANES; i++) {
		lanes[i].seed = i + 1;
		assert_int_equal(pthread_create(&lanes[i].thread, NULL, serve, &lanes[i]), 0);
	}
	while (atomic_load(&ready) < LANES)
		sched_yield();
}

static uint64_t stop(void)
{
	uint64_t ended = 0;

	atomic_store(&over, true);
	for (unsigned i = 0; i < LANES; i++) {
		assert_int_equal(pthread_join(lanes[i].thread, NULL), 0);
		assert_int_equal(lanes[i].begun, lanes[i].ended);
		assert_int_equal(lanes[i].held_count, 0);
		/* None was kept from its turn by the others. */
		assert_true(lanes[i].ended > CHANGES);
		ended += lanes[i].ended;
	}
	assert_int_equal(bdus_stack_close(stack), 0);
	bdus_stack_destroy(stack);
	bdus_rules_finish(&rules);
	sem_destroy(&taken);
	return ended;
}

static void filters_come_and_go_while_requests_run_on_all_queues(void **state)
{
	struct bdus_device_attrs attrs = {.size_bytes = DEVICE, .ops = BDUS_OP_BIT(BDUS_OP_READ)};
	struct bdus_layer top;
	unsigned high = 0;

	(void)state;
	start(&attrs);
	for (unsigned round = 0; round < CHANGES; round++) {
		begin(&high, round, &attrs, &top);
		change_all(top);
		assert_int_equal(atomic_load(&open_instances), high);
	}
	assert_true(stop() >= LANES * DEPTH);
	assert_int_equal(atomic_load(&open_instances), 0);
	assert_true(atomic_load(&in_filters) > CHANGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters_come_and_go_while_requests_run_on_all_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
