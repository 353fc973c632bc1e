/* SPDX-License-Identifier: MIT */
/*
 * Running a driver to its device's end: what bdus_manage_run() and bdus_run() have in common.
 */
#ifndef DEVICE_RUN_H
#define DEVICE_RUN_H

#include <bdus/manage.h>

struct bdus_device;

/** What bdus_run_driver() works from; see struct bdus_run_options for fields of the same name. */
struct bdus_run_config {
	const struct bdus_driver *driver;
	/** What the driver's instance is before `open` sets it; for drivers inside the library. */
	void *instance;
	const char *const *driver_options;
	unsigned driver_option_count;
	const char *transport;
	/** "auto" takes only ways in that make a block special file. */
	bool block_device_only;
	uint32_t queues;
	uint32_t queue_depth;
	bool read_only;
	bool no_partition_scan;
	bool lock_memory;
	bool daemonize;
	/** See struct bdus_run_options; both are not looked at where a device is taken over. */
	bool recoverable;
	bool restart;

	/** A device that exists, by its id, with bdus_rerun_flags and until when to wait for it. */
	bool takes_over;
	uint64_t device_id;
	unsigned rerun_flags;
	uint64_t rerun_deadline_ns;

	/**
	 * Called once limits are settled, before any request, on the main thread; @attrs and @info
	 * stay valid until `close`. An error ends the run. NULL for none.
	 */
	int (*created)(void *opaque, struct bdus_device *device,
		       const struct bdus_device_attrs *attrs, const struct bdus_device_info *info);
	/** Called once clients can reach the device, with no request in a driver's `handle`. */
	int (*available)(const struct bdus_device_info *info, void *opaque);
	/** See struct bdus_run_options. */
	void (*log)(enum bdus_log_level level, const char *text, void *opaque);
	/** Sets how much the driver tells (enum bdus_log_level), on the main thread; NULL for none.
	 */
	void (*set_log_level)(void *opaque, uint32_t level);
	/** What that is at first. */
	uint32_t log_level;
	void *opaque;

	const struct bdus_filter_use *filters;
	unsigned filter_count;
	const struct bdus_backend_use *backends;
	unsigned backend_count;
	/** See struct bdus_run_options. */
	int (*find_filter)(const char *name, const struct bdus_filter **filter);
};

/** The life of a device: creates, serves and removes it. Returns as bdus_manage_run() does. */
int bdus_run_driver(const struct bdus_run_config *config);

/** How long a new driver waits for the old one where the caller leaves it open. */
#define BDUS_RERUN_TIMEOUT_MS 60000

struct bdus_daemon;

/** The same in this process, which tells @daemon, if there is one, that the device is available. */
int bdus_run_once(const struct bdus_run_config *config, struct bdus_daemon *daemon);

#endif
