/* SPDX-License-Identifier: MIT */
/*
 * One handler for all devices of the process: it marks every slot in use and wakes its device.
 *
 * `lock` protects `users`, `before` and the taking of slots. The handler reads only atomics.
 */
#include "signals.h"

#include "base/bits.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#define MOST_DEVICES 1024

struct slot {
	atomic_bool used;
	atomic_bool came;
	/** The eventfd plus 1; 0 for none. */
	atomic_int event_fd_1;
};

static const int watched_signals[] = {SIGTERM, SIGINT};

static struct slot slots[MOST_DEVICES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static struct sigaction before[BASE_ARRAY_LENGTH(watched_signals)];

static void handle_signal(int signal_number)
{
	const int saved = errno;
	const uint64_t one = 1;

	(void)signal_number;
	for (unsigned i = 0; i < MOST_DEVICES; i++) {
		ssize_t written;
		int fd;

		if (!atomic_load(&slots[i].used))
			continue;
		atomic_store(&slots[i].came, true);
		fd = atomic_load(&slots[i].event_fd_1) - 1;
		if (fd < 0)
			continue;
		written = write(fd, &one, sizeof(one));
		(void)written;
	}
	errno = saved;
}

static void install(void)
{
	const struct sigaction ours = {.sa_handler = handle_signal, .sa_flags = SA_RESTART};

	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(watched_signals); i++) {
		sigaction(watched_signals[i], NULL, &before[i]);
		if (before[i].sa_handler == SIG_DFL)
			sigaction(watched_signals[i], &ours, NULL);
	}
}

static void uninstall(void)
{
	struct sigaction now;

	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(watched_signals); i++) {
		sigaction(watched_signals[i], NULL, &now);
		if (now.sa_handler == handle_signal)
			sigaction(watched_signals[i], &before[i], NULL);
	}
}

int bdus_signals_watch(void)
{
	int found = -1;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < MOST_DEVICES && found < 0; i++) {
		if (atomic_load(&slots[i].used))
			continue;
		atomic_store(&slots[i].came, false);
		atomic_store(&slots[i].event_fd_1, 0);
		atomic_store(&slots[i].used, true);
		found = i;
	}
	if (found >= 0 && users++ == 0)
		install();
	pthread_mutex_unlock(&lock);
	return found;
}

void bdus_signals_set_wake(int slot, int event_fd)
{
	if (slot >= 0)
		atomic_store(&slots[slot].event_fd_1, event_fd + 1);
}

void bdus_signals_forget(int slot)
{
	if (slot < 0)
		return;
	pthread_mutex_lock(&lock);
	atomic_store(&slots[slot].used, false);
	if (--users == 0)
		uninstall();
	pthread_mutex_unlock(&lock);
}

bool bdus_signals_came(int slot)
{
	return slot >= 0 && atomic_load_explicit(&slots[slot].came, memory_order_relaxed);
}
