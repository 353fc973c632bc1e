/* SPDX-License-Identifier: MIT */
/*
 * What comes in at a client's port. One thread at a time receives, straight into its own buffer if
 * the message is the one that it waits for; what others wait for is kept for them.
 */
#include <errno.h>
#include <string.h>
#include <sys/time.h>

#include "caps_internal.h"

/* ---- completions ---- */

void caps_exchange_dispose(struct caps_client *client, struct caps_exchange *exchange)
{
	base_list_remove(&exchange->link);
	caps_table_remove(&client->table, &exchange->node);
	caps_parcel_free(exchange->parcel);
	exchange->parcel = NULL;
	base_list_push_back(&client->spare, &exchange->link);
}

/* Takes it out of its list, to which of them it never goes back. */
static void leave_state(struct caps_client *client, struct caps_exchange *exchange)
{
	if (exchange->state == CAPS_SENT)
		client->sent--;
	caps_parcel_free(exchange->parcel);
	exchange->parcel = NULL;
	exchange->state = CAPS_DONE;
	base_list_remove(&exchange->link);
	base_list_push_back(&client->done, &exchange->link);
}

void caps_exchange_complete(struct caps_client *client, struct caps_exchange *exchange,
			    int32_t error)
{
	leave_state(client, exchange);
	exchange->error = error;
	if (exchange->dropped)
		caps_exchange_dispose(client, exchange);
}

static void complete_all(struct caps_client *client, struct base_list *list, int error)
{
	while (!base_list_is_empty(list))
		caps_exchange_complete(
			client, base_list_entry(list->next, struct caps_exchange, link), error);
}

void caps_client_end(struct caps_port *port, int error)
{
	struct caps_client *client = &port->client;

	if (client->end_error == 0) {
		client->end_error = error;
		shutdown(client->fd, SHUT_RDWR);
	}
	complete_all(client, &client->queued, error);
	complete_all(client, &client->in_flight, error);
	caps_client_ring(client);
	caps_port_changed(port);
}

void caps_client_flush(struct caps_client *client)
{
	while (client->sent < client->window && !base_list_is_empty(&client->queued)) {
		struct caps_exchange *exchange =
			base_list_entry(client->queued.next, struct caps_exchange, link);

		/* The end of the connection, if that is what it is, is received. */
		if (caps_parcel_send(client->fd, exchange->parcel) != 0)
			return;
		caps_parcel_free(exchange->parcel);
		exchange->parcel = NULL;
		exchange->state = CAPS_SENT;
		client->sent++;
		base_list_remove(&exchange->link);
		base_list_push_back(&client->in_flight, &exchange->link);
	}
}

/* ---- replies ---- */

/* Leaves nothing but the number. */
static void strip(struct caps_packet *packet, int32_t error)
{
	caps_close_fds(packet->fds, packet->fd_count);
	packet->fd_count = 0;
	caps_wire_header_set_error(&packet->header, error);
	caps_wire_header_set_length(&packet->header, 0);
	caps_wire_header_set_flags(&packet->header, 0);
}

/* Maps the payload if it is in memory, whose descriptor is the first. */
static struct caps_mapping *take_memory(struct caps_client *client, struct caps_packet *packet)
{
	struct caps_mapping *mapping = NULL;
	int error;

	if ((caps_wire_header_flags(&packet->header) & CAPS_WIRE_PACKET_FLAG_MEMORY) == 0)
		return NULL;
	error = packet->lost_fds
			? -EMFILE
			: caps_memory_map(&client->recent, packet->fds[0],
					  caps_wire_header_length(&packet->header), &mapping);
	if (error != 0) {
		strip(packet, error);
		return NULL;
	}
	caps_close_fds(packet->fds, 1);
	packet->fd_count--;
	memmove(packet->fds, packet->fds + 1, packet->fd_count * sizeof(int));
	return mapping;
}

/* Whether the reply is what its description says, if the client has one. */
static bool is_good(const struct caps_port *port, const struct caps_exchange *exchange,
		    const struct caps_packet *packet, const void *data)
{
	const struct wire_operation *operation = caps_operation(port, exchange->operation);
	const size_t length = (size_t)caps_wire_header_length(&packet->header);
	struct wire_fault fault;

	if (operation == NULL || caps_wire_header_error(&packet->header) != 0)
		return true;
	if (packet->fd_count != operation->reply_fds)
		return false;
	return operation->reply_check == NULL ? length == 0
					      : operation->reply_check(data, length, &fault) >= 0;
}

static void deliver(struct caps_client *client, struct caps_exchange *exchange,
		    struct caps_packet *packet, struct caps_receipt *receipt,
		    struct caps_mapping *mapping)
{
	struct caps_message *message = receipt->message;

	caps_message_start(message, &packet->header, packet->fds, packet->fd_count);
	packet->fd_count = 0;
	message->kind = CAPS_REPLY;
	message->operation = exchange->operation;
	message->data = mapping != NULL ? mapping->data : receipt->buffer;
	message->mapping = mapping;
	message->user = exchange->user;
	message->sender = client->peer.credentials;
	leave_state(client, exchange);
	caps_exchange_dispose(client, exchange);
	receipt->delivered = true;
}

static bool is_wanted(const struct caps_exchange *exchange, const struct caps_packet *packet,
		      const struct caps_receipt *receipt)
{
	if (receipt == NULL || caps_inline_bytes(&packet->header) > receipt->capacity)
		return false;
	return receipt->id == exchange->node.id || (receipt->id == 0 && exchange->waiters == 0);
}

/* Keeps the reply for who takes it; without memory for that, only its number. */
static void keep(struct caps_port *port, struct caps_exchange *exchange, struct caps_packet *packet,
		 const struct caps_room *room, struct caps_mapping *mapping)
{
	struct caps_parcel *parcel = caps_parcel_keep(packet, room, mapping);
	int32_t error = 0;

	if (parcel == NULL) {
		caps_mapping_release(mapping);
		caps_close_fds(packet->fds, packet->fd_count);
		error = -ENOMEM;
	} else if (!is_good(port, exchange, packet,
			    mapping != NULL ? mapping->data : parcel->data)) {
		caps_parcel_free(parcel);
		parcel = NULL;
		error = -EBADMSG;
	}
	caps_exchange_complete(&port->client, exchange, error);
	if (!exchange->dropped)
		exchange->parcel = parcel;
	else
		caps_parcel_free(parcel);
}

static void take_reply(struct caps_port *port, struct caps_exchange *exchange,
		       struct caps_packet *packet, const struct caps_room *room,
		       struct caps_receipt *receipt)
{
	struct caps_mapping *mapping;

	caps_wire_header_set_operation(&packet->header, exchange->operation);
	if (packet->lost_fds)
		strip(packet, -EMFILE);
	mapping = take_memory(&port->client, packet);
	if (!exchange->dropped && is_wanted(exchange, packet, receipt)) {
		if (!is_good(port, exchange, packet,
			     mapping != NULL ? mapping->data : room->buffer)) {
			caps_mapping_release(mapping);
			mapping = NULL;
			strip(packet, -EBADMSG);
		}
		deliver(&port->client, exchange, packet, receipt, mapping);
	} else {
		keep(port, exchange, packet, room, mapping);
	}
	caps_client_flush(&port->client);
	caps_client_ring(&port->client);
}

/* ---- packets ---- */

static int take_greeting(struct caps_client *client, const struct caps_packet *packet)
{
	const struct caps_wire_header *header = &packet->header;
	int error = caps_wire_header_error(header);

	if (client->greeted)
		return base_error(EPROTO, "the service greeted twice");
	if (error != 0)
		return error < 0 ? base_error_errno(-error, "the service refuses this client")
				 : base_error(EPROTO, "the service greeted with %d", error);
	if (packet->fd_count != 1 || caps_wire_header_operation(header) < CAPS_MIN_WINDOW)
		return base_error(EPROTO,
				  "the service greeted with %u descriptors and a window of %u",
				  packet->fd_count, caps_wire_header_operation(header));
	error = caps_generation_map(packet->fds[0], &client->generation);
	if (error != 0)
		return error;
	client->window = caps_wire_header_operation(header);
	client->greeted = true;
	caps_client_flush(client);
	return 0;
}

/* 0, or why the connection has to end. */
static int take_packet(struct caps_port *port, struct caps_packet *packet,
		       const struct caps_room *room, struct caps_receipt *receipt)
{
	struct caps_client *client = &port->client;
	const unsigned kind = caps_wire_header_kind(&packet->header);
	struct caps_exchange *exchange = NULL;
	struct caps_node *node;
	int error = caps_peer_verify(&client->peer, &packet->sender);

	if (error != 0)
		return -EPROTO;
	if (kind == CAPS_WIRE_PACKET_HELLO)
		return take_greeting(client, packet);
	if (kind != CAPS_WIRE_PACKET_REPLY || !client->greeted)
		return base_error(EPROTO, "a service sent a packet of kind %u", kind);
	node = caps_table_find(&client->table, caps_wire_header_id(&packet->header));
	if (node != NULL)
		exchange = base_container_of(node, struct caps_exchange, node);
	if (exchange == NULL || exchange->state != CAPS_SENT)
		return base_error(EPROTO, "the service replied to %llu, which is not under way",
				  (unsigned long long)caps_wire_header_id(&packet->header));
	take_reply(port, exchange, packet, room, receipt);
	return 0;
}

/* The socket's own timeout, which is changed only if it has to be, saves a call to wait. */
static int receive(struct caps_client *client, struct caps_packet *packet,
		   const struct caps_room *room, uint64_t deadline)
{
	uint64_t wait_ms = 0;

	if (deadline != CAPS_NEVER) {
		wait_ms = (uint64_t)caps_remaining_ms(deadline);
		if (wait_ms == 0)
			return caps_packet_receive(client->fd, MSG_DONTWAIT, packet, room);
	}
	if (wait_ms != client->armed_ms) {
		const struct timeval timeout = {.tv_sec = (time_t)(wait_ms / 1000),
						.tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};

		if (setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0)
			return -errno;
		client->armed_ms = wait_ms;
	}
	return caps_packet_receive(client->fd, 0, packet, room);
}

int caps_client_step(struct caps_port *port, uint64_t deadline_ns, struct caps_receipt *receipt)
{
	struct caps_client *client = &port->client;
	const struct caps_room room = {.buffer = receipt != NULL ? receipt->buffer : NULL,
				       .capacity = receipt != NULL ? receipt->capacity : 0,
				       .spill = port->spill};
	struct caps_packet packet;
	int result;

	if (client->end_error != 0)
		return -ENOTCONN;
	if (port->receiving)
		return caps_port_sleep(port, deadline_ns) ? 0 : -ETIMEDOUT;
	packet.fd_count = 0;
	port->receiving = true;
	pthread_mutex_unlock(&port->lock);
	result = receive(client, &packet, &room, deadline_ns);
	pthread_mutex_lock(&port->lock);
	caps_port_received(port);
	if (result == -EAGAIN)
		return -ETIMEDOUT;
	if (result == -EINTR)
		return 0;
	if (result > 0 && client->end_error == 0)
		result = take_packet(port, &packet, &room, receipt);
	else if (result == 0)
		result = -ECONNRESET;
	if (packet.fd_count != 0)
		caps_close_fds(packet.fds, packet.fd_count);
	if (result < 0)
		caps_client_end(port, result);
	return 0;
}
