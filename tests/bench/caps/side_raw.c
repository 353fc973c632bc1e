/* SPDX-License-Identifier: MIT */
/*
 * Raw ping-pong: send(2) and recv(2) that block, on a SOCK_SEQPACKET pair.
 */
#include "load.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void serve(int fd)
{
	char data[SMALL_BYTES];

	while (recv(fd, data, sizeof(data), 0) > 0)
		send(fd, data, sizeof(data), MSG_NOSIGNAL);
}

static void *open_raw(int fd)
{
	int *client = malloc(sizeof(*client));

	*client = fd;
	return client;
}

static void call(void *client)
{
	char data[SMALL_BYTES] = {0};
	const int fd = *(int *)client;

	if (send(fd, data, sizeof(data), MSG_NOSIGNAL) < 0 || recv(fd, data, sizeof(data), 0) <= 0)
		die("raw ping-pong");
}

static void close_raw(void *client)
{
	close(*(int *)client);
	free(client);
}

const struct side side_raw = {
	"raw SOCK_SEQPACKET", SOCK_SEQPACKET, serve, open_raw, call, close_raw};
