/* SPDX-License-Identifier: MIT */
/*
 * A way in and a top layer that a unit test writes the script of: what fetch() hands out, what
 * arrives below, and what commit() brings back.
 */
#ifndef DEVICE_TESTS_FAKE_H
#define DEVICE_TESTS_FAKE_H

#include "queue.h"
#include "stack.h"

#define FAKE_REQUESTS_MAX 512

struct fake {
	struct bdus_loop *loop;
	struct bdus_queue queue;
	struct bdus_rules rules;
	/** NULL without filters. */
	struct bdus_stack *stack;
	/** What the topmost layer is like. */
	struct bdus_device_attrs attrs;

	/** What fetch() hands out next. */
	struct bdus_io *to_fetch[FAKE_REQUESTS_MAX];
	unsigned fetch_count;
	unsigned fetch_calls;
	/** What commit() was given. */
	struct bdus_io *committed[FAKE_REQUESTS_MAX];
	unsigned commit_count;

	/** What reached the layer: a copy, and the request itself while it is not completed. */
	struct bdus_request seen[FAKE_REQUESTS_MAX];
	struct bdus_request *pending[FAKE_REQUESTS_MAX];
	unsigned seen_count;
	/** Complete each request at once, with these results in turn (0 past their end). */
	bool at_once;
	int results[FAKE_REQUESTS_MAX];
};

/** A device like @attrs (completed here) with a driver that takes @native_ops, over the fake layer.
 */
void fake_init(struct fake *fake, struct bdus_device_attrs attrs, uint32_t native_ops);
/** The same over a layer of the test's own. */
void fake_init_over(struct fake *fake, struct bdus_device_attrs attrs, uint32_t native_ops,
		    struct bdus_layer layer);
/** fake_init() with filters over the fake layer. @words has the words of each, separated by spaces.
 */
void fake_init_filtered(struct fake *fake, struct bdus_device_attrs attrs, uint32_t native_ops,
			const struct bdus_filter *const *filters, const char *const *words,
			unsigned count);
/** The same with @backends, which last as long as the call. */
void fake_init_backed(struct fake *fake, struct bdus_device_attrs attrs, uint32_t native_ops,
		      const struct bdus_filter *const *filters, const char *const *words,
		      unsigned count, const struct bdus_backend_use *backends,
		      unsigned backend_count);
void fake_finish(struct fake *fake);

/** Hands a request out and runs one turn of the loop. */
void fake_issue(struct fake *fake, struct bdus_io *io, enum bdus_op op, unsigned flags,
		uint64_t offset, uint64_t length, void *data);

/** Completes what reached the layer as number @index, and runs one turn. */
void fake_answer(struct fake *fake, unsigned index, int result);

/** Runs turns until @count requests were committed; fails the test after 30 s. */
void fake_wait(struct fake *fake, unsigned count);

#endif
