/* SPDX-License-Identifier: MIT */
/*
 * The pool of payload memory: alignment, reuse, and giving memory back.
 */
#include "device/pool.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/** Whether the page at @address is mapped. */
static bool is_mapped(void *address)
{
	unsigned char resident;

	return mincore(address, 4096, &resident) == 0;
}

static void buffers_are_aligned_to_a_page_and_hold_what_was_asked(void **state)
{
	static const size_t sizes[] = {
		1, 512, 4096, 4097, 65536, 1 << 20, (1 << 20) + 1, 33 << 20, BDUS_POOL_LARGEST};
	struct bdus_pool *const pool = bdus_pool_create(0);

	(void)state;
	assert_non_null(pool);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned char *const buffer = bdus_pool_get(pool, sizes[i]);

		assert_non_null(buffer);
		assert_int_equal((uintptr_t)buffer % 4096, 0);
		buffer[0] = 1;
		buffer[sizes[i] - 1] = 2;
		bdus_pool_put(pool, buffer, sizes[i]);
	}
	bdus_pool_destroy(pool);
}

static void sizes_out_of_range_are_refused(void **state)
{
	struct bdus_pool *const pool = bdus_pool_create(1 << 20);

	(void)state;
	assert_null(bdus_pool_get(pool, 0));
	assert_null(bdus_pool_get(pool, BDUS_POOL_LARGEST + 1));
	assert_null(bdus_pool_get(pool, SIZE_MAX));
	bdus_pool_put(pool, NULL, 4096);
	bdus_pool_destroy(pool);
	bdus_pool_destroy(NULL);
}

static void the_buffer_freed_last_is_the_next_one(void **state)
{
	struct bdus_pool *const pool = bdus_pool_create(1 << 20);
	void *const first = bdus_pool_get(pool, 8192);
	void *const second = bdus_pool_get(pool, 8192);

	(void)state;
	assert_ptr_not_equal(first, second);
	bdus_pool_put(pool, first, 8192);
	bdus_pool_put(pool, second, 8192);
	assert_ptr_equal(bdus_pool_get(pool, 8192), second);
	/* 5000 bytes are of the same class; 4096 are not. */
	assert_ptr_equal(bdus_pool_get(pool, 5000), first);
	bdus_pool_put(pool, first, 5000);
	bdus_pool_put(pool, second, 8192);
	bdus_pool_destroy(pool);
}

static void buffers_of_other_classes_are_not_mixed_up(void **state)
{
	struct bdus_pool *const pool = bdus_pool_create(1 << 20);
	unsigned char *const small = bdus_pool_get(pool, 4096);
	unsigned char *large;

	(void)state;
	bdus_pool_put(pool, small, 4096);
	large = bdus_pool_get(pool, 4097);
	assert_ptr_not_equal(small, large);
	memset(large, 1, 4097);
	bdus_pool_put(pool, large, 4097);
	bdus_pool_destroy(pool);
}

static void no_more_is_kept_than_the_limit(void **state)
{
	struct bdus_pool *const pool = bdus_pool_create(16384);
	void *buffers[8];
	unsigned kept = 0;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		buffers[i] = bdus_pool_get(pool, 4096);
		assert_non_null(buffers[i]);
	}
	for (unsigned i = 0; i < 8; i++)
		bdus_pool_put(pool, buffers[i], 4096);
	for (unsigned i = 0; i < 8; i++)
		kept += is_mapped(buffers[i]);
	assert_int_equal(kept, 4);
	bdus_pool_destroy(pool);
}

static void the_limit_holds_again_after_reuse(void **state)
{
	struct bdus_pool *const pool = bdus_pool_create(8192);

	(void)state;
	for (unsigned round = 0; round < 1000; round++) {
		void *const one = bdus_pool_get(pool, 4096);
		void *const other = bdus_pool_get(pool, 4096);
		void *const large = bdus_pool_get(pool, 8192);

		bdus_pool_put(pool, one, 4096);
		bdus_pool_put(pool, large, 8192);
		assert_false(is_mapped(large));
		bdus_pool_put(pool, other, 4096);
		assert_true(is_mapped(one));
		assert_true(is_mapped(other));
	}
	bdus_pool_destroy(pool);
}

static void trimming_gives_all_free_memory_back_and_only_that(void **state)
{
	struct bdus_pool *const pool = bdus_pool_create(1 << 20);
	void *const used = bdus_pool_get(pool, 4096);
	void *const freed = bdus_pool_get(pool, 4096);
	void *const large = bdus_pool_get(pool, 100000);

	(void)state;
	bdus_pool_put(pool, freed, 4096);
	bdus_pool_put(pool, large, 100000);
	assert_true(is_mapped(freed));
	bdus_pool_trim(pool);
	assert_false(is_mapped(freed));
	assert_false(is_mapped(large));
	assert_true(is_mapped(used));
	bdus_pool_put(pool, used, 4096);
	assert_ptr_equal(bdus_pool_get(pool, 4096), used);
	bdus_pool_put(pool, used, 4096);
	bdus_pool_destroy(pool);
	assert_false(is_mapped(used));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers_are_aligned_to_a_page_and_hold_what_was_asked),
		cmocka_unit_test(sizes_out_of_range_are_refused),
		cmocka_unit_test(the_buffer_freed_last_is_the_next_one),
		cmocka_unit_test(buffers_of_other_classes_are_not_mixed_up),
		cmocka_unit_test(no_more_is_kept_than_the_limit),
		cmocka_unit_test(the_limit_holds_again_after_reuse),
		cmocka_unit_test(trimming_gives_all_free_memory_back_and_only_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
