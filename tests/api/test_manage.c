/* SPDX-License-Identifier: MIT */
/*
 * Looking after devices by id and path, error messages, versions, the choice of the way in, and
 * several devices in one process.
 */
#include "api_test.h"

#include <bdus/manage.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** An id that no machine gets to. */
#define NO_SUCH_ID (UINT64_C(1) << 62)

/** What the callbacks of a device noted. Shared. */
struct notes {
	atomic_bool available;
	uint64_t id;
	char path[256];
	atomic_uint flushes;
	atomic_bool terminated;
};

static int note_available(struct bdus_ctx *ctx)
{
	struct notes *notes = ctx->private_data;

	notes->id = ctx->id;
	snprintf(notes->path, sizeof(notes->path), "%s", ctx->path);
	atomic_store(&notes->available, true);
	return 0;
}

static int note_flush(struct bdus_ctx *ctx)
{
	struct notes *notes = ctx->private_data;

	atomic_fetch_add(&notes->flushes, 1);
	return 0;
}

static int note_terminate(struct bdus_ctx *ctx)
{
	struct notes *notes = ctx->private_data;

	atomic_store(&notes->terminated, true);
	return 0;
}

static const struct bdus_ops ops = {
	.on_device_available = note_available,
	.terminate = note_terminate,
	.read = api_read_nothing,
	.write = api_write_nothing,
	.flush = note_flush,
};

static const struct bdus_attrs attrs = {.size = 1 << 20, .logical_block_size = 512};

static void wait_until_available(struct notes *notes)
{
	const uint64_t deadline_ms = api_now_ms() + 10000;

	while (!atomic_load(&notes->available)) {
		assert_true(api_now_ms() < deadline_ms);
		api_sleep_ms(2);
	}
}

static void assert_fails(bool result, int errnum, const char *word)
{
	assert_false(result);
	assert_int_equal(errno, errnum);
	if (!strstr(bdus_get_error_message(), word))
		fail_msg("\"%s\" does not mention \"%s\"", bdus_get_error_message(), word);
}

static void test_flush_reaches_the_driver(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	struct api_run run;

	(void)state;
	api_start(&run, &ops, &attrs, notes);
	wait_until_available(notes);
	assert_true(bdus_flush_dev(notes->id));
	assert_int_equal(notes->flushes, 1);
	api_stop(&run);
}

static void test_destroyed_device_ends_in_good_order(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	struct api_run run;

	(void)state;
	api_start(&run, &ops, &attrs, notes);
	wait_until_available(notes);
	if (!bdus_destroy_dev(notes->id))
		fail_msg("%s", bdus_get_error_message());
	assert_true(notes->terminated);
	assert_int_equal(access(api_socket(), F_OK), -1);
	assert_true(api_wait(&run)->result);
	assert_fails(bdus_flush_dev(notes->id), ENODEV, "");
	assert_fails(bdus_destroy_dev(notes->id), ENODEV, "");
}

static void test_unknown_ids_are_refused_by_name(void **state)
{
	char word[24];

	(void)state;
	snprintf(word, sizeof(word), "%llu", (unsigned long long)NO_SUCH_ID);
	assert_fails(bdus_flush_dev(NO_SUCH_ID), ENODEV, word);
	assert_fails(bdus_destroy_dev(NO_SUCH_ID), ENODEV, word);
	assert_fails(bdus_flush_dev(UINT64_MAX), ENODEV, "");
	assert_fails(bdus_destroy_dev(UINT64_MAX), ENODEV, "");
}

static void test_paths_that_are_no_devices(void **state)
{
	const struct {
		const char *path;
		int errnum;
	} cases[] = {{"/dev/null", EINVAL}, {"/proc/self/exe", EINVAL},
		     {"/tmp", EINVAL},      {"/nowhere/at/all", ENOENT},
		     {"", ENOENT},          {"/dev/null/below", ENOTDIR}};
	uint64_t id = 12345;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_fails(bdus_get_dev_id_from_path(&id, cases[i].path), cases[i].errnum,
			     cases[i].path);
		assert_int_equal(id, 12345);
	}
}

static void test_paths_that_cannot_be_followed(void **state)
{
	char loop[128];
	char *endless = malloc(8192);
	uint64_t id = 12345;

	(void)state;
	snprintf(loop, sizeof(loop), "%s/loop", getenv("BDUS_RUNTIME_DIR"));
	assert_int_equal(symlink(loop, loop), 0);
	assert_fails(bdus_get_dev_id_from_path(&id, loop), ELOOP, loop);
	unlink(loop);
	assert_non_null(endless);
	memset(endless, 'a', 8191);
	endless[8191] = '\0';
	assert_fails(bdus_get_dev_id_from_path(&id, endless), ENAMETOOLONG, "aaa");
	free(endless);
	assert_int_equal(id, 12345);
}

/** What another thread finds before and after a failure of its own. */
struct other {
	char before[256];
	char after[256];
};

static void *fail_in_another_thread(void *opaque)
{
	struct other *other = opaque;
	uint64_t id;

	snprintf(other->before, sizeof(other->before), "%s", bdus_get_error_message());
	bdus_get_dev_id_from_path(&id, "/another");
	snprintf(other->after, sizeof(other->after), "%s", bdus_get_error_message());
	return NULL;
}

static void test_each_thread_has_its_own_message(void **state)
{
	struct other other;
	char mine[256];
	pthread_t thread;
	uint64_t id;

	(void)state;
	assert_false(bdus_get_dev_id_from_path(&id, "/mine"));
	snprintf(mine, sizeof(mine), "%s", bdus_get_error_message());
	assert_int_equal(pthread_create(&thread, NULL, fail_in_another_thread, &other), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_string_equal(other.before, "");
	assert_non_null(strstr(other.after, "/another"));
	assert_non_null(strstr(mine, "/mine"));
	assert_string_equal(bdus_get_error_message(), mine);
}

static void test_success_leaves_the_message(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	struct api_run run;
	char before[256];
	uint64_t id;

	(void)state;
	assert_false(bdus_get_dev_id_from_path(&id, "/before"));
	snprintf(before, sizeof(before), "%s", bdus_get_error_message());
	api_start(&run, &ops, &attrs, notes);
	wait_until_available(notes);
	assert_non_null(bdus_get_libbdus_version());
	assert_true(bdus_flush_dev(notes->id));
	assert_true(bdus_destroy_dev(notes->id));
	assert_string_equal(bdus_get_error_message(), before);
	api_wait(&run);
}

static void test_versions(void **state)
{
	const struct bdus_version *version = bdus_get_libbdus_version();
	struct bdus_version kbdus = {11, 22, 33};

	(void)state;
	assert_int_equal(version->major, BDUS_HEADER_VERSION_MAJOR);
	assert_int_equal(version->minor, BDUS_HEADER_VERSION_MINOR);
	assert_int_equal(version->patch, BDUS_HEADER_VERSION_PATCH);
	assert_ptr_equal(bdus_get_libbdus_version(), version);
	if (access("/dev/bdus-control", F_OK) == 0)
		return;
	assert_fails(bdus_get_kbdus_version(&kbdus), ENOENT, "kbdus");
	assert_int_equal(kbdus.major, 11);
	assert_int_equal(kbdus.minor, 22);
	assert_int_equal(kbdus.patch, 33);
}

static void test_rerun_gives_the_device_another_driver(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	struct notes *next = api_shared_alloc(sizeof(*next));
	struct api_run run;
	struct api_run next_run;

	(void)state;
	api_start(&run, &ops, &attrs, notes);
	wait_until_available(notes);
	api_start_again(&next_run, notes->id, &ops, &attrs, next);
	wait_until_available(next);
	assert_true(api_wait(&run)->result);
	assert_true(notes->terminated);
	assert_int_equal(next->id, notes->id);
	assert_true(bdus_flush_dev(next->id));
	assert_int_equal(next->flushes, 1);
	assert_true(api_stop(&next_run)->result);
}

static void test_bad_choices_of_a_way_in(void **state)
{
	const struct {
		const char *transport;
		const char *word;
	} cases[] = {{"carrier-pigeon", "carrier-pigeon"},
		     {"nbd,color=red", "color"},
		     {"nbd,port=seven", "seven"},
		     {"", "transport"}};
	struct bdus_attrs foreground = attrs;
	char *saved = strdup(getenv("BDUS_TRANSPORT"));

	(void)state;
	foreground.dont_daemonize = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		setenv("BDUS_TRANSPORT", cases[i].transport, 1);
		assert_fails(bdus_run(&ops, &foreground, NULL), EINVAL, cases[i].word);
	}
	setenv("BDUS_TRANSPORT", saved, 1);
	free(saved);
}

/* "auto" is for block devices: without any, it must not quietly open a port instead. */
static void test_auto_wants_a_block_device(void **state)
{
	struct bdus_attrs foreground = attrs;
	char *saved = strdup(getenv("BDUS_TRANSPORT"));

	(void)state;
	if (access("/dev/ublk-control", F_OK) == 0) {
		free(saved);
		skip();
	}
	foreground.dont_daemonize = true;
	unsetenv("BDUS_TRANSPORT");
	assert_fails(bdus_run(&ops, &foreground, NULL), ENODEV, "ublk");
	setenv("BDUS_TRANSPORT", "auto", 1);
	assert_fails(bdus_run(&ops, &foreground, NULL), ENODEV, "ublk");
	setenv("BDUS_TRANSPORT", saved, 1);
	free(saved);
}

/** One of two devices in this process. */
struct runner {
	struct notes notes;
	pthread_t thread;
	bool result;
};

static void *run_in_thread(void *opaque)
{
	const struct bdus_attrs foreground = {
		.size = 1 << 20, .logical_block_size = 512, .dont_daemonize = true};
	struct runner *runner = opaque;

	runner->result = bdus_run(&ops, &foreground, &runner->notes);
	return NULL;
}

static void start_thread(struct runner *runner)
{
	assert_int_equal(pthread_create(&runner->thread, NULL, run_in_thread, runner), 0);
	wait_until_available(&runner->notes);
}

static void test_two_devices_in_one_process(void **state)
{
	struct runner runners[2] = {0};
	char *saved = strdup(getenv("BDUS_TRANSPORT"));
	char second[160];

	(void)state;
	start_thread(&runners[0]);
	snprintf(second, sizeof(second), "%s2", saved);
	setenv("BDUS_TRANSPORT", second, 1);
	start_thread(&runners[1]);
	assert_int_not_equal(runners[0].notes.id, runners[1].notes.id);
	assert_string_not_equal(runners[0].notes.path, runners[1].notes.path);
	for (int i = 0; i < 2; i++) {
		assert_true(bdus_flush_dev(runners[i].notes.id));
		assert_int_equal(runners[i].notes.flushes, 1);
	}
	for (int i = 0; i < 2; i++) {
		assert_true(bdus_destroy_dev(runners[i].notes.id));
		assert_int_equal(pthread_join(runners[i].thread, NULL), 0);
		assert_true(runners[i].result);
		assert_true(runners[i].notes.terminated);
	}
	setenv("BDUS_TRANSPORT", saved, 1);
	free(saved);
}

/* A socket that another server holds, or a directory that is not there. */
static void test_failure_to_listen_is_reported(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	struct bdus_attrs foreground = attrs;
	char *saved = strdup(getenv("BDUS_TRANSPORT"));
	struct api_run run;

	(void)state;
	foreground.dont_daemonize = true;
	api_start(&run, &ops, &attrs, notes);
	wait_until_available(notes);
	assert_fails(bdus_run(&ops, &foreground, notes), EADDRINUSE, api_socket());
	assert_true(api_stop(&run)->result);
	setenv("BDUS_TRANSPORT", "nbd,socket=/nowhere/at/all", 1);
	assert_fails(bdus_run(&ops, &foreground, notes), ENOENT, "/nowhere/at/all");
	setenv("BDUS_TRANSPORT", saved, 1);
	free(saved);
}

/* The 0.1 API and the newer calls are two views of the same devices. */
static void test_devices_are_found_by_the_other_api(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	struct bdus_device_info info;
	struct api_run run;

	(void)state;
	api_start(&run, &ops, &attrs, notes);
	wait_until_available(notes);
	assert_int_equal(bdus_manage_find_id(notes->id, &info), 0);
	assert_string_equal(info.path, notes->path);
	assert_int_equal(info.pid, run.pid);
	assert_int_equal(info.size_bytes, attrs.size);
	assert_int_equal(bdus_manage_find(notes->path, &info), 0);
	assert_int_equal(info.id, notes->id);
	api_stop(&run);
	assert_int_equal(bdus_manage_find_id(notes->id, &info), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		api_unit_test(test_flush_reaches_the_driver),
		api_unit_test(test_destroyed_device_ends_in_good_order),
		api_unit_test(test_unknown_ids_are_refused_by_name),
		api_unit_test(test_paths_that_are_no_devices),
		api_unit_test(test_paths_that_cannot_be_followed),
		api_unit_test(test_each_thread_has_its_own_message),
		api_unit_test(test_success_leaves_the_message),
		api_unit_test(test_versions),
		api_unit_test(test_rerun_gives_the_device_another_driver),
		api_unit_test(test_bad_choices_of_a_way_in),
		api_unit_test(test_auto_wants_a_block_device),
		api_unit_test(test_two_devices_in_one_process),
		api_unit_test(test_failure_to_listen_is_reported),
		api_unit_test(test_devices_are_found_by_the_other_api),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
