/* SPDX-License-Identifier: MIT */
/*
 * Requests wait in one bag under one lock. A helper thread takes any of them and completes it from
 * there; the thread of a queue takes those of its own queue, and only while it submits another.
 */
#include "scramble.h"

#include "sim/random.h"
#include "sim/sim.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS_MAX 4

struct waiting {
	struct bdus_request *request;
	int queue;
};

struct scramble {
	int (*serve)(void *opaque, struct bdus_request *request);
	void *opaque;
	pthread_t threads[THREADS_MAX];
	unsigned thread_count;

	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct sim_random random;
	struct waiting *bag;
	unsigned count;
	unsigned capacity;
	bool ending;
};

static struct bdus_request *take(struct scramble *scramble, unsigned index)
{
	struct bdus_request *const request = scramble->bag[index].request;

	scramble->bag[index] = scramble->bag[--scramble->count];
	return request;
}

/** How long the next request lies about before it is served, in microseconds; mostly not at all. */
static unsigned draw_pause_us(struct scramble *scramble)
{
	if (sim_random_chance(&scramble->random, 97))
		return 0;
	return (unsigned)sim_random_below(&scramble->random, 100);
}

static void *helper_main(void *argument)
{
	struct scramble *const scramble = argument;

	pthread_mutex_lock(&scramble->lock);
	for (;;) {
		struct bdus_request *request;
		unsigned pause_us;

		while (scramble->count == 0 && !scramble->ending)
			pthread_cond_wait(&scramble->filled, &scramble->lock);
		if (scramble->ending)
			break;
		request = take(scramble,
			       (unsigned)sim_random_below(&scramble->random, scramble->count));
		pause_us = draw_pause_us(scramble);
		pthread_mutex_unlock(&scramble->lock);
		if (pause_us > 0)
			usleep(pause_us);
		bdus_complete_from_any_thread(request, scramble->serve(scramble->opaque, request));
		pthread_mutex_lock(&scramble->lock);
	}
	pthread_mutex_unlock(&scramble->lock);
	return NULL;
}

/** A random request of @queue, if the dice want one served here; the lock is held. */
static struct bdus_request *take_own(struct scramble *scramble, int queue)
{
	unsigned start;

	if (scramble->count == 0 || !sim_random_chance(&scramble->random, 40))
		return NULL;
	start = (unsigned)sim_random_below(&scramble->random, scramble->count);
	for (unsigned i = 0; i < scramble->count; i++) {
		const unsigned index = (start + i) % scramble->count;

		if (scramble->bag[index].queue == queue)
			return take(scramble, index);
	}
	return NULL;
}

static void put(struct scramble *scramble, struct bdus_request *request, int queue)
{
	if (scramble->count == scramble->capacity) {
		scramble->capacity = scramble->capacity > 0 ? 2 * scramble->capacity : 64;
		scramble->bag = realloc(scramble->bag, scramble->capacity * sizeof(*scramble->bag));
		if (scramble->bag == NULL)
			abort();
	}
	scramble->bag[scramble->count++] = (struct waiting){request, queue};
}

void scramble_submit(struct scramble *scramble, struct bdus_request *request)
{
	const int queue = sim_owned_queue();

	pthread_mutex_lock(&scramble->lock);
	put(scramble, request, queue);
	while ((request = take_own(scramble, queue)) != NULL) {
		pthread_mutex_unlock(&scramble->lock);
		bdus_complete(request, scramble->serve(scramble->opaque, request));
		pthread_mutex_lock(&scramble->lock);
	}
	pthread_cond_signal(&scramble->filled);
	pthread_mutex_unlock(&scramble->lock);
}

struct scramble *scramble_create(uint64_t seed, unsigned threads,
				 int (*serve)(void *opaque, struct bdus_request *request),
				 void *opaque)
{
	struct scramble *const scramble = calloc(1, sizeof(*scramble));

	if (scramble == NULL)
		abort();
	scramble->serve = serve;
	scramble->opaque = opaque;
	sim_random_init(&scramble->random, seed, UINT64_C(0x5c4a));
	pthread_mutex_init(&scramble->lock, NULL);
	pthread_cond_init(&scramble->filled, NULL);
	for (; scramble->thread_count < threads && scramble->thread_count < THREADS_MAX;
	     scramble->thread_count++) {
		if (pthread_create(&scramble->threads[scramble->thread_count], NULL, helper_main,
				   scramble) != 0)
			abort();
	}
	return scramble;
}

unsigned scramble_destroy(struct scramble *scramble)
{
	unsigned left;

	pthread_mutex_lock(&scramble->lock);
	scramble->ending = true;
	pthread_cond_broadcast(&scramble->filled);
	pthread_mutex_unlock(&scramble->lock);
	for (unsigned i = 0; i < scramble->thread_count; i++)
		pthread_join(scramble->threads[i], NULL);
	left = scramble->count;
	pthread_mutex_destroy(&scramble->lock);
	pthread_cond_destroy(&scramble->filled);
	free(scramble->bag);
	free(scramble);
	return left;
}
