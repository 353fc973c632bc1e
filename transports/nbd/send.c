/* SPDX-License-Identifier: MIT */
/*
 * What goes out on a connection: all replies that are ready leave in one system call, as far as the
 * socket takes them.
 */
#include "handshake.h"
#include "nbd_internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

/** Pieces given to one sendmsg(): a header and a payload for each of many replies. */
#define PIECES 256

/** Goes on when the socket has room. */
static void await_room(struct nbd_connection *connection)
{
	connection->send_blocked = true;
	nbd_queue_watch(connection->queue, &connection->output, connection->fd, POLLOUT);
}

/** Sends; 0 when the socket took nothing. A broken connection is killed, which is an error. */
static ssize_t send_pieces(struct nbd_connection *connection, struct iovec *pieces, size_t count)
{
	const struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
	const ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent >= 0)
		return sent;
	if (errno == EAGAIN || errno == EINTR) {
		await_room(connection);
		return 0;
	}
	nbd_connection_kill(connection);
	return -EPIPE;
}

/* ---- handshake ----------------------------------------------------------------------------- */

bool nbd_connection_send_handshake(struct nbd_connection *connection)
{
	struct nbd_handshake *const handshake = connection->handshake;

	while (connection->handshake_sent < handshake->output_bytes) {
		struct iovec piece = {
			.iov_base = handshake->output + connection->handshake_sent,
			.iov_len = handshake->output_bytes - connection->handshake_sent,
		};
		const ssize_t sent = send_pieces(connection, &piece, 1);

		if (sent <= 0)
			return false;
		connection->handshake_sent += (size_t)sent;
	}
	handshake->output_bytes = 0;
	connection->handshake_sent = 0;
	return true;
}

/* ---- replies ------------------------------------------------------------------------------- */

static size_t reply_bytes(const struct nbd_request *request)
{
	return (size_t)request->reply.header_bytes + request->reply.payload_bytes;
}

static void build_answer(const struct nbd_connection *connection, struct nbd_request *request,
			 int result)
{
	const struct nbd_command *const command = &request->command;
	const struct nbd_session *const session = &connection->session;
	struct nbd_reply *const reply = &request->reply;

	if (base_unlikely(command->verdict != NBD_VERDICT_RUN))
		nbd_reply_failure(reply, session, command, command->error, command->error_text);
	else if (base_unlikely(result != 0))
		nbd_reply_failure(reply, session, command, nbd_reply_error(command, result), NULL);
	else if (command->type == NBD_CMD_READ)
		nbd_reply_read(reply, session, command, request->io.request.data);
	else if (command->type != NBD_CMD_BLOCK_STATUS)
		nbd_reply_success(reply, command);
	else if (!nbd_reply_status(reply, &connection->queue->device->export, command,
				   request->io.request.extents, request->io.request.extent_count))
		nbd_reply_failure(reply, session, command, NBD_ERROR_EIO,
				  "the driver says nothing about the range");
}

void nbd_connection_answer(struct nbd_connection *connection, struct nbd_request *request,
			   int result)
{
	build_answer(connection, request, result);
	/* Payload that is not sent: there is none, or the driver lent its own. */
	if (request->reply.payload_bytes == 0 || request->reply.payload != request->data)
		nbd_request_drop_data(request);
	connection->unsent_bytes += reply_bytes(request);
	request->next = NULL;
	*connection->replies_end = request;
	connection->replies_end = &request->next;
	if (!connection->send_blocked && base_list_is_empty(&connection->unsent_link))
		base_list_push_back(&connection->queue->unsent, &connection->unsent_link);
}

/** Lists what to send of the first replies, leaving out what went out before. */
static size_t gather(const struct nbd_connection *connection, struct iovec *pieces, size_t *total)
{
	size_t count = 0;
	size_t skip = connection->reply_sent;

	*total = 0;
	for (struct nbd_request *request = connection->replies;
	     request != NULL && count + 2 <= PIECES; request = request->next) {
		struct nbd_reply *const reply = &request->reply;

		*total += reply_bytes(request) - skip;
		if (skip < reply->header_bytes) {
			pieces[count].iov_base = (char *)&reply->header + skip;
			pieces[count++].iov_len = reply->header_bytes - skip;
			skip = 0;
		} else {
			skip -= reply->header_bytes;
		}
		if (reply->payload_bytes != 0) {
			pieces[count].iov_base = (char *)reply->payload + skip;
			pieces[count++].iov_len = reply->payload_bytes - skip;
		}
		skip = 0;
	}
	return count;
}

/** Frees the replies that went out completely with @sent more bytes. */
static void retire(struct nbd_connection *connection, size_t sent)
{
	connection->unsent_bytes -= sent;
	sent += connection->reply_sent;
	while (connection->replies != NULL && sent >= reply_bytes(connection->replies)) {
		struct nbd_request *const request = connection->replies;

		sent -= reply_bytes(request);
		connection->replies = request->next;
		nbd_request_put(request);
	}
	if (connection->replies == NULL)
		connection->replies_end = &connection->replies;
	connection->reply_sent = sent;
}

void nbd_connection_send(struct nbd_connection *connection)
{
	struct iovec pieces[PIECES];

	while (connection->replies != NULL) {
		size_t total;
		const size_t count = gather(connection, pieces, &total);
		const ssize_t sent = send_pieces(connection, pieces, count);

		if (sent < 0)
			return;
		retire(connection, (size_t)sent);
		if ((size_t)sent < total)
			break;
	}
	/* A part that the socket did not take goes when it has room again. */
	if (connection->replies != NULL)
		await_room(connection);
	nbd_connection_make_ready(connection);
	nbd_connection_settle(connection);
}

void nbd_connection_drop_replies(struct nbd_connection *connection)
{
	while (connection->replies != NULL) {
		struct nbd_request *const request = connection->replies;

		connection->replies = request->next;
		nbd_request_put(request);
	}
	connection->replies_end = &connection->replies;
	connection->reply_sent = 0;
	connection->unsent_bytes = 0;
}
