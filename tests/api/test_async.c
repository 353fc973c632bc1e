/* SPDX-License-Identifier: MIT */
/*
 * Serving through bdus/async.h: one loop, one thread, many devices and queues; completions at once,
 * later and from elsewhere; and a descriptor that shows each event until it was dealt with.
 */
#include "async_test.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICES       16
#define QUEUES        4
#define QUEUE_CLIENTS 8

/* ---- threads ------------------------------------------------------------------------------- */

static unsigned tasks_before;

static void expect_no_new_thread(void *unused)
{
	(void)unused;
	assert_int_equal(async_count("/proc/self/task"), tasks_before);
}

static void serve_counting_threads(uint32_t flags)
{
	struct async_client client;
	struct async_disk disk;
	struct bdus_queue *queue;
	struct bdus_loop *loop;

	async_client_start(&client, 0, async_client_verify, 0);
	tasks_before = async_count("/proc/self/task");
	loop = async_loop(flags);
	expect_no_new_thread(NULL);
	async_disk_init(&disk, ASYNC_AT_ONCE);
	queue = async_disk_start(&disk, 0, loop);
	async_serve(loop, &client, 1, expect_no_new_thread, NULL);
	assert_int_equal(disk.available, 1);
	async_disk_end(&disk, queue, loop);
	expect_no_new_thread(NULL);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
	expect_no_new_thread(NULL);
}

static void no_thread_is_created(void **state)
{
	(void)state;
	serve_counting_threads(0);
}

static void without_io_uring_nbd_is_served_without_a_thread_too(void **state)
{
	(void)state;
	serve_counting_threads(BDUS_LOOP_NO_RING);
}

/* ---- many ---------------------------------------------------------------------------------- */

static void serve_many(enum async_answer answer, uint32_t flags)
{
	static struct async_disk disks[DEVICES];
	struct async_client clients[DEVICES];
	struct bdus_queue *queues[DEVICES];
	struct bdus_loop *loop;

	for (unsigned i = 0; i < DEVICES; i++)
		async_client_start(&clients[i], i, async_client_verify, i);
	loop = async_loop(flags);
	for (unsigned i = 0; i < DEVICES; i++) {
		async_disk_init(&disks[i], answer);
		queues[i] = async_disk_start(&disks[i], i, loop);
	}
	async_serve(loop, clients, DEVICES, NULL, NULL);
	for (unsigned i = 0; i < DEVICES; i++) {
		assert_true(atomic_load(&disks[i].submitted) >= 128);
		for (unsigned j = i + 1; j < DEVICES; j++)
			assert_int_equal(bdus_queue_result(queues[j]), 0);
		async_disk_end(&disks[i], queues[i], loop);
		async_disk_finish(&disks[i]);
	}
	bdus_loop_destroy(loop);
}

static void many_devices_share_one_loop_and_end_one_by_one(void **state)
{
	(void)state;
	serve_many(ASYNC_AT_ONCE, 0);
}

static void many_devices_share_a_loop_without_io_uring(void **state)
{
	(void)state;
	serve_many(ASYNC_AT_ONCE, BDUS_LOOP_NO_RING);
}

static void many_devices_of_threads_share_one_loop(void **state)
{
	(void)state;
	serve_many(ASYNC_THREADED, 0);
	serve_many(ASYNC_THREADED, BDUS_LOOP_NO_RING);
}

/** Which queue's loop each request came through, by the thread that it was submitted on. */
static atomic_uint seen_by_queue[QUEUES];
static struct bdus_loop *loops[QUEUES];
static pthread_t owners[QUEUES];
static atomic_uint strays;

static void note_queue(struct async_disk *disk, struct bdus_request *request)
{
	struct bdus_loop *const loop = bdus_queue_loop(bdus_request_queue(request));

	(void)disk;
	for (unsigned i = 0; i < QUEUES; i++) {
		if (loop != loops[i])
			continue;
		atomic_fetch_add(&seen_by_queue[i], 1);
		if (!pthread_equal(owners[i], pthread_self()))
			atomic_fetch_add(&strays, 1);
		return;
	}
	atomic_fetch_add(&strays, 1);
}

static void many_queues_share_one_thread(void **state)
{
	struct async_client clients[QUEUE_CLIENTS];
	struct bdus_queue *queues[QUEUES];
	struct async_disk disk;
	struct bdus_loop *loop;

	(void)state;
	for (unsigned i = 0; i < QUEUE_CLIENTS; i++)
		async_client_start(&clients[i], 0, async_client_verify, i);
	loop = async_loop(0);
	async_disk_init(&disk, ASYNC_AT_ONCE);
	disk.queues = QUEUES;
	assert_int_equal(async_disk_create(&disk, 0), 0);
	assert_int_equal(bdus_device_attrs(disk.device)->queues, QUEUES);
	for (unsigned i = 0; i < QUEUES; i++)
		assert_int_equal(bdus_queue_open(disk.device, i, loop, &queues[i]), 0);
	assert_int_equal(bdus_device_start(disk.device), 0);
	async_serve(loop, clients, QUEUE_CLIENTS, NULL, NULL);
	bdus_device_stop(disk.device);
	for (unsigned i = 0; i < QUEUES; i++) {
		while (bdus_queue_result(queues[i]) == 0)
			async_turn(loop);
		assert_int_equal(bdus_queue_close(queues[i]), 0);
	}
	assert_int_equal(bdus_device_destroy(disk.device), 0);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
}

struct queue_thread {
	struct async_disk *disk;
	pthread_barrier_t *opened;
	unsigned index;
	int result;
};

/** A queue with a loop that it owns; errors are left for the main thread. */
static void *serve_queue(void *argument)
{
	struct queue_thread *const self = argument;
	struct bdus_queue *queue = NULL;

	self->result = bdus_queue_open(self->disk->device, self->index, NULL, &queue);
	if (self->result == 0) {
		loops[self->index] = bdus_queue_loop(queue);
		owners[self->index] = pthread_self();
	}
	pthread_barrier_wait(self->opened);
	while (self->result >= 0 && bdus_queue_result(queue) == 0)
		self->result = bdus_queue_process(queue, -1);
	if (self->result >= 0)
		self->result = bdus_queue_result(queue) == -ENODEV ? bdus_queue_close(queue) : -EIO;
	return NULL;
}

static void serve_on_threads(struct async_disk *disk, struct async_client *clients)
{
	struct queue_thread parts[QUEUES];
	pthread_t threads[QUEUES];
	pthread_barrier_t opened;
	struct bdus_queue *queue;

	assert_int_equal(async_disk_create(disk, 0), 0);
	assert_int_equal(bdus_queue_open(disk->device, 0, loops[0], &queue), 0);
	pthread_barrier_init(&opened, NULL, QUEUES);
	for (unsigned i = 1; i < QUEUES; i++) {
		parts[i] = (struct queue_thread){disk, &opened, i, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, serve_queue, &parts[i]), 0);
	}
	pthread_barrier_wait(&opened);
	assert_int_equal(bdus_device_start(disk->device), 0);
	async_serve(loops[0], clients, QUEUE_CLIENTS, NULL, NULL);
	bdus_device_stop(disk->device);
	while (bdus_queue_result(queue) == 0)
		async_turn(loops[0]);
	for (unsigned i = 1; i < QUEUES; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(parts[i].result, 0);
	}
	pthread_barrier_destroy(&opened);
	async_disk_end(disk, queue, loops[0]);
}

static void each_queue_has_a_thread_of_its_own(void **state)
{
	struct async_client clients[QUEUE_CLIENTS];
	struct async_disk disk;

	(void)state;
	for (unsigned i = 0; i < QUEUE_CLIENTS; i++)
		async_client_start(&clients[i], 0, async_client_verify, i);
	loops[0] = async_loop(0);
	owners[0] = pthread_self();
	async_disk_init(&disk, ASYNC_AT_ONCE);
	disk.queues = QUEUES;
	disk.on_submit = note_queue;
	serve_on_threads(&disk, clients);
	bdus_loop_destroy(loops[0]);
	async_disk_finish(&disk);
	assert_int_equal(atomic_load(&strays), 0);
	for (unsigned i = 0; i < QUEUES; i++)
		assert_true(atomic_load(&seen_by_queue[i]) > 0);
}

/* ---- completions --------------------------------------------------------------------------- */

static void answer_here(void *argument)
{
	async_disk_answer(argument, UINT_MAX, false);
}

static void answer_here_as_if_elsewhere(void *argument)
{
	async_disk_answer(argument, UINT_MAX, true);
}

static void serve_held(void (*answer)(void *disk), uint32_t flags)
{
	struct async_client client;
	struct async_disk disk;
	struct bdus_queue *queue;
	struct bdus_loop *loop;

	async_client_start(&client, 0, async_client_verify, 0);
	loop = async_loop(flags);
	async_disk_init(&disk, ASYNC_HELD);
	queue = async_disk_start(&disk, 0, loop);
	async_serve(loop, &client, 1, answer, &disk);
	async_disk_end(&disk, queue, loop);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
}

/* The client has one request in flight: each result that did not leave would hold it up for ever.
 */
static void results_given_between_two_calls_make_the_descriptor_readable(void **state)
{
	(void)state;
	serve_held(answer_here, 0);
	serve_held(answer_here, BDUS_LOOP_NO_RING);
	serve_held(answer_here_as_if_elsewhere, 0);
	serve_held(answer_here_as_if_elsewhere, BDUS_LOOP_NO_RING);
}

static void another_thread_completes(void **state)
{
	struct async_client client;
	struct async_disk disk;
	struct bdus_queue *queue;
	struct bdus_loop *loop;
	pthread_t helper;

	(void)state;
	async_client_start(&client, 0, async_client_verify, 0);
	loop = async_loop(0);
	async_disk_init(&disk, ASYNC_ELSEWHERE);
	queue = async_disk_start(&disk, 0, loop);
	assert_int_equal(pthread_create(&helper, NULL, async_disk_helper, &disk), 0);
	async_serve(loop, &client, 1, NULL, NULL);
	/* It may still be waking the loop for the last request. */
	async_disk_end_helper(&disk);
	pthread_join(helper, NULL);
	async_disk_end(&disk, queue, loop);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
}

struct bystander {
	struct bdus_call call;
	int pidfd;
	bool ended;
};

static void client_ended(struct bdus_call *call)
{
	((struct bystander *)call)->ended = true;
}

/** The loop sleeps itself, for as long as it likes, and makes nothing but progress. */
static void serve_sleeping(uint32_t flags, uint32_t busy_poll_us)
{
	const struct bdus_loop_options options = {
		.size = sizeof(options), .flags = flags, .busy_poll_us = busy_poll_us};
	struct bystander bystander = {.call = {.completed = client_ended}};
	struct async_client client;
	struct async_disk disk;
	struct bdus_queue *queue;
	struct bdus_loop *loop;

	async_client_start(&client, 0, async_client_verify, 0);
	assert_int_equal(bdus_loop_create(&options, &loop), 0);
	async_disk_init(&disk, ASYNC_AT_ONCE);
	queue = async_disk_start(&disk, 0, loop);
	asys_prep_poll(&bystander.call.message, client.pidfd, POLLIN);
	assert_int_equal(bdus_loop_send(loop, &bystander.call), 0);
	while (!bystander.ended)
		assert_true(bdus_loop_process(loop, -1) >= 0);
	async_client_finish(&client);
	bdus_device_stop(disk.device);
	while (bdus_queue_result(queue) == 0)
		assert_true(bdus_loop_process(loop, -1) >= 0);
	assert_int_equal(bdus_queue_close(queue), 0);
	assert_int_equal(bdus_device_destroy(disk.device), 0);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
}

static void a_loop_that_waits_itself_makes_progress(void **state)
{
	(void)state;
	serve_sleeping(0, 0);
	serve_sleeping(BDUS_LOOP_NOT_POLLED, 0);
	serve_sleeping(BDUS_LOOP_NO_RING, 0);
	serve_sleeping(BDUS_LOOP_NOT_POLLED, 200);
}

static void the_descriptor_stays_readable_until_processed(void **state)
{
	struct async_client client;
	struct async_disk disk;
	struct bdus_queue *queue;
	struct bdus_loop *loop;
	struct pollfd look;

	(void)state;
	async_client_start(&client, 0, async_client_look, 0);
	loop = async_loop(0);
	async_disk_init(&disk, ASYNC_AT_ONCE);
	queue = async_disk_start(&disk, 0, loop);
	look = (struct pollfd){.fd = bdus_loop_fd(loop), .events = POLLIN};
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(poll(&look, 1, ASYNC_PATIENCE_MS), 1);
	async_serve(loop, &client, 1, NULL, NULL);
	/* With nobody there it comes to rest. */
	for (unsigned turns = 0; poll(&look, 1, 50) != 0; turns++) {
		assert_true(turns < 100);
		assert_int_equal(bdus_loop_process(loop, 0), 0);
	}
	async_disk_end(&disk, queue, loop);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		async_unit_test(no_thread_is_created),
		async_unit_test(without_io_uring_nbd_is_served_without_a_thread_too),
		async_unit_test(many_devices_share_one_loop_and_end_one_by_one),
		async_unit_test(many_devices_share_a_loop_without_io_uring),
		async_unit_test(many_devices_of_threads_share_one_loop),
		async_unit_test(many_queues_share_one_thread),
		async_unit_test(each_queue_has_a_thread_of_its_own),
		async_unit_test(results_given_between_two_calls_make_the_descriptor_readable),
		async_unit_test(another_thread_completes),
		async_unit_test(a_loop_that_waits_itself_makes_progress),
		async_unit_test(the_descriptor_stays_readable_until_processed),
	};

	async_choose_way(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
