/* SPDX-License-Identifier: MIT */
/*
 * bdus stats: what devices have done since they were created.
 */
#include "cli_internal.h"

#include <stdio.h>

/** How long a device's process may take to answer. */
#define TIMEOUT_MS 5000

const struct cli_option cli_stats_options[] = {
	{"all", 'a', NULL, "Every device of this user (of everybody, for root)"},
	{"json", 0, NULL, "Print one JSON document"},
	{"metrics", 0, "ADDRESS",
	 "Serve all devices to Prometheus: a port of 127.0.0.1, or a path"},
	{"timeout", 0, "SECONDS", "Wait at most so long for each device (default: 5)"},
	CLI_OPTIONS_END,
};

/** The shares of requests whose times are shown. */
static const struct {
	const char *name;
	double share;
} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};

#define QUANTILES (sizeof(quantiles) / sizeof(quantiles[0]))

/* ---- text ---------------------------------------------------------------------------------- */

static void add_time(struct cli_table *table, const struct bdus_op_stats *op, double ns)
{
	char text[CLI_TIME_TEXT];

	cli_table_add(table, "%s", op->timed != 0 ? cli_time_text(ns, text) : "-");
}

static void add_operation(struct cli_table *table, unsigned number, const struct bdus_op_stats *op)
{
	char size[CLI_SIZE_TEXT];

	cli_table_add(table, "%s", cli_op_name(number));
	cli_table_add(table, "%llu", (unsigned long long)op->operations);
	cli_table_add(table, "%llu", (unsigned long long)op->errors);
	cli_table_add(table, "%s", cli_size_text(op->bytes, size));
	add_time(table, op, op->timed != 0 ? (double)op->timed_ns / (double)op->timed : 0);
	add_time(table, op, (double)bdus_stats_quantile_ns(op, 0.5));
	add_time(table, op, (double)bdus_stats_quantile_ns(op, 0.99));
	add_time(table, op, (double)bdus_stats_quantile_ns(op, 0.999));
}

static void print_filters(const struct cli_sample *sample)
{
	static const char *const titles[] = {"FILTER", "COUNT", "ENDED", "ERRORS",
					     "BYTES",  "MEAN",  "P50",   "P99"};
	struct cli_table table = {.columns = 8, .right = 0xfe};

	for (unsigned i = 0; i < 8; i++)
		cli_table_add(&table, "%s", titles[i]);
	for (unsigned i = 0; i < sample->filter_count; i++) {
		const struct bdus_filter_stats *const filter = &sample->filters[i];
		const struct bdus_op_stats *const held = &filter->held;
		char size[CLI_SIZE_TEXT];

		cli_table_add(&table, "%u %s", i, filter->name);
		cli_table_add(&table, "%llu", (unsigned long long)held->operations);
		cli_table_add(&table, "%llu", (unsigned long long)filter->completed);
		cli_table_add(&table, "%llu", (unsigned long long)held->errors);
		cli_table_add(&table, "%s", cli_size_text(held->bytes, size));
		add_time(&table, held,
			 held->timed != 0 ? (double)held->timed_ns / (double)held->timed : 0);
		add_time(&table, held, (double)bdus_stats_quantile_ns(held, 0.5));
		add_time(&table, held, (double)bdus_stats_quantile_ns(held, 0.99));
	}
	cli_table_print(&table);
}

static void print_sample(const struct cli_sample *sample)
{
	static const char *const titles[] = {"OPERATION", "COUNT", "ERRORS", "BYTES",
					     "MEAN",      "P50",   "P99",    "P99.9"};
	struct cli_table table = {.columns = 8, .right = 0xfe};

	printf("%s: %llu in flight, %u queue%s of %u", cli_device_name(&sample->info),
	       (unsigned long long)sample->queue.in_flight, sample->queue.queues,
	       sample->queue.queues == 1 ? "" : "s", sample->queue.queue_depth);
	if (sample->queue.worker_limit != 0)
		printf(", %u of %u workers", sample->queue.workers, sample->queue.worker_limit);
	putchar('\n');
	for (unsigned i = 0; i < 8; i++)
		cli_table_add(&table, "%s", titles[i]);
	for (unsigned op = 0; op < BDUS_OP_COUNT; op++)
		if (sample->total[op].operations != 0)
			add_operation(&table, op, &sample->total[op]);
	cli_table_print(&table);
	if (sample->filter_count != 0)
		print_filters(sample);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *json_operation(const struct bdus_op_stats *op)
{
	json_t *const object = json_object();
	json_t *const latency = json_object();

	cli_json_set(object, "operations", cli_json_number(op->operations));
	cli_json_set(object, "bytes", cli_json_number(op->bytes));
	cli_json_set(object, "errors", cli_json_number(op->errors));
	cli_json_set(object, "timed", cli_json_number(op->timed));
	cli_json_set(object, "timed_ns", cli_json_number(op->timed_ns));
	for (unsigned i = 0; i < QUANTILES; i++)
		cli_json_set(latency, quantiles[i].name,
			     op->timed != 0 ? cli_json_number(bdus_stats_quantile_ns(
						      op, quantiles[i].share))
					    : json_null());
	cli_json_set(object, "latency_ns", latency);
	return object;
}

static json_t *json_filters(const struct cli_sample *sample)
{
	json_t *const filters = json_array();

	for (unsigned i = 0; i < sample->filter_count; i++) {
		json_t *const object = json_operation(&sample->filters[i].held);

		cli_json_set(object, "name", cli_json_text(sample->filters[i].name));
		cli_json_set(object, "completed", cli_json_number(sample->filters[i].completed));
		cli_json_append(filters, object);
	}
	return filters;
}

static json_t *json_sample(const struct cli_sample *sample)
{
	json_t *const object = json_object();
	json_t *const operations = json_object();

	cli_json_set(object, "id", cli_json_number(sample->info.id));
	cli_json_set(object, "path", cli_json_text(sample->info.path));
	cli_json_set(object, "driver", cli_json_text(sample->info.driver));
	cli_json_set(object, "transport", cli_json_text(sample->info.transport));
	cli_json_set(object, "time_ns", cli_json_number(sample->queue.time_ns));
	cli_json_set(object, "queues", cli_json_number(sample->queue.queues));
	cli_json_set(object, "queue_depth", cli_json_number(sample->queue.queue_depth));
	cli_json_set(object, "in_flight", cli_json_number(sample->queue.in_flight));
	cli_json_set(object, "fetched", cli_json_number(sample->queue.fetched));
	cli_json_set(object, "batches", cli_json_number(sample->queue.batches));
	cli_json_set(object, "workers", cli_json_number(sample->queue.workers));
	cli_json_set(object, "worker_limit", cli_json_number(sample->queue.worker_limit));
	for (unsigned op = 0; op < BDUS_OP_COUNT; op++)
		if (sample->total[op].operations != 0)
			cli_json_set(operations, cli_op_name(op),
				     json_operation(&sample->total[op]));
	cli_json_set(object, "operations", operations);
	cli_json_set(object, "filters", json_filters(sample));
	return object;
}

/* ---- the command --------------------------------------------------------------------------- */

/** What is shown of one device, and what of all. */
struct report {
	uint64_t timeout_ms;
	/** NULL for text. */
	json_t *devices;
	json_t *errors;
	bool begun;
};

static void note_error(struct report *report, const char *name, int status)
{
	json_t *object;

	if (report->errors == NULL)
		return;
	object = json_object();
	cli_json_set(object, "device", cli_json_text(name));
	cli_json_set(object, "status", json_integer(status));
	cli_json_set(object, "message", cli_json_text(bdus_manage_error()));
	cli_json_append(report->errors, object);
}

static void note_missing(const char *name, int status, void *opaque)
{
	note_error(opaque, name, status);
}

static int show(struct report *report, const struct bdus_device_info *info)
{
	int error;
	struct cli_sample *const sample = cli_sample_open(info, report->timeout_ms, &error);

	if (sample == NULL) {
		cli_say_library_error(cli_device_name(info), error);
		note_error(report, cli_device_name(info), cli_status_of(error));
		return cli_status_of(error);
	}
	cli_sample_read(sample);
	if (report->devices != NULL) {
		cli_json_append(report->devices, json_sample(sample));
	} else {
		if (report->begun)
			putchar('\n');
		print_sample(sample);
		report->begun = true;
	}
	cli_sample_close(sample);
	return CLI_OK;
}

static void print_document(const struct report *report)
{
	json_t *const document = json_object();

	cli_json_set(document, "devices", report->devices);
	cli_json_set(document, "errors", report->errors);
	cli_json_print(document);
}

int cli_cmd_stats(const struct cli_args *args)
{
	struct report report = {.timeout_ms = 0};
	struct cli_devices devices = {0};
	int status = cli_args_seconds(args, "timeout", &report.timeout_ms);

	if (status != CLI_OK)
		return status;
	if (report.timeout_ms == 0)
		report.timeout_ms = TIMEOUT_MS;
	if (cli_args_has(args, "metrics"))
		return cli_metrics_serve(args, cli_args_value(args, "metrics"));
	if (cli_args_has(args, "json")) {
		report.devices = json_array();
		report.errors = json_array();
	}
	status = cli_devices_select(args, &devices, note_missing, &report);
	for (unsigned i = 0; i < devices.count; i++)
		cli_status_merge(&status, show(&report, &devices.infos[i]));
	if (report.devices != NULL)
		print_document(&report);
	return status;
}
