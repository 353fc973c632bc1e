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
#include <sys/epoll.h>
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

/** Told once until a client is taken again: a flood of them is not to be one of lines. */
static void keep_away(struct bdus_transport_queue *acceptor, const char *why)
{
	if (!acceptor->keeps_away)
		bdus_log_tell(acceptor->device->log, BDUS_LOG_WARNINGS,
			      "%s: there are %u of %u clients", why,
			      atomic_load(&acceptor->device->connection_count),
			      acceptor->device->max_connections);
	acceptor->keeps_away = true;
}

static void take_client(struct bdus_transport_queue *acceptor, int fd)
{
	struct bdus_transport_device *const device = acceptor->device;
	struct bdus_transport_queue *const queue = least_loaded(device);
	struct nbd_connection *connection;

	if (atomic_load(&device->connection_count) >= device->max_connections) {
		keep_away(acceptor, "a client was turned away");
		close(fd);
		return;
	}
	acceptor->keeps_away = false;
	set_up_socket(fd);
	connection = nbd_connection_create(fd);
	if (connection == NULL)
		return;
	bdus_log_tell(device->log, BDUS_LOG_INFO, "a client came: now there are %u",
		      atomic_fetch_add(&device->connection_count, 1) + 1);
	atomic_fetch_add(&queue->load, 1);
	if (queue == acceptor)
		nbd_connection_adopt(connection, queue);
	else
		hand_over(queue, connection);
}

/** Accepts the clients that wait; false when descriptors or memory are out. */
static bool accept_some(struct bdus_transport_queue *queue, int listener)
{
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		/* The loop's calls wait without blocking; where nothing may wait, a flag says so.
		 */
		const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			/* Else none waits any more, or this one was gone before it was accepted. */
			return errno != EMFILE && errno != ENFILE && errno != ENOMEM &&
			       errno != ENOBUFS;
		take_client(queue, fd);
	}
	return true;
}

static void on_clients(struct bdus_call *call)
{
	struct bdus_transport_queue *const queue =
		base_container_of(call, struct bdus_transport_queue, accepting.call);
	const struct nbd_listeners *const listeners = &queue->device->listeners;
	bool accepted = call->message.result >= 0;

	queue->accepting.armed = false;
	bdus_host_make_ready(queue->host);
	for (unsigned i = 0; i < listeners->count && accepted; i++)
		accepted = accept_some(queue, listeners->fds[i]);
	if (accepted)
		nbd_queue_accept_again(queue);
	else if (!queue->stopping) {
		keep_away(queue, "clients wait for descriptors or memory of this process");
		queue->accept_again_ns = base_deadline_ns(ACCEPT_REST_MS);
	}
}

void nbd_queue_accept_again(struct bdus_transport_queue *queue)
{
	queue->accept_again_ns = 0;
	if (queue->device->accept_fd >= 0)
		nbd_queue_watch(queue, &queue->accepting, queue->device->accept_fd, POLLIN);
}

/*
 * The loop waits for the listening sockets through an epoll. The kernel lets go of what a ring
 * waits for only a while after the process was killed, and until then nobody else could listen
 * there.
 */
int nbd_queue_listen(struct bdus_transport_queue *queue)
{
	struct bdus_transport_device *const device = queue->device;
	struct epoll_event event = {.events = EPOLLIN};

	device->accept_fd = epoll_create1(EPOLL_CLOEXEC);
	if (device->accept_fd < 0)
		return base_error_errno(errno, "cannot create an epoll");
	for (unsigned i = 0; i < device->listeners.count; i++)
		if (epoll_ctl(device->accept_fd, EPOLL_CTL_ADD, device->listeners.fds[i], &event) !=
		    0)
			return base_error_errno(errno, "cannot watch a listening socket");
	queue->accepting.call.completed = on_clients;
	nbd_queue_accept_again(queue);
	return 0;
}

void nbd_queue_unlisten(struct bdus_transport_queue *queue)
{
	struct bdus_transport_device *const device = queue->device;

	nbd_listen_close(&device->listeners);
	if (queue->accepting.armed)
		bdus_loop_cancel(queue->loop, &queue->accepting.call);
	if (device->accept_fd >= 0)
		close(device->accept_fd);
	device->accept_fd = -1;
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
