/* SPDX-License-Identifier: MIT */
/*
 * caps, used as in its manual: get and reply, call with a deadline.
 */
#include "load.h"

#include <caps.h>
#include <sys/socket.h>

static void serve(int fd)
{
	struct caps_message request;
	struct caps_port *port;
	char buffer[512];

	if (caps_serve(NULL, NULL, &port) != 0 || caps_attach(port, fd) != 0)
		die(caps_error());
	/* The client ends this process when it is done. */
	for (;;) {
		struct caps_answer answer = {.data = buffer};

		if (caps_get(port, &request, buffer, sizeof(buffer), -1) != 0)
			break;
		answer.length = request.length;
		caps_reply(port, &request, &answer);
	}
	caps_destroy(port);
}

static void *open_caps(int fd)
{
	struct caps_port *port;

	if (caps_connect_fd(fd, NULL, &port) != 0)
		die(caps_error());
	return port;
}

static void call(void *client)
{
	const char data[SMALL_BYTES] = {0};
	const struct caps_request request = {.operation = 1, .data = data, .length = sizeof(data)};
	struct caps_message reply;
	char buffer[512];

	if (caps_call(client, &request, &reply, buffer, sizeof(buffer), 5000) != 0 ||
	    reply.error != 0)
		die(caps_error());
	caps_release(&reply);
}

static void close_caps(void *client)
{
	caps_destroy(client);
}

const struct side side_caps = {"caps", SOCK_SEQPACKET, serve, open_caps, call, close_caps};
