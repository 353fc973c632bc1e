/* SPDX-License-Identifier: MIT */
/*
 * Two threads that take two mutexes crosswise, and main(), which joins one of them: nothing can go
 * on until the alarm, whose handler ends the process with status 6.
 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static pthread_mutex_t mutexes[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static pthread_barrier_t both;

static void end(int number)
{
	(void)number;
	_exit(6);
}

static void *cross(void *which)
{
	pthread_mutex_t *const first = which;

	pthread_mutex_lock(first);
	pthread_barrier_wait(&both);
	pthread_mutex_lock(first == &mutexes[0] ? &mutexes[1] : &mutexes[0]);
	return NULL;
}

int main(void)
{
	pthread_t threads[2];

	signal(SIGALRM, end);
	pthread_barrier_init(&both, NULL, 2);
	for (unsigned i = 0; i < 2; i++) {
		pthread_create(&threads[i], NULL, cross, &mutexes[i]);
		pthread_setname_np(threads[i], i == 0 ? "adam" : "eve");
	}
	alarm(1);
	pthread_join(threads[0], NULL);
	return 0;
}
