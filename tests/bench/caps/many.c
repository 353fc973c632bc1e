/* SPDX-License-Identifier: MIT */
/*
 * Many clients of one service, each with one request under way at any time: what each costs the
 * service in memory, and how unequal their shares are.
 */
#include "many.h"
#include "load.h"

#include <caps.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/bench-caps-XXXXXX";

/* From /proc: "Slab:", or "VmRSS:" of a process. */
static long read_kib(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	char line[256];
	long value = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtol(line + strlen(key), NULL, 10);
	if (file != NULL)
		fclose(file);
	return value;
}

static void serve(unsigned clients)
{
	const struct caps_service_options options = {
		.size = sizeof(options), .directory = folder, .max_clients = clients + 1};
	struct caps_message request;
	struct caps_port *port;
	char buffer[512];

	if (caps_serve("many", &options, &port) != 0)
		die(caps_error());
	while (caps_get(port, &request, buffer, sizeof(buffer), -1) == 0)
		caps_reply(port, &request, NULL);
}

struct crowd {
	struct caps_port **ports;
	double *served;
	unsigned count;
	int epoll;
};

static void put_one(struct crowd *crowd, unsigned i)
{
	const char data[SMALL_BYTES] = {0};
	const struct caps_request request = {.operation = 1, .data = data, .length = sizeof(data)};

	if (caps_put(crowd->ports[i], &request, NULL) != 0)
		die(caps_error());
}

static void join(struct crowd *crowd)
{
	const struct caps_client_options options = {
		.size = sizeof(options), .directory = folder, .timeout_ms = 5000};

	for (unsigned i = 0; i < crowd->count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};

		if (caps_connect("many", &options, &crowd->ports[i]) != 0)
			die(caps_error());
		put_one(crowd, i);
		if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, caps_fd(crowd->ports[i]), &event) != 0)
			die("epoll");
	}
}

static void run(struct crowd *crowd, unsigned duration_ms)
{
	const double end = now_us() + duration_ms * 1e3;
	struct epoll_event events[64];
	struct caps_message reply;

	while (now_us() < end) {
		const int count = epoll_wait(crowd->epoll, events, 64, 100);

		for (int i = 0; i < count; i++) {
			const unsigned which = events[i].data.u32;
			const int error = caps_get(crowd->ports[which], &reply, NULL, 0, 0);

			if (error == -EAGAIN)
				continue;
			if (error != 0 || reply.error != 0)
				die(caps_error());
			crowd->served[which]++;
			put_one(crowd, which);
		}
	}
}

/* The kernel's part is of both ends; other work on the machine is in it, too. */
static void tell_memory(pid_t server, long before, long slab_before, unsigned clients)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)server);
	printf("memory of one of %u clients: %.2f KiB of the service, %.1f KiB of the kernel\n",
	       clients, (double)(read_kib(path, "VmRSS:") - before) / clients,
	       (double)(read_kib("/proc/meminfo", "Slab:") - slab_before) / clients);
}

void serve_many(unsigned clients, unsigned duration_ms)
{
	struct crowd crowd = {.count = clients, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	struct rlimit limit = {5 * clients + 100, 5 * clients + 100};
	const long slab = read_kib("/proc/meminfo", "Slab:");
	char path[sizeof(folder) + 64];
	double middle;
	pid_t server;
	long before;

	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || mkdtemp(folder) == NULL)
		die("cannot have that many descriptors");
	crowd.ports = calloc(clients, sizeof(struct caps_port *));
	crowd.served = calloc(clients, sizeof(*crowd.served));
	server = fork();
	if (server == 0) {
		serve(clients);
		_exit(0);
	}
	usleep(100000);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)server);
	before = read_kib(path, "VmRSS:");
	join(&crowd);
	run(&crowd, duration_ms);
	tell_memory(server, before, slab, clients);
	middle = median(crowd.served, clients);
	printf("%u clients: the median was served %.0f times, the slowest %.0f: ratio %.2f\n",
	       clients, middle, crowd.served[0], middle / crowd.served[0]);
	for (unsigned i = 0; i < clients; i++)
		caps_destroy(crowd.ports[i]);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	snprintf(path, sizeof(path), "%s/many/1.s", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/many", folder);
	rmdir(path);
	rmdir(folder);
	free(crowd.ports);
	free(crowd.served);
}
