/* SPDX-License-Identifier: MIT */
/*
 * The messages of NBD: all that libnbd and QEMU say to nbdkit and are told by it must be found in
 * the descriptions, byte for byte; and nbdkit understands what the generated writers write.
 */
#include "nbd.h"
#include "nbd_record.h"

#include <stdlib.h>
#include <unistd.h>

SUBJECT_FIXED(nbd_greeting);
SUBJECT_FIXED(nbd_oldstyle_greeting);
SUBJECT_FIXED(nbd_client_flags);
SUBJECT_FIXED(nbd_request_header);
SUBJECT_FIXED(nbd_simple_reply);
SUBJECT_FIXED(nbd_export_name_reply);
SUBJECT_FIXED(nbd_extended_request);
SUBJECT_FIXED(nbd_extended_chunk);
SUBJECT_DYNAMIC(nbd_option_message);
SUBJECT_DYNAMIC(nbd_option_reply_message);
SUBJECT_DYNAMIC(nbd_chunk_message);

static uint16_t chunk_type;
static uint32_t payload_bytes;
SUBJECT_DYNAMIC(nbd_chunk_payload, chunk_type, payload_bytes);
SUBJECT_DYNAMIC(nbd_block_status_payload, payload_bytes);

/* ---- taking streams apart ---- */

struct stream {
	const uint8_t *data;
	size_t size, at;
};

/* How many of each kind came, by option, command, kind of answer and kind of chunk. */
static unsigned options[16], commands[16], option_replies[16], error_replies, chunk_types[16],
	error_chunks, simple_replies;

/* What was asked for and not answered yet, for clients use cookies again: how much data a simple
 * reply has. */
static struct {
	uint8_t cookie[8];
	uint32_t length;
	bool is_answered;
} requests[4096];
static unsigned request_count;

static void ask(const uint8_t *cookie, uint32_t length)
{
	assert_true(request_count < 4096);
	memcpy(requests[request_count].cookie, cookie, 8);
	requests[request_count].is_answered = false;
	requests[request_count++].length = length;
}

/* The data that a simple reply to the oldest request with the cookie has. */
static uint32_t answer(const uint8_t *cookie)
{
	for (unsigned i = 0; i < request_count; i++) {
		if (requests[i].is_answered || memcmp(requests[i].cookie, cookie, 8) != 0)
			continue;
		requests[i].is_answered = true;
		return requests[i].length;
	}
	fail_msg("nobody asked for this");
	return 0;
}

static const uint8_t *rest(const struct stream *s)
{
	return s->data + s->at;
}

static size_t left(const struct stream *s)
{
	return s->size - s->at;
}

/* Everything that must hold for a message of @length, seen alone. Damage is done to its first
 * bytes. */
static void take(struct stream *s, const struct subject *subject, size_t length)
{
	struct image alone = {malloc(length), length};

	assert_true(length <= left(s));
	memcpy(alone.data, rest(s), length);
	assert_sound(subject, alone.data, length);
	if (length <= 512) {
		assert_rewritten(subject, alone.data, length);
		corrupt(subject, alone.data, length, (struct range){0, length}, NULL);
		truncate_all(subject, alone.data, length);
	}
	free(alone.data);
	s->at += length;
}

static void take_option(struct stream *s)
{
	struct nbd_option_message_view view;

	assert_int_equal(nbd_option_message_check(&view, rest(s), left(s), NULL), 0);
	options[nbd_option_message_option(&view) % 16]++;
	take(s, &nbd_option_message_subject, view.length);
}

static void take_request(struct stream *s)
{
	const struct nbd_request_header *request = nbd_request_header_from(rest(s));
	const unsigned type = nbd_request_header_type(request);
	const uint32_t length = nbd_request_header_length(request);

	commands[type % 16]++;
	ask(nbd_request_header_cookie(request).data, type == NBD_CMD_READ ? length : 0);
	take(s, &nbd_request_header_subject, sizeof(*request));
	if (type == NBD_CMD_WRITE)
		s->at += length;
	assert_true(s->at <= s->size);
}

static void take_client_stream(const struct image *image)
{
	struct stream s = {image->data, image->size, 0};

	request_count = 0;
	take(&s, &nbd_client_flags_subject, 4);
	while (left(&s) >= 4) {
		if (wire_load_be32(rest(&s)) == NBD_REQUEST_MAGIC)
			take_request(&s);
		else
			take_option(&s);
	}
	assert_int_equal(left(&s), 0);
}

static void take_option_reply(struct stream *s)
{
	struct nbd_option_reply_message_view view;
	uint32_t type;

	assert_int_equal(nbd_option_reply_message_check(&view, rest(s), left(s), NULL), 0);
	type = nbd_option_reply_message_type(&view);
	if (type & NBD_REP_ERROR_BIT)
		error_replies++;
	else
		option_replies[type % 16]++;
	take(s, &nbd_option_reply_message_subject, view.length);
}

static void take_chunk(struct stream *s)
{
	struct nbd_chunk_message_view view;
	uint16_t type;

	assert_int_equal(nbd_chunk_message_check(&view, rest(s), left(s), NULL), 0);
	type = nbd_chunk_message_type(&view);
	if (nbd_chunk_message_flags(&view) & NBD_REPLY_FLAG_DONE)
		answer(nbd_chunk_message_cookie(&view).data);
	if (type & 0x8000)
		error_chunks++;
	else
		chunk_types[type % 16]++;
	take(s, &nbd_chunk_message_subject, view.length);
}

static void take_simple_reply(struct stream *s)
{
	const struct nbd_simple_reply *reply = nbd_simple_reply_from(rest(s));
	const uint32_t length = answer(nbd_simple_reply_cookie(reply).data);

	simple_replies++;
	take(s, &nbd_simple_reply_subject, sizeof(*reply));
	if (nbd_simple_reply_error(reply) == NBD_ERROR_NONE)
		s->at += length;
	assert_true(s->at <= s->size);
}

static void take_server_stream(const struct image *image)
{
	struct stream s = {image->data, image->size, 0};
	uint16_t flags;

	flags = nbd_greeting_flags(nbd_greeting_from(rest(&s)));
	take(&s, &nbd_greeting_subject, sizeof(struct nbd_greeting));
	if (flags == 0)
		take(&s, &nbd_export_name_reply_subject, sizeof(struct nbd_export_name_reply));
	while (left(&s) >= 4) {
		const uint32_t magic = wire_load_be32(rest(&s));

		if (magic == NBD_SIMPLE_REPLY_MAGIC)
			take_simple_reply(&s);
		else if (magic == NBD_STRUCTURED_REPLY_MAGIC)
			take_chunk(&s);
		else
			take_option_reply(&s);
	}
	assert_int_equal(left(&s), 0);
}

static void listen_to(const char *server, const char *client)
{
	struct record record;

	print_message("%s: %s\n", server, client);
	record_conversations(&record, server, client);
	for (unsigned i = 0; i < record.count; i++) {
		take_client_stream(&record.conversations[i].from_client);
		take_server_stream(&record.conversations[i].from_server);
	}
	free_record(&record);
}

/* ---- tests ---- */

#define PROXY "'nbd+unix:///disk?socket=proxy'"

static void handshakes_are_understood(void **state)
{
	(void)state;
	need_tool("nbdkit");
	need_tool("nbdinfo");
	listen_to("nbdkit -s info time", "nbdinfo --list 'nbd+unix:///?socket=proxy'");
	listen_to("nbdkit -s --filter=exportname memory 1M exportname=one exportname=two "
		  "exportname-list=explicit "
		  "exportdesc=fixed:'what it is'",
		  "nbdinfo --list 'nbd+unix:///?socket=proxy'");
	listen_to("nbdkit -s --filter=blocksize-policy memory 1M blocksize-minimum=512 "
		  "blocksize-preferred=4096 "
		  "blocksize-maximum=1M",
		  "nbdinfo --json " PROXY);
	assert_true(options[NBD_OPT_GO] + options[NBD_OPT_INFO] > 0);
	assert_true(options[NBD_OPT_LIST] > 0);
	assert_true(options[NBD_OPT_STRUCTURED_REPLY] > 0);
	assert_true(options[NBD_OPT_LIST_META_CONTEXT] + options[NBD_OPT_SET_META_CONTEXT] > 0);
	assert_true(option_replies[NBD_REP_SERVER] > 0);
	assert_true(option_replies[NBD_REP_INFO] > 0);
	assert_true(option_replies[NBD_REP_META_CONTEXT] > 0);
	assert_true(option_replies[NBD_REP_ACK] > 0);
}

static void transmission_is_understood(void **state)
{
	(void)state;
	need_tool("nbdkit");
	need_tool("nbdinfo");
	need_tool("qemu-io");
	listen_to("nbdkit -s memory 1M",
		  "qemu-io -f raw -c 'write -P 5 0 4k' -c 'write -f 8k 512' -c 'write -z 4k 4k' "
		  "-c 'write -zu 64k 64k' -c 'discard 128k 64k' -c flush -c 'read 0 300k' " PROXY);
	assert_true(commands[NBD_CMD_WRITE] > 0);
	assert_true(commands[NBD_CMD_WRITE_ZEROES] > 0);
	assert_true(commands[NBD_CMD_TRIM] > 0);
	assert_true(commands[NBD_CMD_FLUSH] > 0);
	assert_true(commands[NBD_CMD_DISC] > 0);
	listen_to("nbdkit -s data '1 @65536 2 @200000 3' size=1M", "nbdinfo --map " PROXY);
	listen_to("nbdkit -s data '1 @65536 2 @200000 3' size=1M",
		  "qemu-io -f raw -r -c 'read 0 1M' " PROXY);
	assert_true(commands[NBD_CMD_BLOCK_STATUS] > 0);
	assert_true(chunk_types[NBD_REPLY_TYPE_BLOCK_STATUS] > 0);
	assert_true(chunk_types[NBD_REPLY_TYPE_OFFSET_DATA] > 0);
	assert_true(simple_replies > 0);
}

static void errors_are_understood(void **state)
{
	(void)state;
	need_tool("nbdkit");
	need_tool("qemu-io");
	listen_to("nbdkit -s --filter=error memory 1M error=EIO error-pread-rate=100%",
		  "qemu-io -f raw -r -c 'read 0 4k' " PROXY " || true");
	assert_true(error_chunks > 0);
	listen_to("nbdkit -s --no-sr --filter=error memory 1M error=ENOSPC error-pwrite-rate=100%",
		  "qemu-io -f raw -c 'write 0 4k' " PROXY " || true");
	assert_true(error_replies > 0);
}

static void servers_of_old_are_understood(void **state)
{
	(void)state;
	need_tool("nbdkit");
	need_tool("qemu-io");
	simple_replies = 0;
	listen_to("nbdkit -s --no-sr memory 1M",
		  "qemu-io -f raw -c 'write -P 1 0 64k' -c 'read 0 64k' " PROXY);
	assert_true(simple_replies > 0);
	listen_to("nbdkit -s --mask-handshake=0 memory 1M",
		  "qemu-io -f raw -c 'read 0 64k' 'nbd+unix:///?socket=proxy'");
	assert_true(options[NBD_OPT_EXPORT_NAME] > 0);
}

static void oldest_greeting_is_understood(void **state)
{
	uint8_t data[sizeof(struct nbd_oldstyle_greeting)];
	const struct nbd_oldstyle_greeting *greeting = nbd_oldstyle_greeting_from(data);
	struct server server;

	(void)state;
	need_tool("nbdkit");
	server = start_server("exec nbdkit -s -o memory 1M");
	for (size_t got = 0; got < sizeof(data);) {
		const ssize_t now = read(server.fd, data + got, sizeof(data) - got);

		assert_true(now > 0);
		got += (size_t)now;
	}
	end_server(server);
	assert_sound(&nbd_oldstyle_greeting_subject, data, sizeof(data));
	assert_int_equal(nbd_oldstyle_greeting_export_size(greeting), 1 << 20);
	assert_true(nbd_oldstyle_greeting_flags(greeting) & NBD_FLAG_HAS_FLAGS);
	corrupt(&nbd_oldstyle_greeting_subject, data, sizeof(data), (struct range){0, sizeof(data)},
		(const struct range[]){{0, 16}, {0}});
	truncate_all(&nbd_oldstyle_greeting_subject, data, sizeof(data));
}

static void send_all(int fd, const void *data, size_t size)
{
	assert_int_equal(write(fd, data, size), size);
}

/* The next @size bytes. */
static void receive(int fd, void *data, size_t size)
{
	for (size_t got = 0; got < size;) {
		const ssize_t now = read(fd, (uint8_t *)data + got, size - got);

		if (now <= 0)
			fail_msg("after %zu of %zu bytes: %s", got, size,
				 now == 0 ? "the end" : strerror(errno));
		got += (size_t)now;
	}
}

static void send_option_go(int fd)
{
	static const uint16_t infos[] = {NBD_INFO_BLOCK_SIZE};
	const struct nbd_option_message_values option = {
		.option = NBD_OPT_GO,
		.length = 4 + 5 + 2 + 2,
		.go = {.name = {"hello", 5}, .infos = infos, .infos_count = 1},
	};
	uint8_t buffer[256];
	const long length = nbd_option_message_write(buffer, sizeof(buffer), &option, NULL);

	assert_int_equal(length, 16 + option.length);
	assert_int_equal(nbd_option_message_measure(&option, NULL), length);
	assert_int_equal(nbd_option_message_write(buffer, (size_t)length - 1, &option, NULL),
			 -ENOSPC);
	assert_accepted(&nbd_option_message_subject, buffer, (size_t)length);
	send_all(fd, buffer, (size_t)length);
}

/* Answers until the last one. */
static void receive_acknowledgement(int fd)
{
	uint8_t buffer[4096];

	for (;;) {
		const struct nbd_option_reply *reply = nbd_option_reply_from(buffer);

		receive(fd, buffer, sizeof(*reply));
		assert_true(nbd_option_reply_length(reply) < 4000);
		receive(fd, buffer + sizeof(*reply), nbd_option_reply_length(reply));
		assert_accepted(&nbd_option_reply_message_subject, buffer,
				sizeof(*reply) + nbd_option_reply_length(reply));
		assert_false(nbd_option_reply_type(reply) & NBD_REP_ERROR_BIT);
		if (nbd_option_reply_type(reply) == NBD_REP_ACK)
			return;
	}
}

static void read_some(int fd)
{
	struct nbd_request_header request;
	struct nbd_simple_reply reply;
	char data[5];

	nbd_request_header_init(&request);
	nbd_request_header_set_type(&request, NBD_CMD_READ);
	nbd_request_header_set_offset(&request, 65536);
	nbd_request_header_set_length(&request, sizeof(data));
	assert_int_equal(nbd_request_header_set_cookie(&request, wire_bytes("a cookie", 8)), 0);
	send_all(fd, &request, sizeof(request));
	receive(fd, &reply, sizeof(reply));
	assert_accepted(&nbd_simple_reply_subject, &reply, sizeof(reply));
	assert_memory_equal(nbd_simple_reply_cookie(&reply).data, "a cookie", 8);
	receive(fd, data, sizeof(data));
	assert_memory_equal(data, "hello", 5);
	nbd_request_header_set_type(&request, NBD_CMD_DISC);
	send_all(fd, &request, sizeof(request));
}

static void servers_understand_written_messages(void **state)
{
	struct nbd_greeting greeting;
	struct nbd_client_flags flags;
	struct server server;

	(void)state;
	need_tool("nbdkit");
	server = start_server("exec nbdkit -s data '@65536 \"hello\"' size=1M");
	receive(server.fd, &greeting, sizeof(greeting));
	assert_accepted(&nbd_greeting_subject, &greeting, sizeof(greeting));
	nbd_client_flags_init(&flags);
	nbd_client_flags_set_flags(&flags,
				   NBD_CLIENT_FLAG_FIXED_NEWSTYLE | NBD_CLIENT_FLAG_NO_ZEROES);
	send_all(server.fd, &flags, sizeof(flags));
	send_option_go(server.fd);
	receive_acknowledgement(server.fd);
	read_some(server.fd);
	end_server(server);
}

/* No client or server of Debian 12 speaks extended headers. */
static void extended_messages_keep_their_rules(void **state)
{
	uint8_t data[64] = {0x21, 0xe4, 0x1c, 0x71, 0, 0x20, 0, 1};

	(void)state;
	wire_store_be64(data + 24, UINT64_C(1) << 40);
	assert_sound(&nbd_extended_request_subject, data, 32);
	assert_int_equal(nbd_extended_request_length(nbd_extended_request_from(data)),
			 UINT64_C(1) << 40);
	corrupt(&nbd_extended_request_subject, data, 32, (struct range){0, 32},
		(const struct range[]){{0, 4}, {0}});
	wire_store_be32(data, NBD_EXTENDED_REPLY_MAGIC);
	assert_sound(&nbd_extended_chunk_subject, data, 32);
	memset(data, 0, sizeof(data));
	wire_store_be32(data, 7);
	wire_store_be32(data + 4, 2);
	wire_store_be64(data + 8, 4096);
	wire_store_be64(data + 24, 8192);
	chunk_type = NBD_REPLY_TYPE_BLOCK_STATUS_EXT;
	payload_bytes = 40;
	assert_sound(&nbd_chunk_payload_subject, data, 40);
	assert_rewritten(&nbd_chunk_payload_subject, data, 40);
	corrupt(&nbd_chunk_payload_subject, data, 40, (struct range){0, 40},
		(const struct range[]){{4, 8}, {0}});
	truncate_all(&nbd_chunk_payload_subject, data, 40);
	payload_bytes = 16;
	assert_sound(&nbd_block_status_payload_subject, data, 16);
}

static void hostile_lengths_are_refused(void **state)
{
	uint8_t data[64] = "IHAVEOPT\0\0\0\7\0\0\0\x1c\0\0\0\4disk\0\2\0\0\0\1";

	(void)state;
	data[15] = 14;
	assert_accepted(&nbd_option_message_subject, data, 16 + 14);
	assert_refused(&nbd_option_message_subject, data, 16 + 13, "");
	wire_store_be32(data + 16, 0xffffffff);
	assert_refused(&nbd_option_message_subject, data, 16 + 14, "name_length");
	wire_store_be32(data + 16, 4096);
	assert_refused(&nbd_option_message_subject, data, 16 + 14, "go");
	wire_store_be32(data + 16, 4);
	wire_store_be16(data + 24, 0xffff);
	assert_refused(&nbd_option_message_subject, data, 16 + 14, "go");
	wire_store_be16(data + 24, 2);
	wire_store_be32(data + 12, 0xffffffff);
	assert_refused(&nbd_option_message_subject, data, 16 + 14, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshakes_are_understood),
		cmocka_unit_test(transmission_is_understood),
		cmocka_unit_test(errors_are_understood),
		cmocka_unit_test(servers_of_old_are_understood),
		cmocka_unit_test(oldest_greeting_is_understood),
		cmocka_unit_test(servers_understand_written_messages),
		cmocka_unit_test(extended_messages_keep_their_rules),
		cmocka_unit_test(hostile_lengths_are_refused),
	};

	return exit_code(cmocka_run_group_tests(tests, enter_folder, leave_folder));
}
