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
 * START_DEV has a further trap. When a server dies, the kernel takes its commands back; kernels
 * from about 6.7 to 6.15 forget that when the disk does not exist yet, and a START_DEV that comes
 * later waits for ever for its first request. The child therefore keeps the server's files open,
 * and with them its commands in place, until START_DEV has ended, or the server is dead and the
 * disk exists.
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
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/** How often the child of START_DEV looks whether the server still lives. */
#define LOOK_MS 50

struct ublk_errand {
	struct ublk_control *control;
	/* The reading end of the pipe; -1 before the errand was begun. */
	int pipe_fd;
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

static bool has_exited(int process_fd)
{
	struct pollfd process = {.fd = process_fd, .events = POLLIN};

	return poll(&process, 1, 0) > 0;
}

static bool disk_exists(uint32_t device)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/block/ublkb%u", device);
	return access(path, F_OK) == 0;
}

static int run_beside_server(struct ublk_control *control, const struct ublk_command *command,
			     int process_fd, int kept[3])
{
	int result = ublk_control_begin(control, command);
	bool beside = true;

	while (result == 0 && !ublk_control_ended(control, base_deadline_ns(LOOK_MS), &result)) {
		if (beside && has_exited(process_fd) && disk_exists(command->device)) {
			close_all_but(kept);
			beside = false;
		}
	}
	return result;
}

static void run_in_child(struct ublk_control *control, const struct ublk_command *command,
			 int pipe_fd, int process_fd)
{
	int kept[3] = {pipe_fd};
	ssize_t written;
	int result;

	ublk_control_get_files(control, &kept[1]);
	setsid();
	if (command->number == UBLK_ABI_CTRL_START_DEV) {
		result = run_beside_server(control, command, process_fd, kept);
	} else {
		close_all_but(kept);
		result = ublk_control_run_without_limit(control, command);
	}
	written = write(pipe_fd, &result, sizeof(result));
	(void)written;
	_exit(0);
}

/* ---- in the parent ------------------------------------------------------------------------- */

/*
 * As fork(), but the parent hears nothing of the child's end: a program that embeds a device may
 * have children of its own to wait for. What the C library does around fork() is for children that
 * go on to use it.
 */
static pid_t fork_silently(void)
{
	return (pid_t)syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL);
}

/* The child's child does it, so that it is nobody's zombie. Signals stay blocked in it. */
static int fork_twice(struct ublk_errand *errand, const struct ublk_command *command, int pipe_fd)
{
	const int process_fd = (int)syscall(SYS_pidfd_open, getpid(), 0U);
	sigset_t all, previous;
	pid_t pid;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &previous);
	pid = fork_silently();
	error = errno;
	if (pid == 0) {
		pid = fork_silently();
		if (pid == 0)
			run_in_child(errand->control, command, pipe_fd, process_fd);
		_exit(pid < 0);
	}
	pthread_sigmask(SIG_SETMASK, &previous, NULL);
	if (process_fd >= 0)
		close(process_fd);
	if (pid < 0)
		return base_error_errno(error, "cannot create a process for ublk");
	while (waitpid(pid, NULL, (int)__WCLONE) < 0 && errno == EINTR)
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

bool ublk_errand_was_begun(const struct ublk_errand *errand)
{
	return errand && errand->begun;
}

int ublk_errand_fd(const struct ublk_errand *errand)
{
	return errand->pipe_fd;
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
