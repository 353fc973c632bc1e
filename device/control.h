/* SPDX-License-Identifier: MIT */
/*
 * The control socket of a served device: how `bdus flush` and `bdus destroy` reach the process that
 * serves it. A seqpacket socket beside the device's record; the command is one word, the answer is
 * a result and a message. Only root and the user that runs the device may speak.
 */
#ifndef DEVICE_CONTROL_H
#define DEVICE_CONTROL_H

#include "queue.h"

#include <stdint.h>

struct bdus_control;

/**
 * Listens; callers wait until bdus_control_attach(). Comes before the driver's own code runs, which
 * may drop the privileges that the runtime directory needs.
 */
int bdus_control_create(uint64_t id, struct bdus_control **control);

/**
 * Begins to listen, in the loop of @queue and on its thread, where everything happens from now on.
 * `stop` ends the device when asked.
 */
int bdus_control_attach(struct bdus_control *control, struct bdus_queue *queue,
			void (*stop)(void *opaque), void *opaque);

/** Leaves the loop, or one whose ring is gone. No flush may be in flight any more. Takes NULL. */
void bdus_control_detach(struct bdus_control *control);

/** Detached, or never attached. Takes NULL. */
void bdus_control_destroy(struct bdus_control *control);

/** The commands. */
#define BDUS_CONTROL_FLUSH "flush"
#define BDUS_CONTROL_STOP  "stop"

/**
 * Sends @command to the process that serves device @id and waits for its answer until @deadline_ns.
 * -ECONNREFUSED or -ENOENT: nobody listens; -ETIMEDOUT; else what the other side answered.
 */
int bdus_control_call(uint64_t id, const char *command, uint64_t deadline_ns,
		      bdus_progress_fn *progress, void *opaque);

#endif
