/* SPDX-License-Identifier: MIT */
/*
 * The policies that come with the library.
 */
#include "uthread_internal.h"

/* ---- in order ------------------------------------------------------------------------------ */

struct list {
	struct uthread_node *first;
	struct uthread_node *last;
};

static inline void append(struct list *list, struct uthread_node *node)
{
	node->next = NULL;
	node->previous = list->last;
	if (list->last != NULL)
		list->last->next = node;
	else
		list->first = node;
	list->last = node;
}

static inline struct uthread_node *take_first(struct list *list)
{
	struct uthread_node *const node = list->first;

	if (node == NULL)
		return NULL;
	list->first = node->next;
	if (list->first != NULL)
		list->first->previous = NULL;
	else
		list->last = NULL;
	return node;
}

static inline struct uthread_node *take_last(struct list *list)
{
	struct uthread_node *const node = list->last;

	if (node == NULL)
		return NULL;
	list->last = node->previous;
	if (list->last != NULL)
		list->last->next = NULL;
	else
		list->first = NULL;
	return node;
}

static void fifo_push(void *queue, struct uthread_node *node, enum uthread_reason reason)
{
	(void)reason;
	append(queue, node);
}

static struct uthread_node *fifo_pop(void *queue)
{
	return take_first(queue);
}

const struct uthread_policy uthread_policy_fifo = {
	.size = sizeof(struct uthread_policy),
	.name = "fifo",
	.queue_bytes = sizeof(struct list),
	.push = fifo_push,
	.pop = fifo_pop,
};

/* ---- work stealing ------------------------------------------------------------------------- */

/** New threads in a row while woken ones wait. */
#define TURNS 61

struct stealing_queue {
	struct list woken;
	struct list created;
	unsigned turns;
};

static void stealing_push(void *memory, struct uthread_node *node, enum uthread_reason reason)
{
	struct stealing_queue *const queue = memory;

	append(reason == UTHREAD_REASON_CREATED ? &queue->created : &queue->woken, node);
}

/**
 * New threads newest first, so that a tree of them is walked depth first, and has few alive at
 * once.
 */
static struct uthread_node *stealing_pop(void *memory)
{
	struct stealing_queue *const queue = memory;

	if (queue->created.last != NULL && (queue->woken.first == NULL || queue->turns < TURNS)) {
		queue->turns++;
		return take_last(&queue->created);
	}
	queue->turns = 0;
	return take_first(&queue->woken);
}

static struct uthread_node *stealing_steal(void *memory)
{
	struct stealing_queue *const queue = memory;
	struct uthread_node *const node = take_first(&queue->created);

	return node != NULL ? node : take_first(&queue->woken);
}

const struct uthread_policy uthread_policy_stealing = {
	.size = sizeof(struct uthread_policy),
	.flags = UTHREAD_POLICY_HANDS_OVER,
	.name = "stealing",
	.queue_bytes = sizeof(struct stealing_queue),
	.push = stealing_push,
	.pop = stealing_pop,
	.steal = stealing_steal,
};

/* ---- priorities ---------------------------------------------------------------------------- */

struct priority_queue {
	/** One bit for each list that is not empty. */
	uint64_t occupied;
	struct list lists[UTHREAD_PRIORITY_MAX + 1];
};

static_assert(UTHREAD_PRIORITY_MAX < 64, "a bit for each priority");

static void priority_push(void *memory, struct uthread_node *node, enum uthread_reason reason)
{
	struct priority_queue *const queue = memory;

	(void)reason;
	append(&queue->lists[node->priority], node);
	queue->occupied |= UINT64_C(1) << node->priority;
}

static struct uthread_node *priority_pop(void *memory)
{
	struct priority_queue *const queue = memory;
	struct uthread_node *node;
	unsigned highest;

	if (queue->occupied == 0)
		return NULL;
	highest = 63 - (unsigned)__builtin_clzll(queue->occupied);
	node = take_first(&queue->lists[highest]);
	if (queue->lists[highest].first == NULL)
		queue->occupied &= ~(UINT64_C(1) << highest);
	return node;
}

const struct uthread_policy uthread_policy_priority = {
	.size = sizeof(struct uthread_policy),
	.name = "priority",
	.queue_bytes = sizeof(struct priority_queue),
	.push = priority_push,
	.pop = priority_pop,
};

/* ---- earliest deadline first ---------------------------------------------------------------- */

/**
 * A pairing heap: `previous` is the first child and `next` the next sibling. `key` counts arrivals,
 * for order among equals.
 */
struct deadline_queue {
	struct uthread_node *root;
	uint64_t arrivals;
};

static bool is_before(const struct uthread_node *a, const struct uthread_node *b)
{
	if (a->deadline_ns != b->deadline_ns)
		return a->deadline_ns < b->deadline_ns;
	return a->key < b->key;
}

static struct uthread_node *meld(struct uthread_node *a, struct uthread_node *b)
{
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	if (is_before(b, a)) {
		struct uthread_node *const swapped = a;

		a = b;
		b = swapped;
	}
	b->next = a->previous;
	a->previous = b;
	return a;
}

static void deadline_push(void *memory, struct uthread_node *node, enum uthread_reason reason)
{
	struct deadline_queue *const queue = memory;

	(void)reason;
	node->key = queue->arrivals++;
	node->next = NULL;
	node->previous = NULL;
	queue->root = meld(queue->root, node);
}

static struct uthread_node *deadline_pop(void *memory)
{
	struct deadline_queue *const queue = memory;
	struct uthread_node *const popped = queue->root;
	struct uthread_node *pairs = NULL, *first, *next;

	if (popped == NULL)
		return NULL;
	for (first = popped->previous; first != NULL; first = next) {
		struct uthread_node *const second = first->next;

		next = second != NULL ? second->next : NULL;
		first->next = NULL;
		if (second != NULL)
			second->next = NULL;
		first = meld(first, second);
		first->next = pairs;
		pairs = first;
	}
	for (queue->root = NULL; pairs != NULL; pairs = next) {
		next = pairs->next;
		pairs->next = NULL;
		queue->root = meld(queue->root, pairs);
	}
	return popped;
}

const struct uthread_policy uthread_policy_deadline = {
	.size = sizeof(struct uthread_policy),
	.name = "deadline",
	.queue_bytes = sizeof(struct deadline_queue),
	.push = deadline_push,
	.pop = deadline_pop,
};
