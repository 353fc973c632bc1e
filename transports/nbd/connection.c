/* SPDX-License-Identifier: MIT */
/*
 * One client: its life, and the way from the bytes that it sends to requests for the engine.
 *
 *	create ─▶ HANDSHAKE ─GO─▶ TRANSMISSION ─DISC, end of input, stop─▶ DRAINING
 *	              │                │                                      │
 *	              ╰──── error ─────┴──────── error, all answered ─────────╯
 *	                                         ▼
 *	                                       DEAD ─last request and call came back─▶ freed
 *
 * Input goes through one buffer, which takes many small requests in one system call. It is received
 *by a call of the loop, which costs no system call of its own, once what was received before is
 *used up. The payload of a write is copied from there to page-aligned memory, as drivers are
 *promised; what of it has not arrived with the buffer is received straight into that memory. After
 *a large write the next read is for no more than a message, so that the next large payload is not
 *buffered at all.
 *
 * Reading stops, and the client comes to wait, while it has too many requests or too much payload
 *in progress, or does not read its replies.
 */
#include "base/clock.h"
#include "handshake.h"
#include "nbd_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static_assert(NBD_RECEIVE_BYTES >= NBD_HANDSHAKE_INPUT_BYTES, "any option fits the buffer");

static void on_input(struct bdus_call *call);
static void on_output(struct bdus_call *call);
static void continue_handshake(struct nbd_connection *connection);

/* ---- life ---------------------------------------------------------------------------------- */

struct nbd_connection *nbd_connection_create(int fd)
{
	struct nbd_connection *const connection = calloc(1, sizeof(*connection));

	if (connection != NULL)
		connection->handshake = malloc(sizeof(*connection->handshake));
	if (connection == NULL || connection->handshake == NULL) {
		free(connection);
		close(fd);
		return NULL;
	}
	connection->fd = fd;
	connection->input.call.completed = on_input;
	connection->output.call.completed = on_output;
	connection->state = NBD_CONNECTION_HANDSHAKE;
	connection->replies_end = &connection->replies;
	base_list_init(&connection->link);
	base_list_init(&connection->handshake_link);
	base_list_init(&connection->ready_link);
	base_list_init(&connection->unsent_link);
	return connection;
}

void nbd_connection_discard(struct nbd_connection *connection)
{
	close(connection->fd);
	free(connection->handshake);
	free(connection);
}

void nbd_connection_adopt(struct nbd_connection *connection, struct bdus_transport_queue *queue)
{
	struct bdus_transport_device *const device = queue->device;

	connection->queue = queue;
	base_list_push_back(&queue->connections, &connection->link);
	base_list_push_back(&queue->handshakes, &connection->handshake_link);
	connection->handshake_deadline_ns = base_deadline_ns(device->handshake_timeout_ms);
	nbd_handshake_init(connection->handshake, &device->export);
	connection->buffer = bdus_pool_get(queue->pool, NBD_RECEIVE_BYTES);
	if (connection->buffer == NULL)
		nbd_connection_kill(connection);
	else
		continue_handshake(connection);
}

/** Takes away what its present state has and a dead one has not. */
static void leave_lists(struct nbd_connection *connection)
{
	base_list_remove(&connection->handshake_link);
	base_list_remove(&connection->ready_link);
	base_list_remove(&connection->unsent_link);
}

static void drop_incoming(struct nbd_connection *connection)
{
	if (connection->incoming != NULL)
		nbd_request_put(connection->incoming);
	connection->incoming = NULL;
}

void nbd_connection_kill(struct nbd_connection *connection)
{
	struct bdus_transport_queue *const queue = connection->queue;

	if (connection->state == NBD_CONNECTION_DEAD)
		return;
	connection->state = NBD_CONNECTION_DEAD;
	leave_lists(connection);
	base_list_remove(&connection->link);
	base_list_push_back(&queue->dead, &connection->link);
	/* This also ends the calls. Until then, they have the socket and the memory. */
	shutdown(connection->fd, SHUT_RDWR);
	nbd_connection_drop_replies(connection);
	free(connection->handshake);
	connection->handshake = NULL;
}

void nbd_connection_reap(struct nbd_connection *connection)
{
	struct bdus_transport_queue *const queue = connection->queue;

	if (connection->in_engine != 0 || connection->input.armed || connection->output.armed)
		return;
	close(connection->fd);
	drop_incoming(connection);
	bdus_pool_put(queue->pool, connection->buffer, NBD_RECEIVE_BYTES);
	base_list_remove(&connection->link);
	free(connection);
	atomic_fetch_sub(&queue->load, 1);
	bdus_log_tell(queue->device->log, BDUS_LOG_INFO, "a client went: now there are %u",
		      atomic_fetch_sub(&queue->device->connection_count, 1) - 1);
}

/** What has arrived of an unfinished message is not needed any more. */
static void end_input(struct nbd_connection *connection)
{
	drop_incoming(connection);
	nbd_connection_settle(connection);
}

void nbd_connection_drain(struct nbd_connection *connection)
{
	if (connection->state != NBD_CONNECTION_TRANSMISSION)
		return;
	connection->state = NBD_CONNECTION_DRAINING;
	base_list_remove(&connection->ready_link);
	if (connection->input.armed)
		bdus_loop_cancel(connection->queue->loop, &connection->input.call);
	else
		end_input(connection);
}

void nbd_connection_settle(struct nbd_connection *connection)
{
	if (connection->state == NBD_CONNECTION_DRAINING && connection->requests == 0)
		nbd_connection_kill(connection);
}

/* ---- receiving ----------------------------------------------------------------------------- */

static size_t buffered(const struct nbd_connection *connection)
{
	return connection->end - connection->begin;
}

/** Brings what is buffered to the front, so that a whole message finds room. */
static void compact(struct nbd_connection *connection)
{
	const size_t length = buffered(connection);

	if (connection->begin == 0)
		return;
	memmove(connection->buffer, connection->buffer + connection->begin, length);
	connection->begin = 0;
	connection->end = length;
}

/** How much of the incoming payload is still to come; 0 when none is awaited. */
static size_t incoming_left(const struct nbd_connection *connection)
{
	if (connection->incoming == NULL)
		return 0;
	return connection->incoming->command.payload_bytes - connection->incoming_bytes;
}

/** Lists where the next bytes go: into the payload that is awaited, then into the buffer. */
static size_t receive_pieces(const struct nbd_connection *connection, struct iovec pieces[2])
{
	const size_t payload = incoming_left(connection);
	size_t room = NBD_RECEIVE_BYTES - connection->end;
	size_t count = 0;

	if (payload != 0 && connection->incoming->data != NULL) {
		pieces[count].iov_base =
			(char *)connection->incoming->data + connection->incoming_bytes;
		pieces[count++].iov_len = payload;
	}
	if (connection->large_writes && (payload == 0 || count != 0))
		room = base_min(room, sizeof(struct nbd_request_header) - buffered(connection));
	pieces[count].iov_base = connection->buffer + connection->end;
	pieces[count++].iov_len = room;
	return count;
}

/** Counts @got received bytes in where receive_pieces() put them. */
static void account(struct nbd_connection *connection, size_t got)
{
	if (connection->incoming != NULL && connection->incoming->data != NULL) {
		const size_t payload = base_min(got, incoming_left(connection));

		connection->incoming_bytes += payload;
		got -= payload;
	}
	connection->end += got;
}

/** Asks the loop for more, in its next system call. */
static void await_input(struct nbd_connection *connection)
{
	struct msghdr *const message = &connection->input_message;

	assert(!connection->input.armed);
	compact(connection);
	message->msg_iov = connection->input_pieces;
	message->msg_iovlen = receive_pieces(connection, connection->input_pieces);
	asys_prep_recvmsg(&connection->input.call.message, connection->fd, message, 0);
	/* Fails only in a loop that ends, and takes no more. */
	connection->input.armed =
		bdus_loop_send(connection->queue->loop, &connection->input.call) == 0;
}

/* ---- handshake ----------------------------------------------------------------------------- */

static void begin_transmission(struct nbd_connection *connection)
{
	connection->session = connection->handshake->session;
	connection->state = NBD_CONNECTION_TRANSMISSION;
	base_list_remove(&connection->handshake_link);
	free(connection->handshake);
	connection->handshake = NULL;
	nbd_connection_make_ready(connection);
}

/** Goes on as far as input and the socket allow. */
static void continue_handshake(struct nbd_connection *connection)
{
	struct nbd_handshake *const handshake = connection->handshake;

	while (nbd_connection_send_handshake(connection)) {
		size_t used;

		if (handshake->state == NBD_HANDSHAKE_DONE) {
			begin_transmission(connection);
			return;
		}
		if (handshake->state == NBD_HANDSHAKE_CLOSE) {
			nbd_connection_kill(connection);
			return;
		}
		used = nbd_handshake_feed(handshake, connection->buffer + connection->begin,
					  buffered(connection));
		connection->begin += used;
		if (used == 0) {
			await_input(connection);
			return;
		}
	}
}

/* ---- requests ------------------------------------------------------------------------------ */

/** Hands a request with its payload to the engine. */
static void run(struct nbd_connection *connection, struct nbd_request *request,
		struct nbd_batch *batch)
{
	const struct nbd_command *const command = &request->command;

	bdus_io_prepare(&request->io, command->op, command->op_flags, command->offset_bytes,
			command->length_bytes, request->data);
	if (command->type == NBD_CMD_BLOCK_STATUS) {
		request->io.request.data = NULL;
		request->io.request.extents = request->data;
		request->io.request.extent_count = 0;
		request->io.request.extent_capacity =
			(command->flags & NBD_CMD_FLAG_REQ_ONE) ? 1 : NBD_STATUS_EXTENTS;
	}
	connection->in_engine++;
	connection->queue->in_engine++;
	batch->ios[batch->count++] = &request->io;
	batch->bytes += request->data_bytes;
}

/** What to do with a request of which everything arrived. */
static void dispatch(struct nbd_connection *connection, struct nbd_request *request,
		     struct nbd_batch *batch)
{
	if (base_likely(request->command.verdict == NBD_VERDICT_RUN))
		run(connection, request, batch);
	else
		nbd_connection_answer(connection, request, 0);
}

/** Memory that a command needs from now on. */
static size_t needed_bytes(const struct nbd_command *command)
{
	if (command->verdict != NBD_VERDICT_RUN)
		return 0;
	switch (command->type) {
	case NBD_CMD_READ:
	case NBD_CMD_WRITE:
		return command->length_bytes;
	case NBD_CMD_BLOCK_STATUS:
		return NBD_STATUS_EXTENTS * sizeof(struct bdus_extent);
	default:
		return 0;
	}
}

/** Takes what is buffered of the incoming payload; true when it is complete. */
static bool take_payload(struct nbd_connection *connection)
{
	struct nbd_request *const request = connection->incoming;
	const size_t length = base_min(incoming_left(connection), buffered(connection));

	assert(connection->buffer != NULL);
	if (request->data != NULL)
		memcpy((char *)request->data + connection->incoming_bytes,
		       connection->buffer + connection->begin, length);
	connection->begin += length;
	connection->incoming_bytes += length;
	return incoming_left(connection) == 0;
}

/** Whether one more request with @bytes of memory would be more than this client may have. */
static bool is_over_limit(const struct nbd_connection *connection, size_t bytes)
{
	return connection->requests >= NBD_CONNECTION_REQUESTS ||
	       connection->unsent_bytes > NBD_CONNECTION_UNSENT_BYTES ||
	       (connection->bytes != 0 && connection->bytes + bytes > NBD_CONNECTION_BYTES);
}

/** Whether a command's payload has to lie in memory of the program's. */
static bool wants_their_memory(const struct nbd_connection *connection,
			       const struct nbd_command *command)
{
	return connection->queue->device->memory != NULL && command->verdict == NBD_VERDICT_RUN &&
	       (command->type == NBD_CMD_READ || command->type == NBD_CMD_WRITE);
}

/** Begins with a decoded command; @memory is the program's for its payload, or NULL. */
static void begin_request(struct nbd_connection *connection, const struct nbd_command *command,
			  size_t bytes, void *memory, struct nbd_batch *batch)
{
	struct nbd_request *const request = nbd_request_get(connection, command);

	if (base_unlikely(request == NULL)) {
		if (memory != NULL)
			bdus_memory_put(connection->queue->device->memory, memory, bytes);
		nbd_connection_kill(connection);
		return;
	}
	if (memory != NULL)
		nbd_request_use_memory(request, memory, bytes);
	else if (bytes != 0 && base_unlikely(!nbd_request_get_data(request, bytes)))
		nbd_command_refuse(&request->command, NBD_ERROR_ENOMEM,
				   "the server is out of memory");
	connection->large_writes = command->payload_bytes >= NBD_LARGE_WRITE_BYTES;
	if (command->payload_bytes == 0) {
		dispatch(connection, request, batch);
		return;
	}
	connection->incoming = request;
	connection->incoming_bytes = 0;
}

/** Takes the next message; false when it is not complete, or must wait, or was the last. */
static bool take_header(struct nbd_connection *connection, struct nbd_batch *batch)
{
	struct nbd_command command;
	void *memory = NULL;
	size_t bytes;

	if (buffered(connection) < sizeof(struct nbd_request_header))
		return false;
	nbd_command_decode(&connection->queue->device->export, &connection->session,
			   (const void *)(connection->buffer + connection->begin), &command);
	bytes = needed_bytes(&command);
	if (is_over_limit(connection, bytes))
		return false;
	if (base_unlikely(wants_their_memory(connection, &command))) {
		memory = nbd_queue_get_memory(connection->queue, connection, bytes);
		if (memory == NULL)
			return false;
	}
	connection->begin += sizeof(struct nbd_request_header);
	if (base_unlikely(command.verdict == NBD_VERDICT_DISCONNECT)) {
		nbd_connection_drain(connection);
		return false;
	}
	if (base_unlikely(command.verdict == NBD_VERDICT_ABORT)) {
		nbd_connection_kill(connection);
		return false;
	}
	begin_request(connection, &command, bytes, memory, batch);
	return connection->state == NBD_CONNECTION_TRANSMISSION;
}

static bool is_full(const struct nbd_batch *batch)
{
	return batch->count == batch->capacity || batch->bytes >= NBD_BATCH_BYTES;
}

/** Turns what is buffered into requests; false when nothing more can be done without more input. */
static bool take_buffered(struct nbd_connection *connection, struct nbd_batch *batch)
{
	while (!is_full(batch)) {
		struct nbd_request *const request = connection->incoming;

		if (request == NULL) {
			if (!take_header(connection, batch))
				return false;
		} else {
			if (!take_payload(connection))
				return false;
			connection->incoming = NULL;
			dispatch(connection, request, batch);
		}
	}
	return true;
}

/** Whether what is buffered is a message that has to wait for others to be answered. */
static bool is_paused(const struct nbd_connection *connection)
{
	return connection->incoming == NULL &&
	       buffered(connection) >= sizeof(struct nbd_request_header);
}

void nbd_connection_receive(struct nbd_connection *connection, struct nbd_batch *batch)
{
	const bool full = take_buffered(connection, batch);

	if (connection->state != NBD_CONNECTION_TRANSMISSION)
		return;
	if (full && buffered(connection) != 0)
		nbd_connection_make_ready(connection);
	else if (!is_paused(connection))
		await_input(connection);
}

void nbd_connection_make_ready(struct nbd_connection *connection)
{
	if (connection->state == NBD_CONNECTION_TRANSMISSION && !connection->input.armed &&
	    base_list_is_empty(&connection->ready_link))
		base_list_push_back(&connection->queue->ready, &connection->ready_link);
}

/* ---- what the loop brings ------------------------------------------------------------------ */

/** Takes @got more bytes, the end of input (0), or an error. */
static void take_input(struct nbd_connection *connection, int64_t got)
{
	if (got > 0)
		account(connection, (size_t)got);
	else if (got == 0 && connection->state == NBD_CONNECTION_TRANSMISSION)
		nbd_connection_drain(connection);
	else if (got != -EAGAIN && got != -EINTR)
		nbd_connection_kill(connection);
}

/** Goes on after input. */
static void go_on(struct nbd_connection *connection)
{
	if (connection->state == NBD_CONNECTION_HANDSHAKE)
		continue_handshake(connection);
	else
		nbd_connection_make_ready(connection);
}

static void on_input(struct bdus_call *call)
{
	struct nbd_connection *const connection =
		base_container_of(call, struct nbd_connection, input.call);

	connection->input.armed = false;
	bdus_host_make_ready(connection->queue->host);
	if (connection->state == NBD_CONNECTION_DRAINING)
		end_input(connection);
	else if (connection->state != NBD_CONNECTION_DEAD) {
		take_input(connection, call->message.result);
		go_on(connection);
	}
}

static void on_output(struct bdus_call *call)
{
	struct nbd_connection *const connection =
		base_container_of(call, struct nbd_connection, output.call);

	connection->output.armed = false;
	bdus_host_make_ready(connection->queue->host);
	if (call->message.result < 0)
		nbd_connection_kill(connection);
	if (connection->state == NBD_CONNECTION_DEAD)
		return;
	connection->send_blocked = false;
	if (connection->state == NBD_CONNECTION_HANDSHAKE)
		continue_handshake(connection);
	else
		nbd_connection_send(connection);
}

/* ---- from loop to loop --------------------------------------------------------------------- */

static void detach_input(struct nbd_connection *connection)
{
	const struct asys_message *const message = &connection->input.call.message;

	bdus_loop_end_call(connection->queue->loop, &connection->input.call);
	connection->input.armed = false;
	if (connection->state == NBD_CONNECTION_DRAINING)
		end_input(connection);
	else if (connection->state != NBD_CONNECTION_DEAD && message->result != -ECANCELED)
		take_input(connection, message->result);
}

void nbd_connection_detach(struct nbd_connection *connection)
{
	if (connection->input.armed)
		detach_input(connection);
	if (connection->output.armed) {
		bdus_loop_end_call(connection->queue->loop, &connection->output.call);
		connection->output.armed = false;
	}
}

void nbd_connection_attach(struct nbd_connection *connection)
{
	if (connection->send_blocked) {
		connection->send_blocked = false;
		if (connection->state != NBD_CONNECTION_HANDSHAKE &&
		    base_list_is_empty(&connection->unsent_link))
			base_list_push_back(&connection->queue->unsent, &connection->unsent_link);
	}
	go_on(connection);
}
