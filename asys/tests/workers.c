/* SPDX-License-Identifier: MIT */
/*
 * How many threads there are, and which executor gets what: the things that a program does not see
 * in its results.
 */
#include "asys_test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct asys_info describe(struct asys *asys)
{
	struct asys_info info;

	assert_int_equal(asys_describe(asys, &info), 0);
	return info;
}

static struct asys *create(uint32_t flags, uint32_t max_workers, uint32_t idle_ms)
{
	const struct asys_options options = {.size = sizeof(options),
					     .flags = flags,
					     .max_workers = max_workers,
					     .worker_idle_ms = idle_ms};
	struct asys *asys;

	assert_int_equal(asys_create(&options, &asys), 0);
	return asys;
}

static void sleep_at_once(struct asys *asys, unsigned count, struct timespec *pause)
{
	struct asys_message *const messages = calloc(count, sizeof(*messages));

	for (unsigned i = 0; i < count; i++) {
		asys_prep(&messages[i], SYS_nanosleep, asys_pointer(pause), 0, 0, 0, 0, 0);
		test_send(asys, &messages[i]);
	}
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(test_wait_one(asys)->result, 0);
	free(messages);
}

static void test_no_thread_starts_before_it_is_needed(void **state)
{
	struct asys *const asys = create(0, 0, 0);

	(void)state;
	assert_int_equal(describe(asys).workers, 0);
	asys_destroy(asys);
}

static void test_pool_grows_while_all_are_blocked_and_shrinks_when_idle(void **state)
{
	struct asys *const asys = create(ASYS_NO_RING, 64, 50);
	struct timespec pause = {0, 300000000};
	const uint64_t begin = test_now_ns();

	(void)state;
	sleep_at_once(asys, 16, &pause);
	/* One after the other would take 4.8 s. */
	assert_true(test_now_ns() - begin < UINT64_C(2000000000));
	assert_in_range(describe(asys).workers, 1, 64);
	for (unsigned i = 0; i < 100 && describe(asys).workers != 0; i++)
		usleep(20000);
	assert_int_equal(describe(asys).workers, 0);
	asys_destroy(asys);
}

static void test_pool_keeps_its_bound(void **state)
{
	struct asys *const asys = create(ASYS_NO_RING, 3, 1000);
	struct timespec pause = {0, 20000000};
	const uint64_t begin = test_now_ns();

	(void)state;
	sleep_at_once(asys, 12, &pause);
	assert_true(test_now_ns() - begin >= UINT64_C(4 * 20000000));
	assert_in_range(describe(asys).workers, 1, 3);
	asys_destroy(asys);
}

/** Reads of /dev/urandom compute in the kernel, and no number of threads makes that faster. */
static void test_pool_does_not_grow_for_what_computes(void **state)
{
	enum {
		COUNT = 64,
		BYTES = 1 << 20
	};
	struct asys *const asys = create(ASYS_NO_RING | ASYS_NO_INLINE, 64, 1000);
	struct asys_message *const messages = calloc(COUNT, sizeof(*messages));
	uint8_t *const buffer = malloc(BYTES);
	const unsigned processors = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	for (unsigned i = 0; i < COUNT; i++) {
		asys_prep(&messages[i], SYS_getrandom, asys_pointer(buffer), BYTES, 0, 0, 0, 0);
		test_send(asys, &messages[i]);
	}
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(test_wait_one(asys)->result, BYTES);
	/* Some are found blocked now and then on a busy machine, but never all of 64. */
	assert_in_range(describe(asys).workers, 1, processors + COUNT / 4);
	free(messages);
	free(buffer);
	asys_destroy(asys);
}

static void test_files_in_memory_do_not_use_threads_of_the_kernel(void **state)
{
	struct asys *const asys = create(0, 0, 0);
	const int file = test_file("/dev/shm", 65536);
	struct asys_message message;
	struct asys_info info;
	uint8_t buffer[4096];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		asys_prep_read(&message, file, buffer, 4096, i % 16 * 4096);
		assert_int_equal(test_result(asys, &message), 4096);
		asys_prep_read(&message, file, buffer, 16, -1);
		assert_int_equal(test_result(asys, &message), 16);
		asys_prep_write(&message, file, buffer, 16, 0);
		assert_int_equal(test_result(asys, &message), 16);
		asys_prep_fsync(&message, file);
		assert_int_equal(test_result(asys, &message), 0);
	}
	info = describe(asys);
	assert_int_equal(info.given_inline, 400);
	assert_int_equal(info.given_ring, 0);
	assert_int_equal(test_count_threads("iou-wrk"), 0);
	close(file);
	asys_destroy(asys);
}

static void test_cached_reads_without_a_ring_need_no_thread(void **state)
{
	struct asys *const asys = create(ASYS_NO_RING, 0, 0);
	const int file = test_file("/var/tmp", 65536);
	struct asys_message message;
	uint8_t buffer[4096];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		asys_prep_read(&message, file, buffer, 4096, i % 16 * 4096);
		assert_int_equal(test_result(asys, &message), 4096);
	}
	if (describe(asys).given_workers != 0)
		skip();
	assert_int_equal(describe(asys).workers, 0);
	close(file);
	asys_destroy(asys);
}

static void test_threads_of_the_kernel_keep_their_bound(void **state)
{
	enum {
		COUNT = 32
	};
	const struct asys_options options = {.size = sizeof(options), .max_kernel_workers = 2};
	struct asys_message messages[COUNT];
	struct asys *asys;
	const int file = test_file("/var/tmp", 65536);

	(void)state;
	assert_int_equal(asys_create(&options, &asys), 0);
	if (describe(asys).ring_error != 0) {
		asys_destroy(asys);
		skip();
	}
	for (unsigned i = 0; i < COUNT; i++) {
		asys_prep_fsync(&messages[i], file);
		test_send(asys, &messages[i]);
	}
	assert_in_range(test_count_threads("iou-wrk"), 0, 4);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(test_wait_one(asys)->result, 0);
	close(file);
	asys_destroy(asys);
}

static void test_no_thread_outlives_its_handle(void **state)
{
	struct timespec pause = {0, 1000000};
	const unsigned left = test_count_threads("");
	struct asys *const asys = create(ASYS_NO_RING, 8, 100000);

	(void)state;
	sleep_at_once(asys, 8, &pause);
	assert_in_range(describe(asys).workers, 1, 8);
	asys_destroy(asys);
	/* A thread that was joined may be seen for a moment. */
	for (unsigned i = 0; i < 100 && test_count_threads("") > left; i++)
		usleep(10000);
	assert_in_range(test_count_threads(""), 1, left);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_thread_starts_before_it_is_needed),
		cmocka_unit_test(test_pool_grows_while_all_are_blocked_and_shrinks_when_idle),
		cmocka_unit_test(test_pool_keeps_its_bound),
		cmocka_unit_test(test_pool_does_not_grow_for_what_computes),
		cmocka_unit_test(test_files_in_memory_do_not_use_threads_of_the_kernel),
		cmocka_unit_test(test_cached_reads_without_a_ring_need_no_thread),
		cmocka_unit_test(test_threads_of_the_kernel_keep_their_bound),
		cmocka_unit_test(test_no_thread_outlives_its_handle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
