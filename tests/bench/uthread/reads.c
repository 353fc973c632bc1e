/* SPDX-License-Identifier: MIT */
/*
 * 64 userland threads that read 4 KiB of a cached file each, again and again, by way of asys,
 * against a loop written with liburing that keeps 64 reads in flight, and against the programs that
 * UTHREAD_BENCH_PEERS names (see main.c), each run as `COMMAND reads COUNT DESCRIPTOR`. Alternating
 * rounds; medians.
 *
 * usage: bench-uthread-reads [ROUNDS [READS]]
 */
#include "bench.h"
#include "uthread/asys.h"

#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS     64
#define BLOCK       4096
#define BLOCKS      4096
#define ROUNDS_MOST 99
#define PEERS_MOST  16

static char buffers[THREADS][BLOCK] __attribute__((aligned(4096)));
static unsigned long reads_left;
static int file;

static int64_t next_offset(uint32_t *seed)
{
	*seed = *seed * 1664525U + 1013904223U;
	return (int64_t)((*seed >> 8) % BLOCKS) * BLOCK;
}

static void fail(const char *what)
{
	fprintf(stderr, "bench-uthread-reads: %s\n", what);
	exit(1);
}

/* ---- the file ------------------------------------------------------------------------------ */

static void open_file(void)
{
	/* Not in /tmp, which may be in memory: asys would read it at once. */
	char path[] = "/var/tmp/bench-uthread-XXXXXX";

	file = mkstemp(path);
	if (file < 0)
		fail("cannot make a file in /var/tmp");
	unlink(path);
	for (unsigned i = 0; i < BLOCKS; i++)
		if (write(file, buffers[0], BLOCK) != BLOCK)
			fail("cannot write");
}

/* ---- uthread ------------------------------------------------------------------------------- */

static void *reader(void *argument)
{
	const unsigned index = (unsigned)(uintptr_t)argument;
	uint32_t seed = index;

	while (reads_left > 0) {
		reads_left--;
		if (uthread_pread(file, buffers[index], BLOCK, next_offset(&seed)) != BLOCK)
			fail("a read failed");
	}
	return NULL;
}

static void *start(void *unused)
{
	uthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		if (uthread_create(&threads[i], NULL, reader, (void *)i) != 0)
			fail(uthread_error());
	for (unsigned i = 0; i < THREADS; i++)
		uthread_join(threads[i], NULL);
	return unused;
}

static double run_uthread(unsigned long reads)
{
	const struct uthread_options options = {
		.size = sizeof(options), .workers = 1, .hooks = &uthread_asys_hooks};
	const double started = bench_now_ns();

	reads_left = reads;
	if (uthread_run(&options, start, NULL, NULL) != 0)
		fail(uthread_error());
	return (bench_now_ns() - started) / (double)reads;
}

/* ---- liburing ------------------------------------------------------------------------------ */

static void submit(struct io_uring *ring, unsigned index, uint32_t *seed)
{
	struct io_uring_sqe *const sqe = io_uring_get_sqe(ring);

	io_uring_prep_read(sqe, file, buffers[index], BLOCK, (uint64_t)next_offset(seed));
	sqe->user_data = index;
}

static unsigned long take(struct io_uring *ring, unsigned long *sent, unsigned long reads,
			  uint32_t *seed)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;

	io_uring_for_each_cqe(ring, head, cqe)
	{
		if (cqe->res != BLOCK)
			fail("a read of liburing failed");
		seen++;
		if (*sent < reads) {
			submit(ring, (unsigned)cqe->user_data, seed);
			++*sent;
		}
	}
	io_uring_cq_advance(ring, seen);
	return seen;
}

static double run_liburing(unsigned long reads)
{
	struct io_uring_params parameters = {.flags = IORING_SETUP_SINGLE_ISSUER |
						      IORING_SETUP_DEFER_TASKRUN};
	const double started = bench_now_ns();
	unsigned long sent = 0, completed = 0;
	struct io_uring ring;
	uint32_t seed = 1;

	if (io_uring_queue_init_params(THREADS, &ring, &parameters) != 0)
		return -1;
	for (; sent < THREADS && sent < reads; sent++)
		submit(&ring, (unsigned)sent, &seed);
	while (completed < reads) {
		if (io_uring_submit_and_wait(&ring, 1) < 0)
			fail("liburing failed");
		completed += take(&ring, &sent, reads, &seed);
	}
	io_uring_queue_exit(&ring);
	return (bench_now_ns() - started) / (double)reads;
}

/* ---- others -------------------------------------------------------------------------------- */

static double run_peer(const char *command, unsigned long reads)
{
	char line[512];
	double result = -1;
	FILE *output;

	snprintf(line, sizeof(line), "%s reads %lu %d", command, reads, file);
	output = popen(line, "r"); /* NOLINT(cert-env33-c): a command of the user's */
	if (output == NULL || fscanf(output, "%lf", &result) != 1)
		result = -1;
	if (output != NULL)
		pclose(output);
	return result;
}

static unsigned find_peers(char *peers[PEERS_MOST])
{
	const char *const given = getenv("UTHREAD_BENCH_PEERS");
	char *const copy = strdup(given != NULL ? given : "");
	char *rest = NULL;
	unsigned count = 0;

	for (char *command = strtok_r(copy, ";", &rest); command != NULL && count < PEERS_MOST;
	     command = strtok_r(NULL, ";", &rest))
		peers[count++] = strdup(command);
	free(copy);
	return count;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/** @values are in order. */
static void tell(const char *name, const double *values, unsigned rounds, double own)
{
	const char *const slash = strrchr(name, '/');

	if (values[0] >= 0)
		printf("  %-23s %8.1f ns   uthread at %.3f of its speed\n",
		       slash != NULL ? slash + 1 : name, values[rounds / 2],
		       values[rounds / 2] / own);
}

int main(int count, char **arguments)
{
	const unsigned rounds = count > 1 ? (unsigned)atoi(arguments[1]) : 7;
	const unsigned long reads = count > 2 ? strtoul(arguments[2], NULL, 10) : 1000000;
	static double values[2 + PEERS_MOST][ROUNDS_MOST];
	char *peers[PEERS_MOST];
	const unsigned peers_count = find_peers(peers);

	if (rounds == 0 || rounds > ROUNDS_MOST || reads == 0)
		fail("usage: bench-uthread-reads [ROUNDS [READS]]");
	open_file();
	for (unsigned i = 0; i < rounds; i++) {
		values[0][i] = run_uthread(reads);
		values[1][i] = run_liburing(reads);
		for (unsigned peer = 0; peer < peers_count; peer++)
			values[2 + peer][i] = run_peer(peers[peer], reads);
	}
	for (unsigned side = 0; side < 2 + peers_count; side++)
		qsort(values[side], rounds, sizeof(double), compare);
	printf("64 threads, 4 KiB reads   %8.1f ns\n", values[0][rounds / 2]);
	tell("liburing, 64 in flight", values[1], rounds, values[0][rounds / 2]);
	for (unsigned peer = 0; peer < peers_count; peer++)
		tell(peers[peer], values[2 + peer], rounds, values[0][rounds / 2]);
	return 0;
}
