/* SPDX-License-Identifier: MIT */
/*
 * Each entry point, with every size and every alignment that makes a difference, and each of its
 * errors.
 */
#include "entry.h"
#include "ways.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static size_t sizes[4096];
static size_t size_count;

static void collect_sizes(void)
{
	for (size_t i = 0; i <= 1100; i++)
		sizes[size_count++] = i;
	for (size_t doubling = 1024; doubling <= (size_t)16 << 20; doubling *= 2)
		for (size_t quarter = 4; quarter < 8; quarter++)
			for (size_t i = 0; i < 3; i++)
				sizes[size_count++] = doubling / 4 * quarter + i - 1;
	for (size_t i = 0; i < 5; i++) {
		sizes[size_count++] = UNITS_MOST * UNIT_BYTES - HEADER_BYTES + i - 2;
		sizes[size_count++] = METALLOC_MOST_BYTES + i - 2;
	}
}

/** A block's own contents, its first and last bytes if it is large. */
static void fill(unsigned char *block, size_t bytes)
{
	memset(block, 0xab, bytes < 8192 ? bytes : 4096);
	if (bytes >= 8192)
		memset(block + bytes - 4096, 0xab, 4096);
}

static void assert_good(void *block, size_t size, size_t alignment)
{
	assert_non_null(block);
	assert_int_equal((uintptr_t)block % alignment, 0);
	assert_true(ENTRY(malloc_usable_size)(block) >= size);
	fill(block, ENTRY(malloc_usable_size)(block));
}

static void test_malloc_of_every_size(void **state)
{
	void *blocks[3];

	(void)state;
	for (size_t i = 0; i < size_count; i++) {
		for (unsigned k = 0; k < 3; k++) {
			errno = 77;
			blocks[k] = ENTRY(malloc)(sizes[i]);
			assert_int_equal(errno, 77);
			assert_good(blocks[k], sizes[i], 16);
		}
		assert_ptr_not_equal(blocks[0], blocks[1]);
		for (unsigned k = 0; k < 3; k++)
			ENTRY(free)(blocks[k]);
		assert_int_equal(errno, 77);
	}
}

static void test_calloc_is_zero_where_memory_was_used_before(void **state)
{
	(void)state;
	for (size_t i = 0; i < size_count; i++)
		for (unsigned again = 0; again < 2; again++) {
			unsigned char *const block = ENTRY(calloc)(sizes[i], 1);

			assert_non_null(block);
			for (size_t k = 0; k < sizes[i]; k += k < 8192 ? 1 : 509)
				assert_int_equal(block[k], 0);
			fill(block, sizes[i]);
			ENTRY(free)(block);
		}
}

static void test_every_alignment_with_every_size(void **state)
{
	(void)state;
	for (size_t alignment = 8; alignment <= (size_t)4 << 20; alignment *= 2)
		for (size_t i = 0; i<size_count; i += alignment> 64 ? 7 : 1) {
			void *first = NULL, *const second = ENTRY(memalign)(alignment, sizes[i]);
			void *const third = ENTRY(aligned_alloc)(alignment, sizes[i]);

			assert_int_equal(ENTRY(posix_memalign)(&first, alignment, sizes[i]), 0);
			assert_good(first, sizes[i], alignment);
			assert_good(second, sizes[i], alignment);
			assert_good(third, sizes[i], alignment);
			ENTRY(free)(second);
			ENTRY(free)(first);
			ENTRY(free)(third);
		}
}

static void test_valloc_and_pvalloc_give_pages(void **state)
{
	(void)state;
	for (size_t i = 0; i < size_count; i += 5) {
		void *const first = ENTRY(valloc)(sizes[i]), *const second =
								     ENTRY(pvalloc)(sizes[i]);

		assert_good(first, sizes[i], 4096);
		assert_good(second, base_align_up(sizes[i] + (sizes[i] == 0), 4096), 4096);
		ENTRY(free)(first);
		ENTRY(free)(second);
	}
}

static void test_realloc_keeps_contents_from_every_size_to_every_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < size_count; i += 23)
		for (size_t k = 0; k < size_count; k += 19) {
			const size_t from = sizes[i] + 1, to = sizes[k] + 1;
			const size_t kept = from < to ? from : to;
			unsigned char *block = ENTRY(realloc)(NULL, from);

			assert_non_null(block);
			block[0] = 1;
			block[kept / 2] = 2;
			block[kept - 1] = 3;
			block = ENTRY(realloc)(block, to);
			assert_non_null(block);
			assert_true(ENTRY(malloc_usable_size)(block) >= to);
			assert_int_equal(block[kept - 1], 3);
			if (kept > 2) {
				assert_int_equal(block[0], 1);
				assert_int_equal(block[kept / 2], kept / 2 == 0 ? 1 : 2);
			}
			assert_null(ENTRY(realloc)(block, 0));
		}
}

static void test_alignment_survives_no_realloc_but_contents_do(void **state)
{
	char *block = ENTRY(memalign)(1 << 20, 5 << 20);

	(void)state;
	assert_non_null(block);
	block[0] = 'a';
	block[(5 << 20) - 1] = 'z';
	block = ENTRY(realloc)(block, 20 << 20);
	assert_non_null(block);
	assert_int_equal(block[0], 'a');
	assert_int_equal(block[(5 << 20) - 1], 'z');
	ENTRY(free)(block);
}

#define assert_fails(call)                       \
	do {                                     \
		errno = 0;                       \
		assert_null(call);               \
		assert_int_equal(errno, ENOMEM); \
	} while (0)

static void test_impossible_sizes_are_refused(void **state)
{
	void *untouched = state, *const block = ENTRY(malloc)(100);

	(void)state;
	for (size_t less = 0; less < 40; less++) {
		assert_fails(ENTRY(malloc)(SIZE_MAX - less));
		assert_fails(ENTRY(calloc)(1, SIZE_MAX - less));
		assert_fails(ENTRY(realloc)(block, SIZE_MAX - less));
		assert_fails(ENTRY(memalign)(64, SIZE_MAX - less));
		assert_fails(ENTRY(pvalloc)(SIZE_MAX - less));
		assert_int_equal(ENTRY(posix_memalign)(&untouched, 32, SIZE_MAX - less), ENOMEM);
	}
	assert_fails(ENTRY(malloc)((size_t)PTRDIFF_MAX + 1));
	assert_fails(ENTRY(malloc)(PTRDIFF_MAX));
	assert_fails(ENTRY(calloc)(SIZE_MAX / 2, 3));
	assert_fails(ENTRY(reallocarray)(block, SIZE_MAX / 8, 9));
	assert_fails(ENTRY(memalign)((size_t)1 << 62, 1));
	assert_ptr_equal(untouched, state);
	assert_true(ENTRY(malloc_usable_size)(block) >= 100);
	ENTRY(free)(block);
}

static void test_impossible_alignments_are_refused(void **state)
{
	void *untouched = state;

	assert_int_equal(ENTRY(posix_memalign)(&untouched, 24, 1), EINVAL);
	assert_int_equal(ENTRY(posix_memalign)(&untouched, 4, 1), EINVAL);
	assert_int_equal(ENTRY(posix_memalign)(&untouched, 0, 1), EINVAL);
	assert_ptr_equal(untouched, state);
	errno = 0;
	assert_null(ENTRY(aligned_alloc)(48, 96));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(ENTRY(memalign)(SIZE_MAX, 1));
	assert_int_equal(errno, EINVAL);
	ENTRY(free)(NULL);
	assert_int_equal(ENTRY(malloc_usable_size)(NULL), 0);
}

static void test_child_of_fork_allocates_and_releases(void **state)
{
	void *before[200];
	int status;
	pid_t child;

	(void)state;
	for (size_t i = 0; i < 200; i++)
		before[i] = ENTRY(malloc)(i * i);
	child = fork();
	if (child == 0) {
		for (size_t i = 0; i < 200; i++)
			ENTRY(free)(before[i]);
		for (size_t i = 0; i < 20000; i++)
			before[i % 200] = ENTRY(calloc)(1, i);
		_exit(before[7] == NULL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (size_t i = 0; i < 200; i++)
		ENTRY(free)(before[i]);
}

static void test_memory_that_is_released_serves_other_sizes(void **state)
{
	static void *blocks[600000];
	struct metalloc_usage usage;

	(void)state;
	for (size_t size = 16; size <= 1024; size += 48) {
		for (size_t i = 0; i < (16u << 20) / size / 2; i++)
			blocks[i] = ENTRY(malloc)(size);
		for (size_t i = 0; i < (16u << 20) / size / 2; i++)
			ENTRY(free)(blocks[i]);
	}
	metalloc_usage(&usage);
	assert_true(usage.peak_bytes < 60u << 20);
	metalloc_trim();
	metalloc_usage(&usage);
	assert_true(usage.used_bytes < 10u << 20);
	assert_int_equal(usage.kept_bytes, 0);
}

static void test_class_sizes_are_in_order_and_hold_their_sizes(void **state)
{
	(void)state;
	for (size_t size = 1; size <= METALLOC_MOST_BYTES; size++) {
		const unsigned class = class_of_size(size);

		assert_in_range(class, 1, CLASS_COUNT - 1);
		assert_true(class_bytes(class) >= size);
		assert_true(class == 1 || class_bytes(class - 1) < size);
	}
	assert_int_equal(class_bytes(CLASS_COUNT - 1), METALLOC_MOST_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_class_sizes_are_in_order_and_hold_their_sizes),
		cmocka_unit_test(test_memory_that_is_released_serves_other_sizes),
		cmocka_unit_test(test_malloc_of_every_size),
		cmocka_unit_test(test_calloc_is_zero_where_memory_was_used_before),
		cmocka_unit_test(test_every_alignment_with_every_size),
		cmocka_unit_test(test_valloc_and_pvalloc_give_pages),
		cmocka_unit_test(test_realloc_keeps_contents_from_every_size_to_every_size),
		cmocka_unit_test(test_alignment_survives_no_realloc_but_contents_do),
		cmocka_unit_test(test_impossible_sizes_are_refused),
		cmocka_unit_test(test_impossible_alignments_are_refused),
		cmocka_unit_test(test_child_of_fork_allocates_and_releases),
	};

	collect_sizes();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
