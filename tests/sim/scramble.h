/* SPDX-License-Identifier: MIT */
/*
 * Serves requests late and in random order: some on the thread of their queue, when a later request
 * arrives there, some on threads of its own.
 */
#ifndef TEST_SIM_SCRAMBLE_H
#define TEST_SIM_SCRAMBLE_H

#include <bdus/request.h>

struct scramble;

/** @serve blocks if it likes, and may be called from `threads` threads beside those of the queues.
 */
struct scramble *scramble_create(uint64_t seed, unsigned threads,
				 int (*serve)(void *opaque, struct bdus_request *request),
				 void *opaque);

/** Returns how many requests had not been served, which should be none. */
unsigned scramble_destroy(struct scramble *scramble);

void scramble_submit(struct scramble *scramble, struct bdus_request *request);

#endif
