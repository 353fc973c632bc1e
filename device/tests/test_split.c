/* SPDX-License-Identifier: MIT */
/*
 * What the engine makes of requests before they reach the driver: refusing, cutting, and standing
 * in for what the driver lacks.
 */
#include "base/bits.h"
#include "fake.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIB        UINT64_C(1024)
#define READ_WRITE (BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE))
/* But for those on zones, which only some devices have. */
#define ALL_OPS (BDUS_OP_BIT(BDUS_OP_ZONE_REPORT) - 1)

static struct fake fake;
static struct bdus_io io;
static char payload[256 << 10] __attribute__((aligned(4096)));

static const struct bdus_device_attrs small_transfers = {
	.size_bytes = 1 << 20,
	.max_transfer_bytes = 8192,
	.max_write_zeros_bytes = 16384,
	.max_discard_bytes = 4096,
};

static void start(struct bdus_device_attrs attrs, uint32_t native_ops)
{
	memset(&io, 0, sizeof(io));
	fake_init(&fake, attrs, native_ops);
}

static void assert_seen(unsigned index, enum bdus_op op, unsigned flags, uint64_t offset,
			uint64_t length)
{
	assert_true(index < fake.seen_count);
	assert_int_equal(fake.seen[index].op, op);
	assert_int_equal(fake.seen[index].flags, flags);
	assert_int_equal(fake.seen[index].offset_bytes, offset);
	assert_int_equal(fake.seen[index].length_bytes, length);
}

static void assert_answered(int result)
{
	assert_int_equal(fake.commit_count, 1);
	assert_ptr_equal(fake.committed[0], &io);
	assert_int_equal(io.result, result);
}

static void a_request_within_the_limits_passes_as_it_is(void **state)
{
	(void)state;
	start(small_transfers, READ_WRITE);
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 4096, 8192, payload);
	assert_int_equal(fake.seen_count, 1);
	assert_ptr_equal(fake.pending[0], &io.request);
	assert_ptr_equal(fake.seen[0].data, payload);
	assert_int_equal(fake.commit_count, 0);
	fake_answer(&fake, 0, 0);
	assert_answered(0);
	fake_finish(&fake);
}

static void a_long_read_is_cut_into_pieces_that_fill_its_payload(void **state)
{
	(void)state;
	start(small_transfers, READ_WRITE);
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 512, 16 * KIB + 512, payload);
	fake_answer(&fake, 0, 0);
	fake_answer(&fake, 1, 0);
	assert_int_equal(fake.commit_count, 0);
	fake_answer(&fake, 2, 0);
	assert_seen(0, BDUS_OP_READ, 0, 512, 8192);
	assert_seen(1, BDUS_OP_READ, 0, 512 + 8192, 8192);
	assert_seen(2, BDUS_OP_READ, 0, 512 + 16384, 512);
	assert_ptr_equal(fake.seen[0].data, payload);
	assert_ptr_equal(fake.seen[1].data, payload + 8192);
	assert_ptr_equal(fake.seen[2].data, payload + 16384);
	assert_int_equal(fake.seen_count, 3);
	assert_answered(0);
	fake_finish(&fake);
}

static void each_operation_is_cut_at_its_own_limit(void **state)
{
	(void)state;
	start(small_transfers, ALL_OPS);
	fake.at_once = true;
	fake_issue(&fake, &io, BDUS_OP_WRITE_ZEROS, BDUS_REQUEST_MAY_UNMAP, 0, 32 * KIB, NULL);
	assert_int_equal(fake.seen_count, 2);
	assert_seen(1, BDUS_OP_WRITE_ZEROS, BDUS_REQUEST_MAY_UNMAP, 16384, 16384);
	fake_issue(&fake, &io, BDUS_OP_DISCARD, 0, 0, 8 * KIB, NULL);
	assert_int_equal(fake.seen_count, 4);
	assert_seen(3, BDUS_OP_DISCARD, 0, 4096, 4096);
	fake_issue(&fake, &io, BDUS_OP_CACHE, 0, 0, 1 << 20, NULL);
	assert_int_equal(fake.seen_count, 5);
	assert_seen(4, BDUS_OP_CACHE, 0, 0, 1 << 20);
	fake_finish(&fake);
}

static void a_failed_piece_fails_the_whole_and_ends_it(void **state)
{
	(void)state;
	start(small_transfers, READ_WRITE);
	fake_issue(&fake, &io, BDUS_OP_WRITE, 0, 0, 64 * KIB, payload);
	fake_answer(&fake, 0, 0);
	fake_answer(&fake, 1, -ENOSPC);
	assert_answered(-ENOSPC);
	assert_int_equal(fake.seen_count, 2);
	fake_finish(&fake);
}

static void errors_without_a_name_among_block_devices_become_eio(void **state)
{
	static const struct {
		int from;
		int to;
	} cases[] = {
		{0, 0},
		{-EIO, -EIO},
		{-ENOSPC, -ENOSPC},
		{-EOPNOTSUPP, -EOPNOTSUPP},
		{-ETIMEDOUT, -ETIMEDOUT},
		{-ENOLINK, -ENOLINK},
		{-EAGAIN, -EAGAIN},
		{-EPERM, -EIO},
		{-ENOMEM, -EIO},
		{-4095, -EIO},
		{17, -EIO},
		{INT32_MIN, -EIO},
	};

	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(cases); i++) {
		start(small_transfers, READ_WRITE);
		fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 512, payload);
		fake_answer(&fake, 0, cases[i].from);
		assert_answered(cases[i].to);
		fake_finish(&fake);
	}
}

static void a_request_of_many_pieces_does_not_deepen_the_stack(void **state)
{
	const struct bdus_device_attrs attrs = {
		.size_bytes = UINT64_C(4) << 30,
		.max_discard_bytes = 512,
	};

	(void)state;
	start(attrs, READ_WRITE | BDUS_OP_BIT(BDUS_OP_DISCARD));
	fake.at_once = true;
	fake_issue(&fake, &io, BDUS_OP_DISCARD, 0, 0, UINT64_C(1) << 30, NULL);
	assert_int_equal(fake.seen_count, 1 << 21);
	assert_answered(0);
	fake_finish(&fake);
}

/* ---- force unit access ---------------------------------------------------------------------- */

static void fua_that_the_driver_has_is_passed_on(void **state)
{
	struct bdus_device_attrs attrs = small_transfers;

	(void)state;
	attrs.flags = BDUS_DEVICE_FUA;
	start(attrs, ALL_OPS);
	fake.at_once = true;
	fake_issue(&fake, &io, BDUS_OP_WRITE, BDUS_REQUEST_FUA, 0, 16 * KIB, payload);
	assert_int_equal(fake.seen_count, 2);
	assert_seen(0, BDUS_OP_WRITE, BDUS_REQUEST_FUA, 0, 8192);
	assert_seen(1, BDUS_OP_WRITE, BDUS_REQUEST_FUA, 8192, 8192);
	assert_answered(0);
	fake_finish(&fake);
}

static void fua_that_it_lacks_becomes_a_flush_after_the_last_piece(void **state)
{
	(void)state;
	start(small_transfers, ALL_OPS);
	fake_issue(&fake, &io, BDUS_OP_WRITE, BDUS_REQUEST_FUA, 0, 16 * KIB, payload);
	assert_int_equal(fake.seen_count, 1);
	fake_answer(&fake, 0, 0);
	assert_int_equal(fake.seen_count, 2);
	fake_answer(&fake, 1, 0);
	assert_int_equal(fake.seen_count, 3);
	assert_seen(1, BDUS_OP_WRITE, 0, 8192, 8192);
	assert_seen(2, BDUS_OP_FLUSH, 0, 0, 0);
	assert_int_equal(fake.commit_count, 0);
	fake_answer(&fake, 2, 0);
	assert_answered(0);
	fake_finish(&fake);
}

static void a_write_with_fua_fails_with_its_flush(void **state)
{
	(void)state;
	start(small_transfers, ALL_OPS);
	fake_issue(&fake, &io, BDUS_OP_WRITE, BDUS_REQUEST_FUA, 0, 512, payload);
	fake_answer(&fake, 0, 0);
	fake_answer(&fake, 1, -EIO);
	assert_answered(-EIO);
	fake_finish(&fake);
}

static void a_failed_write_with_fua_is_not_flushed(void **state)
{
	(void)state;
	start(small_transfers, ALL_OPS);
	fake_issue(&fake, &io, BDUS_OP_WRITE, BDUS_REQUEST_FUA, 0, 512, payload);
	fake_answer(&fake, 0, -ENOSPC);
	assert_int_equal(fake.seen_count, 1);
	assert_answered(-ENOSPC);
	fake_finish(&fake);
}

static void flushing_a_driver_without_a_cache_succeeds_without_it(void **state)
{
	(void)state;
	start(small_transfers, READ_WRITE);
	fake_issue(&fake, &io, BDUS_OP_FLUSH, 0, 0, 0, NULL);
	assert_int_equal(fake.seen_count, 0);
	assert_answered(0);
	fake_finish(&fake);
}

/* ---- what the driver lacks ------------------------------------------------------------------- */

static void zeros_are_written_where_the_driver_cannot_make_them(void **state)
{
	(void)state;
	start(small_transfers, READ_WRITE);
	fake.at_once = true;
	fake_issue(&fake, &io, BDUS_OP_WRITE_ZEROS, BDUS_REQUEST_MAY_UNMAP, 4096, 20 * KIB, NULL);
	assert_int_equal(fake.seen_count, 3);
	for (unsigned i = 0; i < 3; i++) {
		const char *const data = fake.seen[i].data;

		assert_int_equal(fake.seen[i].op, BDUS_OP_WRITE);
		assert_int_equal(fake.seen[i].flags, 0);
		assert_int_equal((uintptr_t)data % 4096, 0);
		for (uint64_t at = 0; at < fake.seen[i].length_bytes; at++)
			assert_int_equal(data[at], 0);
	}
	assert_seen(2, BDUS_OP_WRITE, 0, 4096 + 16384, 4096);
	assert_answered(0);
	fake_finish(&fake);
}

static void zeros_that_must_be_fast_are_not_written(void **state)
{
	(void)state;
	start(small_transfers, READ_WRITE);
	fake_issue(&fake, &io, BDUS_OP_WRITE_ZEROS, BDUS_REQUEST_FAST_ONLY, 0, 4096, NULL);
	assert_int_equal(fake.seen_count, 0);
	assert_answered(-EOPNOTSUPP);
	fake_finish(&fake);
}

static void extents_that_the_driver_does_not_know_are_all_data(void **state)
{
	struct bdus_extent extents[4];

	(void)state;
	start(small_transfers, READ_WRITE);
	io.request.extents = extents;
	io.request.extent_capacity = 4;
	fake_issue(&fake, &io, BDUS_OP_EXTENTS, 0, 4096, 64 * KIB, NULL);
	assert_answered(0);
	assert_int_equal(io.request.extent_count, 1);
	assert_int_equal(extents[0].length_bytes, 64 * KIB);
	assert_int_equal(extents[0].flags, 0);
	fake_finish(&fake);
}

static void what_cannot_be_made_up_is_refused(void **state)
{
	static const enum bdus_op ops[] = {BDUS_OP_DISCARD, BDUS_OP_SECURE_ERASE, BDUS_OP_CACHE,
					   BDUS_OP_COUNT, (enum bdus_op)200};

	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(ops); i++) {
		start(small_transfers, READ_WRITE);
		fake_issue(&fake, &io, ops[i], 0, 0, 4096, NULL);
		assert_int_equal(fake.seen_count, 0);
		assert_answered(-EOPNOTSUPP);
		fake_finish(&fake);
	}
}

static void a_read_only_device_refuses_what_writes_and_serves_the_rest(void **state)
{
	static const enum bdus_op writing[] = {BDUS_OP_WRITE, BDUS_OP_WRITE_ZEROS, BDUS_OP_DISCARD,
					       BDUS_OP_SECURE_ERASE};
	struct bdus_device_attrs attrs = small_transfers;

	(void)state;
	attrs.flags = BDUS_DEVICE_READ_ONLY;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(writing); i++) {
		start(attrs, ALL_OPS);
		fake_issue(&fake, &io, writing[i], 0, 0, 4096, payload);
		assert_int_equal(fake.seen_count, 0);
		assert_answered(-EPERM);
		fake_finish(&fake);
	}
	start(attrs, ALL_OPS);
	fake.at_once = true;
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 0, 4096, payload);
	assert_answered(0);
	fake_finish(&fake);
	assert_int_equal(bdus_rules_effective_ops(ALL_OPS, BDUS_DEVICE_READ_ONLY) &
				 BDUS_OP_BIT(BDUS_OP_WRITE),
			 0);
}

/* ---- ranges --------------------------------------------------------------------------------- */

static void ranges_that_make_no_sense_never_reach_the_driver(void **state)
{
	static const struct {
		uint64_t offset;
		uint64_t length;
	} cases[] = {
		{0, 0},
		{1, 512},
		{0, 513},
		{0, 1},
		{511, 1},
		{1 << 20, 512},
		{(1 << 20) - 512, 1024},
		{0, (1 << 20) + 512},
		{UINT64_MAX - 511, 512},
		{UINT64_MAX - 511, 1024},
		{512, UINT64_MAX - 511},
		{UINT64_C(1) << 63, 512},
	};
	static const enum bdus_op ops[] = {BDUS_OP_READ,    BDUS_OP_WRITE,   BDUS_OP_WRITE_ZEROS,
					   BDUS_OP_DISCARD, BDUS_OP_EXTENTS, BDUS_OP_CACHE};

	(void)state;
	for (size_t i = 0; i < BASE_ARRAY_LENGTH(cases) * BASE_ARRAY_LENGTH(ops); i++) {
		const enum bdus_op op = ops[i % BASE_ARRAY_LENGTH(ops)];
		const size_t range = i / BASE_ARRAY_LENGTH(ops);

		start(small_transfers, ALL_OPS);
		fake_issue(&fake, &io, op, 0, cases[range].offset, cases[range].length, payload);
		assert_int_equal(fake.seen_count, 0);
		assert_int_equal(fake.commit_count, 1);
		assert_true(io.result == -EINVAL || io.result == -ENOSPC);
		fake_finish(&fake);
	}
}

static void writing_past_the_end_lacks_space(void **state)
{
	(void)state;
	start(small_transfers, ALL_OPS);
	fake_issue(&fake, &io, BDUS_OP_WRITE, 0, 1 << 20, 512, payload);
	assert_answered(-ENOSPC);
	fake_finish(&fake);
	start(small_transfers, ALL_OPS);
	fake_issue(&fake, &io, BDUS_OP_READ, 0, 1 << 20, 512, payload);
	assert_answered(-EINVAL);
	fake_finish(&fake);
}

static void the_last_block_of_the_device_is_served(void **state)
{
	(void)state;
	start(small_transfers, ALL_OPS);
	fake.at_once = true;
	fake_issue(&fake, &io, BDUS_OP_WRITE, 0, (1 << 20) - 512, 512, payload);
	assert_int_equal(fake.seen_count, 1);
	assert_answered(0);
	fake_finish(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_within_the_limits_passes_as_it_is),
		cmocka_unit_test(a_long_read_is_cut_into_pieces_that_fill_its_payload),
		cmocka_unit_test(each_operation_is_cut_at_its_own_limit),
		cmocka_unit_test(a_failed_piece_fails_the_whole_and_ends_it),
		cmocka_unit_test(errors_without_a_name_among_block_devices_become_eio),
		cmocka_unit_test(a_request_of_many_pieces_does_not_deepen_the_stack),
		cmocka_unit_test(fua_that_the_driver_has_is_passed_on),
		cmocka_unit_test(fua_that_it_lacks_becomes_a_flush_after_the_last_piece),
		cmocka_unit_test(a_write_with_fua_fails_with_its_flush),
		cmocka_unit_test(a_failed_write_with_fua_is_not_flushed),
		cmocka_unit_test(flushing_a_driver_without_a_cache_succeeds_without_it),
		cmocka_unit_test(zeros_are_written_where_the_driver_cannot_make_them),
		cmocka_unit_test(zeros_that_must_be_fast_are_not_written),
		cmocka_unit_test(extents_that_the_driver_does_not_know_are_all_data),
		cmocka_unit_test(what_cannot_be_made_up_is_refused),
		cmocka_unit_test(a_read_only_device_refuses_what_writes_and_serves_the_rest),
		cmocka_unit_test(ranges_that_make_no_sense_never_reach_the_driver),
		cmocka_unit_test(writing_past_the_end_lacks_space),
		cmocka_unit_test(the_last_block_of_the_device_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
