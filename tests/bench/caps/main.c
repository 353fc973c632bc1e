/* SPDX-License-Identifier: MIT */
/*
 * caps against its peers: round trips of small calls, payloads of 1 MiB, and many clients at once.
 *
 * usage: bench-caps [ROUNDS [CALLS [CLIENTS]]]
 */
#include "load.h"
#include "many.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_ROUNDS 64

static unsigned rounds = 7, calls = 20000, clients = 1000;

void die(const char *what)
{
	fprintf(stderr, "bench-caps: %s\n", what);
	exit(1);
}

double now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int by_value(const void *a, const void *b)
{
	const double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), by_value);
	return values[count / 2];
}

/* Microseconds of a round trip to a server on @server_cpu. */
static double measure(const struct side *side, int server_cpu)
{
	void *client;
	double begin, took;
	int ends[2];
	pid_t server;

	if (socketpair(AF_UNIX, side->socket_type | SOCK_CLOEXEC, 0, ends) != 0)
		die("socketpair");
	server = fork();
	if (server == 0) {
		close(ends[1]);
		stay_on(server_cpu);
		side->serve(ends[0]);
		_exit(0);
	}
	close(ends[0]);
	stay_on(0);
	client = side->open(ends[1]);
	for (unsigned i = 0; i < calls / 10 + 1; i++)
		side->call(client);
	begin = now_us();
	for (unsigned i = 0; i < calls; i++)
		side->call(client);
	took = now_us() - begin;
	side->close(client);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return took / calls;
}

static void compare_round_trips(const struct side *const *sides, unsigned count, int server_cpu)
{
	double results[4][MOST_ROUNDS], ours = 0;

	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < count; i++) {
			const unsigned side = (i + round) % count;

			results[side][round] = measure(sides[side], server_cpu);
		}
	for (unsigned i = 0; i < count; i++) {
		const double value = median(results[i], rounds);

		if (i == 0)
			ours = value;
		printf("round trip, %s, %s: %.2f us, ratio %.2f\n",
		       server_cpu == 0 ? "same CPU" : "two CPUs", sides[i]->name, value,
		       ours / value);
	}
}

int main(int argc, char **argv)
{
	const struct side *const sides[] = {
		&side_caps,
		&side_raw,
#if HAVE_SDBUS
		&side_sdbus,
#endif
#if HAVE_CAPNP
		&side_capnp,
#endif
	};
	const unsigned count = sizeof(sides) / sizeof(sides[0]);

	rounds = argc > 1 ? (unsigned)atoi(argv[1]) : rounds;
	calls = argc > 2 ? (unsigned)atoi(argv[2]) : calls;
	clients = argc > 3 ? (unsigned)atoi(argv[3]) : clients;
	if (rounds == 0 || rounds > MOST_ROUNDS || calls == 0 || clients == 0)
		die("1 to 64 rounds, and at least one call and client");
	compare_round_trips(sides, count, 0);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		compare_round_trips(sides, count, 1);
	compare_payloads(rounds, calls / 100 + 2);
	serve_many(clients, calls / 10 + 1);
	return 0;
}
