/* SPDX-License-Identifier: MIT */
/*
 * Puts load on an NBD server and prints how much it served: one thread, some connections, a number
 * of requests in flight on each. It does as little as a client can, so that what is measured is the
 * server: no structured replies, all requests that replace answered ones in one system call.
 *
 *	nbd_load unix:PATH read|write|fill random|sequential BLOCK_BYTES DEPTH CONNECTIONS SECONDS
 *
 * prints requests per second and microseconds per request of one connection's slot. "fill" writes
 * the whole export once and takes no time limit.
 */
#include "base/byteorder.h"
#include "base/clock.h"
#include "nbd.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define MOST_CONNECTIONS 64
#define MOST_DEPTH       256
#define RECEIVE_BYTES    ((size_t)1 << 20)

struct load {
	bool write;
	bool random;
	/** Requests that are still to be sent; UINT64_MAX until time is up. */
	uint64_t left;
	uint64_t export_bytes;
	uint32_t block_bytes;
	unsigned depth;
	uint64_t position;
	uint64_t seed;
	uint64_t answered;
	uint8_t *payload;
};

struct connection {
	int fd;
	struct load *load;
	unsigned in_flight;
	/** Messages to send, and how much of them went out. */
	struct nbd_request_header headers[MOST_DEPTH];
	unsigned queued;
	size_t sent;
	/** Of the reply that is arriving: its header so far, and payload still to come. */
	uint8_t header[sizeof(struct nbd_simple_reply)];
	size_t header_bytes;
	size_t payload_left;
};

static void fail(const char *what)
{
	fprintf(stderr, "nbd_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void refuse(const char *what) __attribute__((noreturn));

static void refuse(const char *what)
{
	fprintf(stderr, "nbd_load: %s\n", what);
	exit(1);
}

/* ---- connecting ---------------------------------------------------------------------------- */

static void read_exactly(int fd, void *to, size_t length)
{
	if (recv(fd, to, length, MSG_WAITALL) != (ssize_t)length)
		fail("the server ended the handshake");
}

static void write_exactly(int fd, const void *from, size_t length)
{
	if (send(fd, from, length, MSG_NOSIGNAL) != (ssize_t)length)
		fail("cannot send");
}

/** Chooses the default export and returns its size. */
static uint64_t shake_hands(int fd)
{
	struct nbd_greeting greeting;
	struct nbd_client_flags flags;
	struct nbd_option option;
	struct nbd_export_name_reply reply;

	read_exactly(fd, &greeting, sizeof(greeting));
	base_store_be32(&flags, NBD_CLIENT_FLAG_FIXED_NEWSTYLE | NBD_CLIENT_FLAG_NO_ZEROES);
	write_exactly(fd, &flags, sizeof(flags));
	base_store_be64(&option.magic, NBD_OPTION_MAGIC);
	base_store_be32(&option.option, NBD_OPT_EXPORT_NAME);
	base_store_be32(&option.length, 0);
	write_exactly(fd, &option, sizeof(option));
	read_exactly(fd, &reply, offsetof(struct nbd_export_name_reply, zeroes));
	return base_load_be64(&reply.size);
}

static int connect_unix(const char *where)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (strncmp(where, "unix:", 5) != 0 || strlen(where + 5) >= sizeof(address.sun_path))
		refuse("the server is given as unix:PATH");
	memcpy(address.sun_path, where + 5, strlen(where + 5));
	if (fd < 0 || connect(fd, (const void *)&address, sizeof(address)) != 0)
		fail(where);
	return fd;
}

/* ---- requests ------------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/** At least one. */
static uint64_t blocks_of(const struct load *load)
{
	if (load->block_bytes == 0 || load->export_bytes < load->block_bytes)
		refuse("the export is smaller than a block");
	return load->export_bytes / load->block_bytes;
}

static uint64_t next_offset(struct load *load)
{
	const uint64_t blocks = blocks_of(load);

	if (load->random)
		return next_random(&load->seed) % blocks * load->block_bytes;
	return load->position++ % blocks * load->block_bytes;
}

static void queue_requests(struct connection *connection)
{
	struct load *const load = connection->load;

	while (connection->in_flight < load->depth && load->left != 0) {
		struct nbd_request_header *const header =
			&connection->headers[connection->queued++];

		base_store_be32(&header->magic, NBD_REQUEST_MAGIC);
		base_store_be16(&header->flags, 0);
		base_store_be16(&header->type, load->write ? NBD_CMD_WRITE : NBD_CMD_READ);
		memset(header->cookie, 0, sizeof(header->cookie));
		base_store_be64(&header->offset, next_offset(load));
		base_store_be32(&header->length, load->block_bytes);
		connection->in_flight++;
		if (load->left != UINT64_MAX)
			load->left--;
	}
}

static size_t request_bytes(const struct load *load)
{
	return sizeof(struct nbd_request_header) + (load->write ? load->block_bytes : 0);
}

/** Lists the queued messages from byte @sent on. */
static size_t gather(const struct connection *connection, struct iovec *pieces)
{
	const struct load *const load = connection->load;
	const size_t size = request_bytes(load);
	size_t count = 0;

	for (size_t i = connection->sent / size; i < connection->queued; i++) {
		size_t skip = i == connection->sent / size ? connection->sent % size : 0;

		if (skip < sizeof(struct nbd_request_header)) {
			pieces[count].iov_base = (char *)&connection->headers[i] + skip;
			pieces[count++].iov_len = sizeof(struct nbd_request_header) - skip;
			skip = 0;
		} else {
			skip -= sizeof(struct nbd_request_header);
		}
		if (load->write) {
			pieces[count].iov_base = load->payload + skip;
			pieces[count++].iov_len = load->block_bytes - skip;
		}
	}
	return count;
}

/** Sends what the socket takes; false when some is left. */
static bool send_queued(struct connection *connection)
{
	struct iovec pieces[2 * MOST_DEPTH];
	struct msghdr message = {.msg_iov = pieces};
	const size_t total = connection->queued * request_bytes(connection->load);
	ssize_t sent;

	if (connection->queued == 0)
		return true;
	message.msg_iovlen = gather(connection, pieces);
	sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && errno != EAGAIN)
		fail("cannot send requests");
	if (sent > 0)
		connection->sent += (size_t)sent;
	if (connection->sent < total)
		return false;
	connection->sent = 0;
	connection->queued = 0;
	return true;
}

/* ---- replies ------------------------------------------------------------------------------- */

static void finish_header(struct connection *connection)
{
	const struct load *const load = connection->load;
	const struct nbd_simple_reply *const reply = (const void *)connection->header;

	if (base_load_be32(&reply->magic) != NBD_SIMPLE_REPLY_MAGIC ||
	    base_load_be32(&reply->error) != 0)
		refuse("the server answered with an error");
	connection->payload_left = load->write ? 0 : load->block_bytes;
}

static void finish_reply(struct connection *connection)
{
	connection->header_bytes = 0;
	connection->in_flight--;
	connection->load->answered++;
}

/** Takes the replies out of received bytes. */
static void take_replies(struct connection *connection, const uint8_t *bytes, size_t length)
{
	while (length != 0) {
		const bool in_header = connection->header_bytes < sizeof(connection->header);
		const size_t wanted =
			in_header ? sizeof(connection->header) - connection->header_bytes
				  : connection->payload_left;
		const size_t taken = length < wanted ? length : wanted;

		if (in_header) {
			memcpy(connection->header + connection->header_bytes, bytes, taken);
			connection->header_bytes += taken;
			if (taken == wanted)
				finish_header(connection);
		} else {
			connection->payload_left -= taken;
		}
		bytes += taken;
		length -= taken;
		if (connection->header_bytes == sizeof(connection->header) &&
		    connection->payload_left == 0)
			finish_reply(connection);
	}
}

static void receive(struct connection *connection, uint8_t *buffer, int flags)
{
	const ssize_t got = recv(connection->fd, buffer, RECEIVE_BYTES, flags);

	if (got == 0)
		refuse("the server closed the connection");
	if (got < 0 && errno != EAGAIN)
		fail("cannot receive");
	if (got > 0)
		take_replies(connection, buffer, (size_t)got);
}

/* ---- the run ------------------------------------------------------------------------------- */

static void watch(int epoll_fd, struct connection *connection, bool output)
{
	struct epoll_event event = {
		.events = EPOLLIN | (output ? (uint32_t)EPOLLOUT : 0),
		.data.ptr = connection,
	};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event) != 0)
		fail("epoll_ctl");
}

/** Sends, and has epoll tell of room in the socket only when it is needed. */
static void push(int epoll_fd, struct connection *connection, bool *blocked)
{
	const bool done = send_queued(connection);

	if (done == !*blocked)
		return;
	*blocked = !done;
	watch(epoll_fd, connection, !done);
}

static void step(int epoll_fd, struct connection *connections, bool *blocked, uint8_t *buffer)
{
	struct epoll_event events[MOST_CONNECTIONS];
	const int count = epoll_wait(epoll_fd, events, MOST_CONNECTIONS, 10000);

	if (count == 0)
		refuse("the server did not answer for 10 s");
	for (int i = 0; i < count; i++) {
		struct connection *const connection = events[i].data.ptr;

		if (events[i].events & EPOLLIN)
			receive(connection, buffer, MSG_DONTWAIT);
		if (connection->queued == 0)
			queue_requests(connection);
		push(epoll_fd, connection, &blocked[connection - connections]);
	}
}

static bool is_idle(const struct connection *connections, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (connections[i].in_flight != 0)
			return false;
	}
	return true;
}

/** Runs until time or requests are up and everything is answered; returns the seconds it took. */
static double run(struct connection *connections, unsigned count, struct load *load, double seconds)
{
	static uint8_t buffer[RECEIVE_BYTES];
	bool blocked[MOST_CONNECTIONS] = {false};
	const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	const uint64_t start = base_now_ns();
	const uint64_t end = start + (uint64_t)(seconds * 1e9);

	for (unsigned i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};

		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connections[i].fd, &event) != 0)
			fail("epoll_ctl");
		queue_requests(&connections[i]);
		push(epoll_fd, &connections[i], &blocked[i]);
	}
	while (!is_idle(connections, count)) {
		if (load->left == UINT64_MAX && base_now_ns() >= end)
			load->left = 0;
		step(epoll_fd, connections, blocked, buffer);
	}
	close(epoll_fd);
	return (double)(base_now_ns() - start) / 1e9;
}

static void fill_payload(struct load *load)
{
	load->payload = malloc(load->block_bytes);
	if (load->payload == NULL)
		refuse("out of memory");
	for (uint32_t i = 0; i < load->block_bytes; i++)
		load->payload[i] = (uint8_t)(next_random(&load->seed) | 1);
}

int main(int argc, char **argv)
{
	static struct connection connections[MOST_CONNECTIONS];
	static struct load load = {.left = UINT64_MAX, .seed = 88172645463325252U};
	unsigned count;
	double seconds;

	if (argc != 8)
		refuse("usage: nbd_load unix:PATH read|write|fill random|sequential BLOCK_BYTES "
		       "DEPTH CONNECTIONS SECONDS");
	load.write = strcmp(argv[2], "read") != 0;
	load.random = strcmp(argv[3], "random") == 0;
	load.block_bytes = (uint32_t)strtoul(argv[4], NULL, 0);
	load.depth = (unsigned)strtoul(argv[5], NULL, 0);
	count = (unsigned)strtoul(argv[6], NULL, 0);
	if (load.block_bytes < 512 || load.depth < 1 || load.depth > MOST_DEPTH || count < 1 ||
	    count > MOST_CONNECTIONS)
		refuse("block size, depth or connections out of range");
	fill_payload(&load);
	for (unsigned i = 0; i < count; i++) {
		connections[i].fd = connect_unix(argv[1]);
		connections[i].load = &load;
		load.export_bytes = shake_hands(connections[i].fd);
	}
	if (strcmp(argv[2], "fill") == 0)
		load.left = blocks_of(&load);
	seconds = run(connections, count, &load, strtod(argv[7], NULL));
	printf("%.0f %.2f\n", (double)load.answered / seconds,
	       seconds * 1e6 * load.depth * count / (double)load.answered);
	return 0;
}
