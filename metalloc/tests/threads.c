/* SPDX-License-Identifier: MIT */
/*
 * Threads that release what others allocated, that end with blocks alive, that fork, and thousands
 * of them. With ThreadSanitizer this is the proof of the hand-over.
 *
 * usage: metalloc-threads WAY [ROUNDS]
 */
#include "entry.h"
#include "ways.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4u
#define PLACES  256u

static unsigned rounds = 60000;
static unsigned char *_Atomic places[PLACES];

/** Each block says how large it is, in its first and last bytes. */
static unsigned char *make(size_t bytes)
{
	unsigned char *const block = ENTRY(malloc)(bytes);

	CHECK(block != NULL);
	memcpy(block, &bytes, sizeof(bytes));
	memset(block + sizeof(bytes), (int)(bytes & 0xff), bytes - sizeof(bytes));
	return block;
}

static void unmake(unsigned char *block)
{
	size_t bytes;

	if (block == NULL)
		return;
	memcpy(&bytes, block, sizeof(bytes));
	for (size_t i = sizeof(bytes); i < bytes; i++)
		CHECK(block[i] == (bytes & 0xff));
	ENTRY(free)(block);
}

/** Puts its own blocks where it takes those of others. */
static void *exchange(void *argument)
{
	uint64_t random = (uintptr_t)argument * 7919 + 1;

	for (unsigned i = 0; i < rounds; i++) {
		unsigned char *mine;

		random = random * 6364136223846793005u + 1442695040888963407u;
		mine = make(sizeof(size_t) + (random >> 33) % (i % 100 == 0 ? 40000 : 200));
		unmake(atomic_exchange(&places[(random >> 45) % PLACES], mine));
	}
	return NULL;
}

static void run(void *(*function)(void *), unsigned count)
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < count; i++)
		CHECK(pthread_create(&threads[i], NULL, function, (void *)(uintptr_t)i) == 0);
	for (unsigned i = 0; i < count; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

/** One thread makes, the next unmakes, for long: memory must stay bounded. */
static void *produce(void *argument)
{
	(void)argument;
	for (unsigned i = 0; i < rounds; i++) {
		unsigned char *const block = make(512), *expected = NULL;

		while (!atomic_compare_exchange_weak(&places[i % PLACES], &expected, block)) {
			expected = NULL;
			sched_yield();
		}
	}
	return NULL;
}

static void *consume(void *argument)
{
	(void)argument;
	for (unsigned i = 0; i < rounds; i++) {
		unsigned char *block;

		while ((block = atomic_exchange(&places[i % PLACES], NULL)) == NULL)
			sched_yield();
		unmake(block);
	}
	return NULL;
}

static void *produce_or_consume(void *argument)
{
	return (uintptr_t)argument == 0 ? produce(NULL) : consume(NULL);
}

static void clear_places(void)
{
	for (unsigned i = 0; i < PLACES; i++)
		unmake(atomic_exchange(&places[i], NULL));
}

static void check_producer_is_bounded(void)
{
	struct metalloc_usage before, after;

	metalloc_usage(&before);
	run(produce_or_consume, 2);
	metalloc_usage(&after);
	CHECK(after.peak_bytes < before.peak_bytes + (8u << 20));
}

/** What a thread leaves behind is the next one's. */
static void *leave_some(void *argument)
{
	void *blocks[100];

	(void)argument;
	for (unsigned i = 0; i < 100; i++)
		blocks[i] = make(16 + i * 16);
	for (unsigned i = 1; i < 100; i++)
		unmake(blocks[i]);
	unmake(atomic_exchange(&places[0], blocks[0]));
	return NULL;
}

static void check_thousands_one_after_the_other(void)
{
	struct metalloc_usage usage;

	for (unsigned i = 0; i < rounds / 30; i++)
		run(leave_some, 1);
	metalloc_usage(&usage);
	CHECK(usage.used_bytes < 64u << 20);
	CHECK(usage.threads <= 2);
}

static void *wait_for_all(void *argument)
{
	pthread_barrier_t *const barrier = argument;
	unsigned char *const block = make(100);

	pthread_barrier_wait(barrier);
	unmake(block);
	return NULL;
}

static void check_a_thousand_at_once(void)
{
	enum {
		MANY = 1000
	};
	static pthread_t threads[MANY];
	pthread_barrier_t barrier;
	pthread_attr_t attributes;

	pthread_barrier_init(&barrier, NULL, MANY);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 256 << 10);
	for (unsigned i = 0; i < MANY; i++)
		CHECK(pthread_create(&threads[i], &attributes, wait_for_all, &barrier) == 0);
	for (unsigned i = 0; i < MANY; i++)
		pthread_join(threads[i], NULL);
}

/** Forks while other threads allocate: the child must not find a lock taken. */
static void check_forks(void)
{
	pthread_t threads[2];

	for (uintptr_t i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, exchange, (void *)i);
	for (unsigned i = 0; i < rounds / 3000; i++) {
		const pid_t child = fork();
		int status;

		if (child == 0) {
			for (unsigned k = 0; k < 2000; k++)
				unmake(make(8 + k * 37 % 50000));
			/* Not _exit(), at which ThreadSanitizer looks for the other threads. */
			syscall(SYS_exit_group, 0);
		}
		CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	}
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
}

int main(int count, char **arguments)
{
	CHECK(count > 1);
	choose_way(arguments[1]);
	if (count > 2)
		rounds = (unsigned)strtoul(arguments[2], NULL, 10);
	unmake(make(100));
	run(exchange, THREADS);
	clear_places();
	check_producer_is_bounded();
	check_thousands_one_after_the_other();
	check_a_thousand_at_once();
	check_forks();
	clear_places();
	return 0;
}
