/* SPDX-License-Identifier: MIT */
/*
 * Tests of the null driver.
 */
#include "double.h"
#include "suite.h"

#include <string.h>

extern const struct bdus_driver bdus_driver_null;

static void reads_give_zeros_and_no_old_data(void **state)
{
	unsigned char data[4096];
	struct opened opened;

	(void)state;
	assert_int_equal(double_open(&opened, &bdus_driver_null, ""), 0);
	memset(data, 0xaa, sizeof(data));
	assert_int_equal(double_request(&opened, BDUS_OP_WRITE, 0, 0, sizeof(data), data), 0);
	assert_int_equal(data[17], 0xaa);
	assert_int_equal(double_request(&opened, BDUS_OP_READ, 0, 0, sizeof(data), data), 0);
	for (size_t i = 0; i < sizeof(data); i++)
		assert_int_equal(data[i], 0);
	assert_int_equal(double_close(&opened), 0);
}

static void zero_no_leaves_the_payload_alone(void **state)
{
	unsigned char data[4096];
	struct opened opened;

	(void)state;
	assert_int_equal(double_open(&opened, &bdus_driver_null, "zero=no"), 0);
	memset(data, 0xaa, sizeof(data));
	assert_int_equal(double_request(&opened, BDUS_OP_READ, 0, 0, sizeof(data), data), 0);
	assert_int_equal(data[0], 0xaa);
	assert_int_equal(data[4095], 0xaa);
	assert_int_equal(double_close(&opened), 0);
}

static void check_extent(const char *options, unsigned flags)
{
	struct bdus_extent extents[2];
	struct opened opened;

	assert_int_equal(double_open(&opened, &bdus_driver_null, options), 0);
	assert_int_equal(double_extents(&opened, 1 << 20, 8192, extents, 2), 1);
	assert_int_equal(extents[0].length_bytes, 8192);
	assert_int_equal(extents[0].flags, flags);
	assert_int_equal(double_close(&opened), 0);
}

static void extents_claim_zeros_only_where_reads_give_them(void **state)
{
	(void)state;
	check_extent("", BDUS_EXTENT_HOLE | BDUS_EXTENT_ZERO);
	check_extent("zero=no", BDUS_EXTENT_HOLE);
}

static void options_become_attributes(void **state)
{
	struct opened opened;

	(void)state;
	assert_int_equal(double_open(&opened, &bdus_driver_null,
				     "size=3T logical-block-size=4K physical-block-size=4096 "
				     "queues=7"),
			 0);
	assert_int_equal(opened.attrs.size_bytes, UINT64_C(3) << 40);
	assert_int_equal(opened.attrs.logical_block_size, 4096);
	assert_int_equal(opened.attrs.physical_block_size, 4096);
	assert_int_equal(opened.attrs.queues, 7);
	assert_int_equal(opened.attrs.ops & BDUS_OP_BIT(BDUS_OP_FLUSH), 0);
	assert_int_equal(double_close(&opened), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_give_zeros_and_no_old_data),
		cmocka_unit_test(zero_no_leaves_the_payload_alone),
		cmocka_unit_test(extents_claim_zeros_only_where_reads_give_them),
		cmocka_unit_test(options_become_attributes),
	};

	return suite_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
