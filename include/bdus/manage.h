/* SPDX-License-Identifier: MIT */
/*
 * Running drivers and looking after devices: everything that the `bdus` command does, for programs.
 *
 * Every function here returns 0 or a positive count, or a negative errno with a sentence for people
 * in bdus_manage_error(). Any thread may call them; none of them prints.
 */
#ifndef BDUS_MANAGE_H
#define BDUS_MANAGE_H

#include <bdus/driver.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The calling thread's last error message from this library; empty before the first. */
const char *bdus_manage_error(void);

/* ---- ways in ------------------------------------------------------------------------------- */

/** What a way in can or cannot carry. */
enum bdus_feature {
	BDUS_FEATURE_BLOCK_DEVICE, /**< a block special file on this machine */
	BDUS_FEATURE_REMOTE,       /**< clients on other machines */
	BDUS_FEATURE_READ_ONLY,
	BDUS_FEATURE_FLUSH,
	BDUS_FEATURE_FUA,
	BDUS_FEATURE_DISCARD,
	BDUS_FEATURE_WRITE_ZEROS,
	BDUS_FEATURE_SECURE_ERASE,
	BDUS_FEATURE_EXTENTS, /**< clients can ask what is allocated */
	BDUS_FEATURE_CACHE,   /**< clients can ask for read-ahead */
	BDUS_FEATURE_IOCTL,
	BDUS_FEATURE_ZONES,
	BDUS_FEATURE_PARTITION_SCAN,
	BDUS_FEATURE_NO_PARTITION_SCAN, /**< scanning can be turned off */
	BDUS_FEATURE_MULTI_QUEUE,
	BDUS_FEATURE_UNPRIVILEGED, /**< by users other than root */
	BDUS_FEATURE_RECOVERY,     /**< the device can outlive its driver */
	BDUS_FEATURE_ZERO_COPY,
	BDUS_FEATURE_COUNT
};

/** A short name for people and for JSON, such as "write-zeros". */
const char *bdus_feature_name(enum bdus_feature feature);

/** What this machine, for this user, can do with one way in. Texts live as long as the report. */
struct bdus_transport_report {
	const char *name;
	const char *summary;
	/** The options that `--transport NAME,key=value` takes; may be NULL. */
	const struct bdus_option *options;
	bool usable;
	/** Why it is not usable; empty when it is. */
	char reason[256];
	struct {
		bool supported;
		/** Why not, or a remark; empty for a plain yes. */
		char reason[112];
	} features[BDUS_FEATURE_COUNT];
};

/**
 * Fills in reports on all ways in, the one that "auto" would prefer first, and returns their number
 * (at most @capacity).
 */
int bdus_manage_check(struct bdus_transport_report *reports, unsigned capacity);

/* ---- running a driver ---------------------------------------------------------------------- */

enum bdus_device_state {
	BDUS_STATE_CREATING,
	BDUS_STATE_AVAILABLE,
	BDUS_STATE_DRAINING,
	/** No process serves it any more. One with BDUS_DEVICE_RECOVERABLE can be given another. */
	BDUS_STATE_ORPHANED,
	/** A process has taken it over, and is about to serve it. */
	BDUS_STATE_RECOVERING,
};

const char *bdus_state_name(enum bdus_device_state state);

struct bdus_device_info {
	/** Counts up, is never reused while the machine runs; BDUS_ID_NONE for a foreign device. */
	uint64_t id;
	enum bdus_device_state state;
	/** Process that serves it; 0 when there is none. */
	int pid;
	uint64_t size_bytes;
	uint32_t logical_block_size;
	uint32_t physical_block_size;
	uint32_t queues;
	uint32_t queue_depth;
	/** BDUS_OP_BIT() of the operations that clients can use. */
	uint32_t ops;
	/** BDUS_DEVICE_*. */
	uint32_t flags;
	/** Device number of the block special file; 0 and 0 when there is none. */
	uint32_t major;
	uint32_t minor;
	/** Seconds since the epoch at which it was created; 0 when not known. */
	uint64_t created_s;
	/** BDUS_OP_BIT() of those that the driver takes which the device was made for. */
	uint32_t native_ops;
	/** Largest requests that clients were told of, and the size of zones; 0: not known, none.
	 */
	uint64_t max_transfer_bytes;
	uint64_t max_write_zeros_bytes;
	uint64_t max_discard_bytes;
	uint64_t zone_size_bytes;
	char transport[16];
	char driver[64];
	/** Where clients reach it: "/dev/bdus-3", or an NBD URI. */
	char path[192];
	/** Name that the way in itself uses, such as "/dev/ublkb3"; may be empty. */
	char native_path[64];
	/** The way in with its options, as given when the device was made; empty: not known. */
	char way[256];
};

#define BDUS_ID_NONE UINT64_MAX

struct bdus_filter;

/** A filter of include/bdus/filter.h and its `key=value` words. */
struct bdus_filter_use {
	const struct bdus_filter *filter;
	const char *const *options;
	unsigned option_count;
};

/** A driver beside the device's own, to which filters may send requests, and its words. */
struct bdus_backend_use {
	const struct bdus_driver *driver;
	const char *const *options;
	unsigned option_count;
};

/** How much of what happens to a device is told; each level has those before it as well. */
enum bdus_log_level {
	/** Only why the device ended, which bdus_manage_run() returns. */
	BDUS_LOG_ERRORS = 0,
	/** What was refused to those who look after the device. */
	BDUS_LOG_WARNINGS = 1,
	/** Clients (NBD), filters, sizes and drivers that come and go, and changes of the level. */
	BDUS_LOG_INFO = 2,
	/** Whatever the device's process is asked, and each call of a callback of bdus_run(). */
	BDUS_LOG_DEBUG = 3,
};

struct bdus_run_options {
	/** sizeof(struct bdus_run_options), so that later versions can add fields. */
	size_t size;
	const struct bdus_driver *driver;
	/** The driver's `key=value` words. */
	const char *const *driver_options;
	unsigned driver_option_count;
	/** "auto", or the name of a way in, with its options: "nbd,socket=/run/x". NULL is "auto".
	 */
	const char *transport;
	/** Most queues and requests in flight in each; 0 leaves it to driver and way in. */
	uint32_t queues;
	uint32_t queue_depth;
	/** Refuse writes whatever the driver says. */
	bool read_only;
	/** Make the device with BDUS_DEVICE_RECOVERABLE. */
	bool recoverable;
	/** Start the driver again when it is killed or fails: see bdus_manage_run(). */
	bool restart;
	bool no_partition_scan;
	/** Keep all memory of the process resident, so that it can serve swap and dirty pages. */
	bool lock_memory;
	/** Return to the caller's parent once the device is available: see bdus_manage_run(). */
	bool daemonize;
	/**
	 * Called once the device is available, before daemonization, on the thread that runs the
	 * device. Returning non-zero (a negative errno) stops the device. NULL for none.
	 */
	int (*available)(const struct bdus_device_info *info, void *opaque);
	void *opaque;
	/** The filters before the driver, at most 16; the first one is next to the clients. */
	const struct bdus_filter_use *filters;
	unsigned filter_count;
	/** Drivers with `submit` that filters may send requests to, at most 8; with filters only.
	 */
	const struct bdus_backend_use *backends;
	unsigned backend_count;
	/**
	 * Finds the filter with this name, or path, for bdus_manage_attach_filter(): 0, or a
	 * negative errno after bdus_config_error(). NULL: only paths, as bdus_manage_load_filter()
	 * has them.
	 */
	int (*find_filter)(const char *name, const struct bdus_filter **filter);
	/**
	 * Tells one line of what happens, without its end, at most at the level that is set; on any
	 * thread that serves the device, also several at once. May not call this library. NULL:
	 * nothing is told, and the level cannot be changed.
	 */
	void (*log)(enum bdus_log_level level, const char *text, void *opaque);
	/** The level at first. */
	enum bdus_log_level log_level;
};

/**
 * Creates a device and serves it until it is destroyed, a SIGTERM or SIGINT arrives (unless the
 * program handles or blocks them itself), or the driver fails.
 *
 * With `daemonize`, the process forks at once; the device is served by the child, which leaves the
 * session and points its standard streams to /dev/null when the device is available, and the
 * calling process then exits with status 0 by _exit(). When the device does not become available,
 * the call returns the error in the calling process.
 *
 * With `restart`, which makes the device recoverable, a process stays beside the one that serves:
 * when that is killed or its driver fails, it forks another, which opens the driver anew and
 * recovers the device. It gives up, and leaves the device without a driver, when five of them in
 * succession did not last ten seconds each.
 *
 * Returns 0 after an orderly end, which for a recoverable device is also that another process was
 * given it, else a negative errno: every error of the driver's and the
 * filters' `open`; -EINVAL for options or attributes that make no sense; -EOPNOTSUPP when the way
 * in cannot carry what the driver needs; -ENODEV when no way in works here; -EPERM or -EACCES
 * without the rights.
 */
int bdus_manage_run(const struct bdus_run_options *options);

/** How bdus_manage_rerun() takes a device over. */
enum bdus_rerun_flags {
	/** Only if it has no driver any more: -EBUSY otherwise. */
	BDUS_RERUN_ORPHAN_ONLY = 1 << 0,
};

/**
 * Runs a driver for a device that exists, made with BDUS_DEVICE_RECOVERABLE, in place of the driver
 * that it has or had; otherwise as bdus_manage_run(). A driver that lives takes no more requests,
 * finishes those that it has, is flushed and ends, and then this one is opened; meanwhile, as when
 * there was none, requests wait. Clients see nothing of it but the time, with what bdus-replace(7)
 * says for each way in.
 *
 * The device keeps its size, block sizes, zones, queues, operations and flags. Of @options,
 * `queues`, `queue_depth`, `read_only`, `no_partition_scan` and `recoverable` are ignored;
 * `transport` is NULL, or the device's own way in with the options that it had. Waits at most
 * @timeout_ms (0: 60 s) for the driver that there is. `available` is called as for a new device.
 *
 * Further errors: -ENODEV: no such device; -EOPNOTSUPP: not made recoverable, or its process serves
 * it from a loop of its own; -EINVAL: the driver does not fit the device, by name; -EBUSY: another
 * process is just taking it over; -EPERM: another user's; -ETIMEDOUT: the driver that there is did
 * not finish, and goes on. After any later error the device is left without a driver.
 */
int bdus_manage_rerun(const struct bdus_device_info *info, const struct bdus_run_options *options,
		      unsigned flags, uint64_t timeout_ms);

/**
 * Loads a driver from a shared object. The object stays loaded for the life of the process.
 * -ENOENT, -EACCES: no such file, or not readable; -ELIBBAD: not a shared object; -ENOEXEC: no
 * driver in it; -EPROTO: a driver of another BDUS_DRIVER_ABI.
 */
int bdus_manage_load_driver(const char *path, const struct bdus_driver **driver);

/** As bdus_manage_load_driver(), a filter. */
int bdus_manage_load_filter(const char *path, const struct bdus_filter **filter);

/* ---- devices that exist -------------------------------------------------------------------- */

/**
 * Calls @found for each device with a record in this user's runtime directory, and for each other
 * one that the kernel tells this user of, until it returns non-zero; returns that, or an error.
 */
int bdus_manage_list(int (*found)(const struct bdus_device_info *info, void *opaque), void *opaque);

/**
 * Finds one device by what a user would write: an id ("3"), its path ("/dev/bdus-3", a link to it,
 * or the way in's own path such as "/dev/ublkb3" or "/dev/ublkc3"), or an NBD URI that
 * bdus_manage_list() shows. -ENODEV when there is none, with a message that says what was looked
 * for; -EINVAL when @text is none of these, a partition, or a device that BDUS did not make (a
 * foreign ublk device whose server is gone counts as an orphan and is found).
 */
int bdus_manage_find(const char *text, struct bdus_device_info *info);
int bdus_manage_find_id(uint64_t id, struct bdus_device_info *info);

/** Called about once a second while a call waits; @waited_ms since its start, and for what. */
typedef void bdus_progress_fn(uint64_t waited_ms, const char *waiting_for, void *opaque);

/**
 * Has a filter of a device, named @filter or the one with that place from 0 on, carry out a
 * command; the words are the filter's own: see its manual page. The answer is text of less than
 * @answer_bytes. Waits at most @timeout_ms (0: no limit). -ENODEV: there is no such filter;
 * -ENOTTY: it takes no commands; -ENOBUFS: the answer is longer; else as the filter says.
 */
int bdus_manage_filter_command(const struct bdus_device_info *info, const char *filter,
			       const char *const *words, unsigned count, char *answer,
			       size_t answer_bytes, uint64_t timeout_ms);

/**
 * Puts a filter before all others of a device while it is in use, by a name that its process knows
 * or the absolute path of a shared object, with @count words `key=value`; or takes the filter
 * @filter, a name or a place from 0 on, away. Requests wait meanwhile, until those that are in the
 * filters and the driver have ended. Waits at most @timeout_ms (0: no limit). -EOPNOTSUPP: the
 * filter would change what clients see of the device; -EBUSY: another change is under way; -ENODEV
 * or -ENOENT: there is no such filter; and what opening it fails with.
 */
int bdus_manage_attach_filter(const struct bdus_device_info *info, const char *filter,
			      const char *const *words, unsigned count, uint64_t timeout_ms);
int bdus_manage_detach_filter(const struct bdus_device_info *info, const char *filter,
			      uint64_t timeout_ms);

/**
 * Makes all data written to the device so far durable. Waits at most @timeout_ms (0: no limit).
 * -ETIMEDOUT says what it waited for; -ECONNRESET: its driver ended meanwhile, which flushes where
 * it ends in good order; -EIO and others as the device reports.
 */
int bdus_manage_flush(const struct bdus_device_info *info, uint64_t timeout_ms,
		      bdus_progress_fn *progress, void *opaque);

/**
 * Ends the device's driver in good order where it lives, and removes the device and all that is
 * left of it. Does not flush first: see bdus_manage_flush(). Returns when it is gone, or -ETIMEDOUT
 * after @timeout_ms (0: no limit) with what it waited for; the removal then goes on.
 * -EPERM: belongs to another user.
 */
int bdus_manage_destroy(const struct bdus_device_info *info, uint64_t timeout_ms,
			bdus_progress_fn *progress, void *opaque);

/**
 * Asks the process that serves the device for what is in @info, which may have changed since it was
 * found. Waits at most @timeout_ms (0: no limit). -ENOENT: no process answers for the device;
 * -ECONNRESET: its process ended meanwhile; -EPERM: it belongs to another user; -ETIMEDOUT.
 */
int bdus_manage_refresh(struct bdus_device_info *info, uint64_t timeout_ms);

/**
 * Gives a device another size while it is in use, where its way in can and its driver consents.
 * Clients of ublk are told by the kernel; those of NBD see it when they connect anew. What a
 * smaller size does to data is the driver's affair. Errors as above; -EOPNOTSUPP: way in or driver
 * cannot, or the device has zones; -EINVAL: not a multiple of the physical block size; and what the
 * driver refuses with.
 */
int bdus_manage_resize(const struct bdus_device_info *info, uint64_t size_bytes,
		       uint64_t timeout_ms);

/**
 * Sets and reads how much the process of a device tells: through `log` of its
 * struct bdus_run_options, or on its standard error for bdus_run(), which begins with
 * BDUS_LOG_DEBUG where `log` of struct bdus_attrs is set. Errors as above; -EOPNOTSUPP: it tells
 * nothing, whatever the level; -EINVAL: no such level.
 */
int bdus_manage_set_log_level(const struct bdus_device_info *info, enum bdus_log_level level,
			      uint64_t timeout_ms);
int bdus_manage_log_level(const struct bdus_device_info *info, enum bdus_log_level *level,
			  uint64_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
