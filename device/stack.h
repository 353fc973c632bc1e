/* SPDX-License-Identifier: MIT */
/*
 * The filters between a way in and a driver, as include/bdus/filter.h describes them. A stack
 * belongs to one device; its stages lie in memory from the topmost filter to the driver, and do not
 * change while requests are on their way, so that queues share them.
 */
#ifndef DEVICE_STACK_H
#define DEVICE_STACK_H

#include "queue.h"

#include <bdus/filter.h>
#include <bdus/manage.h>
#include <bdus/stats.h>

struct bdus_stack;

/** Checks the filters and parses their words; opens none. -EINVAL, -ENOMEM. */
int bdus_stack_create(const struct bdus_filter_use *uses, unsigned count,
		      struct bdus_stack **stack);

/** Adds what filters may send requests to besides the layer below. Errors as above. */
int bdus_stack_add_backends(struct bdus_stack *stack, const struct bdus_backend_use *uses,
			    unsigned count);

/**
 * Opens the backends, then the filters, the last one first. @attrs are the driver's, complete, and
 * become those of the first. On failure none is open.
 */
int bdus_stack_open(struct bdus_stack *stack, struct bdus_device_attrs *attrs);

/** Puts the driver beneath the filters and returns the top layer. */
struct bdus_layer bdus_stack_over(struct bdus_stack *stack, struct bdus_layer driver);

/**
 * Starts the filters that want to, the last one first, over the layers below them; then stops those
 * that were started, the first one first. On the thread of queue 0, @queue, outside of its turns.
 * Stopping what is not started does nothing. The first error, after which filters above are not
 * started.
 */
int bdus_stack_start(struct bdus_stack *stack, struct bdus_queue *queue);
int bdus_stack_stop(struct bdus_stack *stack);

/** Whether there is no filter, and none to come. */
bool bdus_stack_is_empty(const struct bdus_stack *stack);

/** Tells of the filters, the first one first, and returns their number. */
unsigned bdus_stack_rows(const struct bdus_stack *stack,
			 struct bdus_stats_row rows[BDUS_STATS_FILTERS]);

/**
 * Begins to put a filter before the others of an open stack that the device is served with, whose
 * clients see @attrs; or to take the one called @name away, as bdus_stack_command() has it. The new
 * top is for queues with nothing in flight; once all have it, or no queue is open, comes
 * bdus_stack_settle(). -EBUSY: another change has not settled; -EOPNOTSUPP: clients would see
 * another device.
 */
int bdus_stack_attach(struct bdus_stack *stack, const struct bdus_filter_use *use,
		      const struct bdus_device_attrs *attrs, struct bdus_layer *top);
int bdus_stack_detach(struct bdus_stack *stack, const char *name, struct bdus_layer *top);
/** Ends a change, if there is one: what it took away is closed. Returns what that gave. */
int bdus_stack_settle(struct bdus_stack *stack);

/** Closes what is open, the first filter first, and returns the first error. */
int bdus_stack_close(struct bdus_stack *stack);

/**
 * Has the filter called @name, or the one with that index from 0 on, carry out a command. On the
 * thread of queue 0. -ENODEV when there is none, -ENOTTY when it takes no commands; else as the
 * filter's.
 */
int bdus_stack_command(struct bdus_stack *stack, const char *name, const char *const *words,
		       unsigned count, char *answer, size_t answer_bytes);

/** Takes NULL. No filter may be open. */
void bdus_stack_destroy(struct bdus_stack *stack);

/** Frees the children that @queue keeps for reuse. */
void bdus_children_free(struct bdus_queue *queue);

#endif
