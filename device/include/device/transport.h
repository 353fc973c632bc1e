/* SPDX-License-Identifier: MIT */
/*
 * The contract between the engine and a way in. A transport is one table of functions; it is named
 * in transports/table.c and nowhere else.
 *
 * Life of a device, with the thread that each call is made on ("main" is the thread that creates
 * the device; it also serves queue 0):
 *
 *	probe                       any thread, no device
 *	create                      main
 *	open_queue (each queue)     the thread whose loop serves the queue from then on
 *	start                       main, once every queue is open
 *	fetch / commit              the loop's thread, until fetch fails
 *	start_result                main, after start and each turn of queue 0's loop, until it
 *	                            returns non-zero
 *	detach_queue                the loop's thread, between turns, with nothing in flight
 *	attach_queue                the thread of another loop, which serves the queue from then on
 *	adopt, await_predecessor    main, in place of create, of a device that exists
 *	stop, leave                 main, at most once one of them
 *	close_queue (each queue)    the loop's thread, after fetch failed or before start; or,
 *	                            whatever is in flight, when the loop's ring is gone
 *	destroy                     main, after every queue was closed
 *
 * scan, identify, flush and remove are called from other processes than the one that serves.
 *
 * Functions return 0 or a positive count, or a negative errno after base_error(). None of them may
 * wait without a limit, and those of a queue not at all: what a queue waits for are calls that it
 * sends in its loop (device/loop.h), whose completions say bdus_host_make_ready().
 */
#ifndef DEVICE_TRANSPORT_H
#define DEVICE_TRANSPORT_H

#include "device/io.h"
#include "device/log.h"
#include "device/loop.h"
#include "device/memory.h"

#include <bdus/manage.h>

/** Most requests that fetch() is asked for, and that commit() is given, at once. */
#define BDUS_BATCH 128

/** Opaque to the engine: one device, and one queue of it. */
struct bdus_transport_device;
struct bdus_transport_queue;

/** Most sockets of one device. */
#define BDUS_HANDED_SOCKETS 16

/** What the last server of a device handed over; -1 in place of what adopt() has taken. */
struct bdus_handed {
	unsigned count;
	int fds[BDUS_HANDED_SOCKETS];
};

/** What create() works from. Pointers stay valid until destroy() returned. */
struct bdus_transport_setup {
	/** The device's id, already reserved. */
	uint64_t id;
	const char *driver_name;
	/** An existing folder for sockets and the like, such as "/run/bdus". */
	const char *runtime_directory;
	/** The parsed options of this transport. */
	const struct bdus_config *options;
	/**
	 * The device, validated, with defaults filled in; `ops` are those that a client may use,
	 * emulated ones included. create() may lower max_transfer_bytes (not below the page size),
	 * max_write_zeros_bytes, max_discard_bytes, queues and queue_depth to what it can carry,
	 * and clear from `ops` what its clients cannot ask for, and nothing else; it refuses what
	 * it cannot carry at all by name with -EOPNOTSUPP.
	 */
	struct bdus_device_attrs *attrs;
	/** The operations that the driver itself takes, without emulated ones. */
	uint32_t native_ops;
	/** Where payloads have to lie, or a refusal by name; NULL for memory of the transport's. */
	struct bdus_memory *memory;
	/** The device is to stay when its server dies; only where there is adopt(). */
	bool recoverable;
	/** For adopt(): what the device's record, which this process has claimed, says of it. */
	const struct bdus_device_info *adopted;
	/** For adopt(): what socket() of the last server gave; it may have given nothing. */
	struct bdus_handed *handed;
	/** Where to tell of clients that come and go. */
	const struct bdus_log *log;
};

struct bdus_transport {
	const char *name;
	const char *summary;
	/** Options of `--transport NAME,key=value`; NULL for none. */
	const struct bdus_option *options;
	/** Whether it makes a block special file on this machine, which "auto" wants. */
	bool makes_block_device;
	/** Whether clients of its devices can send ioctls to the driver. */
	bool carries_ioctls;

	/**
	 * Fills in `usable`, `reason` and `features` of a zeroed @report. Never fails: what goes
	 * wrong is the reason. Leaves nothing behind. Required.
	 */
	void (*probe)(struct bdus_transport_report *report);

	/** Creates the device, not yet visible to clients. Required. */
	int (*create)(const struct bdus_transport_setup *setup,
		      struct bdus_transport_device **device);

	/** Opens queue @index of attrs->queues in the loop of @host. Required. */
	int (*open_queue)(struct bdus_transport_device *device, unsigned index,
			  struct bdus_queue *host, struct bdus_transport_queue **queue);

	/**
	 * Takes all calls of the queue out of its loop, and sends them in another one, that of its
	 * host by then; between the two the queue is closed at most. Where one of them is missing,
	 * queues stay where they are.
	 */
	void (*detach_queue)(struct bdus_transport_queue *queue);
	void (*attach_queue)(struct bdus_transport_queue *queue);

	/** Begins to make the device available; requests may arrive from now on. Required. */
	int (*start)(struct bdus_transport_device *device);

	/**
	 * 1 once clients can reach the device, 0 while that is under way, else why not. Asked
	 * right after start(); when it would say something new later, a call of queue 0 must
	 * complete. Required.
	 */
	int (*start_result)(struct bdus_transport_device *device);

	/** Fills @info's path, native_path, major and minor after start_result() gave 1. Required.
	 */
	void (*describe)(struct bdus_transport_device *device, struct bdus_device_info *info);

	/**
	 * Stores up to @capacity (at least 1) requests that have arrived, without waiting. Called
	 * once after each bdus_host_make_ready(), which it calls itself when there are more than
	 * fit. Returns their number; -ENODEV when no request will come any more and every fetched
	 * one was committed; any other error ends the device. Required.
	 */
	int (*fetch)(struct bdus_transport_queue *queue, struct bdus_io **ios, unsigned capacity);

	/**
	 * Takes back @count (at most BDUS_BATCH) completed requests with their results, and sends
	 * to clients what it can without waiting, or prepares it for the loop's next system call.
	 * None only where bdus_host_want_commit() was called. Required.
	 */
	void (*commit)(struct bdus_transport_queue *queue, struct bdus_io *const *ios,
		       unsigned count);

	/**
	 * Copies between memory and the payload of @io, whose `payload_buffer` is set and tells
	 * which of the transport's requests it is a part of: to @memory for a write, from it for a
	 * read. Required where such payloads are made.
	 */
	int (*copy_payload)(struct bdus_transport_queue *queue, struct bdus_io *io,
			    uint64_t skip_bytes, void *memory, size_t length_bytes);

	/**
	 * Begins to end the device: no new client requests, those in flight are finished. Every
	 * queue then becomes ready, from its own thread, and its fetch comes to return -ENODEV.
	 * Required.
	 */
	int (*stop)(struct bdus_transport_device *device);

	/* ---- devices that outlive their server; all NULL where there are none -------------------
	 *
	 * A device that is available has one server. It may be asked to make room for a successor,
	 * and then leaves in good order; a recoverable one may also lose its server by death. In
	 * both cases clients' requests wait, and the successor is given them: all that no server
	 * completed, with BDUS_REQUEST_RETRIED in the flags of those that one was given before.
	 */

	/**
	 * In place of create(): announces the caller as the successor of the server of the device
	 * @setup->id, which the engine has had leave if it lived. @setup->attrs are those of the
	 * device already, but for limits, which are the new driver's and may be lowered. -EINVAL:
	 * refused by name; -ENODEV: no such device; -EBUSY: it has a successor already, or is not
	 * available. destroy() takes the announcement back, with all that was made meanwhile, until
	 * start() succeeded.
	 */
	int (*adopt)(const struct bdus_transport_setup *setup,
		     struct bdus_transport_device **device);

	/**
	 * Before the server of device @id, which is not recoverable, is asked to leave: announces
	 * its successor, so that the device outlives that. What it puts into @handed is for
	 * adopt(); closing it takes the announcement back, and ends a device whose server has left
	 * by then. Errors as those of adopt(). NULL where only recoverable devices can be left.
	 */
	int (*announce)(uint64_t id, struct bdus_handed *handed);

	/**
	 * The server of device @id has left, and the announced successor was closed: waits until
	 * the device has ended, which that made it do. NULL where nothing outlasts the closing.
	 */
	void (*await_end)(uint64_t id);

	/**
	 * Waits until the predecessor has left, in good order or by its death, with all that it was
	 * doing for the device: 0, and queues may be opened. -ETIMEDOUT at @deadline_ns
	 * (CLOCK_MONOTONIC); -ENODEV when the device has ended meanwhile.
	 */
	int (*await_predecessor)(struct bdus_transport_device *device, uint64_t deadline_ns);

	/**
	 * Whether the way in knows of a successor. Queue 0's thread. NULL where it has nothing to
	 * know; it then cannot tell requests that a server was given from others, either.
	 */
	bool (*is_succeeded)(struct bdus_transport_device *device);

	/**
	 * The socket with number @index, from 0 on, that clients come to, so that a successor can
	 * have it; it stays the transport's. -ENOENT: there are no more. NULL where clients come in
	 * other ways. Main; leave() follows, or the device is served on.
	 */
	int (*socket)(struct bdus_transport_device *device, unsigned index);

	/**
	 * Whether results that were committed are still on their way to clients, which goes on by
	 * the queue's calls; in bounded time this ends, whatever clients do. The loop's thread,
	 * while the queue is not fetched from. NULL: never.
	 */
	bool (*is_sending)(struct bdus_transport_queue *queue);

	/**
	 * In place of stop(), once nothing that was fetched is with a driver and all results were
	 * committed, or the driver has failed: the device stays, for its successor or as an orphan.
	 * The engine then closes the queues, with their loops where their fetch does not come to
	 * return -ENODEV, and destroy() leaves the device alone; the successor goes on only after
	 * that. Returns for how many milliseconds nothing may have come to a loop, which goes on
	 * without fetching, before it is destroyed: 0 where that does not matter. -EINVAL when
	 * there is no successor and the device is not recoverable.
	 */
	int (*leave)(struct bdus_transport_device *device);

	/**
	 * Tells clients of another size, which is valid for the device and its driver has agreed
	 * to, or of the one that it has; main, while the device is available and its queues serve.
	 * Must not wait for requests. -EOPNOTSUPP, by name, where this system cannot. NULL: devices
	 * keep their size.
	 */
	int (*resize)(struct bdus_transport_device *device, uint64_t size_bytes);

	/** Required; takes NULL. */
	void (*close_queue)(struct bdus_transport_queue *queue);

	/**
	 * Removes the device with all that belongs to it, whether it was started or not, and frees
	 * @device even when it fails. Required; takes NULL.
	 */
	int (*destroy)(struct bdus_transport_device *device);

	/* ---- from other processes; scan and identify are NULL where the kernel knows nothing of
	 * the devices, and remove where nothing stays behind in any case --------------------------
	 */

	/** Calls @found for each device that the kernel knows until it returns non-zero. */
	int (*scan)(int (*found)(const struct bdus_device_info *info, void *opaque), void *opaque);

	/**
	 * Whether @path names one of this way in's devices: 1 with @info filled in, 0 when it does
	 * not, else an error (a partition, a foreign device that is alive).
	 */
	int (*identify)(const char *path, struct bdus_device_info *info);

	/**
	 * Stops and removes a device whether or not its process lives; 0 also when it was gone
	 * already. Returns -ETIMEDOUT at @deadline_ns (CLOCK_MONOTONIC; UINT64_MAX: none).
	 */
	int (*remove)(const struct bdus_device_info *info, uint64_t deadline_ns,
		      bdus_progress_fn *progress, void *opaque);
};

/** The ways in that this build has, the best first, ended by NULL. In transports/table.c. */
extern const struct bdus_transport *const bdus_transport_table[];

#endif
