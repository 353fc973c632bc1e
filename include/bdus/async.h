/* SPDX-License-Identifier: MIT */
/*
 * Block devices in a program's own loop: the passive interface. The library creates no thread and
 * calls nothing behind the program's back; all happens within the functions that it calls.
 *
 * A *device* has one or more *queues*, from which requests come. Queues are served by *loops*; a
 * loop belongs to one thread and has one descriptor to poll and one function to call. Any number of
 * queues, of any devices, may share a loop, and then share its ring and its system calls.
 *
 *	struct bdus_device_options options = {.size = sizeof(options), .driver = &my_driver,
 *					      .attrs = {.size_bytes = …, .ops = …}};
 *
 *	bdus_loop_create(NULL, &loop);
 *	bdus_device_create(&options, &device);
 *	bdus_queue_open(device, 0, loop, &queue);
 *	bdus_device_start(device);
 *	while (bdus_queue_result(queue) == 0)
 *		bdus_loop_process(loop, -1);     // or: poll bdus_loop_fd(), then process with 0
 *	bdus_queue_close(queue);
 *	bdus_device_destroy(device);
 *	bdus_loop_destroy(loop);
 *
 * Functions return 0 or a positive count, or a negative errno with a sentence in
 * bdus_manage_error(); outputs are untouched on failure. Unless a comment says "any thread", a
 * function on a loop or queue is for the thread that created the loop, and one on a device for the
 * thread that serves its queue 0.
 *
 * ublk starts and stops a device in a short-lived child process (see bdus-ublk(7)); nothing else
 * does.
 */
#ifndef BDUS_ASYNC_H
#define BDUS_ASYNC_H

#include <asys.h>
#include <bdus/driver.h>
#include <bdus/manage.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bdus_device;
struct bdus_loop;
struct bdus_queue;

/* ---- loops --------------------------------------------------------------------------------- */

enum bdus_loop_flag {
	/**
	 * Nobody will poll the descriptor. Saves a few percent; results then leave with the next
	 * bdus_loop_process(), so that has to be called again and again.
	 */
	BDUS_LOOP_NOT_POLLED = 1 << 0,
	/** Do without io_uring, as if the kernel had none: no ublk. */
	BDUS_LOOP_NO_RING = 1 << 1,
};

/** How a loop shall be. Zeros mean defaults. */
struct bdus_loop_options {
	/** sizeof(struct bdus_loop_options). */
	size_t size;
	/** bdus_loop_flag. */
	uint32_t flags;
	/** Messages that one system call can carry, up to 32768; 256. */
	uint32_t depth;
	/**
	 * Microseconds to look for events before sleeping in bdus_loop_process(), as long as that
	 * pays off: it adapts to how soon events come and costs nothing once they take longer. 0
	 * means never.
	 */
	uint32_t busy_poll_us;
};

/**
 * Makes a loop that belongs to the calling thread. @options may be NULL. -EINVAL for an option out
 * of range; -ENOMEM, -EMFILE, -ENFILE. Without io_uring it works by epoll.
 */
int bdus_loop_create(const struct bdus_loop_options *options, struct bdus_loop **loop);

/**
 * Ends a loop; takes NULL. Queues that it still serves are closed, whatever they have in flight;
 * calls in flight are cancelled, and complete within this function.
 */
void bdus_loop_destroy(struct bdus_loop *loop);

/**
 * A descriptor that is readable when bdus_loop_process() has something to do; for poll(2), epoll(7)
 * and their like, level-triggered. It remains the loop's own. -EINVAL with BDUS_LOOP_NOT_POLLED.
 */
int bdus_loop_fd(struct bdus_loop *loop);

/**
 * Does what there is to do: fetches requests and submits them to their drivers, hands out results,
 * completes calls. Waits for something first when there is nothing, at most @timeout_ms (0: not at
 * all; -1: without limit). Returns the number of requests that arrived, 0 also on time-out, on a
 * signal and after bdus_loop_wake(); an error is one of the loop itself and lasts. What becomes of
 * a queue is in bdus_queue_result(). Must not be called from within a callback (-EBUSY).
 */
int bdus_loop_process(struct bdus_loop *loop, int timeout_ms);

/** Ends the owner's bdus_loop_process(), or keeps its next one from waiting. Any thread, and signal
 * handlers. */
void bdus_loop_wake(struct bdus_loop *loop);

/* ---- system calls in the loop -------------------------------------------------------------- */

/**
 * A system call that the loop makes, in the ring that also brings the requests: fill in `message`
 * by one of the asys_prep_ functions, and say what to do with message.result. The memory is the
 * program's; from sending until `completed` is called it must stay and not be touched.
 */
struct bdus_call {
	struct asys_message message;
	/** Called once, on the loop's thread, within bdus_loop_process() or bdus_loop_destroy(). */
	void (*completed)(struct bdus_call *call);
};

/**
 * Sends @call with the next system call of the loop. Calls that link (ASYS_LINK_…) go down
 * together, in bdus_loop_send_linked(). -EINVAL, -EALREADY as asys_send().
 */
int bdus_loop_send(struct bdus_loop *loop, struct bdus_call *call);
int bdus_loop_send_linked(struct bdus_loop *loop, struct bdus_call *const calls[], unsigned count);

/** As bdus_loop_send(), from any thread, and from signal handlers. */
int bdus_loop_post(struct bdus_loop *loop, struct bdus_call *call);

/** As asys_cancel(): the call completes in any case, later. */
int bdus_loop_cancel(struct bdus_loop *loop, struct bdus_call *call);

/* ---- payload memory ------------------------------------------------------------------------ */

/**
 * Where payloads lie, when the program wants to say that itself: in huge pages, say, or in memory
 * that is pinned for a device. Any number of devices, on any threads, may share it. When there is
 * none left, requests wait until some comes back.
 */
struct bdus_memory;

struct bdus_memory_options {
	/** sizeof(struct bdus_memory_options). */
	size_t size;
	/**
	 * Returns memory of @bytes, a multiple of 4096 and aligned to that, or NULL for none at
	 * present, which is asked for again when some was released. Called on the threads of all
	 * devices' queues, by one at a time.
	 */
	void *(*allocate)(void *opaque, size_t bytes);
	void (*release)(void *opaque, void *memory, size_t bytes);
	void *opaque;
	/** Instead of these calls: one piece of memory, which starts at a page. */
	void *region;
	size_t region_bytes;
	/** Most bytes in use at once; 0 for no limit but the memory's own. */
	size_t limit_bytes;
	/**
	 * Instead of these calls and a region: this many buffers of at least so many bytes each,
	 * which the memory object allocates itself, as pool_flags (bdus_memory_flag) say. Each
	 * payload occupies one buffer.
	 */
	uint32_t pool_count;
	unsigned pool_flags;
	size_t pool_buffer_bytes;
};

enum bdus_memory_flag {
	/** In huge pages where the kernel has some. */
	BDUS_MEMORY_HUGE = 1 << 0,
	/** Locked in memory, see mlock(2), and present from the start. */
	BDUS_MEMORY_PINNED = 1 << 1
};

/**
 * -EINVAL, -ENOMEM; of a pool that is pinned also -EPERM and -EAGAIN, as mlock(2) has them. Any
 * thread.
 */
int bdus_memory_create(const struct bdus_memory_options *options, struct bdus_memory **memory);

/** Takes NULL. -EBUSY while a device uses it. Any thread. */
int bdus_memory_destroy(struct bdus_memory *memory);

/* ---- devices ------------------------------------------------------------------------------- */

/** What serves the requests of a device that a program creates itself. */
struct bdus_async_driver {
	/** sizeof(struct bdus_async_driver). */
	size_t size;
	/** Shown by `bdus list`: letters, digits, dashes. */
	const char *name;
	/**
	 * Takes one request; must not block. See `submit` of struct bdus_driver. @instance is that
	 * of the device's options. On the thread of the request's queue, within
	 * bdus_loop_process(). Required.
	 */
	void (*submit)(void *instance, struct bdus_request *request);
	/** Clients can reach the device now, where @info says. On queue 0's thread. May be NULL. */
	void (*available)(void *instance, const struct bdus_device_info *info);
	/**
	 * The device begins to end: somebody asked for it (result 0), or it failed. Requests in
	 * flight are still to be completed. On queue 0's thread. May be NULL.
	 */
	void (*stopping)(void *instance, int result);
	/** As `resize` of struct bdus_driver, on queue 0's thread. May be NULL. */
	int (*resize)(void *instance, uint64_t size_bytes);
};

struct bdus_device_options {
	/** sizeof(struct bdus_device_options). */
	size_t size;
	const struct bdus_async_driver *driver;
	/** Given to the driver's functions. */
	void *instance;
	/** The device, as a driver's `open` would fill it in; `max_concurrency` is ignored. */
	struct bdus_device_attrs attrs;
	/** "auto", or a way in with its options, such as "nbd,socket=/run/x"; NULL is "auto". */
	const char *transport;
	/** Where payloads shall lie; NULL for memory of the library's. */
	struct bdus_memory *memory;
};

/**
 * Makes a device, not yet reachable, with all that may fail for its options or attributes: -EINVAL,
 * -EOPNOTSUPP when the way in cannot carry it, -ENODEV when none works here, -EPERM, -EACCES. The
 * calling thread is to serve queue 0. Removes devices that dead processes left behind.
 */
int bdus_device_create(const struct bdus_device_options *options, struct bdus_device **device);

/** The attributes as the way in made them: with its number of queues and their depth. Any thread.
 */
const struct bdus_device_attrs *bdus_device_attrs(const struct bdus_device *device);

/** What others see of the device; complete once it is available. */
const struct bdus_device_info *bdus_device_info(const struct bdus_device *device);

/**
 * Begins to make the device reachable. Every queue has to be open, and served from now on. The
 * driver's `available` tells when it is.
 */
int bdus_device_start(struct bdus_device *device);

/**
 * Asks for the end of the device, in good order: its clients get no new requests through, those in
 * flight are completed, then its queues end. Any thread, and signal handlers, from bdus_device_
 * start() to bdus_device_destroy().
 */
void bdus_device_stop(struct bdus_device *device);

/**
 * Removes the device, whose queues have to be closed (-EBUSY), and frees it; takes NULL. Returns
 * why it ended, 0 for an orderly end. May wait some seconds for the kernel.
 */
int bdus_device_destroy(struct bdus_device *device);

/* ---- queues -------------------------------------------------------------------------------- */

/**
 * Opens queue @index of @device, to be served by @loop, whose thread must call this. With @loop
 * NULL the queue gets a loop of its own, which ends with it. Queue 0 is opened by the thread that
 * created the device; others may open theirs at the same time.
 */
int bdus_queue_open(struct bdus_device *device, unsigned index, struct bdus_loop *loop,
		    struct bdus_queue **queue);

/** bdus_loop_fd() and bdus_loop_process() of the queue's loop. */
int bdus_queue_fd(struct bdus_queue *queue);
int bdus_queue_process(struct bdus_queue *queue, int timeout_ms);

/** 0 while the queue serves; -ENODEV when it has ended in good order; else what it failed with. */
int bdus_queue_result(const struct bdus_queue *queue);

/**
 * Closes a queue that has ended; takes NULL. One with a loop of its own is closed in any state,
 * with its loop. -EBUSY in a shared loop while it may still have commands in the kernel: go on
 * processing, or destroy the loop.
 */
int bdus_queue_close(struct bdus_queue *queue);

/** The queue's loop; NULL while it is detached. */
struct bdus_loop *bdus_queue_loop(struct bdus_queue *queue);

/**
 * Takes a queue out of its loop, for another thread to serve. By the loop's thread, outside of
 * callbacks, and with no request of the queue in flight (-EBUSY). Clients wait meanwhile. Then
 * nothing may be done with the queue but to attach it, and with queue 0 goes all that is for its
 * thread. -EOPNOTSUPP where the kernel ties queues to threads (ublk); -EINVAL for a queue with a
 * loop of its own.
 */
int bdus_queue_detach(struct bdus_queue *queue);

/** Puts a detached queue into @loop, by that loop's thread and outside of callbacks. */
int bdus_queue_attach(struct bdus_queue *queue, struct bdus_loop *loop);

/** The queue that a request came from, on whose thread it may be completed. Any thread, until the
 * request is completed. */
struct bdus_queue *bdus_request_queue(const struct bdus_request *request);

/* ---- payloads ------------------------------------------------------------------------------ */

/*
 * A driver with BDUS_DEVICE_ANY_PAYLOAD does not touch a request's `data`; it moves payloads by
 * these, whatever they are: memory, or pages of the client that only the kernel can reach (zero
 * copy). The message goes out in the loop of the request's queue, by bdus_loop_send(), and has to
 * come back before the request is completed. @skip_bytes and @length_bytes say which part is meant,
 * and must lie within the payload. @file may be a pipe or a socket, with an @offset of -1: then
 * the payload is spliced from or to it.
 */

/** What a message takes for the address of the payload. */
static inline void *bdus_payload_address(const struct bdus_request *request, uint64_t skip_bytes)
{
	if (request->payload_buffer != 0)
		return (void *)(uintptr_t)(request->payload_offset_bytes + skip_bytes);
	return (char *)request->data + skip_bytes;
}

/** Makes a prepared read or write of bdus_payload_address() one of the payload's buffer. */
static inline void bdus_payload_choose(struct asys_message *message,
				       const struct bdus_request *request)
{
	if (request->payload_buffer == 0)
		return;
	message->flags |= ASYS_FIXED_BUFFER;
	message->buffer_index = (uint16_t)(request->payload_buffer - 1);
}

/** Fills the payload of a read from a file: as asys_prep_read(). */
static inline void bdus_payload_prep_read(struct asys_message *message,
					  const struct bdus_request *request, uint64_t skip_bytes,
					  size_t length_bytes, int file, int64_t offset)
{
	asys_prep_read(message, file, bdus_payload_address(request, skip_bytes), length_bytes,
		       offset);
	bdus_payload_choose(message, request);
}

/** Stores the payload of a write to a file: as asys_prep_write(). */
static inline void bdus_payload_prep_write(struct asys_message *message,
					   const struct bdus_request *request, uint64_t skip_bytes,
					   size_t length_bytes, int file, int64_t offset)
{
	asys_prep_write(message, file, bdus_payload_address(request, skip_bytes), length_bytes,
			offset);
	bdus_payload_choose(message, request);
}

/**
 * Copies a part of the payload to (of a write) or from (of a read) memory, at once, by a system
 * call where it is the kernel's. 0, or a negative errno to complete the request with.
 */
int bdus_payload_get(struct bdus_request *request, uint64_t skip_bytes, void *to,
		     size_t length_bytes);
int bdus_payload_put(struct bdus_request *request, uint64_t skip_bytes, const void *from,
		     size_t length_bytes);

#ifdef __cplusplus
}
#endif

#endif
