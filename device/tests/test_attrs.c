/* SPDX-License-Identifier: MIT */
/*
 * Attributes of a device: what is filled in, what is refused, what is lowered.
 */
#include "attrs.h"
#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct bdus_device_attrs plain(void)
{
	return (struct bdus_device_attrs){.size_bytes = 1 << 20, .ops = BDUS_OP_BIT(BDUS_OP_READ)};
}

static void assert_refused(struct bdus_device_attrs attrs, const char *part)
{
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), -EINVAL);
	if (strstr(base_error_message(), part) == NULL ||
	    strstr(base_error_message(), "driver test") == NULL)
		fail_msg("'%s' does not say '%s'", base_error_message(), part);
}

static void what_is_left_out_gets_its_documented_default(void **state)
{
	struct bdus_device_attrs attrs = plain();

	(void)state;
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
	assert_int_equal(attrs.size_bytes, 1 << 20);
	assert_int_equal(attrs.logical_block_size, 512);
	assert_int_equal(attrs.physical_block_size, 512);
	assert_int_equal(attrs.max_transfer_bytes, 1 << 20);
	assert_int_equal(attrs.discard_granularity_bytes, 512);
	assert_int_equal(attrs.max_concurrency, 1);
	assert_int_equal(attrs.queues, 1);
	assert_int_equal(attrs.queue_depth, 128);
	/* Unlimited, in whole blocks. */
	assert_true(attrs.max_write_zeros_bytes >= (UINT64_C(1) << 62));
	assert_true(attrs.max_discard_bytes >= (UINT64_C(1) << 62));
	assert_int_equal(attrs.max_discard_bytes % 512, 0);
}

static void the_physical_block_follows_the_logical_one(void **state)
{
	struct bdus_device_attrs attrs = plain();

	(void)state;
	attrs.logical_block_size = 2048;
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
	assert_int_equal(attrs.physical_block_size, 2048);
	assert_int_equal(attrs.discard_granularity_bytes, 2048);
}

static void logical_blocks_are_powers_of_two_from_512_to_the_page(void **state)
{
	struct bdus_device_attrs attrs = plain();

	(void)state;
	for (uint32_t size = 512; size <= bdus_page_size(); size *= 2) {
		attrs = plain();
		attrs.logical_block_size = size;
		assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
	}
	attrs = plain();
	attrs.logical_block_size = 256;
	assert_refused(attrs, "logical block size 256");
	attrs.logical_block_size = 513;
	assert_refused(attrs, "logical block size 513");
	attrs.logical_block_size = 1536;
	assert_refused(attrs, "logical block size 1536");
	attrs.logical_block_size = 2 * bdus_page_size();
	assert_refused(attrs, "to the page size");
	attrs.logical_block_size = UINT32_C(1) << 31;
	assert_refused(attrs, "to the page size");
}

static void physical_blocks_are_powers_of_two_from_the_logical_to_the_page(void **state)
{
	struct bdus_device_attrs attrs = plain();

	(void)state;
	attrs.logical_block_size = 1024;
	attrs.physical_block_size = 512;
	assert_refused(attrs, "physical block size 512");
	attrs.physical_block_size = 3072;
	assert_refused(attrs, "physical block size 3072");
	attrs.physical_block_size = 2 * bdus_page_size();
	assert_refused(attrs, "physical block size");
	attrs.physical_block_size = bdus_page_size();
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
}

static void the_size_is_a_positive_multiple_of_the_physical_block(void **state)
{
	struct bdus_device_attrs attrs = plain();

	(void)state;
	attrs.size_bytes = 0;
	assert_refused(attrs, "size 0");
	attrs.size_bytes = 511;
	assert_refused(attrs, "size 511");
	attrs.size_bytes = 4096 + 512;
	attrs.physical_block_size = 4096;
	assert_refused(attrs, "size 4608");
	attrs.size_bytes = UINT64_MAX - 4095;
	assert_refused(attrs, "must be at most");
	attrs.size_bytes = (UINT64_C(1) << 63) - 4096;
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
}

static void limits_below_the_least_are_refused(void **state)
{
	struct bdus_device_attrs attrs = plain();

	(void)state;
	attrs.max_transfer_bytes = bdus_page_size() - 1;
	assert_refused(attrs, "max_transfer_bytes 4095");
	attrs = plain();
	attrs.max_write_zeros_bytes = 511;
	assert_refused(attrs, "max_write_zeros_bytes");
	attrs = plain();
	attrs.max_discard_bytes = 1;
	assert_refused(attrs, "max_discard_bytes");
	attrs = plain();
	attrs.optimal_io_bytes = 3000;
	assert_refused(attrs, "optimal_io_bytes 3000");
	attrs = plain();
	attrs.discard_granularity_bytes = 1000;
	assert_refused(attrs, "discard_granularity_bytes 1000");
}

static void unknown_operations_are_refused(void **state)
{
	struct bdus_device_attrs attrs = plain();
	char unknown[32];

	(void)state;
	attrs.ops |= BDUS_OP_BIT(BDUS_OP_COUNT);
	snprintf(unknown, sizeof(unknown), "not know, 0x%" PRIx64,
		 (uint64_t)BDUS_OP_BIT(BDUS_OP_COUNT));
	assert_refused(attrs, unknown);
	attrs.ops = BDUS_OP_BIT(BDUS_OP_ZONE_REPORT) - 1;
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
}

static void limits_are_lowered_to_whole_blocks_and_to_what_anything_carries(void **state)
{
	struct bdus_device_attrs attrs = plain();

	(void)state;
	attrs.logical_block_size = 4096;
	attrs.max_transfer_bytes = 10000;
	attrs.max_write_zeros_bytes = 10000;
	attrs.max_discard_bytes = UINT64_MAX;
	attrs.queues = 100000;
	attrs.queue_depth = 100000;
	attrs.max_concurrency = 100000;
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
	assert_int_equal(attrs.max_transfer_bytes, 8192);
	assert_int_equal(attrs.max_write_zeros_bytes, 8192);
	assert_int_equal(attrs.max_discard_bytes % 4096, 0);
	assert_in_range(attrs.queues, 1, 4096);
	assert_in_range(attrs.queue_depth, 128, 4096);
	assert_in_range(attrs.max_concurrency, 64, 4096);
	attrs.max_transfer_bytes = UINT32_MAX;
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
	assert_true(base_is_power_of_two(attrs.max_transfer_bytes));
	assert_true(attrs.max_transfer_bytes >= 1 << 20);
}

static void completing_twice_changes_nothing(void **state)
{
	struct bdus_device_attrs once = plain();
	struct bdus_device_attrs twice;

	(void)state;
	assert_int_equal(bdus_attrs_complete("driver test", &once), 0);
	twice = once;
	assert_int_equal(bdus_attrs_complete("driver test", &twice), 0);
	assert_memory_equal(&once, &twice, sizeof(once));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_out_gets_its_documented_default),
		cmocka_unit_test(the_physical_block_follows_the_logical_one),
		cmocka_unit_test(logical_blocks_are_powers_of_two_from_512_to_the_page),
		cmocka_unit_test(physical_blocks_are_powers_of_two_from_the_logical_to_the_page),
		cmocka_unit_test(the_size_is_a_positive_multiple_of_the_physical_block),
		cmocka_unit_test(limits_below_the_least_are_refused),
		cmocka_unit_test(unknown_operations_are_refused),
		cmocka_unit_test(limits_are_lowered_to_whole_blocks_and_to_what_anything_carries),
		cmocka_unit_test(completing_twice_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
