/* SPDX-License-Identifier: MIT */
/*
 * The elastic pool of a blocking driver against a fixed pool of the same maximum: memory, threads
 * and latency of an idle device, of one request at a time, and of bursts.
 *
 * usage: workers [SECONDS [ROUNDS]]
 *
 * Each round serves a device over NBD from a child process, once with each pool, and loads it with
 * libnbd. The figures of a line are medians over the rounds; the ratio is elastic / fixed, so that
 * less is better everywhere.
 */
#include <bdus/manage.h>
#include <errno.h>
#include <libnbd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAXIMUM     64
#define BURST       48
#define BLOCK       4096
#define MOST_ROUNDS 31
/** How long the driver sleeps in a request of the second half of the device. */
#define SLEEP_US 2000

enum figure {
	IDLE_KIB,
	IDLE_THREADS,
	QUICK_P50_US,
	QUICK_P99_US,
	SLOW_P50_US,
	BURST_P50_US,
	BURST_P99_US,
	AFTER_KIB,
	AFTER_THREADS,
	FIGURE_COUNT
};

static const char *const figure_names[] = {
	[IDLE_KIB] = "idle: resident KiB",
	[IDLE_THREADS] = "idle: threads",
	[QUICK_P50_US] = "one at a time, quick: median us",
	[QUICK_P99_US] = "one at a time, quick: p99 us",
	[SLOW_P50_US] = "one at a time, sleeping 2 ms: median us",
	[BURST_P50_US] = "bursts of 48, sleeping 2 ms: median us",
	[BURST_P99_US] = "bursts of 48, sleeping 2 ms: p99 us",
	[AFTER_KIB] = "idle again for 3 s: resident KiB",
	[AFTER_THREADS] = "idle again for 3 s: threads",
};

/* ---- the device ---------------------------------------------------------------------------- */

static int open_sleeper(const struct bdus_config *config, struct bdus_device_attrs *attrs,
			void **instance)
{
	(void)config;
	*instance = NULL;
	attrs->size_bytes = 2 * BLOCK;
	attrs->logical_block_size = BLOCK;
	attrs->ops = BDUS_OP_BIT(BDUS_OP_READ);
	attrs->max_concurrency = MAXIMUM;
	return 0;
}

/** Touches as much stack as a driver with a buffer of its own would. */
static int handle_sleeper(void *instance, struct bdus_request *request)
{
	volatile char buffer[32768];
	const struct timespec nap = {.tv_nsec = SLEEP_US * 1000L};

	(void)instance;
	for (size_t i = 0; i < sizeof(buffer); i += 4096)
		buffer[i] = 1;
	memset(request->data, buffer[0], request->length_bytes);
	if (request->offset_bytes >= BLOCK)
		nanosleep(&nap, NULL);
	return 0;
}

static const struct bdus_driver sleeper = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(struct bdus_driver),
	.name = "sleeper",
	.summary = "sleeps",
	.open = open_sleeper,
	.handle = handle_sleeper,
};

static void serve(const char *socket_path, bool fixed)
{
	char transport[256];
	const struct bdus_run_options options = {
		.size = sizeof(options),
		.driver = &sleeper,
		.transport = transport,
	};

	if (fixed)
		setenv("BDUS_FIXED_WORKERS", "1", 1);
	else
		unsetenv("BDUS_FIXED_WORKERS");
	snprintf(transport, sizeof(transport), "nbd,socket=%s", socket_path);
	if (bdus_manage_run(&options) < 0) {
		fprintf(stderr, "workers: %s\n", bdus_manage_error());
		_exit(1);
	}
	_exit(0);
}

/* ---- measuring ----------------------------------------------------------------------------- */

static void die(const char *what)
{
	fprintf(stderr, "workers: %s: %s\n", what, nbd_get_error());
	exit(1);
}

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/** A number after @key in /proc/PID/status. */
static double status_number(pid_t pid, const char *key)
{
	char path[64];
	char line[256];
	double number = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return -1;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, key, strlen(key)) == 0)
			number = strtod(line + strlen(key) + 1, NULL);
	}
	fclose(file);
	return number;
}

static int compare(const void *a, const void *b)
{
	const double first = *(const double *)a;
	const double second = *(const double *)b;

	return (first > second) - (first < second);
}

static double quantile(double *values, size_t count, double which)
{
	qsort(values, count, sizeof(values[0]), compare);
	return values[(size_t)((double)(count - 1) * which)];
}

struct samples {
	double *values;
	size_t count;
	size_t room;
};

static void add_sample(struct samples *samples, double value)
{
	if (samples->count == samples->room) {
		samples->room = samples->room != 0 ? 2 * samples->room : 1024;
		samples->values = realloc(samples->values, samples->room * sizeof(double));
		if (samples->values == NULL)
			abort();
	}
	samples->values[samples->count++] = value;
}

static void load_one_at_a_time(struct nbd_handle *nbd, uint64_t offset, double seconds,
			       struct samples *samples)
{
	const double end = now_us() + seconds * 1e6;
	char data[BLOCK];

	while (now_us() < end) {
		const double start = now_us();

		if (nbd_pread(nbd, data, sizeof(data), offset, 0) < 0)
			die("pread");
		add_sample(samples, now_us() - start);
	}
}

struct flight {
	struct samples *samples;
	double start;
	unsigned *left;
};

static int landed(void *user_data, int *error)
{
	struct flight *const flight = user_data;

	if (*error != 0)
		die("burst");
	add_sample(flight->samples, now_us() - flight->start);
	(*flight->left)--;
	return 1;
}

static void load_bursts(struct nbd_handle *nbd, double seconds, struct samples *samples)
{
	const double end = now_us() + seconds * 1e6;
	static char data[BURST][BLOCK];

	while (now_us() < end) {
		struct flight flights[BURST];
		unsigned left = BURST;

		for (unsigned i = 0; i < BURST; i++) {
			const nbd_completion_callback done = {.callback = landed,
							      .user_data = &flights[i]};

			flights[i] = (struct flight){samples, now_us(), &left};
			if (nbd_aio_pread(nbd, data[i], BLOCK, BLOCK, done, 0) < 0)
				die("aio_pread");
		}
		while (left > 0) {
			if (nbd_poll(nbd, -1) < 0)
				die("poll");
		}
		usleep(20000);
	}
}

static void measure_load(struct nbd_handle *nbd, double seconds, double figures[])
{
	struct samples quick = {0};
	struct samples slow = {0};
	struct samples burst = {0};

	load_one_at_a_time(nbd, 0, seconds, &quick);
	load_one_at_a_time(nbd, BLOCK, seconds, &slow);
	load_bursts(nbd, seconds, &burst);
	figures[QUICK_P50_US] = quantile(quick.values, quick.count, 0.5);
	figures[QUICK_P99_US] = quantile(quick.values, quick.count, 0.99);
	figures[SLOW_P50_US] = quantile(slow.values, slow.count, 0.5);
	figures[BURST_P50_US] = quantile(burst.values, burst.count, 0.5);
	figures[BURST_P99_US] = quantile(burst.values, burst.count, 0.99);
	free(quick.values);
	free(slow.values);
	free(burst.values);
}

static void wait_for_socket(const char *path)
{
	struct stat status;

	for (int i = 0; i < 1000; i++) {
		if (stat(path, &status) == 0)
			return;
		usleep(10000);
	}
	fprintf(stderr, "workers: %s did not appear in 10 s\n", path);
	exit(1);
}

static void measure(const char *directory, bool fixed, double seconds, double figures[])
{
	struct nbd_handle *nbd;
	char path[200];
	pid_t child;

	snprintf(path, sizeof(path), "%s/socket", directory);
	child = fork();
	if (child == 0)
		serve(path, fixed);
	wait_for_socket(path);
	usleep(300000);
	figures[IDLE_KIB] = status_number(child, "VmRSS");
	figures[IDLE_THREADS] = status_number(child, "Threads");
	nbd = nbd_create();
	if (nbd == NULL || nbd_connect_unix(nbd, path) < 0)
		die("connect");
	measure_load(nbd, seconds, figures);
	sleep(3);
	figures[AFTER_KIB] = status_number(child, "VmRSS");
	figures[AFTER_THREADS] = status_number(child, "Threads");
	nbd_close(nbd);
	kill(child, SIGTERM);
	waitpid(child, NULL, 0);
}

static void remove_directory(const char *directory)
{
	char counter[256];

	snprintf(counter, sizeof(counter), "%s/next-id", directory);
	unlink(counter);
	rmdir(directory);
}

int main(int argc, char **argv)
{
	const double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
	const int rounds = argc > 2 ? atoi(argv[2]) : 5;
	static double figures[2][FIGURE_COUNT][MOST_ROUNDS];
	char directory[] = "/tmp/bdus-workers.XXXXXX";

	if (rounds < 1 || rounds > MOST_ROUNDS || seconds <= 0 || mkdtemp(directory) == NULL) {
		fprintf(stderr, "usage: workers [SECONDS [ROUNDS, 1 to %d]]\n", MOST_ROUNDS);
		return 2;
	}
	setenv("BDUS_RUNTIME_DIR", directory, 1);
	for (int round = 0; round < rounds; round++) {
		for (int turn = 0; turn < 2; turn++) {
			const bool fixed = (turn + round) % 2;
			double measured[FIGURE_COUNT];

			measure(directory, fixed, seconds, measured);
			for (int f = 0; f < FIGURE_COUNT; f++)
				figures[fixed][f][round] = measured[f];
		}
	}
	printf("%-42s %10s %10s %7s\n", "1 to 64 workers against 64", "elastic", "fixed", "ratio");
	for (int f = 0; f < FIGURE_COUNT; f++) {
		const double elastic = quantile(figures[0][f], (size_t)rounds, 0.5);
		const double fixed = quantile(figures[1][f], (size_t)rounds, 0.5);

		printf("%-42s %10.0f %10.0f %7.2f\n", figure_names[f], elastic, fixed,
		       elastic / fixed);
	}
	remove_directory(directory);
	return 0;
}
