/* SPDX-License-Identifier: MIT */
/*
 * A payload of 1 MiB to another process, which reads one byte of each cache line and answers:
 * copied through a stream socket, given to caps as bytes, and given to caps as memory that was
 * sealed once.
 */
#include "load.h"
#include "many.h"

#include <caps.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES (1 << 20)

static unsigned char payload[BYTES];

static unsigned look_at(const unsigned char *data)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < BYTES; i += 64)
		sum += data[i];
	return sum;
}

static void serve_socket(int fd)
{
	static unsigned char room[BYTES];
	unsigned sum;

	for (;;) {
		for (size_t got = 0; got < BYTES;) {
			const ssize_t part = read(fd, room + got, BYTES - got);

			if (part <= 0)
				return;
			got += (size_t)part;
		}
		sum = look_at(room);
		if (write(fd, &sum, sizeof(sum)) != (ssize_t)sizeof(sum))
			return;
	}
}

static void serve_caps(int fd)
{
	struct caps_message request;
	struct caps_port *port;

	if (caps_serve(NULL, NULL, &port) != 0 || caps_attach(port, fd) != 0)
		die(caps_error());
	while (caps_get(port, &request, NULL, 0, -1) == 0) {
		const unsigned sum = look_at(request.data);
		const struct caps_answer answer = {.data = &sum, .length = sizeof(sum)};

		caps_reply(port, &request, &answer);
	}
}

static void send_socket(int fd, unsigned transfers)
{
	unsigned sum;

	for (unsigned i = 0; i < transfers; i++) {
		for (size_t sent = 0; sent < BYTES;) {
			const ssize_t part = write(fd, payload + sent, BYTES - sent);

			if (part <= 0)
				die("socket");
			sent += (size_t)part;
		}
		if (read(fd, &sum, sizeof(sum)) != (ssize_t)sizeof(sum))
			die("socket");
	}
}

static void send_caps(int fd, unsigned transfers, const struct caps_memory *memory)
{
	const struct caps_request request = {.data = payload, .length = BYTES, .memory = memory};
	struct caps_message reply;
	struct caps_port *port;
	unsigned sum;

	if (caps_connect_fd(fd, NULL, &port) != 0)
		die(caps_error());
	for (unsigned i = 0; i < transfers; i++)
		if (caps_call(port, &request, &reply, &sum, sizeof(sum), -1) != 0 ||
		    reply.error != 0)
			die(caps_error());
	caps_destroy(port);
}

enum way {
	SOCKET,
	AS_BYTES,
	AS_MEMORY
};

static double measure(enum way way, int server_cpu, unsigned transfers,
		      const struct caps_memory *memory)
{
	double begin;
	int ends[2];
	pid_t server;

	if (socketpair(AF_UNIX, way == SOCKET ? SOCK_STREAM : SOCK_SEQPACKET, 0, ends) != 0)
		die("socketpair");
	server = fork();
	if (server == 0) {
		close(ends[1]);
		stay_on(server_cpu);
		if (way == SOCKET)
			serve_socket(ends[0]);
		else
			serve_caps(ends[0]);
		_exit(0);
	}
	close(ends[0]);
	stay_on(0);
	begin = now_us();
	if (way == SOCKET)
		send_socket(ends[1], transfers);
	else
		send_caps(ends[1], transfers, way == AS_MEMORY ? memory : NULL);
	begin = now_us() - begin;
	if (way == SOCKET)
		close(ends[1]);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return begin / transfers;
}

static void compare(int server_cpu, unsigned rounds, unsigned transfers,
		    const struct caps_memory *memory)
{
	static const char *const names[] = {"stream socket", "caps, bytes", "caps, sealed memory"};
	double results[3][64], socket_us = 0;

	for (unsigned round = 0; round < rounds; round++)
		for (int way = SOCKET; way <= AS_MEMORY; way++)
			results[way][round] = measure((enum way)way, server_cpu, transfers, memory);
	for (int way = SOCKET; way <= AS_MEMORY; way++) {
		const double value = median(results[way], rounds);

		if (way == SOCKET)
			socket_us = value;
		printf("1 MiB payload, %s, %s: %.1f us, ratio %.2f\n",
		       server_cpu == 0 ? "same CPU" : "two CPUs", names[way], value,
		       socket_us / value);
	}
}

void compare_payloads(unsigned rounds, unsigned transfers)
{
	struct caps_memory memory;

	memset(payload, 1, sizeof(payload));
	if (caps_memory_create(&memory, BYTES) != 0)
		die(caps_error());
	memset(memory.data, 1, BYTES);
	if (caps_memory_seal(&memory) != 0)
		die(caps_error());
	compare(0, rounds, transfers, &memory);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		compare(1, rounds, transfers, &memory);
	caps_memory_finish(&memory);
}
