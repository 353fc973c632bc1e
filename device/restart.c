/* SPDX-License-Identifier: MIT */
/*
 * The process that starts a driver again: it forks, waits, and does nothing else.
 *
 *	           fork               is available           ends in good order
 *	(start) ─────────▶ starting ───────────────▶ serving ──────────────────▶ (return 0)
 *	   ▲                  │ fails                   │ killed, or fails
 *	   │                  ▼                         ▼
 *	   │             (return why) ◀── too often ── lost ──┐
 *	   └──────────────────────────────────────────────────┘ the device is to be recovered
 *
 * Signals that ask for an end are handed on to the child, and everything else follows from its end.
 */
#include "restart.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/** A driver that lasts so long was worth starting; so many in succession that did not are not. */
#define WORTHWHILE_MS 10000
#define MOST_ATTEMPTS 5
#define PAUSE_MS      100

/** What a child tells; shared with it. */
struct told {
	bool is_available;
	uint64_t id;
	int result;
	char message[BASE_ERROR_MESSAGE_BYTES];
};

struct restart {
	const struct bdus_run_config *given;
	struct bdus_daemon *daemon;
	struct told *told;
	/** SIGCHLD and what asks for an end; blocked here, and as before in children. */
	int signal_fd;
	sigset_t mask_before;
	/** The child's end says that the device is available. */
	int ready_fds[2];
	pid_t child;
	bool was_announced;
	bool is_to_end;
};

/* ---- in the child -------------------------------------------------------------------------- */

static int available(const struct bdus_device_info *info, void *opaque)
{
	struct restart *const restart = opaque;
	const struct bdus_run_config *const given = restart->given;
	int result = 0;

	if (!restart->was_announced && given->available != NULL)
		result = given->available(info, given->opaque);
	if (result < 0)
		return result;
	restart->told->id = info->id;
	restart->told->is_available = true;
	if (restart->daemon != NULL)
		result = bdus_daemon_detach();
	close(restart->ready_fds[1]);
	restart->ready_fds[1] = -1;
	return result;
}

static int created(void *opaque, struct bdus_device *device, const struct bdus_device_attrs *attrs,
		   const struct bdus_device_info *info)
{
	const struct restart *const restart = opaque;

	return restart->given->created(restart->given->opaque, device, attrs, info);
}

static void tell(enum bdus_log_level level, const char *text, void *opaque)
{
	const struct restart *const restart = opaque;

	restart->given->log(level, text, restart->given->opaque);
}

static void set_log_level(void *opaque, uint32_t level)
{
	const struct restart *const restart = opaque;

	restart->given->set_log_level(restart->given->opaque, level);
}

static void run_in_child(struct restart *restart)
{
	const struct bdus_run_config *const given = restart->given;
	struct bdus_run_config config = *given;
	struct told *const told = restart->told;

	close(restart->signal_fd);
	close(restart->ready_fds[0]);
	pthread_sigmask(SIG_SETMASK, &restart->mask_before, NULL);
	config.available = available;
	config.created = given->created != NULL ? created : NULL;
	config.log = given->log != NULL ? tell : NULL;
	config.set_log_level = given->set_log_level != NULL ? set_log_level : NULL;
	config.opaque = restart;
	if (restart->was_announced) {
		config.takes_over = true;
		config.device_id = told->id;
		config.rerun_flags = BDUS_RERUN_ORPHAN_ONLY;
		config.rerun_deadline_ns = base_deadline_ns(BDUS_RERUN_TIMEOUT_MS);
	}
	told->result = bdus_run_once(&config, NULL);
	if (told->result < 0)
		snprintf(told->message, sizeof(told->message), "%s", base_error_message());
	_exit(told->result < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* ---- in the parent ------------------------------------------------------------------------- */

static int start_child(struct restart *restart)
{
	if (pipe2(restart->ready_fds, O_CLOEXEC) != 0)
		return base_error_errno(errno, "cannot create a pipe");
	restart->told->is_available = false;
	restart->told->result = -EINTR;
	snprintf(restart->told->message, sizeof(restart->told->message), "the driver was killed");
	fflush(NULL);
	restart->child = fork();
	if (restart->child < 0) {
		const int error = errno;

		close(restart->ready_fds[0]);
		close(restart->ready_fds[1]);
		return base_error_errno(error, "cannot create a process for the driver");
	}
	if (restart->child == 0)
		run_in_child(restart);
	close(restart->ready_fds[1]);
	return 0;
}

/** The child has closed its end: the device is available, or the child is gone. */
static int note_ready(struct restart *restart)
{
	close(restart->ready_fds[0]);
	restart->ready_fds[0] = -1;
	if (!restart->told->is_available || restart->was_announced)
		return 0;
	restart->was_announced = true;
	return restart->daemon != NULL ? bdus_daemon_ready(restart->daemon) : 0;
}

static void hand_on_signals(struct restart *restart)
{
	struct signalfd_siginfo got;

	while (read(restart->signal_fd, &got, sizeof(got)) == (ssize_t)sizeof(got)) {
		if (got.ssi_signo == SIGCHLD)
			continue;
		restart->is_to_end = true;
		kill(restart->child, SIGTERM);
	}
}

/** Until the child is gone: whether it ended in good order. */
static bool wait_for_child(struct restart *restart)
{
	int status = 0;

	while (waitpid(restart->child, &status, WNOHANG) == 0) {
		struct pollfd polled[] = {
			{.fd = restart->signal_fd, .events = POLLIN},
			{.fd = restart->ready_fds[0], .events = POLLIN},
		};

		poll(polled, BASE_ARRAY_LENGTH(polled), -1);
		if (polled[1].revents != 0 && note_ready(restart) < 0)
			kill(restart->child, SIGTERM);
		hand_on_signals(restart);
	}
	if (restart->ready_fds[0] >= 0)
		note_ready(restart);
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

static int why_it_ended(const struct restart *restart)
{
	return base_error(-restart->told->result, "%s", restart->told->message);
}

static int run_until_end(struct restart *restart)
{
	unsigned attempts = 0;

	for (;;) {
		const uint64_t started_ns = base_now_ns();
		const int result = start_child(restart);

		if (result < 0)
			return result;
		if (wait_for_child(restart))
			return 0;
		if (!restart->was_announced || restart->is_to_end ||
		    restart->told->result == -ENODEV)
			return why_it_ended(restart);
		if (base_now_ns() - started_ns > (uint64_t)WORTHWHILE_MS * 1000000)
			attempts = 0;
		if (++attempts == MOST_ATTEMPTS)
			return why_it_ended(restart);
		usleep((attempts - 1) * PAUSE_MS * 1000);
	}
}

static int watch_signals(struct restart *restart)
{
	sigset_t watched;

	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGINT);
	pthread_sigmask(SIG_BLOCK, &watched, &restart->mask_before);
	restart->signal_fd = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
	if (restart->signal_fd < 0) {
		const int error = errno;

		pthread_sigmask(SIG_SETMASK, &restart->mask_before, NULL);
		return base_error_errno(error, "cannot watch for signals");
	}
	return 0;
}

int bdus_restart_run(const struct bdus_run_config *config, struct bdus_daemon *daemon)
{
	struct restart restart = {.given = config, .daemon = daemon};
	int result;

	restart.told = mmap(NULL, sizeof(*restart.told), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (restart.told == MAP_FAILED)
		return base_error_errno(errno, "cannot map memory");
	result = watch_signals(&restart);
	if (result == 0) {
		result = run_until_end(&restart);
		close(restart.signal_fd);
		pthread_sigmask(SIG_SETMASK, &restart.mask_before, NULL);
	}
	munmap(restart.told, sizeof(*restart.told));
	return result;
}
