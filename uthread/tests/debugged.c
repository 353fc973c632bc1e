/* SPDX-License-Identifier: MIT */
/*
 * A program to be looked at by a debugger: three threads in known places.
 */
#include "uthread.h"

static uthread_mutex_t mutex = UTHREAD_MUTEX_INITIALIZER;
static uthread_sem_t gate;

__attribute__((noinline)) int deep_in_a_wait(int depth)
{
	return depth > 0 ? deep_in_a_wait(depth - 1) + 1 : uthread_sem_wait(&gate);
}

static void *sleeper(void *unused)
{
	deep_in_a_wait(3);
	return unused;
}

static void *locker(void *unused)
{
	uthread_mutex_lock(&mutex);
	return unused;
}

/** Where the debugger stops. */
__attribute__((noinline)) void all_are_in_place(void)
{
	__asm__ volatile("");
}

static void *start(void *unused)
{
	uthread_attr_t attr;
	uthread_t threads[2];

	uthread_sem_init(&gate, 0);
	uthread_mutex_lock(&mutex);
	uthread_attr_init(&attr);
	uthread_attr_setname(&attr, "sleeper");
	uthread_create(&threads[0], &attr, sleeper, unused);
	uthread_attr_setname(&attr, "locker");
	uthread_create(&threads[1], &attr, locker, unused);
	uthread_sleep_ms(1);
	all_are_in_place();
	uthread_mutex_unlock(&mutex);
	uthread_sem_post(&gate);
	uthread_join(threads[0], NULL);
	uthread_join(threads[1], NULL);
	return unused;
}

int main(void)
{
	const struct uthread_options options = {.size = sizeof(options), .workers = 1};

	return uthread_run(&options, start, NULL, NULL) == 0 ? 0 : 1;
}
