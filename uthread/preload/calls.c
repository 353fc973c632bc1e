/* SPDX-License-Identifier: MIT */
/*
 * The C library's calls that wait for one descriptor, carried out as messages of asys. A program
 * that has one thread at the time makes the call itself. One that a signal interrupts fails with
 * EINTR, if it was the main thread's.
 */
#include "preload_internal.h"

#include <fcntl.h>
#include <sys/stat.h>

#define MOST_FILES 65536

/** SO_RCVTIMEO and SO_SNDTIMEO of sockets, in microseconds, as the ring does not know of them. */
static uint32_t timeouts_us[2][MOST_FILES];
static atomic_bool has_timeouts;

enum {
	RECEIVES,
	SENDS
};

/** The one that runs, if it may wait by a message, and so has to. */
static struct preload_thread *carrier(void)
{
	struct preload_thread *const self = preload_self;

	return self == NULL || preload_is_alone() ? NULL : self;
}

/** The same for a call that waits for @file, which is not to happen when it is O_NONBLOCK. */
static struct preload_thread *carrier_of(int file)
{
	struct preload_thread *const self = carrier();
	const int before = errno;
	int flags;

	if (self == NULL)
		return NULL;
	flags = fcntl(file, F_GETFL);
	errno = before;
	return flags >= 0 && !(flags & O_NONBLOCK) ? self : NULL;
}

static ssize_t carry(struct preload_thread *self, struct asys_message *message)
{
	int64_t result;

	preload_count(&preload_counts.carried_calls);
	self->call = PRELOAD_CALL_RESTARTS;
	preload_leave(self);
	result = uthread_asys_call(message);
	preload_return(self);
	self->call = PRELOAD_CALL_NONE;
	if (result == -ECANCELED) {
		preload_cancelled(self);
		result = -EINTR;
	}
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

/** The same, with the socket's time-out; what ended by it fails as the kernel has it. */
static ssize_t carry_socket(struct preload_thread *self, struct asys_message *message, int file,
			    int direction)
{
	uint32_t timeout_us = 0;
	ssize_t result;

	if (atomic_load_explicit(&has_timeouts, memory_order_relaxed) && file >= 0 &&
	    file < MOST_FILES)
		timeout_us = timeouts_us[direction][file];
	if (timeout_us != 0)
		message->deadline_ns = asys_deadline(0) + timeout_us * UINT64_C(1000);
	result = carry(self, message);
	if (result < 0 && timeout_us != 0 && errno == ETIMEDOUT)
		errno = EAGAIN;
	return result;
}

static int set_timeout(int file, int direction, const struct timeval *timeout)
{
	const uint64_t us = (uint64_t)timeout->tv_sec * 1000000U + (uint64_t)timeout->tv_usec;

	timeouts_us[direction][file] = us < UINT32_MAX ? (uint32_t)us : 0;
	if (us != 0)
		atomic_store(&has_timeouts, true);
	return 0;
}

int setsockopt(int file, int level, int name, const void *value, socklen_t length)
{
	static int (*real_setsockopt)(int, int, int, const void *, socklen_t);
	int result;

	if (real_setsockopt == NULL)
		*(void **)&real_setsockopt = preload_find("setsockopt");
	result = real_setsockopt(file, level, name, value, length);
	if (result != 0 || level != SOL_SOCKET || length != sizeof(struct timeval) ||
	    file >= MOST_FILES)
		return result;
	if (name == SO_RCVTIMEO)
		set_timeout(file, RECEIVES, value);
	else if (name == SO_SNDTIMEO)
		set_timeout(file, SENDS, value);
	return result;
}

int close(int file)
{
	if (file >= 0 && file < MOST_FILES)
		timeouts_us[RECEIVES][file] = timeouts_us[SENDS][file] = 0;
	return real.close(file);
}

/* ---- reading and writing
 * ------------------------------------------------------------------------- */

/**
 * Whether a read or write of @file could wait for long: of a pipe, a socket, a terminal. What files
 * need takes a while at most, and has to be where their position is.
 */
static bool may_wait(int file)
{
	struct stat status;
	const int before = errno;
	const bool waits =
		fstat(file, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode);

	errno = before;
	return waits;
}

ssize_t read(int file, void *buffer, size_t length)
{
	struct preload_thread *const self = carrier_of(file);
	struct asys_message message;

	if (self == NULL || !may_wait(file))
		return real.read(file, buffer, length);
	asys_prep_read(&message, file, buffer, length, -1);
	return carry_socket(self, &message, file, RECEIVES);
}

ssize_t write(int file, const void *buffer, size_t length)
{
	struct preload_thread *const self = carrier_of(file);
	struct asys_message message;

	if (self == NULL || !may_wait(file))
		return real.write(file, buffer, length);
	asys_prep_write(&message, file, buffer, length, -1);
	return carry_socket(self, &message, file, SENDS);
}

ssize_t readv(int file, const struct iovec *parts, int count)
{
	struct preload_thread *const self = carrier_of(file);
	struct asys_message message;

	if (self == NULL || count <= 0 || !may_wait(file))
		return real.readv(file, parts, count);
	asys_prep_readv(&message, file, parts, (unsigned)count, -1, 0);
	return carry_socket(self, &message, file, RECEIVES);
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
	struct preload_thread *const self = carrier_of(file);
	struct asys_message message;

	if (self == NULL || count <= 0 || !may_wait(file))
		return real.writev(file, parts, count);
	asys_prep_writev(&message, file, parts, (unsigned)count, -1, 0);
	return carry_socket(self, &message, file, SENDS);
}

/* ---- sockets
 * ---------------------------------------------------------------------------------------- */

ssize_t recvmsg(int file, struct msghdr *header, int flags)
{
	struct preload_thread *const self = carrier_of(file);
	struct asys_message message;

	if (self == NULL || (flags & MSG_DONTWAIT))
		return real.recvmsg(file, header, flags);
	asys_prep_recvmsg(&message, file, header, flags);
	return carry_socket(self, &message, file, RECEIVES);
}

ssize_t sendmsg(int file, const struct msghdr *header, int flags)
{
	struct preload_thread *const self = carrier_of(file);
	struct asys_message message;

	if (self == NULL || (flags & MSG_DONTWAIT))
		return real.sendmsg(file, header, flags);
	asys_prep_sendmsg(&message, file, header, flags);
	return carry_socket(self, &message, file, SENDS);
}

ssize_t recvfrom(int file, void *buffer, size_t length, int flags, struct sockaddr *address,
		 socklen_t *address_length)
{
	struct iovec part = {.iov_base = buffer, .iov_len = length};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t result;

	if (carrier_of(file) == NULL || (flags & MSG_DONTWAIT))
		return real.recvfrom(file, buffer, length, flags, address, address_length);
	if (address != NULL) {
		header.msg_name = address;
		header.msg_namelen = *address_length;
	}
	result = recvmsg(file, &header, flags);
	if (result >= 0 && address != NULL)
		*address_length = header.msg_namelen;
	return result;
}

ssize_t recv(int file, void *buffer, size_t length, int flags)
{
	return recvfrom(file, buffer, length, flags, NULL, NULL);
}

ssize_t sendto(int file, const void *buffer, size_t length, int flags,
	       const struct sockaddr *address, socklen_t address_length)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)buffer, .iov_len = length};
	const struct msghdr header = {.msg_name = (void *)(uintptr_t)address,
				      .msg_namelen = address != NULL ? address_length : 0,
				      .msg_iov = &part,
				      .msg_iovlen = 1};

	if (carrier_of(file) == NULL || (flags & MSG_DONTWAIT))
		return real.sendto(file, buffer, length, flags, address, address_length);
	return sendmsg(file, &header, flags);
}

ssize_t send(int file, const void *buffer, size_t length, int flags)
{
	return sendto(file, buffer, length, flags, NULL, 0);
}

int accept4(int file, struct sockaddr *address, socklen_t *length, int flags)
{
	struct preload_thread *const self = carrier_of(file);
	struct asys_message message;

	if (self == NULL)
		return real.accept4(file, address, length, flags);
	asys_prep_accept(&message, file, address, length, flags);
	return (int)carry_socket(self, &message, file, RECEIVES);
}

int accept(int file, struct sockaddr *address, socklen_t *length)
{
	return accept4(file, address, length, 0);
}

int connect(int file, const struct sockaddr *address, socklen_t length)
{
	struct preload_thread *const self = carrier_of(file);
	struct asys_message message;

	if (self == NULL)
		return real.connect(file, address, length);
	asys_prep_connect(&message, file, address, length);
	return (int)carry_socket(self, &message, file, SENDS);
}

/* ---- by number
 * ----------------------------------------------------------------------------------------- */

static ssize_t carry_number(struct preload_thread *self, long number, uint64_t a, uint64_t b,
			    uint64_t c, uint64_t d, uint64_t e)
{
	struct asys_message message;

	asys_prep(&message, (uint16_t)number, a, b, c, d, e, 0);
	return carry(self, &message);
}

pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
	struct preload_thread *const self = carrier();

	if (self == NULL || (options & WNOHANG))
		return real.wait4(pid, status, options, usage);
	return (pid_t)carry_number(self, SYS_wait4, (uint64_t)pid, asys_pointer(status),
				   (uint64_t)options, asys_pointer(usage), 0);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
	return wait4(pid, status, options, NULL);
}

pid_t wait(int *status)
{
	return wait4(-1, status, 0, NULL);
}

pid_t wait3(int *status, int options, struct rusage *usage)
{
	return wait4(-1, status, options, usage);
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	struct preload_thread *const self = carrier();

	if (self == NULL || (options & WNOHANG))
		return real.waitid(type, id, info, options);
	return (int)carry_number(self, SYS_waitid, type, id, asys_pointer(info), (uint64_t)options,
				 0);
}

int flock(int file, int operation)
{
	struct preload_thread *const self = carrier();

	if (self == NULL || (operation & LOCK_NB))
		return real.flock(file, operation);
	return (int)carry_number(self, SYS_flock, (uint64_t)file, (uint64_t)operation, 0, 0, 0);
}

int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	struct preload_thread *const self = carrier();

	if (self == NULL)
		return real.sigtimedwait(set, info, timeout);
	return (int)carry_number(self, SYS_rt_sigtimedwait, asys_pointer(set), asys_pointer(info),
				 asys_pointer(timeout), NSIG / 8, 0);
}

int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	return sigtimedwait(set, info, NULL);
}

int sigwait(const sigset_t *set, int *number)
{
	int result;

	do
		result = sigtimedwait(set, NULL, NULL);
	while (result < 0 && errno == EINTR);
	if (result < 0)
		return errno;
	*number = result;
	return 0;
}
