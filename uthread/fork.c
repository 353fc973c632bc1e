/* SPDX-License-Identifier: MIT */
/*
 * fork(2) from a userland thread: as POSIX has it, the child has the calling thread only. The
 * others are never run in it; their stacks stay until the scheduler is destroyed. The child's
 * scheduler has one worker, the caller's, whatever the parent had. Schedulers that the caller does
 * not belong to are left alone; passive ones can be turned by the child as well.
 */
#include "uthread_internal.h"

static pthread_once_t watched = PTHREAD_ONCE_INIT;

static void reset_queue(struct uthread_worker *worker)
{
	const struct uthread_policy *const policy = worker->policy;

	if (policy->finish != NULL)
		policy->finish(worker->queue);
	memset(worker->queue, 0, policy->queue_bytes);
	/* It worked with the same memory before. */
	if (policy->init != NULL)
		(void)policy->init(worker->queue);
	atomic_store(&worker->queued, 0);
	atomic_store(&worker->next, NULL);
	atomic_store(&worker->queue_lock, 0);
	worker->solo = true;
	worker->bound = false;
	worker->spare = false;
}

static void reset_hooks(struct uthread_worker *worker)
{
	const struct uthread_hooks *const hooks = worker->scheduler->hooks;

	if (hooks == NULL || !worker->attached)
		return;
	if (hooks->forked != NULL)
		hooks->forked(worker->hooks_state);
	worker->hooks_state = NULL;
	worker->attached =
		hooks->attach(worker->scheduler->hooks_context, &worker->hooks_state) == 0;
}

static void leave_only(struct uthread_scheduler *scheduler, struct uthread_worker *worker)
{
	scheduler->workers = worker;
	scheduler->workers_count = 1;
	scheduler->solo = true;
	scheduler->bound = false;
	scheduler->monitored = false;
	scheduler->started = 0;
	atomic_store(&scheduler->unparking, 0);
	scheduler->timers = NULL;
	atomic_store(&scheduler->first_wake_ns, UTHREAD_NEVER);
	atomic_store(&scheduler->timers_lock, 0);
	atomic_store(&scheduler->stacks_lock, 0);
	atomic_store(&scheduler->live, 1);
	atomic_store(&scheduler->parked, 0);
	atomic_store(&scheduler->idle_count, 0);
	atomic_store(&scheduler->inbox, NULL);
	uthread_stacks_forked(worker);
	reset_queue(worker);
	reset_hooks(worker);
}

static void before(void)
{
	pthread_mutex_lock(&uthread_schedulers_lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&uthread_schedulers_lock);
}

static void in_child(void)
{
	struct uthread_worker *const worker = uthread_here;

	pthread_mutex_unlock(&uthread_schedulers_lock);
	uthread_buckets_reset();
	if (worker != NULL && worker->current != NULL)
		leave_only(worker->scheduler, worker);
}

static void watch(void)
{
	pthread_atfork(before, in_parent, in_child);
}

void uthread_watch_forks(void)
{
	pthread_once(&watched, watch);
}
