/* SPDX-License-Identifier: MIT */
/*
 * Errands: commands that end only when requests have been served, each run by a child.
 *
 * The kernel runs a command in a thread of the process that asked for it, and a process does not
 * get past that thread when it is killed. So a server that asked for STOP_DEV itself, with a
 * request that its driver never completes, could not die; as its death is what would make the
 * kernel fail that request, there would be an end to neither, nor to the device. The child has
 * nothing of the device open, and thus nothing depends on it.
 *
 * The ring is made beforehand by the parent, while that has its privileges, and used by the child
 * alone. The child's result comes through a pipe, whose end is also the end of the child.
 */
#include "base/clock.h"
#include "base/error.h"
#include "ublk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct ublk_errand {
	struct ublk_control *control;
	/* The reading end of the pipe; -1 before the errand was begun. */
	int pipe_fd;
	bool here;
	bool begun;
	bool ended;
	int result;
};

int ublk_errand_create(const struct ublk_control *control, struct ublk_errand **result_errand)
{
	struct ublk_errand *const errand = calloc(1, sizeof(*errand));
	int result;

	if (!errand)
		return base_error(ENOMEM, "out of memory");
	errand->pipe_fd = -1;
	result = ublk_control_create_like(control, &errand->control);
	if (result < 0) {
		free(errand);
		return result;
	}
	*result_errand = errand;
	return 0;
}

void ublk_errand_destroy(struct ublk_errand *errand)
{
	if (!errand)
		return;
	ublk_control_destroy(errand->control);
	if (errand->pipe_fd >= 0)
		close(errand->pipe_fd);
	free(errand);
}

/* ---- in the child: nothing here may allocate ----------------------------------------------- */

/* Nobody shall wait because of us for the end of a pipe or a lock, nor the kernel for a device. */
static void close_all_but(int kept[3])
{
	unsigned from = 0;

	for (unsigned i = 0; i < 3; i++) {
		for (unsigned j = i + 1; j < 3; j++) {
			if (kept[j] < kept[i]) {
				const int lower = kept[j];

				kept[j] = kept[i];
				kept[i] = lower;
			}
		}
		if ((unsigned)kept[i] > from)
			syscall(SYS_close_range, from, (unsigned)kept[i] - 1, 0U);
		from = (unsigned)kept[i] + 1;
	}
	syscall(SYS_close_range, from, ~0U, 0U);
}

static void run_in_child(struct ublk_control *control, const struct ublk_command *command,
			 int pipe_fd)
{
	int kept[3] = {pipe_fd};
	ssize_t written;
	int result;

	ublk_control_get_files(control, &kept[1]);
	close_all_but(kept);
	setsid();
	result = ublk_control_run_without_limit(control, command);
	written = write(pipe_fd, &result, sizeof(result));
	(void)written;
	_exit(0);
}

/* ---- in the parent ------------------------------------------------------------------------- */

/* The child's child does it, so that it is nobody's zombie. Signals stay blocked in it. */
static int fork_twice(struct ublk_errand *errand, const struct ublk_command *command, int pipe_fd)
{
	sigset_t all, previous;
	pid_t pid;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &previous);
	pid = fork();
	error = errno;
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			run_in_child(errand->control, command, pipe_fd);
		_exit(pid < 0);
	}
	pthread_sigmask(SIG_SETMASK, &previous, NULL);
	if (pid < 0)
		return base_error_errno(error, "cannot create a process for ublk");
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

int ublk_errand_begin(struct ublk_errand *errand, const struct ublk_command *command)
{
	int fds[2], result;

	if (errand->begun)
		return base_error(EBUSY, "ublk: this command has been issued before");
	if (pipe2(fds, O_CLOEXEC) != 0)
		return base_error_errno(errno, "cannot create a pipe");
	result = fork_twice(errand, command, fds[1]);
	close(fds[1]);
	if (result < 0) {
		close(fds[0]);
		return result;
	}
	errand->pipe_fd = fds[0];
	errand->begun = true;
	return 0;
}

int ublk_errand_begin_here(struct ublk_errand *errand, const struct ublk_command *command)
{
	int result;

	if (errand->begun)
		return base_error(EBUSY, "ublk: this command has been issued before");
	result = ublk_control_begin(errand->control, command);
	if (result < 0)
		return result;
	errand->here = true;
	errand->begun = true;
	return 0;
}

bool ublk_errand_was_begun(const struct ublk_errand *errand)
{
	return errand && errand->begun;
}

int ublk_errand_fd(const struct ublk_errand *errand, unsigned *event)
{
	int fds[2];

	if (!errand->here) {
		*event = POLLHUP;
		return errand->pipe_fd;
	}
	ublk_control_get_files(errand->control, fds);
	*event = POLLIN;
	return fds[1];
}

/* A child that died without a word was killed. */
static void take_result(struct ublk_errand *errand)
{
	int result;
	const ssize_t got = read(errand->pipe_fd, &result, sizeof(result));

	errand->result = got == (ssize_t)sizeof(result) ? result : -EINTR;
	errand->ended = true;
}

int ublk_errand_wait(struct ublk_errand *errand, uint64_t deadline_ns, int *result)
{
	/* POLLHUP comes without being asked for, and only when the child is gone. */
	struct pollfd pipe = {.fd = errand->pipe_fd, .events = 0};

	if (errand->here)
		return ublk_control_ended(errand->control, deadline_ns, result);
	while (!errand->ended) {
		const int ready = poll(&pipe, 1, base_remaining_ms(deadline_ns));

		if (ready > 0)
			take_result(errand);
		else if (base_now_ns() >= deadline_ns)
			return 0;
	}
	*result = errand->result;
	return 1;
}
