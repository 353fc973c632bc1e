/* SPDX-License-Identifier: MIT */
/*
 * Userland threads on a loop, as the loop knows them.
 */
#ifndef DEVICE_INTERNAL_THREAD_H
#define DEVICE_INTERNAL_THREAD_H

#include <stdbool.h>

struct bdus_loop;
struct bdus_threads;

/** Runs the threads that can go on. Once a turn of the loop. */
void bdus_threads_turn(struct bdus_threads *threads);

/** Cancels all of them, when the loop begins to end. Takes NULL. */
void bdus_threads_cancel(struct bdus_threads *threads);

/** Abandons those that are left. Takes NULL. */
void bdus_threads_destroy(struct bdus_threads *threads);

#endif
