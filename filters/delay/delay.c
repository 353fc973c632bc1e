/* SPDX-License-Identifier: MIT */
/*
 * delay: requests wait before they go on, each for the time of its operation. A waiting request
 * costs a timer in the loop of its queue and no thread; it does not hold up others.
 */
#include "base/bits.h"

#include <bdus/async.h>
#include <bdus/filter.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS  UINT64_C(1000000)
#define LONGEST_NS (UINT64_C(3600) * 1000 * NS_PER_MS)

struct delay {
	uint64_t time_ns[BDUS_OP_COUNT];
	/** Added to it at random, up to this. */
	uint64_t jitter_ns;
	atomic_uint_fast64_t drawn;
};

/** A request that waits. */
struct waiting {
	struct bdus_call timer;
	struct bdus_request *request;
};

static const struct bdus_option options[] = {
	{.key = "time",
	 .help = "How long each request waits, as 10ms, 500us or 2s",
	 .fallback = "0ms"},
	{.key = "read", .help = "How long reads wait instead"},
	{.key = "write", .help = "How long writes wait instead"},
	{.key = "flush", .help = "How long flushes wait instead"},
	{.key = "write-zeros", .help = "How long requests to write zeros wait instead"},
	{.key = "discard", .help = "How long discards and secure erases wait instead"},
	{.key = "extents", .help = "How long questions about what is allocated wait instead"},
	{.key = "jitter",
	 .help = "Time up to which a random part is added to the others",
	 .fallback = "0ms"},
	{.key = NULL},
};

/** The key that says how long an operation waits; NULL for `time` alone. */
static const char *const op_keys[BDUS_OP_COUNT] = {
	[BDUS_OP_READ] = "read",       [BDUS_OP_WRITE] = "write",
	[BDUS_OP_FLUSH] = "flush",     [BDUS_OP_WRITE_ZEROS] = "write-zeros",
	[BDUS_OP_DISCARD] = "discard", [BDUS_OP_SECURE_ERASE] = "discard",
	[BDUS_OP_EXTENTS] = "extents",
};

/** The nanoseconds of a unit; 0 for no such unit. */
static uint64_t unit_ns(const char *unit)
{
	if (strcmp(unit, "us") == 0)
		return 1000;
	if (strcmp(unit, "ms") == 0)
		return NS_PER_MS;
	return strcmp(unit, "s") == 0 ? 1000 * NS_PER_MS : 0;
}

static int parse_time(const struct bdus_config *config, const char *key, uint64_t *time_ns)
{
	const char *const text = bdus_config_string(config, key);
	char *unit;
	uint64_t number;

	errno = 0;
	number = strtoull(text, &unit, 10);
	if (text[0] < '0' || text[0] > '9' || errno != 0 || unit_ns(unit) == 0 ||
	    number > LONGEST_NS / unit_ns(unit))
		return bdus_config_error(EINVAL,
					 "filter delay: %s=%s: must be a number of us, ms or s, at "
					 "most an hour, such as 10ms",
					 key, text);
	*time_ns = number * unit_ns(unit);
	return 0;
}

static int parse_times(const struct bdus_config *config, struct delay *delay)
{
	uint64_t common_ns = 0;
	int result = parse_time(config, "time", &common_ns);

	if (result == 0)
		result = parse_time(config, "jitter", &delay->jitter_ns);
	for (unsigned op = 0; op < BDUS_OP_COUNT && result == 0; op++) {
		delay->time_ns[op] = common_ns;
		if (op_keys[op] != NULL && bdus_config_given(config, op_keys[op]))
			result = parse_time(config, op_keys[op], &delay->time_ns[op]);
	}
	return result;
}

static int delay_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		      void **instance)
{
	struct delay *const delay = calloc(1, sizeof(*delay));
	int result;

	(void)attrs;
	if (delay == NULL)
		return bdus_config_error(ENOMEM, "filter delay: no memory");
	result = parse_times(config, delay);
	if (result < 0) {
		free(delay);
		return result;
	}
	*instance = delay;
	return 0;
}

static int delay_close(void *instance)
{
	free(instance);
	return 0;
}

/** A number that looks random; any thread. */
static uint64_t draw(struct delay *delay)
{
	uint64_t value = atomic_fetch_add_explicit(&delay->drawn, 1, memory_order_relaxed);

	value = (value + 1) * UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	return value ^ (value >> 31);
}

static uint64_t time_of(struct delay *delay, unsigned op)
{
	const uint64_t time_ns = delay->time_ns[op];

	return delay->jitter_ns == 0 ? time_ns : time_ns + draw(delay) % (delay->jitter_ns + 1);
}

static void time_is_over(struct bdus_call *timer)
{
	struct waiting *const waiting = base_container_of(timer, struct waiting, timer);
	struct bdus_request *const request = waiting->request;
	const int result = (int)timer->message.result;

	free(waiting);
	/* A loop that ends has nobody left to wait for. */
	if (result < 0)
		bdus_complete(request, result);
	else
		bdus_filter_pass(request);
}

static void wait_for(struct bdus_request *request, uint64_t time_ns)
{
	struct waiting *const waiting = malloc(sizeof(*waiting));
	int result;

	if (waiting == NULL) {
		bdus_complete(request, -ENOMEM);
		return;
	}
	waiting->request = request;
	waiting->timer.completed = time_is_over;
	asys_prep_timeout(&waiting->timer.message, asys_deadline(0) + time_ns);
	result = bdus_loop_send(bdus_queue_loop(bdus_request_queue(request)), &waiting->timer);
	if (result < 0) {
		free(waiting);
		bdus_complete(request, result);
	}
}

static void delay_submit(void *instance, struct bdus_request *request)
{
	const uint64_t time_ns = time_of(instance, request->op);

	if (time_ns == 0)
		bdus_filter_pass(request);
	else
		wait_for(request, time_ns);
}

const struct bdus_filter bdus_filter_delay = {
	.abi = BDUS_FILTER_ABI,
	.size = sizeof(struct bdus_filter),
	.name = "delay",
	.summary = "Requests wait for a time before they go on",
	.options = options,
	.open = delay_open,
	.close = delay_close,
	.submit = delay_submit,
};
