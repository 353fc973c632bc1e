/* SPDX-License-Identifier: MIT */
/*
 * bdus top: what devices are doing, in a terminal, again and again.
 */
#include "cli_internal.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** How long a device's process may take to answer before it is left out for this time. */
#define DEVICE_MS   200
#define INTERVAL_MS 1000

const struct cli_option cli_top_options[] = {
	{"count", 'n', "N", "End after so many screens"},
	{"interval", 'd', "SECONDS", "Time between two screens (default: 1)"},
	CLI_OPTIONS_END,
};

struct top {
	struct cli_sample **samples;
	unsigned count;
	unsigned capacity;
	unsigned unanswered;
};

/* ---- which devices ------------------------------------------------------------------------- */

static struct cli_sample *find(const struct top *top, uint64_t id)
{
	for (unsigned i = 0; i < top->count; i++)
		if (top->samples[i]->info.id == id)
			return top->samples[i];
	return NULL;
}

static void add(struct top *top, const struct bdus_device_info *info)
{
	int error;
	struct cli_sample *const sample = cli_sample_open(info, DEVICE_MS, &error);

	if (sample == NULL) {
		top->unanswered++;
		return;
	}
	cli_sample_read(sample);
	if (top->count == top->capacity) {
		top->capacity = top->capacity == 0 ? 16 : top->capacity * 2;
		top->samples = cli_grow(top->samples, top->capacity * sizeof(struct cli_sample *));
	}
	top->samples[top->count++] = sample;
}

/** Whether a device that was seen before is among @devices, with what is known of it now. */
static bool still_there(struct cli_sample *sample, const struct cli_devices *devices)
{
	for (unsigned i = 0; i < devices->count; i++) {
		if (devices->infos[i].id != sample->info.id ||
		    devices->infos[i].state == BDUS_STATE_ORPHANED)
			continue;
		sample->info = devices->infos[i];
		return true;
	}
	return false;
}

/** Statistics of what is gone can still be read, but are of no interest. */
static void look_around(struct top *top)
{
	struct cli_devices devices = {0};
	unsigned kept = 0;

	cli_devices_list(&devices);
	for (unsigned i = 0; i < top->count; i++) {
		if (still_there(top->samples[i], &devices))
			top->samples[kept++] = top->samples[i];
		else
			cli_sample_close(top->samples[i]);
	}
	top->count = kept;
	top->unanswered = 0;
	for (unsigned i = 0; i < devices.count; i++)
		if (devices.infos[i].id != BDUS_ID_NONE &&
		    devices.infos[i].state != BDUS_STATE_ORPHANED &&
		    find(top, devices.infos[i].id) == NULL)
			add(top, &devices.infos[i]);
}

/* ---- the screen ---------------------------------------------------------------------------- */

static const char *rate_text(double bytes, char text[static CLI_SIZE_TEXT])
{
	return cli_size_text((uint64_t)bytes, text);
}

static void show_time(const struct bdus_op_stats *op, double share)
{
	char text[CLI_TIME_TEXT];

	printw(" %8s", op->timed != 0
			       ? cli_time_text((double)bdus_stats_quantile_ns(op, share), text)
			       : "-");
}

static void show_sample(const struct cli_sample *sample)
{
	const double seconds = cli_sample_seconds(sample);
	const struct bdus_op_stats *const reads = &sample->since[BDUS_OP_READ];
	const struct bdus_op_stats *const writes = &sample->since[BDUS_OP_WRITE];
	struct bdus_op_stats all;
	char size[CLI_SIZE_TEXT];

	cli_sample_sum(sample->since, &all);
	printw("%4llu %-8.8s %-5.5s", (unsigned long long)sample->info.id, sample->info.driver,
	       sample->info.transport);
	printw(" %8.0f %8.0f", (double)reads->operations / seconds,
	       (double)writes->operations / seconds);
	printw(" %10s", rate_text((double)reads->bytes / seconds, size));
	printw(" %10s", rate_text((double)writes->bytes / seconds, size));
	show_time(&all, 0.5);
	show_time(&all, 0.99);
	show_time(&all, 0.999);
	printw(" %5llu", (unsigned long long)sample->queue.in_flight);
	if (sample->queue.worker_limit != 0)
		printw(" %3u", sample->queue.workers);
	else
		printw("   -");
	printw(" %6llu\n", (unsigned long long)all.errors);
}

/** A filter sees no reads and writes apart. */
static void show_filter(const struct cli_sample *sample, unsigned place)
{
	const double seconds = cli_sample_seconds(sample);
	const struct bdus_filter_stats *const filter = &sample->filters_since[place];
	char size[CLI_SIZE_TEXT];

	printw("%4s %-14.14s %8.0f %8s %10s %10s", "", filter->name,
	       (double)filter->held.operations / seconds, "",
	       rate_text((double)filter->held.bytes / seconds, size), "");
	show_time(&filter->held, 0.5);
	show_time(&filter->held, 0.99);
	show_time(&filter->held, 0.999);
	printw(" %9s %6llu\n", "", (unsigned long long)filter->held.errors);
}

static void show(const struct top *top)
{
	erase();
	attron(A_BOLD);
	printw("%4s %-8s %-5s %8s %8s %10s %10s %8s %8s %8s %5s %3s %6s\n", "ID", "DRIVER", "VIA",
	       "READ/S", "WRITE/S", "READ B/S", "WRITE B/S", "P50", "P99", "P99.9", "DEPTH", "WRK",
	       "ERRORS");
	attroff(A_BOLD);
	for (unsigned i = 0; i < top->count; i++) {
		show_sample(top->samples[i]);
		for (unsigned place = 0; place < top->samples[i]->filter_count; place++)
			show_filter(top->samples[i], place);
	}
	if (top->count == 0)
		printw("no devices\n");
	if (top->unanswered != 0)
		printw("%u do not answer\n", top->unanswered);
	refresh();
}

/** Waits for the time to pass; whether the user wants to go on. */
static bool pause_ms(uint64_t milliseconds)
{
	int key;

	timeout((int)milliseconds);
	key = getch();
	return key != 'q' && key != 'Q' && key != 27;
}

static void run(uint64_t interval_ms, uint32_t count)
{
	struct top top = {0};
	uint32_t shown = 0;

	do {
		look_around(&top);
		if (shown != 0)
			for (unsigned i = 0; i < top.count; i++)
				cli_sample_read(top.samples[i]);
		show(&top);
		shown++;
	} while ((count == 0 || shown < count) && pause_ms(interval_ms));
	for (unsigned i = 0; i < top.count; i++)
		cli_sample_close(top.samples[i]);
}

int cli_cmd_top(const struct cli_args *args)
{
	uint64_t interval_ms;
	uint32_t count;
	SCREEN *screen;
	int status = cli_args_seconds(args, "interval", &interval_ms);

	if (status == CLI_OK)
		status = cli_args_number(args, "count", UINT32_MAX, &count);
	if (status != CLI_OK)
		return status;
	if (!isatty(STDOUT_FILENO))
		return cli_usage_error(
			"top needs a terminal; \"bdus stats --json\" is for programs");
	screen = newterm(NULL, stdout, stdin);
	if (screen == NULL) {
		const char *const terminal = getenv("TERM");

		cli_say("cannot use a terminal of kind \"%s\"",
			terminal != NULL ? terminal : "unknown");
		return CLI_FAILED;
	}
	cbreak();
	noecho();
	curs_set(0);
	run(interval_ms != 0 ? interval_ms : INTERVAL_MS, count);
	endwin();
	delscreen(screen);
	return CLI_OK;
}
