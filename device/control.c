/* SPDX-License-Identifier: MIT */
/*
 * The control socket, both ends of it.
 *
 * On the serving side a peer lives until it has hung up and its flush, if it asked for one, is
 * done. Each has one call in the loop, which waits for what it says next.
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
	/** Waits for the peer's next word. */
	struct bdus_call call;
	bool flushing;
	struct bdus_io flush;
};

struct bdus_control {
	struct bdus_queue *queue;
	void (*stop)(void *opaque);
	void *opaque;
	int listen_fd;
	/** Waits for callers. */
	struct bdus_call call;
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

static int wait_for(struct bdus_control *control, struct bdus_call *call, int fd)
{
	asys_prep_poll(&call->message, fd, POLLIN);
	return bdus_loop_send(bdus_host_loop(control->queue), call);
}

int bdus_control_create(uint64_t id, struct bdus_control **control)
{
	struct bdus_control *const made = calloc(1, sizeof(*made));
	int result;

	if (made == NULL)
		return base_error(ENOMEM, "no memory for a control socket");
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

/** Takes a peer away that has no call in the loop; the flush that it still waits for frees it. */
static void drop_peer(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
	if (peer->flushing)
		return;
	base_list_remove(&peer->link);
	peer->control->peer_count--;
	free(peer);
}

void bdus_control_detach(struct bdus_control *control)
{
	if (control == NULL || control->queue == NULL)
		return;
	bdus_loop_end_call(bdus_host_loop(control->queue), &control->call);
	while (!base_list_is_empty(&control->peers)) {
		struct peer *const peer = base_list_entry(control->peers.next, struct peer, link);

		bdus_loop_end_call(bdus_host_loop(control->queue), &peer->call);
		peer->flushing = false;
		drop_peer(peer);
	}
	control->queue = NULL;
}

void bdus_control_destroy(struct bdus_control *control)
{
	if (control == NULL)
		return;
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

static void on_word(struct bdus_call *call);

static void accept_peer(struct bdus_control *control)
{
	const int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *peer;

	if (fd < 0)
		return;
	peer = calloc(1, sizeof(*peer));
	if (peer == NULL || control->peer_count >= MOST_PEERS || !peer_is_allowed(fd)) {
		free(peer);
		close(fd);
		return;
	}
	peer->control = control;
	peer->fd = fd;
	peer->call.completed = on_word;
	base_list_push_back(&control->peers, &peer->link);
	control->peer_count++;
	if (wait_for(control, &peer->call, fd) < 0)
		drop_peer(peer);
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
	struct bdus_queue *const queue = peer->control->queue;

	if (peer->flushing) {
		answer(peer, -EBUSY, "a flush is under way already");
		return;
	}
	if (queue->result != 0 || queue->loop->ending) {
		answer(peer, -ENODEV, "the device is ending");
		return;
	}
	peer->flushing = true;
	bdus_io_init(&peer->flush);
	peer->flush.finished = flush_finished;
	bdus_io_prepare(&peer->flush, BDUS_OP_FLUSH, 0, 0, 0, NULL);
	bdus_rules_apply(queue, &queue->top, &peer->flush);
}

static void obey(struct peer *peer, const char *command)
{
	if (strcmp(command, BDUS_CONTROL_FLUSH) == 0) {
		begin_flush(peer);
	} else if (strcmp(command, BDUS_CONTROL_STOP) == 0) {
		peer->control->stop(peer->control->opaque);
		answer(peer, 0, "");
	} else {
		answer(peer, -EINVAL, "unknown command");
	}
}

static void on_word(struct bdus_call *call)
{
	struct peer *const peer = base_container_of(call, struct peer, call);
	char command[COMMAND_BYTES];
	const ssize_t length = recv(peer->fd, command, sizeof(command) - 1, MSG_DONTWAIT);

	if (length > 0) {
		command[length] = '\0';
		obey(peer, command);
	} else if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
		drop_peer(peer);
		return;
	}
	if (wait_for(peer->control, call, peer->fd) < 0)
		drop_peer(peer);
}

static void on_caller(struct bdus_call *call)
{
	struct bdus_control *const control = base_container_of(call, struct bdus_control, call);

	if (call->message.result >= 0)
		accept_peer(control);
	/* A loop that ends takes no more. */
	if (call->message.result != -ECANCELED)
		wait_for(control, call, control->listen_fd);
}

int bdus_control_attach(struct bdus_control *control, struct bdus_queue *queue,
			void (*stop)(void *opaque), void *opaque)
{
	control->queue = queue;
	control->stop = stop;
	control->opaque = opaque;
	control->call.completed = on_caller;
	return wait_for(control, &control->call, control->listen_fd);
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
