/* SPDX-License-Identifier: MIT */
/*
 * System calls that block only the userland thread that makes them: uthread and asys together
 * (libuthread-asys).
 *
 *	const struct uthread_options options = {.size = sizeof(options),
 *						.hooks = &uthread_asys_hooks};
 *
 *	uthread_run(&options, start, NULL, NULL);
 *
 * Then, in a userland thread of that scheduler, a call from here is carried out as a message of
 * asys: by io_uring, by threads of asys, or at once. Others run meanwhile.
 *
 * Results are those of the system calls, but negative errno values rather than -1 and errno. In a
 * scheduler without these hooks, and outside userland threads, all of them return -EPERM. All are
 * points of cancellation: the call is asked to stop, and the thread goes on when it has, with
 * -ECANCELED only if the call did not get to an end of its own. With UTHREAD_CANCEL_DEFERRED the
 * thread ends then.
 */
#ifndef UTHREAD_ASYS_H
#define UTHREAD_ASYS_H

#include <asys.h>
#include <uthread.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * For the member `hooks` of uthread_options. `hooks_context` is NULL or a struct asys_options for
 * the handles, one for each worker; it must stay valid while the scheduler exists.
 */
extern const struct uthread_hooks uthread_asys_hooks;

/**
 * Sends @message and waits for its result, which is returned and in the message as well. It is
 * filled in by one of the asys_prep_ functions; `user` is overwritten, `deadline_ns` is heeded, and
 * links and registered files and buffers are for programs that use asys themselves: -EINVAL. On a
 * host (see below), registered files and buffers are the host's, and may be used.
 */
int64_t uthread_asys_call(struct asys_message *message);

/** Any system call by its number, as syscall(2). */
int64_t uthread_syscall(uint16_t number, uint64_t argument0, uint64_t argument1, uint64_t argument2,
			uint64_t argument3, uint64_t argument4, uint64_t argument5);

/* Each as the system call of its name. @offset -1: the file's position. */
int64_t uthread_read(int file, void *buffer, size_t length_bytes);
int64_t uthread_write(int file, const void *buffer, size_t length_bytes);
int64_t uthread_pread(int file, void *buffer, size_t length_bytes, int64_t offset);
int64_t uthread_pwrite(int file, const void *buffer, size_t length_bytes, int64_t offset);
int64_t uthread_openat(int directory, const char *path, int flags, mode_t mode);
int64_t uthread_close(int file);
int64_t uthread_fsync(int file);
int64_t uthread_accept(int socket, struct sockaddr *address, socklen_t *length, int flags);
int64_t uthread_connect(int socket, const struct sockaddr *address, socklen_t length);
int64_t uthread_send(int socket, const void *buffer, size_t length_bytes, int flags);
int64_t uthread_recv(int socket, void *buffer, size_t length_bytes, int flags);
int64_t uthread_sendmsg(int socket, const struct msghdr *header, int flags);
int64_t uthread_recvmsg(int socket, struct msghdr *header, int flags);

/** Waits for one of @events (POLLIN …) of @file, and returns those that it has; or -ETIMEDOUT. */
int64_t uthread_poll(int file, unsigned events, uint64_t deadline_ns);

/* ---- a program that has a handle of asys ----------------------------------------------------- */

/** A message on its way through a host, and room that is the host's. */
struct uthread_asys_envelope {
	struct asys_message message;
	void *host[2];
};

/**
 * A loop that has a handle of asys itself, and carries a scheduler by uthread_turn(): the calls
 * above then go through that handle. All are required.
 */
struct uthread_asys_host {
	/** sizeof(struct uthread_asys_host). */
	uint32_t size;
	uint32_t padding;
	/**
	 * Sends the envelope's message, and calls uthread_asys_completed() when it has completed.
	 * 0 or a negative errno value, with which the call then fails. Within uthread_turn().
	 */
	int (*send)(void *opaque, struct uthread_asys_envelope *envelope);
	/** As asys_cancel() of the message, which completes in any case. Within uthread_turn(). */
	void (*cancel)(void *opaque, struct uthread_asys_envelope *envelope);
	/** It is time for uthread_turn(). Any thread, any number of times; from a signal handler
	 * when uthread_unpark() is called in one. */
	void (*kick)(void *opaque);
	void *opaque;
};

/** For `hooks`, with the struct uthread_asys_host as `hooks_context`, which must last as long as
 * the scheduler. Only for uthread_scheduler_create(). */
extern const struct uthread_hooks uthread_asys_host_hooks;

/** The envelope's message has completed: its sender goes on in the next uthread_turn(). On the
 * thread of the host. */
void uthread_asys_completed(struct uthread_asys_envelope *envelope);

#ifdef __cplusplus
}
#endif

#endif
