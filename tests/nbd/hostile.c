/* SPDX-License-Identifier: MIT */
/*
 * NBD clients that no server should have to meet, each by its name:
 *
 *	hostile SOCKET NAME
 *
 * Exits with 0 when the server behaved as it has to, with a message otherwise.
 */
#include "base/bits.h"
#include "base/byteorder.h"
#include "base/clock.h"
#include "nbd.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/** How long the server may take for anything. */
#define PATIENCE_MS 20000

static const char *socket_path;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	exit(1);
}

/* ---- a client's tools ---------------------------------------------------------------------- */

static int connect_to_server(void)
{
	const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	if (fd < 0 || connect(fd, (const void *)&address, sizeof(address)) != 0)
		fail("cannot connect: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return fd;
}

/** False when the server has hung up. */
static bool send_all(int fd, const void *bytes, size_t length)
{
	while (length != 0) {
		const ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		bytes = (const char *)bytes + sent;
		length -= (size_t)sent;
	}
	return true;
}

static bool receive_all(int fd, void *bytes, size_t length)
{
	while (length != 0) {
		const ssize_t got = recv(fd, bytes, length, 0);

		if (got < 0 && errno == EAGAIN)
			fail("the server does not answer");
		if (got <= 0)
			return false;
		bytes = (char *)bytes + got;
		length -= (size_t)got;
	}
	return true;
}

static void expect_hangup(int fd)
{
	char byte;

	while (receive_all(fd, &byte, 1))
		;
	close(fd);
}

static int greet(void)
{
	struct nbd_greeting greeting;
	wire_be32 flags;
	const int fd = connect_to_server();

	if (!receive_all(fd, &greeting, sizeof(greeting)))
		fail("no greeting");
	base_store_be32(&flags, NBD_CLIENT_FLAG_FIXED_NEWSTYLE | NBD_CLIENT_FLAG_NO_ZEROES);
	send_all(fd, &flags, sizeof(flags));
	return fd;
}

static bool send_option(int fd, uint32_t option, const void *data, uint32_t length)
{
	struct nbd_option header;

	base_store_be64(&header.magic, NBD_OPTION_MAGIC);
	base_store_be32(&header.option, option);
	base_store_be32(&header.length, length);
	return send_all(fd, &header, sizeof(header)) && send_all(fd, data, length);
}

/** A connection in the transmission phase, with simple replies. */
static int enter(void)
{
	struct nbd_export_name_reply reply;
	const int fd = greet();

	send_option(fd, NBD_OPT_EXPORT_NAME, NULL, 0);
	if (!receive_all(fd, &reply, offsetof(struct nbd_export_name_reply, zeroes)))
		fail("the export was refused");
	return fd;
}

static bool send_request(int fd, unsigned type, unsigned flags, uint64_t offset, uint32_t length)
{
	struct nbd_request_header header;

	base_store_be32(&header.magic, NBD_REQUEST_MAGIC);
	base_store_be16(&header.flags, (uint16_t)flags);
	base_store_be16(&header.type, (uint16_t)type);
	memcpy(header.cookie, "hostile", 8);
	base_store_be64(&header.offset, offset);
	base_store_be32(&header.length, length);
	return send_all(fd, &header, sizeof(header));
}

static void send_bytes(int fd, size_t length)
{
	static const char bytes[64 << 10];

	while (length != 0) {
		const size_t piece = base_min(length, sizeof(bytes));

		if (!send_all(fd, bytes, piece))
			fail("the server hung up within a payload");
		length -= piece;
	}
}

static void expect_reply(int fd, uint32_t error)
{
	struct nbd_simple_reply reply;

	if (!receive_all(fd, &reply, sizeof(reply)))
		fail("the server hung up instead of answering error %u", error);
	if (base_load_be32(&reply.magic) != NBD_SIMPLE_REPLY_MAGIC ||
	    memcmp(reply.cookie, "hostile", 8) != 0)
		fail("the answer is garbled");
	if (base_load_be32(&reply.error) != error)
		fail("the error is %u instead of %u", base_load_be32(&reply.error), error);
}

/** The connection still serves. */
static void expect_alive(int fd)
{
	char data[4096];

	send_request(fd, NBD_CMD_READ, 0, 0, sizeof(data));
	expect_reply(fd, NBD_ERROR_NONE);
	if (!receive_all(fd, data, sizeof(data)))
		fail("no data");
	close(fd);
}

/* ---- handshakes ---------------------------------------------------------------------------- */

static void garbage_for_a_handshake(void)
{
	uint64_t state = 88172645463325252U;

	for (unsigned i = 0; i < 200; i++) {
		const int fd = connect_to_server();
		uint64_t words[64];

		for (unsigned j = 0; j < 64; j++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			words[j] = state;
		}
		send_all(fd, words, sizeof(words[0]) * (1 + i % 64));
		shutdown(fd, SHUT_WR);
		expect_hangup(fd);
	}
}

static void silence_after_connecting(void)
{
	const uint64_t start = base_now_ns();
	const int fd = connect_to_server();

	expect_hangup(fd);
	/* The test runs the server with a limit of one second. */
	if (base_now_ns() - start < 500000000U)
		fail("the server hung up before its time");
}

static void one_byte_of_an_option_each_100_ms(void)
{
	const uint64_t start = base_now_ns();
	const int fd = greet();

	for (unsigned i = 0; i < 1000; i++) {
		if (!send_all(fd, "I", 1) && base_now_ns() - start > 500000000U)
			break;
		usleep(100000);
	}
	if (base_now_ns() - start > 5000000000U)
		fail("the server waits for ever");
	close(fd);
}

static void options_without_reading_the_answers(void)
{
	const int fd = greet();
	const uint64_t start = base_now_ns();

	while (send_option(fd, NBD_OPT_LIST, NULL, 0)) {
		if (base_now_ns() - start > 15000000000U)
			fail("the server takes options for ever");
	}
	close(fd);
}

static void option_of_4_gib(void)
{
	const int fd = greet();
	struct nbd_option header;

	base_store_be64(&header.magic, NBD_OPTION_MAGIC);
	base_store_be32(&header.option, NBD_OPT_INFO);
	base_store_be32(&header.length, UINT32_MAX);
	send_all(fd, &header, sizeof(header));
	expect_hangup(fd);
}

static void half_open_connections_in_numbers(void)
{
	int fds[200];

	/* Many more than the test allows; the server turns some away, and none of them harms. */
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(fds); i++)
		fds[i] = connect_to_server();
	usleep(1500000);
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(fds); i++)
		expect_hangup(fds[i]);
}

static void flood_past_the_limit(void)
{
	struct pollfd fds[64];
	unsigned served = 0;

	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(fds); i++)
		fds[i] = (struct pollfd){.fd = connect_to_server(), .events = POLLIN};
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(fds); i++) {
		struct nbd_greeting greeting;

		served += recv(fds[i].fd, &greeting, sizeof(greeting), 0) == sizeof(greeting);
	}
	/* The test allows 8. */
	if (served != 8)
		fail("%u clients were let in", served);
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(fds); i++)
		close(fds[i].fd);
}

/* ---- requests ------------------------------------------------------------------------------ */

static void requests_past_the_end(void)
{
	const int fd = enter();

	send_request(fd, NBD_CMD_READ, 0, UINT64_C(1) << 62, 4096);
	expect_reply(fd, NBD_ERROR_EINVAL);
	send_request(fd, NBD_CMD_WRITE, 0, UINT64_MAX - 4095, 4096);
	send_bytes(fd, 4096);
	expect_reply(fd, NBD_ERROR_ENOSPC);
	send_request(fd, NBD_CMD_WRITE_ZEROES, 0, UINT64_C(1) << 62, 4096);
	expect_reply(fd, NBD_ERROR_ENOSPC);
	expect_alive(fd);
}

static void unaligned_requests(void)
{
	const int fd = enter();

	send_request(fd, NBD_CMD_READ, 0, 1, 4096);
	expect_reply(fd, NBD_ERROR_EINVAL);
	send_request(fd, NBD_CMD_WRITE, 0, 0, 100);
	send_bytes(fd, 100);
	expect_reply(fd, NBD_ERROR_EINVAL);
	send_request(fd, NBD_CMD_TRIM, 0, 7, 4096);
	expect_reply(fd, NBD_ERROR_EINVAL);
	expect_alive(fd);
}

static void requests_of_length_zero(void)
{
	static const unsigned types[] = {NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_TRIM,
					 NBD_CMD_WRITE_ZEROES};
	const int fd = enter();

	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(types); i++) {
		send_request(fd, types[i], 0, 0, 0);
		expect_reply(fd, NBD_ERROR_EINVAL);
	}
	expect_alive(fd);
}

static void oversized_requests(void)
{
	const uint32_t over = NBD_DEFAULT_PAYLOAD_BYTES + 4096;
	int fd = enter();

	send_request(fd, NBD_CMD_READ, 0, 0, over);
	expect_reply(fd, NBD_ERROR_EINVAL);
	send_request(fd, NBD_CMD_WRITE, 0, 0, over);
	send_bytes(fd, over);
	expect_reply(fd, NBD_ERROR_EINVAL);
	expect_alive(fd);
	fd = enter();
	send_request(fd, NBD_CMD_WRITE, 0, 0, UINT32_MAX);
	expect_hangup(fd);
}

static void unknown_commands_and_flags(void)
{
	const int fd = enter();

	for (unsigned type = 8; type < 300; type++) {
		send_request(fd, type, 0, 0, 4096);
		expect_reply(fd, NBD_ERROR_EINVAL);
	}
	for (unsigned bit = 1; bit < 16; bit++) {
		send_request(fd, NBD_CMD_READ, 1U << bit, 0, 4096);
		expect_reply(fd, NBD_ERROR_EINVAL);
	}
	send_request(fd, NBD_CMD_BLOCK_STATUS, 0, 0, 4096);
	expect_reply(fd, NBD_ERROR_EINVAL);
	expect_alive(fd);
}

static void garbage_for_a_request(void)
{
	const int fd = enter();

	send_request(fd, NBD_CMD_READ, 0, 0, 4096);
	send_all(fd, "This is not a request. It never was.", 36);
	expect_hangup(fd);
}

static void death_within_a_payload(void)
{
	for (unsigned i = 0; i < 50; i++) {
		const int fd = enter();

		send_request(fd, NBD_CMD_WRITE, 0, 0, 1 << 20);
		send_bytes(fd, (size_t)i * 20000);
		close(fd);
	}
}

static void death_with_requests_in_flight(void)
{
	for (unsigned i = 0; i < 50; i++) {
		const int fd = enter();

		for (unsigned j = 0; j < 100; j++)
			send_request(fd, NBD_CMD_READ, 0, j * UINT64_C(65536), 65536);
		close(fd);
	}
}

static void requests_without_reading_the_replies(void)
{
	const int fd = enter();
	const uint64_t start = base_now_ns();
	struct timeval soon = {.tv_sec = 1};
	unsigned sent = 0;

	/* Until the server stops taking them; gigabytes are asked for by then, and not held. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	while (send_request(fd, NBD_CMD_READ, 0, 0, 1 << 20)) {
		sent++;
		if (base_now_ns() - start > 15000000000U)
			fail("the server takes requests for ever");
	}
	if (sent < 32)
		fail("only %u requests were taken", sent);
	/* Stays for the test to look at the server's memory and at others being served. */
	printf("waiting\n");
	fflush(stdout);
	pause();
}

static void half_close_gets_its_replies(void)
{
	const int fd = enter();
	char data[4096];

	for (unsigned i = 0; i < 20; i++)
		send_request(fd, NBD_CMD_READ, 0, 0, sizeof(data));
	shutdown(fd, SHUT_WR);
	for (unsigned i = 0; i < 20; i++) {
		expect_reply(fd, NBD_ERROR_NONE);
		if (!receive_all(fd, data, sizeof(data)))
			fail("reply %u has no data", i);
	}
	expect_hangup(fd);
}

static void disconnect_answers_what_came_before(void)
{
	const int fd = enter();
	char data[4096];

	for (unsigned i = 0; i < 20; i++)
		send_request(fd, NBD_CMD_READ, 0, 0, sizeof(data));
	send_request(fd, NBD_CMD_DISC, 0, 0, 0);
	send_request(fd, NBD_CMD_READ, 0, 0, sizeof(data));
	for (unsigned i = 0; i < 20; i++) {
		expect_reply(fd, NBD_ERROR_NONE);
		if (!receive_all(fd, data, sizeof(data)))
			fail("reply %u has no data", i);
	}
	if (recv(fd, data, 1, 0) > 0)
		fail("a request after the goodbye was answered");
	close(fd);
}

static void changes_of_a_read_only_export(void)
{
	const int fd = enter();

	send_request(fd, NBD_CMD_WRITE, 0, 0, 4096);
	send_bytes(fd, 4096);
	expect_reply(fd, NBD_ERROR_EPERM);
	send_request(fd, NBD_CMD_WRITE_ZEROES, 0, 0, 4096);
	expect_reply(fd, NBD_ERROR_EPERM);
	send_request(fd, NBD_CMD_TRIM, 0, 0, 4096);
	expect_reply(fd, NBD_ERROR_EPERM);
	expect_alive(fd);
}

static void waits_in_transmission(void)
{
	char byte;

	receive_all(enter(), &byte, 1);
}

static void waits_in_the_handshake(void)
{
	char byte;

	receive_all(greet(), &byte, 1);
}

/* ---- the list ------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	void (*play)(void);
} plays[] = {
	{"garbage-for-a-handshake", garbage_for_a_handshake},
	{"silence-after-connecting", silence_after_connecting},
	{"one-byte-of-an-option-each-100-ms", one_byte_of_an_option_each_100_ms},
	{"options-without-reading-the-answers", options_without_reading_the_answers},
	{"option-of-4-gib", option_of_4_gib},
	{"half-open-connections-in-numbers", half_open_connections_in_numbers},
	{"flood-past-the-limit", flood_past_the_limit},
	{"requests-past-the-end", requests_past_the_end},
	{"unaligned-requests", unaligned_requests},
	{"requests-of-length-zero", requests_of_length_zero},
	{"oversized-requests", oversized_requests},
	{"unknown-commands-and-flags", unknown_commands_and_flags},
	{"garbage-for-a-request", garbage_for_a_request},
	{"death-within-a-payload", death_within_a_payload},
	{"death-with-requests-in-flight", death_with_requests_in_flight},
	{"requests-without-reading-the-replies", requests_without_reading_the_replies},
	{"half-close-gets-its-replies", half_close_gets_its_replies},
	{"disconnect-answers-what-came-before", disconnect_answers_what_came_before},
	{"changes-of-a-read-only-export", changes_of_a_read_only_export},
	{"waits-in-transmission", waits_in_transmission},
	{"waits-in-the-handshake", waits_in_the_handshake},
};

int main(int argc, char **argv)
{
	if (argc != 3)
		fail("usage: hostile SOCKET NAME");
	socket_path = argv[1];
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(plays); i++) {
		if (strcmp(plays[i].name, argv[2]) == 0) {
			plays[i].play();
			return 0;
		}
	}
	fail("there is no hostile client named %s", argv[2]);
}
