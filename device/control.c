/* SPDX-License-Identifier: MIT */
/*
 * The control socket, both ends of it.
 *
 * On the serving side a peer lives until it has hung up and its flush, if it asked for one, is
 * done.
 */
#include "control.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "registry.h"
#include "wait.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MOST_PEERS    64
#define COMMAND_BYTES 32
/** How long a caller waits before it tries again to be let in. */
#define CONNECT_PAUSE_MS 5
#define ANSWER_BYTES     (BASE_ERROR_MESSAGE_BYTES + 32)

struct peer {
	struct bdus_control *control;
	struct base_list link;
	int fd;
	bool flushing;
	struct bdus_io flush;
};

struct bdus_control {
	struct bdus_queue *queue;
	void (*stop)(void *opaque);
	void *opaque;
	int epoll_fd;
	int listen_fd;
	unsigned peer_count;
	struct base_list peers;
	char path[128];
};

/* ---- the serving side ---------------------------------------------------------------------- */

static int fill_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address->sun_path))
		return base_error(ENAMETOOLONG, "the socket's name %s is longer than %zu bytes",
				  path, sizeof(address->sun_path) - 1);
	strcpy(address->sun_path, path);
	return 0;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address;
	const int result = fill_address(&address, path);
	int fd;

	if (result < 0)
		return result;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return base_error_errno(errno, "cannot create a control socket");
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(fd, MOST_PEERS) != 0) {
		const int error = errno;

		close(fd);
		return base_error_errno(error, "cannot listen at %s", path);
	}
	return fd;
}

static int watch(struct bdus_control *control, int fd, void *data)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};

	if (epoll_ctl(control->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return base_error_errno(errno, "cannot watch the control socket");
	return 0;
}

int bdus_control_create(uint64_t id, struct bdus_control **control)
{
	struct bdus_control *const made = calloc(1, sizeof(*made));
	int result;

	if (made == NULL)
		return base_error(ENOMEM, "no memory for a control socket");
	made->epoll_fd = -1;
	made->listen_fd = -1;
	base_list_init(&made->peers);
	result = bdus_registry_control_path(id, made->path, sizeof(made->path));
	if (result == 0)
		result = made->listen_fd = listen_at(made->path);
	if (result < 0) {
		bdus_control_destroy(made);
		return result;
	}
	*control = made;
	return 0;
}

int bdus_control_attach(struct bdus_control *control, int epoll_fd, struct bdus_queue *queue,
			void (*stop)(void *opaque), void *opaque)
{
	control->queue = queue;
	control->stop = stop;
	control->opaque = opaque;
	control->epoll_fd = epoll_fd;
	return watch(control, control->listen_fd, control);
}

static void drop_peer(struct peer *peer)
{
	struct bdus_control *const control = peer->control;

	/* Closing alone would not do: a child of the process may have the socket open as well. */
	if (peer->fd >= 0) {
		epoll_ctl(control->epoll_fd, EPOLL_CTL_DEL, peer->fd, NULL);
		close(peer->fd);
	}
	peer->fd = -1;
	if (peer->flushing)
		return;
	base_list_remove(&peer->link);
	control->peer_count--;
	free(peer);
}

void bdus_control_destroy(struct bdus_control *control)
{
	if (control == NULL)
		return;
	while (!base_list_is_empty(&control->peers))
		drop_peer(base_list_entry(control->peers.next, struct peer, link));
	if (control->listen_fd >= 0) {
		close(control->listen_fd);
		unlink(control->path);
	}
	free(control);
}

static bool peer_is_allowed(int fd)
{
	struct ucred who;
	socklen_t size = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

static void answer(struct peer *peer, int result, const char *message)
{
	char text[ANSWER_BYTES];
	const int length = snprintf(text, sizeof(text), "%d %s", result, message);
	/* A peer that hung up meanwhile gets no answer. */
	const ssize_t sent = send(peer->fd, text, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)sent;
}

static void accept_peer(struct bdus_control *control)
{
	const int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *peer;

	if (fd < 0)
		return;
	peer = calloc(1, sizeof(*peer));
	if (peer == NULL || control->peer_count >= MOST_PEERS || !peer_is_allowed(fd) ||
	    watch(control, fd, peer) < 0) {
		free(peer);
		close(fd);
		return;
	}
	peer->control = control;
	peer->fd = fd;
	base_list_push_back(&control->peers, &peer->link);
	control->peer_count++;
}

static void flush_finished(struct bdus_io *io)
{
	struct peer *const peer = base_container_of(io, struct peer, flush);

	peer->flushing = false;
	if (peer->fd >= 0)
		answer(peer, io->result, io->result == 0 ? "" : "the driver's flush failed");
	else
		drop_peer(peer);
}

static void begin_flush(struct peer *peer)
{
	if (peer->flushing) {
		answer(peer, -EBUSY, "a flush is under way already");
		return;
	}
	peer->flushing = true;
	bdus_io_init(&peer->flush);
	peer->flush.finished = flush_finished;
	bdus_io_prepare(&peer->flush, BDUS_OP_FLUSH, 0, 0, 0, NULL);
	bdus_rules_apply(peer->control->queue, &peer->flush);
}

static void serve_peer(struct peer *peer)
{
	char command[COMMAND_BYTES];
	const ssize_t length = recv(peer->fd, command, sizeof(command) - 1, MSG_DONTWAIT);

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length <= 0) {
		drop_peer(peer);
		return;
	}
	command[length] = '\0';
	if (strcmp(command, BDUS_CONTROL_FLUSH) == 0) {
		begin_flush(peer);
	} else if (strcmp(command, BDUS_CONTROL_STOP) == 0) {
		peer->control->stop(peer->control->opaque);
		answer(peer, 0, "");
	} else {
		answer(peer, -EINVAL, "unknown command");
	}
}

void bdus_control_handle(struct bdus_control *control, void *event_data)
{
	if (event_data == control)
		accept_peer(control);
	else
		serve_peer(event_data);
}

/* ---- the asking side ----------------------------------------------------------------------- */

/** Connects, which a driver with too many callers at once lets wait. */
static int connect_in_turn(int fd, const struct sockaddr_un *address, struct bdus_wait *wait)
{
	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
		int result;

		if (errno != EAGAIN)
			return base_error_errno(errno, "cannot reach the driver at %s",
						address->sun_path);
		result = bdus_wait_sleep(wait, CONNECT_PAUSE_MS);
		if (result < 0)
			return result;
	}
	return 0;
}

static int connect_to(uint64_t id, struct bdus_wait *wait)
{
	struct sockaddr_un address;
	char path[128];
	int result = bdus_registry_control_path(id, path, sizeof(path));
	int fd;

	if (result == 0)
		result = fill_address(&address, path);
	if (result < 0)
		return result;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return base_error_errno(errno, "cannot create a socket");
	result = connect_in_turn(fd, &address, wait);
	if (result < 0) {
		close(fd);
		return result;
	}
	return fd;
}

static int parse_answer(char *text, const char *command)
{
	char *message;
	const long result = strtol(text, &message, 10);

	if (result == 0)
		return 0;
	if (result > 0 || result < -4095)
		return base_error(EPROTO, "the driver gave a strange answer to %s: %s", command,
				  text);
	while (*message == ' ')
		message++;
	return base_error_errno((int)-result, "%s", message);
}

static int wait_for_answer(int fd, const char *command, struct bdus_wait *wait)
{
	char text[ANSWER_BYTES];
	ssize_t length;

	for (;;) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		const int timeout_ms = bdus_wait_step(wait, 1000);

		if (timeout_ms < 0)
			return timeout_ms;
		if (poll(&ready, 1, timeout_ms) > 0)
			break;
	}
	length = recv(fd, text, sizeof(text) - 1, 0);
	if (length <= 0)
		return base_error(ECONNRESET, "the driver ended before it answered to %s", command);
	text[length] = '\0';
	return parse_answer(text, command);
}

int bdus_control_call(uint64_t id, const char *command, uint64_t deadline_ns,
		      bdus_progress_fn *progress, void *opaque)
{
	char waiting_for[64];
	struct bdus_wait wait;
	int result;
	int fd;

	snprintf(waiting_for, sizeof(waiting_for), "the driver to answer to '%s'", command);
	bdus_wait_init(&wait, waiting_for, deadline_ns, progress, opaque);
	fd = connect_to(id, &wait);
	if (fd < 0)
		return fd;
	if (send(fd, command, strlen(command), MSG_NOSIGNAL) < 0)
		result = base_error_errno(errno, "cannot send '%s' to the driver", command);
	else
		result = wait_for_answer(fd, command, &wait);
	close(fd);
	return result;
}
