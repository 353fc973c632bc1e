/* SPDX-License-Identifier: MIT */
/*
 * Without a ring: epoll tells which files are ready, when it is time, and that other threads have
 * something.
 *
 * Descriptors are told apart from the two of our own by the data that epoll keeps. A descriptor
 * stays with epoll once it was there, disarmed while nobody waits for it; the kernel forgets it
 * when it is closed.
 */
#include "asys_internal.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define DATA_WAKE    UINT64_MAX
#define DATA_TIMER   (UINT64_MAX - 1)
#define EVENTS_BATCH 64
#define NS_PER_MS    1000000U

static int watch(struct asys *asys, int file, uint64_t data)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};

	return epoll_ctl(asys->epoll_fd, EPOLL_CTL_ADD, file, &event) == 0
		       ? 0
		       : base_error_errno(errno, "cannot watch a descriptor with epoll");
}

int asys_wait_init(struct asys *asys)
{
	int result;

	asys->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (asys->epoll_fd < 0)
		return base_error_errno(errno, "cannot create an epoll descriptor");
	asys->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (asys->timer_fd < 0)
		return base_error_errno(errno, "cannot create a timer");
	result = watch(asys, asys->wake_fd, DATA_WAKE);
	return result == 0 ? watch(asys, asys->timer_fd, DATA_TIMER) : result;
}

void asys_wait_finish(struct asys *asys)
{
	if (asys->epoll_fd >= 0)
		close(asys->epoll_fd);
	if (asys->timer_fd >= 0)
		close(asys->timer_fd);
	free(asys->waiters);
}

/* ---- parked messages ----------------------------------------------------------------------- */

static bool grow(struct asys *asys, unsigned file)
{
	const unsigned count = (unsigned)base_align_up(file + 1U, 64);
	struct asys_waiters *waiters;

	if (file < asys->waiters_count)
		return true;
	waiters = realloc(asys->waiters, count * sizeof(*waiters));
	if (waiters == NULL)
		return false;
	memset(waiters + asys->waiters_count, 0, (count - asys->waiters_count) * sizeof(*waiters));
	asys->waiters = waiters;
	asys->waiters_count = count;
	return true;
}

/* A descriptor may be another file than when epoll saw it last. */
static int tell_epoll(struct asys *asys, int file)
{
	struct asys_waiters *const waiters = &asys->waiters[file];
	struct epoll_event event = {.events = EPOLLONESHOT, .data.u64 = (uint64_t)file};
	int operation = waiters->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	for (struct asys_message *m = waiters->first; m != NULL; m = m->next)
		event.events |= asys_events_of(m);
	for (unsigned attempt = 0; attempt < 2; attempt++) {
		if (epoll_ctl(asys->epoll_fd, operation, file, &event) == 0) {
			waiters->registered = true;
			return 0;
		}
		if (errno == ENOENT)
			operation = EPOLL_CTL_ADD;
		else if (errno == EEXIST)
			operation = EPOLL_CTL_MOD;
		else
			break;
	}
	return -errno;
}

static void take_out(struct asys *asys, struct asys_message *message)
{
	struct asys_waiters *const waiters = &asys->waiters[message->file];

	if (message->previous != NULL)
		message->previous->next = message->next;
	else
		waiters->first = message->next;
	if (message->next != NULL)
		message->next->previous = message->previous;
}

int asys_wait_for(struct asys *asys, struct asys_message *message, int file)
{
	struct asys_waiters *waiters;
	int result;

	if (file < 0)
		return -EBADF;
	if (!grow(asys, (unsigned)file))
		return -ENOMEM;
	waiters = &asys->waiters[file];
	message->file = file;
	message->state = ASYS_STATE_WAITING;
	message->previous = NULL;
	message->next = waiters->first;
	if (message->next != NULL)
		message->next->previous = message;
	waiters->first = message;
	result = tell_epoll(asys, file);
	if (result != 0)
		take_out(asys, message);
	return result;
}

void asys_wait_remove(struct asys *asys, struct asys_message *message)
{
	take_out(asys, message);
	if (asys->waiters[message->file].first != NULL)
		tell_epoll(asys, message->file);
}

/* ---- turns --------------------------------------------------------------------------------- */

static void wake_one(struct asys *asys, struct asys_message *message, uint32_t events)
{
	take_out(asys, message);
	if (message->number == ASYS_POLL)
		asys_complete(asys, message,
			      events & (asys_events_of(message) | EPOLLERR | EPOLLHUP));
	else
		asys_resume(asys, message);
}

/* Resuming one may park it again: only those that were there before are looked at. */
static void on_file(struct asys *asys, unsigned file, uint32_t events)
{
	struct asys_message *message, *next;

	if (file >= asys->waiters_count)
		return;
	for (message = asys->waiters[file].first; message != NULL; message = next) {
		next = message->next;
		if (events & (asys_events_of(message) | EPOLLERR | EPOLLHUP))
			wake_one(asys, message, events);
	}
	if (asys->waiters[file].first != NULL)
		tell_epoll(asys, (int)file);
}

static void on_event(struct asys *asys, const struct epoll_event *event)
{
	uint64_t count;
	ssize_t ignored;

	switch (event->data.u64) {
	case DATA_WAKE:
		ignored = read(asys->wake_fd, &count, sizeof(count));
		asys->wake_sent = false;
		break;
	case DATA_TIMER:
		ignored = read(asys->timer_fd, &count, sizeof(count));
		asys->timer_ns = UINT64_MAX;
		break;
	default:
		on_file(asys, (unsigned)event->data.u64, event->events);
		return;
	}
	(void)ignored;
}

void asys_wait_turn(struct asys *asys, uint64_t timeout_ns)
{
	struct epoll_event events[EVENTS_BATCH];
	const uint64_t timeout_ms =
		timeout_ns / NS_PER_MS + (timeout_ns % NS_PER_MS != 0 ? 1U : 0U);
	const int count =
		epoll_wait(asys->epoll_fd, events, EVENTS_BATCH,
			   timeout_ns == UINT64_MAX ? -1 : (int)base_min(timeout_ms, INT32_MAX));

	asys->interrupted = count < 0 && errno == EINTR;
	for (int i = 0; i < count; i++)
		on_event(asys, &events[i]);
}

void asys_wait_arm(struct asys *asys)
{
	struct itimerspec when = {0};

	if (!asys->polled || asys->deadlines == NULL ||
	    asys_deadline_of(asys->deadlines) >= asys->timer_ns)
		return;
	asys->timer_ns = asys_deadline_of(asys->deadlines);
	when.it_value.tv_sec = (time_t)(asys->timer_ns / 1000000000U);
	/* All zeros would disarm it. */
	when.it_value.tv_nsec = (long)(asys->timer_ns % 1000000000U) | 1;
	timerfd_settime(asys->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}
