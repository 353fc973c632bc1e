/* SPDX-License-Identifier: MIT */
/*
 * Attributes and requests of kbdus: what is asked of the module, and what of its requests is
 * believed.
 */
#include "kbdus_internal.h"

#include <bdus/zoned.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct bdus_device_attrs some_attrs(void)
{
	return (struct bdus_device_attrs){
		.size_bytes = 1 << 30,
		.logical_block_size = 512,
		.physical_block_size = 4096,
		.ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) |
		       BDUS_OP_BIT(BDUS_OP_FLUSH) | BDUS_OP_BIT(BDUS_OP_SECURE_ERASE) |
		       BDUS_OP_BIT(BDUS_OP_EXTENTS),
		.max_transfer_bytes = 64 << 20,
		.queues = 1 << 20,
		.queue_depth = 1 << 20,
	};
}

static void limits_are_lowered_to_what_is_carried(void **state)
{
	struct bdus_device_attrs attrs = some_attrs();

	(void)state;
	assert_int_equal(kbdus_fit_attrs(&attrs, attrs.ops), 0);
	assert_int_equal(attrs.queues, KBDUS_ABI_QUEUES);
	assert_int_equal(attrs.queue_depth, KBDUS_ABI_DEPTH);
	assert_int_equal(attrs.max_transfer_bytes, KBDUS_ABI_TRANSFER_BYTES);
	assert_int_equal(attrs.max_discard_bytes, 1 << 30);
	assert_false(attrs.ops & BDUS_OP_BIT(BDUS_OP_EXTENTS));
	assert_true(attrs.ops & BDUS_OP_BIT(BDUS_OP_SECURE_ERASE));
}

static struct bdus_device_attrs zoned_attrs(void)
{
	struct bdus_device_attrs attrs = some_attrs();

	attrs.ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) | KBDUS_ZONE_OPS;
	attrs.zone_size_bytes = 1 << 20;
	attrs.max_open_zones = 3;
	attrs.max_active_zones = 5;
	attrs.max_append_bytes = 64 << 20;
	return attrs;
}

static void zones_are_told_beside_the_device(void **state)
{
	struct bdus_device_attrs attrs = zoned_attrs();
	struct kbdus_abi_device wish;
	struct kbdus_abi_zoned zoned;

	(void)state;
	assert_int_equal(kbdus_fit_attrs(&attrs, attrs.ops), 0);
	assert_int_equal(attrs.max_append_bytes, KBDUS_ABI_TRANSFER_BYTES);
	kbdus_fill_device(7, &attrs, &wish);
	assert_int_equal(kbdus_abi_device_ops(&wish), KBDUS_ABI_OPS_READ | KBDUS_ABI_OPS_WRITE);
	kbdus_fill_zoned(&attrs, &zoned);
	assert_int_equal(kbdus_abi_zoned_zone_bytes(&zoned), 1 << 20);
	assert_int_equal(kbdus_abi_zoned_max_open_zones(&zoned), 3);
	assert_int_equal(kbdus_abi_zoned_max_active_zones(&zoned), 5);
	assert_int_equal(kbdus_abi_zoned_max_append_bytes(&zoned), KBDUS_ABI_TRANSFER_BYTES);
	assert_int_equal(kbdus_abi_zoned_ops(&zoned), KBDUS_ZONE_OPS);
	attrs.flags = BDUS_DEVICE_READ_ONLY;
	kbdus_fill_zoned(&attrs, &zoned);
	assert_int_equal(kbdus_abi_zoned_ops(&zoned), KBDUS_ABI_OPS_ZONE_REPORT);
	assert_int_equal(kbdus_abi_zoned_max_append_bytes(&zoned), 0);
}

static void only_limits_of_operations_are_told(void **state)
{
	struct bdus_device_attrs attrs = some_attrs();
	struct kbdus_abi_device wish;

	(void)state;
	kbdus_fit_attrs(&attrs, attrs.ops);
	kbdus_fill_device(7, &attrs, &wish);
	assert_int_equal(kbdus_abi_device_id(&wish), 7);
	assert_int_equal(kbdus_abi_device_max_discard_bytes(&wish), 0);
	assert_int_equal(kbdus_abi_device_max_write_zeros_bytes(&wish), 0);
	assert_int_equal(kbdus_abi_device_max_secure_erase_bytes(&wish), 1 << 30);
	attrs.flags = BDUS_DEVICE_READ_ONLY;
	kbdus_fill_device(7, &attrs, &wish);
	assert_int_equal(kbdus_abi_device_ops(&wish), KBDUS_ABI_OPS_READ | KBDUS_ABI_OPS_FLUSH);
	assert_int_equal(kbdus_abi_device_max_secure_erase_bytes(&wish), 0);
}

static int decode(unsigned op, unsigned flags, uint64_t offset, uint64_t length, struct bdus_io *io)
{
	const struct kbdus_limits limits = {
		.size_bytes = 1 << 20,
		.max_transfer_bytes = 65536,
		.ops = KBDUS_ABI_OPS_READ | KBDUS_ABI_OPS_WRITE | KBDUS_ABI_OPS_WRITE_ZEROS,
	};
	struct kbdus_abi_request request = {0};

	bdus_io_init(io);
	kbdus_abi_request_set_op(&request, (enum kbdus_abi_op)op);
	kbdus_abi_request_set_flags(&request, (uint16_t)flags);
	kbdus_abi_request_set_offset_bytes(&request, offset);
	kbdus_abi_request_set_length_bytes(&request, length);
	return kbdus_decode_request(&request, &limits, io);
}

static void requests_are_translated(void **state)
{
	struct bdus_io io;

	(void)state;
	assert_int_equal(decode(KBDUS_ABI_OP_READ, 0, 4096, 8192, &io), 0);
	assert_int_equal(io.request.op, BDUS_OP_READ);
	assert_int_equal(io.request.flags, BDUS_REQUEST_MAY_LEND);
	assert_int_equal(io.request.offset_bytes, 4096);
	assert_int_equal(io.request.length_bytes, 8192);
	assert_int_equal(decode(KBDUS_ABI_OP_WRITE, KBDUS_ABI_REQUEST_FLAG_FUA, 0, 512, &io), 0);
	assert_int_equal(io.request.flags, BDUS_REQUEST_FUA);
	assert_int_equal(
		decode(KBDUS_ABI_OP_WRITE_ZEROS, KBDUS_ABI_REQUEST_FLAG_MAY_UNMAP, 0, 1 << 20, &io),
		0);
	assert_int_equal(io.request.flags, BDUS_REQUEST_MAY_UNMAP);
}

static void impossible_requests_are_not_believed(void **state)
{
	struct bdus_io io;

	(void)state;
	assert_int_equal(decode(KBDUS_ABI_OP_DISCARD, 0, 0, 4096, &io), -EIO);
	assert_int_equal(decode(200, 0, 0, 4096, &io), -EIO);
	assert_int_equal(decode(KBDUS_ABI_OP_READ, 0, 0, 0, &io), -EIO);
	assert_int_equal(decode(KBDUS_ABI_OP_READ, 0, 0, 65536 + 512, &io), -EIO);
	assert_int_equal(decode(KBDUS_ABI_OP_READ, 0, 1 << 20, 512, &io), -EIO);
	assert_int_equal(decode(KBDUS_ABI_OP_READ, 0, UINT64_MAX - 511, 1024, &io), -EIO);
}

static int decode_zoned(unsigned op, unsigned flags, uint64_t offset, uint64_t length,
			struct bdus_io *io)
{
	const struct kbdus_limits limits = {
		.size_bytes = 16 << 20,
		.max_transfer_bytes = 65536,
		.ops = KBDUS_ZONE_OPS,
		.max_append_bytes = 8192,
		.zone_size_bytes = 1 << 20,
	};
	struct kbdus_abi_request request = {0};

	bdus_io_init(io);
	kbdus_abi_request_set_op(&request, (enum kbdus_abi_op)op);
	kbdus_abi_request_set_flags(&request, (uint16_t)flags);
	kbdus_abi_request_set_offset_bytes(&request, offset);
	kbdus_abi_request_set_length_bytes(&request, length);
	return kbdus_decode_request(&request, &limits, io);
}

static void requests_on_zones_are_translated(void **state)
{
	const uint64_t zone = 1 << 20;
	struct bdus_io io;

	(void)state;
	for (unsigned op = KBDUS_ABI_OP_ZONE_OPEN; op <= KBDUS_ABI_OP_ZONE_RESET; op++) {
		assert_int_equal(decode_zoned(op, 0, 3 * zone, 0, &io), 0);
		assert_int_equal(io.request.op, op);
		assert_int_equal(io.request.offset_bytes, 3 * zone);
		assert_int_equal(io.request.length_bytes, zone);
		assert_int_equal(decode_zoned(op, 0, 3 * zone + 4096, 0, &io), -EIO);
		assert_int_equal(decode_zoned(op, 0, 16 * zone, 0, &io), -EIO);
		assert_int_equal(decode(op, 0, 0, 0, &io), -EIO);
	}
	assert_int_equal(decode_zoned(KBDUS_ABI_OP_ZONE_RESET_ALL, 0, 7, 0, &io), 0);
	assert_int_equal(io.request.offset_bytes, 0);
	assert_int_equal(io.request.length_bytes, 16 * zone);
	assert_int_equal(decode_zoned(KBDUS_ABI_OP_ZONE_APPEND,
				      KBDUS_ABI_REQUEST_FLAG_FUA | KBDUS_ABI_REQUEST_FLAG_RETRIED,
				      zone, 8192, &io),
			 0);
	assert_int_equal(io.request.flags, BDUS_REQUEST_FUA | BDUS_REQUEST_RETRIED);
	assert_int_equal(io.request.length_bytes, 8192);
	assert_int_equal(decode_zoned(KBDUS_ABI_OP_ZONE_APPEND, 0, zone, 8192 + 512, &io), -EIO);
	assert_int_equal(decode_zoned(KBDUS_ABI_OP_ZONE_APPEND, 0, zone, 0, &io), -EIO);
	assert_int_equal(decode_zoned(KBDUS_ABI_OP_ZONE_APPEND, 0, zone + 512, 512, &io), -EIO);
}

static void reports_are_made_in_place(void **state)
{
	const uint64_t zone = 1 << 20;
	struct bdus_zone zones[4];
	struct bdus_io io;

	(void)state;
	memset(zones, 0x5a, sizeof(zones));
	assert_int_equal(decode_zoned(KBDUS_ABI_OP_ZONE_REPORT, 0, 12 * zone, sizeof(zones), &io),
			 0);
	assert_int_equal(io.request.length_bytes, 4 * zone);
	assert_int_equal(io.request.zone_capacity, 4);
	assert_int_equal(kbdus_report_bytes(&io.request), sizeof(zones));
	kbdus_begin_report(&io.request, zones);
	assert_null(io.request.data);
	assert_ptr_equal(io.request.zones, zones);
	zones[0].length_bytes = zone;
	io.request.zone_count = 1;
	kbdus_end_report(&io.request);
	assert_int_equal(zones[0].length_bytes, zone);
	assert_int_equal(zones[1].length_bytes, 0);
	assert_int_equal(zones[3].condition, 0);
	/* No whole zone, more than there are, more than a payload can be. */
	assert_int_equal(decode_zoned(KBDUS_ABI_OP_ZONE_REPORT, 0, 0, 39, &io), -EIO);
	assert_int_equal(decode_zoned(KBDUS_ABI_OP_ZONE_REPORT, 0, 0, 0, &io), -EIO);
	assert_int_equal(decode_zoned(KBDUS_ABI_OP_ZONE_REPORT, 0, 13 * zone, sizeof(zones), &io),
			 -EIO);
	assert_int_equal(decode_zoned(KBDUS_ABI_OP_ZONE_REPORT, 0, 512, sizeof(zones), &io), -EIO);
}

static void ioctls_have_numbers_and_no_range(void **state)
{
	const struct kbdus_limits with_ioctls = {
		.size_bytes = 1 << 20, .max_transfer_bytes = 65536, .ops = KBDUS_ABI_OPS_IOCTL};
	struct kbdus_abi_request request = {0};
	struct bdus_io io;

	(void)state;
	bdus_io_init(&io);
	kbdus_abi_request_set_op(&request, KBDUS_ABI_OP_IOCTL);
	kbdus_abi_request_set_flags(&request, KBDUS_ABI_REQUEST_FLAG_CLIENT_32 |
						      KBDUS_ABI_REQUEST_FLAG_RETRIED);
	kbdus_abi_request_set_offset_bytes(&request, UINT32_MAX);
	assert_int_equal(kbdus_decode_request(&request, &with_ioctls, &io), 0);
	assert_int_equal(io.request.op, BDUS_OP_IOCTL);
	assert_int_equal(io.request.flags, BDUS_REQUEST_CLIENT_32 | BDUS_REQUEST_RETRIED);
	assert_int_equal(io.request.offset_bytes, UINT32_MAX);
	kbdus_abi_request_set_length_bytes(&request, 65536 + 1);
	assert_int_equal(kbdus_decode_request(&request, &with_ioctls, &io), -EIO);
	assert_int_equal(decode(KBDUS_ABI_OP_IOCTL, 0, 0, 8, &io), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_lowered_to_what_is_carried),
		cmocka_unit_test(zones_are_told_beside_the_device),
		cmocka_unit_test(only_limits_of_operations_are_told),
		cmocka_unit_test(requests_are_translated),
		cmocka_unit_test(impossible_requests_are_not_believed),
		cmocka_unit_test(requests_on_zones_are_translated),
		cmocka_unit_test(reports_are_made_in_place),
		cmocka_unit_test(ioctls_have_numbers_and_no_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
