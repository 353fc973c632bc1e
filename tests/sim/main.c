/* SPDX-License-Identifier: MIT */
/*
 * Runs the engine and a driver in this process, over the simulated way in, for one seed after the
 * other:
 *
 *	sim [--driver NAME] [--seed N] [--seeds COUNT] [--operations N] [--no-overlap] [--verbose]
 *
 * A seed that fails is told with what was found, the last requests, and how to run it again; the
 *exit status is 1 then, and 0 when all is well.
 */
#include "base/bits.h"
#include "manager.h"
#include "scenario.h"

#include <bdus/manage.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/** How long one seed may take before it counts as hanging. */
#define HANGS_AFTER_S 300

struct settings {
	const char *driver;
	uint64_t first_seed;
	uint64_t seed_count;
	uint64_t operations;
	bool overlap;
	bool verbose;
};

/** Over all seeds. */
struct totals {
	uint64_t requests;
	uint64_t refused;
	uint64_t failures;
	uint64_t verified_bytes;
	uint64_t devices;
	unsigned max_in_flight;
	unsigned crashes;
	unsigned kills;
};

static struct settings settings = {
	.first_seed = 1,
	.seed_count = 20,
	.operations = 2000,
	.overlap = true,
};
static struct scenario scenario;
/** Shared with children. */
static struct sim_world *world;
static char directory[64];

/* ---- what is left behind ------------------------------------------------------------------- */

static unsigned count_entries(const char *path, bool (*counts)(const char *name))
{
	DIR *const entries = opendir(path);
	const struct dirent *entry;
	unsigned count = 0;

	if (entries == NULL)
		return 0;
	while ((entry = readdir(entries)) != NULL)
		count += counts(entry->d_name);
	closedir(entries);
	return count;
}

static bool is_number(const char *name)
{
	return name[0] != '.';
}

/** A file in the runtime directory that should not outlive a device. */
static bool is_remains(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "next-id") != 0 &&
	       strcmp(name, "image") != 0;
}

struct surroundings {
	unsigned descriptors;
	unsigned threads;
	void (*on_terminate)(int);
	sigset_t mask;
};

static void look_around(struct surroundings *seen)
{
	struct sigaction action;

	memset(seen, 0, sizeof(*seen));
	seen->descriptors = count_entries("/proc/self/fd", is_number);
	seen->threads = count_entries("/proc/self/task", is_number);
	sigaction(SIGTERM, NULL, &action);
	seen->on_terminate = action.sa_handler;
	pthread_sigmask(SIG_SETMASK, NULL, &seen->mask);
}

/** Threads leave the process a moment after they were joined, or when they are detached. */
static void wait_for_threads(unsigned expected)
{
	for (unsigned i = 0; i < 500 && count_entries("/proc/self/task", is_number) > expected; i++)
		usleep(1000);
}

static void check_nothing_is_left(const struct surroundings *before)
{
	struct surroundings after;

	wait_for_threads(before->threads);
	look_around(&after);
	if (after.descriptors != before->descriptors)
		sim_fail(world, "%u descriptors were open before the run and %u are after it",
			 before->descriptors, after.descriptors);
	if (after.threads != before->threads)
		sim_fail(world, "there were %u threads before the run and %u are after it",
			 before->threads, after.threads);
	if (after.on_terminate != before->on_terminate)
		sim_fail(world, "the handler of SIGTERM is not what it was before the run");
	if (memcmp(&after.mask, &before->mask, sizeof(after.mask)) != 0)
		sim_fail(world, "the mask of signals is not what it was before the run");
	if (count_entries(directory, is_remains) != 0)
		sim_fail(world, "something was left in the runtime directory %s", directory);
	if (world->devices != 0 || world->queues != 0)
		sim_fail(world, "%u devices were not destroyed, %u queues not closed",
			 world->devices, world->queues);
	if (wrap_is_open())
		sim_fail(world, "the driver was not closed");
}

/* ---- one run ------------------------------------------------------------------------------- */

static int on_available(const struct bdus_device_info *info, void *opaque)
{
	unsigned *const calls = opaque;

	(*calls)++;
	if (info->state != BDUS_STATE_AVAILABLE || strcmp(info->transport, "sim") != 0 ||
	    strcmp(info->driver, scenario.wrap.inner->name) != 0 || info->pid != getpid() ||
	    info->size_bytes != world->attrs.size_bytes || strncmp(info->path, "sim:", 4) != 0)
		sim_fail(world, "the device that is available is described wrongly: %s, %s, %s",
			 info->transport, info->driver, info->path);
	if (scenario.managed > 0)
		manager_start(
			&(struct manager_setup){
				.world = world,
				.seed = scenario.request.seed,
				.actions = scenario.managed,
				.destroys = scenario.is_destroyed,
				.flushes_fail = scenario.wrap.flush_failures_percent > 0,
			},
			info);
	return -scenario.available_errno;
}

/** Whether start-up, or the whole run, goes wrong on purpose; the errno that it then gives. */
static int expected_result(void)
{
	if (scenario.open_errno != 0)
		return -scenario.open_errno;
	if (scenario.failure_point != SIM_FAIL_NEVER && scenario.failure_point != SIM_FAIL_FETCH)
		return -SIM_FAILURE_ERRNO;
	if (scenario.available_errno != 0)
		return -scenario.available_errno;
	return 0;
}

static void check_result(int result, unsigned available_calls)
{
	const int expected = expected_result();
	const bool fetch_failed = scenario.failure_point == SIM_FAIL_FETCH;
	const bool reaches_available = expected == 0 || expected == -scenario.available_errno;

	/* Without power, the driver cannot end in good order. */
	const bool may_fail = scenario.medium != NULL && atomic_load(&world->power_failed);

	if (result != expected && !(fetch_failed && result == -SIM_FAILURE_ERRNO) &&
	    !(may_fail && result == -EIO) &&
	    !(result == -ENOSPC && atomic_load(&world->stores_full) > 0))
		sim_fail(world, "the run ended with %d (%s), not with %d", result,
			 bdus_manage_error(), expected);
	/* A fetch may fail before the device is available; so may what a filter reads before. */
	if ((fetch_failed || (may_fail && result == -EIO)) && available_calls <= 1)
		return;
	if (available_calls != (reaches_available ? 1 : 0))
		sim_fail(world, "`available` was called %u times", available_calls);
}

static void check_flush_failures(void)
{
	const unsigned injected = atomic_load(&world->flushes_failed);
	/* What a failed queue still had is never answered. */
	const bool some_are_lost = atomic_load(&world->power_failed) || manager_lost_a_flush() ||
				   scenario.failure_point == SIM_FAIL_FETCH;

	if (!some_are_lost && world->flush_failures_seen != injected)
		sim_fail(world, "the driver failed %u flushes, and clients learned of %u", injected,
			 world->flush_failures_seen);
}

static void run_once(void)
{
	const char *words[SCENARIO_WORDS_MAX];
	struct surroundings before;
	unsigned available_calls = 0;
	int result;

	for (unsigned i = 0; i < scenario.word_count; i++)
		words[i] = scenario.words[i];
	look_around(&before);
	world->available = false;
	result = bdus_manage_run(&(struct bdus_run_options){
		.size = sizeof(struct bdus_run_options),
		.driver = wrap_driver(&scenario.wrap),
		.driver_options = words,
		.driver_option_count = scenario.word_count,
		.transport = scenario.transport,
		.queues = scenario.run_queues,
		.queue_depth = scenario.run_queue_depth,
		.read_only = scenario.run_read_only,
		.available = on_available,
		.opaque = &available_calls,
		.filters = scenario.filters,
		.filter_count = scenario.filter_count,
	});
	manager_finish();
	check_result(result, available_calls);
	check_flush_failures();
	if (scenario.stops_within_ms > 0 && world->stop_delay_ms > scenario.stops_within_ms)
		sim_fail(world, "the device began to end %" PRIu64 " ms after SIGTERM",
			 world->stop_delay_ms);
	check_nothing_is_left(&before);
}

/** Lets the disk lose what was not flushed, and the model know it. */
static void crash(struct totals *totals)
{
	if (scenario.medium != NULL)
		medium_restart(scenario.medium);
	else
		disk_restart(scenario.disk);
	if (world->zones != NULL)
		sim_zones_crash(world->zones);
	else
		sim_model_crash(world->model, world->now++);
	atomic_store(&world->power_failed, false);
	totals->crashes++;
}

/* ---- a process that is killed --------------------------------------------------------------- */

static int count_orphan(const struct bdus_device_info *info, void *opaque)
{
	unsigned *const orphans = opaque;

	if (info->state != BDUS_STATE_ORPHANED || info->pid != 0)
		sim_fail(world, "the device of a killed process is %s, process %d",
			 bdus_state_name(info->state), info->pid);
	(*orphans)++;
	return 0;
}

/** Removes the orphan, or leaves it to the sweep of the next run. */
static int destroy_orphan(const struct bdus_device_info *info, void *opaque)
{
	(void)opaque;
	return bdus_manage_destroy(info, 10000, NULL, NULL);
}

static void check_orphan(void)
{
	unsigned orphans = 0;
	int result = bdus_manage_list(count_orphan, &orphans);

	if (result == 0 && sim_random_chance(&scenario.random, 50))
		result = bdus_manage_list(destroy_orphan, NULL);
	if (result != 0 || orphans > 1)
		sim_fail(world, "%u devices of a killed process, %d: %s", orphans, result,
			 bdus_manage_error());
}

/** Kills the child between two of its deeds, once it made so many requests; false if it ended. */
static bool kill_after(pid_t child, uint64_t requests)
{
	bool ended = false;

	for (bool enough = false; !enough && !ended;) {
		usleep(500);
		ended = waitpid(child, NULL, WNOHANG) == child;
		pthread_mutex_lock(&world->lock);
		enough = world->requests >= requests;
		if (enough && !ended)
			kill(child, SIGKILL);
		pthread_mutex_unlock(&world->lock);
	}
	if (!ended)
		waitpid(child, NULL, 0);
	return !ended;
}

/** Runs the device in a child that is killed in the middle of it. */
static void run_and_kill(struct totals *totals)
{
	const pid_t child = fork();

	if (child == 0) {
		alarm(HANGS_AFTER_S);
		run_once();
		_exit(0);
	}
	if (child < 0) {
		sim_fail(world, "cannot fork");
		return;
	}
	totals->kills += kill_after(child, scenario.killed_at);
	sim_world_revive(world);
	check_orphan();
}

static void run_generation(struct totals *totals, unsigned generation)
{
	world->failure_point = scenario.failure_point;
	world->failure_at = scenario.failure_at;
	world->terminate_at = scenario.terminate_at;
	world->sweep_first = generation > 0;
	world->flush_failures_seen = 0;
	atomic_store(&world->flushes_failed, 0);
	atomic_store(&world->stores_full, 0);
	if (scenario.medium != NULL)
		medium_set_power_failure(
			scenario.medium,
			sim_random_between(&scenario.random, 1, 3 * scenario.request.operations));
	else if (scenario.loses_power)
		disk_set_power_failure(
			scenario.disk,
			sim_random_between(&scenario.random, 1, 2 * scenario.request.operations));
	world->requests = 0;
	if (generation == 0 && scenario.killed_at > 0)
		run_and_kill(totals);
	else
		run_once();
	totals->devices++;
	totals->requests += world->requests;
	if (scenario.loses_power && !sim_has_failed(world))
		crash(totals);
}

/* ---- all runs ------------------------------------------------------------------------------ */

static void tell_failure(FILE *to)
{
	fprintf(to, "sim: driver %s, seed %" PRIu64 ": %s\n", scenario.request.driver,
		scenario.request.seed, world->failure);
	fprintf(to, "  run of %s\n", scenario.transport);
	for (unsigned i = 0; i < scenario.filter_count; i++)
		fprintf(to, "  filter %s\n", scenario.filters[i].filter->name);
	sim_print_trace(world, to);
	fprintf(to,
		"To run it again: tests/sim/sim --driver %s --seed %" PRIu64
		" --seeds 1 --operations %" PRIu64 "%s\n",
		scenario.request.driver, scenario.request.seed, scenario.request.operations,
		settings.overlap ? "" : " --no-overlap");
}

/** The process hangs: tells what is known, as far as a signal handler can. */
static void on_hang(int signal_number)
{
	(void)signal_number;
	world->failed = true;
	snprintf(world->failure, sizeof(world->failure), "no end after %d s", HANGS_AFTER_S);
	tell_failure(stderr);
	_exit(1);
}

static void add_up(struct totals *totals)
{
	totals->refused += world->refused;
	totals->failures += world->failures_seen;
	totals->verified_bytes += world->verified_bytes;
	totals->max_in_flight = (unsigned)base_max(totals->max_in_flight, world->max_in_flight);
}

static bool run_seed(const char *driver, uint64_t seed, struct totals *totals)
{
	bool failed;

	alarm(HANGS_AFTER_S);
	sim_world_init(world);
	scenario.wrap.world = world;
	if (!scenario_init(&scenario, &(struct scenario_request){
					      .driver = driver,
					      .seed = seed,
					      .operations = settings.operations,
					      .overlap = settings.overlap,
					      .directory = directory,
				      })) {
		fprintf(stderr,
			"sim: no driver '%s'; there are: disk, slow, null, ram, file, "
			"zoned, zonefold\n",
			driver);
		exit(2);
	}
	sim_use_world(world);
	if (settings.verbose)
		printf("%s %" PRIu64 ": %s\n", driver, seed, scenario.transport);
	for (unsigned i = 0; i < scenario.generations && !sim_has_failed(world); i++)
		run_generation(totals, i);
	failed = sim_has_failed(world);
	if (failed)
		tell_failure(stderr);
	add_up(totals);
	scenario_finish(&scenario);
	sim_world_finish(world);
	alarm(0);
	return !failed;
}

static bool run_driver(const char *driver)
{
	struct totals totals = {0};
	unsigned failed = 0;

	for (uint64_t i = 0; i < settings.seed_count && failed < 3; i++)
		failed += !run_seed(driver, settings.first_seed + i, &totals);
	printf("%-5s %" PRIu64 " seeds from %" PRIu64 ": %" PRIu64 " devices, %" PRIu64
	       " requests (%" PRIu64 " refused, %" PRIu64 " failed), at most %u in flight, %" PRIu64
	       " MiB compared, %u crashes, %u kills: %s\n",
	       driver, settings.seed_count, settings.first_seed, totals.devices, totals.requests,
	       totals.refused, totals.failures, totals.max_in_flight, totals.verified_bytes >> 20,
	       totals.crashes, totals.kills, failed == 0 ? "ok" : "FAILED");
	return failed == 0;
}

static void parse_arguments(int count, char **arguments)
{
	static const struct option known[] = {
		{"driver", required_argument, NULL, 'd'},
		{"seed", required_argument, NULL, 's'},
		{"seeds", required_argument, NULL, 'n'},
		{"operations", required_argument, NULL, 'o'},
		{"no-overlap", no_argument, NULL, 'x'},
		{"verbose", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(count, arguments, "d:s:n:o:xv", known, NULL)) != -1) {
		if (option == 'd')
			settings.driver = optarg;
		else if (option == 's')
			settings.first_seed = strtoull(optarg, NULL, 0);
		else if (option == 'n')
			settings.seed_count = strtoull(optarg, NULL, 0);
		else if (option == 'o')
			settings.operations = base_max(strtoull(optarg, NULL, 0), 2);
		else if (option == 'x')
			settings.overlap = false;
		else if (option == 'v')
			settings.verbose = true;
		else
			exit(2);
	}
}

/** A directory of this run's own, so that nothing outside it is touched. */
static void make_directory(void)
{
	const char *const place = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/bdus-sim-XXXXXX",
		 place != NULL && strlen(place) < 32 ? place : "/tmp");
	if (mkdtemp(directory) == NULL || setenv("BDUS_RUNTIME_DIR", directory, 1) != 0) {
		perror(directory);
		exit(2);
	}
}

static void remove_directory(void)
{
	static const char *const names[] = {"next-id", "image"};
	char path[128];

	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	if (rmdir(directory) != 0)
		perror(directory);
}

static void make_world(void)
{
	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (world == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
}

static void *do_nothing(void *argument)
{
	return argument;
}

/** Sanitizers start a thread of their own with the first one of the program. */
static void start_first_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, do_nothing, NULL) == 0)
		pthread_join(thread, NULL);
}

int main(int count, char **arguments)
{
	bool good = true;

	/* So that a log tells which seed a process hangs in. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_arguments(count, arguments);
	make_directory();
	make_world();
	start_first_thread();
	signal(SIGALRM, on_hang);
	for (unsigned i = 0; scenario_drivers[i] != NULL; i++) {
		if (settings.driver == NULL)
			good = run_driver(scenario_drivers[i]) && good;
	}
	if (settings.driver != NULL)
		good = run_driver(settings.driver);
	remove_directory();
	return good ? 0 : 1;
}
