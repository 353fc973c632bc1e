/* SPDX-License-Identifier: MIT */
/*
 * A client's port: requests out, and completions for whoever wants them. See caps_internal.h for
 * the states of a message, receive.c for what comes in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "caps_internal.h"

/* ---- life ---- */

static int init(struct caps_port *port, int fd, bool learn,
		const struct caps_client_options *options)
{
	struct caps_client *client = &port->client;
	int error;

	client->fd = -1;
	client->notifier = -1;
	client->bell = -1;
	client->window = CAPS_MIN_WINDOW;
	base_list_init(&client->queued);
	base_list_init(&client->in_flight);
	base_list_init(&client->done);
	base_list_init(&client->spare);
	if (options != NULL) {
		port->operations = options->operations;
		port->operation_count = options->operation_count;
	}
	error = caps_table_init(&client->table);
	if (error == 0)
		error = caps_peer_init(&client->peer, fd, learn);
	if (error == 0)
		client->fd = fd;
	return error;
}

static int create(int fd, bool learn, const struct caps_client_options *options,
		  struct caps_port **port)
{
	struct caps_port *made;
	int error = caps_port_create(false, &made);

	if (error != 0)
		return error;
	error = init(made, fd, learn, options);
	if (error != 0) {
		caps_client_finish(made);
		caps_port_free(made);
		return error;
	}
	caps_port_publish(made);
	*port = made;
	return 0;
}

static int check_options(const struct caps_client_options *options)
{
	if (options != NULL && options->size != sizeof(*options))
		return base_error(EINVAL, "client options of %u bytes; %zu", options->size,
				  sizeof(*options));
	return 0;
}

int caps_connect(const char *name, const struct caps_client_options *options,
		 struct caps_port **port)
{
	int error = check_options(options);
	int fd;

	if (error == 0)
		error = caps_lookup(name, options, &fd);
	if (error != 0)
		return error;
	error = create(fd, false, options, port);
	if (error != 0)
		close(fd);
	return error;
}

int caps_connect_fd(int fd, const struct caps_client_options *options, struct caps_port **port)
{
	int error = check_options(options);

	if (error == 0 && caps_want_credentials(fd) != 0)
		error = base_error_errno(errno, "descriptor %d is no Unix socket", fd);
	return error != 0 ? error : create(fd, true, options, port);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void caps_client_abandon(struct caps_port *port)
{
	close_fd(&port->client.fd);
	close_fd(&port->client.notifier);
	close_fd(&port->client.bell);
}

void caps_client_close(struct caps_port *port)
{
	pthread_mutex_lock(&port->lock);
	caps_client_end(port, -ESHUTDOWN);
	pthread_mutex_unlock(&port->lock);
}

static void free_list(struct base_list *list)
{
	struct base_list *link;

	while ((link = base_list_pop_front(list)) != NULL) {
		struct caps_exchange *exchange = base_list_entry(link, struct caps_exchange, link);

		caps_parcel_free(exchange->parcel);
		free(exchange);
	}
}

void caps_client_finish(struct caps_port *port)
{
	struct caps_client *client = &port->client;

	caps_client_abandon(port);
	free_list(&client->queued);
	free_list(&client->in_flight);
	free_list(&client->done);
	free_list(&client->spare);
	caps_table_finish(&client->table);
	caps_peer_finish(&client->peer);
	caps_recent_finish(&client->recent);
	caps_generation_unmap(client->generation);
}

/* ---- the pollable descriptor ---- */

static int make_notifier(struct caps_client *client)
{
	struct epoll_event event = {.events = EPOLLIN};
	int error = 0;

	client->notifier = epoll_create1(EPOLL_CLOEXEC);
	client->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (client->notifier < 0 || client->bell < 0 ||
	    epoll_ctl(client->notifier, EPOLL_CTL_ADD, client->fd, &event) != 0 ||
	    epoll_ctl(client->notifier, EPOLL_CTL_ADD, client->bell, &event) != 0)
		error = -errno;
	if (error == 0)
		return 0;
	close_fd(&client->notifier);
	close_fd(&client->bell);
	return base_error_errno(-error, "cannot make a descriptor to poll");
}

int caps_client_fd(struct caps_port *port)
{
	struct caps_client *client = &port->client;
	int result;

	pthread_mutex_lock(&port->lock);
	result = client->notifier < 0 ? make_notifier(client) : 0;
	if (result == 0) {
		result = client->notifier;
		caps_client_ring(client);
	}
	pthread_mutex_unlock(&port->lock);
	return result;
}

void caps_client_ring(struct caps_client *client)
{
	caps_bell(client->bell, &client->rung, !base_list_is_empty(&client->done));
}

/* ---- putting ---- */

/* A service that refuses a client says why before it hangs up. */
static int ended(const struct caps_client *client)
{
	if (client->end_error == -EACCES || client->end_error == -EBUSY)
		return base_error_errno(-client->end_error, "the service refuses this client");
	return base_error(ENOTCONN, "the connection to the service has ended");
}

static struct caps_exchange *take_exchange(struct caps_client *client)
{
	struct base_list *link = base_list_pop_front(&client->spare);

	if (link != NULL)
		return base_list_entry(link, struct caps_exchange, link);
	return calloc(1, sizeof(struct caps_exchange));
}

static int send_or_queue(struct caps_client *client, struct caps_exchange *exchange,
			 const struct caps_outgoing *out, bool may_queue)
{
	int error = -EAGAIN;

	if (client->sent < client->window && base_list_is_empty(&client->queued))
		error = caps_packet_send(client->fd, &out->header, out->data, out->fds,
					 out->fd_count);
	if (error == 0) {
		exchange->state = CAPS_SENT;
		client->sent++;
		base_list_push_back(&client->in_flight, &exchange->link);
		return 0;
	}
	if (error == -ENOTCONN)
		return error;
	if (error != -EAGAIN)
		return base_error_errno(-error, "cannot send a message");
	if (!may_queue)
		return base_error(EAGAIN, "%u of %u messages are under way, or the socket is full",
				  client->sent, client->window);
	error = caps_outgoing_keep(out, &exchange->parcel);
	if (error != 0)
		return error;
	exchange->state = CAPS_QUEUED;
	base_list_push_back(&client->queued, &exchange->link);
	return 0;
}

static int put(struct caps_port *port, const struct caps_request *request,
	       struct caps_outgoing *out, uint64_t *id)
{
	struct caps_client *client = &port->client;
	struct caps_exchange *exchange;
	int error;

	/* The greeting tells of a larger window. */
	if (!client->greeted && client->sent == client->window && !port->receiving)
		caps_client_step(port, 0, NULL);
	if (client->end_error != 0)
		return ended(client);
	exchange = take_exchange(client);
	if (exchange == NULL)
		return base_error(ENOMEM, "no memory for a message");
	caps_wire_header_set_kind(&out->header, CAPS_WIRE_PACKET_REQUEST);
	caps_wire_header_set_operation(&out->header, request->operation);
	caps_wire_header_set_id(&out->header, client->next_id + 1);
	*exchange = (struct caps_exchange){.node.id = client->next_id + 1,
					   .operation = request->operation,
					   .user = request->user};
	error = send_or_queue(client, exchange, out, (request->flags & CAPS_QUEUE) != 0);
	if (error != 0) {
		base_list_push_back(&client->spare, &exchange->link);
		if (error == -ENOTCONN && !port->receiving)
			caps_client_step(port, 0, NULL);
		return error == -ENOTCONN ? ended(client) : error;
	}
	caps_table_add(&client->table, &exchange->node);
	*id = ++client->next_id;
	return 0;
}

static int prepare(struct caps_port *port, const struct caps_request *request,
		   struct caps_outgoing *out)
{
	const struct caps_content content = {.data = request->data,
					     .length = request->length,
					     .memory = request->memory,
					     .fds = request->fds,
					     .fd_count = request->fd_count};
	const int error = caps_port_check(port, false);

	if (error != 0)
		return error;
	if (request->operation >= CAPS_RESERVED_OPERATIONS && request->operation != CAPS_DESCRIBE)
		return base_error(EINVAL, "operation %u is reserved", request->operation);
	return caps_outgoing_init(out, &content);
}

int caps_put(struct caps_port *port, const struct caps_request *request, uint64_t *id)
{
	struct caps_outgoing out;
	uint64_t unused;
	int error = prepare(port, request, &out);

	if (error != 0)
		return error;
	pthread_mutex_lock(&port->lock);
	error = put(port, request, &out, id != NULL ? id : &unused);
	pthread_mutex_unlock(&port->lock);
	caps_outgoing_finish(&out);
	return error;
}

/* ---- taking ---- */

static struct caps_exchange *find(const struct caps_client *client, uint64_t id)
{
	struct caps_node *node = caps_table_find(&client->table, id);

	return node == NULL ? NULL : base_container_of(node, struct caps_exchange, node);
}

static int take(struct caps_client *client, struct caps_exchange *exchange,
		struct caps_receipt *receipt)
{
	struct caps_message *message = receipt->message;
	int error = 0;

	if (exchange->parcel == NULL) {
		struct caps_wire_header none = {0};

		caps_wire_header_set_id(&none, exchange->node.id);
		caps_wire_header_set_operation(&none, exchange->operation);
		caps_wire_header_set_error(&none, exchange->error);
		caps_message_start(message, &none, NULL, 0);
	} else {
		error = caps_parcel_open(exchange->parcel, message, receipt->buffer,
					 receipt->capacity);
	}
	if (error != 0)
		return error;
	message->kind = CAPS_REPLY;
	message->user = exchange->user;
	message->sender = client->peer.credentials;
	caps_exchange_dispose(client, exchange);
	caps_client_ring(client);
	return 0;
}

/* Records are found again after each step, as another thread may have taken them. */
static int wait_for(struct caps_port *port, struct caps_receipt *receipt, uint64_t deadline)
{
	struct caps_client *client = &port->client;
	int error = 0;

	for (;;) {
		struct caps_exchange *exchange = find(client, receipt->id);

		if (exchange == NULL || exchange->dropped)
			return base_error(ENOENT, "there is no message %llu",
					  (unsigned long long)receipt->id);
		if (exchange->state == CAPS_DONE)
			return take(client, exchange, receipt);
		if (error == -ETIMEDOUT)
			return base_error(ETIMEDOUT, "message %llu is still under way",
					  (unsigned long long)receipt->id);
		exchange->waiters++;
		error = caps_client_step(port, deadline, receipt);
		if (receipt->delivered)
			return 0;
		exchange = find(client, receipt->id);
		if (exchange != NULL)
			exchange->waiters--;
	}
}

int caps_wait(struct caps_port *port, uint64_t id, struct caps_message *message, void *buffer,
	      size_t capacity, int timeout_ms)
{
	struct caps_receipt receipt = {
		.id = id, .message = message, .buffer = buffer, .capacity = capacity};
	int error = caps_port_check(port, false);

	if (error != 0)
		return error;
	pthread_mutex_lock(&port->lock);
	error = wait_for(port, &receipt, caps_deadline(timeout_ms));
	pthread_mutex_unlock(&port->lock);
	return error;
}

static struct caps_exchange *find_done(const struct caps_client *client)
{
	base_list_for_each (link, &client->done) {
		struct caps_exchange *exchange = base_list_entry(link, struct caps_exchange, link);

		if (exchange->waiters == 0)
			return exchange;
	}
	return NULL;
}

static int get(struct caps_port *port, struct caps_receipt *receipt, uint64_t deadline)
{
	struct caps_client *client = &port->client;
	int error = 0;

	for (;;) {
		struct caps_exchange *exchange = find_done(client);

		if (exchange != NULL)
			return take(client, exchange, receipt);
		if (client->end_error != 0)
			return ended(client);
		if (client->table.count == 0)
			return base_error(ENOENT, "no message is under way");
		if (error == -ETIMEDOUT)
			return base_error(ETIMEDOUT, "no message has completed");
		error = caps_client_step(port, deadline, receipt);
		if (receipt->delivered)
			return 0;
	}
}

int caps_client_get(struct caps_port *port, struct caps_message *message, void *buffer,
		    size_t capacity, int timeout_ms)
{
	struct caps_receipt receipt = {.message = message, .buffer = buffer, .capacity = capacity};
	int error;

	pthread_mutex_lock(&port->lock);
	error = get(port, &receipt, caps_deadline(timeout_ms));
	pthread_mutex_unlock(&port->lock);
	return error;
}

/* ---- aborting ---- */

static int forward_abort(struct caps_client *client, const struct caps_exchange *exchange)
{
	struct caps_wire_header header;
	int error;

	caps_wire_header_init(&header);
	caps_wire_header_set_kind(&header, CAPS_WIRE_PACKET_ABORT);
	caps_wire_header_set_id(&header, exchange->node.id);
	error = caps_packet_send(client->fd, &header, NULL, NULL, 0);
	if (error == -EAGAIN)
		return base_error(EAGAIN, "the socket is full");
	/* Without a service the end of the connection completes it. */
	return CAPS_ABORT_FORWARDED;
}

static int abort_locked(struct caps_client *client, uint64_t id)
{
	struct caps_exchange *exchange = find(client, id);

	if (exchange == NULL || exchange->dropped)
		return CAPS_ABORT_NOT_FOUND;
	switch (exchange->state) {
	case CAPS_QUEUED:
		caps_exchange_complete(client, exchange, -ECANCELED);
		caps_client_ring(client);
		return CAPS_ABORT_ABORTED;
	case CAPS_SENT:
		return forward_abort(client, exchange);
	case CAPS_DONE:
		break;
	}
	return CAPS_ABORT_DONE;
}

int caps_abort(struct caps_port *port, uint64_t id)
{
	int result = caps_port_check(port, false);

	if (result != 0)
		return result;
	pthread_mutex_lock(&port->lock);
	result = abort_locked(&port->client, id);
	caps_port_changed(port);
	pthread_mutex_unlock(&port->lock);
	return result;
}

/* ---- calling ---- */

static void drop(struct caps_client *client, uint64_t id)
{
	struct caps_exchange *exchange = find(client, id);

	if (exchange == NULL)
		return;
	if (exchange->state == CAPS_SENT)
		forward_abort(client, exchange);
	exchange->dropped = true;
	if (exchange->state != CAPS_SENT)
		caps_exchange_dispose(client, exchange);
}

static int put_in_time(struct caps_port *port, const struct caps_request *request,
		       struct caps_outgoing *out, uint64_t deadline, uint64_t *id)
{
	int error = put(port, request, out, id);

	while (error == -EAGAIN) {
		if (caps_client_step(port, deadline, NULL) == -ETIMEDOUT)
			return base_error(ETIMEDOUT, "no credit to send a message");
		error = put(port, request, out, id);
	}
	return error;
}

static int call(struct caps_port *port, const struct caps_request *request,
		struct caps_outgoing *out, struct caps_receipt *receipt, uint64_t deadline)
{
	int error = put_in_time(port, request, out, deadline, &receipt->id);

	if (error != 0)
		return error;
	error = wait_for(port, receipt, deadline);
	if (error == -ETIMEDOUT)
		drop(&port->client, receipt->id);
	if (error == -EMSGSIZE)
		receipt->message->id = receipt->id;
	return error;
}

int caps_call(struct caps_port *port, const struct caps_request *request,
	      struct caps_message *message, void *buffer, size_t capacity, int timeout_ms)
{
	struct caps_receipt receipt = {.message = message, .buffer = buffer, .capacity = capacity};
	struct caps_outgoing out;
	int error = prepare(port, request, &out);

	if (error != 0)
		return error;
	pthread_mutex_lock(&port->lock);
	error = call(port, request, &out, &receipt, caps_deadline(timeout_ms));
	pthread_mutex_unlock(&port->lock);
	caps_outgoing_finish(&out);
	return error;
}

/* ---- generations ---- */

int caps_generation(struct caps_port *port, uint64_t *generation, int timeout_ms)
{
	const uint64_t deadline = caps_deadline(timeout_ms);
	const _Atomic uint64_t *published;
	int error = caps_port_check(port, false);

	if (error != 0)
		return error;
	pthread_mutex_lock(&port->lock);
	while (error == 0 && port->client.generation == NULL)
		error = caps_client_step(port, deadline, NULL);
	published = port->client.generation;
	pthread_mutex_unlock(&port->lock);
	if (published == NULL)
		return base_error(-error, "the service has not greeted");
	*generation = atomic_load_explicit(published, memory_order_acquire);
	return 0;
}
