/* SPDX-License-Identifier: MIT */
/*
 * The stack of filters, and the way of requests and their children through it.
 *
 * The stage of a filter notes itself in the request and calls the filter; passing a request on
 * means giving it to the rules of the next stage. A child is a request of the engine's own, whose
 * `finished` leads to the filter that sent it. What a child completes may be the child of a filter
 * above, and `done` may send the next child, which comes back at once: so children that come back
 * while `done` of another one runs on the same queue wait in `returned` for their turn, and the
 * stack of calls stays as deep as there are filters.
 *
 * Owner threads: everything about requests belongs to the queue's thread, the rest to the one that
 * runs the device.
 */
#include "stack.h"

#include "attrs.h"
#include "backends.h"
#include "base/bits.h"
#include "base/error.h"
#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_FILTERS BDUS_STATS_FILTERS

struct bdus_stack {
	unsigned count;
	/** The filters from this index on are open. */
	unsigned first_open;
	struct bdus_config *configs[MOST_FILTERS];
	/** NULL for none. */
	struct bdus_backends *backends;
	/** Of the filters, the topmost first, then of the driver. */
	struct bdus_stage *stages;
	/** Those to come, until all queues have them; NULL for none. */
	struct bdus_stage *next_stages;
	/** The place of the filter that goes, or MOST_FILTERS for one that comes. */
	unsigned going;
	struct bdus_config *coming;
};

/** What a filter sends down. Belongs to the queue's thread. */
struct bdus_child {
	struct bdus_io io;
	struct bdus_io *parent;
	bdus_filter_done *done;
	struct bdus_child *next_free;
	/** Its range is the parent's. */
	bool is_whole;
	/** It begins where its parent does. */
	bool is_start;
	/** Where its payload was when it was sent. */
	const void *sent_data;
};

/** What a filter makes children of by itself. Belongs to the thread of queue 0. */
struct bdus_own {
	struct bdus_io io;
	/** A child is waited for; then its result. */
	bool waits;
	int result;
	/** To be stopped. */
	bool is_started;
};

/** A filter may come from a time when there was no `start`. */
#define LEAST_FILTER_BYTES offsetof(struct bdus_filter, start)

static bool has_start(const struct bdus_filter *filter)
{
	return filter->size >= sizeof(*filter) && filter->start != NULL;
}

/* ---- filters -------------------------------------------------------------------------------- */

static int check_filter(const struct bdus_filter *filter)
{
	if (filter == NULL || filter->abi != BDUS_FILTER_ABI || filter->size < LEAST_FILTER_BYTES ||
	    filter->name == NULL || filter->open == NULL || filter->submit == NULL)
		return base_error(EINVAL,
				  "filter %s: must be of version %u of the filter interface and "
				  "have `open` and `submit`",
				  filter != NULL && filter->name != NULL ? filter->name : "?",
				  BDUS_FILTER_ABI);
	return 0;
}

static int add_filter(struct bdus_stack *stack, unsigned index, const struct bdus_filter_use *use)
{
	char owner[96];
	int result = check_filter(use->filter);

	if (result < 0)
		return result;
	snprintf(owner, sizeof(owner), "filter %s", use->filter->name);
	stack->stages[index].filter = use->filter;
	stack->stages[index].row = index;
	return bdus_config_create(owner, use->filter->options, use->options, use->option_count,
				  &stack->configs[index]);
}

int bdus_stack_create(const struct bdus_filter_use *uses, unsigned count,
		      struct bdus_stack **result_stack)
{
	struct bdus_stack *stack;
	int result = 0;

	if (count > MOST_FILTERS)
		return base_error(EINVAL, "%u filters: at most %u are possible", count,
				  MOST_FILTERS);
	stack = calloc(1, sizeof(*stack));
	if (stack != NULL)
		stack->stages = calloc(MOST_FILTERS + 1, sizeof(struct bdus_stage));
	if (stack == NULL || stack->stages == NULL) {
		free(stack);
		return base_error(ENOMEM, "no memory for a stack of filters");
	}
	stack->count = count;
	stack->first_open = count;
	for (unsigned i = 0; i < count && result == 0; i++)
		result = add_filter(stack, i, &uses[i]);
	if (result < 0) {
		bdus_stack_destroy(stack);
		return result;
	}
	*result_stack = stack;
	return 0;
}

int bdus_stack_add_backends(struct bdus_stack *stack, const struct bdus_backend_use *uses,
			    unsigned count)
{
	const int result = count != 0 ? bdus_backends_create(uses, count, &stack->backends) : 0;

	for (unsigned i = 0; i < stack->count && result == 0; i++) {
		bdus_config_set_backends(stack->configs[i], stack->backends);
		stack->stages[i].backends = stack->backends;
	}
	return result;
}

void bdus_stack_destroy(struct bdus_stack *stack)
{
	if (stack == NULL)
		return;
	for (unsigned i = 0; i < stack->count; i++)
		bdus_config_destroy(stack->configs[i]);
	bdus_backends_destroy(stack->backends);
	free(stack->stages);
	free(stack);
}

/** What enters a filter. */
static void enter_filter(void *instance, struct bdus_request *request)
{
	const struct bdus_stage *const stage = instance;
	struct bdus_io *const io = base_container_of(request, struct bdus_io, request);

	io->stage = stage;
	if (base_likely(io->queue->stats != NULL))
		bdus_stats_entered(io->queue->stats, stage->row, io);
	stage->filter->submit(stage->instance, request);
}

/** Opens the filter over the stage below it, whose attributes become its own. */
static int open_filter(struct bdus_stage *stage, const struct bdus_config *config,
		       struct bdus_device_attrs *attrs)
{
	const struct bdus_device_attrs below = *attrs;
	const uint32_t max_concurrency = attrs->max_concurrency;
	char owner[96];
	int result = bdus_rules_init(&stage[1].rules, attrs, attrs->ops);

	if (result == 0)
		result = stage->filter->open(config, attrs, &stage->instance);
	if (result < 0) {
		bdus_rules_finish(&stage[1].rules);
		return result;
	}
	stage->layer = (struct bdus_layer){.submit = enter_filter, .instance = stage};
	attrs->max_concurrency = max_concurrency;
	stage->is_transparent = bdus_attrs_are_same(&below, attrs);
	snprintf(owner, sizeof(owner), "filter %s", stage->filter->name);
	return bdus_attrs_complete(owner, attrs);
}

int bdus_stack_open(struct bdus_stack *stack, struct bdus_device_attrs *attrs)
{
	struct bdus_device_attrs above = *attrs;
	int result = stack->backends != NULL ? bdus_backends_open(stack->backends, &above) : 0;

	for (unsigned i = stack->count; i > 0 && result == 0; i--) {
		result = open_filter(&stack->stages[i - 1], stack->configs[i - 1], &above);
		/* One whose attributes make no sense is open. */
		if (stack->stages[i - 1].layer.submit != NULL)
			stack->first_open = i - 1;
	}
	if (result < 0) {
		char message[BASE_ERROR_MESSAGE_BYTES];

		snprintf(message, sizeof(message), "%s", base_error_message());
		bdus_stack_close(stack);
		return base_error(-result, "%s", message);
	}
	*attrs = above;
	return 0;
}

int bdus_stack_close(struct bdus_stack *stack)
{
	int result = bdus_stack_settle(stack), closed;

	for (; stack->first_open < stack->count; stack->first_open++) {
		struct bdus_stage *const stage = &stack->stages[stack->first_open];

		closed = stage->filter->close != NULL ? stage->filter->close(stage->instance) : 0;

		bdus_rules_finish(&stage[1].rules);
		free(stage->own);
		stage->own = NULL;
		if (result == 0)
			result = closed;
	}
	closed = bdus_backends_close(stack->backends);
	return result == 0 ? closed : result;
}

struct bdus_layer bdus_stack_over(struct bdus_stack *stack, struct bdus_layer driver)
{
	stack->stages[stack->count].layer = driver;
	return stack->stages[0].layer;
}

/* ---- by themselves -------------------------------------------------------------------------- */

static struct bdus_io *io_of(struct bdus_request *request)
{
	return base_container_of(request, struct bdus_io, request);
}

/** On failure the filter is closed as if it had not been started. */
static int start_filter(struct bdus_stage *stage, struct bdus_queue *queue)
{
	int result;

	stage->own = calloc(1, sizeof(*stage->own));
	if (stage->own == NULL)
		return base_error(ENOMEM, "no memory for filter %s", stage->filter->name);
	bdus_io_init(&stage->own->io);
	/* No operation that a child could be like. */
	stage->own->io.request.op = BDUS_OP_COUNT;
	stage->own->io.queue = queue;
	stage->own->io.stage = stage;
	result = stage->filter->start(stage->instance, &stage->own->io.request);
	stage->own->is_started = result == 0;
	return result;
}

int bdus_stack_start(struct bdus_stack *stack, struct bdus_queue *queue)
{
	int result = 0;

	for (unsigned i = stack->count; i > 0 && result == 0; i--)
		if (has_start(stack->stages[i - 1].filter))
			result = start_filter(&stack->stages[i - 1], queue);
	return result;
}

int bdus_stack_stop(struct bdus_stack *stack)
{
	int result = 0;

	for (unsigned i = 0; i < stack->count; i++) {
		const struct bdus_stage *const stage = &stack->stages[i];
		int stopped = 0;

		if (stage->own == NULL || !stage->own->is_started)
			continue;
		stage->own->is_started = false;
		if (stage->filter->stop != NULL)
			stopped = stage->filter->stop(stage->instance, &stage->own->io.request);
		if (result == 0)
			result = stopped;
	}
	return result;
}

static void wait_is_over(void *instance, struct bdus_request *parent, struct bdus_request *child,
			 int result)
{
	struct bdus_own *const own = base_container_of(io_of(parent), struct bdus_own, io);

	(void)instance;
	parent->zone_count = child->zone_count;
	parent->append_offset_bytes = child->append_offset_bytes;
	own->result = result;
	own->waits = false;
}

int bdus_filter_wait(struct bdus_request *request)
{
	struct bdus_child *const child = base_container_of(io_of(request), struct bdus_child, io);
	struct bdus_own *const own = base_container_of(child->parent, struct bdus_own, io);
	struct bdus_loop *const loop = child->io.queue->loop;
	int result = 0;

	if (loop->in_turn) {
		bdus_filter_drop(request);
		return base_error(EBUSY, "filter %s waits within a turn of its loop",
				  child->parent->stage->filter->name);
	}
	own->waits = true;
	child->done = wait_is_over;
	bdus_filter_send(request);
	while (own->waits && result >= 0)
		result = bdus_loop_turn(loop, -1);
	return result < 0 ? result : own->result;
}

bool bdus_stack_is_empty(const struct bdus_stack *stack)
{
	return stack->count == 0 && stack->next_stages == NULL;
}

unsigned bdus_stack_rows(const struct bdus_stack *stack,
			 struct bdus_stats_row rows[BDUS_STATS_FILTERS])
{
	for (unsigned i = 0; i < stack->count; i++)
		rows[i] = (struct bdus_stats_row){stack->stages[i].filter->name,
						  stack->stages[i].row};
	return stack->count;
}

static int no_filter(const struct bdus_stack *stack, const char *name)
{
	if (stack->count == 0)
		return base_error(ENODEV, "the device has no filters");
	return base_error(ENODEV, "the device has no filter '%s'; it has %u filters", name,
			  stack->count);
}

static struct bdus_stage *find_filter(struct bdus_stack *stack, const char *name)
{
	char index[16];

	for (unsigned i = 0; i < stack->count; i++) {
		snprintf(index, sizeof(index), "%u", i);
		if (strcmp(stack->stages[i].filter->name, name) == 0 || strcmp(index, name) == 0)
			return &stack->stages[i];
	}
	return NULL;
}

int bdus_stack_command(struct bdus_stack *stack, const char *name, const char *const *words,
		       unsigned count, char *answer, size_t answer_bytes)
{
	struct bdus_stage *const stage = find_filter(stack, name);

	if (stage == NULL)
		return no_filter(stack, name);
	if (stage->filter->command == NULL)
		return base_error(ENOTTY, "filter %s takes no commands", stage->filter->name);
	answer[0] = '\0';
	return stage->filter->command(stage->instance, words, count, answer, answer_bytes);
}

/* ---- changes -------------------------------------------------------------------------------- */

/*
 * Requests point to the stages that they are in, so that those stay as they are: a change makes new
 * ones, which queues take when they are empty, and then frees the old ones. Rules, filters and
 * instances move over; a filter that comes is open in the new stages alone.
 */

/** Stages without the one at place @going, or with room for one before them. */
static struct bdus_stage *copy_stages(const struct bdus_stack *stack, unsigned going)
{
	struct bdus_stage *const copy = calloc(MOST_FILTERS + 1, sizeof(*copy));
	struct bdus_stage *to = copy != NULL && going == MOST_FILTERS ? copy + 1 : copy;

	for (unsigned i = 0; copy != NULL && i <= stack->count; i++)
		if (i != going)
			*to++ = stack->stages[i];
	if (copy == NULL)
		base_error(ENOMEM, "no memory for a stack of filters");
	for (struct bdus_stage *stage = copy; stage != NULL && stage < to; stage++)
		if (stage->filter != NULL)
			stage->layer.instance = stage;
	return copy;
}

/** One that no filter counts in. */
static unsigned free_row(const struct bdus_stack *stack)
{
	uint32_t used = 0;
	unsigned row = 0;

	for (unsigned i = 0; i < stack->count; i++)
		used |= UINT32_C(1) << stack->stages[i].row;
	while (used & UINT32_C(1) << row)
		row++;
	return row;
}

/** Opens a filter at the top of new stages. */
static int open_above(struct bdus_stack *stack, struct bdus_stage *stages,
		      const struct bdus_filter_use *use, const struct bdus_device_attrs *attrs)
{
	struct bdus_device_attrs above = *attrs;
	char owner[96];
	int result;

	snprintf(owner, sizeof(owner), "filter %s", use->filter->name);
	stages->filter = use->filter;
	stages->row = free_row(stack);
	stages->backends = stack->backends;
	result = bdus_config_create(owner, use->filter->options, use->options, use->option_count,
				    &stack->coming);
	if (result < 0)
		return result;
	bdus_config_set_backends(stack->coming, stack->backends);
	result = open_filter(stages, stack->coming, &above);
	if (result == 0 && stages->is_transparent)
		return 0;
	if (result == 0)
		result = base_error(EOPNOTSUPP,
				    "filter %s would change what clients see of the device, which "
				    "they know already",
				    use->filter->name);
	if (stages->layer.submit != NULL) {
		if (use->filter->close != NULL)
			use->filter->close(stages->instance);
		bdus_rules_finish(&stages[1].rules);
	}
	bdus_config_destroy(stack->coming);
	return result;
}

static int may_change(const struct bdus_stack *stack)
{
	return stack->next_stages == NULL
		       ? 0
		       : base_error(EBUSY, "another change of the filters is under way");
}

int bdus_stack_attach(struct bdus_stack *stack, const struct bdus_filter_use *use,
		      const struct bdus_device_attrs *attrs, struct bdus_layer *top)
{
	struct bdus_stage *stages;
	int result = may_change(stack);

	if (result == 0)
		result = check_filter(use->filter);
	if (result == 0 && has_start(use->filter))
		result = base_error(EOPNOTSUPP,
				    "filter %s must be there from the start of a device: it cannot "
				    "be attached to one in use",
				    use->filter->name);
	if (result == 0 && stack->count == MOST_FILTERS)
		result = base_error(ENOSPC, "the device has %u filters: at most %u are possible",
				    stack->count, MOST_FILTERS);
	if (result < 0)
		return result;
	stages = copy_stages(stack, MOST_FILTERS);
	if (stages == NULL)
		return -ENOMEM;
	result = open_above(stack, stages, use, attrs);
	if (result < 0) {
		stack->coming = NULL;
		free(stages);
		return result;
	}
	stack->next_stages = stages;
	stack->going = MOST_FILTERS;
	*top = stages->layer;
	return 0;
}

int bdus_stack_detach(struct bdus_stack *stack, const char *name, struct bdus_layer *top)
{
	const int result = may_change(stack);
	const struct bdus_stage *stage;

	if (result < 0)
		return result;
	stage = find_filter(stack, name);
	if (stage == NULL)
		return no_filter(stack, name);
	if (!stage->is_transparent)
		return base_error(EOPNOTSUPP,
				  "filter %s has changed what clients see of the device, which "
				  "they know already",
				  stage->filter->name);
	stack->going = (unsigned)(stage - stack->stages);
	stack->next_stages = copy_stages(stack, stack->going);
	if (stack->next_stages == NULL)
		return -ENOMEM;
	*top = stack->next_stages->layer;
	return 0;
}

/** The rules before the stage below go with a filter at the top; else those before itself. */
static int close_gone(struct bdus_stack *stack)
{
	const unsigned going = stack->going;
	struct bdus_stage *const gone = &stack->stages[going];
	const int closed = gone->filter->close != NULL ? gone->filter->close(gone->instance) : 0;

	free(gone->own);
	bdus_rules_finish(&stack->stages[going == 0 ? 1 : going].rules);
	if (going == 0)
		stack->next_stages->rules = (struct bdus_rules){0};
	bdus_config_destroy(stack->configs[going]);
	stack->count--;
	memmove(stack->configs + going, stack->configs + going + 1,
		(stack->count - going) * sizeof(struct bdus_config *));
	return closed;
}

int bdus_stack_settle(struct bdus_stack *stack)
{
	int result = 0;

	if (stack->next_stages == NULL)
		return 0;
	if (stack->going == MOST_FILTERS) {
		memmove(stack->configs + 1, stack->configs,
			stack->count * sizeof(struct bdus_config *));
		stack->configs[0] = stack->coming;
		stack->coming = NULL;
		stack->count++;
	} else {
		result = close_gone(stack);
	}
	free(stack->stages);
	stack->stages = stack->next_stages;
	stack->next_stages = NULL;
	for (unsigned i = 0; i < stack->count; i++)
		if (stack->stages[i].own != NULL)
			stack->stages[i].own->io.stage = &stack->stages[i];
	return result;
}

/* ---- the way down --------------------------------------------------------------------------- */

void bdus_filter_pass(struct bdus_request *request)
{
	struct bdus_io *const io = io_of(request);
	struct bdus_queue *const queue = io->queue;
	const struct bdus_stage *const below = io->stage + 1;

	bdus_queue_let_go(io);
	bdus_queue_leave_filter(queue, io);
	request->driver_data = NULL;
	bdus_rules_apply(queue, below, io);
}

static struct bdus_child *take_child(struct bdus_queue *queue)
{
	struct bdus_child *const child = queue->free_children;

	if (child == NULL)
		return malloc(sizeof(*child));
	queue->free_children = child->next_free;
	return child;
}

static void put_child(struct bdus_queue *queue, struct bdus_child *child)
{
	child->next_free = queue->free_children;
	queue->free_children = child;
}

void bdus_children_free(struct bdus_queue *queue)
{
	while (queue->free_children != NULL) {
		struct bdus_child *const child = queue->free_children;

		queue->free_children = child->next_free;
		free(child);
	}
}

static void child_finished(struct bdus_io *io);

struct bdus_request *bdus_filter_child(struct bdus_request *parent, uint64_t skip_bytes,
				       uint64_t length_bytes, bdus_filter_done *done)
{
	struct bdus_io *const parent_io = io_of(parent);
	struct bdus_child *const child = take_child(parent_io->queue);
	struct bdus_request *request;

	if (child == NULL)
		return NULL;
	*child = (struct bdus_child){
		.parent = parent_io,
		.done = done,
		.is_start = skip_bytes == 0,
		.is_whole = skip_bytes == 0 && length_bytes == parent->length_bytes,
	};
	bdus_io_init(&child->io);
	child->io.finished = child_finished;
	child->io.queue = parent_io->queue;
	child->io.fetched_ns = parent_io->fetched_ns;
	request = &child->io.request;
	bdus_io_prepare_part(&child->io, parent, parent->flags, skip_bytes, length_bytes);
	if (!child->is_whole)
		request->flags &= (uint16_t)~BDUS_REQUEST_MAY_LEND;
	request->extents = parent->extents;
	request->extent_capacity = parent->extent_capacity;
	request->zones = parent->zones;
	request->zone_capacity = parent->zone_capacity;
	if (parent_io->children++ == 0)
		parent_io->result = 0;
	return request;
}

void bdus_filter_send(struct bdus_request *request)
{
	struct bdus_io *const io = io_of(request);
	struct bdus_child *const child = base_container_of(io, struct bdus_child, io);

	child->sent_data = request->data;
	bdus_rules_apply(io->queue, child->parent->stage + 1, io);
}

void bdus_filter_send_to(struct bdus_request *request, unsigned backend)
{
	struct bdus_io *const io = io_of(request);
	struct bdus_child *const child = base_container_of(io, struct bdus_child, io);

	child->sent_data = request->data;
	bdus_rules_apply(io->queue, bdus_backends_stage(child->parent->stage->backends, backend),
			 io);
}

const struct bdus_device_attrs *bdus_filter_backend(const struct bdus_config *config,
						    unsigned index)
{
	const struct bdus_backends *const backends = bdus_config_backends(config);

	return index < bdus_backends_count(backends) ? bdus_backends_attrs(backends, index) : NULL;
}

void bdus_filter_drop(struct bdus_request *request)
{
	struct bdus_child *const child = base_container_of(io_of(request), struct bdus_child, io);

	child->parent->children--;
	put_child(child->io.queue, child);
}

/* ---- the way up ----------------------------------------------------------------------------- */

/** What a child found, or what it was lent for the whole range, belongs to its parent as well. */
static void hand_on(const struct bdus_child *child)
{
	const struct bdus_request *const found = &child->io.request;
	struct bdus_request *const parent = &child->parent->request;

	if (found->op != parent->op)
		return;
	if (found->op == BDUS_OP_EXTENTS)
		parent->extent_count = found->extent_count;
	if (found->op == BDUS_OP_ZONE_REPORT)
		parent->zone_count = found->zone_count;
	if (found->op == BDUS_OP_ZONE_APPEND)
		parent->append_offset_bytes = found->append_offset_bytes;
	if (child->is_whole && found->data != child->sent_data &&
	    found->length_bytes == parent->length_bytes)
		parent->data = found->data;
}

/** Tells the filter of a child that is back, or completes the parent with the last of them. */
static void deliver(struct bdus_queue *queue, struct bdus_child *child)
{
	struct bdus_io *const parent = child->parent;
	const int result = child->io.result;

	if (child->is_start && result == 0)
		hand_on(child);
	parent->children--;
	if (child->done != NULL) {
		child->done(parent->stage->instance, &parent->request, &child->io.request, result);
	} else {
		if (parent->result == 0)
			parent->result = result;
		if (parent->children == 0)
			bdus_complete(&parent->request, parent->result);
	}
	put_child(queue, child);
}

static void child_finished(struct bdus_io *io)
{
	struct bdus_queue *const queue = io->queue;

	if (queue->returned == NULL)
		queue->returned_end = &queue->returned;
	io->next = NULL;
	*queue->returned_end = io;
	queue->returned_end = &io->next;
	if (queue->delivering)
		return;
	queue->delivering = true;
	while (queue->returned != NULL) {
		struct bdus_io *const first = queue->returned;

		queue->returned = first->next;
		deliver(queue, base_container_of(first, struct bdus_child, io));
	}
	queue->delivering = false;
}
