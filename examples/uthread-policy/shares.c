/* SPDX-License-Identifier: MIT */
/*
 * A scheduling policy of one's own: shares. Each thread gets turns in proportion to its priority,
 * as by stride scheduling: a thread that runs is charged, the less the higher its priority, and the
 * one with the lowest account runs next. Prints how often each of three threads ran.
 */
#include <stdio.h>
#include <stdlib.h>
#include <uthread.h>

#define CHARGE 100000
#define TURNS  60000

/** Threads in order of `key`, their account: a list will do for a few. */
struct shares {
	struct uthread_node *first;
	/** Of the one that ran last: who comes new, or after a long wait, starts there. */
	uint64_t now;
};

static void push(void *memory, struct uthread_node *node, enum uthread_reason reason)
{
	struct shares *shares = memory;
	struct uthread_node **place = &shares->first;

	if (reason == UTHREAD_REASON_CREATED || node->key < shares->now)
		node->key = shares->now;
	node->key += CHARGE / (node->priority + 1U);
	while (*place != NULL && (*place)->key <= node->key)
		place = &(*place)->next;
	node->next = *place;
	*place = node;
}

static struct uthread_node *pop(void *memory)
{
	struct shares *shares = memory;
	struct uthread_node *node = shares->first;

	if (node == NULL)
		return NULL;
	shares->first = node->next;
	shares->now = node->key;
	return node;
}

static const struct uthread_policy policy = {
	.size = sizeof(policy),
	.name = "shares",
	.queue_bytes = sizeof(struct shares),
	.push = push,
	.pop = pop,
};

static unsigned turns_left = TURNS;

static void *run(void *argument)
{
	unsigned *count = argument;

	while (turns_left > 0) {
		turns_left--;
		++*count;
		uthread_yield();
	}
	return NULL;
}

static void *start(void *unused)
{
	/* Shares of 1, 2 and 3 parts. */
	unsigned counts[3] = {0};
	uthread_t threads[3];
	uthread_attr_t attr;

	for (int i = 0; i < 3; i++) {
		uthread_attr_init(&attr);
		uthread_attr_setpriority(&attr, i);
		if (uthread_create(&threads[i], &attr, run, &counts[i]) != 0)
			exit(1);
	}
	for (int i = 0; i < 3; i++) {
		uthread_join(threads[i], NULL);
		printf("%u\n", counts[i]);
	}
	return unused;
}

int main(void)
{
	const struct uthread_options options = {
		.size = sizeof(options), .workers = 1, .policy = &policy};

	if (uthread_run(&options, start, NULL, NULL) == 0)
		return 0;
	fprintf(stderr, "%s\n", uthread_error());
	return 1;
}
