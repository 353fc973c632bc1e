/* SPDX-License-Identifier: MIT */
/*
 * The way of a request: the program is asked, and what it answered is done.
 *
 *	submit ─▶ ask ─▶ apply, for the whole request
 *	           │
 *	           └─▶ the answer covers a part only: apply for each part, asking again for the
 *rest; the request completes when all of them have, with the first error
 *
 * An answer with a delay is applied when a timer in the loop of the queue is over. Where a program
 *wants to know of requests that are back, it is called before the request completes, and every
 *request is treated as one in parts, though it may have one only.
 */
#include "opvm_filter.h"

#include "base/bits.h"
#include "base/clock.h"

#include <bdus/async.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_DELAY_NS (UINT64_C(3600) * 1000 * 1000 * 1000)
#define ZEROS_BYTES      4096
#define MOST_ERRNO       4095

/** A request in parts, or one whose return the program wants to know of. The queue's thread's. */
struct split {
	struct filter *filter;
	uint64_t started_ns;
	/** Parts that are on their way, and one while they are being made. */
	uint64_t pending;
	int result;
};

/** A part of a request, or all of it, and what the program answered. */
struct part {
	struct filter *filter;
	struct bdus_request *request;
	/** NULL when it is all of it. */
	struct split *split;
	/** When the program was first asked; 0 when it does not want to know of the end. */
	uint64_t started_ns;
	uint64_t skip_bytes;
	uint64_t length_bytes;
	/** OPVM_BLOCK_*. */
	uint64_t action;
	uint64_t target_bytes;
	uint64_t delay_ns;
	/** Where it goes: 0 for the layer below, or a backend from 1 on. */
	uint32_t backend;
	int status;
};

struct waiting {
	struct bdus_call timer;
	struct part part;
};

static struct lane *lane_of(struct filter *filter, const struct bdus_request *request)
{
	const uintptr_t queue = (uintptr_t)bdus_request_queue(request);

	return &filter->lanes[(queue >> 6 ^ queue >> 12) % LANES];
}

static void count(struct lane *lane, enum counter counter)
{
	atomic_fetch_add_explicit(&lane->counters[counter], 1, memory_order_relaxed);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

/** What the program sees of a part of @request, without payload. */
static void describe(const struct filter *filter, const struct bdus_request *request,
		     uint64_t skip_bytes, uint64_t length_bytes, struct opvm_block *block)
{
	*block = (struct opvm_block){
		.offset_bytes = request->offset_bytes + skip_bytes,
		.length_bytes = length_bytes,
		.time_ns = base_now_ns(),
		.device_bytes = filter->device_bytes,
		.block_bytes = filter->block_bytes,
		.operation = request->op,
		.flags = request->flags & ~(uint32_t)BDUS_REQUEST_MAY_LEND,
		.covers_bytes = length_bytes,
		.target_bytes = request->offset_bytes + skip_bytes,
		.status = EIO,
		.backends = filter->backends,
	};
}

/** Lets the program see the first bytes of a write; @copy is used where they are no memory. */
static int show_payload(const struct filter *filter, const struct part *part, uint8_t *copy,
			struct opvm_block *block)
{
	struct bdus_request *const request = part->request;
	const size_t bytes = (size_t)base_min(filter->payload_bytes, part->length_bytes);
	int result = 0;

	block->payload = copy;
	block->payload_end = copy;
	if (bytes == 0 || request->op != BDUS_OP_WRITE)
		return 0;
	if (request->payload_buffer == 0)
		block->payload = (const uint8_t *)request->data + part->skip_bytes;
	else
		result = bdus_payload_get(request, part->skip_bytes, copy, bytes);
	block->payload_end = block->payload + (result == 0 ? bytes : 0);
	return result;
}

/** Whether @block is an answer that can be carried out. */
static bool is_sensible(const struct filter *filter, const struct bdus_request *request,
			uint64_t action, const struct opvm_block *block)
{
	/* Questions about zones have answers of their own, and what is done to zones is not done in
	 * parts. */
	if (request->op > BDUS_OP_CACHE &&
	    (action == OPVM_BLOCK_DONE || block->covers_bytes != block->length_bytes))
		return false;
	return action <= OPVM_BLOCK_FAIL && block->delay_ns <= LONGEST_DELAY_NS &&
	       (action != OPVM_BLOCK_REDIRECT || block->backend <= filter->backends) &&
	       block->covers_bytes <= block->length_bytes &&
	       block->covers_bytes % filter->block_bytes == 0 &&
	       (block->covers_bytes != 0 || block->length_bytes == 0) &&
	       (action != OPVM_BLOCK_FAIL || (block->status != 0 && block->status <= MOST_ERRNO));
}

static void take_answer(struct lane *lane, struct part *part, uint64_t action,
			const struct opvm_block *block)
{
	static const enum counter counters[] = {
		[OPVM_BLOCK_PASS] = COUNT_PASSED,
		[OPVM_BLOCK_DONE] = COUNT_DONE,
		[OPVM_BLOCK_REDIRECT] = COUNT_REDIRECTED,
		[OPVM_BLOCK_FAIL] = COUNT_FAILED,
	};

	count(lane, counters[action]);
	if (block->delay_ns != 0)
		count(lane, COUNT_DELAYED);
	part->action = action;
	part->length_bytes = block->covers_bytes;
	if (action == OPVM_BLOCK_REDIRECT) {
		part->target_bytes = block->target_bytes;
		part->backend = block->backend;
	}
	part->delay_ns = block->delay_ns;
	part->status = -(int)block->status;
}

static void refuse_answer(struct lane *lane, struct part *part)
{
	count(lane, COUNT_REFUSED);
	part->action = OPVM_BLOCK_FAIL;
	part->status = -EIO;
}

/** Runs the program for @part, whose length becomes what the answer covers. */
static void run(const struct loaded *loaded, struct lane *lane, struct part *part, unsigned number)
{
	struct filter *const filter = part->filter;
	const struct bdus_request *const request = part->request;
	uint8_t copy[MOST_PAYLOAD_BYTES];
	uint64_t action = OPVM_BLOCK_PASS;
	struct opvm_block block;
	int shown;
	int ran;

	describe(filter, request, part->skip_bytes, part->length_bytes, &block);
	block.part = number;
	shown = show_payload(filter, part, copy, &block);
	count(lane, COUNT_CALLS);
	if (shown < 0) {
		part->action = OPVM_BLOCK_FAIL;
		part->status = shown;
		return;
	}
	if (number == 0 && loaded->completion != NULL)
		part->started_ns = block.time_ns;
	ran = opvm_run(loaded->program, &block, filter->fuel, &action);
	if (ran == -ETIME) {
		count(lane, COUNT_EXHAUSTED);
		action = filter->exhausted_answer;
		block.covers_bytes = part->length_bytes;
		block.delay_ns = 0;
		block.status = EIO;
		ran = 0;
	}
	if (ran == 0 && is_sensible(filter, request, action, &block))
		take_answer(lane, part, action, &block);
	else
		refuse_answer(lane, part);
}

/** Has the program that is loaded now, if there is one, answer for @part. */
static void ask(struct part *part, unsigned number)
{
	struct filter *const filter = part->filter;
	struct lane *const lane = lane_of(filter, part->request);
	const struct loaded *loaded;

	part->action = OPVM_BLOCK_PASS;
	part->target_bytes = part->request->offset_bytes + part->skip_bytes;
	part->backend = 0;
	part->delay_ns = 0;
	atomic_fetch_add(&lane->inside, 1);
	loaded = atomic_load(&filter->loaded);
	if (base_likely(loaded != NULL))
		run(loaded, lane, part, number);
	atomic_fetch_sub_explicit(&lane->inside, 1, memory_order_release);
}

/* ---- carrying out -----------------------------------------------------------------------------
 */

/** Tells the program, if it still wants to know, that a request is back. */
static void tell(const struct bdus_request *request, const struct split *split)
{
	struct filter *const filter = split->filter;
	struct lane *const lane = lane_of(filter, request);
	struct opvm_block block;
	const struct loaded *loaded;
	uint64_t unused;

	atomic_fetch_add(&lane->inside, 1);
	loaded = atomic_load(&filter->loaded);
	if (loaded != NULL && loaded->completion != NULL) {
		describe(filter, request, 0, request->length_bytes, &block);
		block.result = (uint32_t)-split->result;
		block.elapsed_ns = block.time_ns - split->started_ns;
		count(lane, COUNT_CALLS);
		if (opvm_run(loaded->completion, &block, filter->fuel, &unused) == -ETIME)
			count(lane, COUNT_EXHAUSTED);
	}
	atomic_fetch_sub_explicit(&lane->inside, 1, memory_order_release);
}

static void finish_split(struct bdus_request *request, struct split *split, int result)
{
	if (split->result == 0)
		split->result = result;
	if (--split->pending != 0)
		return;
	tell(request, split);
	result = split->result;
	free(split);
	bdus_complete(request, result);
}

static void finish(const struct part *part, int result)
{
	if (part->split != NULL)
		finish_split(part->request, part->split, result);
	else
		bdus_complete(part->request, result);
}

static void part_is_back(void *instance, struct bdus_request *parent, struct bdus_request *child,
			 int result)
{
	(void)instance;
	(void)child;
	finish_split(parent, parent->driver_data, result);
}

static struct bdus_request *make_child(const struct part *part)
{
	return bdus_filter_child(part->request, part->skip_bytes, part->length_bytes,
				 part->split != NULL ? part_is_back : NULL);
}

static void send_child(struct bdus_request *child, uint32_t backend)
{
	if (backend != 0)
		bdus_filter_send_to(child, backend - 1);
	else
		bdus_filter_send(child);
}

/** What was redirected earlier may be anywhere: a flush goes to all that have something to flush.
 */
static void flush_all(const struct part *part)
{
	struct bdus_request *children[32];
	const uint32_t flushes = part->filter->flushes;
	const unsigned count = (unsigned)__builtin_popcount(flushes);
	unsigned made = 0, sent = 0;

	if (count == 0) {
		finish(part, 0);
		return;
	}
	while (made < count && (children[made] = make_child(part)) != NULL)
		made++;
	if (made < count) {
		while (made > 0)
			bdus_filter_drop(children[--made]);
		finish(part, -ENOMEM);
		return;
	}
	if (part->split != NULL)
		part->split->pending += count - 1;
	for (uint32_t backend = 0; sent < count; backend++)
		if (flushes & 1U << backend)
			send_child(children[sent++], backend);
}

static void send_down(const struct part *part)
{
	struct bdus_request *child;

	if (part->filter->backends != 0 && part->request->op == BDUS_OP_FLUSH) {
		flush_all(part);
		return;
	}
	if (part->split == NULL && part->action == OPVM_BLOCK_PASS) {
		bdus_filter_pass(part->request);
		return;
	}
	child = make_child(part);
	if (child == NULL) {
		finish(part, -ENOMEM);
		return;
	}
	if (part->request->length_bytes != 0)
		child->offset_bytes = part->target_bytes;
	send_child(child, part->backend);
}

/** What was not read must not be what the memory held before. */
static int fill_with_zeros(const struct part *part)
{
	static const char zeros[ZEROS_BYTES];
	int result = 0;

	if (part->request->payload_buffer == 0) {
		memset((char *)part->request->data + part->skip_bytes, 0, part->length_bytes);
		return 0;
	}
	for (uint64_t done = 0; done < part->length_bytes && result == 0; done += ZEROS_BYTES)
		result = bdus_payload_put(part->request, part->skip_bytes + done, zeros,
					  (size_t)base_min(part->length_bytes - done, ZEROS_BYTES));
	return result;
}

/** Nothing is known of the range but that it is one piece. */
static int answer_extents(struct bdus_request *request, uint64_t length_bytes)
{
	request->extents[0] = (struct bdus_extent){.length_bytes = length_bytes};
	request->extent_count = 1;
	return 0;
}

static void carry_out(const struct part *part)
{
	struct bdus_request *const request = part->request;

	switch (part->action) {
	case OPVM_BLOCK_PASS:
	case OPVM_BLOCK_REDIRECT:
		send_down(part);
		return;
	case OPVM_BLOCK_FAIL:
		finish(part, part->status);
		return;
	default:
		break;
	}
	if (request->op == BDUS_OP_READ)
		finish(part, fill_with_zeros(part));
	else
		finish(part, request->op == BDUS_OP_EXTENTS
				     ? answer_extents(request, part->length_bytes)
				     : 0);
}

static void time_is_over(struct bdus_call *timer)
{
	struct waiting *const waiting = base_container_of(timer, struct waiting, timer);
	const struct part part = waiting->part;
	const int result = (int)timer->message.result;

	free(waiting);
	if (result < 0)
		finish(&part, result);
	else
		carry_out(&part);
}

static void apply(const struct part *part)
{
	struct waiting *waiting;
	int result;

	if (base_likely(part->delay_ns == 0)) {
		carry_out(part);
		return;
	}
	waiting = malloc(sizeof(*waiting));
	if (waiting == NULL) {
		finish(part, -ENOMEM);
		return;
	}
	*waiting = (struct waiting){.timer.completed = time_is_over, .part = *part};
	asys_prep_timeout(&waiting->timer.message, base_now_ns() + part->delay_ns);
	result =
		bdus_loop_send(bdus_queue_loop(bdus_request_queue(part->request)), &waiting->timer);
	if (result < 0) {
		free(waiting);
		finish(part, result);
	}
}

/* ---- requests ---------------------------------------------------------------------------------
 */

/** Goes on with a request of which @first, which was answered, is not all. */
static void serve_parts(const struct part *first)
{
	struct bdus_request *const request = first->request;
	struct split *const split = malloc(sizeof(*split));
	struct part part = *first;
	unsigned number = 0;

	if (split == NULL) {
		bdus_complete(request, -ENOMEM);
		return;
	}
	*split = (struct split){
		.filter = first->filter, .started_ns = first->started_ns, .pending = 1};
	request->driver_data = split;
	part.split = split;
	for (;;) {
		split->pending++;
		apply(&part);
		part.skip_bytes += part.length_bytes;
		part.length_bytes = request->length_bytes - part.skip_bytes;
		if (part.length_bytes == 0 || split->result != 0 || request->op == BDUS_OP_EXTENTS)
			break;
		ask(&part, ++number);
	}
	finish_split(request, split, 0);
}

void opvm_filter_submit(void *instance, struct bdus_request *request)
{
	struct part part = {
		.filter = instance,
		.request = request,
		.length_bytes = request->length_bytes,
	};

	ask(&part, 0);
	/* The answer to a question about extents may end early. */
	if (part.started_ns == 0 && (base_likely(part.length_bytes == request->length_bytes) ||
				     request->op == BDUS_OP_EXTENTS))
		apply(&part);
	else
		serve_parts(&part);
}
