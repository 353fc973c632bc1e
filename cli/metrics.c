/* SPDX-License-Identifier: MIT */
/*
 * Metrics of all devices for Prometheus, in its text format, over HTTP on a Unix socket or a port
 * of the loopback device.
 *
 * One client at a time, which may take no more than CLIENT_MS: what it asks for is the same
 * whatever it says, so that the request is read only to be polite.
 */
#include "cli_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CLIENT_MS     2000
#define DEVICE_MS     500
#define REQUEST_BYTES 8192

static volatile sig_atomic_t ended;

static void end(int number)
{
	(void)number;
	ended = 1;
}

/* ---- text ---------------------------------------------------------------------------------- */

/** A label's value: backslashes, quotes and line ends are escaped. */
static void put_label(FILE *to, const char *name, const char *value)
{
	fprintf(to, "%s=\"", name);
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"')
			putc('\\', to);
		putc((unsigned char)*value < ' ' ? '?' : *value, to);
	}
	putc('"', to);
}

static void put_device(FILE *to, const char *metric, const struct cli_sample *sample)
{
	fprintf(to, "bdus_%s{device=\"%llu\",", metric, (unsigned long long)sample->info.id);
	put_label(to, "driver", sample->info.driver);
	putc(',', to);
	put_label(to, "transport", sample->info.transport);
}

static void put_value(FILE *to, const char *metric, const struct cli_sample *sample,
		      const char *more, uint64_t value)
{
	put_device(to, metric, sample);
	fprintf(to, "%s} %llu\n", more, (unsigned long long)value);
}

/** Every doubling from 256 ns on is enough for a graph. */
static void put_buckets(FILE *to, const struct cli_sample *sample, unsigned op)
{
	const struct bdus_op_stats *const stats = &sample->total[op];
	uint64_t sum = 0;

	for (unsigned i = 0; i < BDUS_STATS_BUCKETS; i++) {
		sum += stats->buckets[i];
		if ((i + 1) % 8 != 0 || i + 1 == BDUS_STATS_BUCKETS)
			continue;
		put_device(to, "request_duration_seconds_bucket", sample);
		fprintf(to, ",op=\"%s\",le=\"%.9g\"} %llu\n", cli_op_name(op),
			(double)bdus_stats_bucket_ns(i + 1) / 1e9, (unsigned long long)sum);
	}
	put_device(to, "request_duration_seconds_bucket", sample);
	fprintf(to, ",op=\"%s\",le=\"+Inf\"} %llu\n", cli_op_name(op), (unsigned long long)sum);
	put_device(to, "request_duration_seconds_sum", sample);
	fprintf(to, ",op=\"%s\"} %.9f\n", cli_op_name(op), (double)stats->timed_ns / 1e9);
	put_device(to, "request_duration_seconds_count", sample);
	fprintf(to, ",op=\"%s\"} %llu\n", cli_op_name(op), (unsigned long long)sum);
}

/** A metric with one value for each operation of each device. */
struct metric {
	const char *name;
	const char *type;
	const char *help;
	size_t offset;
};

static const struct metric op_metrics[] = {
	{"operations_total", "counter", "Requests that ended.",
	 offsetof(struct bdus_op_stats, operations)},
	{"bytes_total", "counter", "Bytes of requests that succeeded.",
	 offsetof(struct bdus_op_stats, bytes)},
	{"errors_total", "counter", "Requests that failed.",
	 offsetof(struct bdus_op_stats, errors)},
};

static void put_head(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP bdus_%s %s\n# TYPE bdus_%s %s\n", name, help, name, type);
}

static void put_op_metric(FILE *to, const struct metric *metric, struct cli_sample *const *samples,
			  unsigned count)
{
	put_head(to, metric->name, metric->type, metric->help);
	for (unsigned i = 0; i < count; i++)
		for (unsigned op = 0; op < BDUS_OP_COUNT; op++) {
			const char *const stats = (const char *)&samples[i]->total[op];
			uint64_t value;

			memcpy(&value, stats + metric->offset, sizeof(value));
			if (samples[i]->total[op].operations != 0)
				put_value(to, metric->name, samples[i],
					  cli_format(",op=\"%s\"", cli_op_name(op)), value);
		}
}

/** A metric with one value for each filter of each device. */
static const struct metric filter_metrics[] = {
	{"filter_requests_total", "counter", "Requests that a filter was given.",
	 offsetof(struct bdus_filter_stats, held.operations)},
	{"filter_completed_total", "counter", "Requests that a filter completed itself.",
	 offsetof(struct bdus_filter_stats, completed)},
	{"filter_errors_total", "counter", "Requests that a filter completed with an error.",
	 offsetof(struct bdus_filter_stats, held.errors)},
	{"filter_bytes_total", "counter", "Bytes of the requests that a filter was given.",
	 offsetof(struct bdus_filter_stats, held.bytes)},
};

static void put_filter(FILE *to, const char *metric, const struct cli_sample *sample,
		       unsigned place)
{
	put_device(to, metric, sample);
	fprintf(to, ",place=\"%u\",", place);
	put_label(to, "filter", sample->filters[place].name);
}

static void put_filter_metric(FILE *to, const struct metric *metric,
			      struct cli_sample *const *samples, unsigned count)
{
	put_head(to, metric->name, metric->type, metric->help);
	for (unsigned i = 0; i < count; i++)
		for (unsigned place = 0; place < samples[i]->filter_count; place++) {
			const char *const stats = (const char *)&samples[i]->filters[place];
			uint64_t value;

			memcpy(&value, stats + metric->offset, sizeof(value));
			put_filter(to, metric->name, samples[i], place);
			fprintf(to, "} %llu\n", (unsigned long long)value);
		}
}

static void put_filters(FILE *to, struct cli_sample *const *samples, unsigned count)
{
	static const char *const held = "filter_held_seconds";

	for (size_t i = 0; i < sizeof(filter_metrics) / sizeof(filter_metrics[0]); i++)
		put_filter_metric(to, &filter_metrics[i], samples, count);
	put_head(to, held, "summary", "Times for which a filter held a random sample of requests.");
	for (unsigned i = 0; i < count; i++)
		for (unsigned place = 0; place < samples[i]->filter_count; place++) {
			const struct bdus_op_stats *const times = &samples[i]->filters[place].held;

			put_filter(to, "filter_held_seconds_sum", samples[i], place);
			fprintf(to, "} %.9f\n", (double)times->timed_ns / 1e9);
			put_filter(to, "filter_held_seconds_count", samples[i], place);
			fprintf(to, "} %llu\n", (unsigned long long)times->timed);
		}
}

static void put_gauges(FILE *to, struct cli_sample *const *samples, unsigned count)
{
	put_head(to, "in_flight", "gauge", "Requests between fetch and result.");
	for (unsigned i = 0; i < count; i++)
		put_value(to, "in_flight", samples[i], "", samples[i]->queue.in_flight);
	put_head(to, "workers", "gauge", "Threads that serve a blocking driver.");
	for (unsigned i = 0; i < count; i++)
		put_value(to, "workers", samples[i], "", samples[i]->queue.workers);
	put_head(to, "size_bytes", "gauge", "Size of the device.");
	for (unsigned i = 0; i < count; i++)
		put_value(to, "size_bytes", samples[i], "", samples[i]->info.size_bytes);
}

static void put_all(FILE *to, struct cli_sample *const *samples, unsigned count)
{
	for (size_t i = 0; i < sizeof(op_metrics) / sizeof(op_metrics[0]); i++)
		put_op_metric(to, &op_metrics[i], samples, count);
	put_head(to, "request_duration_seconds", "histogram",
		 "Times of a random sample of requests.");
	for (unsigned i = 0; i < count; i++)
		for (unsigned op = 0; op < BDUS_OP_COUNT; op++)
			if (samples[i]->total[op].timed != 0)
				put_buckets(to, samples[i], op);
	put_filters(to, samples, count);
	put_gauges(to, samples, count);
}

/** All metrics as they are now, in memory of free(). A device that does not answer is left out. */
static char *text_now(size_t *length)
{
	struct cli_devices devices = {0};
	struct cli_sample **samples;
	unsigned count = 0;
	char *text = NULL;
	FILE *to;

	cli_devices_list(&devices);
	samples = cli_allocate((devices.count + 1) * sizeof(struct cli_sample *));
	for (unsigned i = 0; i < devices.count; i++) {
		int error;
		struct cli_sample *const sample =
			devices.infos[i].state == BDUS_STATE_ORPHANED
				? NULL
				: cli_sample_open(&devices.infos[i], DEVICE_MS, &error);

		if (sample == NULL)
			continue;
		cli_sample_read(sample);
		samples[count++] = sample;
	}
	to = open_memstream(&text, length);
	if (to != NULL)
		put_all(to, samples, count);
	for (unsigned i = 0; i < count; i++)
		cli_sample_close(samples[i]);
	if (to == NULL || fclose(to) != 0)
		return NULL;
	return text;
}

/* ---- HTTP ---------------------------------------------------------------------------------- */

static int remaining_ms(const struct timespec *start)
{
	struct timespec now;
	long passed_ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	passed_ms = (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
	return passed_ms >= CLIENT_MS ? 0 : CLIENT_MS - (int)passed_ms;
}

static bool ready(int fd, short events, const struct timespec *start)
{
	struct pollfd look = {.fd = fd, .events = events};
	const int left_ms = remaining_ms(start);

	return left_ms > 0 && poll(&look, 1, left_ms) > 0;
}

/** Reads up to the empty line that ends a request; false when it does not come. */
static bool read_request(int fd, const struct timespec *start, char request[REQUEST_BYTES])
{
	size_t used = 0;

	while (used < REQUEST_BYTES - 1 && ready(fd, POLLIN, start)) {
		const ssize_t got =
			recv(fd, request + used, REQUEST_BYTES - 1 - used, MSG_DONTWAIT);

		if (got <= 0)
			return false;
		used += (size_t)got;
		request[used] = '\0';
		if (strstr(request, "\r\n\r\n") != NULL || strstr(request, "\n\n") != NULL)
			return true;
	}
	return false;
}

static void send_all(int fd, const struct timespec *start, const char *text, size_t length)
{
	while (length != 0 && ready(fd, POLLOUT, start)) {
		const ssize_t sent = send(fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent <= 0)
			return;
		text += sent;
		length -= (size_t)sent;
	}
}

static void answer(int fd, const struct timespec *start, const char *status, const char *text,
		   size_t length)
{
	char head[256];
	const int head_length =
		snprintf(head, sizeof(head),
			 "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\n"
			 "Content-Length: %zu\r\nConnection: close\r\n\r\n",
			 status, length);

	send_all(fd, start, head, (size_t)head_length);
	send_all(fd, start, text, length);
}

static void serve_client(int fd)
{
	static const char wrong[] = "only GET / and GET /metrics are here\n";
	char request[REQUEST_BYTES];
	struct timespec start;
	size_t length;
	char *text;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (!read_request(fd, &start, request))
		return;
	if (strncmp(request, "GET /metrics", 12) != 0 && strncmp(request, "GET / ", 6) != 0) {
		answer(fd, &start, "404 Not Found", wrong, sizeof(wrong) - 1);
		return;
	}
	text = text_now(&length);
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (text != NULL)
		answer(fd, &start, "200 OK", text, length);
	else
		answer(fd, &start, "500 Internal Server Error", "", 0);
	free(text);
	/* Devices come and go; nothing of the last answer is used again. */
	cli_free_all();
}

/* ---- the socket ---------------------------------------------------------------------------- */

static int listen_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const mode_t mask = umask(0177);
	int fd = -1;

	if (strlen(path) < sizeof(address.sun_path)) {
		strcpy(address.sun_path, path);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
				listen(fd, 16) != 0)) {
			close(fd);
			fd = -1;
		}
	} else {
		errno = ENAMETOOLONG;
	}
	umask(mask);
	return fd;
}

static int listen_port(const char *word)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int on = 1;
	char *rest;
	const unsigned long port = strtoul(word, &rest, 10);
	int fd;

	if (*rest != '\0' || port == 0 || port > 65535) {
		errno = EINVAL;
		return -1;
	}
	address.sin_port = htons((uint16_t)port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 16) == 0)
		return fd;
	close(fd);
	return -1;
}

static void serve_until_end(int listener)
{
	const struct sigaction action = {.sa_handler = end};
	sigset_t signals;
	sigset_t before;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, &before);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	while (!ended) {
		struct pollfd look = {.fd = listener, .events = POLLIN};
		int fd;

		/* Signals come only here, so that none is missed. */
		if (ppoll(&look, 1, NULL, &before) <= 0)
			continue;
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		serve_client(fd);
		close(fd);
	}
}

int cli_metrics_serve(const struct cli_args *args, const char *address)
{
	const bool is_path = strchr(address, '/') != NULL;
	int listener;

	if (args->operand_count != 0)
		return cli_usage_error("stats --metrics serves all devices; it takes no names");
	if (!is_path && strspn(address, "0123456789") != strlen(address))
		return cli_usage_error(
			"option --metrics: \"%s\" is neither a port of 127.0.0.1 nor "
			"a path with a slash",
			address);
	listener = is_path ? listen_unix(address) : listen_port(address);
	if (listener < 0) {
		cli_say("cannot serve metrics at %s: %s", address, strerror(errno));
		return CLI_FAILED;
	}
	serve_until_end(listener);
	close(listener);
	if (is_path)
		unlink(address);
	return CLI_OK;
}
