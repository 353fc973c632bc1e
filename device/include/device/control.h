/* SPDX-License-Identifier: MIT */
/*
 * The contract between the engine and the control plane, which is a room of its own as it needs
 * caps. All of it on the thread of queue 0, unless said.
 */
#ifndef DEVICE_CONTROL_H
#define DEVICE_CONTROL_H

#include "device/io.h"
#include "device/log.h"
#include "device/wait.h"

#include <bdus/async.h>
#include <bdus/manage.h>
#include <bdus/stats.h>
#include <stddef.h>

/* ---- what the engine calls: the room `control` ---------------------------------------------- */

/** The service of a device that this process serves. */
struct bdus_control;

/**
 * Registers the service; callers wait until bdus_control_attach(). Comes before the driver's own
 * code runs, which may drop the privileges that the runtime directory needs.
 */
int bdus_control_create(struct bdus_device *device, struct bdus_control **control);

/** Serves in @loop from now on, that of queue 0. */
int bdus_control_attach(struct bdus_control *control, struct bdus_loop *loop);

/** Leaves the loop, or one whose ring is gone. Takes NULL. */
void bdus_control_detach(struct bdus_control *control);

/** Detached, or never attached; what is outstanding is answered. Takes NULL. */
void bdus_control_destroy(struct bdus_control *control);

/** Removes what a dead process left of its service in the runtime directory. Any thread. */
void bdus_control_forget(const char *directory, uint64_t id);

/**
 * Ask the process that serves device @id, and wait for its answer until @deadline_ns. -ENOENT:
 * nobody answers by that name; -EPERM: it is another user's; -ETIMEDOUT; else what the other side
 * answered. Any thread.
 */
int bdus_control_flush(uint64_t id, uint64_t deadline_ns, bdus_progress_fn *progress, void *opaque);
int bdus_control_stop(uint64_t id, uint64_t deadline_ns, bdus_progress_fn *progress, void *opaque);
int bdus_control_hand_over(uint64_t id, uint64_t deadline_ns, bdus_progress_fn *progress,
			   void *opaque);

/** The same; @fd is then the caller's: the socket of its clients with number @index. -ENOENT: there
 * are no more. */
int bdus_control_socket(uint64_t id, unsigned index, uint64_t deadline_ns, int *fd);

/* ---- what the control plane calls: the engine ----------------------------------------------- */

/**
 * The runtime directory: $BDUS_RUNTIME_DIR, else /run/bdus for root, else $XDG_RUNTIME_DIR/bdus,
 * else /tmp/bdus-UID. Made if it is missing. -ENAMETOOLONG and errors of mkdir. Any thread.
 */
int bdus_registry_directory(char *path, size_t size);

/**
 * Sends a flush down, as a client would; @io is the caller's, with `finished` set, which is called
 * with `result`. -ENODEV: the device is ending.
 */
int bdus_device_flush(struct bdus_device *device, struct bdus_io *io);

/** The memory of statistics, which stays the device's; -EOPNOTSUPP where there is none. */
int bdus_device_stats_fd(const struct bdus_device *device);

/** Makes a reader of the memory behind @fd, which it closes in any case. Any thread. */
int bdus_stats_open_fd(int fd, struct bdus_stats **stats);

/**
 * Has the filter called @filter, or with that place from 0 on, carry out a command; its answer is
 * text. -ENODEV: there is no such filter; -ENOTTY: it takes no commands; else as the filter says.
 */
int bdus_device_filter_command(struct bdus_device *device, const char *filter,
			       const char *const *words, unsigned count, char *answer,
			       size_t answer_bytes);

/** How a change of filters has ended, on the thread of queue 0; not called where the device ends.
 */
typedef void bdus_filters_changed_fn(void *opaque, int result);

/**
 * Puts a filter, by a name that the device's process knows or the path of a shared object, before
 * all others; or takes the one called @filter, or with that place, away. Requests wait until the
 * queues are empty. -EBUSY: another change is under way; -EOPNOTSUPP: the device cannot, or the
 * filter changes what clients see of it; -ENODEV: there is no such filter, or the device ends; and
 * what opening it fails with.
 */
int bdus_device_attach_filter(struct bdus_device *device, const char *filter,
			      const char *const *words, unsigned count,
			      bdus_filters_changed_fn *done, void *opaque);
int bdus_device_detach_filter(struct bdus_device *device, const char *filter,
			      bdus_filters_changed_fn *done, void *opaque);

/**
 * Another size, if driver and way in can. -EOPNOTSUPP, -EINVAL, -ENODEV, and what the driver
 * refuses with.
 */
int bdus_device_resize(struct bdus_device *device, uint64_t size_bytes);

/**
 * Begins to hand the device over to another process, which then claims its record. -EOPNOTSUPP: not
 * recoverable, or served from a loop of a program's own; -ENODEV: not available.
 */
int bdus_device_hand_over(struct bdus_device *device);

/** The socket of clients with number @index, which stays the device's; -ENOENT: no more. */
int bdus_device_socket(const struct bdus_device *device, unsigned index);

/** -EOPNOTSUPP: the process tells nothing; -EINVAL. */
int bdus_device_set_log_level(struct bdus_device *device, uint32_t level);
uint32_t bdus_device_log_level(const struct bdus_device *device);
/** Where to tell of what is done and refused. */
const struct bdus_log *bdus_device_log(const struct bdus_device *device);

#endif
