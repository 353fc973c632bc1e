/* SPDX-License-Identifier: MIT */
/*
 * Starts threads, and reads in /proc what they do.
 */
#include "base/thread.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int base_thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
	sigset_t all;
	sigset_t before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

int base_thread_open_state(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)gettid());
	return open(path, O_RDONLY | O_CLOEXEC);
}

bool base_thread_is_blocked(int state_fd)
{
	char text[256];
	const char *after_name;
	ssize_t length;

	if (state_fd < 0)
		return true;
	length = pread(state_fd, text, sizeof(text) - 1, 0);
	if (length <= 0)
		return true;
	text[length] = '\0';
	after_name = strrchr(text, ')');
	return after_name == NULL || after_name[1] == '\0' || after_name[2] != 'R';
}
