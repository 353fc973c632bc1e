/* SPDX-License-Identifier: MIT */
/*
 * A service's connections: accepted or refused, written to without waiting, and cut.
 *
 *	accepted ──greeted──▶ open ──cut──▶ lost ──last pending answered──▶ freed
 *	    └─refused                         └─nothing pending──────────────▶ freed
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "caps_internal.h"

/* Connections taken at once, so that a flood of them leaves time for messages. */
#define ACCEPT_BATCH 16

/* ---- cutting ---- */

static void free_connection(struct caps_service *service, struct caps_connection *connection)
{
	base_list_remove(&connection->link);
	caps_peer_finish(&connection->peer);
	caps_recent_finish(&connection->recent);
	service->connection_count--;
	free(connection);
}

static void drop_outbox(struct caps_connection *connection)
{
	struct base_list *link;

	while ((link = base_list_pop_front(&connection->outbox)) != NULL)
		caps_parcel_free(base_list_entry(link, struct caps_parcel, link));
	connection->outbox_bytes = 0;
}

/* What the program has is told as aborted; what it has not, it never sees. */
static void lose_pending(struct caps_service *service, struct caps_pending *pending)
{
	if (!pending->got) {
		caps_pending_dispose(service, pending);
	} else if (!pending->aborted) {
		pending->aborted = true;
		base_list_push_back(&service->notices, &pending->notice);
	}
}

void caps_connection_cut(struct caps_service *service, struct caps_connection *connection)
{
	struct base_list *next;

	caps_table_remove(&service->by_id, &connection->node);
	close(connection->fd);
	connection->fd = -1;
	drop_outbox(connection);
	/* Holds the connection until the end of the loop. */
	connection->outstanding++;
	for (struct base_list *link = connection->pending.next; link != &connection->pending;
	     link = next) {
		next = link->next;
		lose_pending(service, base_list_entry(link, struct caps_pending, link));
	}
	if (--connection->outstanding == 0)
		free_connection(service, connection);
	caps_service_ring(service);
}

/* As cutting, and nothing is left of it. */
void caps_connection_forget(struct caps_service *service, struct caps_connection *connection)
{
	connection->outstanding++;
	while (!base_list_is_empty(&connection->pending))
		caps_pending_dispose(service, base_list_entry(connection->pending.next,
							      struct caps_pending, link));
	drop_outbox(connection);
	if (caps_table_find(&service->by_id, connection->node.id) != NULL)
		caps_table_remove(&service->by_id, &connection->node);
	if (connection->fd >= 0)
		close(connection->fd);
	free_connection(service, connection);
}

void caps_connection_close(struct caps_service *service, struct caps_connection *connection)
{
	connection->outstanding++;
	while (connection->fd >= 0 && !base_list_is_empty(&connection->pending))
		caps_pending_answer(
			service,
			base_list_entry(connection->pending.next, struct caps_pending, link),
			-ESHUTDOWN);
	caps_connection_forget(service, connection);
}

/* ---- requests that end ---- */

void caps_pending_dispose(struct caps_service *service, struct caps_pending *pending)
{
	struct caps_connection *connection = pending->connection;

	caps_table_remove(&service->table, &pending->node);
	base_list_remove(&pending->link);
	base_list_remove(&pending->notice);
	caps_parcel_free(pending->parcel);
	pending->parcel = NULL;
	base_list_push_back(&service->spare, &pending->link);
	if (--connection->outstanding == 0 && connection->fd < 0)
		free_connection(service, connection);
}

void caps_pending_answer(struct caps_service *service, struct caps_pending *pending, int32_t error)
{
	struct caps_connection *connection = pending->connection;
	struct caps_outgoing out = {.own_fd = -1};

	caps_wire_header_init(&out.header);
	caps_wire_header_set_kind(&out.header, CAPS_WIRE_PACKET_REPLY);
	caps_wire_header_set_id(&out.header, pending->client_id);
	caps_wire_header_set_operation(&out.header, pending->operation);
	caps_wire_header_set_error(&out.header, error);
	caps_pending_dispose(service, pending);
	/* A client that cannot be told is told by the end of its connection. */
	if (caps_connection_send(service, connection, &out) != 0)
		caps_connection_cut(service, connection);
}

/* ---- writing ---- */

static void want_out(struct caps_service *service, struct caps_connection *connection, bool wants)
{
	struct epoll_event event = {.events = wants ? EPOLLIN | EPOLLOUT : EPOLLIN,
				    .data.u64 = connection->node.id};

	if (connection->wants_out == wants)
		return;
	connection->wants_out = wants;
	epoll_ctl(service->epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

static size_t parcel_bytes(const struct caps_parcel *parcel)
{
	return sizeof(*parcel) + caps_inline_bytes(&parcel->header);
}

int caps_connection_flush(struct caps_service *service, struct caps_connection *connection)
{
	while (!base_list_is_empty(&connection->outbox)) {
		struct caps_parcel *parcel =
			base_list_entry(connection->outbox.next, struct caps_parcel, link);
		const int error = caps_parcel_send(connection->fd, parcel);

		if (error == -EAGAIN)
			return 0;
		if (error != 0)
			return error;
		connection->outbox_bytes -= parcel_bytes(parcel);
		base_list_remove(&parcel->link);
		caps_parcel_free(parcel);
	}
	want_out(service, connection, false);
	return 0;
}

static int keep(struct caps_service *service, struct caps_connection *connection,
		const struct caps_outgoing *out)
{
	struct caps_parcel *parcel;
	const int error = caps_outgoing_keep(out, &parcel);

	if (error != 0)
		return error;
	if (connection->outbox_bytes + parcel_bytes(parcel) > service->max_unread_bytes) {
		caps_parcel_free(parcel);
		return base_error(ENOTCONN, "process %d leaves more than %u bytes unread",
				  (int)connection->peer.credentials.pid, service->max_unread_bytes);
	}
	connection->outbox_bytes += parcel_bytes(parcel);
	base_list_push_back(&connection->outbox, &parcel->link);
	want_out(service, connection, true);
	return 0;
}

int caps_connection_send(struct caps_service *service, struct caps_connection *connection,
			 const struct caps_outgoing *out)
{
	int error = -EAGAIN;

	if (base_list_is_empty(&connection->outbox))
		error = caps_packet_send(connection->fd, &out->header, out->data, out->fds,
					 out->fd_count);
	return error == -EAGAIN ? keep(service, connection, out) : error;
}

/* ---- accepting ---- */

static int greet(struct caps_service *service, int fd, int error)
{
	struct caps_wire_header header;

	caps_wire_header_init(&header);
	caps_wire_header_set_kind(&header, CAPS_WIRE_PACKET_HELLO);
	caps_wire_header_set_operation(&header, service->window);
	caps_wire_header_set_error(&header, error);
	if (error == 0)
		caps_wire_header_set_fd_count(&header, 1);
	return caps_packet_send(fd, &header, NULL, &service->generation_fd, error == 0 ? 1 : 0);
}

static int watch(struct caps_service *service, struct caps_connection *connection, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = connection->node.id};
	int error = caps_service_receive_clients(service);

	if (error == 0)
		error = greet(service, fd, 0);
	if (error == 0 && epoll_ctl(service->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		error = -errno;
	return error;
}

static int may_connect(const struct caps_service *service, const struct caps_peer *peer)
{
	const uid_t uid = peer->credentials.effective_uid;
	uint32_t of_user = 0;

	if (!caps_peer_may(peer, service->access, service->group))
		return -EACCES;
	if (service->connection_count >= service->max_clients)
		return -EBUSY;
	if (uid == 0 || uid == geteuid())
		return 0;
	base_list_for_each (link, &service->connections)
		of_user += base_list_entry(link, struct caps_connection, link)
				   ->peer.credentials.effective_uid == uid;
	return of_user >= (service->max_clients + 1) / 2 ? -EBUSY : 0;
}

static int init(struct caps_service *service, struct caps_connection *connection, int fd,
		bool learn)
{
	int error = caps_peer_init(&connection->peer, fd, learn);

	if (error != 0)
		return error;
	error = learn ? 0 : may_connect(service, &connection->peer);
	if (error != 0)
		greet(service, fd, error);
	else
		error = watch(service, connection, fd);
	if (error != 0)
		caps_peer_finish(&connection->peer);
	return error;
}

int caps_connection_add(struct caps_service *service, int fd, bool learn)
{
	struct caps_connection *connection = calloc(1, sizeof(*connection));
	int error;

	if (connection == NULL)
		return base_error(ENOMEM, "no memory for a connection");
	connection->node.id = service->next_connection++;
	base_list_init(&connection->pending);
	base_list_init(&connection->outbox);
	error = init(service, connection, fd, learn);
	if (error != 0) {
		free(connection);
		return error;
	}
	connection->fd = fd;
	caps_table_add(&service->by_id, &connection->node);
	base_list_push_back(&service->connections, &connection->link);
	service->connection_count++;
	return 0;
}

/*
 * Without descriptors a client would wait in the queue and the queue wake the service for ever: a
 * spare one is there to take it and let it go. It is all services' of the process.
 */
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned spare_users;
static int spare_fd = -1;

int caps_spare_take(void)
{
	int error = 0;

	pthread_mutex_lock(&spare_lock);
	if (spare_fd < 0)
		spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (spare_fd >= 0)
		spare_users++;
	else
		error = -errno;
	pthread_mutex_unlock(&spare_lock);
	return error;
}

void caps_spare_drop(void)
{
	pthread_mutex_lock(&spare_lock);
	/* In the child of a fork there is none any more. */
	if (spare_users > 0 && --spare_users == 0) {
		close(spare_fd);
		spare_fd = -1;
	}
	pthread_mutex_unlock(&spare_lock);
}

void caps_spare_abandon(void)
{
	pthread_mutex_init(&spare_lock, NULL);
	spare_users = 0;
	if (spare_fd >= 0)
		close(spare_fd);
	spare_fd = -1;
}

static void turn_away(struct caps_service *service)
{
	int fd = -1;

	pthread_mutex_lock(&spare_lock);
	if (spare_fd >= 0) {
		close(spare_fd);
		fd = accept4(service->listener, NULL, NULL, SOCK_CLOEXEC);
	}
	if (fd >= 0) {
		greet(service, fd, -EBUSY);
		close(fd);
	}
	if (spare_fd >= 0)
		spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pthread_mutex_unlock(&spare_lock);
}

void caps_service_accept(struct caps_service *service)
{
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		const int fd = accept4(service->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			turn_away(service);
		if (fd < 0)
			return;
		if (caps_connection_add(service, fd, false) != 0)
			close(fd);
	}
}
