/* SPDX-License-Identifier: MIT */
/*
 * Messages ordered by time: a pairing heap whose links lie in the messages. The root is due first.
 *
 * `heap_previous` is the sibling before, or the parent for its first child; NULL for the root.
 */
#include "asys_internal.h"
#include "base/clock.h"

#include <errno.h>

uint64_t asys_deadline_of(const struct asys_message *message)
{
	const uint64_t limit = message->deadline_ns != 0 ? message->deadline_ns : UINT64_MAX;

	return message->number == ASYS_TIMEOUT ? base_min(limit, message->arguments[0]) : limit;
}

static struct asys_message *meld(struct asys_message *a, struct asys_message *b)
{
	struct asys_message *child;

	if (a == NULL || b == NULL)
		return a == NULL ? b : a;
	if (asys_deadline_of(b) < asys_deadline_of(a)) {
		child = a;
		a = b;
	} else {
		child = b;
	}
	child->heap_previous = a;
	child->heap_next = a->heap_child;
	if (child->heap_next != NULL)
		child->heap_next->heap_previous = child;
	a->heap_child = child;
	return a;
}

/* Melds a list of siblings by pairs from the left, then all of them from the right. */
static struct asys_message *meld_siblings(struct asys_message *first)
{
	struct asys_message *pairs = NULL;
	struct asys_message *root = NULL;

	while (first != NULL) {
		struct asys_message *const a = first;
		struct asys_message *const b = a->heap_next;
		struct asys_message *pair;

		first = b != NULL ? b->heap_next : NULL;
		a->heap_next = NULL;
		if (b != NULL)
			b->heap_next = NULL;
		pair = meld(a, b);
		pair->heap_next = pairs;
		pairs = pair;
	}
	while (pairs != NULL) {
		struct asys_message *const next = pairs->heap_next;

		pairs->heap_next = NULL;
		root = meld(root, pairs);
		pairs = next;
	}
	if (root != NULL)
		root->heap_previous = NULL;
	return root;
}

void asys_deadlines_add(struct asys *asys, struct asys_message *message)
{
	message->heap_child = NULL;
	message->heap_next = NULL;
	message->heap_previous = NULL;
	message->marks |= ASYS_MARK_HAS_DEADLINE;
	asys->deadlines = meld(asys->deadlines, message);
}

static void unlink_from_parent(struct asys_message *message)
{
	struct asys_message *const previous = message->heap_previous;

	if (previous->heap_child == message)
		previous->heap_child = message->heap_next;
	else
		previous->heap_next = message->heap_next;
	if (message->heap_next != NULL)
		message->heap_next->heap_previous = previous;
}

void asys_deadlines_remove(struct asys *asys, struct asys_message *message)
{
	struct asys_message *const below = meld_siblings(message->heap_child);

	message->marks &= (uint8_t)~ASYS_MARK_HAS_DEADLINE;
	if (asys->deadlines == message) {
		asys->deadlines = below;
		return;
	}
	unlink_from_parent(message);
	asys->deadlines = meld(asys->deadlines, below);
}

void asys_deadlines_run(struct asys *asys)
{
	uint64_t now;

	if (asys->deadlines == NULL)
		return;
	now = base_now_ns();
	while (asys->deadlines != NULL && asys_deadline_of(asys->deadlines) <= now) {
		struct asys_message *const message = asys->deadlines;

		asys_deadlines_remove(asys, message);
		if (message->state == ASYS_STATE_TIMED && message->arguments[0] <= now) {
			asys_complete(asys, message, 0);
		} else {
			message->marks |= ASYS_MARK_EXPIRED;
			asys_stop_message(asys, message);
		}
	}
}

uint64_t asys_deadlines_limit(const struct asys *asys, uint64_t timeout_ns)
{
	uint64_t now, first;

	if (asys->deadlines == NULL)
		return timeout_ns;
	now = base_now_ns();
	first = asys_deadline_of(asys->deadlines);
	return base_min(timeout_ns, first > now ? first - now : 0);
}
