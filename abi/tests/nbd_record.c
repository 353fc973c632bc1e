/* SPDX-License-Identifier: MIT */
/*
 * See nbd_record.h. One thread polls the listening socket and both ends of each connection until
 * the client has come to an end.
 */
#include "nbd_record.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 30000

/* A child of ours: nbdkit ends when its parent does. */
struct server start_server(const char *command)
{
	int ends[2];
	pid_t child;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(ends[1], 0);
		dup2(ends[1], 1);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(ends[1]);
	return (struct server){.fd = ends[0], .pid = child};
}

void end_server(struct server server)
{
	close(server.fd);
	waitpid(server.pid, NULL, 0);
}

static int listen_at_proxy(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "proxy"};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink("proxy");
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, CONVERSATIONS), 0);
	return fd;
}

static pid_t start_client(const char *command)
{
	const pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(run(0, "%s", command) == 0 ? 0 : 1);
	return child;
}

static void begin(struct record *record, int client_fd, const char *server)
{
	assert_true(client_fd >= 0);
	assert_true(record->count < CONVERSATIONS);
	record->conversations[record->count++] =
		(struct conversation){.client_fd = client_fd, .server = start_server(server)};
}

/* Passes on what has come, and keeps it. False at the end. */
static bool pass(int from, int to, struct image *kept)
{
	static uint8_t buffer[1 << 16];
	const ssize_t got = read(from, buffer, sizeof(buffer));

	if (got <= 0)
		return false;
	kept->data = realloc(kept->data, kept->size + (size_t)got);
	assert_non_null(kept->data);
	memcpy(kept->data + kept->size, buffer, (size_t)got);
	kept->size += (size_t)got;
	for (ssize_t done = 0, now; done < got; done += now) {
		now = send(to, buffer + done, (size_t)(got - done), MSG_NOSIGNAL);
		if (now <= 0)
			return false;
	}
	return true;
}

static void end(struct conversation *conversation)
{
	close(conversation->client_fd);
	end_server(conversation->server);
	conversation->client_fd = conversation->server.fd = -1;
}

/* One turn: what is ready is passed on. */
static void serve(struct record *record, int listener, const char *server)
{
	struct pollfd fds[1 + 2 * CONVERSATIONS] = {{.fd = listener, .events = POLLIN}};
	const unsigned count = record->count;

	for (unsigned i = 0; i < count; i++) {
		fds[1 + 2 * i] =
			(struct pollfd){.fd = record->conversations[i].client_fd, .events = POLLIN};
		fds[2 + 2 * i] =
			(struct pollfd){.fd = record->conversations[i].server.fd, .events = POLLIN};
	}
	if (poll(fds, 1 + 2 * count, 20) <= 0)
		return;
	if (fds[0].revents != 0)
		begin(record, accept(listener, NULL, NULL), server);
	for (unsigned i = 0; i < count; i++) {
		struct conversation *one = &record->conversations[i];

		if ((fds[1 + 2 * i].revents != 0 &&
		     !pass(one->client_fd, one->server.fd, &one->from_client)) ||
		    (fds[2 + 2 * i].revents != 0 &&
		     !pass(one->server.fd, one->client_fd, &one->from_server)))
			end(one);
	}
}

void record_conversations(struct record *record, const char *server, const char *client)
{
	const int listener = listen_at_proxy();
	const pid_t child = start_client(client);
	int status = -1;

	*record = (struct record){0};
	for (unsigned turns = 0; waitpid(child, &status, WNOHANG) == 0; turns++) {
		if (turns > PATIENCE_MS)
			kill(child, SIGKILL);
		serve(record, listener, server);
	}
	close(listener);
	for (unsigned i = 0; i < record->count; i++)
		if (record->conversations[i].client_fd >= 0)
			end(&record->conversations[i]);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_true(record->count > 0);
}

void free_record(struct record *record)
{
	for (unsigned i = 0; i < record->count; i++) {
		free(record->conversations[i].from_client.data);
		free(record->conversations[i].from_server.data);
	}
	*record = (struct record){0};
}
