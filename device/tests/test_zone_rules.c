/* SPDX-License-Identifier: MIT */
/*
 * Zoned devices in the engine: what their attributes must be, and what becomes of requests on zones
 * before they reach the driver.
 */
#include "attrs.h"
#include "base/bits.h"
#include "base/error.h"
#include "fake.h"

#include <bdus/zoned.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MIB UINT64_C(1048576)
#define BIT BDUS_OP_BIT

#define REQUIRED                                                                       \
	(BIT(BDUS_OP_READ) | BIT(BDUS_OP_WRITE) | BIT(BDUS_OP_ZONE_REPORT) |           \
	 BIT(BDUS_OP_ZONE_OPEN) | BIT(BDUS_OP_ZONE_CLOSE) | BIT(BDUS_OP_ZONE_FINISH) | \
	 BIT(BDUS_OP_ZONE_RESET))
#define EVERYTHING \
	(REQUIRED | BIT(BDUS_OP_FLUSH) | BIT(BDUS_OP_ZONE_RESET_ALL) | BIT(BDUS_OP_ZONE_APPEND))

static const struct bdus_device_attrs zoned = {
	.size_bytes = 16 * MIB,
	.ops = EVERYTHING,
	.zone_size_bytes = MIB,
	.zone_capacity_bytes = MIB / 2,
	.conventional_zones = 2,
	.max_open_zones = 3,
	.max_active_zones = 5,
	.max_append_bytes = 65536,
};

static void assert_refused(struct bdus_device_attrs attrs, const char *part)
{
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), -EINVAL);
	if (strstr(base_error_message(), part) == NULL ||
	    strstr(base_error_message(), "driver test") == NULL)
		fail_msg("'%s' does not say '%s'", base_error_message(), part);
}

static void what_is_left_out_gets_its_documented_default(void **state)
{
	struct bdus_device_attrs attrs = zoned;

	(void)state;
	attrs.zone_capacity_bytes = 0;
	attrs.max_append_bytes = 0;
	attrs.max_transfer_bytes = 128 << 10;
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
	assert_int_equal(attrs.zone_capacity_bytes, MIB);
	assert_int_equal(attrs.max_append_bytes, 128 << 10);
	assert_int_equal(attrs.max_open_zones, 3);
}

static void appends_are_no_larger_than_a_transfer_and_a_zone(void **state)
{
	struct bdus_device_attrs attrs = zoned;

	(void)state;
	attrs.max_append_bytes = 4 << 20;
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
	assert_int_equal(attrs.max_append_bytes, MIB / 2);
	attrs = zoned;
	attrs.max_append_bytes = 70000;
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
	assert_int_equal(attrs.max_append_bytes, 69632);
}

static void a_zoned_device_has_its_operations(void **state)
{
	struct bdus_device_attrs attrs = zoned;

	(void)state;
	attrs.ops = REQUIRED;
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
	attrs.ops = REQUIRED & ~BIT(BDUS_OP_ZONE_REPORT);
	assert_refused(attrs, "must have the operation zone report");
	attrs.ops = REQUIRED & ~BIT(BDUS_OP_ZONE_FINISH);
	assert_refused(attrs, "must have the operation zone finish");
	attrs.ops = REQUIRED | BIT(BDUS_OP_DISCARD);
	assert_refused(attrs, "cannot have the operation discard");
	attrs.ops = BIT(BDUS_OP_READ) | BIT(BDUS_OP_ZONE_REPORT);
	attrs.flags = BDUS_DEVICE_READ_ONLY;
	assert_int_equal(bdus_attrs_complete("driver test", &attrs), 0);
	attrs.zone_size_bytes = 0;
	assert_refused(attrs, "zone report needs a zoned device");
}

static void rules_on_geometry_are_those_of_the_helper(void **state)
{
	struct bdus_device_attrs attrs = zoned;

	(void)state;
	attrs.zone_size_bytes = 3 << 20;
	assert_refused(attrs, "zone size 3145728");
	attrs = zoned;
	attrs.size_bytes += 4096;
	assert_refused(attrs, "multiple of the zone size");
	attrs = zoned;
	attrs.conventional_zones = 16;
	assert_refused(attrs, "fewer than all");
	attrs = zoned;
	attrs.max_active_zones = 15;
	assert_refused(attrs, "sequential zones, 14");
	attrs = zoned;
	attrs.max_open_zones = 6;
	assert_refused(attrs, "6 open zones");
}

/* ---- requests ------------------------------------------------------------------------------ */

static struct fake fake;
static struct bdus_io io;
static char payload[256 << 10] __attribute__((aligned(4096)));

static void start(uint32_t native_ops, uint32_t flags)
{
	struct bdus_device_attrs attrs = zoned;

	memset(&io, 0, sizeof(io));
	attrs.ops = native_ops;
	attrs.flags = flags;
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

static void assert_answer(enum bdus_op op, uint64_t offset, uint64_t length, int result)
{
	const unsigned before = fake.commit_count;

	fake_issue(&fake, &io, op, 0, offset, length, payload);
	if (fake.commit_count == before)
		fail_msg("%s at %llu of %llu passed", bdus_op_name(op), (unsigned long long)offset,
			 (unsigned long long)length);
	assert_int_equal(io.result, result);
}

static void requests_on_zones_name_whole_zones(void **state)
{
	(void)state;
	start(EVERYTHING, 0);
	fake.at_once = true;
	for (unsigned op = BDUS_OP_ZONE_OPEN; op <= BDUS_OP_ZONE_RESET; op++) {
		const unsigned seen = fake.seen_count;

		assert_answer(op, 3 * MIB, MIB, 0);
		assert_int_equal(fake.seen_count, seen + 1);
		assert_answer(op, 3 * MIB + 4096, MIB, -EINVAL);
		assert_answer(op, 3 * MIB, 4096, -EINVAL);
		assert_answer(op, 3 * MIB, 2 * MIB, -EINVAL);
		assert_answer(op, 16 * MIB, MIB, -EINVAL);
		assert_int_equal(fake.seen_count, seen + 1);
	}
	assert_answer(BDUS_OP_ZONE_RESET_ALL, 0, 16 * MIB, 0);
	assert_answer(BDUS_OP_ZONE_RESET_ALL, 0, MIB, -EINVAL);
	io.request.zone_capacity = 0;
	assert_answer(BDUS_OP_ZONE_REPORT, 0, 16 * MIB, -EINVAL);
	io.request.zone_capacity = 16;
	assert_answer(BDUS_OP_ZONE_REPORT, 0, 16 * MIB, 0);
	assert_answer(BDUS_OP_ZONE_REPORT, 15 * MIB, MIB, 0);
	assert_answer(BDUS_OP_ZONE_REPORT, 512, MIB, -EINVAL);
	fake_finish(&fake);
}

static void appends_are_whole_or_refused(void **state)
{
	(void)state;
	start(EVERYTHING, 0);
	assert_answer(BDUS_OP_ZONE_APPEND, 3 * MIB, 65536 + 512, -EINVAL);
	assert_answer(BDUS_OP_ZONE_APPEND, 3 * MIB + 512, 512, -EINVAL);
	fake_issue(&fake, &io, BDUS_OP_ZONE_APPEND, 0, 3 * MIB, 65536, payload);
	assert_int_equal(fake.seen_count, 1);
	assert_seen(0, BDUS_OP_ZONE_APPEND, 0, 3 * MIB, 65536);
	assert_ptr_equal(fake.seen[0].data, payload);
	fake.pending[0]->append_offset_bytes = 3 * MIB + 4096;
	fake_answer(&fake, 0, 0);
	assert_int_equal(io.result, 0);
	assert_int_equal(io.request.append_offset_bytes, 3 * MIB + 4096);
	fake_finish(&fake);
}

/** Whoever died with it may have carried it out; of a write at its place, the zone's state tells.
 */
static void what_must_not_run_twice_fails_when_it_is_given_again(void **state)
{
	(void)state;
	start(EVERYTHING, 0);
	fake_issue(&fake, &io, BDUS_OP_ZONE_APPEND, BDUS_REQUEST_RETRIED, 3 * MIB, 4096, payload);
	assert_int_equal(fake.seen_count, 0);
	assert_int_equal(fake.commit_count, 1);
	assert_int_equal(io.result, -EIO);
	fake_issue(&fake, &io, BDUS_OP_WRITE, BDUS_REQUEST_RETRIED, 3 * MIB, 4096, payload);
	assert_seen(0, BDUS_OP_WRITE, BDUS_REQUEST_RETRIED, 3 * MIB, 4096);
	fake_answer(&fake, 0, 0);
	fake_finish(&fake);
}

static void an_append_with_fua_is_followed_by_a_flush_and_keeps_its_place(void **state)
{
	(void)state;
	start(EVERYTHING, 0);
	fake_issue(&fake, &io, BDUS_OP_ZONE_APPEND, BDUS_REQUEST_FUA, 3 * MIB, 4096, payload);
	assert_seen(0, BDUS_OP_ZONE_APPEND, 0, 3 * MIB, 4096);
	fake.pending[0]->append_offset_bytes = 3 * MIB + 8192;
	fake_answer(&fake, 0, 0);
	assert_int_equal(fake.commit_count, 0);
	assert_seen(1, BDUS_OP_FLUSH, 0, 0, 0);
	fake_answer(&fake, 1, 0);
	assert_int_equal(fake.commit_count, 1);
	assert_int_equal(io.request.append_offset_bytes, 3 * MIB + 8192);
	fake_finish(&fake);
}

static void reset_all_that_the_driver_lacks_resets_each_sequential_zone(void **state)
{
	(void)state;
	start(REQUIRED, 0);
	fake.at_once = true;
	fake_issue(&fake, &io, BDUS_OP_ZONE_RESET_ALL, 0, 0, 16 * MIB, NULL);
	assert_int_equal(fake.seen_count, 14);
	for (unsigned i = 0; i < 14; i++)
		assert_seen(i, BDUS_OP_ZONE_RESET, 0, (i + 2) * MIB, MIB);
	assert_int_equal(io.result, 0);
	fake_finish(&fake);
}

static void what_the_driver_lacks_and_what_is_read_only_is_refused(void **state)
{
	(void)state;
	start(REQUIRED, 0);
	assert_answer(BDUS_OP_ZONE_APPEND, 3 * MIB, 4096, -EOPNOTSUPP);
	fake_finish(&fake);
	start(EVERYTHING, BDUS_DEVICE_READ_ONLY);
	assert_answer(BDUS_OP_ZONE_APPEND, 3 * MIB, 4096, -EPERM);
	assert_answer(BDUS_OP_ZONE_RESET, 3 * MIB, MIB, -EPERM);
	assert_answer(BDUS_OP_ZONE_RESET_ALL, 0, 16 * MIB, -EPERM);
	fake_finish(&fake);
}

static void clients_are_told_of_the_limits_on_zones(void **state)
{
	static const int errors[] = {-ETOOMANYREFS, -EOVERFLOW};

	(void)state;
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(errors); i++) {
		start(EVERYTHING, 0);
		fake_issue(&fake, &io, BDUS_OP_ZONE_OPEN, 0, 3 * MIB, MIB, NULL);
		fake_answer(&fake, 0, errors[i]);
		assert_int_equal(io.result, errors[i]);
		fake_finish(&fake);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_out_gets_its_documented_default),
		cmocka_unit_test(appends_are_no_larger_than_a_transfer_and_a_zone),
		cmocka_unit_test(a_zoned_device_has_its_operations),
		cmocka_unit_test(rules_on_geometry_are_those_of_the_helper),
		cmocka_unit_test(requests_on_zones_name_whole_zones),
		cmocka_unit_test(appends_are_whole_or_refused),
		cmocka_unit_test(what_must_not_run_twice_fails_when_it_is_given_again),
		cmocka_unit_test(an_append_with_fua_is_followed_by_a_flush_and_keeps_its_place),
		cmocka_unit_test(reset_all_that_the_driver_lacks_resets_each_sequential_zone),
		cmocka_unit_test(what_the_driver_lacks_and_what_is_read_only_is_refused),
		cmocka_unit_test(clients_are_told_of_the_limits_on_zones),
	};

	return cmocka_run_group_tests_name("device-zone-rules", tests, NULL, NULL);
}
