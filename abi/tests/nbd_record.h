/* SPDX-License-Identifier: MIT */
/*
 * Records what real NBD clients and servers say to each other: a socket to which clients connect,
 * and for each connection a server on its standard input and output, with all bytes kept that pass.
 */
#ifndef ABI_TESTS_NBD_RECORD_H
#define ABI_TESTS_NBD_RECORD_H

#include "abi_test.h"

#include <sys/types.h>

#define CONVERSATIONS 8

struct server {
	/* A socket. */
	int fd;
	pid_t pid;
};

struct conversation {
	struct image from_client, from_server;
	/* while it goes on */
	int client_fd;
	struct server server;
};

struct record {
	struct conversation conversations[CONVERSATIONS];
	unsigned count;
};

/** Runs the client, a shell command that connects to the Unix socket "proxy" in the current folder,
 * with a server, one shell command a connection. Fails the test if the client fails. */
void record_conversations(struct record *record, const char *server, const char *client);
void free_record(struct record *record);
/** A connection to a server by itself, a shell command; ended by end_server(). */
struct server start_server(const char *command);
/** Closes the connection, and waits for the server, which is to end with it. */
void end_server(struct server server);

#endif
