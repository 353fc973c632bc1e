/* SPDX-License-Identifier: MIT */
/*
 * The child process with the driver, its end, and the connection of the client to it.
 */
#include "api_test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 10000

/** First failure that a callback noted. */
struct failure {
	atomic_bool noted;
	char text[512];
};

static struct failure *failure;
/** The child that was not waited for yet; a test has one at a time. */
static pid_t running;
static char directory[64];
static char socket_path[96];

void *api_shared_alloc(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

void api_check_at(bool holds, const char *what, const char *file, int line)
{
	if (holds || atomic_exchange(&failure->noted, true))
		return;
	snprintf(failure->text, sizeof(failure->text), "%s:%d: %s", file, line, what);
}

static void raise_noted_failure(void)
{
	if (!failure || !atomic_exchange(&failure->noted, false))
		return;
	fail_msg("in a callback: %s", failure->text);
}

const char *api_socket(void)
{
	return socket_path;
}

int api_setup(void **state)
{
	char transport[128];

	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/bdus-api-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(socket_path, sizeof(socket_path), "%s/s", directory);
	snprintf(transport, sizeof(transport), "nbd,socket=%s", socket_path);
	if (!failure)
		failure = api_shared_alloc(sizeof(*failure));
	return setenv("BDUS_TRANSPORT", transport, 1) || setenv("BDUS_RUNTIME_DIR", directory, 1);
}

/* A device that ended in good order leaves no socket. */
int api_teardown(void **state)
{
	char command[96];

	(void)state;
	if (running) {
		kill(running, SIGKILL);
		waitpid(running, NULL, 0);
		running = 0;
	} else if (access(socket_path, F_OK) == 0) {
		fprintf(stderr, "%s was left behind\n", socket_path);
		return -1;
	}
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

int api_setup_block(void **state)
{
	(void)state;
	if (!failure)
		failure = api_shared_alloc(sizeof(*failure));
	return setenv("BDUS_TRANSPORT", "ublk", 0) || unsetenv("BDUS_RUNTIME_DIR");
}

int api_teardown_block(void **state)
{
	(void)state;
	if (running) {
		kill(running, SIGKILL);
		waitpid(running, NULL, 0);
		running = 0;
	}
	return 0;
}

/** An id that no machine gets to. */
#define NO_ID UINT64_MAX

static void run_in_child(uint64_t id, const struct bdus_ops *ops, const struct bdus_attrs *attrs,
			 void *private_data, struct api_outcome *outcome)
{
	struct bdus_attrs foreground = *attrs;

	foreground.dont_daemonize = true;
	outcome->caller_tid = gettid();
	outcome->result = id == NO_ID ? bdus_run(ops, &foreground, private_data)
				      : bdus_rerun(id, ops, &foreground, private_data);
	outcome->errnum = errno;
	snprintf(outcome->message, sizeof(outcome->message), "%s", bdus_get_error_message());
	outcome->returned = true;
}

void api_start(struct api_run *run, const struct bdus_ops *ops, const struct bdus_attrs *attrs,
	       void *private_data)
{
	api_start_again(run, NO_ID, ops, attrs, private_data);
}

void api_start_again(struct api_run *run, uint64_t id, const struct bdus_ops *ops,
		     const struct bdus_attrs *attrs, void *private_data)
{
	run->outcome = api_shared_alloc(sizeof(*run->outcome));
	fflush(NULL);
	run->pid = fork();
	assert_int_not_equal(run->pid, -1);
	if (run->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* A crash must end the driver, not go on in cmocka's handler. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		run_in_child(id, ops, attrs, private_data, run->outcome);
		exit(0);
	}
	running = run->pid;
}

const struct api_outcome *api_wait(struct api_run *run)
{
	const uint64_t deadline_ms = api_now_ms() + PATIENCE_MS;
	int status = 0;
	pid_t ended;

	while ((ended = waitpid(run->pid, &status, WNOHANG)) == 0) {
		if (api_now_ms() > deadline_ms) {
			fail_msg("the driver did not end within %d ms", PATIENCE_MS);
		}
		api_sleep_ms(2);
	}
	running = 0;
	assert_int_equal(ended, run->pid);
	raise_noted_failure();
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("the driver ended with wait status 0x%x", (unsigned)status);
	assert_true(run->outcome->returned);
	return run->outcome;
}

const struct api_outcome *api_stop(struct api_run *run)
{
	assert_int_equal(kill(run->pid, SIGTERM), 0);
	return api_wait(run);
}

const struct api_outcome *api_run_to_end(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
					 void *private_data)
{
	struct api_run run;

	api_start(&run, ops, attrs, private_data);
	return api_wait(&run);
}

struct nbd_handle *api_connect(struct api_run *run)
{
	const uint64_t deadline_ms = api_now_ms() + PATIENCE_MS;

	while (api_now_ms() < deadline_ms) {
		struct nbd_handle *nbd = nbd_create();

		assert_non_null(nbd);
		nbd_set_strict_mode(nbd, 0);
		if (nbd_connect_unix(nbd, socket_path) == 0)
			return nbd;
		nbd_close(nbd);
		if (run->outcome->returned)
			fail_msg("no device: %s", run->outcome->message);
		api_sleep_ms(2);
	}
	fail_msg("nobody served %s within %d ms: %s", socket_path, PATIENCE_MS, nbd_get_error());
	return NULL;
}

void api_assert_nbd(int result)
{
	if (result == -1)
		fail_msg("%s", nbd_get_error());
}

void api_assert_nbd_fails(int result, int errnum)
{
	assert_int_equal(result, -1);
	assert_int_equal(nbd_get_errno(), errnum);
}

uint64_t api_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void api_sleep_ms(unsigned ms)
{
	const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&time, NULL);
}

int api_read_nothing(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)offset;
	(void)ctx;
	memset(buffer, 0, size);
	return 0;
}

int api_write_nothing(const char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)buffer;
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}
