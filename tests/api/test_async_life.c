/* SPDX-License-Identifier: MIT */
/*
 * Lives of devices, queues and loops of bdus/async.h that go wrong: options that make no sense,
 * calls in the wrong order or place, ends at bad moments, and limits of the process.
 */
#include "async_test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY    1000
#define READERS 4
/* One connection may have 256. */
#define EACH (MANY / READERS)

/* ---- options ------------------------------------------------------------------------------- */

static void expect_message(const char *word)
{
	if (strstr(bdus_manage_error(), word) == NULL)
		fail_msg("\"%s\" does not mention %s", bdus_manage_error(), word);
}

static void wrong_options_of_a_loop_are_refused(void **state)
{
	const struct bdus_loop_options small = {.size = 4};
	const struct bdus_loop_options flags = {.size = sizeof(flags), .flags = 1U << 31};
	const struct bdus_loop_options depth = {.size = sizeof(depth), .depth = 32769};
	struct bdus_loop *const untouched = (struct bdus_loop *)&small;
	struct bdus_loop *loop = untouched;

	(void)state;
	assert_int_equal(bdus_loop_create(&small, &loop), -EINVAL);
	expect_message("size");
	assert_int_equal(bdus_loop_create(&flags, &loop), -EINVAL);
	expect_message("0x80000000");
	assert_int_equal(bdus_loop_create(&depth, &loop), -EINVAL);
	expect_message("32769");
	assert_ptr_equal(loop, untouched);
	loop = async_loop(BDUS_LOOP_NOT_POLLED);
	assert_int_equal(bdus_loop_fd(loop), -EINVAL);
	expect_message("NOT_POLLED");
	bdus_loop_destroy(loop);
	bdus_loop_destroy(NULL);
}

static void expect_refused(const struct bdus_device_options *options, const char *word)
{
	struct bdus_device *device = NULL;

	assert_int_equal(bdus_device_create(options, &device), -EINVAL);
	expect_message(word);
	assert_null(device);
}

static void wrong_options_of_a_device_are_refused(void **state)
{
	struct async_disk disk;
	struct bdus_async_driver driver;
	struct bdus_device_options options = {
		.size = sizeof(options),
		.driver = &driver,
		.attrs = {.size_bytes = ASYNC_DISK_BYTES, .ops = ASYNC_READ_WRITE},
		.transport = "nbd",
	};

	(void)state;
	async_disk_init(&disk, ASYNC_AT_ONCE);
	driver = disk.driver;
	options.size--;
	expect_refused(&options, "size");
	options.size++;
	driver.size = 3;
	expect_refused(&options, "driver");
	driver = disk.driver;
	driver.submit = NULL;
	expect_refused(&options, "submit");
	driver = disk.driver;
	driver.name = NULL;
	expect_refused(&options, "name");
	driver = disk.driver;
	options.driver = NULL;
	expect_refused(&options, "driver");
	options.driver = &driver;
	options.attrs.size_bytes = 1000;
	expect_refused(&options, "1000");
	options.attrs.size_bytes = ASYNC_DISK_BYTES;
	options.attrs.logical_block_size = 1000;
	expect_refused(&options, "1000");
	options.attrs.logical_block_size = 0;
	options.transport = "pigeon";
	expect_refused(&options, "pigeon");
	options.transport = "nbd,wings=2";
	expect_refused(&options, "wings");
	assert_int_equal(bdus_device_destroy(NULL), 0);
	assert_int_equal(bdus_queue_close(NULL), 0);
	async_disk_finish(&disk);
}

/* ---- the wrong order ------------------------------------------------------------------------ */

static void queues_open_once_and_within_range(void **state)
{
	struct bdus_loop *const loop = async_loop(0);
	struct bdus_queue *untouched = (struct bdus_queue *)&untouched;
	struct bdus_queue *queue;
	struct async_disk disk;

	(void)state;
	async_disk_init(&disk, ASYNC_AT_ONCE);
	disk.queues = 2;
	assert_int_equal(async_disk_create(&disk, 0), 0);
	assert_int_equal(bdus_queue_open(disk.device, 2, loop, &untouched), -EINVAL);
	expect_message("queue 2");
	assert_int_equal(bdus_queue_open(disk.device, UINT_MAX, NULL, &untouched), -EINVAL);
	assert_ptr_equal(untouched, &untouched);
	assert_int_equal(bdus_queue_open(disk.device, 0, loop, &queue), 0);
	assert_ptr_equal(bdus_queue_loop(queue), loop);
	assert_int_equal(bdus_queue_open(disk.device, 0, loop, &untouched), -EBUSY);
	expect_message("queue 0");
	assert_int_equal(bdus_device_start(disk.device), -EINVAL);
	expect_message("1 of the 2 queues");
	assert_int_equal(bdus_device_destroy(disk.device), -EBUSY);
	expect_message("open");
	bdus_loop_destroy(loop);
	assert_int_equal(bdus_device_destroy(disk.device), 0);
	assert_int_equal(disk.stopping, 0);
	async_disk_finish(&disk);
}

static void a_device_never_opened_leaves_nothing(void **state)
{
	struct async_disk disk;

	(void)state;
	async_disk_init(&disk, ASYNC_AT_ONCE);
	assert_int_equal(async_disk_create(&disk, 0), 0);
	assert_int_equal(bdus_device_start(disk.device), -EINVAL);
	assert_int_equal(bdus_device_destroy(disk.device), 0);
	async_disk_finish(&disk);
}

static void a_queue_that_was_never_started_closes_with_its_own_loop(void **state)
{
	struct bdus_queue *queue;
	struct async_disk disk;

	(void)state;
	async_disk_init(&disk, ASYNC_AT_ONCE);
	assert_int_equal(async_disk_create(&disk, 0), 0);
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(bdus_queue_open(disk.device, 0, NULL, &queue), 0);
		assert_int_equal(bdus_queue_close(queue), 0);
		assert_int_equal(bdus_queue_close(queue), 0);
	}
	assert_int_equal(bdus_device_destroy(disk.device), 0);
	async_disk_finish(&disk);
}

static void what_still_serves_is_not_closed(void **state)
{
	struct bdus_loop *const loop = async_loop(0);
	struct bdus_queue *queue;
	struct async_disk disk;

	(void)state;
	async_disk_init(&disk, ASYNC_AT_ONCE);
	queue = async_disk_start(&disk, 0, loop);
	assert_int_equal(bdus_device_start(disk.device), -EALREADY);
	while (disk.available == 0)
		async_turn(loop);
	assert_int_equal(bdus_queue_close(queue), -EBUSY);
	expect_message("queue 0");
	assert_int_equal(bdus_device_destroy(disk.device), -EBUSY);
	assert_int_equal(bdus_queue_result(queue), 0);
	async_disk_end(&disk, queue, loop);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
}

static struct bdus_loop *inner_loop;
static struct bdus_queue *inner_queue;
static int inner_results[3];

static void go_back_in(struct async_disk *disk, struct bdus_request *request)
{
	(void)disk;
	(void)request;
	inner_results[0] = bdus_loop_process(inner_loop, 0);
	inner_results[1] = bdus_queue_process(inner_queue, -1);
	inner_results[2] = bdus_queue_close(inner_queue);
}

static void a_callback_cannot_process_or_close(void **state)
{
	struct async_client client;
	struct async_disk disk;

	(void)state;
	async_client_start(&client, 0, async_client_verify, 0);
	inner_loop = async_loop(0);
	async_disk_init(&disk, ASYNC_AT_ONCE);
	disk.on_submit = go_back_in;
	inner_queue = async_disk_start(&disk, 0, inner_loop);
	async_serve(inner_loop, &client, 1, NULL, NULL);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(inner_results[i], -EBUSY);
	async_disk_end(&disk, inner_queue, inner_loop);
	bdus_loop_destroy(inner_loop);
	async_disk_finish(&disk);
}

/* ---- ends ---------------------------------------------------------------------------------- */

static void a_device_stops_before_it_is_available(void **state)
{
	struct bdus_loop *const loop = async_loop(0);
	struct bdus_queue *queue;
	struct async_disk disk;

	(void)state;
	async_disk_init(&disk, ASYNC_AT_ONCE);
	queue = async_disk_start(&disk, 0, loop);
	assert_int_equal(disk.available, 0);
	async_disk_end(&disk, queue, loop);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
}

static void *stop_from_a_thread(void *device)
{
	bdus_device_stop(device);
	return NULL;
}

static void another_thread_stops_and_stopping_twice_is_stopping_once(void **state)
{
	struct bdus_loop *const loop = async_loop(0);
	struct bdus_queue *queue;
	struct async_disk disk;
	pthread_t thread;

	(void)state;
	async_disk_init(&disk, ASYNC_AT_ONCE);
	queue = async_disk_start(&disk, 0, loop);
	while (disk.available == 0)
		async_turn(loop);
	assert_int_equal(pthread_create(&thread, NULL, stop_from_a_thread, disk.device), 0);
	while (bdus_queue_result(queue) == 0)
		async_turn(loop);
	pthread_join(thread, NULL);
	async_disk_end(&disk, queue, loop);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
}

/** Sends its share of the reads at once; each has to be answered. */
static bool read_many(struct nbd_handle *nbd, unsigned number)
{
	static char data[EACH][512];
	int64_t cookies[EACH];

	for (unsigned i = 0; i < EACH; i++) {
		cookies[i] = nbd_aio_pread(nbd, data[i], 512, (uint64_t)(number * EACH + i) * 512,
					   NBD_NULL_COMPLETION, 0);
		if (cookies[i] < 0)
			return false;
	}
	for (unsigned i = 0; i < EACH; i++) {
		int done;

		while ((done = nbd_aio_command_completed(nbd, (uint64_t)cookies[i])) == 0)
			if (nbd_poll(nbd, ASYNC_PATIENCE_MS) <= 0)
				return false;
		if (done < 0 || data[i][0] != (char)(number * EACH + i))
			return false;
	}
	return true;
}

static void hold_many(struct async_disk *disk, struct bdus_loop *loop)
{
	disk->queue_depth = 1024;
	for (unsigned i = 0; i < MANY; i++)
		disk->memory[(size_t)i * 512] = (char)i;
	async_disk_start(disk, 0, loop);
	while (atomic_load(&disk->submitted) < MANY)
		async_turn(loop);
	assert_int_equal(disk->held_count, MANY);
}

static void a_thousand_requests_in_flight_are_answered_before_the_end(void **state)
{
	struct async_client clients[READERS];
	struct async_disk disk;
	struct bdus_queue *queue;
	struct bdus_loop *loop;

	(void)state;
	for (unsigned i = 0; i < READERS; i++)
		async_client_start(&clients[i], 0, read_many, i);
	loop = async_loop(0);
	async_disk_init(&disk, ASYNC_HELD);
	hold_many(&disk, loop);
	queue = bdus_request_queue(disk.held);
	bdus_device_stop(disk.device);
	while (disk.stopping == 0)
		async_turn(loop);
	assert_int_equal(bdus_queue_result(queue), 0);
	assert_int_equal(bdus_queue_close(queue), -EBUSY);
	assert_int_equal(async_disk_answer(&disk, MANY / 2, true), MANY / 2);
	assert_int_equal(async_disk_answer(&disk, MANY, false), MANY / 2);
	async_disk_end(&disk, queue, loop);
	for (unsigned i = 0; i < READERS; i++)
		async_client_finish(&clients[i]);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
}

/** Notices that the server went away. */
static bool read_many_in_vain(struct nbd_handle *nbd, unsigned number)
{
	return !read_many(nbd, number);
}

static void a_loop_ends_under_a_thousand_requests(void **state)
{
	struct async_client clients[READERS];
	struct async_disk disk;
	struct bdus_loop *loop;

	(void)state;
	for (unsigned i = 0; i < READERS; i++)
		async_client_start(&clients[i], 0, read_many_in_vain, i);
	loop = async_loop(0);
	async_disk_init(&disk, ASYNC_HELD);
	hold_many(&disk, loop);
	bdus_loop_destroy(loop);
	assert_int_equal(bdus_device_destroy(disk.device), 0);
	assert_int_equal(disk.stopping, 1);
	for (unsigned i = 0; i < READERS; i++)
		async_client_finish(&clients[i]);
	async_disk_finish(&disk);
}

static void one_loop_ends_and_the_other_serves_on(void **state)
{
	struct bdus_loop *loops[2];
	struct async_client client;
	struct async_disk disks[2];
	struct bdus_queue *queue;

	(void)state;
	async_client_start(&client, 1, async_client_verify, 0);
	for (unsigned i = 0; i < 2; i++) {
		loops[i] = async_loop(0);
		async_disk_init(&disks[i], ASYNC_AT_ONCE);
		queue = async_disk_start(&disks[i], i, loops[i]);
	}
	bdus_loop_destroy(loops[0]);
	assert_int_equal(bdus_device_destroy(disks[0].device), 0);
	async_serve(loops[1], &client, 1, NULL, NULL);
	async_disk_end(&disks[1], queue, loops[1]);
	bdus_loop_destroy(loops[1]);
	async_disk_finish(&disks[0]);
	async_disk_finish(&disks[1]);
}

/* ---- limits -------------------------------------------------------------------------------- */

/** Runs in a child: makes, serves a little and ends a device. The first error. */
static int whole_life(unsigned number)
{
	struct bdus_queue *queue = NULL;
	struct bdus_loop *loop = NULL;
	struct async_disk disk;
	int result;
	int end;

	async_disk_init(&disk, ASYNC_AT_ONCE);
	result = bdus_loop_create(NULL, &loop);
	if (result == 0)
		result = async_disk_create(&disk, number);
	if (result == 0)
		result = bdus_queue_open(disk.device, 0, loop, &queue);
	if (result == 0)
		result = bdus_device_start(disk.device);
	for (unsigned turns = 0; result == 0 && disk.available == 0 && turns < 100; turns++)
		result = bdus_loop_process(loop, 100);
	bdus_loop_destroy(loop);
	end = bdus_device_destroy(disk.device);
	async_disk_finish(&disk);
	return result < 0 ? result : end;
}

/** In a child: with each number of free descriptors, it works or says clearly that it cannot. */
static int live_with_few_files(void)
{
	struct rlimit limit;
	unsigned refused = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	for (unsigned spare = 0; spare < 24; spare++) {
		const unsigned open = async_count("/proc/self/fd");
		int result;

		limit.rlim_cur = open - 3 + spare;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			return 10;
		result = whole_life(spare);
		limit.rlim_cur = 1024;
		setrlimit(RLIMIT_NOFILE, &limit);
		if (async_count("/proc/self/fd") != open) {
			fprintf(stderr, "%u spare descriptors: some leaked\n", spare);
			return 11;
		}
		if (result == 0)
			continue;
		refused++;
		if (result != -EMFILE || strlen(bdus_manage_error()) == 0) {
			fprintf(stderr, "%u spare descriptors: %d, \"%s\"\n", spare, result,
				bdus_manage_error());
			return 12;
		}
	}
	return refused > 0 && refused < 24 ? 0 : 13;
}

static int live_without_locked_memory(void)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
	    (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0))
		return 10;
	if (whole_life(0) == 0)
		return 0;
	fprintf(stderr, "%s\n", bdus_manage_error());
	return 11;
}

static void expect_child(int (*run)(void))
{
	const pid_t child = fork();
	int status;

	if (child == 0)
		_exit(run());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void too_few_descriptors_are_told_of_and_none_leaks(void **state)
{
	(void)state;
	expect_child(live_with_few_files);
}

static void no_memory_needs_to_be_locked(void **state)
{
	(void)state;
	assert_int_equal(chmod(async_folder(), 0777), 0);
	expect_child(live_without_locked_memory);
}

/* ---- wrong drivers ------------------------------------------------------------------------- */

static void complete_early(struct async_disk *disk, struct bdus_request *request)
{
	async_disk_serve(disk, request);
	bdus_complete(request, 0);
}

/** In a child: serves a driver that completes each request twice, until its client is content. */
static void serve_completing_twice(struct async_client *client, int errors)
{
	struct async_disk disk;
	struct bdus_loop *loop;
	struct bdus_queue *queue;

	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	signal(SIGABRT, SIG_DFL);
	dup2(errors, STDERR_FILENO);
	loop = async_loop(0);
	async_disk_init(&disk, ASYNC_AT_ONCE);
	disk.on_submit = complete_early;
	queue = async_disk_start(&disk, 0, loop);
	/* The client is the parent's child: until it is gone. */
	while (kill(client->pid, 0) == 0 && bdus_queue_result(queue) == 0)
		bdus_loop_process(loop, 10);
	async_disk_end(&disk, queue, loop);
	bdus_loop_destroy(loop);
	async_disk_finish(&disk);
	_exit(0);
}

/** Runs it; what it said is in @text. Returns how it ended. */
static int run_completing_twice(async_client_fn *run, char *text, size_t size)
{
	struct async_client client;
	int ends[2];
	int status;
	pid_t child;

	async_client_start(&client, 0, run, 0);
	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	child = fork();
	if (child == 0)
		serve_completing_twice(&client, ends[1]);
	close(ends[1]);
	async_client_finish(&client);
	memset(text, 0, size);
	assert_true(read(ends[0], text, size - 1) >= 0);
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static bool lose_a_write(struct nbd_handle *nbd, unsigned number)
{
	char block[4096] = {0};

	(void)number;
	return nbd_pwrite(nbd, block, sizeof(block), 8192, 0) != 0;
}

static void a_request_completed_twice_is_named_where_that_is_checked(void **state)
{
	char text[512];
	int status;

	(void)state;
	if (!BDUS_DEBUG_CHECKS)
		skip();
	status = run_completing_twice(lose_a_write, text, sizeof(text));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "second time: write request at offset 8192, length 4096"));
	/* It could not tidy up. */
	assert_int_equal(system("rm -rf \"$BDUS_RUNTIME_DIR\"/*"), 0);
}

static void a_request_completed_twice_counts_once_where_it_is_not(void **state)
{
	char text[512];

	(void)state;
	if (BDUS_DEBUG_CHECKS)
		skip();
	assert_int_equal(run_completing_twice(async_client_verify, text, sizeof(text)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		async_unit_test(wrong_options_of_a_loop_are_refused),
		async_unit_test(wrong_options_of_a_device_are_refused),
		async_unit_test(queues_open_once_and_within_range),
		async_unit_test(a_device_never_opened_leaves_nothing),
		async_unit_test(a_queue_that_was_never_started_closes_with_its_own_loop),
		async_unit_test(what_still_serves_is_not_closed),
		async_unit_test(a_callback_cannot_process_or_close),
		async_unit_test(a_device_stops_before_it_is_available),
		async_unit_test(another_thread_stops_and_stopping_twice_is_stopping_once),
		async_unit_test(a_thousand_requests_in_flight_are_answered_before_the_end),
		async_unit_test(a_loop_ends_under_a_thousand_requests),
		async_unit_test(one_loop_ends_and_the_other_serves_on),
		async_unit_test(too_few_descriptors_are_told_of_and_none_leaks),
		async_unit_test(no_memory_needs_to_be_locked),
		async_unit_test(a_request_completed_twice_is_named_where_that_is_checked),
		async_unit_test(a_request_completed_twice_counts_once_where_it_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
