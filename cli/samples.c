/* SPDX-License-Identifier: MIT */
/*
 * Statistics of devices as the commands show them: read from the memory that a device's process
 * shares, in total and since the last time.
 */
#include "cli_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cli_sample *cli_sample_open(const struct bdus_device_info *info, uint64_t timeout_ms,
				   int *error)
{
	struct bdus_stats *stats;
	struct cli_sample *sample;

	*error = bdus_stats_open(info, timeout_ms, &stats);
	if (*error < 0)
		return NULL;
	sample = cli_allocate(sizeof(*sample));
	memset(sample, 0, sizeof(*sample));
	sample->info = *info;
	sample->stats = stats;
	return sample;
}

void cli_sample_close(struct cli_sample *sample)
{
	if (sample == NULL)
		return;
	bdus_stats_close(sample->stats);
	sample->stats = NULL;
}

static void read_filters(struct cli_sample *sample)
{
	unsigned place = 0;

	for (; place < BDUS_STATS_FILTERS; place++) {
		struct bdus_filter_stats *const now = &sample->filters[place];
		struct bdus_filter_stats *const since = &sample->filters_since[place];
		const struct bdus_filter_stats last = *now;

		if (bdus_stats_read_filter(sample->stats, BDUS_STATS_ALL, place, now) < 0)
			break;
		*since = *now;
		bdus_stats_subtract(&since->held, &last.held);
		since->completed -= last.completed;
	}
	sample->filter_count = place;
}

void cli_sample_read(struct cli_sample *sample)
{
	sample->before = sample->queue;
	bdus_stats_read_queue(sample->stats, BDUS_STATS_ALL, &sample->queue);
	for (unsigned op = 0; op < BDUS_OP_COUNT; op++) {
		sample->last[op] = sample->total[op];
		bdus_stats_read(sample->stats, BDUS_STATS_ALL, op, &sample->total[op]);
		sample->since[op] = sample->total[op];
		bdus_stats_subtract(&sample->since[op], &sample->last[op]);
	}
	read_filters(sample);
}

double cli_sample_seconds(const struct cli_sample *sample)
{
	const uint64_t elapsed_ns = sample->queue.time_ns - sample->before.time_ns;

	return elapsed_ns != 0 ? (double)elapsed_ns / 1e9 : 1e-9;
}

void cli_sample_sum(const struct bdus_op_stats *ops, struct bdus_op_stats *sum)
{
	*sum = (struct bdus_op_stats){0};
	for (unsigned op = 0; op < BDUS_OP_COUNT; op++) {
		sum->operations += ops[op].operations;
		sum->bytes += ops[op].bytes;
		sum->errors += ops[op].errors;
		sum->timed += ops[op].timed;
		sum->timed_ns += ops[op].timed_ns;
		for (unsigned i = 0; i < BDUS_STATS_BUCKETS; i++)
			sum->buckets[i] += ops[op].buckets[i];
	}
}

const char *cli_time_text(double ns, char text[static CLI_TIME_TEXT])
{
	if (ns < 1e3)
		snprintf(text, CLI_TIME_TEXT, "%.0f ns", ns);
	else if (ns < 1e6)
		snprintf(text, CLI_TIME_TEXT, "%.1f us", ns / 1e3);
	else if (ns < 1e9)
		snprintf(text, CLI_TIME_TEXT, "%.1f ms", ns / 1e6);
	else
		snprintf(text, CLI_TIME_TEXT, "%.1f s", ns / 1e9);
	return text;
}
