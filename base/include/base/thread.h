/* SPDX-License-Identifier: MIT */
/*
 * Threads of a library: they take no signals from the program, and a pool of them can ask the
 * kernel which of them compute.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/** As pthread_create() with default attributes, and with every signal blocked in the thread. */
int base_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

/** A descriptor for base_thread_is_blocked() on the calling thread; -1 where there is none. */
int base_thread_open_state(void);

/**
 * Whether the kernel says that the thread neither runs nor could run; true where it does not tell,
 * as with -1. From any thread.
 */
bool base_thread_is_blocked(int state_fd);

#endif
