/* SPDX-License-Identifier: MIT */
/*
 * Allocators that a program brings, and the choice by hand.
 */
#include "entry.h"
#include "ways.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The smallest allocator there is: blocks of 256 bytes, one group, first come, first served. */
static unsigned served, returned;
static char *next_block, *end;

static void *stack_allocate(const struct metalloc_allocator *self, size_t size_bytes)
{
	size_t header;
	char *block;

	assert_in_range(size_bytes, self->least_bytes, self->most_bytes);
	if (end - next_block < 256) {
		next_block = metalloc_group_take(self, &header);
		end = next_block + METALLOC_GROUP_BYTES;
		for (size_t i = header; i < METALLOC_GROUP_BYTES; i++)
			assert_int_equal(next_block[i], 0);
		next_block += base_align_up(header, 256);
	}
	block = next_block;
	next_block += 256;
	served++;
	return block;
}

static void stack_release(const struct metalloc_allocator *self, void *block)
{
	(void)self;
	(void)block;
	returned++;
}

static size_t stack_usable(const struct metalloc_allocator *self, const void *block)
{
	(void)self;
	(void)block;
	return 256;
}

static const struct metalloc_allocator stack = {
	.name = "stack-256",
	.least_bytes = 200,
	.most_bytes = 256,
	.alignment_bytes = 256,
	.flags = METALLOC_NO_REUSE,
	.allocate = stack_allocate,
	.release = stack_release,
	.usable = stack_usable,
};

static void test_programs_own_allocator_serves_its_sizes_alone(void **state)
{
	void *blocks[600];

	(void)state;
	assert_int_equal(metalloc_register(&stack), 0);
	assert_int_equal(metalloc_use("stack-256", 200, 256), 0);
	for (unsigned i = 0; i < 600; i++) {
		blocks[i] = ENTRY(malloc)(200 + i % 57);
		assert_int_equal((uintptr_t)blocks[i] % 256, 0);
		memset(blocks[i], 1, 256);
		assert_ptr_equal(metalloc_allocator_of(blocks[i]), &stack);
	}
	assert_int_equal(served, 600);
	ENTRY(free)(ENTRY(malloc)(300));
	assert_int_equal(served, 600);
	blocks[0] = ENTRY(realloc)(blocks[0], 1000);
	assert_ptr_not_equal(metalloc_allocator_of(blocks[0]), &stack);
	for (unsigned i = 0; i < 600; i++)
		ENTRY(free)(blocks[i]);
	assert_int_equal(returned, 600);
}

static void test_wrong_descriptors_are_refused(void **state)
{
	struct metalloc_allocator wrong = stack;

	(void)state;
	assert_int_equal(metalloc_register(&stack), -EEXIST);
	assert_int_equal(metalloc_register(NULL), -EINVAL);
	wrong.name = "Stack";
	assert_int_equal(metalloc_register(&wrong), -EINVAL);
	wrong.name = "sixteen-letters-";
	assert_int_equal(metalloc_register(&wrong), -EINVAL);
	wrong = stack;
	wrong.name = "other";
	wrong.most_bytes = METALLOC_MOST_BYTES + 1;
	assert_int_equal(metalloc_register(&wrong), -EINVAL);
	wrong.most_bytes = 100;
	assert_int_equal(metalloc_register(&wrong), -EINVAL);
	wrong = stack;
	wrong.name = "other";
	wrong.alignment_bytes = 24;
	assert_int_equal(metalloc_register(&wrong), -EINVAL);
	wrong = stack;
	wrong.name = "other";
	wrong.usable = NULL;
	assert_int_equal(metalloc_register(&wrong), -EINVAL);
}

static void test_wrong_choices_are_refused(void **state)
{
	(void)state;
	assert_int_equal(metalloc_use("nonesuch", 1, 2), -ENOENT);
	assert_int_equal(metalloc_use(NULL, 1, 2), -ENOENT);
	assert_int_equal(metalloc_use("lists", 2, 1), -EINVAL);
	assert_int_equal(metalloc_use("stack-256", 100, 256), -ERANGE);
	assert_int_equal(metalloc_use("lists", 1, METALLOC_MOST_BYTES + 1), -ERANGE);
	assert_int_equal(metalloc_use("big", 40000, 50000), -ERANGE);
}

static void test_choice_changes_while_blocks_are_alive(void **state)
{
	const char *const names[] = {"lists", "bitmap", "bump", "handover"};
	void *blocks[2000] = {NULL};

	(void)state;
	for (unsigned i = 0; i < 40000; i++) {
		if (i % 500 == 0)
			assert_int_equal(metalloc_use(names[i / 500 % 4], 1, 2048), 0);
		ENTRY(free)(blocks[i % 2000]);
		blocks[i % 2000] = ENTRY(calloc)(1, i * 7 % 2048);
		assert_non_null(blocks[i % 2000]);
	}
	for (unsigned i = 0; i < 2000; i++)
		ENTRY(free)(blocks[i]);
}

static void test_no_more_allocators_than_there_is_room_for(void **state)
{
	static struct metalloc_allocator many[16];
	static char names[16][16];
	unsigned added = 0;

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		snprintf(names[i], sizeof(names[i]), "number-%u", i);
		many[i] = stack;
		many[i].name = names[i];
		added += metalloc_register(&many[i]) == 0;
	}
	assert_int_equal(added, 9);
	assert_int_equal(metalloc_register(&many[15]), -ENOSPC);
	assert_ptr_equal(metalloc_allocator(15), &many[8]);
	assert_null(metalloc_allocator(16));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs_own_allocator_serves_its_sizes_alone),
		cmocka_unit_test(test_wrong_descriptors_are_refused),
		cmocka_unit_test(test_wrong_choices_are_refused),
		cmocka_unit_test(test_choice_changes_while_blocks_are_alive),
		cmocka_unit_test(test_no_more_allocators_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
