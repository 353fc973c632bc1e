/* SPDX-License-Identifier: MIT */
/*
 * Going to the background; see daemonize.h.
 */
#include "daemonize.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct bdus_daemon {
	int fd;
};

/** What the child tells the parent, once. */
struct word {
	int result;
	char message[BASE_ERROR_MESSAGE_BYTES];
};

static int report_death(int status)
{
	if (WIFSIGNALED(status))
		return base_error(
			ECANCELED,
			"the driver's process was killed by signal %d (%s) before the device "
			"was available",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	return base_error(
		ECANCELED,
		"the driver's process ended with status %d before the device was available",
		WEXITSTATUS(status));
}

/** The parent's part; returns only when the child failed. */
static int wait_for_child(int fd, pid_t child)
{
	struct word word;
	ssize_t length;
	int status = 0;

	do
		length = recv(fd, &word, sizeof(word), 0);
	while (length < 0 && errno == EINTR);
	close(fd);
	if (length == (ssize_t)sizeof(word) && word.result == 0)
		_exit(EXIT_SUCCESS);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (length != (ssize_t)sizeof(word))
		return report_death(status);
	word.message[sizeof(word.message) - 1] = '\0';
	return base_error(-word.result, "%s", word.message);
}

/**
 * Opens /dev/null for standard streams that the program was started without. Otherwise sockets of
 * the device would take their place, and be lost when the streams are pointed elsewhere.
 */
static void fill_streams(struct bdus_daemon *daemon)
{
	const int moved = fcntl(daemon->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int fd;

	if (moved < 0)
		return;
	close(daemon->fd);
	daemon->fd = moved;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int bdus_daemon_fork(struct bdus_daemon **daemon)
{
	struct bdus_daemon *const made = malloc(sizeof(*made));
	int fds[2];
	pid_t child;

	if (made == NULL)
		return base_error(ENOMEM, "no memory to go to the background");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
		free(made);
		return base_error_errno(errno, "cannot create a socket pair");
	}
	/* What is buffered would otherwise be in both processes, and perhaps be written twice. */
	fflush(NULL);
	child = fork();
	if (child < 0) {
		const int error = errno;

		close(fds[0]);
		close(fds[1]);
		free(made);
		return base_error_errno(error, "cannot fork to go to the background");
	}
	if (child > 0) {
		close(fds[1]);
		free(made);
		return wait_for_child(fds[0], child);
	}
	close(fds[0]);
	made->fd = fds[1];
	fill_streams(made);
	*daemon = made;
	return 1;
}

static int tell_parent(struct bdus_daemon *daemon, const struct word *word)
{
	const ssize_t sent = send(daemon->fd, word, sizeof(*word), MSG_NOSIGNAL);
	const int error = errno;

	close(daemon->fd);
	daemon->fd = -1;
	return sent == (ssize_t)sizeof(*word) ? 0 : -error;
}

/** Points the three standard streams to /dev/null. */
static int leave_streams(void)
{
	const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return base_error_errno(errno, "cannot open /dev/null");
	fflush(stdout);
	fflush(stderr);
	for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++)
		dup2(fd, stream);
	if (fd > STDERR_FILENO)
		close(fd);
	return 0;
}

int bdus_daemon_detach(void)
{
	const int result = leave_streams();

	if (result == 0)
		setsid();
	return result;
}

int bdus_daemon_ready(struct bdus_daemon *daemon)
{
	const struct word word = {.result = 0};
	int result = bdus_daemon_detach();

	if (result < 0)
		return result;
	result = tell_parent(daemon, &word);
	if (result < 0)
		return base_error(EPIPE, "the process that started the driver is gone");
	return 0;
}

bool bdus_daemon_is_waited_for(const struct bdus_daemon *daemon)
{
	return daemon->fd >= 0;
}

void bdus_daemon_failed(struct bdus_daemon *daemon, int result)
{
	struct word word = {.result = result < 0 ? result : -ECANCELED};

	snprintf(word.message, sizeof(word.message), "%s", base_error_message());
	tell_parent(daemon, &word);
}

void bdus_daemon_destroy(struct bdus_daemon *daemon)
{
	if (daemon == NULL)
		return;
	if (daemon->fd >= 0)
		close(daemon->fd);
	free(daemon);
}
