/* SPDX-License-Identifier: MIT */
/*
 * What replies look like on the wire, and which errors clients get to see.
 */
#include "base/byteorder.h"
#include "reply.h"

#include <bdus/driver.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct nbd_session simple = {.structured = false};
static const struct nbd_session structured = {.structured = true};
static const struct nbd_export export = {
	.size_bytes = UINT64_C(1) << 44,
	.minimum_block_bytes = 4096,
};

static struct nbd_command command;
static struct nbd_reply reply;

static int set_up(void **state)
{
	(void)state;
	command = (struct nbd_command){
		.type = NBD_CMD_READ,
		.cookie = "cookie!",
		.offset_bytes = 8192,
		.length_bytes = 4096,
	};
	memset(&reply, 0xff, sizeof(reply));
	return 0;
}

static void expect_simple(uint32_t error)
{
	assert_int_equal(base_load_be32(&reply.header.simple.magic), NBD_SIMPLE_REPLY_MAGIC);
	assert_int_equal(base_load_be32(&reply.header.simple.error), error);
	assert_memory_equal(reply.header.simple.cookie, "cookie!", 8);
	assert_int_equal(reply.header_bytes, 16);
}

static void expect_chunk(unsigned type, uint32_t length)
{
	assert_int_equal(base_load_be32(&reply.header.chunk.magic), NBD_STRUCTURED_REPLY_MAGIC);
	assert_int_equal(base_load_be16(&reply.header.chunk.flags), NBD_REPLY_FLAG_DONE);
	assert_int_equal(base_load_be16(&reply.header.chunk.type), type);
	assert_memory_equal(reply.header.chunk.cookie, "cookie!", 8);
	assert_int_equal(base_load_be32(&reply.header.chunk.length), length);
	assert_int_equal(reply.header_bytes + reply.payload_bytes,
			 sizeof(struct nbd_chunk) + length);
}

static void test_read_is_simple_until_negotiated_otherwise(void **state)
{
	static const uint8_t data[4096] = {1};

	(void)state;
	nbd_reply_read(&reply, &simple, &command, data);
	expect_simple(NBD_ERROR_NONE);
	assert_ptr_equal(reply.payload, data);
	assert_int_equal(reply.payload_bytes, 4096);
	nbd_reply_read(&reply, &structured, &command, data);
	expect_chunk(NBD_REPLY_TYPE_OFFSET_DATA, 8 + 4096);
	assert_int_equal(base_load_be64(&reply.header.data.offset), 8192);
	assert_ptr_equal(reply.payload, data);
}

static void test_read_of_zeros_is_a_hole_unless_forbidden(void **state)
{
	static uint8_t data[4096];

	(void)state;
	nbd_reply_read(&reply, &structured, &command, data);
	expect_chunk(NBD_REPLY_TYPE_OFFSET_HOLE, 12);
	assert_int_equal(base_load_be64(&reply.header.hole.offset), 8192);
	assert_int_equal(base_load_be32(&reply.header.hole.size), 4096);
	assert_int_equal(reply.payload_bytes, 0);
	command.flags = NBD_CMD_FLAG_DF;
	nbd_reply_read(&reply, &structured, &command, data);
	expect_chunk(NBD_REPLY_TYPE_OFFSET_DATA, 8 + 4096);
	command.flags = 0;
	nbd_reply_read(&reply, &simple, &command, data);
	assert_int_equal(reply.payload_bytes, 4096);
}

static void test_one_byte_anywhere_makes_it_data(void **state)
{
	static const size_t places[] = {0, 15, 16, 17, 100, 2048, 4094, 4095};

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint8_t data[4096] = {0};

		data[places[i]] = 1;
		nbd_reply_read(&reply, &structured, &command, data);
		expect_chunk(NBD_REPLY_TYPE_OFFSET_DATA, 8 + 4096);
	}
}

static void test_failed_read_is_a_chunk_where_negotiated(void **state)
{
	(void)state;
	nbd_reply_failure(&reply, &structured, &command, NBD_ERROR_EINVAL, "why");
	expect_chunk(NBD_REPLY_TYPE_ERROR, 6 + 3);
	assert_int_equal(base_load_be32(&reply.header.error.error), NBD_ERROR_EINVAL);
	assert_int_equal(base_load_be16(&reply.header.error.text_length), 3);
	assert_memory_equal(reply.payload, "why", 3);
	nbd_reply_failure(&reply, &structured, &command, NBD_ERROR_EIO, NULL);
	expect_chunk(NBD_REPLY_TYPE_ERROR, 6);
	nbd_reply_failure(&reply, &simple, &command, NBD_ERROR_EIO, "why");
	expect_simple(NBD_ERROR_EIO);
	assert_int_equal(reply.payload_bytes, 0);
}

static void test_errors_are_those_of_the_protocol(void **state)
{
	static const struct {
		int result;
		uint32_t error;
	} cases[] = {
		{-EPERM, NBD_ERROR_EPERM},   {-EROFS, NBD_ERROR_EPERM},
		{-ENOMEM, NBD_ERROR_ENOMEM}, {-ENOSPC, NBD_ERROR_ENOSPC},
		{-EDQUOT, NBD_ERROR_ENOSPC}, {-EFBIG, NBD_ERROR_ENOSPC},
		{-EINVAL, NBD_ERROR_EINVAL}, {-ESHUTDOWN, NBD_ERROR_ESHUTDOWN},
		{-EIO, NBD_ERROR_EIO},       {-ETIMEDOUT, NBD_ERROR_EIO},
		{-ENOLINK, NBD_ERROR_EIO},   {-EAGAIN, NBD_ERROR_EIO},
		{-12345, NBD_ERROR_EIO},     {0, NBD_ERROR_NONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(nbd_reply_error(&command, cases[i].result), cases[i].error);
}

static void test_unsupported_is_told_of_fast_zeroing_alone(void **state)
{
	(void)state;
	command.type = NBD_CMD_WRITE_ZEROES;
	assert_int_equal(nbd_reply_error(&command, -EOPNOTSUPP), NBD_ERROR_EINVAL);
	command.flags = NBD_CMD_FLAG_FAST_ZERO;
	assert_int_equal(nbd_reply_error(&command, -EOPNOTSUPP), NBD_ERROR_ENOTSUP);
}

/* ---- block status -------------------------------------------------------------------------- */

static void status_command(unsigned flags, uint64_t offset, uint32_t length)
{
	command.type = NBD_CMD_BLOCK_STATUS;
	command.flags = (uint16_t)flags;
	command.offset_bytes = offset;
	command.length_bytes = length;
}

static void expect_extents(unsigned count, const uint32_t (*expected)[2])
{
	const struct nbd_extent *const extents = reply.payload;

	expect_chunk(NBD_REPLY_TYPE_BLOCK_STATUS, 4 + 8 * count);
	assert_int_equal(base_load_be32(&reply.header.status.context), NBD_ALLOCATION_ID);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(base_load_be32(&extents[i].length), expected[i][0]);
		assert_int_equal(base_load_be32(&extents[i].flags), expected[i][1]);
	}
}

static void test_status_lists_the_extents(void **state)
{
	struct bdus_extent extents[] = {{4096, 0, 0}, {8192, 3, 0}, {4096, 2, 0}};
	const uint32_t expected[][2] = {{4096, 0}, {8192, 3}, {4096, 2}};

	(void)state;
	status_command(0, 0, 16384);
	assert_true(nbd_reply_status(&reply, &export, &command, extents, 3));
	expect_extents(3, expected);
}

static void test_status_stops_at_the_first_extent_past_the_range(void **state)
{
	struct bdus_extent extents[] = {{4096, 0, 0}, {1 << 20, 3, 0}, {4096, 2, 0}};
	const uint32_t expected[][2] = {{4096, 0}, {1 << 20, 3}};

	(void)state;
	status_command(0, 0, 8192);
	assert_true(nbd_reply_status(&reply, &export, &command, extents, 3));
	expect_extents(2, expected);
}

static void test_status_of_one_extent_stays_within_the_range(void **state)
{
	struct bdus_extent extents[] = {{1 << 20, 3, 0}, {4096, 0, 0}};
	const uint32_t expected[][2] = {{8192, 3}};

	(void)state;
	status_command(NBD_CMD_FLAG_REQ_ONE, 0, 8192);
	assert_true(nbd_reply_status(&reply, &export, &command, extents, 2));
	expect_extents(1, expected);
}

static void test_status_of_terabytes_fits_32_bits(void **state)
{
	struct bdus_extent extents[] = {{UINT64_C(1) << 40, 3, 0}, {4096, 0, 0}};
	const uint32_t expected[][2] = {{0xfffff000, 3}};

	(void)state;
	status_command(0, 0, 0xfffff000);
	assert_true(nbd_reply_status(&reply, &export, &command, extents, 2));
	expect_extents(1, expected);
}

static void test_status_never_leaves_the_device(void **state)
{
	struct bdus_extent extents[] = {{8192, 0x77777773, 0}, {4096, 0, 0}};
	const uint32_t expected[][2] = {{4096, 3}};

	(void)state;
	status_command(0, export.size_bytes - 4096, 4096);
	assert_true(nbd_reply_status(&reply, &export, &command, extents, 2));
	expect_extents(1, expected);
}

static void test_status_without_extents_is_an_error(void **state)
{
	struct bdus_extent extents[] = {{0, 0, 0}, {4096, 0, 0}};

	(void)state;
	status_command(0, 0, 4096);
	assert_false(nbd_reply_status(&reply, &export, &command, extents, 0));
	assert_false(nbd_reply_status(&reply, &export, &command, extents, 2));
}

/* ---- the export's flags -------------------------------------------------------------------- */

static void test_export_offers_what_the_device_has(void **state)
{
	struct bdus_device_attrs attrs = {
		.size_bytes = 1 << 20,
		.logical_block_size = 512,
		.physical_block_size = 4096,
		.ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) |
		       BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS) | BDUS_OP_BIT(BDUS_OP_EXTENTS),
	};
	struct nbd_export made = {0};

	(void)state;
	nbd_export_init(&made, &attrs, 0);
	assert_int_equal(made.flags, NBD_FLAG_HAS_FLAGS | NBD_FLAG_CAN_MULTI_CONN |
					     NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_WRITE_ZEROES);
	assert_int_equal(made.minimum_block_bytes, 512);
	assert_int_equal(made.preferred_block_bytes, 4096);
	nbd_export_init(&made, &attrs, BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS));
	assert_true(made.flags & NBD_FLAG_SEND_FAST_ZERO);
	attrs.flags = BDUS_DEVICE_READ_ONLY | BDUS_DEVICE_ROTATIONAL;
	attrs.ops |= BDUS_OP_BIT(BDUS_OP_FLUSH) | BDUS_OP_BIT(BDUS_OP_CACHE) |
		     BDUS_OP_BIT(BDUS_OP_DISCARD);
	attrs.optimal_io_bytes = 1 << 16;
	nbd_export_init(&made, &attrs, attrs.ops);
	assert_int_equal(made.flags, NBD_FLAG_HAS_FLAGS | NBD_FLAG_CAN_MULTI_CONN |
					     NBD_FLAG_READ_ONLY | NBD_FLAG_ROTATIONAL |
					     NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_CACHE);
	assert_int_equal(made.preferred_block_bytes, 1 << 16);
}

#define PROPERTY(name) cmocka_unit_test_setup(test_##name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROPERTY(read_is_simple_until_negotiated_otherwise),
		PROPERTY(read_of_zeros_is_a_hole_unless_forbidden),
		PROPERTY(one_byte_anywhere_makes_it_data),
		PROPERTY(failed_read_is_a_chunk_where_negotiated),
		PROPERTY(errors_are_those_of_the_protocol),
		PROPERTY(unsupported_is_told_of_fast_zeroing_alone),
		PROPERTY(status_lists_the_extents),
		PROPERTY(status_stops_at_the_first_extent_past_the_range),
		PROPERTY(status_of_one_extent_stays_within_the_range),
		PROPERTY(status_of_terabytes_fits_32_bits),
		PROPERTY(status_never_leaves_the_device),
		PROPERTY(status_without_extents_is_an_error),
		PROPERTY(export_offers_what_the_device_has),
	};

	return cmocka_run_group_tests_name("nbd-reply", tests, NULL, NULL);
}
