/* SPDX-License-Identifier: MIT */
/*
 * Tests of the error filter, in the engine.
 */
#include "base/bits.h"
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

extern const struct bdus_filter bdus_filter_error;

static const struct bdus_filter *const filters[] = {&bdus_filter_error};
static const struct bdus_device_attrs plain = {.size_bytes = 1 << 20};
static struct fake fake;
static struct bdus_io io;
static char payload[8192] __attribute__((aligned(4096)));

static void start(const char *words)
{
	memset(&io, 0, sizeof(io));
	fake_init_filtered(&fake, plain, BDUS_OP_BIT(BDUS_OP_CACHE + 1) - 1, filters, &words, 1);
	fake.at_once = true;
}

/** The result of one request. */
static int serve(enum bdus_op op, uint64_t offset, uint64_t length)
{
	fake.commit_count = 0;
	fake_issue(&fake, &io, op, 0, offset, length, op == BDUS_OP_FLUSH ? NULL : payload);
	assert_int_equal(fake.commit_count, 1);
	return io.result;
}

static void every_request_fails_unless_told_otherwise(void **state)
{
	(void)state;
	start("");
	assert_int_equal(serve(BDUS_OP_READ, 0, 4096), -EIO);
	assert_int_equal(serve(BDUS_OP_FLUSH, 0, 0), -EIO);
	assert_int_equal(serve(BDUS_OP_DISCARD, 0, 4096), -EIO);
	assert_int_equal(fake.seen_count, 0);
	fake_finish(&fake);
}

static void only_the_operations_named_fail(void **state)
{
	(void)state;
	start("error=ENOSPC operations=write+write-zeros");
	assert_int_equal(serve(BDUS_OP_READ, 0, 4096), 0);
	assert_int_equal(serve(BDUS_OP_WRITE, 0, 4096), -ENOSPC);
	assert_int_equal(serve(BDUS_OP_WRITE_ZEROS, 0, 4096), -ENOSPC);
	assert_int_equal(serve(BDUS_OP_FLUSH, 0, 0), 0);
	fake_finish(&fake);
}

static void only_what_touches_the_range_fails(void **state)
{
	(void)state;
	start("start=8K length=4K operations=read");
	assert_int_equal(serve(BDUS_OP_READ, 4096, 4096), 0);
	assert_int_equal(serve(BDUS_OP_READ, 4096, 4608), -EIO);
	assert_int_equal(serve(BDUS_OP_READ, 8192, 512), -EIO);
	assert_int_equal(serve(BDUS_OP_READ, 12288 - 512, 512), -EIO);
	assert_int_equal(serve(BDUS_OP_READ, 12288, 512), 0);
	fake_finish(&fake);
}

static unsigned failures_of(const char *words, unsigned requests, uint64_t *pattern)
{
	unsigned failures = 0;

	*pattern = 0;
	start(words);
	for (unsigned i = 0; i < requests; i++) {
		const bool failed = serve(BDUS_OP_READ, 0, 512) != 0;

		failures += failed;
		*pattern = *pattern * 31 + failed;
	}
	fake_finish(&fake);
	return failures;
}

static void the_rate_is_kept_and_the_seed_repeats_it(void **state)
{
	uint64_t first;
	uint64_t again;
	uint64_t other;
	const unsigned failures = failures_of("rate=10%", 4000, &first);

	(void)state;
	assert_in_range(failures, 320, 480);
	assert_int_equal(failures_of("rate=10% seed=1", 4000, &again), failures);
	assert_int_equal(first, again);
	failures_of("rate=10% seed=7777777", 4000, &other);
	assert_int_not_equal(first, other);
	assert_int_equal(failures_of("rate=0%", 1000, &other), 0);
	assert_int_equal(failures_of("rate=100.0000%", 1000, &other), 1000);
	assert_in_range(failures_of("rate=0.5%", 8000, &other), 20, 65);
}

static void no_more_than_the_count_fail(void **state)
{
	uint64_t pattern;

	(void)state;
	assert_int_equal(failures_of("count=3", 100, &pattern), 3);
}

static void requests_fail_only_while_the_file_exists(void **state)
{
	char path[64];
	char words[128];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/bdus-test-error-%d", getpid());
	snprintf(words, sizeof(words), "file=%s", path);
	start(words);
	assert_int_equal(serve(BDUS_OP_READ, 0, 512), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(serve(BDUS_OP_READ, 0, 512), -EIO);
	unlink(path);
	assert_int_equal(serve(BDUS_OP_READ, 0, 512), 0);
	fake_finish(&fake);
}

static void words_that_make_no_sense_are_refused(void **state)
{
	static const char *const bad[] = {
		"rate=10",       "rate=%",         "rate=101%",        "rate=-1%",
		"rate=1.23456%", "operations=fly", "operations=read+", "operations=read++write"};

	(void)state;
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(bad); i++) {
		const struct bdus_filter_use use = {&bdus_filter_error, &bad[i], 1};
		struct bdus_device_attrs attrs = plain;
		struct bdus_stack *stack;

		assert_int_equal(bdus_stack_create(&use, 1, &stack), 0);
		if (bdus_stack_open(stack, &attrs) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
		assert_non_null(strstr(base_error_message(), bad[i]));
		bdus_stack_destroy(stack);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_fails_unless_told_otherwise),
		cmocka_unit_test(only_the_operations_named_fail),
		cmocka_unit_test(only_what_touches_the_range_fails),
		cmocka_unit_test(the_rate_is_kept_and_the_seed_repeats_it),
		cmocka_unit_test(no_more_than_the_count_fail),
		cmocka_unit_test(requests_fail_only_while_the_file_exists),
		cmocka_unit_test(words_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
