/* SPDX-License-Identifier: MIT */
/*
 * The elastic pool: threads for what blocks.
 *
 *	           message waits, no idle one               takes a message
 *	  (none) ───────────────────────────▶ starting ──▶ idle ◀────────────▶ busy
 *	                                                     │    finished it
 *	                                                     └─▶ (none), after idle_ms
 *
 * As many threads as there are processors take messages freely. One more takes a message only when
 * the kernel says that those which are busy are blocked rather than computing: more threads do not
 * help what computes. A thread that finds them computing looks again after a pause that doubles.
 * Who takes a message while others wait sees to it that an idle thread looks after those, so that
 * the pool grows without anybody else.
 *
 * The thread that became idle last is woken first, so that those which the load does not need end.
 * A thread that ends joins the one that ended before it; the pool's destroyer joins the last.
 *
 * `lock` protects everything that is not constant. No system call of a message runs under it, and
 * no other lock is taken under it.
 */
#include "asys_internal.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/error.h"
#include "base/list.h"
#include "base/thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_PAUSE_MIN_NS (UINT64_C(250) * 1000)
#define LOOK_PAUSE_MAX_NS (UINT64_C(16) * 1000 * 1000)

/* Of Linux 5.16; headers may be older. */
#define NUMBER_FUTEX_WAITV    449
#define FUTEX_WAITV_32_BITS   2
#define FUTEX_WAITV_PRIVATELY 128

struct futex_waitv_entry {
	uint64_t value;
	uint64_t word;
	uint32_t flags;
	uint32_t reserved;
};

/** `queued` of a message, under the lock; its marks stay the owner's. */
enum {
	NOT_QUEUED,
	QUEUED_TO_CALL,
	QUEUED_TO_TRY
};

struct worker {
	struct asys_pool *pool;
	pthread_t thread;
	/** In `idle` or `busy`. */
	struct base_list link;
	pthread_cond_t wake;
	bool woken;
	/** What it carries out. Cleared without the lock, before the owner gets it back. */
	_Atomic(struct asys_message *) message;
	/** 1 tells its wait for a futex to end. */
	_Atomic uint32_t stop;
	/** /proc/self/task/TID/stat; -1 where it cannot be opened. */
	int state_fd;
};

struct asys_pool {
	struct asys *asys;
	unsigned maximum;
	unsigned processors;
	uint64_t idle_ns;

	pthread_mutex_t lock;
	/** Signalled when a thread ends. */
	pthread_cond_t ended_one;
	/** Waiting messages, linked both ways. */
	struct asys_message *first;
	struct asys_message *last;
	unsigned count;
	unsigned starting;
	unsigned busy_count;
	/** How many may still begin on the word of the last look. */
	unsigned allowance;
	/** A thread waits until it is time for another look. */
	bool pausing;
	/** The kernel can wait for two futexes at once. */
	bool futex_can_stop;
	bool ending;
	struct base_list idle;
	struct base_list busy;
	struct worker *ended;
	uint64_t look_pause_ns;
};

static void *worker_main(void *argument);

/* ---- waiting messages ---------------------------------------------------------------------- */

static void append(struct asys_pool *pool, struct asys_message *message)
{
	message->next = NULL;
	message->queued = (message->marks & ASYS_MARK_NO_WAIT) ? QUEUED_TO_TRY : QUEUED_TO_CALL;
	message->previous = pool->last;
	if (pool->last != NULL)
		pool->last->next = message;
	else
		pool->first = message;
	pool->last = message;
}

static void take_out(struct asys_pool *pool, struct asys_message *message)
{
	message->queued = NOT_QUEUED;
	if (message->previous != NULL)
		message->previous->next = message->next;
	else
		pool->first = message->next;
	if (message->next != NULL)
		message->next->previous = message->previous;
	else
		pool->last = message->previous;
}

/* ---- threads ------------------------------------------------------------------------------- */

static struct worker *worker_create(struct asys_pool *pool)
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

/** Starts one thread with every signal blocked. The lock is held. */
static bool start_worker(struct asys_pool *pool)
{
	struct worker *const worker = worker_create(pool);

	if (worker == NULL)
		return false;
	if (base_thread_start(&worker->thread, worker_main, worker) != 0) {
		worker_destroy(worker);
		return false;
	}
	pool->count++;
	pool->starting++;
	return true;
}

/** A message waits: an idle thread, or else a new one, is to look after it. The lock is held. */
static void call_somebody(struct asys_pool *pool)
{
	if (pool->pausing)
		return;
	base_list_for_each (link, &pool->idle) {
		struct worker *const worker = base_list_entry(link, struct worker, link);

		if (!worker->woken) {
			worker->woken = true;
			pthread_cond_signal(&worker->wake);
		}
		return;
	}
	if (pool->starting == 0 && pool->count < pool->maximum && !pool->ending)
		start_worker(pool);
}

/** Whether one more busy thread is of use. The lock is held. */
static bool one_more_helps(struct asys_pool *pool)
{
	unsigned computing = 0;

	if (pool->busy_count < pool->processors)
		return true;
	if (pool->allowance > 0) {
		pool->allowance--;
		return true;
	}
	base_list_for_each (link, &pool->busy) {
		computing += !base_thread_is_blocked(
			base_list_entry(link, struct worker, link)->state_fd);
		if (computing >= pool->processors)
			return false;
	}
	pool->allowance = pool->busy_count - 1;
	return true;
}

/* ---- carrying out -------------------------------------------------------------------------- */

/** Waits for the program's futex and for our own word, so that it can be stopped. */
static int64_t wait_for_futex(struct worker *worker, const struct asys_message *message)
{
	const struct futex_waitv_entry words[] = {
		{message->arguments[1], message->arguments[0],
		 FUTEX_WAITV_32_BITS | FUTEX_WAITV_PRIVATELY, 0},
		{0, asys_pointer(&worker->stop), FUTEX_WAITV_32_BITS | FUTEX_WAITV_PRIVATELY, 0},
	};
	long woken;

	if (!worker->pool->futex_can_stop)
		return asys_call(message, message->arguments[0]);
	woken = syscall(NUMBER_FUTEX_WAITV, words, 2, 0, NULL, 0);
	if (atomic_load(&worker->stop) != 0 && woken != 0)
		return -ECANCELED;
	return woken < 0 ? -errno : 0;
}

static int64_t carry_out(struct worker *worker, const struct asys_message *message, bool no_wait)
{
	const uint64_t file = (message->flags & ASYS_FIXED_FILE) ? (uint64_t)message->file
								 : message->arguments[0];

	if (message->number == ASYS_FUTEX_WAIT)
		return wait_for_futex(worker, message);
	return no_wait ? asys_try(message, file) : asys_call(message, file);
}

/** Takes the first message, carries it out without the lock, and gives it back. */
static void serve(struct worker *worker)
{
	struct asys_pool *const pool = worker->pool;
	struct asys_message *const message = pool->first;
	const bool no_wait = message->queued == QUEUED_TO_TRY;

	take_out(pool, message);
	base_list_remove(&worker->link);
	base_list_push_back(&pool->busy, &worker->link);
	pool->busy_count++;
	atomic_store(&worker->stop, 0);
	atomic_store(&worker->message, message);
	pool->look_pause_ns = LOOK_PAUSE_MIN_NS;
	if (pool->first != NULL)
		call_somebody(pool);
	pthread_mutex_unlock(&pool->lock);

	message->result = carry_out(worker, message, no_wait);
	atomic_store(&worker->message, NULL);
	asys_shared_push(pool->asys, &pool->asys->finished, message, message);

	pthread_mutex_lock(&pool->lock);
	base_list_remove(&worker->link);
	base_list_push_front(&pool->idle, &worker->link);
	pool->busy_count--;
}

/** Sleeps until woken or @pause_ns is over; whether it was woken. The lock is held. */
static bool doze(struct worker *worker, uint64_t pause_ns)
{
	const uint64_t until_ns = base_now_ns() + pause_ns;
	bool in_time = true;

	while (!worker->woken && in_time)
		in_time = base_cond_wait_until(&worker->wake, &worker->pool->lock, until_ns);
	worker->woken = false;
	return in_time;
}

/** One step of an idle thread; false when it is to end. The lock is held. */
static bool step(struct worker *worker)
{
	struct asys_pool *const pool = worker->pool;
	uint64_t pause_ns;

	if (pool->first == NULL) {
		if (pool->ending)
			return false;
		return doze(worker, pool->idle_ns) || pool->first != NULL;
	}
	if (one_more_helps(pool)) {
		serve(worker);
		return true;
	}
	pause_ns = pool->look_pause_ns;
	pool->look_pause_ns = base_min(2 * pause_ns, LOOK_PAUSE_MAX_NS);
	pool->pausing = true;
	doze(worker, pause_ns);
	pool->pausing = false;
	return true;
}

static void *worker_main(void *argument)
{
	struct worker *const worker = argument;
	struct asys_pool *const pool = worker->pool;
	struct worker *before;

	worker->state_fd = base_thread_open_state();
	pthread_mutex_lock(&pool->lock);
	pool->starting--;
	base_list_push_front(&pool->idle, &worker->link);
	while (step(worker))
		;
	base_list_remove(&worker->link);
	pool->count--;
	before = pool->ended;
	pool->ended = worker;
	if (worker->state_fd >= 0)
		close(worker->state_fd);
	pthread_cond_signal(&pool->ended_one);
	pthread_mutex_unlock(&pool->lock);
	worker_join(before);
	return NULL;
}

/* ---- for the owner ------------------------------------------------------------------------- */

int asys_pool_create(struct asys *asys, const struct asys_options *options,
		     struct asys_pool **result_pool)
{
	struct asys_pool *const pool = calloc(1, sizeof(*pool));
	const long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (pool == NULL)
		return base_error(ENOMEM, "no memory for a pool of workers");
	pool->asys = asys;
	pool->maximum = options->max_workers;
	pool->processors = processors > 0 ? (unsigned)processors : 1;
	pool->idle_ns = (uint64_t)options->worker_idle_ms * 1000000U;
	pool->look_pause_ns = LOOK_PAUSE_MIN_NS;
	/* To wait for no futex at all is refused in another way than by a kernel without the call.
	 */
	pool->futex_can_stop =
		syscall(NUMBER_FUTEX_WAITV, NULL, 0, 0, NULL, 0) < 0 && errno == EINVAL;
	pthread_mutex_init(&pool->lock, NULL);
	base_cond_init(&pool->ended_one);
	base_list_init(&pool->idle);
	base_list_init(&pool->busy);
	*result_pool = pool;
	return 0;
}

/** In the child of a fork there are no threads, and the lock may be one of theirs. */
void asys_pool_destroy(struct asys_pool *pool, bool forked)
{
	if (pool == NULL)
		return;
	if (!forked) {
		pthread_mutex_lock(&pool->lock);
		pool->ending = true;
		base_list_for_each (link, &pool->idle) {
			struct worker *const worker = base_list_entry(link, struct worker, link);

			worker->woken = true;
			pthread_cond_signal(&worker->wake);
		}
		while (pool->count > 0)
			pthread_cond_wait(&pool->ended_one, &pool->lock);
		pthread_mutex_unlock(&pool->lock);
		worker_join(pool->ended);
		pthread_cond_destroy(&pool->ended_one);
		pthread_mutex_destroy(&pool->lock);
	}
	free(pool);
}

static void finish_unserved(struct asys_pool *pool, struct asys_message *message)
{
	take_out(pool, message);
	message->result = -EAGAIN;
	message->marks &= (uint8_t)~ASYS_MARK_NO_WAIT;
	asys_shared_push(pool->asys, &pool->asys->finished, message, message);
}

void asys_pool_give(struct asys_pool *pool, struct asys_message *message)
{
	pthread_mutex_lock(&pool->lock);
	append(pool, message);
	call_somebody(pool);
	/* Not one thread can be had: nobody would ever come. */
	if (base_unlikely(pool->count == 0))
		finish_unserved(pool, message);
	pthread_mutex_unlock(&pool->lock);
}

/** Ends a wait for a futex in a worker. The lock is held. */
static void stop_worker(struct worker *worker)
{
	atomic_store(&worker->stop, 1);
	syscall(SYS_futex, &worker->stop, FUTEX_WAKE_PRIVATE, 1);
}

static struct worker *find_worker(struct asys_pool *pool, const struct asys_message *message)
{
	base_list_for_each (link, &pool->busy) {
		struct worker *const worker = base_list_entry(link, struct worker, link);

		if (atomic_load(&worker->message) == message)
			return worker;
	}
	return NULL;
}

int asys_pool_cancel(struct asys_pool *pool, struct asys_message *message)
{
	int result = -EALREADY;

	pthread_mutex_lock(&pool->lock);
	if (message->queued != NOT_QUEUED) {
		take_out(pool, message);
		result = ASYS_POOL_TAKEN_BACK;
	} else if (message->number == ASYS_FUTEX_WAIT && pool->futex_can_stop) {
		struct worker *const worker = find_worker(pool, message);

		if (worker != NULL) {
			stop_worker(worker);
			result = ASYS_POOL_WILL_END;
		}
	}
	pthread_mutex_unlock(&pool->lock);
	return result;
}

struct asys_message *asys_pool_take_all(struct asys_pool *pool)
{
	struct asys_message *first;

	pthread_mutex_lock(&pool->lock);
	first = pool->first;
	pool->first = NULL;
	pool->last = NULL;
	for (struct asys_message *message = first; message != NULL; message = message->next)
		message->queued = NOT_QUEUED;
	base_list_for_each (link, &pool->busy) {
		struct worker *const worker = base_list_entry(link, struct worker, link);
		const struct asys_message *const message = atomic_load(&worker->message);

		if (message != NULL && message->number == ASYS_FUTEX_WAIT)
			stop_worker(worker);
	}
	pthread_mutex_unlock(&pool->lock);
	return first;
}

unsigned asys_pool_size(struct asys_pool *pool)
{
	unsigned count;

	pthread_mutex_lock(&pool->lock);
	count = pool->count;
	pthread_mutex_unlock(&pool->lock);
	return count;
}
