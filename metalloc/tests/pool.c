/* SPDX-License-Identifier: MIT */
/*
 * Pools of payload buffers: layout, limits, mistakes, and many threads with and without caches.
 */
#include <metalloc/pool.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct metalloc_pool *create(size_t bytes, size_t alignment, uint32_t count, unsigned flags)
{
	const struct metalloc_pool_options options = {bytes, alignment, count, flags};
	struct metalloc_pool *pool = NULL;

	assert_int_equal(metalloc_pool_create(&options, &pool), 0);
	return pool;
}

static void test_buffers_are_aligned_distinct_and_zero(void **state)
{
	static const size_t alignments[] = {1, 64, 512, 4096, 65536, 2 << 20};

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		for (unsigned flags = 0; flags < 2; flags++) {
			struct metalloc_pool *const pool = create(5000, alignments[i], 70, flags);
			size_t length;
			char *const memory = metalloc_pool_memory(pool, &length);

			assert_true(length >= 70 * 5000);
			for (unsigned k = 0; k < 70; k++) {
				char *const buffer = metalloc_pool_take(pool);

				assert_non_null(buffer);
				assert_int_equal((uintptr_t)buffer % alignments[i], 0);
				assert_int_equal(metalloc_pool_index(pool, buffer), k);
				assert_true(buffer >= memory && buffer + 5000 <= memory + length);
				for (unsigned byte = 0; byte < 5000; byte++)
					assert_int_equal(buffer[byte], 0);
				memset(buffer, 1, 5000);
			}
			assert_null(metalloc_pool_take(pool));
			assert_int_equal(metalloc_pool_free_count(pool), 0);
			metalloc_pool_destroy(pool);
		}
}

static void test_buffers_come_back_in_the_order_of_giving(void **state)
{
	struct metalloc_pool *const pool = create(100, 0, 5, 0);
	void *buffers[5];

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		buffers[i] = metalloc_pool_take(pool);
	for (unsigned round = 0; round < 1000; round++) {
		for (unsigned i = 0; i < 5; i++)
			metalloc_pool_give(pool, buffers[(i * 2 + 1) % 5]);
		for (unsigned i = 0; i < 5; i++)
			assert_ptr_equal(metalloc_pool_take(pool), buffers[(i * 2 + 1) % 5]);
	}
	metalloc_pool_destroy(pool);
}

static void test_wrong_options_are_refused(void **state)
{
	static const struct metalloc_pool_options wrong[] = {
		{0, 0, 1, 0},
		{1, 3, 1, 0},
		{1, 4 << 20, 1, 0},
		{1, 0, 0, 0},
		{1, 0, (1 << 24) + 1, 0},
		{1, 0, 1, 4},
	};
	const struct metalloc_pool_options much = {SIZE_MAX / 4, 0, 9, 0};
	const struct metalloc_pool_options more = {SIZE_MAX, 0, 1, 0};
	struct metalloc_pool *untouched = (void *)state;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(metalloc_pool_create(&wrong[i], &untouched), -EINVAL);
	assert_int_equal(metalloc_pool_create(NULL, &untouched), -EINVAL);
	assert_int_equal(metalloc_pool_create(&much, &untouched), -ENOMEM);
	assert_int_equal(metalloc_pool_create(&more, &untouched), -ENOMEM);
	assert_ptr_equal(untouched, (void *)state);
	metalloc_pool_destroy(NULL);
}

static long locked_kib(void)
{
	FILE *const file = fopen("/proc/self/status", "re");
	char line[200];
	long kib = -1;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "VmLck: %ld", &kib);
	fclose(file);
	return kib;
}

static void test_pinned_buffers_are_locked_in_memory(void **state)
{
	const struct metalloc_pool_options options = {4096, 0, 256, METALLOC_POOL_PINNED};
	struct metalloc_pool *pool = NULL;
	const int error = metalloc_pool_create(&options, &pool);

	(void)state;
	if (error == -ENOMEM || error == -EPERM) {
		print_message("this process may lock no megabyte: %s\n", strerror(-error));
		return;
	}
	assert_int_equal(error, 0);
	if (locked_kib() == 0) {
		print_message("a sanitizer makes mlock(2) do nothing\n");
		metalloc_pool_destroy(pool);
		return;
	}
	assert_true(locked_kib() >= 1024);
	metalloc_pool_destroy(pool);
	assert_int_equal(locked_kib(), 0);
}

static void give_twice(struct metalloc_pool *pool)
{
	void *const buffer = metalloc_pool_take(pool);

	metalloc_pool_give(pool, buffer);
	metalloc_pool_give(pool, buffer);
}

static void give_middle(struct metalloc_pool *pool)
{
	metalloc_pool_give(pool, (char *)metalloc_pool_take(pool) + 64);
}

static void give_end(struct metalloc_pool *pool)
{
	size_t length;
	char *const memory = metalloc_pool_memory(pool, &length);

	metalloc_pool_give(pool, memory + length);
}

static void test_what_is_no_taken_buffer_ends_the_program(void **state)
{
	void (*const mistakes[])(struct metalloc_pool * pool) = {give_twice, give_middle, give_end};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const pid_t child = fork();
		int status;

		if (child == 0) {
			const struct rlimit none = {0, 0};

			setrlimit(RLIMIT_CORE, &none);
			signal(SIGABRT, SIG_DFL);
			mistakes[i](create(4096, 0, 4, 0));
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

enum {
	THREADS = 4,
	COUNT = 200
};

static _Atomic int owners[COUNT];

/** Nobody else has a buffer that this thread has. */
static void *take_and_give(void *argument)
{
	struct metalloc_pool *const pool = argument;
	struct metalloc_pool_cache cache;
	void *mine[40] = {NULL};

	metalloc_pool_cache_init(&cache, pool);
	for (unsigned i = 0; i < 40000; i++) {
		void **const place = &mine[i * 7 % 40];
		const bool cached = i % 3 != 0;

		if (*place != NULL) {
			atomic_fetch_sub(&owners[metalloc_pool_index(pool, *place)], 1);
			if (cached)
				metalloc_pool_cache_give(&cache, *place);
			else
				metalloc_pool_give(pool, *place);
			*place = NULL;
			continue;
		}
		*place = cached ? metalloc_pool_cache_take(&cache) : metalloc_pool_take(pool);
		if (*place != NULL &&
		    atomic_fetch_add(&owners[metalloc_pool_index(pool, *place)], 1) != 0)
			abort();
	}
	for (unsigned i = 0; i < 40; i++)
		if (mine[i] != NULL) {
			atomic_fetch_sub(&owners[metalloc_pool_index(pool, mine[i])], 1);
			metalloc_pool_cache_give(&cache, mine[i]);
		}
	metalloc_pool_cache_finish(&cache);
	return NULL;
}

static void test_threads_never_share_a_buffer_and_lose_none(void **state)
{
	struct metalloc_pool *const pool = create(4096, 0, COUNT, 0);
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, pool), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metalloc_pool_free_count(pool), COUNT);
	metalloc_pool_destroy(pool);
}

static void test_cache_holds_back_no_more_than_it_says(void **state)
{
	struct metalloc_pool *const pool = create(64, 64, 100, 0);
	struct metalloc_pool_cache cache;
	void *buffers[100];

	(void)state;
	metalloc_pool_cache_init(&cache, pool);
	for (unsigned i = 0; i < 100; i++)
		assert_non_null(buffers[i] = metalloc_pool_cache_take(&cache));
	assert_null(metalloc_pool_cache_take(&cache));
	for (unsigned i = 0; i < 100; i++) {
		metalloc_pool_cache_give(&cache, buffers[i]);
		assert_true(i + 1 - metalloc_pool_free_count(pool) <= METALLOC_POOL_CACHE);
	}
	metalloc_pool_cache_finish(&cache);
	assert_int_equal(metalloc_pool_free_count(pool), 100);
	metalloc_pool_destroy(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buffers_are_aligned_distinct_and_zero),
		cmocka_unit_test(test_buffers_come_back_in_the_order_of_giving),
		cmocka_unit_test(test_wrong_options_are_refused),
		cmocka_unit_test(test_pinned_buffers_are_locked_in_memory),
		cmocka_unit_test(test_what_is_no_taken_buffer_ends_the_program),
		cmocka_unit_test(test_threads_never_share_a_buffer_and_lose_none),
		cmocka_unit_test(test_cache_holds_back_no_more_than_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
