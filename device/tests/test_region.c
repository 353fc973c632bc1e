/* SPDX-License-Identifier: MIT */
/*
 * A region's pieces do not overlap, lie where they should, and come together again.
 */
#include "region.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE   ((size_t)4096)
#define PAGES  1000
#define PIECES 300
#define STEPS  200000

static char *memory;
static struct bdus_region *region;

static int set_up(void **state)
{
	(void)state;
	memory = aligned_alloc(PAGE, PAGES * PAGE);
	return memory != NULL ? bdus_region_create(memory, PAGES * PAGE, &region) : -1;
}

static int tear_down(void **state)
{
	(void)state;
	bdus_region_destroy(region);
	free(memory);
	return 0;
}

static void all_of_it_can_be_had_in_pages_and_then_nothing(void **state)
{
	static void *pages[PAGES];

	(void)state;
	for (unsigned i = 0; i < PAGES; i++) {
		pages[i] = bdus_region_get(region, PAGE);
		assert_non_null(pages[i]);
		memset(pages[i], (int)i, PAGE);
	}
	assert_null(bdus_region_get(region, 1));
	for (unsigned i = 0; i < PAGES; i++) {
		assert_int_equal(*(unsigned char *)pages[i], i & 0xff);
		bdus_region_put(region, pages[i], PAGE);
	}
	/* What was cut up is whole again: 512 + 256 + 128 + 64 + 32 + 8 pages. */
	assert_int_equal(bdus_region_largest(region), 512 * PAGE);
	assert_non_null(bdus_region_get(region, 512 * PAGE));
	assert_non_null(bdus_region_get(region, 256 * PAGE));
	assert_null(bdus_region_get(region, 256 * PAGE));
}

struct piece {
	unsigned char *start;
	size_t bytes;
	unsigned char mark;
};

static void check_piece(const struct piece *piece)
{
	for (size_t i = 0; i < piece->bytes; i += 512)
		assert_int_equal(piece->start[i], piece->mark);
	assert_int_equal(piece->start[piece->bytes - 1], piece->mark);
}

static void pieces_of_any_size_never_overlap(void **state)
{
	static struct piece pieces[PIECES];
	unsigned random = 1;

	(void)state;
	memset(pieces, 0, sizeof(pieces));
	for (unsigned step = 0; step < STEPS; step++) {
		struct piece *const piece = &pieces[(random >> 8) % PIECES];

		random = random * 1103515245 + 12345;
		if (piece->start != NULL) {
			check_piece(piece);
			bdus_region_put(region, piece->start, piece->bytes);
			piece->start = NULL;
			continue;
		}
		piece->bytes = 1 + (random >> 4) % (12 * PAGE);
		piece->start = bdus_region_get(region, piece->bytes);
		if (piece->start == NULL)
			continue;
		assert_int_equal((uintptr_t)piece->start % PAGE, 0);
		assert_true((char *)piece->start >= memory &&
			    (char *)piece->start + piece->bytes <= memory + PAGES * PAGE);
		piece->mark = (unsigned char)step;
		memset(piece->start, piece->mark, piece->bytes);
	}
	for (unsigned i = 0; i < PIECES; i++)
		if (pieces[i].start != NULL)
			bdus_region_put(region, pieces[i].start, pieces[i].bytes);
	assert_non_null(bdus_region_get(region, 512 * PAGE));
}

static void what_makes_no_region_is_refused(void **state)
{
	struct bdus_region *none = NULL;

	(void)state;
	assert_int_equal(bdus_region_create(memory + 512, 2 * PAGE, &none), -EINVAL);
	assert_int_equal(bdus_region_create(memory, PAGE - 1, &none), -EINVAL);
	assert_int_equal(bdus_region_create(NULL, PAGE, &none), -EINVAL);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_of_it_can_be_had_in_pages_and_then_nothing,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(pieces_of_any_size_never_overlap, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_makes_no_region_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
