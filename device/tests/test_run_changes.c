/* SPDX-License-Identifier: MIT */
/*
 * As test_changes.c, through the calls that a whole device is run and changed by: filters come and
 * go hundreds of times while requests are on their way on four queues, each with a thread of its
 * own, and in part completed by a further one.
 *
 * The way in below hands out again what was committed, so that no queue is ever idle; it holds each
 * slot to its turn (out once, back once) and what is read to what was written. Filters count what
 * they hold: one may only be closed with nothing in it, and must have seen requests of each queue.
 * The driver's bytes must be the clients'. A failure ends the process: it may be found on any
 * thread.
 */
#include "base/bits.h"
#include "device.h"
#include "device/control.h"
#include "device/transport.h"
#include "queue.h"
#include "run.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <bdus/filter.h>

#define QUEUES      4
#define DEPTH       16
#define SLOT_BYTES  8192
#define QUEUE_BYTES ((uint64_t)DEPTH * SLOT_BYTES)
#define CHANGES     600
/** Most filters at once; and how many requests each queue has to begin between two changes. */
#define MOST_FILTERS 3
#define BETWEEN      24

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

struct slot {
	struct bdus_io io;
	bool is_out;
	bool reads;
	uint64_t turn;
	uint64_t data[SLOT_BYTES / sizeof(uint64_t)];
};

struct bdus_transport_queue {
	struct bdus_queue *host;
	unsigned index;
	unsigned out;
	atomic_uint begun;
	uint64_t committed;
	struct slot slots[DEPTH];
};

/** An instance of a filter. */
struct layer {
	atomic_int held;
	atomic_uint seen[QUEUES];
};

static struct bdus_transport_queue queues[QUEUES];
static struct bdus_device *device;
/** Of each queue, when the last change had ended. */
static atomic_uint begun_before[QUEUES];
static atomic_bool stopping;
static uint8_t disk[QUEUES * QUEUE_BYTES];
static atomic_uint_fast64_t asked_bytes;
static atomic_uint_fast64_t served_bytes;

/* Of the thread of queue 0. */
static unsigned filters;
static unsigned changes;
static unsigned opened;
static unsigned closed;
static bool is_changing;

/* ---- a driver that has every third request completed by another thread ----------------------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct bdus_request *waiting[2 * QUEUES * DEPTH];
	unsigned count;
	bool ended;
} late = {.lock = PTHREAD_MUTEX_INITIALIZER, .some = PTHREAD_COND_INITIALIZER};

static void *complete_late(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&late.lock);
	while (late.count != 0 || !late.ended) {
		if (late.count == 0) {
			pthread_cond_wait(&late.some, &late.lock);
			continue;
		}
		struct bdus_request *const request = late.waiting[--late.count];

		pthread_mutex_unlock(&late.lock);
		bdus_complete_from_any_thread(request, 0);
		pthread_mutex_lock(&late.lock);
	}
	pthread_mutex_unlock(&late.lock);
	return NULL;
}

static void hand_over(struct bdus_request *request)
{
	pthread_mutex_lock(&late.lock);
	CHECK(late.count < 2 * QUEUES * DEPTH);
	late.waiting[late.count++] = request;
	pthread_cond_signal(&late.some);
	pthread_mutex_unlock(&late.lock);
}

static int open_disk(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		     void **instance)
{
	(void)config;
	attrs->size_bytes = sizeof(disk);
	attrs->ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE);
	attrs->queues = QUEUES;
	attrs->queue_depth = DEPTH;
	*instance = NULL;
	return 0;
}

static void submit_to_disk(void *instance, struct bdus_request *request)
{
	uint8_t *const place = disk + request->offset_bytes;

	(void)instance;
	atomic_fetch_add(&served_bytes, request->length_bytes);
	if (request->op == BDUS_OP_READ)
		memcpy(request->data, place, request->length_bytes);
	else
		memcpy(place, request->data, request->length_bytes);
	if (request->offset_bytes / SLOT_BYTES % 3 == 0)
		hand_over(request);
	else
		bdus_complete(request, 0);
}

static const struct bdus_driver disk_driver = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(struct bdus_driver),
	.name = "disk",
	.summary = "Memory of the test",
	.open = open_disk,
	.submit = submit_to_disk,
};

/* ---- filters ----------------------------------------------------------------------------------
 */

static int open_layer(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		      void **instance)
{
	struct layer *const layer = calloc(1, sizeof(*layer));

	(void)config;
	(void)attrs;
	CHECK(layer != NULL);
	opened++;
	*instance = layer;
	return 0;
}

static int close_layer(void *instance)
{
	struct layer *const layer = instance;

	closed++;
	CHECK(atomic_load(&layer->held) == 0);
	for (unsigned i = 0; i < QUEUES; i++)
		CHECK(atomic_load(&layer->seen[i]) != 0 || atomic_load(&stopping));
	free(layer);
	return 0;
}

static void count_in(struct layer *layer, const struct bdus_request *request)
{
	atomic_fetch_add(&layer->held, 1);
	atomic_fetch_add(&layer->seen[request->offset_bytes / QUEUE_BYTES], 1);
}

static void pass(void *instance, struct bdus_request *request)
{
	struct layer *const layer = instance;

	count_in(layer, request);
	atomic_fetch_sub(&layer->held, 1);
	bdus_filter_pass(request);
}

/** The last of the children ends the parent; how many are left is in `driver_data`. */
static void part_is_done(void *instance, struct bdus_request *parent, struct bdus_request *child,
			 int result)
{
	struct layer *const layer = instance;
	const uintptr_t left = (uintptr_t)parent->driver_data - 1;

	(void)child;
	CHECK(result == 0);
	parent->driver_data = (void *)left;
	if (left != 0)
		return;
	atomic_fetch_sub(&layer->held, 1);
	bdus_complete(parent, 0);
}

static void send_parts(struct layer *layer, struct bdus_request *request, uint64_t first_bytes)
{
	const uint64_t length_bytes = request->length_bytes;
	struct bdus_request *parts[2] = {NULL, NULL};

	count_in(layer, request);
	parts[0] = bdus_filter_child(request, 0, first_bytes, part_is_done);
	CHECK(parts[0] != NULL);
	if (first_bytes < length_bytes) {
		parts[1] = bdus_filter_child(request, first_bytes, length_bytes - first_bytes,
					     part_is_done);
		CHECK(parts[1] != NULL);
	}
	request->driver_data = (void *)(uintptr_t)(parts[1] != NULL ? 2 : 1);
	bdus_filter_send(parts[0]);
	if (parts[1] != NULL)
		bdus_filter_send(parts[1]);
}

static void halve(void *instance, struct bdus_request *request)
{
	const uint64_t half_bytes = request->length_bytes / 2;

	send_parts(instance, request, half_bytes < 512 ? request->length_bytes : half_bytes);
}

static void keep(void *instance, struct bdus_request *request)
{
	send_parts(instance, request, request->length_bytes);
}

#define FILTER(filter_name, function)                                                              \
	{                                                                                          \
		.abi = BDUS_FILTER_ABI, .size = sizeof(struct bdus_filter), .name = (filter_name), \
		.summary = "A filter of the test", .open = open_layer, .close = close_layer,       \
		.submit = (function),                                                              \
	}

static const struct bdus_filter known_filters[] = {
	FILTER("passing", pass),
	FILTER("halving", halve),
	FILTER("keeping", keep),
};

static int find_filter(const char *name, const struct bdus_filter **filter)
{
	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(known_filters[i].name, name) != 0)
			continue;
		*filter = &known_filters[i];
		return 0;
	}
	return -ENOENT;
}

/* ---- changes, by the thread of queue 0 --------------------------------------------------------
 */

static void note_begun(void)
{
	for (unsigned i = 0; i < QUEUES; i++)
		atomic_store(&begun_before[i], atomic_load(&queues[i].begun));
}

static void changed(void *opaque, int result)
{
	(void)opaque;
	CHECK(result == 0);
	is_changing = false;
	note_begun();
}

static void refused(void *opaque, int result)
{
	(void)opaque;
	(void)result;
	CHECK(!"a change that was refused has ended");
}

static bool went_on(unsigned queue)
{
	return atomic_load(&queues[queue].begun) - atomic_load(&begun_before[queue]) >= BETWEEN;
}

static bool all_went_on(void)
{
	for (unsigned i = 0; i < QUEUES; i++)
		if (!went_on(i))
			return false;
	return true;
}

static void change(void)
{
	const bool attaches = filters == 0 || (filters < MOST_FILTERS && changes % 5 < 3);
	char place[16];

	snprintf(place, sizeof(place), "%u", filters != 0 ? changes / 3 % filters : 0);
	is_changing = true;
	changes++;
	if (attaches)
		CHECK(bdus_device_attach_filter(device, known_filters[changes % 3].name, NULL, 0,
						changed, NULL) == 0);
	else
		CHECK(bdus_device_detach_filter(device, place, changed, NULL) == 0);
	filters += attaches ? 1 : -1U;
	CHECK(bdus_device_detach_filter(device, "0", refused, NULL) == -EBUSY);
	CHECK(bdus_device_attach_filter(device, "passing", NULL, 0, refused, NULL) == -EBUSY);
}

static void go_on(void)
{
	if (is_changing || atomic_load(&stopping) || !all_went_on())
		return;
	if (changes < CHANGES)
		change();
	else
		bdus_device_stop(device);
}

/* ---- the way in -------------------------------------------------------------------------------
 */

static void probe(struct bdus_transport_report *report)
{
	report->usable = true;
}

static int create(const struct bdus_transport_setup *setup, struct bdus_transport_device **made)
{
	CHECK(setup->attrs->queues == QUEUES);
	*made = NULL;
	return 0;
}

static int open_queue(struct bdus_transport_device *unused, unsigned index, struct bdus_queue *host,
		      struct bdus_transport_queue **queue)
{
	(void)unused;
	queues[index].host = host;
	queues[index].index = index;
	for (unsigned i = 0; i < DEPTH; i++)
		bdus_io_init(&queues[index].slots[i].io);
	bdus_host_make_ready(host);
	*queue = &queues[index];
	return 0;
}

static int start(struct bdus_transport_device *unused)
{
	(void)unused;
	return 0;
}

static int start_result(struct bdus_transport_device *unused)
{
	(void)unused;
	return 1;
}

static void describe(struct bdus_transport_device *unused, struct bdus_device_info *info)
{
	(void)unused;
	snprintf(info->path, sizeof(info->path), "nowhere");
}

/** What a slot's place holds after it was written for the last time. */
static uint64_t pattern(const struct bdus_transport_queue *queue, const struct slot *slot, size_t i)
{
	return (slot->turn * DEPTH * QUEUES + queue->index * DEPTH +
		(uint64_t)(slot - queue->slots)) *
		       UINT64_C(0x9e3779b97f4a7c15) +
	       i;
}

/** A write, then a read of the same. */
static struct bdus_io *begin(struct bdus_transport_queue *queue, struct slot *slot)
{
	const size_t words = SLOT_BYTES / sizeof(uint64_t);
	const uint64_t index = queue->index * DEPTH + (uint64_t)(slot - queue->slots);

	if (!slot->reads)
		slot->turn++;
	for (size_t i = 0; i < words; i++)
		slot->data[i] = slot->reads ? 0 : pattern(queue, slot, i);
	bdus_io_prepare(&slot->io, slot->reads ? BDUS_OP_READ : BDUS_OP_WRITE, 0,
			index * SLOT_BYTES, SLOT_BYTES, slot->data);
	slot->is_out = true;
	queue->out++;
	atomic_fetch_add(&queue->begun, 1);
	atomic_fetch_add(&asked_bytes, SLOT_BYTES);
	return &slot->io;
}

static int fetch(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity)
{
	unsigned count = 0;

	if (atomic_load(&stopping))
		return queue->out == 0 ? -ENODEV : 0;
	for (unsigned i = 0; i < DEPTH && count < capacity; i++)
		if (!queue->slots[i].is_out)
			ios[count++] = begin(queue, &queue->slots[i]);
	if (queue->index == 0)
		go_on();
	/* There may be fewer processors than queues. */
	if (went_on(queue->index))
		usleep(20);
	return (int)count;
}

static void end(struct bdus_transport_queue *queue, struct slot *slot)
{
	CHECK(slot->is_out);
	CHECK(slot->io.result == 0);
	for (size_t i = 0; slot->reads && i < SLOT_BYTES / sizeof(uint64_t); i++)
		CHECK(slot->data[i] == pattern(queue, slot, i));
	slot->is_out = false;
	slot->reads = !slot->reads;
	queue->out--;
	queue->committed++;
}

static void commit(struct bdus_transport_queue *queue, struct bdus_io *const *ios, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		end(queue, base_container_of(ios[i], struct slot, io));
	bdus_host_make_ready(queue->host);
}

static int stop(struct bdus_transport_device *unused)
{
	(void)unused;
	atomic_store(&stopping, true);
	return 0;
}

static void close_queue(struct bdus_transport_queue *queue)
{
	CHECK(queue == NULL || queue->out == 0);
}

static int destroy(struct bdus_transport_device *unused)
{
	(void)unused;
	return 0;
}

static const struct bdus_transport load = {
	.name = "load",
	.summary = "Requests without end",
	.probe = probe,
	.create = create,
	.open_queue = open_queue,
	.start = start,
	.start_result = start_result,
	.describe = describe,
	.fetch = fetch,
	.commit = commit,
	.stop = stop,
	.close_queue = close_queue,
	.destroy = destroy,
};

const struct bdus_transport *const bdus_transport_table[] = {&load, NULL};

/* ---- the test ---------------------------------------------------------------------------------
 */

static int created(void *opaque, struct bdus_device *made, const struct bdus_device_attrs *attrs,
		   const struct bdus_device_info *info)
{
	(void)opaque;
	(void)attrs;
	(void)info;
	device = made;
	return 0;
}

/** Filters change only once the device is available. */
static int available(const struct bdus_device_info *info, void *opaque)
{
	(void)info;
	(void)opaque;
	is_changing = false;
	note_begun();
	return 0;
}

static void filters_come_and_go_under_load_and_no_request_is_lost(void **state)
{
	static const struct bdus_run_config config = {
		.driver = &disk_driver,
		.transport = "load",
		.queues = QUEUES,
		.created = created,
		.available = available,
		.find_filter = find_filter,
	};
	pthread_t thread;

	(void)state;
	is_changing = true;
	assert_int_equal(pthread_create(&thread, NULL, complete_late, NULL), 0);
	assert_int_equal(bdus_run_driver(&config), 0);
	pthread_mutex_lock(&late.lock);
	late.ended = true;
	pthread_cond_signal(&late.some);
	pthread_mutex_unlock(&late.lock);
	pthread_join(thread, NULL);
	assert_int_equal(changes, CHANGES);
	assert_true(opened >= CHANGES / 2);
	assert_int_equal(closed, opened);
	assert_int_equal(atomic_load(&served_bytes), atomic_load(&asked_bytes));
	for (unsigned i = 0; i < QUEUES; i++) {
		assert_int_equal(queues[i].out, 0);
		assert_int_equal(queues[i].committed, atomic_load(&queues[i].begun));
	}
}

static int make_runtime_directory(void **state)
{
	static char path[] = "/tmp/bdus-changes-XXXXXX";

	*state = mkdtemp(path);
	return *state != NULL ? setenv("BDUS_RUNTIME_DIR", path, 1) : -1;
}

static int drop(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

static int remove_runtime_directory(void **state)
{
	return nftw(*state, drop, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters_come_and_go_under_load_and_no_request_is_lost),
	};

	return cmocka_run_group_tests(tests, make_runtime_directory, remove_runtime_directory);
}
