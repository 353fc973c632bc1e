/* SPDX-License-Identifier: MIT */
/*
 * Going to the background: who returns or exits when, what the process in the background is like,
 * and how failures reach the process that called.
 *
 * The test is a subreaper, so that the process in the background becomes its child and its end can
 * be seen.
 */
#include "api_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/** What the program and its callbacks noted. Shared. */
struct notes {
	int initialize_result;
	int available_result;

	/* In `initialize`, in `on_device_available`. */
	pid_t initialized_by;
	pid_t available_by;
	/* In `read`, that is in the background. */
	pid_t server;
	pid_t session;
	char working_directory[128];
	char streams[3][64];
	mode_t mask;
	bool terminated;

	/* After bdus_run(), in whatever process it returned. */
	pid_t returned_in;
	bool result;
	int errnum;
	char message[512];
};

static int note_initialize(struct bdus_ctx *ctx)
{
	struct notes *notes = ctx->private_data;

	notes->initialized_by = getpid();
	return notes->initialize_result;
}

/* Long enough that a parent that did not wait for it would be found out. */
static int note_available(struct bdus_ctx *ctx)
{
	struct notes *notes = ctx->private_data;

	api_sleep_ms(100);
	notes->available_by = getpid();
	return notes->available_result;
}

static int note_terminate(struct bdus_ctx *ctx)
{
	struct notes *notes = ctx->private_data;

	notes->terminated = true;
	return 0;
}

static int note_read(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	struct notes *notes = ctx->private_data;
	char link[32];

	(void)offset;
	notes->session = getsid(0);
	api_check(getcwd(notes->working_directory, sizeof(notes->working_directory)) != NULL);
	for (int fd = 0; fd < 3; fd++) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		api_check(readlink(link, notes->streams[fd], sizeof(notes->streams[fd]) - 1) > 0);
	}
	notes->mask = umask(0);
	notes->server = getpid();
	memset(buffer, 0, size);
	return 0;
}

static const struct bdus_ops ops = {
	.initialize = note_initialize,
	.on_device_available = note_available,
	.terminate = note_terminate,
	.read = note_read,
};

static const struct bdus_attrs attrs = {.size = 1 << 20, .logical_block_size = 512};

/** What the program prints before and after bdus_run(), in stdio's buffer while that runs. */
#define BEFORE "before\n"
#define AFTER  "after\n"

/* A program as somebody would write it, with files for standard streams. */
static void program(const struct bdus_ops *with, const struct bdus_attrs *and, struct notes *notes,
		    const char *output)
{
	const char *directory = getenv("BDUS_RUNTIME_DIR");

	if (!freopen("/dev/zero", "r", stdin) || !freopen(output, "w", stdout) ||
	    !freopen(output, "a", stderr) || chdir(directory))
		_exit(9);
	umask(0137);
	printf(BEFORE);
	notes->result = bdus_run(with, and, notes);
	notes->errnum = errno;
	snprintf(notes->message, sizeof(notes->message), "%s", bdus_get_error_message());
	printf(AFTER);
	notes->returned_in = getpid();
	exit(0);
}

/* Starts the program and waits for the end of the process that it began in; returns its pid. */
static pid_t run_program(const struct bdus_ops *with, const struct bdus_attrs *and,
			 struct notes *notes, const char *output)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0)
		program(with, and, notes, output);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return pid;
}

static const char *output_path(void)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/output", getenv("BDUS_RUNTIME_DIR"));
	return path;
}

static void assert_output(const char *expected)
{
	char text[512] = "";
	int fd = open(output_path(), O_RDONLY);

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	close(fd);
	unlink(output_path());
	assert_string_equal(text, expected);
}

static void read_once(void)
{
	struct nbd_handle *nbd = nbd_create();
	char data[512];

	assert_non_null(nbd);
	api_assert_nbd(nbd_connect_unix(nbd, api_socket()));
	api_assert_nbd(nbd_pread(nbd, data, sizeof(data), 0, 0));
	nbd_close(nbd);
}

/* Ends the process in the background and waits for it: it has become a child of the test. */
static void end_server(pid_t server)
{
	int status;

	assert_int_equal(kill(server, SIGTERM), 0);
	assert_int_equal(waitpid(server, &status, 0), server);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_no_children(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_parent_ends_when_the_device_is_available(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	pid_t parent = run_program(&ops, &attrs, notes, output_path());

	(void)state;
	assert_int_not_equal(notes->available_by, 0);
	assert_int_equal(notes->returned_in, 0);
	assert_int_not_equal(notes->available_by, parent);
	read_once();
	end_server(notes->server);
	assert_true(notes->terminated);
	assert_true(notes->result);
	assert_int_equal(notes->returned_in, notes->server);
	assert_no_children();
	unlink(output_path());
}

static void test_all_callbacks_run_in_one_process(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));

	(void)state;
	run_program(&ops, &attrs, notes, output_path());
	read_once();
	assert_int_equal(notes->initialized_by, notes->server);
	assert_int_equal(notes->available_by, notes->server);
	end_server(notes->server);
	unlink(output_path());
}

static void test_background_process(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	char directory[128];

	(void)state;
	assert_non_null(realpath(getenv("BDUS_RUNTIME_DIR"), directory));
	run_program(&ops, &attrs, notes, output_path());
	read_once();
	end_server(notes->server);
	assert_int_not_equal(notes->session, getsid(0));
	for (int fd = 0; fd < 3; fd++)
		assert_string_equal(notes->streams[fd], "/dev/null");
	assert_string_equal(notes->working_directory, directory);
	assert_int_equal(notes->mask, 0137);
	unlink(output_path());
}

/* The copy of the buffer in the other process must not be written a second time. */
static void test_buffered_output_appears_once(void **state)
{
	const struct bdus_ops plain = {.terminate = note_terminate, .read = note_read};
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	char expected[256];

	(void)state;
	run_program(&plain, &attrs, notes, output_path());
	read_once();
	end_server(notes->server);
	snprintf(expected, sizeof(expected), BEFORE "nbd+unix:///?socket=%s\n", api_socket());
	assert_output(expected);
}

/* What the device opens must not take the place of streams that the program runs without. */
static void test_program_without_standard_streams(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	int status;
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		for (int fd = 0; fd < 3; fd++)
			close(fd);
		notes->result = bdus_run(&ops, &attrs, notes);
		snprintf(notes->message, sizeof(notes->message), "%s", bdus_get_error_message());
		notes->returned_in = getpid();
		_exit(notes->result ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_string_equal(notes->message, "");
	assert_int_equal(status, 0);
	read_once();
	for (int fd = 0; fd < 3; fd++)
		assert_string_equal(notes->streams[fd], "/dev/null");
	end_server(notes->server);
	assert_true(notes->terminated);
}

static void test_failed_initialize_returns_to_the_caller(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	pid_t parent;

	(void)state;
	notes->initialize_result = EXDEV;
	parent = run_program(&ops, &attrs, notes, output_path());
	assert_int_equal(notes->returned_in, parent);
	assert_false(notes->result);
	assert_int_equal(notes->errnum, EXDEV);
	assert_non_null(strstr(notes->message, "initialize"));
	assert_int_equal(notes->available_by, 0);
	assert_false(notes->terminated);
	assert_no_children();
	assert_output(BEFORE AFTER);
}

static void test_failed_on_device_available_returns_to_the_caller(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	pid_t parent;

	(void)state;
	notes->available_result = EMLINK;
	parent = run_program(&ops, &attrs, notes, output_path());
	assert_int_equal(notes->returned_in, parent);
	assert_false(notes->result);
	assert_int_equal(notes->errnum, EMLINK);
	assert_non_null(strstr(notes->message, "on_device_available"));
	assert_true(notes->terminated);
	assert_no_children();
	assert_output(BEFORE AFTER);
}

static void test_bad_attributes_return_to_the_caller(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	struct bdus_attrs bad = attrs;
	pid_t parent;

	(void)state;
	bad.logical_block_size = 1000;
	parent = run_program(&ops, &bad, notes, output_path());
	assert_int_equal(notes->returned_in, parent);
	assert_false(notes->result);
	assert_int_equal(notes->errnum, EINVAL);
	assert_non_null(strstr(notes->message, "logical_block_size"));
	assert_int_equal(notes->initialized_by, 0);
	assert_no_children();
	assert_output(BEFORE AFTER);
}

static void test_foreground_process_stays(void **state)
{
	struct notes *notes = api_shared_alloc(sizeof(*notes));
	struct bdus_attrs foreground = attrs;
	pid_t pid;

	(void)state;
	foreground.dont_daemonize = true;
	fflush(NULL);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0)
		program(&ops, &foreground, notes, output_path());
	while (!notes->available_by)
		api_sleep_ms(2);
	read_once();
	assert_int_equal(notes->server, pid);
	assert_int_equal(notes->session, getsid(0));
	assert_string_equal(notes->streams[0], "/dev/zero");
	assert_string_equal(notes->streams[1], output_path());
	end_server(pid);
	assert_int_equal(notes->returned_in, pid);
	assert_output(BEFORE AFTER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		api_unit_test(test_parent_ends_when_the_device_is_available),
		api_unit_test(test_all_callbacks_run_in_one_process),
		api_unit_test(test_background_process),
		api_unit_test(test_buffered_output_appears_once),
		api_unit_test(test_program_without_standard_streams),
		api_unit_test(test_failed_initialize_returns_to_the_caller),
		api_unit_test(test_failed_on_device_available_returns_to_the_caller),
		api_unit_test(test_bad_attributes_return_to_the_caller),
		api_unit_test(test_foreground_process_stays),
	};

	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
