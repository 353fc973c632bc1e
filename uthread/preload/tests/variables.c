/* SPDX-License-Identifier: MIT */
/*
 * A program with a thread-local variable, which each of its threads has to itself while others run.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static __thread uintptr_t own;

static void *keep(void *argument)
{
	own = (uintptr_t)argument;
	usleep(5000);
	return (void *)(uintptr_t)(own == (uintptr_t)argument);
}

int main(void)
{
	pthread_t threads[8];
	uintptr_t kept = 0;

	for (uintptr_t i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, keep, (void *)i);
	for (unsigned i = 0; i < 8; i++) {
		void *result;

		pthread_join(threads[i], &result);
		kept += (uintptr_t)result;
	}
	printf("%u of 8 threads kept their variable\n", (unsigned)kept);
	return 5;
}
