/* SPDX-License-Identifier: MIT */
/*
 * One device served by this process, as the engine's own files make and use it; programs see the
 * same objects through include/bdus/async.h.
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "queue.h"

#include <bdus/async.h>

/** What a device is made of. Texts and attributes are only read while it is being made. */
struct bdus_device_config {
	const char *driver_name;
	/** Where requests go; may be set later by bdus_device_set_top(). */
	struct bdus_layer top;
	/** Complete, with the operations that clients may use, and those that the driver takes. */
	const struct bdus_device_attrs *attrs;
	uint32_t native_ops;
	const char *transport;
	/** Where payloads shall lie; NULL for memory of the way in's own. */
	struct bdus_memory *memory;
	/** "auto" takes only ways in that make a block special file. */
	bool block_device_only;
	/** Called once limits are settled; an error unmakes the device. NULL for none. */
	int (*created)(void *opaque, struct bdus_device *device);
	/** Clients can reach the device; an error ends it. NULL for none. */
	int (*available)(void *opaque, const struct bdus_device_info *info);
	/** Tells what happens, on any thread; NULL where nobody wants to be told. */
	void (*log)(void *opaque, enum bdus_log_level level, const char *text);
	/** The level has changed; NULL for a driver that tells nothing itself. */
	void (*set_log_level)(void *opaque, uint32_t level);
	uint32_t log_level;
	/** Asks the driver whether the device may have another size; NULL for one that cannot. */
	int (*resize)(void *opaque, uint64_t size_bytes);
	/** As bdus_stack_command(); NULL without filters. */
	int (*filter_command)(void *opaque, const char *filter, const char *const *words,
			      unsigned count, char *answer, size_t answer_bytes);
	/**
	 * As bdus_device_attach_filter() and bdus_device_detach_filter(); call
	 * bdus_device_change_top(). NULL where that cannot be.
	 */
	int (*attach_filter)(void *opaque, const char *filter, const char *const *words,
			     unsigned count);
	int (*detach_filter)(void *opaque, const char *filter);
	/** All queues have taken the new top: what is beneath the old one may go. */
	int (*top_changed)(void *opaque);
	/** A device to be taken over, with its claimed record, which belongs to the device from
	 * bdus_device_make() on; NULL for a new one. */
	const struct bdus_device_info *adopted;
	struct bdus_record *record;
	struct bdus_handed *handed;
	uint64_t adopt_deadline_ns;
	/** Whoever runs the device asks bdus_device_leaving() after each turn. */
	bool can_leave;
	/** The end begins, for this reason. NULL for none. */
	void (*stopping)(void *opaque, int result);
	void *opaque;
	/** Frees `opaque` when a device that was made is destroyed. NULL for none. */
	void (*free_opaque)(void *opaque);
};

int bdus_device_make(const struct bdus_device_config *config, struct bdus_device **device);

/** For statistics: what filters there are, the one next to the clients first. */
void bdus_device_name_filters(struct bdus_device *device, const struct bdus_stats_row *rows,
			      unsigned count);
void bdus_device_clear_filter(struct bdus_device *device, unsigned row);
/**
 * Has all queues, each once it is empty, take another top layer, and then calls `top_changed`. On
 * the thread of queue 0. -ENODEV: the device is not available any more.
 */
int bdus_device_change_top(struct bdus_device *device, struct bdus_layer top);
/** Where requests go. Before any queue is open. */
void bdus_device_set_top(struct bdus_device *device, struct bdus_layer top);

/**
 * Ends the device as if it had been asked to, with -@error as its result and @what as the message.
 * Any thread; the first call counts.
 */
void bdus_device_abort(struct bdus_device *device, int error, const char *what);

/** How a recoverable device is left without being ended. */
enum bdus_leaving {
	BDUS_NOT_LEAVING,
	/** What is in the driver is to finish first. */
	BDUS_LEAVING_IN_ORDER,
	/** The driver has failed. */
	BDUS_LEAVING_AT_ONCE,
};

/** Whether, and how, the loops of all queues are to be destroyed, as run.c does. Any thread. */
enum bdus_leaving bdus_device_leaving(const struct bdus_device *device);

/** Has a device that was to be left in order be served on. Main thread. */
void bdus_device_stay(struct bdus_device *device);

/**
 * Nothing of the device is with its driver any more: has the way in leave it. For how many
 * milliseconds nothing may have come to a loop before it is destroyed. Main thread.
 */
unsigned bdus_device_leave(struct bdus_device *device);

/** What the device has failed with so far, with its message; 0 for nothing. Once no queue is open.
 */
int bdus_device_failure(struct bdus_device *device);

/** Where the statistics have the number of workers, of at most @limit; NULL for nowhere. */
_Atomic(uint32_t) *bdus_device_shown_workers(const struct bdus_device *device, uint32_t limit);

/** An eventfd that wakes the loop of queue 0 when it is written to. Belongs to the device. */
int bdus_device_wake_fd(const struct bdus_device *device);

#endif
