/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a whole NBD connection, through the real event loop and a socket pair, against a
 * small disk in memory. The first byte is a set of switches: whether the input is the handshake as
 * well or follows a good one, whether the client reads replies, how input is cut, and whether
 * completions are delayed. Afterwards nothing may be left of the connection.
 */
#include "base/byteorder.h"
#include "nbd.h"
#include "nbd_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISK_BYTES (256U << 10)
/** Turns of the loop after which a server that has not come to an end hangs. */
#define PATIENCE 100000

enum {
	SWITCH_RAW_HANDSHAKE = 1 << 0,
	SWITCH_DEAF = 1 << 1,
	SWITCH_SMALL_PIECES = 1 << 2,
	SWITCH_DELAY = 1 << 3,
	SWITCH_FAIL = 1 << 4,
	SWITCH_SIMPLE = 1 << 5,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The engine's part of libbdus that nbd.c calls; no device is created here. */
bool bdus_config_given(const struct bdus_config *config, const char *key)
{
	(void)config;
	(void)key;
	return false;
}

const char *bdus_config_string(const struct bdus_config *config, const char *key)
{
	(void)config;
	(void)key;
	return NULL;
}

uint64_t bdus_config_number(const struct bdus_config *config, const char *key)
{
	(void)config;
	(void)key;
	return 0;
}

/* ---- the engine's loop, as far as a queue uses it ------------------------------------------- */

#define CALLS_MOST 8

static struct bdus_call *calls[CALLS_MOST];
static unsigned call_count;

struct bdus_loop *bdus_host_loop(struct bdus_queue *host)
{
	(void)host;
	return NULL;
}

void bdus_host_make_ready(struct bdus_queue *host)
{
	(void)host;
}

void bdus_loop_allow_polling(struct bdus_loop *loop, uint64_t most_ns)
{
	(void)loop;
	(void)most_ns;
}

int bdus_loop_send(struct bdus_loop *loop, struct bdus_call *call)
{
	(void)loop;
	if (call_count == CALLS_MOST)
		abort();
	calls[call_count++] = call;
	return 0;
}

/** Timers never end here, and nothing is ever closed. */
int bdus_loop_cancel(struct bdus_loop *loop, struct bdus_call *call)
{
	(void)loop;
	(void)call;
	return 0;
}

void bdus_loop_end_call(struct bdus_loop *loop, struct bdus_call *call)
{
	(void)loop;
	(void)call;
}

/** Carries a call out if that can be done at once. */
static bool try_call(struct asys_message *message)
{
	const int fd = (int)message->arguments[0];
	struct pollfd file = {.fd = fd, .events = (short)message->arguments[1]};

	switch (message->number) {
	case ASYS_POLL:
		message->result = poll(&file, 1, 0) == 1 ? file.revents : -EAGAIN;
		break;
	case SYS_recvmsg:
		message->result =
			recvmsg(fd, (void *)(uintptr_t)message->arguments[1], MSG_DONTWAIT);
		if (message->result < 0)
			message->result = -errno;
		break;
	default:
		return false;
	}
	return message->result != -EAGAIN;
}

/** There is no memory of a program's here. */
void *bdus_memory_get(struct bdus_memory *memory, struct bdus_queue *host, size_t bytes)
{
	(void)memory;
	(void)host;
	(void)bytes;
	abort();
}

void bdus_memory_put(struct bdus_memory *memory, void *piece, size_t bytes)
{
	(void)memory;
	(void)piece;
	(void)bytes;
	abort();
}

static void complete_calls(void)
{
	for (unsigned i = 0; i < call_count; i++) {
		struct bdus_call *const call = calls[i];

		if (!try_call(&call->message))
			continue;
		calls[i] = calls[--call_count];
		call->completed(call);
	}
}

static uint8_t disk[DISK_BYTES];
static struct bdus_transport_device device;
static const struct bdus_log log_to_nobody;
static struct bdus_transport_queue *queue;
static int event_fd;

static void set_up_once(void)
{
	static struct bdus_transport_queue *queues[1];

	if (queue != NULL)
		return;
	device.export = (struct nbd_export){
		.name = "",
		.description = "",
		.size_bytes = DISK_BYTES,
		.flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
			 NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO |
			 NBD_FLAG_SEND_CACHE,
		.has_extents = true,
		.minimum_block_bytes = 512,
		.preferred_block_bytes = 4096,
		.maximum_payload_bytes = 8 << 10,
	};
	device.log = &log_to_nobody;
	device.max_connections = 4;
	device.handshake_timeout_ms = 10000;
	device.queue_depth = 8;
	device.queue_count = 1;
	device.queues = queues;
	event_fd = eventfd(0, EFD_NONBLOCK);
	device.event_fds = &event_fd;
	if (nbd_queue_open(&device, 0, NULL, &queue) != 0)
		abort();
}

/* ---- the driver ---------------------------------------------------------------------------- */

static void check_request(const struct bdus_request *request)
{
	if (request->op == BDUS_OP_FLUSH)
		return;
	if (request->length_bytes == 0 || request->offset_bytes % 512 != 0 ||
	    request->length_bytes % 512 != 0 ||
	    !base_range_within(request->offset_bytes, request->length_bytes, DISK_BYTES))
		abort();
}

static int serve(struct bdus_request *request)
{
	uint8_t *const place = disk + request->offset_bytes;

	check_request(request);
	switch (request->op) {
	case BDUS_OP_READ:
		memcpy(request->data, place, request->length_bytes);
		return 0;
	case BDUS_OP_WRITE:
		memcpy(place, request->data, request->length_bytes);
		return 0;
	case BDUS_OP_WRITE_ZEROS:
		memset(place, 0, request->length_bytes);
		return 0;
	case BDUS_OP_EXTENTS:
		for (uint32_t i = 0; i < request->extent_capacity && i < 3; i++) {
			request->extents[i] = (struct bdus_extent){512 << (4 * i), i, 0};
			request->extent_count = i + 1;
		}
		return 0;
	default:
		return 0;
	}
}

/** One turn of an engine; with @delay, requests are completed one turn late and last first. */
static bool turn(bool delay, bool failing)
{
	static struct bdus_io *held[BDUS_BATCH];
	static int held_count;
	struct bdus_io *fetched[BDUS_BATCH];
	int count;

	complete_calls();
	count = nbd_queue_fetch(queue, fetched, BDUS_BATCH);
	if (count < 0)
		abort();
	for (int i = 0; i < count; i++)
		fetched[i]->result = failing ? -EIO : serve(&fetched[i]->request);
	if (held_count != 0)
		nbd_queue_commit(queue, held, (unsigned)held_count);
	held_count = 0;
	for (int i = 0; delay && i < count; i++)
		held[held_count++] = fetched[count - 1 - i];
	if (!delay && count != 0)
		nbd_queue_commit(queue, fetched, (unsigned)count);
	return count != 0 || held_count != 0;
}

/* ---- the client ---------------------------------------------------------------------------- */

/** A good handshake, for inputs that are requests. */
static size_t build_handshake(uint8_t *out, bool structured)
{
	static const uint8_t start[] = {0, 0, 0, 3};
	static const uint8_t reply[] = "IHAVEOPT\0\0\0\10\0\0\0";
	static const uint8_t context[] = "IHAVEOPT\0\0\0\12\0\0\0\33\0\0\0\0\0\0\0\1\0\0\0\17"
					 "base:allocation";
	static const uint8_t go[] = "IHAVEOPT\0\0\0\7\0\0\0\6\0\0\0\0\0";
	size_t length = 0;

	memcpy(out, start, sizeof(start));
	length += sizeof(start);
	if (structured) {
		memcpy(out + length, reply, sizeof(reply));
		length += sizeof(reply);
		memcpy(out + length, context, sizeof(context) - 1);
		length += sizeof(context) - 1;
	}
	memcpy(out + length, go, sizeof(go));
	return length + sizeof(go);
}

static void swallow(int fd)
{
	static uint8_t sink[256 << 10];

	while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
}

/** Sends @length bytes, in pieces, with turns of the server between; false when it hung up. */
static bool talk(int fd, const uint8_t *bytes, size_t length, unsigned switches)
{
	const size_t piece = (switches & SWITCH_SMALL_PIECES) ? 13 : length;
	unsigned patience = PATIENCE;

	while (length != 0) {
		const size_t wanted = piece < length ? piece : length;
		const ssize_t sent = send(fd, bytes, wanted, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent > 0) {
			bytes += sent;
			length -= (size_t)sent;
		}
		turn(switches & SWITCH_DELAY, switches & SWITCH_FAIL);
		if (!(switches & SWITCH_DEAF))
			swallow(fd);
		/* A client that does not read may be made to wait for ever. */
		else if (sent < 0 && --patience < PATIENCE - 1000)
			return true;
		if (patience == 0)
			abort();
	}
	return true;
}

/** Lets the server work until it has nothing more to do. */
static void settle(int fd, unsigned switches)
{
	for (unsigned quiet = 0; quiet < 4; quiet++) {
		if (!(switches & SWITCH_DEAF))
			swallow(fd);
		if (turn(switches & SWITCH_DELAY, switches & SWITCH_FAIL))
			quiet = 0;
	}
}

static void expect_nothing_left(unsigned switches)
{
	for (unsigned patience = PATIENCE; atomic_load(&device.connection_count) != 0; patience--) {
		if (patience == 0)
			abort();
		turn(switches & SWITCH_DELAY, switches & SWITCH_FAIL);
	}
	if (queue->in_engine != 0 || !base_list_is_empty(&queue->connections) ||
	    !base_list_is_empty(&queue->dead) || !base_list_is_empty(&queue->ready) ||
	    !base_list_is_empty(&queue->unsent) || !base_list_is_empty(&queue->handshakes))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t handshake[256];
	struct nbd_connection *connection;
	unsigned switches;
	int fds[2];

	set_up_once();
	if (size == 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		return 0;
	switches = data[0];
	connection = nbd_connection_create(fds[0]);
	if (connection == NULL)
		abort();
	atomic_fetch_add(&device.connection_count, 1);
	atomic_fetch_add(&queue->load, 1);
	nbd_connection_adopt(connection, queue);
	if ((switches & SWITCH_RAW_HANDSHAKE) ||
	    talk(fds[1], handshake, build_handshake(handshake, !(switches & SWITCH_SIMPLE)), 0))
		talk(fds[1], data + 1, size - 1, switches);
	settle(fds[1], switches);
	close(fds[1]);
	expect_nothing_left(switches);
	return 0;
}
