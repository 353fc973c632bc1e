/* SPDX-License-Identifier: MIT */
/*
 * The C library's calls that wait for several descriptors, or for time.
 *
 * A set of descriptors is first looked at; if none is ready, one epoll descriptor of them all is
 * waited for, and they are looked at again. Signals that a call lets through for as long as it
 * waits are let through while the set is looked at.
 */
#include "preload_internal.h"

#include <stdlib.h>

static struct preload_thread *carrier(void)
{
	struct preload_thread *const self = preload_self;

	return self == NULL || preload_is_alone() ? NULL : self;
}

/**
 * The same for a call that finds something ready as a rule: others have their turn first, as a loop
 * that finds something each time would never let them have one.
 */
static struct preload_thread *polite_carrier(void)
{
	struct preload_thread *const self = carrier();

	if (self != NULL)
		sched_yield();
	return self;
}

/** Waits for input of @file: 1, 0 when it is time, -1 with EINTR. */
static int await_input(struct preload_thread *self, int file, uint64_t deadline_ns)
{
	int64_t result;

	preload_count(&preload_counts.carried_calls);
	self->call = PRELOAD_CALL_ENDS;
	preload_leave(self);
	result = uthread_poll(file, POLLIN, deadline_ns);
	preload_return(self);
	self->call = PRELOAD_CALL_NONE;
	if (result >= 0)
		return 1;
	if (result == -ETIMEDOUT)
		return 0;
	errno = (int)-result;
	if (result == -ECANCELED) {
		preload_cancelled(self);
		errno = EINTR;
	}
	return -1;
}

/** Waits for time: 0, or -1 with EINTR. */
static int await_time(struct preload_thread *self, uint64_t deadline_ns)
{
	int result;

	self->call = PRELOAD_CALL_ENDS;
	preload_leave(self);
	result = uthread_sleep_until(deadline_ns);
	preload_return(self);
	self->call = PRELOAD_CALL_NONE;
	if (result != -ECANCELED)
		return 0;
	preload_cancelled(self);
	errno = EINTR;
	return -1;
}

/** Waits for a signal: -1 with EINTR. */
static int await_signal(struct preload_thread *self)
{
	struct uthread_parker parker;

	uthread_parker_init(&parker);
	self->call = PRELOAD_CALL_ENDS;
	preload_leave(self);
	uthread_park(&parker, UTHREAD_NEVER);
	preload_return(self);
	self->call = PRELOAD_CALL_NONE;
	preload_cancelled(self);
	errno = EINTR;
	return -1;
}

/* ---- poll
 * ---------------------------------------------------------------------------------------- */

/** An epoll descriptor of all of @files; -1 where that is not possible. */
static int gather(const struct pollfd *files, nfds_t count)
{
	const int epoll = epoll_create1(EPOLL_CLOEXEC);

	for (nfds_t i = 0; epoll >= 0 && i < count; i++) {
		struct epoll_event event = {.events = (uint32_t)files[i].events};

		if (files[i].fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, files[i].fd, &event) == 0)
			continue;
		real.close(epoll);
		return -1;
	}
	return epoll;
}

/** One that is twice in the set, or cannot be polled: a thread of the kernel waits for it. */
static int poll_elsewhere(struct preload_thread *self, struct pollfd *files, nfds_t count,
			  uint64_t deadline_ns)
{
	int ready;

	while ((ready = real.poll(files, count, 0)) == 0) {
		const uint64_t soon_ns = uthread_deadline(1);

		if (deadline_ns <= uthread_deadline(0))
			break;
		if (await_time(self, soon_ns < deadline_ns ? soon_ns : deadline_ns) != 0)
			return -1;
	}
	return ready;
}

static int poll_until(struct preload_thread *self, struct pollfd *files, nfds_t count,
		      uint64_t deadline_ns)
{
	int ready = real.poll(files, count, 0);
	int epoll, waited, error;

	if (ready != 0 || deadline_ns == 0)
		return ready;
	epoll = gather(files, count);
	if (epoll < 0)
		return poll_elsewhere(self, files, count, deadline_ns);
	do {
		waited = await_input(self, epoll, deadline_ns);
		ready = waited > 0 ? real.poll(files, count, 0) : waited;
	} while (waited > 0 && ready == 0);
	error = errno;
	real.close(epoll);
	errno = error;
	return ready;
}

int ppoll(struct pollfd *files, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	struct preload_thread *const self = polite_carrier();
	sigset_t before;
	int ready;

	if (self == NULL)
		return real.ppoll(files, count, timeout, mask);
	if (mask != NULL)
		pthread_sigmask(SIG_SETMASK, mask, &before);
	ready = poll_until(self, files, count, preload_timeout(timeout));
	if (mask != NULL)
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ready;
}

static const struct timespec *from_ms(int timeout_ms, struct timespec *timeout)
{
	if (timeout_ms < 0)
		return NULL;
	*timeout = (struct timespec){.tv_sec = timeout_ms / 1000,
				     .tv_nsec = timeout_ms % 1000 * 1000000L};
	return timeout;
}

int poll(struct pollfd *files, nfds_t count, int timeout_ms)
{
	struct timespec timeout;

	if (timeout_ms == 0 && polite_carrier() != NULL)
		return real.poll(files, count, 0);
	if (carrier() == NULL)
		return real.poll(files, count, timeout_ms);
	return ppoll(files, count, from_ms(timeout_ms, &timeout), NULL);
}

/* ---- select
 * ----------------------------------------------------------------------------------------- */

static unsigned to_pollfds(int most, const fd_set *in, const fd_set *out, const fd_set *rest,
			   struct pollfd *files)
{
	unsigned count = 0;

	for (int file = 0; file < most; file++) {
		short events = 0;

		if (in != NULL && FD_ISSET(file, in))
			events |= POLLIN;
		if (out != NULL && FD_ISSET(file, out))
			events |= POLLOUT;
		if (rest != NULL && FD_ISSET(file, rest))
			events |= POLLPRI;
		if (events != 0)
			files[count++] = (struct pollfd){.fd = file, .events = events};
	}
	return count;
}

int pselect(int most, fd_set *in, fd_set *out, fd_set *rest, const struct timespec *timeout,
	    const sigset_t *mask)
{
	const struct timespec none = {0, 0};
	struct preload_thread *const self = carrier();
	struct pollfd *files;
	int ready;

	if (self == NULL || most < 0 || most > FD_SETSIZE)
		return real.pselect(most, in, out, rest, timeout, mask);
	files = malloc(((size_t)most + 1) * sizeof(*files));
	if (files == NULL) {
		errno = ENOMEM;
		return -1;
	}
	ready = ppoll(files, to_pollfds(most, in, out, rest, files), timeout, mask);
	free(files);
	/* What is ready, select itself says best: also of a descriptor that is none. */
	return ready < 0 ? ready : real.pselect(most, in, out, rest, &none, NULL);
}

int select(int most, fd_set *in, fd_set *out, fd_set *rest, struct timeval *timeout)
{
	struct timespec time;

	if (carrier() == NULL)
		return real.select(most, in, out, rest, timeout);
	if (timeout == NULL)
		return pselect(most, in, out, rest, NULL, NULL);
	time = (struct timespec){timeout->tv_sec, timeout->tv_usec * 1000L};
	return pselect(most, in, out, rest, &time, NULL);
}

/* ---- epoll
 * -------------------------------------------------------------------------------------------- */

int epoll_pwait(int epoll, struct epoll_event *events, int most, int timeout_ms,
		const sigset_t *mask)
{
	struct preload_thread *const self = polite_carrier();
	struct timespec timeout;
	uint64_t deadline_ns;
	int ready;

	if (self == NULL || mask != NULL || timeout_ms == 0)
		return real.epoll_pwait(epoll, events, most, timeout_ms, mask);
	deadline_ns = preload_timeout(from_ms(timeout_ms, &timeout));
	while ((ready = real.epoll_wait(epoll, events, most, 0)) == 0) {
		const int waited = await_input(self, epoll, deadline_ns);

		if (waited <= 0)
			return waited;
	}
	return ready;
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout_ms)
{
	return epoll_pwait(epoll, events, most, timeout_ms, NULL);
}

/* ---- time
 * ---------------------------------------------------------------------------------------------- */

static void tell_left(uint64_t deadline_ns, struct timespec *left)
{
	const uint64_t now_ns = uthread_deadline(0);
	const uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

	if (left != NULL)
		*left = (struct timespec){.tv_sec = (time_t)(left_ns / 1000000000U),
					  .tv_nsec = (long)(left_ns % 1000000000U)};
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left)
{
	struct preload_thread *const self = carrier();
	uint64_t deadline_ns;
	int error = 0;

	if (self == NULL || (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC))
		return real.clock_nanosleep(clock, flags, time, left);
	if (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= 1000000000)
		return EINVAL;
	deadline_ns = (flags & TIMER_ABSTIME) ? preload_deadline(clock, time, &error)
					      : preload_timeout(time);
	if (error != 0)
		return error;
	if (await_time(self, deadline_ns) == 0)
		return 0;
	if (!(flags & TIMER_ABSTIME))
		tell_left(deadline_ns, left);
	return EINTR;
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
	const int error = clock_nanosleep(CLOCK_MONOTONIC, 0, time, left);

	if (error == 0)
		return 0;
	errno = error;
	return -1;
}

int usleep(useconds_t time_us)
{
	const struct timespec time = {.tv_sec = time_us / 1000000,
				      .tv_nsec = (long)(time_us % 1000000) * 1000};

	return nanosleep(&time, NULL);
}

unsigned sleep(unsigned seconds)
{
	struct timespec time = {.tv_sec = seconds};

	return nanosleep(&time, &time) == 0 ? 0
					    : (unsigned)time.tv_sec + (time.tv_nsec >= 500000000);
}

int pause(void)
{
	struct preload_thread *const self = carrier();

	return self != NULL ? await_signal(self) : real.pause();
}

int sigsuspend(const sigset_t *mask)
{
	struct preload_thread *const self = carrier();
	sigset_t before;
	int result;

	if (self == NULL)
		return real.sigsuspend(mask);
	pthread_sigmask(SIG_SETMASK, mask, &before);
	result = await_signal(self);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}
