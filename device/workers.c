/* SPDX-License-Identifier: MIT */
/*
 * The elastic pool.
 *
 *              request waits,                  took a request
 *              all blocked          ┌──────────────────────────────┐
 *     (none) ─────────────▶ starting ──▶ idle ◀──────────────▶ busy
 *                                          │        finished
 *                                          └─▶ (none), after idle_ms, unless it is the last
 *
 * A new request goes to the thread that became idle last, so that those which the load does not
 * need stay idle and end. The pool grows only when requests wait, no thread is idle or starting,
 * and every busy one is blocked in the kernel: a thread that computes would not be helped by
 * another. Whether a thread is blocked is what the kernel says of it in /proc; where that cannot be
 * read, a busy thread counts as blocked.
 *
 * A thread that ends joins the one that ended before it; the pool's destroyer joins the last.
 *
 * `lock` protects everything but `policy`, `handle` and `instance`, which never change. No callback
 * runs under it, and no other lock is taken under it.
 */
#include "workers.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/error.h"
#include "base/list.h"
#include "base/thread.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** Longest pause between two looks at busy threads while some of them compute. */
#define LOOK_PAUSE_MAX_NS (UINT64_C(16) * 1000 * 1000)
#define LOOK_PAUSE_MIN_NS (UINT64_C(250) * 1000)

struct worker {
	struct bdus_workers *pool;
	pthread_t thread;
	/** In `idle` or `busy`. */
	struct base_list link;
	/** What an idle thread was given; it has left `idle` then. */
	struct bdus_io *given;
	pthread_cond_t wake;
	/** /proc/self/task/TID/stat; -1 where it cannot be opened. */
	int state_fd;
};

struct bdus_workers {
	struct bdus_workers_policy policy;
	int (*handle)(void *instance, struct bdus_request *request);
	void *instance;

	pthread_mutex_t lock;
	/** Signalled when a thread ends, and when `running` falls to 0. */
	pthread_cond_t quiet;
	struct bdus_io *first;
	struct bdus_io **last;
	unsigned waiting;
	unsigned count;
	unsigned starting;
	unsigned running;
	bool paused;
	bool ending;
	/** Idle ones, the latest first. */
	struct base_list idle;
	struct base_list busy;
	/** The thread that ended last and was not joined yet. */
	struct worker *ended;
	/** When to look at the busy threads again, and how long the pause after that is. */
	uint64_t next_look_ns;
	uint64_t look_pause_ns;
};

static void *worker_main(void *argument);

/* ---- growing ------------------------------------------------------------------------------- */

static bool all_are_blocked(const struct bdus_workers *pool)
{
	base_list_for_each (link, &pool->busy) {
		if (!base_thread_is_blocked(base_list_entry(link, struct worker, link)->state_fd))
			return false;
	}
	return true;
}

static struct worker *worker_create(struct bdus_workers *pool)
{
	struct worker *const worker = calloc(1, sizeof(*worker));

	if (worker == NULL)
		return NULL;
	worker->pool = pool;
	worker->state_fd = -1;
	base_cond_init(&worker->wake);
	base_list_init(&worker->link);
	return worker;
}

static void worker_destroy(struct worker *worker)
{
	pthread_cond_destroy(&worker->wake);
	free(worker);
}

/** Waits for the end of a thread that has said its last word. Takes NULL. */
static void worker_join(struct worker *worker)
{
	if (worker == NULL)
		return;
	pthread_join(worker->thread, NULL);
	worker_destroy(worker);
}

/** Lets others see how many there are. The lock is held. */
static void show_count(const struct bdus_workers *pool)
{
	if (pool->policy.shown != NULL)
		atomic_store_explicit(pool->policy.shown, pool->count, memory_order_relaxed);
}

/** Starts one thread with every signal blocked. The lock is held. */
static int start_worker(struct bdus_workers *pool)
{
	struct worker *const worker = worker_create(pool);
	int error;

	if (worker == NULL)
		return base_error(ENOMEM, "no memory for a worker thread");
	error = base_thread_start(&worker->thread, worker_main, worker);
	if (error != 0) {
		worker_destroy(worker);
		return base_error_errno(error, "cannot start a worker thread beside %u others",
					pool->count);
	}
	pool->count++;
	show_count(pool);
	pool->starting++;
	return 0;
}

/** Doubles the pool at most, and not past the requests that wait. The lock is held. */
static void grow(struct bdus_workers *pool)
{
	unsigned more = pool->count > 0 ? pool->count : 1;

	more = (unsigned)base_min(more, pool->waiting);
	more = (unsigned)base_min(more, pool->policy.maximum - pool->count);
	while (more-- > 0 && start_worker(pool) == 0)
		;
}

/** Grows if the time has come and the threads are blocked; whether to ask again. Lock is held. */
static bool consider_growing(struct bdus_workers *pool)
{
	uint64_t now;

	if (pool->waiting == 0 || pool->paused || pool->count == pool->policy.maximum)
		return false;
	if (pool->starting > 0 || !base_list_is_empty(&pool->idle))
		return true;
	if (pool->count == 0) {
		grow(pool);
		return true;
	}
	now = base_now_ns();
	if (now < pool->next_look_ns)
		return true;
	if (all_are_blocked(pool)) {
		grow(pool);
		pool->look_pause_ns = LOOK_PAUSE_MIN_NS;
	} else {
		pool->look_pause_ns = base_min(2 * pool->look_pause_ns, LOOK_PAUSE_MAX_NS);
	}
	pool->next_look_ns = now + pool->look_pause_ns;
	return true;
}

bool bdus_workers_tick(struct bdus_workers *workers)
{
	bool again;

	pthread_mutex_lock(&workers->lock);
	again = consider_growing(workers);
	pthread_mutex_unlock(&workers->lock);
	return again;
}

/* ---- a thread ------------------------------------------------------------------------------ */

/** Takes the oldest request to serve it; NULL when there is none. The lock is held. */
static struct bdus_io *take_first(struct bdus_workers *pool)
{
	struct bdus_io *const io = pool->first;

	if (io == NULL || pool->paused)
		return NULL;
	pool->first = io->next;
	if (pool->first == NULL)
		pool->last = &pool->first;
	pool->waiting--;
	pool->running++;
	return io;
}

/**
 * Waits for a request as an idle thread. NULL when the thread should end: the pool ends, or it was
 * idle for too long and is not the last. The lock is held.
 */
static struct bdus_io *wait_for_request(struct worker *worker)
{
	struct bdus_workers *const pool = worker->pool;
	const uint64_t deadline_ns = base_deadline_ns(pool->policy.idle_ms);
	bool in_time = true;

	worker->given = NULL;
	base_list_push_front(&pool->idle, &worker->link);
	while (worker->given == NULL && !pool->ending && (in_time || pool->count == 1)) {
		if (pool->policy.fixed || pool->count == 1)
			pthread_cond_wait(&worker->wake, &pool->lock);
		else
			in_time = base_cond_wait_until(&worker->wake, &pool->lock, deadline_ns);
	}
	base_list_remove(&worker->link);
	return worker->given;
}

/**
 * Serves one request without the lock, which is held before and after. The request was counted in
 * `running` when it was taken.
 */
static void serve(struct worker *worker, struct bdus_io *io)
{
	struct bdus_workers *const pool = worker->pool;
	int result;

	base_list_push_back(&pool->busy, &worker->link);
	pthread_mutex_unlock(&pool->lock);
	result = pool->handle(pool->instance, &io->request);
	bdus_complete_from_any_thread(&io->request, result);
	pthread_mutex_lock(&pool->lock);
	base_list_remove(&worker->link);
	pool->running--;
	if (pool->running == 0 && pool->paused)
		pthread_cond_broadcast(&pool->quiet);
}

static void *worker_main(void *argument)
{
	struct worker *const worker = argument;
	struct bdus_workers *const pool = worker->pool;
	struct worker *ended_before;
	struct bdus_io *io;
	bool one_is_left;

	worker->state_fd = base_thread_open_state();
	pthread_mutex_lock(&pool->lock);
	pool->starting--;
	for (;;) {
		io = take_first(pool);
		if (io == NULL)
			io = wait_for_request(worker);
		if (io == NULL)
			break;
		serve(worker, io);
	}
	if (worker->state_fd >= 0)
		close(worker->state_fd);
	ended_before = pool->ended;
	pool->ended = worker;
	pool->count--;
	show_count(pool);
	one_is_left = pool->count == 1 && !pool->ending;
	pthread_cond_broadcast(&pool->quiet);
	pthread_mutex_unlock(&pool->lock);
	worker_join(ended_before);
	if (one_is_left)
		malloc_trim(0);
	return NULL;
}

/* ---- the pool ------------------------------------------------------------------------------ */

/** Gives waiting requests to idle threads. The lock is held. */
static void give_to_idle(struct bdus_workers *pool)
{
	while (!base_list_is_empty(&pool->idle)) {
		struct bdus_io *const io = take_first(pool);
		struct worker *worker;

		if (io == NULL)
			return;
		worker = base_list_entry(base_list_pop_front(&pool->idle), struct worker, link);
		worker->given = io;
		pthread_cond_signal(&worker->wake);
	}
}

void bdus_workers_submit(void *workers, struct bdus_request *request)
{
	struct bdus_workers *const pool = workers;
	struct bdus_io *const io = base_container_of(request, struct bdus_io, request);

	pthread_mutex_lock(&pool->lock);
	io->next = NULL;
	*pool->last = io;
	pool->last = &io->next;
	pool->waiting++;
	give_to_idle(pool);
	consider_growing(pool);
	pthread_mutex_unlock(&pool->lock);
}

void bdus_workers_pause(struct bdus_workers *workers)
{
	pthread_mutex_lock(&workers->lock);
	workers->paused = true;
	while (workers->running > 0)
		pthread_cond_wait(&workers->quiet, &workers->lock);
	pthread_mutex_unlock(&workers->lock);
}

void bdus_workers_resume(struct bdus_workers *workers)
{
	pthread_mutex_lock(&workers->lock);
	workers->paused = false;
	give_to_idle(workers);
	consider_growing(workers);
	pthread_mutex_unlock(&workers->lock);
}

unsigned bdus_workers_count(struct bdus_workers *workers)
{
	unsigned count;

	pthread_mutex_lock(&workers->lock);
	count = workers->count;
	pthread_mutex_unlock(&workers->lock);
	return count;
}

int bdus_workers_create(const struct bdus_workers_policy *policy,
			int (*handle)(void *instance, struct bdus_request *request), void *instance,
			struct bdus_workers **workers)
{
	struct bdus_workers *const pool = calloc(1, sizeof(*pool));
	int result = 0;

	if (pool == NULL)
		return base_error(ENOMEM, "no memory for a pool of worker threads");
	pool->policy = *policy;
	pool->handle = handle;
	pool->instance = instance;
	pool->last = &pool->first;
	pool->look_pause_ns = LOOK_PAUSE_MIN_NS;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->quiet, NULL);
	base_list_init(&pool->idle);
	base_list_init(&pool->busy);
	pthread_mutex_lock(&pool->lock);
	do
		result = start_worker(pool);
	while (result == 0 && policy->fixed && pool->count < policy->maximum);
	pthread_mutex_unlock(&pool->lock);
	if (result < 0) {
		bdus_workers_destroy(pool);
		return result;
	}
	*workers = pool;
	return 0;
}

void bdus_workers_destroy(struct bdus_workers *workers)
{
	if (workers == NULL)
		return;
	pthread_mutex_lock(&workers->lock);
	workers->ending = true;
	base_list_for_each (link, &workers->idle)
		pthread_cond_signal(&base_list_entry(link, struct worker, link)->wake);
	while (workers->count > 0)
		pthread_cond_wait(&workers->quiet, &workers->lock);
	pthread_mutex_unlock(&workers->lock);
	worker_join(workers->ended);
	pthread_mutex_destroy(&workers->lock);
	pthread_cond_destroy(&workers->quiet);
	free(workers);
}
