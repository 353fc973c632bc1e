/* SPDX-License-Identifier: MIT */
#include "uthread_test.h"

struct uthread_options test_options = {.size = sizeof(test_options), .workers = 1};

static const struct way {
	const char *name;
	struct uthread_options options;
} ways[] = {
	{"one-worker", {.size = sizeof(test_options), .workers = 1}},
	{"worker-per-cpu", {.size = sizeof(test_options)}},
	{"workers", {.size = sizeof(test_options), .workers = 4}},
	{"bound", {.size = sizeof(test_options), .workers = 3, .flags = UTHREAD_BOUND_THREADS}},
	{"spares", {.size = sizeof(test_options), .workers = 2, .spare_workers = 2, .tick_ms = 2}},
	{"classic-guards",
	 {.size = sizeof(test_options), .workers = 1, .flags = UTHREAD_CLASSIC_GUARDS}},
	{"fifo", {.size = sizeof(test_options), .policy = &uthread_policy_fifo, .workers = 2}},
	{"priority",
	 {.size = sizeof(test_options), .workers = 1, .policy = &uthread_policy_priority}},
	{"deadline",
	 {.size = sizeof(test_options), .workers = 1, .policy = &uthread_policy_deadline}},
};

bool test_choose_way(const char *name)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(ways[i].name, name) == 0) {
			test_options = ways[i].options;
			return true;
		}
	fprintf(stderr, "%s: no such way\n", name);
	return false;
}

void test_run(void *(*start)(void *))
{
	void *result = NULL;

	CHECK_INT(uthread_run(&test_options, start, &test_options, &result), 0);
	CHECK(result == &test_options);
}
