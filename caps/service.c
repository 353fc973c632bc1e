/* SPDX-License-Identifier: MIT */
/*
 * A service's port: requests in, one from each client that has some before the next of any, and
 * replies out. connection.c has what happens to connections.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "caps_internal.h"

#define MAX_WINDOW      65535
#define DEFAULT_CLIENTS 1024
#define DEFAULT_UNREAD  (1U << 20)
/* Requests that come from the only client between two looks around. */
#define DIRECT_BATCH 64
/* The timeout of a socket may last this long. */
#define DIRECT_LEAST_MS 20
#define ALL_ACCESS      (CAPS_ACCESS_USER | CAPS_ACCESS_GROUP | CAPS_ACCESS_WORLD)

/* ---- life ---- */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
	return value != 0 ? value : otherwise;
}

static int take_options(struct caps_port *port, struct caps_service_options *options)
{
	struct caps_service *service = &port->service;

	if (options->size != sizeof(*options))
		return base_error(EINVAL, "service options of %u bytes; %zu", options->size,
				  sizeof(*options));
	options->access = or_default(options->access, CAPS_ACCESS_USER);
	if ((options->access & ~(uint32_t)ALL_ACCESS) != 0)
		return base_error(EINVAL, "access %#x; any of %#x", options->access, ALL_ACCESS);
	service->window = or_default(options->window, CAPS_WINDOW);
	if (service->window < CAPS_MIN_WINDOW || service->window > MAX_WINDOW)
		return base_error(EINVAL, "a window of %u; %d to %d", service->window,
				  CAPS_MIN_WINDOW, MAX_WINDOW);
	service->access = options->access;
	service->group = options->group;
	service->max_clients = or_default(options->max_clients, DEFAULT_CLIENTS);
	service->max_unread_bytes = or_default(options->max_unread_bytes, DEFAULT_UNREAD);
	service->description = options->description;
	port->operations = options->operations;
	port->operation_count = options->operation_count;
	return 0;
}

static int watch(struct caps_service *service, int fd, uint64_t what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};

	return epoll_ctl(service->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int open_descriptors(struct caps_service *service)
{
	int error;

	service->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (service->epoll < 0)
		return base_error_errno(errno, "cannot make a port");
	error = caps_spare_take();
	if (error != 0)
		return base_error_errno(-error, "cannot make a port");
	service->has_spare = true;
	return 0;
}

static int make_bell(struct caps_service *service)
{
	const int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int error;

	if (bell < 0)
		return base_error_errno(errno, "cannot make a bell");
	error = watch(service, bell, CAPS_EVENT_BELL);
	if (error != 0) {
		close(bell);
		return base_error_errno(-error, "cannot make a bell");
	}
	service->bell = bell;
	return 0;
}

int caps_service_receive_clients(struct caps_service *service)
{
	int error = service->bell >= 0 ? 0 : make_bell(service);

	if (error != 0 || service->generation != NULL)
		return error;
	error = caps_generation_create(&service->generation, &service->generation_fd);
	if (error == 0)
		atomic_store_explicit(service->generation, service->published,
				      memory_order_relaxed);
	return error;
}

static int start_listening(struct caps_service *service, const char *name,
			   const struct caps_service_options *options)
{
	int error = caps_check_name(name);

	if (error != 0)
		return error;
	service->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (service->listener < 0 || caps_want_credentials(service->listener) != 0)
		return base_error_errno(errno, "cannot make a socket");
	error = caps_register(service->listener, name, options, &service->registration);
	return error != 0 ? error : watch(service, service->listener, CAPS_EVENT_LISTENER);
}

static int init(struct caps_port *port, const char *name, struct caps_service_options *options)
{
	struct caps_service *service = &port->service;
	int error;

	service->epoll = service->bell = service->listener = -1;
	service->generation_fd = -1;
	service->next_connection = CAPS_FIRST_ID;
	base_list_init(&service->connections);
	base_list_init(&service->spare);
	base_list_init(&service->notices);
	base_list_init(&service->kept);
	error = take_options(port, options);
	if (error == 0)
		error = caps_table_init(&service->table);
	if (error == 0)
		error = caps_table_init(&service->by_id);
	if (error == 0)
		error = open_descriptors(service);
	if (error == 0 && name != NULL)
		error = start_listening(service, name, options);
	else if (error == 0)
		error = make_bell(service);
	return error;
}

int caps_serve(const char *name, const struct caps_service_options *options,
	       struct caps_port **port)
{
	struct caps_service_options own = {.size = sizeof(own)};
	struct caps_port *made;
	int error = caps_port_create(true, &made);

	if (error != 0)
		return error;
	if (options != NULL)
		own = *options;
	error = init(made, name, &own);
	if (error != 0) {
		caps_service_finish(made);
		caps_port_free(made);
		return error;
	}
	caps_port_publish(made);
	*port = made;
	return 0;
}

int caps_attach(struct caps_port *port, int fd)
{
	int error = caps_port_check(port, true);

	if (error != 0)
		return error;
	if (caps_want_credentials(fd) != 0)
		return base_error_errno(errno, "descriptor %d is no Unix socket", fd);
	pthread_mutex_lock(&port->lock);
	error = atomic_load(&port->closed) ? base_error(ENOTCONN, "the port is closed")
					   : caps_connection_add(&port->service, fd, true);
	pthread_mutex_unlock(&port->lock);
	return error;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_own(struct caps_service *service)
{
	close_fd(&service->epoll);
	close_fd(&service->bell);
	close_fd(&service->listener);
	close_fd(&service->generation_fd);
}

void caps_service_abandon(struct caps_port *port)
{
	struct caps_service *service = &port->service;

	base_list_for_each (link, &service->connections)
		close_fd(&base_list_entry(link, struct caps_connection, link)->fd);
	close_own(service);
}

void caps_service_close(struct caps_port *port)
{
	struct caps_service *service = &port->service;

	pthread_mutex_lock(&port->lock);
	service->closing = true;
	caps_service_ring(service);
	/* Wakes who waits where there is no bell yet. */
	if (service->bell < 0)
		shutdown(service->listener, SHUT_RDWR);
	while (port->receiving)
		caps_port_sleep(port, CAPS_NEVER);
	caps_unregister(&service->registration);
	close_fd(&service->listener);
	while (!base_list_is_empty(&service->connections))
		caps_connection_close(service, base_list_entry(service->connections.next,
							       struct caps_connection, link));
	caps_port_changed(port);
	pthread_mutex_unlock(&port->lock);
}

static void free_spare(struct caps_service *service)
{
	struct base_list *link;

	while ((link = base_list_pop_front(&service->spare)) != NULL)
		free(base_list_entry(link, struct caps_pending, link));
}

/* In the child of a fork nobody is to be told. */
static void forget_all(struct caps_service *service)
{
	while (!base_list_is_empty(&service->connections))
		caps_connection_forget(service, base_list_entry(service->connections.next,
								struct caps_connection, link));
}

void caps_service_finish(struct caps_port *port)
{
	struct caps_service *service = &port->service;

	forget_all(service);
	free_spare(service);
	/* In the child of a fork the name is the parent's. */
	if (atomic_load(&port->forked))
		free(service->registration);
	else
		caps_unregister(&service->registration);
	if (service->has_spare)
		caps_spare_drop();
	close_own(service);
	caps_table_finish(&service->table);
	caps_table_finish(&service->by_id);
	caps_generation_unmap(service->generation);
}

void caps_publish(struct caps_port *port, uint64_t generation)
{
	struct caps_service *service = &port->service;

	if (caps_port_check(port, true) != 0)
		return;
	pthread_mutex_lock(&port->lock);
	service->published = generation;
	if (service->generation != NULL)
		atomic_store_explicit(service->generation, generation, memory_order_release);
	pthread_mutex_unlock(&port->lock);
}

/* ---- requests ---- */

void caps_service_ring(struct caps_service *service)
{
	caps_bell(service->bell, &service->rung,
		  service->closing || !base_list_is_empty(&service->notices) ||
			  !base_list_is_empty(&service->kept));
}

/** What a request that came in goes through. */
struct arrival {
	struct caps_connection *connection;
	struct caps_packet packet;
	struct caps_room room;
	struct caps_mapping *mapping;
};

static struct caps_pending *take_pending(struct caps_service *service)
{
	struct base_list *link = base_list_pop_front(&service->spare);

	if (link != NULL)
		return base_list_entry(link, struct caps_pending, link);
	return malloc(sizeof(struct caps_pending));
}

static struct caps_pending *add_pending(struct caps_service *service, const struct arrival *arrival)
{
	struct caps_connection *connection = arrival->connection;
	struct caps_pending *pending = take_pending(service);

	if (pending == NULL)
		return NULL;
	*pending = (struct caps_pending){
		.node.id = ++service->next_id,
		.connection = connection,
		.client_id = caps_wire_header_id(&arrival->packet.header),
		.operation = caps_wire_header_operation(&arrival->packet.header)};
	base_list_init(&pending->notice);
	base_list_push_back(&connection->pending, &pending->link);
	connection->outstanding++;
	caps_table_add(&service->table, &pending->node);
	return pending;
}

static int take_memory(struct arrival *arrival)
{
	struct caps_packet *packet = &arrival->packet;
	int error;

	if (packet->lost_fds)
		return -EMFILE;
	if ((caps_wire_header_flags(&packet->header) & CAPS_WIRE_PACKET_FLAG_MEMORY) == 0)
		return 0;
	error = caps_memory_map(&arrival->connection->recent, packet->fds[0],
				caps_wire_header_length(&packet->header), &arrival->mapping);
	if (error != 0)
		return error;
	caps_close_fds(packet->fds, 1);
	packet->fd_count--;
	memmove(packet->fds, packet->fds + 1, packet->fd_count * sizeof(int));
	return 0;
}

/* What the description says of a request; 0 without one. */
static int check_request(const struct caps_port *port, const struct caps_packet *packet,
			 const void *data)
{
	const size_t length = (size_t)caps_wire_header_length(&packet->header);
	const struct wire_operation *operation;
	struct wire_fault fault;

	if (port->operations == NULL)
		return 0;
	operation = caps_operation(port, caps_wire_header_operation(&packet->header));
	if (operation == NULL)
		return -ENOSYS;
	if (packet->fd_count != operation->fds)
		return -EBADMSG;
	if (operation->request_check == NULL)
		return length == 0 ? 0 : -EBADMSG;
	return operation->request_check(data, length, &fault) < 0 ? -EBADMSG : 0;
}

static int describe(struct caps_service *service, struct caps_pending *pending)
{
	struct caps_connection *connection = pending->connection;
	const struct caps_content content = {.data = service->description,
					     .length = strlen(service->description)};
	struct caps_outgoing out;
	int error = caps_outgoing_init(&out, &content);

	if (error != 0)
		return error;
	caps_wire_header_set_kind(&out.header, CAPS_WIRE_PACKET_REPLY);
	caps_wire_header_set_id(&out.header, pending->client_id);
	caps_pending_dispose(service, pending);
	error = caps_connection_send(service, connection, &out);
	caps_outgoing_finish(&out);
	if (error != 0)
		caps_connection_cut(service, connection);
	return 0;
}

/* Whether the port itself has an answer; nothing is left of the request then. */
static bool answer_here(struct caps_port *port, struct caps_pending *pending,
			struct arrival *arrival, const void *data)
{
	struct caps_service *service = &port->service;
	const uint32_t code = pending->operation;
	int error = 0;

	if (code == CAPS_DESCRIBE && service->description != NULL)
		error = describe(service, pending);
	else if (code >= CAPS_RESERVED_OPERATIONS)
		error = -ENOSYS;
	else {
		error = check_request(port, &arrival->packet, data);
		if (error == 0)
			return false;
	}
	if (error != 0)
		caps_pending_answer(service, pending, error);
	return true;
}

static void fill(struct caps_message *message, const struct caps_pending *pending)
{
	message->id = pending->node.id;
	message->kind = CAPS_REQUEST;
	message->operation = pending->operation;
	message->error = 0;
	message->sender = pending->connection->peer.credentials;
}

/* The request goes to the program: 1, or is kept until it has a larger buffer: 0. */
static int hand_over(struct caps_service *service, struct caps_pending *pending,
		     struct arrival *arrival, struct caps_message *message)
{
	struct caps_packet *packet = &arrival->packet;

	if (caps_inline_bytes(&packet->header) > arrival->room.capacity) {
		base_list_push_back(&service->kept, &pending->notice);
		caps_service_ring(service);
		return 0;
	}
	caps_message_start(message, &packet->header, packet->fds, packet->fd_count);
	packet->fd_count = 0;
	message->data = arrival->mapping != NULL ? arrival->mapping->data : arrival->room.buffer;
	message->mapping = arrival->mapping;
	arrival->mapping = NULL;
	pending->got = true;
	fill(message, pending);
	return 1;
}

/* As hand_over(), or 0 where the port answered itself. */
static int take_request(struct caps_port *port, struct arrival *arrival,
			struct caps_message *message)
{
	struct caps_service *service = &port->service;
	const bool is_large = caps_inline_bytes(&arrival->packet.header) > arrival->room.capacity;
	struct caps_pending *pending = add_pending(service, arrival);
	const void *data = arrival->room.buffer;
	int error;

	if (pending == NULL)
		return -ENOMEM;
	error = take_memory(arrival);
	if (error == 0 && is_large) {
		pending->parcel = caps_parcel_keep(&arrival->packet, &arrival->room, NULL);
		error = pending->parcel == NULL ? -ENOMEM : 0;
	}
	if (error != 0) {
		caps_pending_answer(service, pending, error);
		return 0;
	}
	if (arrival->mapping != NULL)
		data = arrival->mapping->data;
	else if (is_large)
		data = pending->parcel->data;
	if (answer_here(port, pending, arrival, data))
		return 0;
	return hand_over(service, pending, arrival, message);
}

static void take_abort(struct caps_service *service, struct caps_connection *connection,
		       uint64_t client_id)
{
	base_list_for_each (link, &connection->pending) {
		struct caps_pending *pending = base_list_entry(link, struct caps_pending, link);

		if (pending->client_id != client_id)
			continue;
		if (!pending->got) {
			caps_pending_answer(service, pending, -ECANCELED);
		} else if (!pending->aborted) {
			pending->aborted = true;
			base_list_push_back(&service->notices, &pending->notice);
		}
		caps_service_ring(service);
		return;
	}
}

/* 1: @message is filled in; 0; negative: the connection is to be cut. */
static int take_packet(struct caps_port *port, struct arrival *arrival,
		       struct caps_message *message)
{
	struct caps_connection *connection = arrival->connection;
	const struct caps_wire_header *header = &arrival->packet.header;
	const unsigned kind = caps_wire_header_kind(header);
	const uint64_t id = caps_wire_header_id(header);
	const int error = caps_peer_verify(&connection->peer, &arrival->packet.sender);

	if (error != 0)
		return error;
	if (kind == CAPS_WIRE_PACKET_ABORT) {
		take_abort(&port->service, connection, id);
		return 0;
	}
	/* Ids that go back are another's, or somebody's mistake; none of ours sends them. */
	if (kind != CAPS_WIRE_PACKET_REQUEST || id <= connection->last_id ||
	    connection->outstanding >= port->service.window)
		return -EPROTO;
	connection->last_id = id;
	return take_request(port, arrival, message);
}

static struct caps_connection *find_connection(const struct caps_service *service, uint64_t id)
{
	struct caps_node *node = caps_table_find(&service->by_id, id);

	return node == NULL ? NULL : base_container_of(node, struct caps_connection, node);
}

/* What came of receiving from connection @id: 1 as take_packet(), or 0. */
static int take_received(struct caps_port *port, uint64_t id, int received, struct arrival *arrival,
			 struct caps_message *message)
{
	struct caps_service *service = &port->service;
	int result = received == 0 ? -ENOTCONN : received;

	if (received == -EAGAIN || received == -EINTR)
		return 0;
	/* Answering may have cut it meanwhile. */
	arrival->connection = find_connection(service, id);
	if (received > 0 && arrival->connection != NULL)
		result = take_packet(port, arrival, message);
	caps_mapping_release(arrival->mapping);
	caps_close_fds(arrival->packet.fds, arrival->packet.fd_count);
	if (result < 0 && find_connection(service, id) != NULL)
		caps_connection_cut(service, arrival->connection);
	return arrival->connection != NULL && result > 0;
}

static int receive(struct caps_port *port, struct caps_connection *connection,
		   struct caps_message *message, const struct caps_room *room)
{
	struct arrival arrival = {.room = *room};
	const int received =
		caps_packet_receive(connection->fd, MSG_DONTWAIT, &arrival.packet, room);

	port->service.direct_left = DIRECT_BATCH;
	return take_received(port, connection->node.id, received, &arrival, message);
}

/* ---- the only connection ---- */

/*
 * A service with one client that has just asked waits for its next request at its socket, which
 * saves asking epoll; all else waits meanwhile: for a tick of the system, or DIRECT_BATCH requests.
 */
static struct caps_connection *the_only_one(const struct caps_service *service, uint64_t deadline)
{
	struct caps_connection *connection;

	if (service->direct_left == 0 || service->connection_count != 1)
		return NULL;
	connection = base_list_entry(service->connections.next, struct caps_connection, link);
	if (connection->fd < 0 || connection->wants_out)
		return NULL;
	if (deadline != CAPS_NEVER && caps_remaining_ms(deadline) < DIRECT_LEAST_MS)
		return NULL;
	return connection;
}

static bool set_timeout(struct caps_connection *connection)
{
	const struct timeval shortest = {.tv_usec = 1000};

	if (!connection->is_timed)
		connection->is_timed = setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO,
						  &shortest, sizeof(shortest)) == 0;
	return connection->is_timed;
}

/* As receive(), but waits, alone. */
static int receive_directly(struct caps_port *port, struct caps_connection *connection,
			    struct caps_message *message, const struct caps_room *room)
{
	struct caps_service *service = &port->service;
	const uint64_t id = connection->node.id;
	const int fd = connection->fd;
	struct arrival arrival = {.room = *room};
	int received;

	port->receiving = true;
	pthread_mutex_unlock(&port->lock);
	received = caps_packet_receive(fd, 0, &arrival.packet, room);
	pthread_mutex_lock(&port->lock);
	service->direct_left = received > 0 ? service->direct_left - 1 : 0;
	caps_port_received(port);
	return take_received(port, id, received, &arrival, message);
}

/* ---- events ---- */

static int take_event(struct caps_port *port, const struct epoll_event *event,
		      struct caps_message *message, const struct caps_room *room)
{
	struct caps_service *service = &port->service;
	struct caps_connection *connection;

	if (event->data.u64 == CAPS_EVENT_LISTENER)
		caps_service_accept(service);
	if (event->data.u64 < CAPS_FIRST_ID)
		return 0;
	connection = find_connection(service, event->data.u64);
	if (connection == NULL)
		return 0;
	if ((event->events & EPOLLOUT) != 0 && caps_connection_flush(service, connection) != 0) {
		caps_connection_cut(service, connection);
		return 0;
	}
	if ((event->events & ~(uint32_t)EPOLLOUT) == 0)
		return 0;
	return receive(port, connection, message, room);
}

/* Waits for events, alone. */
static int fetch_events(struct caps_port *port, uint64_t deadline)
{
	struct caps_service *service = &port->service;
	const int wait_ms = deadline == CAPS_NEVER ? -1 : caps_remaining_ms(deadline);
	int count;

	port->receiving = true;
	pthread_mutex_unlock(&port->lock);
	count = epoll_wait(service->epoll, service->ready, CAPS_BATCH, wait_ms);
	pthread_mutex_lock(&port->lock);
	service->ready_at = 0;
	service->ready_count = count < 0 ? 0 : (unsigned)count;
	caps_port_received(port);
	return count == 0 && wait_ms >= 0 && base_now_ns() >= deadline ? -ETIMEDOUT : 0;
}

/* What needs no packet: 1, 0, or -EMSGSIZE. */
static int take_stored(struct caps_service *service, struct caps_message *message, void *buffer,
		       size_t capacity)
{
	struct caps_pending *pending;
	int error;

	if (!base_list_is_empty(&service->notices)) {
		pending = base_list_entry(service->notices.next, struct caps_pending, notice);
		base_list_remove(&pending->notice);
		caps_message_start(message, &(struct caps_wire_header){0}, NULL, 0);
		fill(message, pending);
		message->kind = CAPS_ABORT;
		caps_service_ring(service);
		return 1;
	}
	if (base_list_is_empty(&service->kept))
		return 0;
	pending = base_list_entry(service->kept.next, struct caps_pending, notice);
	error = caps_parcel_open(pending->parcel, message, buffer, capacity);
	if (error != 0)
		return error;
	base_list_remove(&pending->notice);
	caps_parcel_free(pending->parcel);
	pending->parcel = NULL;
	pending->got = true;
	fill(message, pending);
	caps_service_ring(service);
	return 1;
}

static int get(struct caps_port *port, struct caps_message *message, const struct caps_room *room,
	       uint64_t deadline)
{
	struct caps_service *service = &port->service;
	struct caps_connection *only;
	int error = 0;

	for (;;) {
		int result = take_stored(service, message, room->buffer, room->capacity);

		while (result == 0 && service->ready_at < service->ready_count && !port->receiving)
			result = take_event(port, &service->ready[service->ready_at++], message,
					    room);
		if (result != 0)
			return result < 0 ? result : 0;
		if (atomic_load_explicit(&port->closed, memory_order_relaxed))
			return base_error(ENOTCONN, "the port is closed");
		if (!base_list_is_empty(&service->kept) || !base_list_is_empty(&service->notices))
			continue;
		if (error == -ETIMEDOUT)
			return base_error(ETIMEDOUT, "no request has come");
		only = port->receiving ? NULL : the_only_one(service, deadline);
		if (only != NULL && set_timeout(only)) {
			if (receive_directly(port, only, message, room) > 0)
				return 0;
		} else if (port->receiving) {
			error = caps_port_sleep(port, deadline) ? 0 : -ETIMEDOUT;
		} else {
			error = fetch_events(port, deadline);
		}
	}
}

int caps_service_get(struct caps_port *port, struct caps_message *message, void *buffer,
		     size_t capacity, int timeout_ms)
{
	const struct caps_room room = {
		.buffer = buffer, .capacity = capacity, .spill = port->spill};
	int error;

	pthread_mutex_lock(&port->lock);
	error = get(port, message, &room, caps_deadline(timeout_ms));
	pthread_mutex_unlock(&port->lock);
	return error;
}

/* ---- replies ---- */

static struct caps_pending *find_got(const struct caps_service *service, uint64_t id)
{
	struct caps_node *node = caps_table_find(&service->table, id);
	struct caps_pending *pending =
		node == NULL ? NULL : base_container_of(node, struct caps_pending, node);

	return pending != NULL && pending->got ? pending : NULL;
}

static int reply(struct caps_port *port, uint64_t id, struct caps_outgoing *out)
{
	struct caps_service *service = &port->service;
	struct caps_pending *pending = find_got(service, id);
	struct caps_connection *connection;
	int error;

	if (pending == NULL)
		return base_error(ENOENT, "there is no request %llu to answer",
				  (unsigned long long)id);
	connection = pending->connection;
	caps_wire_header_set_kind(&out->header, CAPS_WIRE_PACKET_REPLY);
	caps_wire_header_set_id(&out->header, pending->client_id);
	caps_wire_header_set_operation(&out->header, pending->operation);
	error = connection->fd < 0 ? -ECONNRESET : caps_connection_send(service, connection, out);
	if (error == -ENOTCONN)
		caps_connection_cut(service, connection);
	if (error == -ENOTCONN || error == -ECONNRESET)
		error = base_error(ECONNRESET, "the client of request %llu is gone",
				   (unsigned long long)id);
	if (error == 0 || error == -ECONNRESET) {
		caps_pending_dispose(service, pending);
		caps_service_ring(service);
	}
	return error;
}

static const struct caps_answer nothing;

int caps_reply(struct caps_port *port, struct caps_message *request,
	       const struct caps_answer *answer)
{
	const struct caps_answer *what = answer != NULL ? answer : &nothing;
	const struct caps_content content = {.data = what->data,
					     .length = what->length,
					     .memory = what->memory,
					     .fds = what->fds,
					     .fd_count = what->fd_count};
	struct caps_outgoing out;
	int error = caps_port_check(port, true);

	if (error == 0)
		error = caps_outgoing_init(&out, &content);
	if (error != 0)
		return error;
	caps_wire_header_set_error(&out.header, what->error);
	pthread_mutex_lock(&port->lock);
	error = atomic_load(&port->closed) ? base_error(ENOTCONN, "the port is closed")
					   : reply(port, request->id, &out);
	pthread_mutex_unlock(&port->lock);
	caps_outgoing_finish(&out);
	if (error == 0 || error == -ECONNRESET)
		caps_release(request);
	return error;
}

/* ---- who sent it ---- */

int caps_pidfd(struct caps_port *port, const struct caps_message *message)
{
	const struct caps_pending *pending;
	int result = caps_port_check(port, port->is_service);

	if (result != 0)
		return result;
	pthread_mutex_lock(&port->lock);
	pending = port->is_service ? find_got(&port->service, message->id) : NULL;
	if (!port->is_service)
		result = caps_peer_pidfd(&port->client.peer, port->client.fd);
	else if (pending != NULL)
		result = caps_peer_pidfd(&pending->connection->peer, pending->connection->fd);
	else
		result = base_error(ESRCH, "request %llu was answered",
				    (unsigned long long)message->id);
	pthread_mutex_unlock(&port->lock);
	return result;
}
