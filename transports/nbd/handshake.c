/* SPDX-License-Identifier: MIT */
/*
 * Option haggling.
 *
 *	FLAGS ──▶ OPTION ──EXPORT_NAME, GO──▶ DONE
 *	  │        │  ▲ ╲
 *	  │        ▼  │  ╲──ABORT, wrong magic, unknown export by EXPORT_NAME──▶ CLOSE
 *	  │        SKIP
 *	  ╰──unknown flags──▶ CLOSE
 *
 * Every option has one function that reads its data through a cursor which cannot leave it, and
 * appends its answers to the output.
 */
#include "handshake.h"

#include "base/bits.h"
#include "base/byteorder.h"

#include <assert.h>
#include <string.h>

#define ALLOCATION_CONTEXT "base:allocation"

/** Reads the data of one option from front to back. */
struct cursor {
	const uint8_t *data;
	size_t left;
};

static bool take_bytes(struct cursor *cursor, size_t count, const uint8_t **bytes)
{
	if (count > cursor->left)
		return false;
	*bytes = cursor->data;
	cursor->data += count;
	cursor->left -= count;
	return true;
}

static bool take_u16(struct cursor *cursor, uint16_t *value)
{
	const uint8_t *bytes;

	if (!take_bytes(cursor, 2, &bytes))
		return false;
	*value = base_load_be16(bytes);
	return true;
}

static bool take_u32(struct cursor *cursor, uint32_t *value)
{
	const uint8_t *bytes;

	if (!take_bytes(cursor, 4, &bytes))
		return false;
	*value = base_load_be32(bytes);
	return true;
}

struct text {
	const uint8_t *bytes;
	uint32_t length;
};

/** A string behind its 32-bit length. */
static bool take_text(struct cursor *cursor, struct text *text)
{
	return take_u32(cursor, &text->length) && text->length <= NBD_STRING_BYTES &&
	       take_bytes(cursor, text->length, &text->bytes);
}

static bool text_is(const struct text *text, const char *expected)
{
	return text->length == strlen(expected) && memcmp(text->bytes, expected, text->length) == 0;
}

static bool names_export(const struct nbd_handshake *handshake, const struct text *name)
{
	return name->length == 0 || text_is(name, handshake->export->name);
}

/* ---- output -------------------------------------------------------------------------------- */

static void put(struct nbd_handshake *handshake, const void *bytes, size_t length)
{
	assert(length <= sizeof(handshake->output) - handshake->output_bytes);
	memcpy(handshake->output + handshake->output_bytes, bytes, length);
	handshake->output_bytes += length;
}

static void put_reply_header(struct nbd_handshake *handshake, uint32_t type, size_t length)
{
	struct nbd_option_reply reply;

	base_store_be64(&reply.magic, NBD_OPTION_REPLY_MAGIC);
	base_store_be32(&reply.option, handshake->option);
	base_store_be32(&reply.type, type);
	base_store_be32(&reply.length, (uint32_t)length);
	put(handshake, &reply, sizeof(reply));
}

static void put_reply(struct nbd_handshake *handshake, uint32_t type, const void *data,
		      size_t length)
{
	put_reply_header(handshake, type, length);
	put(handshake, data, length);
}

static void put_ack(struct nbd_handshake *handshake)
{
	put_reply_header(handshake, NBD_REP_ACK, 0);
}

/** Refuses the option; @text is for the client's user. */
static void put_error(struct nbd_handshake *handshake, uint32_t type, const char *text)
{
	put_reply(handshake, type, text, strlen(text));
}

/** A 32-bit number and a string: the data of NBD_REP_META_CONTEXT. */
static void put_context(struct nbd_handshake *handshake, uint32_t id)
{
	wire_be32 number;

	base_store_be32(&number, id);
	put_reply_header(handshake, NBD_REP_META_CONTEXT,
			 sizeof(number) + strlen(ALLOCATION_CONTEXT));
	put(handshake, &number, sizeof(number));
	put(handshake, ALLOCATION_CONTEXT, strlen(ALLOCATION_CONTEXT));
}

static uint16_t export_flags(const struct nbd_handshake *handshake)
{
	const unsigned df = handshake->session.structured ? NBD_FLAG_SEND_DF : 0;

	return (uint16_t)(handshake->export->flags | df);
}

static void put_info_export(struct nbd_handshake *handshake)
{
	struct nbd_info_export info;

	base_store_be16(&info.type, NBD_INFO_EXPORT);
	base_store_be64(&info.size, nbd_export_size(handshake->export));
	base_store_be16(&info.flags, export_flags(handshake));
	put_reply(handshake, NBD_REP_INFO, &info, sizeof(info));
}

static void put_info_block_size(struct nbd_handshake *handshake)
{
	const struct nbd_export *const export = handshake->export;
	struct nbd_info_block_size info;

	base_store_be16(&info.type, NBD_INFO_BLOCK_SIZE);
	base_store_be32(&info.minimum, export->minimum_block_bytes);
	base_store_be32(&info.preferred, export->preferred_block_bytes);
	base_store_be32(&info.maximum_payload, export->maximum_payload_bytes);
	put_reply(handshake, NBD_REP_INFO, &info, sizeof(info));
}

static void put_info_text(struct nbd_handshake *handshake, uint16_t type, const char *text)
{
	wire_be16 number;

	base_store_be16(&number, type);
	put_reply_header(handshake, NBD_REP_INFO, sizeof(number) + strlen(text));
	put(handshake, &number, sizeof(number));
	put(handshake, text, strlen(text));
}

/* ---- options ------------------------------------------------------------------------------- */

static void answer_export_name(struct nbd_handshake *handshake, struct cursor *data)
{
	const struct text name = {data->data, (uint32_t)data->left};
	struct nbd_export_name_reply reply = {.zeroes = {0}};
	size_t length = sizeof(reply);

	/* This option has no error reply: the session ends. */
	handshake->state = NBD_HANDSHAKE_CLOSE;
	if (!names_export(handshake, &name))
		return;
	base_store_be64(&reply.size, nbd_export_size(handshake->export));
	base_store_be16(&reply.flags, export_flags(handshake));
	if (handshake->no_zeroes)
		length = offsetof(struct nbd_export_name_reply, zeroes);
	put(handshake, &reply, length);
	handshake->state = NBD_HANDSHAKE_DONE;
}

static void answer_abort(struct nbd_handshake *handshake, struct cursor *data)
{
	(void)data;
	put_ack(handshake);
	handshake->state = NBD_HANDSHAKE_CLOSE;
}

static void answer_list(struct nbd_handshake *handshake, struct cursor *data)
{
	const struct nbd_export *const export = handshake->export;
	const size_t name_length = strlen(export->name);
	const size_t description_length = strlen(export->description);
	wire_be32 number;

	if (data->left != 0) {
		put_error(handshake, NBD_REP_ERR_INVALID, "a list request carries no data");
		return;
	}
	base_store_be32(&number, (uint32_t)name_length);
	put_reply_header(handshake, NBD_REP_SERVER,
			 sizeof(number) + name_length + description_length);
	put(handshake, &number, sizeof(number));
	put(handshake, export->name, name_length);
	put(handshake, export->description, description_length);
	put_ack(handshake);
}

static void answer_starttls(struct nbd_handshake *handshake, struct cursor *data)
{
	if (data->left != 0)
		put_error(handshake, NBD_REP_ERR_INVALID, "a TLS request carries no data");
	else
		put_error(handshake, NBD_REP_ERR_UNSUP, "this server has no TLS");
}

static void answer_structured_reply(struct nbd_handshake *handshake, struct cursor *data)
{
	if (data->left != 0) {
		put_error(handshake, NBD_REP_ERR_INVALID,
			  "a request for structured replies carries no data");
		return;
	}
	handshake->session.structured = true;
	put_ack(handshake);
}

/** Sends one piece of information that the client asked for, unless it was sent already. */
static void put_wanted_info(struct nbd_handshake *handshake, uint16_t type, unsigned *sent)
{
	if (type > NBD_INFO_BLOCK_SIZE || (*sent & (1U << type)) != 0)
		return;
	*sent |= 1U << type;
	if (type == NBD_INFO_NAME)
		put_info_text(handshake, type, handshake->export->name);
	else if (type == NBD_INFO_DESCRIPTION)
		put_info_text(handshake, type, handshake->export->description);
	else if (type == NBD_INFO_BLOCK_SIZE)
		put_info_block_size(handshake);
}

static void answer_info(struct nbd_handshake *handshake, struct cursor *data)
{
	unsigned sent = 1U << NBD_INFO_EXPORT;
	struct text name;
	uint16_t count;
	uint16_t type;

	if (!take_text(data, &name) || !take_u16(data, &count) ||
	    data->left != count * sizeof(type)) {
		put_error(handshake, NBD_REP_ERR_INVALID,
			  "the lengths within the option do not add up");
		return;
	}
	if (!names_export(handshake, &name)) {
		put_error(handshake, NBD_REP_ERR_UNKNOWN, "there is no export of this name");
		return;
	}
	put_info_export(handshake);
	while (take_u16(data, &type))
		put_wanted_info(handshake, type, &sent);
	put_ack(handshake);
	if (handshake->option == NBD_OPT_GO)
		handshake->state = NBD_HANDSHAKE_DONE;
}

/** Whether one query asks for "base:allocation"; a namespace alone lists, but selects nothing. */
static bool query_matches(const struct nbd_handshake *handshake, const struct text *query)
{
	return text_is(query, ALLOCATION_CONTEXT) ||
	       (handshake->option == NBD_OPT_LIST_META_CONTEXT && text_is(query, "base:"));
}

/** Reads all queries; false when their lengths are wrong. */
static bool match_queries(const struct nbd_handshake *handshake, struct cursor *data, bool *matches)
{
	uint32_t count;
	struct text query;

	if (!take_u32(data, &count))
		return false;
	*matches = count == 0 && handshake->option == NBD_OPT_LIST_META_CONTEXT;
	for (uint32_t i = 0; i < count; i++) {
		if (!take_text(data, &query))
			return false;
		*matches = *matches || query_matches(handshake, &query);
	}
	return data->left == 0;
}

static void answer_meta_context(struct nbd_handshake *handshake, struct cursor *data)
{
	const bool set = handshake->option == NBD_OPT_SET_META_CONTEXT;
	struct text name;
	bool matches;

	/* A new choice replaces the old one even when it fails. */
	if (set)
		handshake->session.allocation = false;
	if (set && !handshake->session.structured) {
		put_error(handshake, NBD_REP_ERR_INVALID,
			  "metadata contexts need structured replies first");
		return;
	}
	if (!take_text(data, &name) || !match_queries(handshake, data, &matches)) {
		put_error(handshake, NBD_REP_ERR_INVALID,
			  "the lengths within the option do not add up");
		return;
	}
	if (!names_export(handshake, &name)) {
		put_error(handshake, NBD_REP_ERR_UNKNOWN, "there is no export of this name");
		return;
	}
	matches = matches && handshake->export->has_extents;
	if (matches)
		put_context(handshake, set ? NBD_ALLOCATION_ID : 0);
	handshake->session.allocation = handshake->session.allocation || (set && matches);
	put_ack(handshake);
}

static void answer_unknown(struct nbd_handshake *handshake, struct cursor *data)
{
	(void)data;
	put_error(handshake, NBD_REP_ERR_UNSUP, "this server does not know the option");
}

typedef void answer_fn(struct nbd_handshake *handshake, struct cursor *data);

static answer_fn *const answers[] = {
	[NBD_OPT_EXPORT_NAME] = answer_export_name,
	[NBD_OPT_ABORT] = answer_abort,
	[NBD_OPT_LIST] = answer_list,
	[NBD_OPT_STARTTLS] = answer_starttls,
	[NBD_OPT_INFO] = answer_info,
	[NBD_OPT_GO] = answer_info,
	[NBD_OPT_STRUCTURED_REPLY] = answer_structured_reply,
	[NBD_OPT_LIST_META_CONTEXT] = answer_meta_context,
	[NBD_OPT_SET_META_CONTEXT] = answer_meta_context,
};

static void answer_option(struct nbd_handshake *handshake, struct cursor *data)
{
	answer_fn *answer = NULL;

	if (handshake->option < BASE_ARRAY_LENGTH(answers))
		answer = answers[handshake->option];
	if (answer == NULL)
		answer = answer_unknown;
	answer(handshake, data);
}

/* ---- the machine --------------------------------------------------------------------------- */

void nbd_handshake_init(struct nbd_handshake *handshake, const struct nbd_export *export)
{
	struct nbd_greeting greeting;

	handshake->export = export;
	handshake->state = NBD_HANDSHAKE_FLAGS;
	handshake->no_zeroes = false;
	handshake->session = (struct nbd_session){false, false};
	handshake->option = 0;
	handshake->skip_bytes = 0;
	handshake->output_bytes = 0;
	base_store_be64(&greeting.magic, NBD_GREETING_MAGIC);
	base_store_be64(&greeting.option_magic, NBD_OPTION_MAGIC);
	base_store_be16(&greeting.flags,
			NBD_HANDSHAKE_FLAG_FIXED_NEWSTYLE | NBD_HANDSHAKE_FLAG_NO_ZEROES);
	put(handshake, &greeting, sizeof(greeting));
}

static size_t feed_flags(struct nbd_handshake *handshake, const uint8_t *data, size_t length)
{
	uint32_t flags;

	if (length < sizeof(struct nbd_client_flags))
		return 0;
	flags = base_load_be32(data);
	handshake->no_zeroes = (flags & NBD_CLIENT_FLAG_NO_ZEROES) != 0;
	handshake->state = NBD_HANDSHAKE_OPTION;
	if ((flags & ~(uint32_t)(NBD_CLIENT_FLAG_FIXED_NEWSTYLE | NBD_CLIENT_FLAG_NO_ZEROES)) != 0)
		handshake->state = NBD_HANDSHAKE_CLOSE;
	return sizeof(struct nbd_client_flags);
}

/** Deals with an option whose data is longer than any that makes sense. */
static void begin_skip(struct nbd_handshake *handshake, uint32_t length)
{
	handshake->skip_bytes = length;
	handshake->state = NBD_HANDSHAKE_SKIP;
	/* A name that long cannot be ours, and this option has no error reply. */
	if (handshake->option == NBD_OPT_EXPORT_NAME || length > NBD_HANDSHAKE_SKIP_BYTES)
		handshake->state = NBD_HANDSHAKE_CLOSE;
}

static size_t feed_option(struct nbd_handshake *handshake, const uint8_t *data, size_t length)
{
	const struct nbd_option *const option = (const void *)data;
	struct cursor cursor;
	uint32_t data_length;

	if (length < sizeof(*option))
		return 0;
	if (base_load_be64(&option->magic) != NBD_OPTION_MAGIC) {
		handshake->state = NBD_HANDSHAKE_CLOSE;
		return sizeof(*option);
	}
	handshake->option = base_load_be32(&option->option);
	data_length = base_load_be32(&option->length);
	if (data_length > NBD_HANDSHAKE_OPTION_BYTES) {
		begin_skip(handshake, data_length);
		return sizeof(*option);
	}
	if (length - sizeof(*option) < data_length)
		return 0;
	cursor = (struct cursor){data + sizeof(*option), data_length};
	answer_option(handshake, &cursor);
	return sizeof(*option) + data_length;
}

static size_t feed_skip(struct nbd_handshake *handshake, size_t length)
{
	const size_t skipped = base_min(length, handshake->skip_bytes);

	handshake->skip_bytes -= (uint32_t)skipped;
	if (handshake->skip_bytes == 0) {
		handshake->state = NBD_HANDSHAKE_OPTION;
		put_error(handshake, NBD_REP_ERR_TOO_BIG, "the option is longer than 16 KiB");
	}
	return skipped;
}

size_t nbd_handshake_feed(struct nbd_handshake *handshake, const uint8_t *data, size_t length)
{
	assert(handshake->output_bytes == 0);
	switch (handshake->state) {
	case NBD_HANDSHAKE_FLAGS:
		return feed_flags(handshake, data, length);
	case NBD_HANDSHAKE_OPTION:
		return feed_option(handshake, data, length);
	case NBD_HANDSHAKE_SKIP:
		return feed_skip(handshake, length);
	case NBD_HANDSHAKE_DONE:
	case NBD_HANDSHAKE_CLOSE:
		break;
	}
	return 0;
}
