/* SPDX-License-Identifier: MIT */
/*
 * Going to the background. The process forks before anything of the device exists, because a ublk
 * queue belongs to the task that opened it; the child does all the work and the parent waits for
 * word from it.
 */
#ifndef DEVICE_DAEMONIZE_H
#define DEVICE_DAEMONIZE_H

#include <stdbool.h>

struct bdus_daemon;

/**
 * Forks. Returns 1 in the child with *@daemon set; in the parent, only when the child failed to
 * make the device available, its error, with its message. When the child succeeded, the parent
 * exits with status 0 and the call does not return in it.
 */
int bdus_daemon_fork(struct bdus_daemon **daemon);

/**
 * In the child, once the device is available: leaves the session, points the standard streams to
 * /dev/null and lets the parent go. -EPIPE when the parent is gone, so that nobody knows of the
 * device.
 */
int bdus_daemon_ready(struct bdus_daemon *daemon);

/** The first half of that, for a process that shares the daemon with the one that tells. */
int bdus_daemon_detach(void);

/** Whether the parent still waits for word. */
bool bdus_daemon_is_waited_for(const struct bdus_daemon *daemon);

/** In the child, when it ends before it was ready: tells the parent @result and the thread's
 * message. */
void bdus_daemon_failed(struct bdus_daemon *daemon, int result);

/** Takes NULL. */
void bdus_daemon_destroy(struct bdus_daemon *daemon);

#endif
