/* SPDX-License-Identifier: MIT */
/*
 * New clients. Queue 0 accepts them and gives each to the queue that has the fewest; the limit on
 * their number is kept by closing what is too many at once, so that it never blocks the others.
 */
#include "base/clock.h"
#include "base/error.h"
#include "nbd_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/** Clients accepted in one go, so that a flood of them does not keep requests waiting. */
#define ACCEPT_BATCH 64
/** How long accepting rests when descriptors or memory are out. */
#define ACCEPT_REST_MS 100
/** Room for a large reply in a Unix socket; the system may give less. */
#define SEND_BUFFER_BYTES (1 << 20)

static struct bdus_transport_queue *least_loaded(const struct bdus_transport_device *device)
{
	struct bdus_transport_queue *best = device->queues[0];

	for (unsigned i = 1; i < device->queue_count; i++) {
		if (atomic_load(&device->queues[i]->load) < atomic_load(&best->load))
			best = device->queues[i];
	}
	return best;
}

/** TCP: replies go out at once, and peers that vanished are noticed. */
static void set_up_socket(int fd)
{
	const int send_buffer = SEND_BUFFER_BYTES;
	const int yes = 1;
	int domain = AF_UNIX;
	socklen_t length = sizeof(domain);

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
	if (domain == AF_UNIX) {
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
}

static void hand_over(struct bdus_transport_queue *queue, struct nbd_connection *connection)
{
	pthread_mutex_lock(&queue->inbox_lock);
	base_list_push_back(&queue->inbox, &connection->link);
	pthread_mutex_unlock(&queue->inbox_lock);
	nbd_queue_wake(queue);
}

static void take_client(struct bdus_transport_queue *acceptor, int fd)
{
	struct bdus_transport_device *const device = acceptor->device;
	struct bdus_transport_queue *const queue = least_loaded(device);
	struct nbd_connection *connection;

	if (atomic_load(&device->connection_count) >= device->max_connections) {
		close(fd);
		return;
	}
	set_up_socket(fd);
	connection = nbd_connection_create(fd);
	if (connection == NULL)
		return;
	atomic_fetch_add(&device->connection_count, 1);
	atomic_fetch_add(&queue->load, 1);
	if (queue == acceptor)
		nbd_connection_adopt(connection, queue);
	else
		hand_over(queue, connection);
}

/** Accepts the clients that wait; false when descriptors or memory are out. */
static bool accept_some(struct nbd_listener *listener)
{
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		const int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			/* Else none waits any more, or this one was gone before it was accepted. */
			return errno != EMFILE && errno != ENFILE && errno != ENOMEM &&
			       errno != ENOBUFS;
		take_client(listener->queue, fd);
	}
	return true;
}

static void on_client(struct bdus_call *call)
{
	struct nbd_listener *const listener =
		base_container_of(call, struct nbd_listener, input.call);
	struct bdus_transport_queue *const queue = listener->queue;

	listener->input.armed = false;
	bdus_host_make_ready(queue->host);
	/* When the device ends, the socket was closed under a call that had completed. */
	if (listener->fd < 0)
		return;
	if (call->message.result >= 0 && accept_some(listener))
		nbd_queue_watch(queue, &listener->input, listener->fd, POLLIN);
	else
		queue->accept_again_ns = base_deadline_ns(ACCEPT_REST_MS);
}

void nbd_queue_listen(struct bdus_transport_queue *queue)
{
	struct bdus_transport_device *const device = queue->device;

	queue->accept_again_ns = 0;
	for (unsigned i = 0; i < device->listeners.count; i++) {
		struct nbd_listener *const listener = &device->accepting[i];

		listener->queue = queue;
		listener->fd = device->listeners.fds[i];
		listener->input.call.completed = on_client;
		nbd_queue_watch(queue, &listener->input, listener->fd, POLLIN);
	}
}

void nbd_queue_unlisten(struct bdus_transport_queue *queue)
{
	for (unsigned i = 0; i < NBD_LISTENERS; i++) {
		struct nbd_listener *const listener = &queue->device->accepting[i];

		listener->fd = -1;
		if (listener->input.armed)
			bdus_loop_cancel(queue->loop, &listener->input.call);
	}
}

void nbd_queue_take_inbox(struct bdus_transport_queue *queue)
{
	struct base_list *element;

	do {
		pthread_mutex_lock(&queue->inbox_lock);
		element = base_list_pop_front(&queue->inbox);
		pthread_mutex_unlock(&queue->inbox_lock);
		if (element != NULL)
			nbd_connection_adopt(base_list_entry(element, struct nbd_connection, link),
					     queue);
	} while (element != NULL);
}
