/* SPDX-License-Identifier: MIT */
/*
 * Filters that pass requests on, follow them, cut them into children that are on their way together
 * or one after the other, complete them from other calls; and the filter "delay", by which they
 * overtake one another.
 */
#include "layers.h"

#include "base/bits.h"

#include <errno.h>

extern const struct bdus_filter bdus_filter_delay;

/** Most children of one request. */
#define CHILDREN_MAX 8

struct layer {
	uint32_t block_bytes;
};

static int layer_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		      void **instance)
{
	/* There is one device at a time, and every filter over it has its blocks. */
	static struct layer layer;

	(void)config;
	layer.block_bytes = attrs->logical_block_size;
	*instance = &layer;
	return 0;
}

/** Whether parts of the request are requests of the same meaning. */
static bool can_be_cut(const struct bdus_request *request)
{
	return request->op != BDUS_OP_FLUSH && request->op != BDUS_OP_EXTENTS;
}

/** A length in blocks for the next part of a request, of which @left_bytes are left. */
static uint64_t part_bytes(const struct layer *layer, const struct bdus_request *request,
			   uint64_t left_bytes)
{
	const uint64_t most = request->length_bytes / CHILDREN_MAX / layer->block_bytes + 1;
	const uint64_t blocks = most + sim_mix(request->offset_bytes + left_bytes) % 8;

	return base_min(blocks * layer->block_bytes, left_bytes);
}

/* ---- passing and following ------------------------------------------------------------------- */

static void pass(void *instance, struct bdus_request *request)
{
	request->driver_data = instance;
	bdus_filter_pass(request);
}

static void followed(void *instance, struct bdus_request *parent, struct bdus_request *child,
		     int result)
{
	(void)child;
	/* Anything else would show as a wrong answer. */
	bdus_complete(parent, parent->driver_data == instance ? result : -ENOLINK);
}

static void follow(void *instance, struct bdus_request *request)
{
	struct bdus_request *const child =
		bdus_filter_child(request, 0, request->length_bytes, followed);

	request->driver_data = instance;
	bdus_filter_send(child);
}

/* ---- cutting --------------------------------------------------------------------------------- */

static void cut(void *instance, struct bdus_request *request)
{
	struct bdus_request *children[CHILDREN_MAX + 1];
	unsigned count = 0;

	if (!can_be_cut(request)) {
		bdus_filter_pass(request);
		return;
	}
	for (uint64_t done = 0; done < request->length_bytes;
	     done += children[count++]->length_bytes)
		children[count] = bdus_filter_child(
			request, done, part_bytes(instance, request, request->length_bytes - done),
			NULL);
	/* The last part first. */
	while (count > 0)
		bdus_filter_send(children[--count]);
}

static void send_next(void *instance, struct bdus_request *parent, struct bdus_request *child,
		      int result)
{
	const uint64_t done =
		child == NULL ? 0
			      : child->offset_bytes + child->length_bytes - parent->offset_bytes;
	const uint64_t left = parent->length_bytes - done;

	if (result != 0 || left == 0)
		bdus_complete(parent, result);
	else
		bdus_filter_send(bdus_filter_child(parent, done, part_bytes(instance, parent, left),
						   send_next));
}

static void cut_in_turn(void *instance, struct bdus_request *request)
{
	if (can_be_cut(request))
		send_next(instance, request, NULL, 0);
	else
		follow(instance, request);
}

/** Completes from where another thread would. */
static void followed_elsewhere(void *instance, struct bdus_request *parent,
			       struct bdus_request *child, int result)
{
	(void)instance;
	(void)child;
	bdus_complete_from_any_thread(parent, result);
}

static void follow_elsewhere(void *instance, struct bdus_request *request)
{
	(void)instance;
	bdus_filter_send(bdus_filter_child(request, 0, request->length_bytes, followed_elsewhere));
}

#define LAYER(word, function)                                                                    \
	{                                                                                        \
		.abi = BDUS_FILTER_ABI, .size = sizeof(struct bdus_filter), .name = (word),      \
		.summary = "a layer of the simulation", .open = layer_open, .submit = (function) \
	}

static const struct bdus_filter layers[] = {
	LAYER("pass", pass),
	LAYER("follow", follow),
	LAYER("follow-elsewhere", follow_elsewhere),
	LAYER("cut", cut),
	LAYER("cut-in-turn", cut_in_turn),
};
/** So many of them, the first ones, leave requests whole. */
#define LAYERS_WHOLE 3

unsigned layers_draw(struct sim_random *random, bool may_cut, struct bdus_filter_use *uses)
{
	static const char *const delays[] = {"time=0us", "jitter=300us"};
	const unsigned count = (unsigned)sim_random_below(random, LAYERS_MAX + 1);

	for (unsigned i = 0; i < count; i++) {
		const uint64_t drawn =
			may_cut ? sim_random_below(random, BASE_ARRAY_LENGTH(layers) + 1)
				: sim_random_below(random, LAYERS_WHOLE);

		uses[i] = (struct bdus_filter_use){&bdus_filter_delay, delays, 2};
		if (drawn < BASE_ARRAY_LENGTH(layers))
			uses[i] = (struct bdus_filter_use){&layers[drawn], NULL, 0};
	}
	return count;
}
