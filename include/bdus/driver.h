/* SPDX-License-Identifier: MIT */
/*
 * A driver that `bdus run` can load: its options, its device's attributes, and the function that
 * takes requests. Built-in drivers are written against this header and nothing more.
 *
 * A driver in a shared object ends with
 *
 *	BDUS_DRIVER_EXPORT(my_driver)
 *
 * and is run by `bdus run ./my-driver.so key=value …`.
 */
#ifndef BDUS_DRIVER_H
#define BDUS_DRIVER_H

#include <bdus/ioctl.h>
#include <bdus/request.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of the contract in this header. A driver of another version is refused by name. */
#define BDUS_DRIVER_ABI 1

/* ---- options: what `key=value` words a driver or a transport understands ------------------- */

enum bdus_option_kind {
	/** Any text, at least one byte. */
	BDUS_OPTION_STRING,
	/** A byte count: decimal or 0x hexadecimal, then K, M, G, T or P (powers of 1024), opt.
	 * "iB". */
	BDUS_OPTION_SIZE,
	/** An integer from `minimum` to `maximum`. */
	BDUS_OPTION_NUMBER,
	/** yes, no, true, false, on, off, 1 or 0; the key alone means yes. */
	BDUS_OPTION_BOOL,
	/** One of the words in `choices`. */
	BDUS_OPTION_CHOICE,
};

/** One option. A table of them ends with an entry whose `key` is NULL. */
struct bdus_option {
	const char *key;
	enum bdus_option_kind kind;
	/** Whether leaving it out is an error. */
	bool required;
	/** The value used when the option is left out, as a user would write it; NULL for none. */
	const char *fallback;
	/** One line for people, without a full stop. */
	const char *help;
	/** Allowed range, for BDUS_OPTION_SIZE and BDUS_OPTION_NUMBER; both 0 for no limit. */
	uint64_t minimum;
	uint64_t maximum;
	/** For BDUS_OPTION_CHOICE: the words, separated by spaces. */
	const char *choices;
};

/** The parsed options of one driver or transport; valid until `open` returns. */
struct bdus_config;

/** Whether the user gave @key (a fallback does not count). */
bool bdus_config_given(const struct bdus_config *config, const char *key);
/** The text of a string or choice option; NULL when it has neither value nor fallback. */
const char *bdus_config_string(const struct bdus_config *config, const char *key);
/** The value of a size or number option; 0 when it has neither value nor fallback. */
uint64_t bdus_config_number(const struct bdus_config *config, const char *key);
/** The value of a bool option; false when it has neither value nor fallback. */
bool bdus_config_bool(const struct bdus_config *config, const char *key);

/**
 * Sets the message that the user will see and returns -@errnum, to be returned from `open`. Name
 * the thing, the value and what was allowed.
 */
int bdus_config_error(int errnum, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- attributes ---------------------------------------------------------------------------- */

/** bdus_device_attrs.flags */
enum {
	/** Writing operations are refused before they reach the driver. */
	BDUS_DEVICE_READ_ONLY = 1 << 0,
	/**
	 * The driver honours BDUS_REQUEST_FUA. Without it, BDUS follows a FUA write by a flush when
	 * the driver has a flush, and does nothing when it has none.
	 */
	BDUS_DEVICE_FUA = 1 << 1,
	/** Seeks cost time. */
	BDUS_DEVICE_ROTATIONAL = 1 << 2,
	/** The kernel must not look for a partition table. */
	BDUS_DEVICE_NO_PARTITION_SCAN = 1 << 3,
	/**
	 * The driver uses payloads only by the functions bdus_payload_…() of bdus/async.h, so that
	 * a way in that can do so need not copy them into memory of this process.
	 */
	BDUS_DEVICE_ANY_PAYLOAD = 1 << 5,
	/** Write zeros is always fast, so that BDUS_REQUEST_FAST_ONLY never fails. */
	BDUS_DEVICE_FAST_ZERO = 1 << 4,
	/**
	 * The device outlives a driver that is killed or fails, and can be given another one while
	 * it is in use: see bdus_manage_rerun(). Requests wait meanwhile. Refused by name where the
	 * way in cannot do it.
	 */
	BDUS_DEVICE_RECOVERABLE = 1 << 6,
	/**
	 * The directions in numbers of ioctls are the driver's, not the client's: arguments come
	 * with _IOC_READ and go back with _IOC_WRITE, as BDUS 0.1 has it.
	 */
	BDUS_DEVICE_MIRRORED_IOCTLS = 1 << 7,
};

/**
 * What a device is like. `open` receives it zeroed, but for BDUS_DEVICE_READ_ONLY in `flags` when
 * the user wants a device that is never written, and fills it in; BDUS fills defaults, checks it,
 * and may lower the limits to what the way in can carry before requests arrive.
 */
struct bdus_device_attrs {
	/** A positive multiple of the physical block size. */
	uint64_t size_bytes;
	/** A power of two from 512 to the page size; 0 means 512. */
	uint32_t logical_block_size;
	/** A power of two from the logical block size to the page size; 0 means the logical one. */
	uint32_t physical_block_size;
	/**
	 * BDUS_OP_BIT() of each operation that the driver takes; others never reach it. BDUS itself
	 * turns write zeros into writes, and answers extents as allocated data, where they are
	 * missing. A driver with BDUS_OP_FLUSH has a volatile cache; one without it promises that
	 * a completed write is durable.
	 */
	uint32_t ops;
	/** BDUS_DEVICE_*. */
	uint32_t flags;
	/** Largest read or write; at least the page size; 0 means 1 MiB. Larger ones are split. */
	uint32_t max_transfer_bytes;
	/** Size of transfer that the driver likes best, a power of two; 0 for none. */
	uint32_t optimal_io_bytes;
	/** Largest write zeros and largest discard or secure erase; 0 means unlimited. */
	uint64_t max_write_zeros_bytes;
	uint64_t max_discard_bytes;
	/** Unit in which discards take effect, a power of two; 0 means the physical block size. */
	uint32_t discard_granularity_bytes;
	/** For a driver with `handle`: most calls in progress at once; 0 means 1. */
	uint32_t max_concurrency;
	/**
	 * Number of queues that the driver can serve at once, each from a thread of its own; 0
	 * means 1. More than one needs `submit` to be safe against itself on other queues. Lowered
	 * to the number of processors or what the user asks for, and by the way in.
	 */
	uint32_t queues;
	/** Requests in flight in one queue; 0 means 128. */
	uint32_t queue_depth;
	/** For a driver with `thread`: bytes of the threads' stacks; 0 means 64 KiB. */
	uint32_t thread_stack_bytes;

	/* ---- zoned devices (bdus/zoned.h); the rest is ignored where zone_size_bytes is 0 -------
	 */

	/**
	 * Size of each zone: a power of two from the page size to 1 TiB, which divides size_bytes
	 * into at most 2^31 - 1; 0 for a device without zones. One with zones has the operations
	 * zone report, open, close, finish and reset, or the report alone where it is read-only,
	 * and none that discards. BDUS itself resets one zone after the other where reset all is
	 * missing, and refuses appends where they are.
	 */
	uint64_t zone_size_bytes;
	/**
	 * How much of a sequential zone can be written, from its start: a multiple of the logical
	 * block size, at most zone_size_bytes; 0 means all.
	 */
	uint64_t zone_capacity_bytes;
	/** How many zones, the first ones, are conventional: written anywhere. The rest are
	 * sequential; there is at least one. */
	uint32_t conventional_zones;
	/** Most zones open at once, and most open or closed, up to the number of sequential zones;
	 * the former is not above the latter. 0 means no limit. */
	uint32_t max_open_zones;
	uint32_t max_active_zones;
	/** Largest append: at least the logical block size; 0 means max_transfer_bytes. Lowered to
	 * that and to the capacity of a zone. */
	uint32_t max_append_bytes;

	/* ---- drivers with BDUS_OP_IOCTL --------------------------------------------------------
	 */

	/** What arguments are made of, valid until `close`; NULL where their numbers say it all. */
	const struct bdus_ioctl_part *ioctl_parts;
	uint32_t ioctl_part_count;
};

/* ---- the driver ---------------------------------------------------------------------------- */

struct bdus_driver {
	/** BDUS_DRIVER_ABI, then sizeof(struct bdus_driver). */
	uint32_t abi;
	uint32_t size;
	/** A word of lower-case letters, digits and dashes. */
	const char *name;
	/** One line for people, without a full stop. */
	const char *summary;
	/** NULL when the driver has no options. */
	const struct bdus_option *options;

	/**
	 * Opens what the driver stores data in. Called once, before any device exists, on the
	 * thread that runs the device. Fills @attrs and sets *@instance. Returns 0, or a negative
	 * errno after bdus_config_error(), leaving nothing behind. Required.
	 */
	int (*open)(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		    void **instance);

	/**
	 * Releases the instance. Called once after every request was completed and no other call
	 * will come, on the thread that called `open`. When it returns, no other thread of the
	 * driver may still be within a call of BDUS. Data that a flush made durable must stay so;
	 * the rest should be written, too. Returns 0 or a negative errno. NULL means nothing to do.
	 */
	int (*close)(void *instance);

	/**
	 * Takes one request; must not block. The request is completed within the call or later,
	 * once, by bdus_complete() or bdus_complete_from_any_thread(). Called on the thread of the
	 * request's queue. Exactly one of `submit`, `handle` and `thread` is set.
	 */
	void (*submit)(void *instance, struct bdus_request *request);

	/**
	 * Serves one request and returns its result, 0 or a negative errno; may block. Called from
	 * up to `max_concurrency` threads at once, or, where that is 1, always from the thread
	 * that called `open`. The threads come and go with the load.
	 */
	int (*handle)(void *instance, struct bdus_request *request);

	/**
	 * Serves one request and returns its result, 0 or a negative errno; in a userland thread of
	 * its own, on the loop of the request's queue, where it may wait by the calls of uthread.h
	 * and uthread/asys.h. See bdus/thread.h.
	 */
	int (*thread)(void *instance, struct bdus_request *request);

	/**
	 * Consents to another size of the device, a multiple of the physical block size, or refuses
	 * with a negative errno after bdus_config_error(). Called on the thread that called `open`,
	 * while requests are served. When it returns 0, requests up to the larger of the two sizes
	 * may come; after a size that could not be told to clients it is called with the old one.
	 * NULL: the size cannot change.
	 */
	int (*resize)(void *instance, uint64_t size_bytes);
};

/** The symbol that a loadable driver exports. */
#define BDUS_DRIVER_SYMBOL "bdus_driver_entry"

/** Exports @driver, a `struct bdus_driver` with static storage, from a shared object. */
#define BDUS_DRIVER_EXPORT(driver)                                                                \
	__attribute__((visibility("default"))) const struct bdus_driver *bdus_driver_entry(void); \
	const struct bdus_driver *bdus_driver_entry(void)                                         \
	{                                                                                         \
		return &(driver);                                                                 \
	}

#ifdef __cplusplus
}
#endif

#endif
