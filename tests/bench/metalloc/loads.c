/* SPDX-License-Identifier: MIT */
/*
 * Loads for comparing allocators, each the shape of something known: usage: loads NAME SCALE
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 4u

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *make(size_t bytes)
{
	char *const block = malloc(bytes);

	if (block == NULL)
		abort();
	block[0] = 1;
	block[bytes - 1] = 1;
	return block;
}

/** A block at a time, of one size: the shortest path there is. */
static void pairs(unsigned scale)
{
	for (unsigned i = 0; i < scale * 10000000; i++)
		free(make(48));
}

/** Blocks of many sizes in random places: a table that changes. */
static void table(unsigned scale)
{
	static void *blocks[20000];

	for (unsigned i = 0; i < scale * 4000000; i++) {
		const uint64_t random = next_random(&random_state);
		void **const place = &blocks[random % 20000];

		free(*place);
		*place = make(8 + (random >> 32) % 500);
	}
}

struct node {
	struct node *left;
	struct node *right;
};

static struct node *grow(unsigned depth)
{
	struct node *const node = make(sizeof(*node));

	node->left = depth == 0 ? NULL : grow(depth - 1);
	node->right = depth == 0 ? NULL : grow(depth - 1);
	return node;
}

static void fell(struct node *node)
{
	if (node == NULL)
		return;
	fell(node->left);
	fell(node->right);
	free(node);
}

/** Trees that live long beside trees that do not. */
static void trees(unsigned scale)
{
	struct node *const old = grow(16);

	for (unsigned i = 0; i < scale * 200; i++)
		fell(grow(12));
	fell(old);
}

/** Exact arithmetic on numbers of growing length: small blocks, released in the order of a stack.
 */
static void numbers(unsigned scale)
{
	for (unsigned i = 0; i < scale * 300000; i++) {
		void *stack[16];

		for (unsigned k = 0; k < 16; k++)
			stack[k] = make(16 + (i / 30000 % 8 + k % 3) * 16);
		for (unsigned k = 16; k-- > 0;)
			free(stack[k]);
	}
}

/** Strings that are appended to. */
static void strings(unsigned scale)
{
	for (unsigned i = 0; i < scale * 20000; i++) {
		char *text = NULL;
		size_t length = 0;

		for (unsigned k = 0; k < 60; k++) {
			text = realloc(text, length + 1 + k % 40);
			if (text == NULL)
				abort();
			memset(text + length, 'x', 1 + k % 40);
			length += 1 + k % 40;
		}
		free(text);
	}
}

/** Blocks of megabytes. */
static void large(unsigned scale)
{
	void *blocks[8] = {NULL};

	for (unsigned i = 0; i < scale * 300; i++) {
		void **const place = &blocks[next_random(&random_state) % 8];
		const size_t bytes = 1000000 + next_random(&random_state) % 12000000;

		free(*place);
		*place = make(bytes);
		for (size_t k = 0; k < bytes; k += 4096)
			((char *)*place)[k] = 1;
	}
}

/** Buffers of some tens of KiB, as of files and sockets. */
static void buffers(unsigned scale)
{
	static void *blocks[200];

	for (unsigned i = 0; i < scale * 300000; i++) {
		const uint64_t random = next_random(&random_state);
		void **const place = &blocks[random % 200];

		free(*place);
		*place = make(4096 + (random >> 32) % 120000);
	}
}

/** Phases of one size after the other: what one class had, the next needs. */
static void phases(unsigned scale)
{
	enum {
		BLOCKS = 100000
	};
	static void *blocks[BLOCKS];

	for (unsigned i = 0; i < scale * 20; i++) {
		for (unsigned k = 0; k < BLOCKS; k++)
			blocks[k] = make(16 + i % 20 * 16);
		for (unsigned k = 0; k < BLOCKS; k++)
			free(blocks[(k * 7919ull) % BLOCKS]);
	}
}

static unsigned thread_scale;

static void run_threads(void *(*run)(void *))
{
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, run, (void *)i) != 0)
			abort();
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/** Each thread for itself. */
static void *apart_run(void *argument)
{
	uint64_t state = 99 + (uintptr_t)argument;
	void *blocks[1000] = {NULL};

	for (unsigned i = 0; i < thread_scale * 1000000; i++) {
		const uint64_t random = next_random(&state);

		free(blocks[random % 1000]);
		blocks[random % 1000] = make(8 + (random >> 32) % 300);
	}
	for (unsigned i = 0; i < 1000; i++)
		free(blocks[i]);
	return NULL;
}

static void apart(unsigned scale)
{
	thread_scale = scale;
	run_threads(apart_run);
}

static void *_Atomic shared[4096];

/** A server: threads release what others allocated. */
static void *server_run(void *argument)
{
	uint64_t state = 7 + (uintptr_t)argument;

	for (unsigned i = 0; i < thread_scale * 500000; i++) {
		const uint64_t random = next_random(&state);

		free(atomic_exchange(&shared[random % 4096], make(16 + (random >> 32) % 500)));
	}
	return NULL;
}

static void server(unsigned scale)
{
	thread_scale = scale;
	run_threads(server_run);
}

struct batch {
	struct batch *next;
	void *blocks[100];
};

static pthread_mutex_t batches_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t batches_changed = PTHREAD_COND_INITIALIZER;
static struct batch *batches;
static unsigned batch_count, producers;

static void produce(void)
{
	for (unsigned i = 0; i < thread_scale * 5000; i++) {
		struct batch *const batch = make(sizeof(*batch));

		for (unsigned k = 0; k < 100; k++)
			batch->blocks[k] = make(64 + k % 10 * 16);
		pthread_mutex_lock(&batches_lock);
		while (batch_count >= 64)
			pthread_cond_wait(&batches_changed, &batches_lock);
		batch->next = batches;
		batches = batch;
		batch_count++;
		pthread_cond_broadcast(&batches_changed);
		pthread_mutex_unlock(&batches_lock);
	}
	pthread_mutex_lock(&batches_lock);
	producers--;
	pthread_cond_broadcast(&batches_changed);
	pthread_mutex_unlock(&batches_lock);
}

static struct batch *take_batch(void)
{
	struct batch *batch;

	pthread_mutex_lock(&batches_lock);
	while (batches == NULL && producers != 0)
		pthread_cond_wait(&batches_changed, &batches_lock);
	batch = batches;
	if (batch != NULL) {
		batches = batch->next;
		batch_count--;
		pthread_cond_broadcast(&batches_changed);
	}
	pthread_mutex_unlock(&batches_lock);
	return batch;
}

static void *pipeline_run(void *argument)
{
	struct batch *batch;

	if ((uintptr_t)argument % 2 == 0) {
		produce();
		return NULL;
	}
	while ((batch = take_batch()) != NULL) {
		for (unsigned k = 0; k < 100; k++)
			free(batch->blocks[k]);
		free(batch);
	}
	return NULL;
}

/** Some threads only allocate, others only release. */
static void pipeline(unsigned scale)
{
	thread_scale = scale;
	producers = THREADS / 2;
	run_threads(pipeline_run);
}

/** Threads that begin and end, and leave things behind. */
static void *brief_run(void *argument)
{
	uint64_t state = 5 + (uintptr_t)argument;

	for (unsigned i = 0; i < 2000; i++)
		free(atomic_exchange(&shared[next_random(&state) % 4096], make(16 + i % 400)));
	return NULL;
}

static void brief(unsigned scale)
{
	for (unsigned i = 0; i < scale * 100; i++)
		run_threads(brief_run);
}

static const struct {
	const char *name;
	void (*run)(unsigned scale);
} loads[] = {
	{"pairs", pairs},     {"table", table},   {"trees", trees},       {"numbers", numbers},
	{"strings", strings}, {"large", large},   {"buffers", buffers},   {"phases", phases},
	{"apart", apart},     {"server", server}, {"pipeline", pipeline}, {"brief", brief},
};

int main(int count, char **words)
{
	for (size_t i = 0; count == 3 && i < sizeof(loads) / sizeof(loads[0]); i++)
		if (strcmp(words[1], loads[i].name) == 0) {
			loads[i].run((unsigned)strtoul(words[2], NULL, 10));
			return 0;
		}
	fprintf(stderr, "usage: loads NAME SCALE\n");
	return 2;
}
