/* SPDX-License-Identifier: MIT */
/*
 * bdus run: creates a device and serves it, in the background unless told otherwise.
 *
 * In the background the device is served by a child (bdus_manage_run() forks), which prints the
 * path from `available`; this process then exits. What fails before is reported by this process,
 * what fails in `available` ends the device, so that a path that nobody could read leaves no
 * device.
 */
#include "cli_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct cli_option cli_run_options[] = {
	{"transport", 't', "SPEC",
	 "The way in: auto, or a name with its keys, as in nbd,socket=/run/x (default: "
	 "$BDUS_TRANSPORT, else auto)"},
	{"filter", 0, "SPEC",
	 "A filter before the driver, with its keys, as in delay:read=10; may be given several "
	 "times, "
	 "the first one is next to the clients"},
	{"backend", 0, "SPEC",
	 "Another driver with its keys, as in file:path=x.img, that filters may send requests to; "
	 "may be given several times, they count from 1"},
	{"queues", 0, "N", "Most queues (default: as driver and way in like)"},
	{"depth", 0, "N", "Most requests in flight in each queue (default: likewise)"},
	{"read-only", 'r', NULL, "Refuse writes"},
	{"no-partition-scan", 0, NULL, "Keep the kernel from looking for partitions"},
	{"recoverable", 0, NULL,
	 "Keep the device when its driver is killed or fails; requests wait for another (bdus "
	 "recover)"},
	{"restart", 0, NULL, "Start the driver again when it is killed or fails"},
	{"lock-memory", 0, NULL, "Keep all memory resident, to serve swap or a root file system"},
	{"foreground", 'f', NULL, "Stay in the foreground"},
	{"json", 0, NULL, "Print the device as one JSON document rather than its path"},
	{"log", 0, "LEVEL",
	 "Tell so much on standard error while in the foreground: error, warning (default), info "
	 "or debug (bdus log)"},
	{"quiet", 'q', NULL, "Print neither the path nor notes"},
	CLI_OPTIONS_END,
};

#define MOST_WAYS     8
#define MOST_FILTERS  16
#define MOST_BACKENDS 8

/* Far above what any way in takes; the library knows the real limits. */
#define MOST_QUEUES 65536
#define MOST_DEPTH  65536

struct run {
	const struct cli_args *args;
	bool chosen_by_us;
	bool available;
};

/** Says why @report, which "auto" prefers to what was taken, was not taken. */
static void explain_not_taken(const struct bdus_transport_report *report)
{
	if (!report->usable)
		cli_say("not taken: %s: %s", report->name, report->reason);
	else
		cli_say("not taken: %s: it could not carry this device", report->name);
}

static void explain_choice(const struct bdus_device_info *info)
{
	static struct bdus_transport_report reports[MOST_WAYS];
	const int count = bdus_manage_check(reports, MOST_WAYS);
	bool preferred = true;

	cli_say("way in: %s", info->transport);
	for (int i = 0; i < count; i++) {
		if (strcmp(reports[i].name, info->transport) == 0)
			preferred = false;
		else if (preferred || !reports[i].usable)
			explain_not_taken(&reports[i]);
		else
			cli_say("not taken: %s: it works here, but %s is preferred",
				reports[i].name, info->transport);
	}
}

static int announce(const struct bdus_device_info *info, void *opaque)
{
	struct run *const run = opaque;
	const bool quiet = cli_args_has(run->args, "quiet");
	int error;

	run->available = true;
	if (run->chosen_by_us && !quiet)
		explain_choice(info);
	if (cli_args_has(run->args, "json"))
		cli_json_print(cli_json_device(info));
	else if (!quiet)
		printf("%s\n", info->path);
	error = cli_flush_stdout();
	if (error < 0)
		bdus_config_error(-error, "cannot write to standard output: %s", strerror(-error));
	return error;
}

/** The status for a run that failed, by whether the device was ever there. */
static int status_of_run(int error, bool was_available)
{
	if (was_available)
		return CLI_FAILED;
	switch (-error) {
	case EINVAL:
	case ERANGE:
		return CLI_USAGE;
	case ENODEV:
		return CLI_UNSUPPORTED;
	case ENXIO:
		return CLI_FAILED;
	default:
		return cli_status_of(error);
	}
}

static volatile sig_atomic_t waited_s;

static void say_still_creating(int signal_number)
{
	static const char before[] = "bdus: still creating the device (";
	static const char after[] = " s)\n";
	char digits[12];
	size_t start = sizeof(digits);
	const int saved_errno = errno;
	const unsigned step_s = waited_s < 60 ? (unsigned)waited_s : 60;
	unsigned number = (unsigned)waited_s;

	(void)signal_number;
	for (; number != 0; number /= 10)
		digits[--start] = (char)('0' + number % 10);
	if (write(STDERR_FILENO, before, sizeof(before) - 1) > 0 &&
	    write(STDERR_FILENO, digits + start, sizeof(digits) - start) > 0 &&
	    write(STDERR_FILENO, after, sizeof(after) - 1) > 0) {
		alarm(step_s);
		waited_s += (sig_atomic_t)step_s;
	}
	errno = saved_errno;
}

/**
 * Has this process say so while its child takes long to create the device. The timer is not
 * inherited by the child.
 */
static void watch_creation(void)
{
	const struct sigaction action = {.sa_handler = say_still_creating, .sa_flags = SA_RESTART};

	waited_s = 3;
	sigaction(SIGALRM, &action, NULL);
	alarm(3);
}

/** Names the key that an unknown one may be a slip of. */
static void suggest_key(const struct bdus_option *known, const char *const *words, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char *const key = cli_format("%.*s", (int)strcspn(words[i], "="), words[i]);
		struct cli_suggestion suggestion = {.word = key};
		const struct bdus_option *option = known;

		for (; option != NULL && option->key != NULL; option++)
			cli_suggest(&suggestion, option->key);
		if (suggestion.best != NULL && strcmp(suggestion.best, key) != 0)
			cli_say("\"%s\"%s", key, cli_suggestion_text(&suggestion));
	}
}

static void suggest_keys(const struct bdus_run_options *options)
{
	suggest_key(options->driver->options, options->driver_options,
		    options->driver_option_count);
	for (unsigned i = 0; i < options->filter_count; i++)
		suggest_key(options->filters[i].filter->options, options->filters[i].options,
			    options->filters[i].option_count);
	for (unsigned i = 0; i < options->backend_count; i++)
		suggest_key(options->backends[i].driver->options, options->backends[i].options,
			    options->backends[i].option_count);
}

/** Lines of several threads may come at once, and stay whole. */
static void tell(enum bdus_log_level level, const char *text, void *opaque)
{
	(void)opaque;
	fprintf(stderr, "bdus: %s: %s\n", cli_log_level_name(level), text);
}

static int read_log_level(const struct cli_args *args, struct bdus_run_options *options)
{
	const char *const name = cli_args_value(args, "log");

	options->log = tell;
	options->log_level = BDUS_LOG_WARNINGS;
	return name != NULL ? cli_log_level_read(name, &options->log_level) : CLI_OK;
}

static int serve(struct run *run, struct bdus_run_options *options)
{
	int error;

	options->available = announce;
	options->opaque = run;
	if (options->daemonize)
		watch_creation();
	error = bdus_manage_run(options);
	alarm(0);
	if (error >= 0)
		return CLI_OK;
	cli_say_library_error(NULL, error);
	if (error == -EINVAL && !run->available)
		suggest_keys(options);
	return status_of_run(error, run->available);
}

/** The filters that @args name. Returns CLI_OK, or an exit status after a message. */
static int parse_filters(const struct cli_args *args, struct bdus_run_options *options)
{
	static struct bdus_filter_use uses[MOST_FILTERS];
	unsigned position = 0;
	const char *spec;

	options->filters = uses;
	while ((spec = cli_args_next(args, "filter", &position)) != NULL) {
		int status;

		if (options->filter_count == MOST_FILTERS)
			return cli_usage_error("--filter was given more than %d times",
					       MOST_FILTERS);
		status = cli_filter_parse(spec, &uses[options->filter_count++]);
		if (status != CLI_OK)
			return status;
	}
	return CLI_OK;
}

/** The same for backends. */
static int parse_backends(const struct cli_args *args, struct bdus_run_options *options)
{
	static struct bdus_backend_use uses[MOST_BACKENDS];
	unsigned position = 0;
	const char *spec;

	options->backends = uses;
	while ((spec = cli_args_next(args, "backend", &position)) != NULL) {
		int status;

		if (options->backend_count == MOST_BACKENDS)
			return cli_usage_error("--backend was given more than %d times",
					       MOST_BACKENDS);
		status = cli_backend_parse(spec, &uses[options->backend_count++]);
		if (status != CLI_OK)
			return status;
	}
	return CLI_OK;
}

int cli_cmd_run(const struct cli_args *args)
{
	const char *const environment = getenv("BDUS_TRANSPORT");
	const char *transport = cli_args_value(args, "transport");
	struct bdus_run_options options = {.size = sizeof(options),
					   .find_filter = cli_filter_for_device};
	struct run run = {.args = args};
	int status = cli_args_number(args, "queues", MOST_QUEUES, &options.queues);

	if (status == CLI_OK)
		status = cli_args_number(args, "depth", MOST_DEPTH, &options.queue_depth);
	if (status == CLI_OK)
		status = cli_driver_find(args->operands[0], &options.driver);
	if (status == CLI_OK)
		status = parse_filters(args, &options);
	if (status == CLI_OK)
		status = parse_backends(args, &options);
	if (status == CLI_OK)
		status = read_log_level(args, &options);
	if (status != CLI_OK)
		return status;
	if (transport == NULL && environment != NULL && environment[0] != '\0')
		transport = environment;
	run.chosen_by_us = transport == NULL || strcmp(transport, "auto") == 0;
	options.driver_options = args->operands + 1;
	options.driver_option_count = args->operand_count - 1;
	options.transport = transport;
	options.read_only = cli_args_has(args, "read-only");
	options.no_partition_scan = cli_args_has(args, "no-partition-scan");
	options.recoverable = cli_args_has(args, "recoverable");
	options.restart = cli_args_has(args, "restart");
	options.lock_memory = cli_args_has(args, "lock-memory");
	options.daemonize = !cli_args_has(args, "foreground");
	return serve(&run, &options);
}

/* ---- another driver for a device that exists ----------------------------------------------- */

#define RERUN_OPTIONS                                                                            \
	{"transport", 't', "SPEC",                                                               \
	 "The device's own way in, where it needs the keys that it was made with"},              \
		{"filter", 0, "SPEC", "A filter before the driver, as for \"bdus run\""},        \
		{"backend", 0, "SPEC", "A driver that filters may send to, likewise"},           \
		{"restart", 0, NULL, "Start the driver again when it is killed or fails"},       \
		{"lock-memory", 0, NULL,                                                         \
		 "Keep all memory resident, to serve swap or a root file system"},               \
		{"foreground", 'f', NULL, "Stay in the foreground"},                             \
		{"json", 0, NULL, "Print the device as one JSON document rather than its path"}, \
		{"log", 0, "LEVEL", "How much to tell while in the foreground"},                 \
	{                                                                                        \
		"quiet", 'q', NULL, "Print neither the path nor notes"                           \
	}

const struct cli_option cli_replace_options[] = {
	RERUN_OPTIONS,
	{"timeout", 0, "SECONDS",
	 "Wait at most so long for the driver that the device has (default: 60)"},
	CLI_OPTIONS_END,
};

const struct cli_option cli_recover_options[] = {
	RERUN_OPTIONS,
	{"timeout", 0, "SECONDS", "Wait at most so long for the kernel (default: 60)"},
	CLI_OPTIONS_END,
};

static int rerun(struct run *run, const struct bdus_device_info *info,
		 struct bdus_run_options *options, unsigned flags, uint64_t timeout_ms)
{
	int error;

	options->available = announce;
	options->opaque = run;
	error = bdus_manage_rerun(info, options, flags, timeout_ms);
	if (error >= 0)
		return CLI_OK;
	cli_say_library_error(cli_device_name(info), error);
	if (error == -EINVAL && !run->available)
		suggest_keys(options);
	return status_of_run(error, run->available);
}

static int find_and_rerun(const struct cli_args *args, unsigned flags)
{
	struct bdus_run_options options = {
		.size = sizeof(options),
		.transport = cli_args_value(args, "transport"),
		.driver_options = args->operands + 2,
		.driver_option_count = args->operand_count - 2,
		.restart = cli_args_has(args, "restart"),
		.lock_memory = cli_args_has(args, "lock-memory"),
		.daemonize = !cli_args_has(args, "foreground"),
		.find_filter = cli_filter_for_device,
	};
	const struct cli_args named = {
		.command = args->command, .operands = args->operands, .operand_count = 1};
	struct run run = {.args = args};
	struct cli_devices devices = {0};
	uint64_t timeout_ms;
	int status = cli_args_seconds(args, "timeout", &timeout_ms);

	if (status == CLI_OK)
		status = cli_driver_find(args->operands[1], &options.driver);
	if (status == CLI_OK)
		status = parse_filters(args, &options);
	if (status == CLI_OK)
		status = parse_backends(args, &options);
	if (status == CLI_OK)
		status = read_log_level(args, &options);
	if (status == CLI_OK)
		status = cli_devices_select(&named, &devices, NULL, NULL);
	if (status != CLI_OK)
		return status;
	return rerun(&run, &devices.infos[0], &options, flags, timeout_ms);
}

int cli_cmd_replace(const struct cli_args *args)
{
	return find_and_rerun(args, 0);
}

int cli_cmd_recover(const struct cli_args *args)
{
	return find_and_rerun(args, BDUS_RERUN_ORPHAN_ONLY);
}
