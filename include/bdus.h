/* SPDX-License-Identifier: MIT */
/*
 * A block device from a handful of blocking functions: the BDUS 0.1 API.
 *
 * Fill in a `struct bdus_ops` with the requests that your device can serve and a
 * `struct bdus_attrs` with what it is like, and call bdus_run(). Everything in here is source
 * compatible with BDUS 0.1.2. Byte counts and offsets are in bytes throughout.
 *
 * Unless a comment says otherwise, a function returns true for success; for failure it returns
 * false, sets errno, sets the calling thread's message (bdus_get_error_message()) and leaves its
 * outputs as they were. Any thread may call any function.
 */
#ifndef BDUS_H
#define BDUS_H

/* ---- versions of this header --------------------------------------------------------------- */

/** Version of this header. That of the library the program runs with may be a later one. */
#define BDUS_HEADER_VERSION_MAJOR 0
#define BDUS_HEADER_VERSION_MINOR 1
#define BDUS_HEADER_VERSION_PATCH 3

/**
 * BDUS_REQUIRE_VERSION_MAJOR, _MINOR and _PATCH: the oldest version that a program wants to run
 * with. Define all three before including this header, or none, which means the header's own
 * version. The program then sees only what that version had, links only to symbols that it had, and
 * does not compile with a BDUS that is not compatible with it. Compatible are versions of the same
 * 0.MINOR with the same or a later PATCH.
 */
#if !defined(BDUS_REQUIRE_VERSION_MAJOR) && !defined(BDUS_REQUIRE_VERSION_MINOR) && \
	!defined(BDUS_REQUIRE_VERSION_PATCH)
#define BDUS_REQUIRE_VERSION_MAJOR BDUS_HEADER_VERSION_MAJOR
#define BDUS_REQUIRE_VERSION_MINOR BDUS_HEADER_VERSION_MINOR
#define BDUS_REQUIRE_VERSION_PATCH BDUS_HEADER_VERSION_PATCH
#elif !defined(BDUS_REQUIRE_VERSION_MAJOR) || !defined(BDUS_REQUIRE_VERSION_MINOR) || \
	!defined(BDUS_REQUIRE_VERSION_PATCH)
#error define BDUS_REQUIRE_VERSION_MAJOR, _MINOR and _PATCH all together or not at all
#elif BDUS_REQUIRE_VERSION_MAJOR != 0 || BDUS_REQUIRE_VERSION_MINOR != 1 || \
	BDUS_REQUIRE_VERSION_PATCH < 0 || BDUS_REQUIRE_VERSION_PATCH > 3
#error BDUS_REQUIRE_VERSION_* asks for a version that BDUS 0.1.3 is not compatible with
#endif

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if BDUS_REQUIRE_VERSION_PATCH >= 3
#include <bdus/zoned.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if BDUS_REQUIRE_VERSION_PATCH >= 3
/**
 * For the payload parameter of a callback: tells the compiler that nothing else that the callback
 * uses lies in the payload, so that it need not assume that a byte stored there changes `ctx`, the
 * private data or what hangs on it. Loops over the payload then vectorise.
 *
 *	static int my_read(char *BDUS_RESTRICT buffer, uint64_t offset, uint32_t size,
 *	                   struct bdus_ctx *ctx)
 *
 * It is C's `restrict`, spelled so that C++ takes it, too. A function so defined has the type that
 * `struct bdus_ops` asks for, because qualifiers of parameters are no part of a function's type
 * (C99 6.7.5.3p15). BDUS keeps its side: from the call of a callback to its return, nobody else
 * touches the payload. The callback's side is C99 6.7.3.1: while it runs, payload that anybody
 * changes is reached through this parameter, or through pointers made from it, only.
 */
#ifdef __cplusplus
#define BDUS_RESTRICT __restrict
#else
#define BDUS_RESTRICT restrict
#endif
#endif

/* ---- drivers ------------------------------------------------------------------------------- */

struct bdus_ops;
struct bdus_attrs;

/**
 * What a callback may know of its device and driver. Lives from before `initialize` until after
 * `terminate`, at the same address for all callbacks.
 */
struct bdus_ctx {
	/** The device's id, which is not used again while the machine runs. */
	const uint64_t id;
	/**
	 * Where clients find the device: the absolute path of its block special file, or where it
	 * is reached in another way, the URI of that ("nbd+unix:///?socket=/run/x").
	 */
	const char *const path;
	/** The callbacks, a copy made when bdus_run() was called. */
	const struct bdus_ops *const ops;
	/** The attributes, a copy with defaults filled in and limits lowered. */
	const struct bdus_attrs *const attrs;
	/** Whether the driver was started by bdus_rerun(). */
	const bool is_rerun;
	/** Starts as the argument given to bdus_run(); the driver's own, never looked at by BDUS.
	 */
	void *private_data;
#if BDUS_REQUIRE_VERSION_PATCH >= 1
	/**
	 * The block special file's device number. Both are 0 until `on_device_available`, as
	 * the kernel chooses them when the device starts, and always where there is no such file.
	 */
	const uint32_t major;
	const uint32_t minor;
#endif
};

/**
 * The functions that make up a driver. Zero it before setting members, because later versions may
 * add some. All may be NULL: a device does not support requests that have no callback, except as
 * said there.
 *
 * Order and threads: `initialize` comes first and `terminate` last, each once. Neither of them nor
 * `on_device_available` ever runs while another callback of the same device does. The callbacks for
 * requests run from up to `max_concurrent_callbacks` threads at once; where that is 1, every
 * callback runs on the thread that called bdus_run() (or what became of it, see `dont_daemonize`).
 *
 * Ranges: `offset` and `size` are multiples of ctx->attrs->logical_block_size, `size` is not 0, and
 * offset + size is at most ctx->attrs->size. `size` is also at most the attribute named with each
 * callback. Payload memory is `size` bytes long where nothing else is said, aligned to a page, and
 * the callback's own until it returns; see BDUS_RESTRICT. It holds no pointers.
 *
 * Results: 0 for success. From `initialize`, `on_device_available` and `terminate`, anything else
 * (an errno value, or bdus_abort) is failure and makes bdus_run() fail. A request fails with the
 * errno value that its callback returns; clients see ENOLINK, ENOSPC and ETIMEDOUT as they are and
 * every other value as EIO. `bdus_abort` fails the request with EIO and ends the driver: bdus_run()
 * then fails.
 */
struct bdus_ops {
	/**
	 * Sets the driver up. When it fails, `terminate` is not called. Runs in the process that
	 * keeps on serving the device, before that is daemonized, and may drop privileges. There is
	 * no /dev/bdus-ID then: from `on_device_available` on, ctx->path is the kernel's own name.
	 */
	int (*initialize)(struct bdus_ctx *ctx);

	/**
	 * Clients can reach the device from now on, and not before; requests may have been served
	 * already. Runs before daemonization. NULL prints ctx->path and a newline to stdout. When
	 * it fails, `terminate` follows and bdus_run() fails. May never be called, when the device
	 * does not become available.
	 */
	int (*on_device_available)(struct bdus_ctx *ctx);

	/**
	 * No request will come any more. Called if and only if `initialize` was called and did not
	 * fail, whether or not the device was ever available; not when the process is killed.
	 */
	int (*terminate)(struct bdus_ctx *ctx);

	/** Fills @buffer with the range. At most max_read_write_size. */
	int (*read)(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx);

	/** Stores @buffer to the range. At most max_read_write_size. */
	int (*write)(const char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx);

	/**
	 * Stores the one logical block at @buffer to each block of the range. At most
	 * max_write_same_size. Without it, such requests become calls to `write`. Linux has not
	 * had this request since 5.18 and NBD never had it: over both, it is not called.
	 */
	int (*write_same)(const char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx);

	/**
	 * Makes the range read as zeros. Unless @may_unmap, a later write to it must not fail for
	 * want of space, which thin provisioned storage must see to. At most max_write_zeros_size.
	 * Without it, such requests become calls to `write`.
	 */
	int (*write_zeros)(uint64_t offset, uint32_t size, bool may_unmap, struct bdus_ctx *ctx);

	/**
	 * As `write`, and the data must be durable on return (force unit access). Needs `flush`. At
	 * most max_read_write_size. Without it, such requests become calls to `write`, followed by
	 * `flush` where there is one.
	 */
	int (*fua_write)(const char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx);

	/**
	 * Makes durable what was written before. Without it, the device counts as having no
	 * volatile cache: what `write` has taken must be durable when it returns.
	 */
	int (*flush)(struct bdus_ctx *ctx);

	/**
	 * The range is not needed any more and may read as anything from now on. At most
	 * max_discard_erase_size.
	 */
	int (*discard)(uint64_t offset, uint32_t size, struct bdus_ctx *ctx);

	/** As `discard`, and nobody may be able to recover the data. At most the same. */
	int (*secure_erase)(uint64_t offset, uint32_t size, struct bdus_ctx *ctx);

	/**
	 * Serves an ioctl of the device. @argument is NULL when _IOC_DIR(command) is _IOC_NONE,
	 * else it points to _IOC_SIZE(command) bytes: the client's, where the direction includes
	 * _IOC_READ, else zeros. Where it includes _IOC_WRITE, they go back to the client when the
	 * callback returns 0. (Directions are the driver's, that is, the other way round than
	 * _IOR() and _IOW() mean them.) The client sees any errno value as it is. Only the way in
	 * kbdus carries ioctls; over others bdus_run() fails with ENOTSUP where the callback is
	 * set.
	 */
	int (*ioctl)(uint32_t command, void *argument, struct bdus_ctx *ctx);

#if BDUS_REQUIRE_VERSION_PATCH >= 3
	/*
	 * Of zoned devices (attribute zone_size), which have all of these but the last two. @offset
	 * is where a zone starts. The functions of bdus/zoned.h keep zones for a driver; their
	 * errors, made positive, are results for these callbacks and for `write`. Clients also see
	 * ETOOMANYREFS and EOVERFLOW as they are: too many open and too many active zones.
	 */

	/** Describes @count zones at @zones, from the one at @offset on; all of them exist. */
	int (*zone_report)(struct bdus_zone *zones, uint64_t offset, uint32_t count,
			   struct bdus_ctx *ctx);
	int (*zone_open)(uint64_t offset, struct bdus_ctx *ctx);
	int (*zone_close)(uint64_t offset, struct bdus_ctx *ctx);
	int (*zone_finish)(uint64_t offset, struct bdus_ctx *ctx);
	int (*zone_reset)(uint64_t offset, struct bdus_ctx *ctx);

	/** Resets every zone that can be. Without it, zone_reset is called for each that is not
	 * conventional. */
	int (*zone_reset_all)(struct bdus_ctx *ctx);

	/**
	 * Stores @buffer at the write pointer of the zone, and at @out_offset where that was. At
	 * most max_zone_append_size. With force unit access, `flush` follows.
	 */
	int (*zone_append)(const char *buffer, uint64_t offset, uint32_t size, uint64_t *out_offset,
			   struct bdus_ctx *ctx);
#endif
};

/**
 * What a device and its driver are like. Zero it before setting members, because later versions may
 * add some. bdus_run() fails with EINVAL when a rule below is broken.
 *
 * The limits (max_*) may come back lower in ctx->attrs, never higher than given, unless given as 0.
 */
struct bdus_attrs {
	/**
	 * Smallest unit that the driver can address: a power of two, from 512 to the system's page
	 * size.
	 */
	uint32_t logical_block_size;

	/**
	 * Smallest unit that it can write without reading first: 0, or a power of two from
	 * logical_block_size to the page size. 0 becomes logical_block_size.
	 */
	uint32_t physical_block_size;

	/** Size of the device: a positive multiple of physical_block_size. */
	uint64_t size;

	/** Most callbacks in progress at once. 0 becomes 1. */
	uint32_t max_concurrent_callbacks;

	/**
	 * Largest `read`, `write` and `fua_write`: 0, or at least the page size. Becomes 0 when
	 * there are none of these callbacks; else 0 becomes a value of BDUS's choice. Never lowered
	 * below the page size.
	 */
	uint32_t max_read_write_size;

	/**
	 * Largest `write_same`: 0, or at least logical_block_size. Becomes 0 when there is no such
	 * callback; else 0 becomes a value of BDUS's choice. Never lowered below
	 * logical_block_size.
	 */
	uint32_t max_write_same_size;

	/** Largest `write_zeros`; otherwise as max_write_same_size. */
	uint32_t max_write_zeros_size;

	/** Largest `discard` and `secure_erase`, for either of them; otherwise the same. */
	uint32_t max_discard_erase_size;

	/** Keeps the kernel from looking for a partition table on the device. */
	bool disable_partition_scanning;

	/**
	 * Keeps the device when its driver is killed or fails (a callback returns bdus_abort, or
	 * `terminate` fails), for a later bdus_rerun(); requests wait meanwhile. bdus_run() fails
	 * with ENOTSUP where the way in cannot do so. Over ublk, only such a device can be given
	 * another driver while it has one, too.
	 */
	bool recoverable;

	/**
	 * Serves the device from the calling process. Otherwise the process that called bdus_run()
	 * exits with status 0 once `on_device_available` has succeeded, and the device is served
	 * from the background by a child, whose stdin, stdout and stderr are then pointed to
	 * /dev/null. Working directory and umask stay as they are.
	 */
	bool dont_daemonize;

	/**
	 * Prints to stderr what became of the attributes and each callback that is about to be
	 * called, with its arguments. Nothing is seen of it after daemonization.
	 */
	bool log;

#if BDUS_REQUIRE_VERSION_PATCH >= 3
	/**
	 * Makes a zoned device: the size of each zone, a power of two from the page size to 1 TiB
	 * that divides `size`. The rest of the attributes is ignored where it is 0. Such a device
	 * has no `discard`.
	 */
	uint64_t zone_size;

	/**
	 * How much of a sequential zone can be written: a multiple of logical_block_size, at most
	 * zone_size. 0 becomes zone_size.
	 */
	uint64_t zone_capacity;

	/** How many zones, the first ones, are conventional: fewer than all. */
	uint32_t conventional_zones;

	/** Most zones open at once, and most open or closed; 0 for no limit. */
	uint32_t max_open_zones;
	uint32_t max_active_zones;

	/** Largest `zone_append`; otherwise as max_read_write_size, but for its least value, which
	 * is logical_block_size. */
	uint32_t max_zone_append_size;
#endif
};

enum {
	/** Returned by a callback: the driver is broken for good and must end. */
	bdus_abort = INT_MIN
};

bool bdus_run_0_1_0_(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		     void *private_data);
bool bdus_run_0_1_1_(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		     void *private_data);
bool bdus_run_0_1_3_(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		     void *private_data);

/**
 * Creates a device and serves it until it is destroyed, or SIGTERM or SIGINT ends it in good order.
 * @ops and @attrs are copied. Returns true after such an end, and false when the device could not
 * be had, a callback failed or the driver was aborted.
 *
 * The environment variable BDUS_TRANSPORT chooses the way in and gives its options, such as
 * "nbd,socket=/run/x". Unset, or "auto", takes the best way in that makes a block special file.
 *
 * Calls may run at the same time in several threads if all of them set `dont_daemonize`.
 *
 * EINVAL: a rule of `struct bdus_attrs` is broken, or `fua_write` is set without `flush`. ENOTSUP:
 * what the way in cannot carry, by name. EPERM, EACCES: not allowed
 * to this user (block devices need root). ENODEV: no way in works here. Any errno value that
 * `initialize`, `on_device_available` or `terminate` returned. EIO: the driver was aborted.
 */
static inline bool bdus_run(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
			    void *private_data)
{
#if BDUS_REQUIRE_VERSION_PATCH >= 3
	return bdus_run_0_1_3_(ops, attrs, private_data);
#elif BDUS_REQUIRE_VERSION_PATCH >= 1
	return bdus_run_0_1_1_(ops, attrs, private_data);
#else
	return bdus_run_0_1_0_(ops, attrs, private_data);
#endif
}

bool bdus_rerun_0_1_0_(uint64_t dev_id, const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		       void *private_data);
bool bdus_rerun_0_1_1_(uint64_t dev_id, const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		       void *private_data);
bool bdus_rerun_0_1_3_(uint64_t dev_id, const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		       void *private_data);

/**
 * Runs a driver for a device that exists, in place of the driver that it has or had; otherwise as
 * bdus_run(), on_device_available included.
 *
 * A driver that the device has gets no more requests, finishes those that it has, is called for
 * `flush` and then `terminate`, and its bdus_run() returns true. Only then is `initialize` called
 * here. Requests wait meanwhile, as they did if the device had lost its driver; those that a driver
 * which died had not answered are repeated. Clients see nothing else of it.
 *
 * Of @attrs, `size`, `logical_block_size` and `physical_block_size` must be 0 or those of the
 * device, and limits (max_*) 0 or at least those of its first driver, where that had the callback;
 * in ctx->attrs they are then those of the device. `disable_partition_scanning` and `recoverable`
 * are ignored and become those of the device. The callbacks must include those for the requests
 * that the device's first driver served; more than these may not be called.
 *
 * Errors of bdus_run(), and: ENODEV: no such device. EINVAL: driver and device do not fit together,
 * by name. ENOTSUP: the device cannot be given another driver: see `recoverable`. EBUSY: another
 * process is just doing so. ETIMEDOUT: the driver that there is has not finished its requests for
 * 30 seconds, and goes on. After these, the device is as it was. After others, it has no driver.
 */
static inline bool bdus_rerun(uint64_t dev_id, const struct bdus_ops *ops,
			      const struct bdus_attrs *attrs, void *private_data)
{
#if BDUS_REQUIRE_VERSION_PATCH >= 3
	return bdus_rerun_0_1_3_(dev_id, ops, attrs, private_data);
#elif BDUS_REQUIRE_VERSION_PATCH >= 1
	return bdus_rerun_0_1_1_(dev_id, ops, attrs, private_data);
#else
	return bdus_rerun_0_1_0_(dev_id, ops, attrs, private_data);
#endif
}

/* ---- devices that exist -------------------------------------------------------------------- */

bool bdus_get_dev_id_from_path_0_1_0_(uint64_t *out_dev_id, const char *dev_path);

/**
 * Finds the id of the device that @dev_path leads to: a block special file of BDUS, or a link to
 * one. The errno values of stat(2) when there is no such file; EINVAL when it is not a block
 * special file, a partition, or a device that is not of BDUS.
 */
static inline bool bdus_get_dev_id_from_path(uint64_t *out_dev_id, const char *dev_path)
{
	return bdus_get_dev_id_from_path_0_1_0_(out_dev_id, dev_path);
}

bool bdus_flush_dev_0_1_0_(uint64_t dev_id);

/**
 * Returns once everything written to the device before the call is durable, as fsync(2) on its
 * special file does. ENODEV: no such device. EPERM, EACCES: not allowed to this user. ETIMEDOUT:
 * not done after ten minutes; bdus_manage_flush() in bdus/manage.h leaves the time to the caller.
 */
static inline bool bdus_flush_dev(uint64_t dev_id)
{
	return bdus_flush_dev_0_1_0_(dev_id);
}

bool bdus_destroy_dev_0_1_0_(uint64_t dev_id);

/**
 * Ends the device's driver, where it has one, and removes the device; returns when it is gone.
 * Even when the call fails, driver and device may be gone. Does not flush first. ENODEV: no such
 * device. EPERM, EACCES: not allowed to this user. ETIMEDOUT: not gone after a minute, but on its
 * way; bdus_manage_destroy() in bdus/manage.h leaves the time to the caller.
 */
static inline bool bdus_destroy_dev(uint64_t dev_id)
{
	return bdus_destroy_dev_0_1_0_(dev_id);
}

/* ---- errors -------------------------------------------------------------------------------- */

const char *bdus_get_error_message_0_1_0_(void);

/**
 * A sentence on the last failure in the calling thread; empty before the first. Calls that succeed
 * leave it as it is. Valid until the next failure in the same thread, or the thread's end. For
 * people only: wording may change between compatible versions.
 */
static inline const char *bdus_get_error_message(void)
{
	return bdus_get_error_message_0_1_0_();
}

/* ---- versions at run time ------------------------------------------------------------------ */

struct bdus_version {
	uint32_t major;
	uint32_t minor;
	uint32_t patch;
};

const struct bdus_version *bdus_get_libbdus_version_0_1_0_(void);

/** The version of the library that the program runs with; never NULL, valid for good. */
static inline const struct bdus_version *bdus_get_libbdus_version(void)
{
	return bdus_get_libbdus_version_0_1_0_();
}

bool bdus_get_kbdus_version_0_1_0_(struct bdus_version *out_kbdus_version);

/**
 * The version of the kernel module kbdus that is loaded. Fails with ENOENT where there is none,
 * and with EPERM or EACCES where this user may not ask.
 */
static inline bool bdus_get_kbdus_version(struct bdus_version *out_kbdus_version)
{
	return bdus_get_kbdus_version_0_1_0_(out_kbdus_version);
}

#ifdef __cplusplus
}
#endif

#endif
