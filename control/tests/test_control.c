/* SPDX-License-Identifier: MIT */
/*
 * The service of a device that a program with a loop of its own serves. Those who ask are child
 * processes; what they find is in their status.
 */
#include <bdus/async.h>
#include <bdus/stats.h>
#include <caps.h>
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define TIMEOUT_MS 10000
#define NOBODY     65534

static char folder[] = "/tmp/bdus-control-XXXXXX";
static struct bdus_device *device;
static struct bdus_queue *queue;
static struct bdus_request *held_flush;
static bool hold_flushes;
static unsigned flushes;
static int flush_result;

static uint64_t agreed_bytes;

/* ---- the device ---------------------------------------------------------------------------- */

static void submit(void *instance, struct bdus_request *request)
{
	(void)instance;
	if (request->op == BDUS_OP_FLUSH) {
		flushes++;
		if (hold_flushes) {
			held_flush = request;
			return;
		}
		bdus_complete(request, flush_result);
		return;
	}
	bdus_complete(request, 0);
}

static int resize(void *instance, uint64_t size_bytes)
{
	(void)instance;
	if (size_bytes > 1 << 22)
		return bdus_config_error(ENOSPC, "no more than four MiB");
	agreed_bytes = size_bytes;
	return 0;
}

static int setup(void **state)
{
	static const struct bdus_async_driver driver = {
		.size = sizeof(driver), .name = "control-test", .submit = submit, .resize = resize};
	char words[128];
	const struct bdus_device_options options = {
		.size = sizeof(options),
		.driver = &driver,
		.attrs = {.size_bytes = 1 << 20,
			  .ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) |
				 BDUS_OP_BIT(BDUS_OP_FLUSH)},
		.transport = words,
	};

	(void)state;
	flushes = 0;
	flush_result = 0;
	hold_flushes = false;
	held_flush = NULL;
	snprintf(words, sizeof(words), "nbd,socket=%s/socket", folder);
	if (bdus_device_create(&options, &device) < 0 ||
	    bdus_queue_open(device, 0, NULL, &queue) < 0 || bdus_device_start(device) < 0) {
		fprintf(stderr, "%s\n", bdus_manage_error());
		return -1;
	}
	while (bdus_device_info(device)->state != BDUS_STATE_AVAILABLE)
		if (bdus_queue_process(queue, 1000) < 0)
			return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bdus_device_stop(device);
	while (bdus_queue_result(queue) == 0)
		bdus_queue_process(queue, 100);
	bdus_queue_close(queue);
	return bdus_device_destroy(device);
}

/* ---- those who ask ------------------------------------------------------------------------- */

typedef int client_fn(const struct bdus_device_info *info);

static pid_t start(client_fn *client)
{
	const struct bdus_device_info info = *bdus_device_info(device);
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const int result = client(&info);

		if (result != 0)
			fprintf(stderr, "step %d: %s\n", result, bdus_manage_error());
		_exit(result);
	}
	return pid;
}

/** Serves until the client has ended; its status. */
static int serve_until_end(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0)
		bdus_queue_process(queue, 10);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int ask(client_fn *client)
{
	return serve_until_end(start(client));
}

static int ask_for_info(const struct bdus_device_info *info)
{
	struct bdus_device_info now = {.id = info->id};

	if (bdus_manage_refresh(&now, TIMEOUT_MS) != 0)
		return 1;
	if (now.size_bytes != 1 << 20 || now.pid != info->pid || now.queues != info->queues ||
	    strcmp(now.driver, "control-test") != 0 || strcmp(now.transport, "nbd") != 0 ||
	    strcmp(now.path, info->path) != 0)
		return 2;
	return 0;
}

static void info_is_what_the_process_knows(void **state)
{
	(void)state;
	assert_int_equal(ask(ask_for_info), 0);
}

static int ask_for_flush(const struct bdus_device_info *info)
{
	return bdus_manage_flush(info, TIMEOUT_MS, NULL, NULL) == 0 ? 0 : 1;
}

static int ask_for_failing_flush(const struct bdus_device_info *info)
{
	return bdus_manage_flush(info, TIMEOUT_MS, NULL, NULL) == -ENOSPC &&
			       strstr(bdus_manage_error(), "flush") != NULL
		       ? 0
		       : 1;
}

static void a_flush_reaches_the_driver_and_its_error_the_asker(void **state)
{
	(void)state;
	assert_int_equal(ask(ask_for_flush), 0);
	assert_int_equal(flushes, 1);
	flush_result = -ENOSPC;
	assert_int_equal(ask(ask_for_failing_flush), 0);
	assert_int_equal(flushes, 2);
}

static int ask_for_flush_that_hangs(const struct bdus_device_info *info)
{
	if (bdus_manage_flush(info, 300, NULL, NULL) != -ETIMEDOUT)
		return 1;
	/* The service has its hands free all the same. */
	return ask_for_info(info);
}

static void a_flush_that_hangs_holds_up_nobody_else(void **state)
{
	(void)state;
	hold_flushes = true;
	assert_int_equal(ask(ask_for_flush_that_hangs), 0);
	assert_non_null(held_flush);
	/* Its asker is gone. */
	bdus_complete(held_flush, 0);
	bdus_queue_process(queue, 0);
}

static int die_while_flushing(const struct bdus_device_info *info)
{
	alarm(1);
	return ask_for_flush(info);
}

static void an_asker_that_dies_takes_nothing_with_it(void **state)
{
	(void)state;
	hold_flushes = true;
	assert_int_equal(ask(die_while_flushing), 255);
	bdus_complete(held_flush, 0);
	assert_int_equal(ask(ask_for_info), 0);
}

static int ask_for_statistics(const struct bdus_device_info *info)
{
	struct bdus_queue_stats all;
	struct bdus_op_stats reads;
	struct bdus_stats *stats;

	if (bdus_stats_open(info, TIMEOUT_MS, &stats) != 0)
		return 1;
	if (bdus_stats_read_queue(stats, BDUS_STATS_ALL, &all) != 0 ||
	    bdus_stats_read(stats, BDUS_STATS_ALL, BDUS_OP_READ, &reads) != 0)
		return 2;
	if (all.queues != info->queues || reads.operations != 0)
		return 3;
	bdus_stats_close(stats);
	return 0;
}

static void statistics_are_read_from_outside(void **state)
{
	(void)state;
	assert_int_equal(ask(ask_for_statistics), 0);
}

static int ask_to_log(const struct bdus_device_info *info)
{
	return bdus_manage_set_log_level(info, BDUS_LOG_DEBUG, TIMEOUT_MS) == -EOPNOTSUPP &&
			       strstr(bdus_manage_error(), "control-test") != NULL &&
			       bdus_manage_set_log_level(info, 7, TIMEOUT_MS) == -EINVAL
		       ? 0
		       : 1;
}

static void a_driver_that_tells_nothing_says_so(void **state)
{
	(void)state;
	assert_int_equal(ask(ask_to_log), 0);
}

static int ask_for_another_size(const struct bdus_device_info *info)
{
	struct bdus_device_info now = *info;

	if (bdus_manage_resize(info, 1 << 21, TIMEOUT_MS) != 0 ||
	    bdus_manage_refresh(&now, TIMEOUT_MS) != 0 || now.size_bytes != 1 << 21)
		return 1;
	if (bdus_manage_find_id(info->id, &now) != 0 || now.size_bytes != 1 << 21)
		return 2;
	if (bdus_manage_resize(info, 1 << 23, TIMEOUT_MS) != -ENOSPC ||
	    strcmp(bdus_manage_error(), "no more than four MiB") != 0)
		return 3;
	if (bdus_manage_resize(info, 1000, TIMEOUT_MS) != -EINVAL ||
	    bdus_manage_resize(info, 0, TIMEOUT_MS) != -EINVAL ||
	    bdus_manage_resize(info, UINT64_MAX, TIMEOUT_MS) != -EINVAL)
		return 4;
	return bdus_manage_refresh(&now, TIMEOUT_MS) == 0 && now.size_bytes == 1 << 21 ? 0 : 5;
}

static void a_device_has_another_size_if_its_driver_consents(void **state)
{
	(void)state;
	assert_int_equal(ask(ask_for_another_size), 0);
	assert_int_equal(agreed_bytes, 1 << 21);
	assert_int_equal(bdus_device_attrs(device)->size_bytes, 1 << 21);
}

/** Which of the changes that there are a stranger is not refused, if any; else 0. */
static int change_as_stranger(const struct bdus_device_info *info)
{
	static const char *const words[] = {"fail=1"};
	char answer[64];

	if (bdus_manage_set_log_level(info, BDUS_LOG_DEBUG, TIMEOUT_MS) != -EPERM)
		return 10;
	if (bdus_manage_filter_command(info, "error", words, 1, answer, sizeof(answer),
				       TIMEOUT_MS) != -EPERM)
		return 11;
	if (bdus_manage_attach_filter(info, "delay", NULL, 0, TIMEOUT_MS) != -EPERM)
		return 12;
	if (bdus_manage_detach_filter(info, "delay", TIMEOUT_MS) != -EPERM)
		return 13;
	return 0;
}

/** Whatever else there is to ask for: who cannot connect cannot ask. */
static int connect_as_stranger(const struct bdus_device_info *info)
{
	char services[64];
	const struct caps_client_options options = {.size = sizeof(options), .directory = services};
	struct caps_port *port;

	snprintf(services, sizeof(services), "%s/%llu.ctl", folder, (unsigned long long)info->id);
	return caps_connect("device", &options, &port) == -EACCES ? 0 : 14;
}

static int ask_as_stranger(const struct bdus_device_info *info)
{
	struct bdus_device_info now = *info;
	struct bdus_stats *stats;

	if (setresuid(NOBODY, NOBODY, NOBODY) != 0)
		return 1;
	if (bdus_manage_refresh(&now, TIMEOUT_MS) != -EPERM ||
	    strstr(bdus_manage_error(), "belongs to user 0") == NULL)
		return 2;
	if (bdus_stats_open(info, TIMEOUT_MS, &stats) != -EPERM ||
	    bdus_manage_flush(info, TIMEOUT_MS, NULL, NULL) != -EPERM ||
	    bdus_manage_resize(info, 1 << 21, TIMEOUT_MS) != -EPERM ||
	    bdus_manage_destroy(info, TIMEOUT_MS, NULL, NULL) != -EPERM)
		return 3;
	return change_as_stranger(info) + connect_as_stranger(info);
}

static void another_user_is_refused_by_name(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(ask(ask_as_stranger), 0);
	assert_int_equal(bdus_queue_result(queue), 0);
	assert_int_equal(flushes, 0);
	assert_int_equal(bdus_device_attrs(device)->size_bytes, 1 << 20);
}

static int ask_what_does_not_answer(const struct bdus_device_info *info)
{
	struct bdus_device_info now = *info;
	struct bdus_stats *stats;
	struct timespec start;
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (bdus_manage_refresh(&now, 200) != -ETIMEDOUT ||
	    bdus_stats_open(info, 200, &stats) != -ETIMEDOUT)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &end);
	return end.tv_sec - start.tv_sec < 5 ? 0 : 2;
}

static void who_asks_a_process_that_hangs_gives_up_in_time(void **state)
{
	int status;

	(void)state;
	/* Nobody processes the loop. */
	assert_int_equal(waitpid(start(ask_what_does_not_answer), &status, 0) > 0, 1);
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(ask(ask_for_info), 0);
}

static int ask_what_is_not_there(const struct bdus_device_info *info)
{
	struct bdus_device_info other = *info;
	struct bdus_stats *stats;

	other.id += 1000;
	return bdus_manage_refresh(&other, TIMEOUT_MS) == -ENOENT &&
			       bdus_stats_open(&other, TIMEOUT_MS, &stats) == -ENOENT
		       ? 0
		       : 1;
}

static void a_device_that_is_not_there_has_no_service(void **state)
{
	(void)state;
	assert_int_equal(ask(ask_what_is_not_there), 0);
}

static int flood(const struct bdus_device_info *info)
{
	char services[64];
	char junk[4096] = "junk";
	const struct caps_client_options options = {.size = sizeof(options), .directory = services};
	struct caps_request request = {.data = junk};
	struct caps_port *port;

	snprintf(services, sizeof(services), "%s/%llu.ctl", folder, (unsigned long long)info->id);
	if (caps_connect("device", &options, &port) != 0)
		return 1;
	for (uint32_t i = 0; i < 5000; i++) {
		struct caps_message message;
		char buffer[1024];

		/* Operations that there are, with what they do not take, and those that are not. */
		request.operation = i % 40;
		request.length = 1 + i % sizeof(junk);
		if (caps_put(port, &request, NULL) == -EAGAIN &&
		    caps_get(port, &message, buffer, sizeof(buffer), TIMEOUT_MS) == 0) {
			if (message.error >= 0)
				return 2;
			caps_release(&message);
		}
	}
	return 0;
}

static void junk_is_refused_and_the_device_goes_on(void **state)
{
	(void)state;
	assert_int_equal(ask(flood), 0);
	assert_int_equal(flushes, 0);
	assert_int_equal(bdus_queue_result(queue), 0);
	assert_int_equal(ask(ask_for_info), 0);
}

static unsigned count(const char *path)
{
	DIR *const directory = opendir(path);
	unsigned entries = 0;

	assert_non_null(directory);
	while (readdir(directory) != NULL)
		entries++;
	closedir(directory);
	return entries;
}

static void askers_leave_no_descriptor_and_no_thread_behind(void **state)
{
	unsigned before;

	(void)state;
	assert_int_equal(count("/proc/self/task"), 3);
	assert_int_equal(ask(ask_for_statistics), 0);
	bdus_queue_process(queue, 10);
	before = count("/proc/self/fd");
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(ask(i % 2 == 0 ? ask_for_statistics : ask_for_info), 0);
	for (unsigned i = 0; i < 100 && count("/proc/self/fd") > before; i++)
		bdus_queue_process(queue, 10);
	assert_int_equal(count("/proc/self/fd"), before);
	/* ".", ".." and one. */
	assert_int_equal(count("/proc/self/task"), 3);
}

static int ask_to_stop(const struct bdus_device_info *info)
{
	return bdus_manage_destroy(info, TIMEOUT_MS, NULL, NULL) == 0 ? 0 : 1;
}

static void destroying_ends_the_device_and_its_service(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	pid = start(ask_to_stop);
	while (bdus_queue_result(queue) == 0)
		bdus_queue_process(queue, 100);
	bdus_queue_close(queue);
	assert_int_equal(bdus_device_destroy(device), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
	/* ".", ".." and the counter of ids. */
	assert_int_equal(count(folder), 3);
}

int main(void)
{
#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		SERVED(info_is_what_the_process_knows),
		SERVED(a_flush_reaches_the_driver_and_its_error_the_asker),
		SERVED(a_flush_that_hangs_holds_up_nobody_else),
		SERVED(an_asker_that_dies_takes_nothing_with_it),
		SERVED(statistics_are_read_from_outside),
		SERVED(a_driver_that_tells_nothing_says_so),
		SERVED(a_device_has_another_size_if_its_driver_consents),
		SERVED(another_user_is_refused_by_name),
		SERVED(who_asks_a_process_that_hangs_gives_up_in_time),
		SERVED(a_device_that_is_not_there_has_no_service),
		SERVED(junk_is_refused_and_the_device_goes_on),
		SERVED(askers_leave_no_descriptor_and_no_thread_behind),
		cmocka_unit_test_setup(destroying_ends_the_device_and_its_service, setup),
	};
	int failed;
	char command[64];

	if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0)
		return 1;
	setenv("BDUS_RUNTIME_DIR", folder, 1);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) == 0 ? failed : 1;
}
