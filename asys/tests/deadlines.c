/* SPDX-License-Identifier: MIT */
/*
 * The heap of deadlines against a list that is searched.
 */
#include "asys_internal.h"
#include "asys_test.h"

#include <stdlib.h>

enum {
	COUNT = 300,
	STEPS = 20000
};

static uint64_t least(const struct asys_message messages[])
{
	uint64_t when = UINT64_MAX;

	for (unsigned i = 0; i < COUNT; i++)
		if (messages[i].marks & ASYS_MARK_HAS_DEADLINE)
			when = base_min(when, messages[i].deadline_ns);
	return when;
}

static void test_first_of_the_heap_is_the_least_after_any_removal(void **state)
{
	struct asys_message *const messages = calloc(COUNT, sizeof(*messages));
	struct asys asys = {0};
	unsigned seed = 7;

	(void)state;
	for (unsigned step = 0; step < STEPS; step++) {
		struct asys_message *const one = &messages[(unsigned)rand_r(&seed) % COUNT];

		if (one->marks & ASYS_MARK_HAS_DEADLINE) {
			asys_deadlines_remove(&asys, one);
		} else {
			one->deadline_ns = (unsigned)rand_r(&seed) % 1000 + 1;
			asys_deadlines_add(&asys, one);
		}
		if (asys.deadlines == NULL)
			assert_true(least(messages) == UINT64_MAX);
		else
			assert_true(asys_deadline_of(asys.deadlines) == least(messages));
	}
	free(messages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_of_the_heap_is_the_least_after_any_removal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
