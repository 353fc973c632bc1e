/* SPDX-License-Identifier: MIT */
/*
 * Which requests reach a driver, as what, and with which error the others are answered.
 */
#include "base/byteorder.h"
#include "command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIZE  (UINT64_C(1) << 40)
#define BLOCK 4096U

static struct nbd_export export;
static struct nbd_session session;
static struct nbd_command command;

static int set_up(void **state)
{
	(void)state;
	export = (struct nbd_export){
		.name = "",
		.description = "",
		.size_bytes = SIZE,
		.flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
			 NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO |
			 NBD_FLAG_SEND_CACHE,
		.has_extents = true,
		.minimum_block_bytes = BLOCK,
		.preferred_block_bytes = BLOCK,
		.maximum_payload_bytes = NBD_DEFAULT_PAYLOAD_BYTES,
	};
	session = (struct nbd_session){.structured = true, .allocation = true};
	return 0;
}

static void decode(unsigned type, unsigned flags, uint64_t offset, uint32_t length)
{
	struct nbd_request_header header;

	base_store_be32(&header.magic, NBD_REQUEST_MAGIC);
	base_store_be16(&header.flags, (uint16_t)flags);
	base_store_be16(&header.type, (uint16_t)type);
	memcpy(header.cookie, "cookie!", 8);
	base_store_be64(&header.offset, offset);
	base_store_be32(&header.length, length);
	memset(&command, 0xff, sizeof(command));
	nbd_command_decode(&export, &session, &header, &command);
}

static void expect_run(enum bdus_op op, unsigned op_flags)
{
	assert_int_equal(command.verdict, NBD_VERDICT_RUN);
	assert_int_equal(command.op, op);
	assert_int_equal(command.op_flags, op_flags);
	assert_memory_equal(command.cookie, "cookie!", 8);
}

static void expect_error(uint32_t error)
{
	assert_int_equal(command.verdict, NBD_VERDICT_REFUSE);
	assert_int_equal(command.error, error);
	assert_non_null(command.error_text);
}

static void test_requests_become_operations(void **state)
{
	(void)state;
	decode(NBD_CMD_READ, NBD_CMD_FLAG_DF, BLOCK, 2 * BLOCK);
	expect_run(BDUS_OP_READ, BDUS_REQUEST_MAY_LEND);
	assert_int_equal(command.offset_bytes, BLOCK);
	assert_int_equal(command.length_bytes, 2 * BLOCK);
	assert_int_equal(command.payload_bytes, 0);
	decode(NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, 0, BLOCK);
	expect_run(BDUS_OP_WRITE, BDUS_REQUEST_FUA);
	assert_int_equal(command.payload_bytes, BLOCK);
	decode(NBD_CMD_FLUSH, 0, 0, 0);
	expect_run(BDUS_OP_FLUSH, 0);
	decode(NBD_CMD_TRIM, NBD_CMD_FLAG_FUA, 0, 0x80000000);
	expect_run(BDUS_OP_DISCARD, 0);
	decode(NBD_CMD_CACHE, 0, 0, BLOCK);
	expect_run(BDUS_OP_CACHE, 0);
	decode(NBD_CMD_BLOCK_STATUS, NBD_CMD_FLAG_REQ_ONE, 0, 0xfffff000);
	expect_run(BDUS_OP_EXTENTS, 0);
}

static void test_write_zeroes_flags_keep_their_meaning(void **state)
{
	(void)state;
	decode(NBD_CMD_WRITE_ZEROES, 0, 0, BLOCK);
	expect_run(BDUS_OP_WRITE_ZEROS, BDUS_REQUEST_MAY_UNMAP);
	decode(NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_NO_HOLE, 0, BLOCK);
	expect_run(BDUS_OP_WRITE_ZEROS, 0);
	decode(NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_FAST_ZERO, 0, 0xfffff000);
	expect_run(BDUS_OP_WRITE_ZEROS,
		   BDUS_REQUEST_MAY_UNMAP | BDUS_REQUEST_FUA | BDUS_REQUEST_FAST_ONLY);
}

static void test_ranges_past_the_end_get_the_errors_of_the_protocol(void **state)
{
	static const struct {
		unsigned type;
		uint32_t error;
	} cases[] = {
		{NBD_CMD_READ, NBD_ERROR_EINVAL},         {NBD_CMD_WRITE, NBD_ERROR_ENOSPC},
		{NBD_CMD_WRITE_ZEROES, NBD_ERROR_ENOSPC}, {NBD_CMD_TRIM, NBD_ERROR_EINVAL},
		{NBD_CMD_CACHE, NBD_ERROR_EINVAL},        {NBD_CMD_BLOCK_STATUS, NBD_ERROR_EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		decode(cases[i].type, 0, SIZE - BLOCK, BLOCK);
		assert_int_equal(command.verdict, NBD_VERDICT_RUN);
		decode(cases[i].type, 0, SIZE - BLOCK, 2 * BLOCK);
		expect_error(cases[i].error);
		decode(cases[i].type, 0, SIZE, BLOCK);
		expect_error(cases[i].error);
		decode(cases[i].type, 0, UINT64_MAX - BLOCK + 1, BLOCK);
		expect_error(cases[i].error);
		decode(cases[i].type, 0, UINT64_MAX - BLOCK + 1, 2 * BLOCK);
		expect_error(cases[i].error);
	}
}

static void test_unaligned_and_empty_ranges_are_invalid(void **state)
{
	static const unsigned types[] = {NBD_CMD_READ,  NBD_CMD_WRITE,        NBD_CMD_TRIM,
					 NBD_CMD_CACHE, NBD_CMD_WRITE_ZEROES, NBD_CMD_BLOCK_STATUS};

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		decode(types[i], 0, 512, BLOCK);
		expect_error(NBD_ERROR_EINVAL);
		decode(types[i], 0, BLOCK, BLOCK - 1);
		expect_error(NBD_ERROR_EINVAL);
		decode(types[i], 0, BLOCK, 0);
		expect_error(NBD_ERROR_EINVAL);
	}
	decode(NBD_CMD_FLUSH, 0, BLOCK, 0);
	expect_error(NBD_ERROR_EINVAL);
	decode(NBD_CMD_FLUSH, 0, 0, BLOCK);
	expect_error(NBD_ERROR_EINVAL);
}

static void test_oversized_payloads_are_refused(void **state)
{
	const uint32_t largest = NBD_DEFAULT_PAYLOAD_BYTES;

	(void)state;
	decode(NBD_CMD_READ, 0, 0, largest);
	expect_run(BDUS_OP_READ, BDUS_REQUEST_MAY_LEND);
	decode(NBD_CMD_WRITE, 0, 0, largest);
	expect_run(BDUS_OP_WRITE, 0);
	decode(NBD_CMD_READ, 0, 0, largest + BLOCK);
	expect_error(NBD_ERROR_EOVERFLOW);
	decode(NBD_CMD_WRITE, 0, 0, largest + BLOCK);
	expect_error(NBD_ERROR_EINVAL);
	assert_int_equal(command.payload_bytes, largest + BLOCK);
	decode(NBD_CMD_WRITE, 0, 0, NBD_COMMAND_SKIP_BYTES + BLOCK);
	assert_int_equal(command.verdict, NBD_VERDICT_ABORT);
	session.structured = false;
	decode(NBD_CMD_READ, 0, 0, largest + BLOCK);
	expect_error(NBD_ERROR_EINVAL);
}

static void test_read_only_export_refuses_every_change(void **state)
{
	(void)state;
	export.flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY;
	decode(NBD_CMD_WRITE, 0, 0, BLOCK);
	expect_error(NBD_ERROR_EPERM);
	assert_int_equal(command.payload_bytes, BLOCK);
	decode(NBD_CMD_WRITE_ZEROES, 0, 0, BLOCK);
	expect_error(NBD_ERROR_EPERM);
	decode(NBD_CMD_TRIM, 0, 0, BLOCK);
	expect_error(NBD_ERROR_EPERM);
	decode(NBD_CMD_READ, 0, 0, BLOCK);
	expect_run(BDUS_OP_READ, BDUS_REQUEST_MAY_LEND);
}

static void test_what_is_not_offered_is_invalid(void **state)
{
	(void)state;
	export.flags = NBD_FLAG_HAS_FLAGS;
	decode(NBD_CMD_FLUSH, 0, 0, 0);
	expect_error(NBD_ERROR_EINVAL);
	decode(NBD_CMD_TRIM, 0, 0, BLOCK);
	expect_error(NBD_ERROR_EINVAL);
	decode(NBD_CMD_CACHE, 0, 0, BLOCK);
	expect_error(NBD_ERROR_EINVAL);
	decode(NBD_CMD_WRITE_ZEROES, 0, 0, BLOCK);
	expect_error(NBD_ERROR_EINVAL);
	decode(NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, 0, BLOCK);
	expect_error(NBD_ERROR_EINVAL);
	export.flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_WRITE_ZEROES;
	decode(NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_FAST_ZERO, 0, BLOCK);
	expect_error(NBD_ERROR_EINVAL);
}

static void test_block_status_needs_a_context(void **state)
{
	(void)state;
	session.allocation = false;
	decode(NBD_CMD_BLOCK_STATUS, 0, 0, BLOCK);
	expect_error(NBD_ERROR_EINVAL);
}

static void test_flags_of_other_commands_are_invalid(void **state)
{
	static const struct {
		unsigned type;
		unsigned allowed;
	} cases[] = {
		{NBD_CMD_READ, NBD_CMD_FLAG_DF},
		{NBD_CMD_WRITE, 0},
		{NBD_CMD_TRIM, 0},
		{NBD_CMD_CACHE, 0},
		{NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO},
		{NBD_CMD_BLOCK_STATUS, NBD_CMD_FLAG_REQ_ONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned bit = 0; bit < 16; bit++) {
			/* FUA may stand on every command. */
			const unsigned allowed = cases[i].allowed | NBD_CMD_FLAG_FUA;

			decode(cases[i].type, 1U << bit, 0, BLOCK);
			if (allowed & 1U << bit)
				assert_int_equal(command.verdict, NBD_VERDICT_RUN);
			else
				expect_error(NBD_ERROR_EINVAL);
		}
	}
	session.structured = false;
	decode(NBD_CMD_READ, NBD_CMD_FLAG_DF, 0, BLOCK);
	expect_error(NBD_ERROR_EINVAL);
}

static void test_unknown_commands_are_invalid_and_carry_no_payload(void **state)
{
	(void)state;
	for (unsigned type = NBD_CMD_BLOCK_STATUS + 1; type <= UINT16_MAX; type++) {
		decode(type, 0, 0, BLOCK);
		expect_error(NBD_ERROR_EINVAL);
		assert_int_equal(command.payload_bytes, 0);
	}
}

static void test_disconnect_is_understood(void **state)
{
	(void)state;
	decode(NBD_CMD_DISC, 0, 0, 0);
	assert_int_equal(command.verdict, NBD_VERDICT_DISCONNECT);
}

static void test_wrong_magic_ends_the_connection(void **state)
{
	struct nbd_request_header header = {.magic = {{0x12, 0x56, 0x09, 0x53}}};

	(void)state;
	nbd_command_decode(&export, &session, &header, &command);
	assert_int_equal(command.verdict, NBD_VERDICT_ABORT);
}

#define PROPERTY(name) cmocka_unit_test_setup(test_##name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROPERTY(requests_become_operations),
		PROPERTY(write_zeroes_flags_keep_their_meaning),
		PROPERTY(ranges_past_the_end_get_the_errors_of_the_protocol),
		PROPERTY(unaligned_and_empty_ranges_are_invalid),
		PROPERTY(oversized_payloads_are_refused),
		PROPERTY(read_only_export_refuses_every_change),
		PROPERTY(what_is_not_offered_is_invalid),
		PROPERTY(block_status_needs_a_context),
		PROPERTY(flags_of_other_commands_are_invalid),
		PROPERTY(unknown_commands_are_invalid_and_carry_no_payload),
		PROPERTY(disconnect_is_understood),
		PROPERTY(wrong_magic_ends_the_connection),
	};

	return cmocka_run_group_tests_name("nbd-command", tests, NULL, NULL);
}
