/* SPDX-License-Identifier: MIT */
/*
 * What is understood of the kernel's structures and what is told to the kernel: parameters, limits,
 * requests that make no sense, results.
 */
#include "ublk_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define READ    BDUS_OP_BIT(BDUS_OP_READ)
#define WRITE   BDUS_OP_BIT(BDUS_OP_WRITE)
#define FLUSH   BDUS_OP_BIT(BDUS_OP_FLUSH)
#define ZEROS   BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS)
#define DISCARD BDUS_OP_BIT(BDUS_OP_DISCARD)
#define ERASE   BDUS_OP_BIT(BDUS_OP_SECURE_ERASE)
#define ALL     (READ | WRITE | FLUSH | ZEROS | DISCARD)

static struct bdus_device_attrs usual_attrs(void)
{
	return (struct bdus_device_attrs){
		.size_bytes = UINT64_C(1) << 30,
		.logical_block_size = 512,
		.physical_block_size = 4096,
		.ops = ALL,
		.max_transfer_bytes = 1 << 20,
		.queues = 1,
		.queue_depth = 128,
	};
}

static struct ublk_limits usual_limits(void)
{
	return (struct ublk_limits){
		.size_bytes = UINT64_C(1) << 30,
		.max_transfer_bytes = 1 << 20,
		.max_discard_bytes = 1 << 28,
		.max_write_zeros_bytes = 1 << 24,
		.ops = ALL,
	};
}

/* ---- tags ---------------------------------------------------------------------------------- */

static void tag_keeps_an_id_of_56_bits_and_knows_foreign_ones(void **state)
{
	const uint64_t ids[] = {0, 1, 77, UINT32_MAX, (UINT64_C(1) << 56) - 1};

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		assert_int_equal(ublk_tag_to_id(ublk_tag_from_id(ids[i])), ids[i]);
	assert_true(ublk_tag_to_id(0) == BDUS_ID_NONE);
	assert_true(ublk_tag_to_id(7) == BDUS_ID_NONE);
	assert_true(ublk_tag_to_id(UINT64_MAX) == BDUS_ID_NONE);
}

/* ---- attributes ---------------------------------------------------------------------------- */

static void secure_erase_is_refused(void **state)
{
	struct bdus_device_attrs attrs = usual_attrs();

	(void)state;
	assert_int_equal(ublk_fit_attrs(&attrs, ALL | ERASE), -EOPNOTSUPP);
	assert_int_equal(ublk_fit_attrs(&attrs, ALL), 0);
}

static void no_range_outgrows_a_signed_32_bit_result(void **state)
{
	struct bdus_device_attrs attrs = usual_attrs();
	struct ublk_abi_params params;

	(void)state;
	for (uint64_t most = 0; most < 2; most++) {
		attrs.max_discard_bytes = most * UINT64_MAX;
		attrs.max_write_zeros_bytes = most * UINT64_MAX;
		assert_int_equal(ublk_fit_attrs(&attrs, ALL), 0);
		assert_in_range(attrs.max_discard_bytes, 1, INT32_MAX);
		assert_in_range(attrs.max_write_zeros_bytes, 1, INT32_MAX);
		ublk_fill_params(&attrs, &params);
		assert_in_range((uint64_t)ublk_abi_params_max_discard_sectors(&params) << 9, 1,
				INT32_MAX);
		assert_in_range((uint64_t)ublk_abi_params_max_write_zeroes_sectors(&params) << 9, 1,
				INT32_MAX);
	}
}

static void emulated_zeros_come_in_smaller_pieces(void **state)
{
	struct bdus_device_attrs native = usual_attrs(), emulated = usual_attrs();

	(void)state;
	assert_int_equal(ublk_fit_attrs(&native, ALL), 0);
	assert_int_equal(ublk_fit_attrs(&emulated, ALL & ~ZEROS), 0);
	assert_true(emulated.max_write_zeros_bytes < native.max_write_zeros_bytes);
}

static void limits_of_the_driver_stay_when_ublk_carries_them(void **state)
{
	struct bdus_device_attrs attrs = usual_attrs();

	(void)state;
	attrs.max_discard_bytes = 65536;
	attrs.max_write_zeros_bytes = 8192;
	assert_int_equal(ublk_fit_attrs(&attrs, ALL), 0);
	assert_int_equal(attrs.max_discard_bytes, 65536);
	assert_int_equal(attrs.max_write_zeros_bytes, 8192);
	assert_int_equal(attrs.max_transfer_bytes, 1 << 20);
	assert_int_equal(attrs.queue_depth, 128);
}

static void depth_queues_and_transfer_are_lowered(void **state)
{
	struct bdus_device_attrs attrs = usual_attrs();

	(void)state;
	attrs.queues = attrs.queue_depth = 100000;
	attrs.max_transfer_bytes = UINT32_C(1) << 31;
	assert_int_equal(ublk_fit_attrs(&attrs, ALL), 0);
	assert_int_equal(attrs.queues, 4096);
	assert_int_equal(attrs.queue_depth, 4096);
	assert_in_range(attrs.max_transfer_bytes, 4096, 32 << 20);
}

static void discard_unit_that_fits_no_request_is_refused(void **state)
{
	struct bdus_device_attrs attrs = usual_attrs();

	(void)state;
	attrs.discard_granularity_bytes = UINT32_C(1) << 31;
	assert_int_equal(ublk_fit_attrs(&attrs, ALL), -EOPNOTSUPP);
}

static void parameters_say_what_the_device_is_like(void **state)
{
	struct bdus_device_attrs attrs = usual_attrs();
	struct ublk_abi_params params;

	(void)state;
	attrs.flags = BDUS_DEVICE_FUA | BDUS_DEVICE_ROTATIONAL;
	attrs.optimal_io_bytes = 65536;
	assert_int_equal(ublk_fit_attrs(&attrs, ALL), 0);
	ublk_fill_params(&attrs, &params);
	assert_int_equal(ublk_abi_params_types(&params),
			 UBLK_ABI_PARAM_BASIC | UBLK_ABI_PARAM_DISCARD);
	assert_int_equal(ublk_abi_params_attrs(&params), UBLK_ABI_ATTR_FUA |
								 UBLK_ABI_ATTR_ROTATIONAL |
								 UBLK_ABI_ATTR_VOLATILE_CACHE);
	assert_int_equal(ublk_abi_params_logical_bs_shift(&params), 9);
	assert_int_equal(ublk_abi_params_physical_bs_shift(&params), 12);
	assert_int_equal(ublk_abi_params_io_opt_shift(&params), 16);
	assert_int_equal(ublk_abi_params_dev_sectors(&params), 1 << 21);
	assert_int_equal(ublk_abi_params_max_sectors(&params), 2048);
	assert_int_equal(ublk_abi_params_discard_granularity(&params), 4096);
	assert_int_equal(ublk_abi_params_max_discard_segments(&params), 1);
}

static void device_without_flush_has_no_cache_and_needs_no_fua(void **state)
{
	struct bdus_device_attrs attrs = usual_attrs();
	struct ublk_abi_params params;

	(void)state;
	attrs.ops &= ~FLUSH;
	attrs.flags = BDUS_DEVICE_FUA;
	ublk_fill_params(&attrs, &params);
	assert_int_equal(ublk_abi_params_attrs(&params), 0);
}

static void read_only_device_takes_no_discards(void **state)
{
	struct bdus_device_attrs attrs = usual_attrs();
	struct ublk_abi_params params;

	(void)state;
	attrs.flags = BDUS_DEVICE_READ_ONLY;
	ublk_fill_params(&attrs, &params);
	assert_int_equal(ublk_abi_params_types(&params), UBLK_ABI_PARAM_BASIC);
	assert_true(ublk_abi_params_attrs(&params) & UBLK_ABI_ATTR_READ_ONLY);
	assert_int_equal(ublk_abi_params_max_discard_sectors(&params), 0);
}

static void zeros_without_discard_offer_no_discard(void **state)
{
	struct bdus_device_attrs attrs = usual_attrs();
	struct ublk_abi_params params;

	(void)state;
	attrs.ops &= ~DISCARD;
	assert_int_equal(ublk_fit_attrs(&attrs, attrs.ops), 0);
	ublk_fill_params(&attrs, &params);
	assert_int_equal(ublk_abi_params_max_discard_sectors(&params), 0);
	assert_int_equal(ublk_abi_params_max_discard_segments(&params), 0);
	assert_true(ublk_abi_params_max_write_zeroes_sectors(&params) > 0);
	assert_true(ublk_abi_params_discard_granularity(&params) > 0);
}

/* ---- requests ------------------------------------------------------------------------------ */

static struct ublk_abi_io_desc describe(uint32_t op_flags, uint64_t sector, uint32_t sectors)
{
	struct ublk_abi_io_desc descriptor = {0};

	ublk_abi_io_desc_set_op_flags(&descriptor, op_flags);
	ublk_abi_io_desc_set_start_sector(&descriptor, sector);
	ublk_abi_io_desc_set_nr_sectors(&descriptor, sectors);
	return descriptor;
}

static int decode(uint32_t op_flags, uint64_t sector, uint32_t sectors, struct bdus_io *io)
{
	static char payload[1];
	const struct ublk_limits limits = usual_limits();
	const struct ublk_abi_io_desc descriptor = describe(op_flags, sector, sectors);

	bdus_io_init(io);
	return ublk_decode_request(&descriptor, &limits, payload, io);
}

static void read_is_understood(void **state)
{
	struct bdus_io io;

	(void)state;
	assert_int_equal(decode(UBLK_ABI_OP_READ | 1U << 8, 3, 8, &io), 0);
	assert_int_equal(io.request.op, BDUS_OP_READ);
	assert_int_equal(io.request.offset_bytes, 3 * 512);
	assert_int_equal(io.request.length_bytes, 4096);
	assert_int_equal(io.request.flags, 0);
	assert_non_null(io.request.data);
}

static void flags_of_writes_and_zeros_are_understood(void **state)
{
	struct bdus_io io;

	(void)state;
	assert_int_equal(decode(UBLK_ABI_OP_WRITE | UBLK_ABI_REQUEST_FUA, 0, 1, &io), 0);
	assert_int_equal(io.request.flags, BDUS_REQUEST_FUA);
	assert_int_equal(decode(UBLK_ABI_OP_WRITE_ZEROES, 0, 1, &io), 0);
	assert_int_equal(io.request.flags, BDUS_REQUEST_MAY_UNMAP);
	assert_null(io.request.data);
	assert_int_equal(
		decode(UBLK_ABI_OP_WRITE_ZEROES | UBLK_ABI_REQUEST_NO_UNMAP | UBLK_ABI_REQUEST_FUA,
		       0, 1, &io),
		0);
	assert_int_equal(io.request.flags, BDUS_REQUEST_FUA);
}

static void flush_has_no_range(void **state)
{
	struct bdus_io io;

	(void)state;
	assert_int_equal(decode(UBLK_ABI_OP_FLUSH, UINT64_MAX, 7, &io), 0);
	assert_int_equal(io.request.op, BDUS_OP_FLUSH);
	assert_int_equal(io.request.offset_bytes, 0);
	assert_int_equal(io.request.length_bytes, 0);
}

static void senseless_requests_are_refused(void **state)
{
	const uint64_t sectors = usual_limits().size_bytes >> 9;
	const struct {
		uint32_t op;
		uint64_t sector;
		uint32_t count;
	} bad[] = {
		{4, 0, 8},                                /* write same */
		{200, 0, 8},                              /* no operation at all */
		{UBLK_ABI_OP_READ, 0, 0},                 /* nothing */
		{UBLK_ABI_OP_READ, sectors, 1},           /* behind the end */
		{UBLK_ABI_OP_WRITE, sectors - 1, 2},      /* over the end */
		{UBLK_ABI_OP_READ, UINT64_MAX >> 9, 1},   /* the end of 64 bits */
		{UBLK_ABI_OP_READ, UINT64_MAX, 1},        /* wraps in bytes */
		{UBLK_ABI_OP_READ, UINT64_C(1) << 55, 8}, /* wraps to 0 in bytes */
		{UBLK_ABI_OP_WRITE, 0, (1 << 11) + 1},    /* longer than its payload */
		{UBLK_ABI_OP_READ, 0, UINT32_MAX},
		{UBLK_ABI_OP_DISCARD, 0, (1 << 19) + 1},
		{UBLK_ABI_OP_WRITE_ZEROES, 0, (1 << 15) + 1},
	};
	struct bdus_io io;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(decode(bad[i].op, bad[i].sector, bad[i].count, &io), -EIO);
	assert_int_equal(decode(UBLK_ABI_OP_WRITE, sectors - 1, 1, &io), 0);
	assert_int_equal(decode(UBLK_ABI_OP_WRITE, 0, 1 << 11, &io), 0);
}

static void operations_not_offered_are_refused(void **state)
{
	struct ublk_limits limits = usual_limits();
	const struct ublk_abi_io_desc write = describe(UBLK_ABI_OP_WRITE, 0, 8);
	const struct ublk_abi_io_desc flush = describe(UBLK_ABI_OP_FLUSH, 0, 0);
	struct bdus_io io;

	(void)state;
	limits.ops = READ;
	assert_int_equal(ublk_decode_request(&write, &limits, NULL, &io), -EIO);
	assert_int_equal(ublk_decode_request(&flush, &limits, NULL, &io), -EIO);
}

/* ---- results ------------------------------------------------------------------------------- */

static int32_t encode(unsigned op, uint64_t length, int result)
{
	struct bdus_io io;

	bdus_io_init(&io);
	bdus_io_prepare(&io, op, 0, 0, length, NULL);
	io.result = result;
	return ublk_encode_result(&io);
}

static void success_is_a_length_only_for_data(void **state)
{
	(void)state;
	assert_int_equal(encode(BDUS_OP_READ, 4096, 0), 4096);
	assert_int_equal(encode(BDUS_OP_WRITE, 1 << 20, 0), 1 << 20);
	assert_int_equal(encode(BDUS_OP_DISCARD, UINT64_C(1) << 30, 0), 0);
	assert_int_equal(encode(BDUS_OP_WRITE_ZEROS, UINT64_C(1) << 30, 0), 0);
	assert_int_equal(encode(BDUS_OP_FLUSH, 0, 0), 0);
}

static void errors_without_meaning_to_clients_become_eio(void **state)
{
	const int kept[] = {-ENOSPC, -EOPNOTSUPP, -ETIMEDOUT, -ENOLINK, -EAGAIN};
	const int mapped[] = {-EIO,   -ENOMEM, -EBUSY, -EINVAL,  -ENODATA,
			      -EINTR, -EPERM,  -5000,  INT32_MIN};

	(void)state;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		assert_int_equal(encode(BDUS_OP_READ, 4096, kept[i]), kept[i]);
	for (size_t i = 0; i < sizeof(mapped) / sizeof(mapped[0]); i++)
		assert_int_equal(encode(BDUS_OP_WRITE, 4096, mapped[i]), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tag_keeps_an_id_of_56_bits_and_knows_foreign_ones),
		cmocka_unit_test(secure_erase_is_refused),
		cmocka_unit_test(no_range_outgrows_a_signed_32_bit_result),
		cmocka_unit_test(emulated_zeros_come_in_smaller_pieces),
		cmocka_unit_test(limits_of_the_driver_stay_when_ublk_carries_them),
		cmocka_unit_test(depth_queues_and_transfer_are_lowered),
		cmocka_unit_test(discard_unit_that_fits_no_request_is_refused),
		cmocka_unit_test(parameters_say_what_the_device_is_like),
		cmocka_unit_test(device_without_flush_has_no_cache_and_needs_no_fua),
		cmocka_unit_test(read_only_device_takes_no_discards),
		cmocka_unit_test(zeros_without_discard_offer_no_discard),
		cmocka_unit_test(read_is_understood),
		cmocka_unit_test(flags_of_writes_and_zeros_are_understood),
		cmocka_unit_test(flush_has_no_range),
		cmocka_unit_test(senseless_requests_are_refused),
		cmocka_unit_test(operations_not_offered_are_refused),
		cmocka_unit_test(success_is_a_length_only_for_data),
		cmocka_unit_test(errors_without_meaning_to_clients_become_eio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
