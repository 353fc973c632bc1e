/* SPDX-License-Identifier: MIT */
/*
 * Option haggling, message by message: what clients of all kinds get, and what garbage gets.
 */
#include "base/byteorder.h"
#include "handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct nbd_export export = {
	.name = "disk",
	.description = "a disk for tests",
	.size_bytes = 1 << 20,
	.flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH,
	.has_extents = true,
	.minimum_block_bytes = 512,
	.preferred_block_bytes = 4096,
	.maximum_payload_bytes = 1 << 25,
};

static struct nbd_handshake handshake;

/** Bytes that a client sends. */
static uint8_t message[64 << 10];
static size_t message_bytes;

static void begin(void)
{
	message_bytes = 0;
}

static void add(const void *bytes, size_t length)
{
	memcpy(message + message_bytes, bytes, length);
	message_bytes += length;
}

static void add16(uint16_t value)
{
	base_store_be16(message + message_bytes, value);
	message_bytes += 2;
}

static void add32(uint32_t value)
{
	base_store_be32(message + message_bytes, value);
	message_bytes += 4;
}

static void add64(uint64_t value)
{
	base_store_be64(message + message_bytes, value);
	message_bytes += 8;
}

static void add_text(const char *text)
{
	add32((uint32_t)strlen(text));
	add(text, strlen(text));
}

/** Starts an option whose data follows; end_option() puts its length in. */
static void begin_option(uint32_t option)
{
	begin();
	add64(NBD_OPTION_MAGIC);
	add32(option);
	add32(0);
}

static void end_option(void)
{
	base_store_be32(message + 12, (uint32_t)(message_bytes - sizeof(struct nbd_option)));
}

/** Feeds the whole message, which must be used up in one go. */
static void feed(void)
{
	handshake.output_bytes = 0;
	assert_int_equal(nbd_handshake_feed(&handshake, message, message_bytes), message_bytes);
}

static void send_option(uint32_t option)
{
	begin_option(option);
	end_option();
	feed();
}

/** A walk over the answers. */
static size_t answer_at;

struct answer {
	uint32_t type;
	const uint8_t *data;
	uint32_t length;
};

static struct answer next_answer(uint32_t option)
{
	const struct nbd_option_reply *const reply = (const void *)(handshake.output + answer_at);
	struct answer answer;

	assert_in_range(answer_at + sizeof(*reply), 0, handshake.output_bytes);
	assert_int_equal(base_load_be64(&reply->magic), NBD_OPTION_REPLY_MAGIC);
	assert_int_equal(base_load_be32(&reply->option), option);
	answer.type = base_load_be32(&reply->type);
	answer.length = base_load_be32(&reply->length);
	answer.data = handshake.output + answer_at + sizeof(*reply);
	answer_at += sizeof(*reply) + answer.length;
	assert_in_range(answer_at, 0, handshake.output_bytes);
	return answer;
}

static void expect_end(void)
{
	assert_int_equal(answer_at, handshake.output_bytes);
	answer_at = 0;
}

/** Checks that the only answer is of @type. */
static void expect_only(uint32_t option, uint32_t type)
{
	answer_at = 0;
	assert_int_equal(next_answer(option).type, type);
	expect_end();
}

static void greet(uint32_t flags)
{
	nbd_handshake_init(&handshake, &export);
	begin();
	add32(flags);
	feed();
	answer_at = 0;
}

static int set_up(void **state)
{
	(void)state;
	greet(NBD_CLIENT_FLAG_FIXED_NEWSTYLE | NBD_CLIENT_FLAG_NO_ZEROES);
	return 0;
}

static void negotiate_structured(void)
{
	send_option(NBD_OPT_STRUCTURED_REPLY);
	expect_only(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
}

/* ---- greeting ------------------------------------------------------------------------------ */

static void test_greeting_offers_fixed_newstyle(void **state)
{
	const struct nbd_greeting *const greeting = (const void *)handshake.output;

	(void)state;
	nbd_handshake_init(&handshake, &export);
	assert_int_equal(handshake.output_bytes, sizeof(*greeting));
	assert_memory_equal(&greeting->magic, "NBDMAGIC", 8);
	assert_memory_equal(&greeting->option_magic, "IHAVEOPT", 8);
	assert_int_equal(base_load_be16(&greeting->flags),
			 NBD_HANDSHAKE_FLAG_FIXED_NEWSTYLE | NBD_HANDSHAKE_FLAG_NO_ZEROES);
}

static void test_unknown_client_flags_end_the_connection(void **state)
{
	(void)state;
	greet(1U << 2);
	assert_int_equal(handshake.state, NBD_HANDSHAKE_CLOSE);
	greet(1U << 31 | NBD_CLIENT_FLAG_FIXED_NEWSTYLE);
	assert_int_equal(handshake.state, NBD_HANDSHAKE_CLOSE);
}

static void test_client_without_fixed_newstyle_can_choose_an_export(void **state)
{
	(void)state;
	greet(0);
	begin_option(NBD_OPT_EXPORT_NAME);
	add("disk", 4);
	end_option();
	feed();
	assert_int_equal(handshake.state, NBD_HANDSHAKE_DONE);
	assert_int_equal(handshake.output_bytes, sizeof(struct nbd_export_name_reply));
}

/* ---- choosing an export -------------------------------------------------------------------- */

static void test_export_name_leaves_out_zeroes_when_agreed(void **state)
{
	const struct nbd_export_name_reply *const reply = (const void *)handshake.output;

	(void)state;
	begin_option(NBD_OPT_EXPORT_NAME);
	end_option();
	feed();
	assert_int_equal(handshake.state, NBD_HANDSHAKE_DONE);
	assert_int_equal(handshake.output_bytes, 10);
	assert_int_equal(base_load_be64(&reply->size), export.size_bytes);
	assert_int_equal(base_load_be16(&reply->flags), export.flags);
}

static void test_export_name_of_another_export_ends_the_connection(void **state)
{
	(void)state;
	begin_option(NBD_OPT_EXPORT_NAME);
	add("disk2", 5);
	end_option();
	feed();
	assert_int_equal(handshake.state, NBD_HANDSHAKE_CLOSE);
	assert_int_equal(handshake.output_bytes, 0);
}

static void test_go_tells_what_was_asked_for_once(void **state)
{
	struct answer answer;

	(void)state;
	begin_option(NBD_OPT_GO);
	add_text("disk");
	add16(6);
	add16(NBD_INFO_BLOCK_SIZE);
	add16(NBD_INFO_DESCRIPTION);
	add16(NBD_INFO_NAME);
	add16(NBD_INFO_BLOCK_SIZE);
	add16(NBD_INFO_EXPORT);
	add16(0x1234);
	end_option();
	feed();
	answer = next_answer(NBD_OPT_GO);
	assert_int_equal(answer.type, NBD_REP_INFO);
	assert_int_equal(answer.length, sizeof(struct nbd_info_export));
	assert_int_equal(base_load_be16(answer.data), NBD_INFO_EXPORT);
	assert_int_equal(base_load_be64(answer.data + 2), export.size_bytes);
	answer = next_answer(NBD_OPT_GO);
	assert_int_equal(base_load_be16(answer.data), NBD_INFO_BLOCK_SIZE);
	assert_int_equal(base_load_be32(answer.data + 2), 512);
	assert_int_equal(base_load_be32(answer.data + 6), 4096);
	assert_int_equal(base_load_be32(answer.data + 10), 1 << 25);
	answer = next_answer(NBD_OPT_GO);
	assert_int_equal(base_load_be16(answer.data), NBD_INFO_DESCRIPTION);
	assert_memory_equal(answer.data + 2, "a disk for tests", answer.length - 2);
	answer = next_answer(NBD_OPT_GO);
	assert_int_equal(base_load_be16(answer.data), NBD_INFO_NAME);
	assert_memory_equal(answer.data + 2, "disk", answer.length - 2);
	assert_int_equal(next_answer(NBD_OPT_GO).type, NBD_REP_ACK);
	expect_end();
	assert_int_equal(handshake.state, NBD_HANDSHAKE_DONE);
}

static void test_info_stays_in_the_handshake(void **state)
{
	(void)state;
	begin_option(NBD_OPT_INFO);
	add_text("");
	add16(0);
	end_option();
	feed();
	assert_int_equal(next_answer(NBD_OPT_INFO).type, NBD_REP_INFO);
	assert_int_equal(next_answer(NBD_OPT_INFO).type, NBD_REP_ACK);
	expect_end();
	assert_int_equal(handshake.state, NBD_HANDSHAKE_OPTION);
}

static void test_go_to_another_export_is_refused_and_may_be_retried(void **state)
{
	(void)state;
	begin_option(NBD_OPT_GO);
	add_text("Disk");
	add16(0);
	end_option();
	feed();
	expect_only(NBD_OPT_GO, NBD_REP_ERR_UNKNOWN);
	assert_int_equal(handshake.state, NBD_HANDSHAKE_OPTION);
}

static void test_go_with_lengths_that_do_not_add_up_is_invalid(void **state)
{
	(void)state;
	/* A name longer than the option. */
	begin_option(NBD_OPT_GO);
	add32(5);
	add("disk", 4);
	end_option();
	feed();
	expect_only(NBD_OPT_GO, NBD_REP_ERR_INVALID);
	/* More requests announced than follow, and fewer. */
	for (uint16_t count = 0; count < 4; count++) {
		if (count == 1)
			continue;
		begin_option(NBD_OPT_GO);
		add_text("disk");
		add16(count);
		add16(NBD_INFO_NAME);
		end_option();
		feed();
		expect_only(NBD_OPT_GO, NBD_REP_ERR_INVALID);
	}
	/* A length near 2^32. */
	begin_option(NBD_OPT_GO);
	add32(UINT32_MAX - 2);
	add16(0);
	end_option();
	feed();
	expect_only(NBD_OPT_GO, NBD_REP_ERR_INVALID);
	send_option(NBD_OPT_GO);
	expect_only(NBD_OPT_GO, NBD_REP_ERR_INVALID);
}

static void test_df_is_offered_with_structured_replies_only(void **state)
{
	const struct nbd_info_export *info;

	(void)state;
	for (int structured = 0; structured < 2; structured++) {
		if (structured)
			negotiate_structured();
		begin_option(NBD_OPT_INFO);
		add_text("disk");
		add16(0);
		end_option();
		feed();
		answer_at = 0;
		info = (const void *)next_answer(NBD_OPT_INFO).data;
		assert_int_equal((base_load_be16(&info->flags) & NBD_FLAG_SEND_DF) != 0,
				 structured);
	}
}

/* ---- other options ------------------------------------------------------------------------- */

static void test_list_names_the_export(void **state)
{
	struct answer answer;

	(void)state;
	send_option(NBD_OPT_LIST);
	answer = next_answer(NBD_OPT_LIST);
	assert_int_equal(answer.type, NBD_REP_SERVER);
	assert_int_equal(base_load_be32(answer.data), 4);
	assert_memory_equal(answer.data + 4, "diska disk for tests", answer.length - 4);
	assert_int_equal(next_answer(NBD_OPT_LIST).type, NBD_REP_ACK);
	expect_end();
}

static void test_options_without_data_refuse_data(void **state)
{
	static const uint32_t options[] = {NBD_OPT_LIST, NBD_OPT_STRUCTURED_REPLY,
					   NBD_OPT_STARTTLS};

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		begin_option(options[i]);
		add("x", 1);
		end_option();
		feed();
		expect_only(options[i], NBD_REP_ERR_INVALID);
	}
	assert_false(handshake.session.structured);
}

static void test_unknown_options_and_tls_are_unsupported(void **state)
{
	static const uint32_t options[] = {
		0,    NBD_OPT_PEEK_EXPORT, NBD_OPT_STARTTLS, NBD_OPT_EXTENDED_HEADERS, 12,
		1000, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		send_option(options[i]);
		expect_only(options[i], NBD_REP_ERR_UNSUP);
		assert_int_equal(handshake.state, NBD_HANDSHAKE_OPTION);
	}
}

static void test_abort_is_acknowledged_and_ends(void **state)
{
	(void)state;
	begin_option(NBD_OPT_ABORT);
	add("data that is to be ignored", 26);
	end_option();
	feed();
	expect_only(NBD_OPT_ABORT, NBD_REP_ACK);
	assert_int_equal(handshake.state, NBD_HANDSHAKE_CLOSE);
}

static void test_wrong_option_magic_ends_the_connection(void **state)
{
	(void)state;
	begin_option(NBD_OPT_LIST);
	message[0] ^= 1;
	end_option();
	feed();
	assert_int_equal(handshake.state, NBD_HANDSHAKE_CLOSE);
	assert_int_equal(handshake.output_bytes, 0);
}

/* ---- metadata contexts --------------------------------------------------------------------- */

static void meta(uint32_t option, const char *name, unsigned count, const char *const *queries)
{
	begin_option(option);
	add_text(name);
	add32(count);
	for (unsigned i = 0; i < count; i++)
		add_text(queries[i]);
	end_option();
	feed();
	answer_at = 0;
}

static void expect_allocation(uint32_t option)
{
	const struct answer answer = next_answer(option);

	assert_int_equal(answer.type, NBD_REP_META_CONTEXT);
	assert_memory_equal(answer.data + 4, "base:allocation", answer.length - 4);
	assert_int_equal(next_answer(option).type, NBD_REP_ACK);
	expect_end();
}

static void test_contexts_are_listed_by_wildcard_name_and_nothing(void **state)
{
	const char *const queries[] = {"qemu:dirty", "base:", "base:allocation"};

	(void)state;
	negotiate_structured();
	meta(NBD_OPT_LIST_META_CONTEXT, "disk", 0, NULL);
	expect_allocation(NBD_OPT_LIST_META_CONTEXT);
	meta(NBD_OPT_LIST_META_CONTEXT, "", 3, queries);
	expect_allocation(NBD_OPT_LIST_META_CONTEXT);
	meta(NBD_OPT_LIST_META_CONTEXT, "disk", 1, queries);
	expect_only(NBD_OPT_LIST_META_CONTEXT, NBD_REP_ACK);
	assert_false(handshake.session.allocation);
}

static void test_context_is_selected_by_its_name_alone(void **state)
{
	const char *const right[] = {"base:allocation"};
	const char *const wildcard[] = {"base:"};
	const char *const wrong[] = {"base:allocation2", "base", "", "qemu:allocation-depth"};

	(void)state;
	negotiate_structured();
	meta(NBD_OPT_SET_META_CONTEXT, "disk", 1, right);
	expect_allocation(NBD_OPT_SET_META_CONTEXT);
	assert_true(handshake.session.allocation);
	meta(NBD_OPT_SET_META_CONTEXT, "disk", 1, wildcard);
	expect_only(NBD_OPT_SET_META_CONTEXT, NBD_REP_ACK);
	assert_false(handshake.session.allocation);
	meta(NBD_OPT_SET_META_CONTEXT, "disk", 4, wrong);
	expect_only(NBD_OPT_SET_META_CONTEXT, NBD_REP_ACK);
	assert_false(handshake.session.allocation);
}

static void test_failed_selection_forgets_the_former_one(void **state)
{
	const char *const right[] = {"base:allocation"};

	(void)state;
	negotiate_structured();
	meta(NBD_OPT_SET_META_CONTEXT, "disk", 1, right);
	assert_true(handshake.session.allocation);
	meta(NBD_OPT_SET_META_CONTEXT, "other", 1, right);
	expect_only(NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_UNKNOWN);
	assert_false(handshake.session.allocation);
}

static void test_selecting_a_context_needs_structured_replies(void **state)
{
	const char *const right[] = {"base:allocation"};

	(void)state;
	meta(NBD_OPT_SET_META_CONTEXT, "disk", 1, right);
	expect_only(NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_INVALID);
	assert_false(handshake.session.allocation);
}

static void test_query_that_leaves_its_option_is_invalid(void **state)
{
	(void)state;
	negotiate_structured();
	begin_option(NBD_OPT_SET_META_CONTEXT);
	add_text("disk");
	add32(1);
	add32(16);
	add("base:allocation", 15);
	end_option();
	feed();
	expect_only(NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_INVALID);
	/* A thousand million queries in no bytes. */
	begin_option(NBD_OPT_SET_META_CONTEXT);
	add_text("disk");
	add32(1000000000);
	end_option();
	feed();
	expect_only(NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_INVALID);
	/* Bytes behind the last query. */
	begin_option(NBD_OPT_LIST_META_CONTEXT);
	add_text("disk");
	add32(0);
	add("x", 1);
	end_option();
	feed();
	expect_only(NBD_OPT_LIST_META_CONTEXT, NBD_REP_ERR_INVALID);
}

/* ---- sizes --------------------------------------------------------------------------------- */

static void test_message_in_single_bytes_waits_for_its_end(void **state)
{
	(void)state;
	begin_option(NBD_OPT_GO);
	add_text("disk");
	add16(0);
	end_option();
	handshake.output_bytes = 0;
	for (size_t length = 0; length < message_bytes; length++)
		assert_int_equal(nbd_handshake_feed(&handshake, message, length), 0);
	assert_int_equal(nbd_handshake_feed(&handshake, message, message_bytes), message_bytes);
	assert_int_equal(handshake.state, NBD_HANDSHAKE_DONE);
}

static void test_long_option_is_read_past_and_refused(void **state)
{
	const uint32_t length = NBD_HANDSHAKE_OPTION_BYTES + 1;

	(void)state;
	begin_option(NBD_OPT_LIST);
	base_store_be32(message + 12, length);
	assert_int_equal(nbd_handshake_feed(&handshake, message, sizeof(message)),
			 sizeof(struct nbd_option));
	assert_int_equal(handshake.state, NBD_HANDSHAKE_SKIP);
	assert_int_equal(nbd_handshake_feed(&handshake, message, length - 1), length - 1);
	assert_int_equal(handshake.output_bytes, 0);
	assert_int_equal(nbd_handshake_feed(&handshake, message, 100), 1);
	expect_only(NBD_OPT_LIST, NBD_REP_ERR_TOO_BIG);
	assert_int_equal(handshake.state, NBD_HANDSHAKE_OPTION);
}

static void test_endless_option_ends_the_connection(void **state)
{
	(void)state;
	begin_option(NBD_OPT_LIST);
	base_store_be32(message + 12, UINT32_MAX);
	nbd_handshake_feed(&handshake, message, sizeof(message));
	assert_int_equal(handshake.state, NBD_HANDSHAKE_CLOSE);
}

static void test_longest_strings_fit_the_answer(void **state)
{
	static char longest[NBD_STRING_BYTES + 1];
	static struct nbd_export long_export;

	(void)state;
	memset(longest, 'n', NBD_STRING_BYTES);
	long_export = export;
	long_export.name = longest;
	long_export.description = longest;
	handshake.export = &long_export;
	begin_option(NBD_OPT_GO);
	add_text(longest);
	add16(3);
	add16(NBD_INFO_NAME);
	add16(NBD_INFO_DESCRIPTION);
	add16(NBD_INFO_BLOCK_SIZE);
	end_option();
	feed();
	assert_int_equal(handshake.state, NBD_HANDSHAKE_DONE);
	handshake.state = NBD_HANDSHAKE_OPTION;
	send_option(NBD_OPT_LIST);
	assert_int_equal(next_answer(NBD_OPT_LIST).length, 4 + 2 * NBD_STRING_BYTES);
}

#define PROPERTY(name) cmocka_unit_test_setup(test_##name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROPERTY(greeting_offers_fixed_newstyle),
		PROPERTY(unknown_client_flags_end_the_connection),
		PROPERTY(client_without_fixed_newstyle_can_choose_an_export),
		PROPERTY(export_name_leaves_out_zeroes_when_agreed),
		PROPERTY(export_name_of_another_export_ends_the_connection),
		PROPERTY(go_tells_what_was_asked_for_once),
		PROPERTY(info_stays_in_the_handshake),
		PROPERTY(go_to_another_export_is_refused_and_may_be_retried),
		PROPERTY(go_with_lengths_that_do_not_add_up_is_invalid),
		PROPERTY(df_is_offered_with_structured_replies_only),
		PROPERTY(list_names_the_export),
		PROPERTY(options_without_data_refuse_data),
		PROPERTY(unknown_options_and_tls_are_unsupported),
		PROPERTY(abort_is_acknowledged_and_ends),
		PROPERTY(wrong_option_magic_ends_the_connection),
		PROPERTY(contexts_are_listed_by_wildcard_name_and_nothing),
		PROPERTY(context_is_selected_by_its_name_alone),
		PROPERTY(failed_selection_forgets_the_former_one),
		PROPERTY(selecting_a_context_needs_structured_replies),
		PROPERTY(query_that_leaves_its_option_is_invalid),
		PROPERTY(message_in_single_bytes_waits_for_its_end),
		PROPERTY(long_option_is_read_past_and_refused),
		PROPERTY(endless_option_ends_the_connection),
		PROPERTY(longest_strings_fit_the_answer),
	};

	return cmocka_run_group_tests_name("nbd-handshake", tests, NULL, NULL);
}
