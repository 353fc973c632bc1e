/* SPDX-License-Identifier: MIT */
/*
 * asys against its peers: operations per second of processor time, the kernel's and everybody's
 * threads included. Both sides of a line run in turn, in each round; the ratio is the median of the
 * rounds'.
 *
 * usage: bench-asys [ROUNDS [OPERATIONS]]
 *
 * OPERATIONS are those of asys' reads in a round; faster loads take ten times as many, slower peers
 * a part.
 */
#include "load.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILE_BLOCKS 16384
#define MOST_ROUNDS 31

struct line {
	const char *name;
	const char *directory;
	load_fn *subject;
	load_fn *peer;
	/** Of the operations, in percent. */
	unsigned subject_share;
	unsigned peer_share;
	double goal;
};

static const struct line lines[] = {
	{"cached reads, liburing", "/var/tmp", run_asys_reads, run_liburing_reads, 100, 100, 0.97},
#if HAVE_LIBUV
	{"cached reads, libuv", "/var/tmp", run_asys_reads, run_libuv_reads, 100, 25, 3.0},
#endif
	{"cached reads, POSIX AIO", "/var/tmp", run_asys_reads, run_aio_reads, 100, 10, 6.0},
	{"tmpfs reads, pread", "/dev/shm", run_asys_reads, run_pread_reads, 100, 100, 0.9},
	{"no-op, liburing", "/dev/shm", run_asys_nops, run_liburing_nops, 1000, 1000, 0.9},
#if HAVE_LIBUV
	{"cached reads without io_uring, libuv", "/var/tmp", run_asys_reads_without_ring,
	 run_libuv_reads, 100, 25, 1.3},
#endif
};

static double processor_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int make_file(const char *directory, uint8_t *buffers)
{
	char path[64];
	int file;

	snprintf(path, sizeof(path), "%s/bench-asys-XXXXXX", directory);
	file = mkostemp(path, O_CLOEXEC);
	if (file < 0) {
		perror(path);
		exit(1);
	}
	unlink(path);
	for (unsigned i = 0; i < FILE_BLOCKS / DEPTH; i++)
		if (write(file, buffers, (size_t)DEPTH * BLOCK) != (ssize_t)DEPTH * BLOCK) {
			perror(path);
			exit(1);
		}
	return file;
}

/** Operations per second of processor time. */
static double measure(load_fn *run, struct load *load, uint64_t operations)
{
	double begin;

	load->operations = operations > DEPTH ? operations : DEPTH;
	load->seed = 1;
	begin = processor_seconds();
	if (!run(load)) {
		fputs("bench-asys: a load failed\n", stderr);
		exit(1);
	}
	return (double)load->operations / (processor_seconds() - begin);
}

static int compare(const void *a, const void *b)
{
	const double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(double values[], unsigned count)
{
	qsort(values, count, sizeof(values[0]), compare);
	return values[count / 2];
}

static void run_line(const struct line *line, unsigned rounds, uint64_t operations,
		     uint8_t *buffers)
{
	struct load load = {.file = make_file(line->directory, buffers),
			    .blocks = FILE_BLOCKS,
			    .buffers = buffers};
	double subject[MOST_ROUNDS], peer[MOST_ROUNDS], ratio[MOST_ROUNDS];

	measure(run_pread_reads, &load, FILE_BLOCKS);
	for (unsigned i = 0; i < rounds; i++) {
		subject[i] = measure(line->subject, &load, operations * line->subject_share / 100);
		peer[i] = measure(line->peer, &load, operations * line->peer_share / 100);
		ratio[i] = subject[i] / peer[i];
	}
	printf("%-38s %10.0f %10.0f %7.2f %7.2f\n", line->name, median(subject, rounds),
	       median(peer, rounds), median(ratio, rounds), line->goal);
	fflush(stdout);
	close(load.file);
}

int main(int count, char **arguments)
{
	const unsigned rounds = count > 1 ? (unsigned)atoi(arguments[1]) : 7;
	const uint64_t operations = count > 2 ? strtoull(arguments[2], NULL, 10) : 200000;
	uint8_t *const buffers = aligned_alloc(BLOCK, (size_t)DEPTH * BLOCK);

	if (rounds < 1 || rounds > MOST_ROUNDS || operations < 1 || !buffers) {
		fputs("usage: bench-asys [ROUNDS [OPERATIONS]]\n", stderr);
		return 2;
	}
	memset(buffers, 0xa5, (size_t)DEPTH * BLOCK);
	printf("%-38s %10s %10s %7s %7s\n", "operations per second of CPU", "asys", "peer", "ratio",
	       "goal");
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		run_line(&lines[i], rounds, operations, buffers);
	free(buffers);
	return 0;
}
