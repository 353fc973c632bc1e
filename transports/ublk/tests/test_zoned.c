/* SPDX-License-Identifier: MIT */
/*
 * Zones between the kernel's structures and ours: parameters, requests, what is refused, reports.
 */
#include "ublk_internal.h"

#include <bdus/zoned.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MIB     UINT64_C(1048576)
#define SECTORS (MIB >> 9)
#define BIT     BDUS_OP_BIT

static const struct bdus_device_attrs attrs = {
	.size_bytes = 16 * MIB,
	.logical_block_size = 4096,
	.physical_block_size = 4096,
	.ops = BIT(BDUS_OP_READ) | BIT(BDUS_OP_WRITE) | BIT(BDUS_OP_ZONE_REPORT) |
	       BIT(BDUS_OP_ZONE_OPEN) | BIT(BDUS_OP_ZONE_CLOSE) | BIT(BDUS_OP_ZONE_FINISH) |
	       BIT(BDUS_OP_ZONE_RESET) | BIT(BDUS_OP_ZONE_RESET_ALL) | BIT(BDUS_OP_ZONE_APPEND),
	.max_transfer_bytes = 1 << 20,
	.zone_size_bytes = MIB,
	.zone_capacity_bytes = MIB,
	.max_open_zones = 3,
	.max_active_zones = 5,
	.max_append_bytes = 65536,
};

static const struct ublk_limits limits = {
	.size_bytes = 16 * MIB,
	.max_transfer_bytes = 1 << 20,
	.ops = (1U << BDUS_OP_COUNT) - 1,
	.zone_size_bytes = MIB,
	.max_append_bytes = 65536,
};

static char payload[4096];
static struct bdus_io io;

static int decode_with(uint32_t op_flags, uint64_t sector, uint32_t count,
		       const struct ublk_limits *with)
{
	struct ublk_abi_io_desc descriptor = {0};

	ublk_abi_io_desc_set_op_flags(&descriptor, op_flags);
	ublk_abi_io_desc_set_start_sector(&descriptor, sector);
	ublk_abi_io_desc_set_nr_sectors(&descriptor, count);
	bdus_io_init(&io);
	return ublk_decode_request(&descriptor, with, payload, &io);
}

static int decode(uint32_t op_flags, uint64_t sector, uint32_t count)
{
	return decode_with(op_flags, sector, count, &limits);
}

static void parameters_tell_of_zones(void **state)
{
	struct ublk_abi_params params;

	(void)state;
	ublk_fill_params(&attrs, &params);
	assert_true(ublk_abi_params_types(&params) & UBLK_ABI_PARAM_ZONED);
	assert_int_equal(ublk_abi_params_chunk_sectors(&params), SECTORS);
	assert_int_equal(ublk_abi_params_max_open_zones(&params), 3);
	assert_int_equal(ublk_abi_params_max_active_zones(&params), 5);
	assert_int_equal(ublk_abi_params_max_zone_append_sectors(&params), 128);
}

static void requests_on_zones_get_a_whole_zone(void **state)
{
	static const struct {
		uint32_t kernel;
		unsigned ours;
	} ops[] = {
		{UBLK_ABI_OP_ZONE_OPEN, BDUS_OP_ZONE_OPEN},
		{UBLK_ABI_OP_ZONE_CLOSE, BDUS_OP_ZONE_CLOSE},
		{UBLK_ABI_OP_ZONE_FINISH, BDUS_OP_ZONE_FINISH},
		{UBLK_ABI_OP_ZONE_RESET, BDUS_OP_ZONE_RESET},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		assert_int_equal(decode(ops[i].kernel, 3 * SECTORS, 0), 0);
		assert_int_equal(io.request.op, ops[i].ours);
		assert_int_equal(io.request.offset_bytes, 3 * MIB);
		assert_int_equal(io.request.length_bytes, MIB);
		assert_null(io.request.data);
		assert_int_equal(decode(ops[i].kernel, 16 * SECTORS, 0), -EIO);
		assert_int_equal(decode(ops[i].kernel, UINT64_MAX, 0), -EIO);
	}
	assert_int_equal(decode(UBLK_ABI_OP_ZONE_RESET_ALL, 5, 7), 0);
	assert_int_equal(io.request.offset_bytes, 0);
	assert_int_equal(io.request.length_bytes, 16 * MIB);
}

static void appends_and_reports_are_checked(void **state)
{
	(void)state;
	assert_int_equal(decode(UBLK_ABI_OP_ZONE_APPEND | UBLK_ABI_REQUEST_FUA, 2 * SECTORS, 128),
			 0);
	assert_int_equal(io.request.flags, BDUS_REQUEST_FUA);
	assert_int_equal(io.request.length_bytes, 65536);
	assert_ptr_equal(io.request.data, payload);
	assert_int_equal(ublk_encode_result(&io), 65536);
	assert_int_equal(decode(UBLK_ABI_OP_ZONE_APPEND, 2 * SECTORS, 136), -EIO);
	assert_int_equal(decode(UBLK_ABI_OP_ZONE_APPEND, 2 * SECTORS, 0), -EIO);
	assert_int_equal(decode(UBLK_ABI_OP_REPORT_ZONES, 14 * SECTORS, 100), 0);
	assert_int_equal(io.request.zone_capacity, 2);
	assert_int_equal(io.request.length_bytes, 2 * MIB);
	assert_int_equal(decode(UBLK_ABI_OP_REPORT_ZONES, 0, UINT32_MAX), 0);
	assert_int_equal(io.request.zone_capacity, 16);
	assert_int_equal(ublk_encode_result(&io), INT32_MAX);
	assert_int_equal(decode(UBLK_ABI_OP_REPORT_ZONES, 16 * SECTORS, 1), -EIO);
	assert_int_equal(decode(UBLK_ABI_OP_REPORT_ZONES, 0, 0), -EIO);
}

static void what_the_device_lacks_is_refused(void **state)
{
	struct ublk_limits others = limits;

	(void)state;
	others.ops = BIT(BDUS_OP_READ);
	assert_int_equal(decode_with(UBLK_ABI_OP_ZONE_RESET, 0, 0, &others), -EIO);
	others = limits;
	others.zone_size_bytes = 0;
	assert_int_equal(decode_with(UBLK_ABI_OP_ZONE_RESET, 0, 0, &others), -EIO);
	assert_int_equal(decode(16, 0, 8), -EIO);
}

static void the_limits_on_zones_are_told_as_they_are(void **state)
{
	(void)state;
	io.result = -ETOOMANYREFS;
	assert_int_equal(ublk_encode_result(&io), -ETOOMANYREFS);
	io.result = -EOVERFLOW;
	assert_int_equal(ublk_encode_result(&io), -EOVERFLOW);
}

static void reports_are_in_sectors(void **state)
{
	const struct bdus_zone zones[] = {
		{.start_bytes = MIB,
		 .length_bytes = MIB,
		 .capacity_bytes = MIB / 2,
		 .write_pointer_bytes = MIB + 4096,
		 .type = BDUS_ZONE_SEQUENTIAL,
		 .condition = BDUS_ZONE_CLOSED},
		{.start_bytes = 2 * MIB,
		 .length_bytes = MIB,
		 .capacity_bytes = MIB / 2,
		 .write_pointer_bytes = 2 * MIB + MIB / 2,
		 .type = BDUS_ZONE_SEQUENTIAL,
		 .condition = BDUS_ZONE_FULL},
	};
	struct ublk_abi_zone encoded[2];

	(void)state;
	assert_int_equal(sizeof(encoded[0]), 64);
	ublk_zoned_encode(zones, 2, encoded);
	assert_int_equal(ublk_abi_zone_start(&encoded[0]), SECTORS);
	assert_int_equal(ublk_abi_zone_len(&encoded[0]), SECTORS);
	assert_int_equal(ublk_abi_zone_wp(&encoded[0]), SECTORS + 8);
	assert_int_equal(ublk_abi_zone_capacity(&encoded[0]), SECTORS / 2);
	assert_int_equal(ublk_abi_zone_type(&encoded[0]), 2);
	assert_int_equal(ublk_abi_zone_cond(&encoded[0]), 4);
	assert_int_equal(ublk_abi_zone_wp(&encoded[1]), 3 * SECTORS);
}

static void what_cannot_be_carried_is_refused_by_name(void **state)
{
	struct bdus_device_attrs lacking = attrs;

	(void)state;
	assert_int_equal(ublk_zoned_check(&attrs, UBLK_ABI_F_ZONED, false), 0);
	assert_int_equal(ublk_zoned_check(&attrs, 0, false), -EOPNOTSUPP);
	assert_int_equal(ublk_zoned_check(&attrs, UBLK_ABI_F_ZONED, true), -EOPNOTSUPP);
	lacking.ops &= ~BIT(BDUS_OP_ZONE_APPEND);
	assert_int_equal(ublk_zoned_check(&lacking, UBLK_ABI_F_ZONED, false), -EOPNOTSUPP);
	lacking.flags = BDUS_DEVICE_READ_ONLY;
	assert_int_equal(ublk_zoned_check(&lacking, UBLK_ABI_F_ZONED, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_tell_of_zones),
		cmocka_unit_test(requests_on_zones_get_a_whole_zone),
		cmocka_unit_test(appends_and_reports_are_checked),
		cmocka_unit_test(what_the_device_lacks_is_refused),
		cmocka_unit_test(the_limits_on_zones_are_told_as_they_are),
		cmocka_unit_test(reports_are_in_sectors),
		cmocka_unit_test(what_cannot_be_carried_is_refused_by_name),
	};

	return cmocka_run_group_tests_name("ublk-zoned", tests, NULL, NULL);
}
