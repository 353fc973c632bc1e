/* SPDX-License-Identifier: MIT */
/*
 * A filter: a layer between a way in and a driver, which `bdus run DRIVER --filter NAME` puts
 *there. It is given the requests that the driver would be given, and does with each one of these:
 *
 *	complete it               bdus_complete(), within `submit` or later
 *	pass it on as it is       bdus_filter_pass(), within `submit` or later; costs a few compares
 *	send down children        bdus_filter_child() and bdus_filter_send(): parts of it, or other
 *	                          requests on its behalf, whose results lead to its own
 *
 * Filters may lie over one another; the first one named is next to the clients. A device without
 * filters pays nothing for their existence.
 *
 * Where BDUS splits requests, refuses them or makes up for operations that a driver lacks, it does
 *so above the topmost filter by what that filter claims, and again before each layer by what that
 *one claims: what a filter sends down need not mind the limits of the layer below, and a child that
 *the layer below has to refuse comes back with an error.
 *
 * Threads: as in a driver with `submit`. A request belongs to the thread of its queue, and
 *everything here is called on that thread, but `open` and `close`; only completions may come from
 *elsewhere.
 *
 * A filter in a shared object ends with
 *
 *	BDUS_FILTER_EXPORT(my_filter)
 *
 * and is used by `--filter ./my-filter.so:key=value,…`.
 */
#ifndef BDUS_FILTER_H
#define BDUS_FILTER_H

#include <bdus/driver.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of the contract in this header. A filter of another version is refused by name. */
#define BDUS_FILTER_ABI 1

struct bdus_filter {
	/** BDUS_FILTER_ABI, then sizeof(struct bdus_filter). */
	uint32_t abi;
	uint32_t size;
	/** A word of lower-case letters, digits and dashes. */
	const char *name;
	/** One line for people, without a full stop. */
	const char *summary;
	/** NULL when the filter has no options. A word that is no `key=value` goes to the first. */
	const struct bdus_option *options;

	/**
	 * Called once, after `open` of the layer below, on the thread that runs the device, before
	 * any device exists. @attrs are those of the layer below, complete; the filter changes what
	 * is to be different above it, and its requests are then as `attrs` says:
	 *
	 * - a filter that reads or writes `data` itself clears BDUS_DEVICE_ANY_PAYLOAD, so that
	 *   payloads are memory. One that does not, or does so by bdus_payload_get() and
	 *   bdus_payload_put() only, leaves it as it is and so keeps zero copy;
	 * - a filter that is not safe against itself on other threads sets `queues` to 1;
	 * - one that completes an operation on its own may add its bit to `ops`.
	 *
	 * `max_concurrency` is the driver's and stays so. Sets *@instance. Returns 0, or a negative
	 * errno after bdus_config_error(), leaving nothing behind. Required.
	 */
	int (*open)(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		    void **instance);

	/**
	 * Releases the instance, before the layer below is closed; on the thread that called
	 * `open`, once every request was completed. Returns 0 or a negative errno. NULL means
	 * nothing to do.
	 */
	int (*close)(void *instance);

	/** Takes one request; must not block. Required. */
	void (*submit)(void *instance, struct bdus_request *request);

	/**
	 * Carries out a command for the filter that came from outside, while the device runs: on
	 * the thread that called `open`, between requests of queue 0, while those of other queues
	 * go on.
	 * @words has @count words. The answer is text of less than @answer_bytes, which starts
	 * empty. Returns 0, or a negative errno after bdus_config_error(). NULL when there are
	 * none.
	 */
	int (*command)(void *instance, const char *const *words, unsigned count, char *answer,
		       size_t answer_bytes);

	/**
	 * Called once, on the thread of queue 0, before the first request comes: to read, check and
	 * prepare what lies below, by children of @request that bdus_filter_wait() waits for.
	 * @request is no client's. It stays the filter's own until `close` and is never completed:
	 * what the filter does by itself while the device runs is made of children of it, on the
	 * same thread. Returns 0, or a negative errno after bdus_config_error(), and the device is
	 * not started. A filter with this is there from the start: it cannot be attached to a
	 * device in use. NULL means nothing to do.
	 */
	int (*start)(void *instance, struct bdus_request *request);

	/**
	 * Called once after a `start` that succeeded, on the same thread, when every request was
	 * completed and none will come: to write what is left, by children of @request likewise. No
	 * child may be on its way when it returns. Not called where the device cannot go on.
	 * Returns 0 or a negative errno after bdus_config_error(). NULL means nothing to do.
	 */
	int (*stop)(void *instance, struct bdus_request *request);
};

/**
 * Hands @request to the layer below, unchanged. It no longer belongs to the filter, which is not
 * told of its result. `driver_data` becomes NULL.
 */
void bdus_filter_pass(struct bdus_request *request);

/**
 * Called when a child has come back with @result, as bdus_complete() gives it to clients, on the
 * queue's thread; possibly within bdus_filter_send() of that child, but never within another call
 * of this kind: a filter may send the next child from here as often as it likes. The child lasts
 * until this returns. What becomes of @parent is up to the filter.
 */
typedef void bdus_filter_done(void *instance, struct bdus_request *parent,
			      struct bdus_request *child, int result);

/**
 * A child of @parent, which the filter holds: the same operation with the same flags on
 * @length_bytes of its range, from @skip_bytes on, with that part of its payload. Before it is sent
 * the filter may change `op`, `flags`, `offset_bytes`, `length_bytes`, and the payload: to memory
 * of its own in `data`, with `payload_buffer` 0, which must last until the child is back.
 * `driver_data` is not the filter's; what it has to remember goes into that of the parent.
 *
 * With @done NULL, the parent completes when all children that were made of it are back, with the
 * first error there was, or 0; so they are all made before the first one is sent, and the filter
 * must not complete the parent itself. A child of the whole range of its parent also hands on what
 * a driver lent (BDUS_REQUEST_MAY_LEND), and one that begins with it the extents that it
 * found.
 *
 * A child that was made has to be sent, or given up with bdus_filter_drop(). NULL when memory is
 * out.
 */
struct bdus_request *bdus_filter_child(struct bdus_request *parent, uint64_t skip_bytes,
				       uint64_t length_bytes, bdus_filter_done *done);

/** Sends a child to the layer below, on the thread of its parent's queue, within `submit` or later.
 */
void bdus_filter_send(struct bdus_request *child);

/**
 * A backend of the device (`bdus run --backend`), by its index from 0: its attributes, which stay
 * as long as the filter is open; NULL past the last. @config is what `open` was given, and it is
 * only called there. Flushes reach a backend only if the filter sends them, too; where one has
 * BDUS_OP_FLUSH and the layer below has not, the filter adds it.
 */
const struct bdus_device_attrs *bdus_filter_backend(const struct bdus_config *config,
						    unsigned index);

/**
 * As bdus_filter_send(), to a backend, past all filters that may lie below. What is not within the
 * backend comes back with an error.
 */
void bdus_filter_send_to(struct bdus_request *child, unsigned backend);

/**
 * Sends a child of a filter's own request and waits for it, other events being served meanwhile:
 * only within `start` and `stop`. Returns its result, as bdus_filter_done is given it. What it
 * found is in the request that it was made of then: `zone_count`, `append_offset_bytes`. @child
 * must have been made with @done NULL.
 */
int bdus_filter_wait(struct bdus_request *child);

/** Gives up a child that was not sent; it counts as never made. */
void bdus_filter_drop(struct bdus_request *child);

/** The symbol that a loadable filter exports. */
#define BDUS_FILTER_SYMBOL "bdus_filter_entry"

/** Exports @filter, a `struct bdus_filter` with static storage, from a shared object. */
#define BDUS_FILTER_EXPORT(filter)                                                                \
	__attribute__((visibility("default"))) const struct bdus_filter *bdus_filter_entry(void); \
	const struct bdus_filter *bdus_filter_entry(void)                                         \
	{                                                                                         \
		return &(filter);                                                                 \
	}

#ifdef __cplusplus
}
#endif

#endif
