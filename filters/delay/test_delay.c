/* SPDX-License-Identifier: MIT */
/*
 * Tests of the delay filter, in the engine.
 */
#include "base/bits.h"
#include "base/clock.h"
#include "fake.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

extern const struct bdus_filter bdus_filter_delay;

static const struct bdus_filter *const filters[] = {&bdus_filter_delay};
static const struct bdus_device_attrs plain = {.size_bytes = 1 << 20};
static struct fake fake;
static struct bdus_io ios[4];
static char payload[4096] __attribute__((aligned(4096)));

static void start(const char *words)
{
	memset(ios, 0, sizeof(ios));
	fake_init_filtered(&fake, plain, BDUS_OP_BIT(BDUS_OP_CACHE + 1) - 1, filters, &words, 1);
	fake.at_once = true;
}

static uint64_t elapsed_ms(uint64_t since_ns)
{
	return (base_now_ns() - since_ns) / 1000000;
}

static void each_operation_waits_for_its_own_time(void **state)
{
	const uint64_t started = base_now_ns();

	(void)state;
	start("time=40ms read=20ms flush=0s");
	fake_issue(&fake, &ios[0], BDUS_OP_WRITE, 0, 0, 4096, payload);
	fake_issue(&fake, &ios[1], BDUS_OP_READ, 0, 0, 4096, payload);
	assert_int_equal(fake.seen_count, 0);
	fake_issue(&fake, &ios[2], BDUS_OP_FLUSH, 0, 0, 0, NULL);
	assert_int_equal(fake.seen_count, 1);
	fake_wait(&fake, 2);
	assert_true(elapsed_ms(started) >= 20);
	assert_ptr_equal(fake.committed[1], &ios[1]);
	fake_wait(&fake, 3);
	assert_true(elapsed_ms(started) >= 40);
	assert_ptr_equal(fake.committed[2], &ios[0]);
	assert_int_equal(ios[0].result, 0);
	fake_finish(&fake);
}

static void the_result_of_the_layer_below_is_kept(void **state)
{
	(void)state;
	start("time=1ms");
	fake.results[0] = -ENOSPC;
	fake_issue(&fake, &ios[0], BDUS_OP_WRITE, 0, 0, 4096, payload);
	fake_wait(&fake, 1);
	assert_int_equal(ios[0].result, -ENOSPC);
	fake_finish(&fake);
}

/** The end of a loop is not held up, and no request is forgotten. */
static void requests_that_wait_when_the_loop_ends_come_back(void **state)
{
	const uint64_t started = base_now_ns();

	(void)state;
	start("time=1000s");
	fake_issue(&fake, &ios[0], BDUS_OP_WRITE, 0, 0, 4096, payload);
	assert_int_equal(fake.queue.in_flight, 1);
	bdus_loop_destroy(fake.loop);
	assert_int_equal(fake.seen_count, 0);
	assert_int_equal(ios[0].state, BDUS_IO_IDLE);
	assert_true(elapsed_ms(started) < 10000);
	bdus_rules_finish(&fake.rules);
	assert_int_equal(bdus_stack_close(fake.stack), 0);
	bdus_stack_destroy(fake.stack);
}

static void jitter_only_adds(void **state)
{
	const uint64_t started = base_now_ns();

	(void)state;
	start("time=5ms jitter=10ms");
	for (unsigned i = 0; i < 4; i++)
		fake_issue(&fake, &ios[i], BDUS_OP_READ, 0, 4096 * i, 4096, payload);
	fake_wait(&fake, 1);
	assert_true(elapsed_ms(started) >= 5);
	fake_wait(&fake, 4);
	fake_finish(&fake);
}

static void zero_copy_is_kept(void **state)
{
	struct bdus_device_attrs attrs = plain;
	const char *words = "time=1ms";

	(void)state;
	attrs.flags = BDUS_DEVICE_ANY_PAYLOAD;
	fake_init_filtered(&fake, attrs, BDUS_OP_BIT(BDUS_OP_READ), filters, &words, 1);
	assert_true(fake.attrs.flags & BDUS_DEVICE_ANY_PAYLOAD);
	fake_finish(&fake);
}

static void times_that_are_none_are_refused_with_what_is_allowed(void **state)
{
	static const char *const bad[] = {"time=10",
					  "time=ms",
					  "time=-1ms",
					  "read=10m",
					  "read=2h",
					  "flush=3601s",
					  "time=99999999999999999999us",
					  "time= 1ms",
					  "jitter=x"};

	(void)state;
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(bad); i++) {
		const struct bdus_filter_use use = {&bdus_filter_delay, &bad[i], 1};
		struct bdus_device_attrs attrs = plain;
		struct bdus_stack *stack;

		assert_int_equal(bdus_stack_create(&use, 1, &stack), 0);
		assert_int_equal(bdus_stack_open(stack, &attrs), -EINVAL);
		assert_non_null(strstr(base_error_message(), bad[i]));
		assert_non_null(strstr(base_error_message(), "at most an hour"));
		bdus_stack_destroy(stack);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_operation_waits_for_its_own_time),
		cmocka_unit_test(the_result_of_the_layer_below_is_kept),
		cmocka_unit_test(requests_that_wait_when_the_loop_ends_come_back),
		cmocka_unit_test(jitter_only_adds),
		cmocka_unit_test(zero_copy_is_kept),
		cmocka_unit_test(times_that_are_none_are_refused_with_what_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
