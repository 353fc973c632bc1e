/* SPDX-License-Identifier: MIT */
/*
 * What the command says on stderr, what it returns to the shell, and its care for the standard
 * streams: output that cannot be written is a failure like any other.
 */
#include "cli_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say_va(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

static void say_va(const char *format, va_list arguments)
{
	char line[2048];
	const int length = vsnprintf(line, sizeof(line), format, arguments);

	if (length < 0)
		return;
	/* One write a line, so that lines of several processes do not mix. */
	fprintf(stderr, "bdus: %s\n", cli_make_printable(line));
	fflush(stderr);
}

void cli_say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_va(format, arguments);
	va_end(arguments);
}

int cli_usage_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_va(format, arguments);
	va_end(arguments);
	return CLI_USAGE;
}

void cli_say_library_error(const char *context, int error)
{
	const char *message = bdus_manage_error();

	if (message[0] == '\0')
		message = strerror(-error);
	if (context == NULL)
		cli_say("%s", message);
	else
		cli_say("%s: %s", context, message);
}

int cli_status_of(int error)
{
	switch (-error) {
	case 0:
		return CLI_OK;
	case ENODEV:
	case ENXIO:
		return CLI_NO_DEVICE;
	case EPERM:
	case EACCES:
		return CLI_NOT_PERMITTED;
	case EOPNOTSUPP:
	case ENOSYS:
		return CLI_UNSUPPORTED;
	case ETIMEDOUT:
		return CLI_TIMED_OUT;
	default:
		return CLI_FAILED;
	}
}

void cli_status_merge(int *status, int other)
{
	if (*status == CLI_OK)
		*status = other;
	else if (other != CLI_OK && other != *status)
		*status = CLI_FAILED;
}

void cli_guard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/* The lowest free number is fd. Writing to a closed stdout must go on failing. */
		if (open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(CLI_FAILED);
	}
}

int cli_flush_stdout(void)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return errno != 0 ? -errno : -EIO;
}

void cli_progress_begin(struct cli_progress *progress, const char *doing, const char *device)
{
	*progress = (struct cli_progress){.doing = doing, .device = device, .next_ms = 3000};
}

void cli_progress_fn(uint64_t waited_ms, const char *waiting_for, void *opaque)
{
	struct cli_progress *const progress = opaque;
	const uint64_t most_ms = 60000;

	if (waited_ms < progress->next_ms)
		return;
	progress->next_ms = waited_ms + (waited_ms < most_ms ? waited_ms : most_ms);
	cli_say("still %s %s (%llu s): waiting for %s", progress->doing, progress->device,
		(unsigned long long)(waited_ms / 1000), waiting_for);
}
