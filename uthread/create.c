/* SPDX-License-Identifier: MIT */
/*
 * The life of schedulers and of their workers.
 */
#include "uthread_fibers.h"
#include "uthread_internal.h"

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/thread.h"

#define THREADS_MOST (16U << 20)
#define STACK_BYTES  (64U << 10)
#define TICK_MS      10
/** After which uthread_turn() comes back, though threads could go on; each is 64 switches. */
#define LOOKS_IN_A_TURN 64

pthread_mutex_t uthread_schedulers_lock = PTHREAD_MUTEX_INITIALIZER;
struct uthread_scheduler *uthread_schedulers;

/* ---- options ------------------------------------------------------------------------------- */

static int limit(const char *name, uint32_t *value, uint32_t usual, uint32_t most)
{
	if (*value == 0)
		*value = usual;
	if (*value <= most)
		return 0;
	return base_error(EINVAL, "%s is %u: at most %u is possible", name, *value, most);
}

static uint32_t count_cpus(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
		return 1;
	return (uint32_t)base_min((uint64_t)CPU_COUNT(&cpus), UTHREAD_WORKERS_MAX);
}

static int check_tables(const struct uthread_options *options)
{
	const struct uthread_policy *const policy = options->policy;
	const struct uthread_hooks *const hooks = options->hooks;

	if (policy->size != sizeof(*policy) || policy->push == NULL || policy->pop == NULL)
		return base_error(EINVAL, "a policy has size %zu, a push and a pop",
				  sizeof(*policy));
	if (hooks != NULL && (hooks->size != sizeof(*hooks) || hooks->attach == NULL ||
			      hooks->detach == NULL || hooks->wait == NULL || hooks->kick == NULL))
		return base_error(EINVAL, "hooks have size %zu, and attach, detach, wait and kick",
				  sizeof(*hooks));
	return 0;
}

/** @workers: how many there are without a say. */
static int complete_options(const struct uthread_options *given, uint32_t workers,
			    struct uthread_options *options)
{
	const uint32_t known = UTHREAD_CLASSIC_GUARDS | UTHREAD_NO_OVERFLOW_MESSAGE |
			       UTHREAD_BOUND_THREADS | UTHREAD_DEADLOCK_GOES_ON;
	int error;

	memset(options, 0, sizeof(*options));
	if (given != NULL && given->size != sizeof(*given))
		return base_error(EINVAL, "size of options is %u: it has to be %zu", given->size,
				  sizeof(*given));
	if (given != NULL)
		*options = *given;
	if (options->flags & ~known)
		return base_error(EINVAL, "flags of options are 0x%x: only 0x%x have a meaning",
				  options->flags, known);
	if (options->policy == NULL)
		options->policy = &uthread_policy_stealing;
	if (options->stack_bytes == 0)
		options->stack_bytes = STACK_BYTES;
	if (options->stack_bytes < UTHREAD_STACK_MIN || options->stack_bytes > UTHREAD_STACK_MAX)
		return base_error(EINVAL, "stack_bytes is %zu: from %u to %u are possible",
				  options->stack_bytes, UTHREAD_STACK_MIN, UTHREAD_STACK_MAX);
	if ((options->flags & UTHREAD_BOUND_THREADS) && options->spare_workers != 0)
		return base_error(EINVAL,
				  "%u spare workers: with bound threads none could stand in",
				  options->spare_workers);
	error = limit("workers", &options->workers, workers, UTHREAD_WORKERS_MAX);
	if (error == 0)
		error = limit("spare_workers", &options->spare_workers, 0, UTHREAD_WORKERS_MAX);
	if (error == 0)
		error = limit("tick_ms", &options->tick_ms, TICK_MS, 1000000);
	if (error == 0)
		error = limit("max_threads", &options->max_threads, THREADS_MOST, THREADS_MOST);
	return error != 0 ? error : check_tables(options);
}

/* ---- schedulers ---------------------------------------------------------------------------- */

static int init_worker(struct uthread_scheduler *scheduler, unsigned index, bool spare)
{
	struct uthread_worker *const worker = &scheduler->workers[index];
	const struct uthread_policy *const policy = scheduler->policy;

	worker->scheduler = scheduler;
	worker->solo = scheduler->solo;
	worker->bound = scheduler->bound;
	worker->policy = policy;
	worker->hands_over = policy->flags & UTHREAD_POLICY_HANDS_OVER;
	worker->index = index;
	worker->spare = spare;
	worker->queue = calloc(1, policy->queue_bytes + 1);
	if (worker->queue == NULL)
		return base_error(ENOMEM, "no memory for the queue of policy %s", policy->name);
	if (policy->init != NULL) {
		const int error = policy->init(worker->queue);

		if (error != 0) {
			free(worker->queue);
			worker->queue = NULL;
			return error;
		}
	}
	scheduler->workers_made++;
	return 0;
}

static void take_options(struct uthread_scheduler *scheduler, const struct uthread_options *options)
{
	scheduler->solo = options->workers == 1 && options->spare_workers == 0;
	scheduler->bound = (options->flags & UTHREAD_BOUND_THREADS) && !scheduler->solo;
	scheduler->flags = options->flags;
	scheduler->max_threads = options->max_threads;
	scheduler->tick_ms = options->tick_ms;
	scheduler->stack_bytes = options->stack_bytes;
	scheduler->policy = options->policy;
	scheduler->hooks = options->hooks;
	scheduler->hooks_context = options->hooks_context;
	scheduler->report = options->report;
	scheduler->report_context = options->report_context;
	scheduler->workers_count = options->workers + options->spare_workers;
	atomic_store(&scheduler->first_wake_ns, UTHREAD_NEVER);
}

static void enlist(struct uthread_scheduler *scheduler)
{
	pthread_mutex_lock(&uthread_schedulers_lock);
	scheduler->list_next = uthread_schedulers;
	uthread_schedulers = scheduler;
	pthread_mutex_unlock(&uthread_schedulers_lock);
}

static void strike_off(struct uthread_scheduler *scheduler)
{
	pthread_mutex_lock(&uthread_schedulers_lock);
	for (struct uthread_scheduler **link = &uthread_schedulers; *link != NULL;
	     link = &(*link)->list_next)
		if (*link == scheduler) {
			*link = scheduler->list_next;
			break;
		}
	pthread_mutex_unlock(&uthread_schedulers_lock);
}

static void *allocate(size_t bytes)
{
	void *const memory = aligned_alloc(64, base_align_up(bytes, 64));

	if (memory != NULL)
		memset(memory, 0, bytes);
	return memory;
}

static int create(const struct uthread_options *options, struct uthread_scheduler **result)
{
	struct uthread_scheduler *const scheduler = allocate(sizeof(*scheduler));
	int error = 0;

	if (scheduler == NULL)
		return base_error(ENOMEM, "no memory for a scheduler");
	take_options(scheduler, options);
	enlist(scheduler);
	scheduler->workers = allocate(scheduler->workers_count * sizeof(struct uthread_worker));
	scheduler->workers_memory = scheduler->workers;
	if (scheduler->workers == NULL)
		error = base_error(ENOMEM, "no memory for %u workers", scheduler->workers_count);
	for (unsigned i = 0; error == 0 && i < scheduler->workers_count; i++)
		error = init_worker(scheduler, i, i >= options->workers);
	if (error != 0) {
		uthread_scheduler_destroy(scheduler);
		return error;
	}
	uthread_stacks_init(scheduler);
	uthread_watch_forks();
	if (!(options->flags & UTHREAD_NO_OVERFLOW_MESSAGE))
		uthread_overflow_watch();
	*result = scheduler;
	return 0;
}

void uthread_scheduler_destroy(struct uthread_scheduler *scheduler)
{
	if (scheduler == NULL)
		return;
	while (atomic_load(&scheduler->unparking) != 0)
		sched_yield();
	for (unsigned i = 0; i < scheduler->workers_made; i++) {
		struct uthread_worker *const worker = &scheduler->workers_memory[i];

		if (scheduler->passive && worker->attached)
			scheduler->hooks->detach(worker->hooks_state);
		if (scheduler->policy->finish != NULL)
			scheduler->policy->finish(worker->queue);
		free(worker->queue);
	}
	strike_off(scheduler);
	uthread_stacks_finish(scheduler);
	free(scheduler->workers_memory);
	free(scheduler);
}

/* ---- workers ------------------------------------------------------------------------------- */

static int attach(struct uthread_worker *worker)
{
	const struct uthread_hooks *const hooks = worker->scheduler->hooks;
	int error;

	worker->errno_location = &errno;
	uthread_fiber_adopt(&worker->base);
	if (hooks == NULL || worker->attached)
		return 0;
	error = hooks->attach(worker->scheduler->hooks_context, &worker->hooks_state);
	worker->attached = error == 0;
	return error;
}

static void detach(struct uthread_worker *worker)
{
	if (worker->attached)
		worker->scheduler->hooks->detach(worker->hooks_state);
	worker->attached = false;
}

void uthread_stop(struct uthread_scheduler *scheduler)
{
	atomic_store(&scheduler->stopping, true);
	uthread_wake_all_workers(scheduler);
}

static void work(struct uthread_worker *worker)
{
	const bool goes_on = worker->scheduler->flags & UTHREAD_DEADLOCK_GOES_ON;

	if (worker->spare)
		uthread_idle(worker);
	while (!atomic_load(&worker->scheduler->stopping)) {
		if (uthread_run_ready(worker) > 0 && goes_on)
			atomic_store(&worker->scheduler->deadlocked, false);
		if (!atomic_load(&worker->scheduler->stopping))
			uthread_idle(worker);
	}
}

static void *worker_main(void *argument)
{
	struct uthread_worker *const worker = argument;
	struct uthread_scheduler *const scheduler = worker->scheduler;

	uthread_here = worker;
	uthread_overflow_admit();
	uthread_overflow_attach();
	/* One that cannot attach leaves the work to the others. */
	if (attach(worker) == 0)
		work(worker);
	else
		atomic_fetch_add(&worker->scheduler->idle_count, 1);
	atomic_fetch_add(&scheduler->stopped, 1);
	uthread_wake_on(&scheduler->stopped);
	while (atomic_load(&scheduler->all_stopped) == 0)
		uthread_sleep_on(&scheduler->all_stopped, 0, UTHREAD_NEVER);
	detach(worker);
	return NULL;
}

static int start_workers(struct uthread_scheduler *scheduler)
{
	for (unsigned i = 1; i < scheduler->workers_count; i++) {
		struct uthread_worker *const worker = &scheduler->workers[i];
		const int error = base_thread_start(&worker->thread, worker_main, worker);

		if (error != 0)
			return base_error_errno(error, "cannot start worker %u of %u", i + 1,
						scheduler->workers_count);
		worker->started = true;
		scheduler->started++;
	}
	return uthread_monitor_start(scheduler);
}

static void join_workers(struct uthread_scheduler *scheduler)
{
	unsigned stopped;

	uthread_stop(scheduler);
	uthread_monitor_stop(scheduler);
	while ((stopped = atomic_load(&scheduler->stopped)) < scheduler->started)
		uthread_sleep_on(&scheduler->stopped, stopped, UTHREAD_NEVER);
	atomic_store(&scheduler->all_stopped, 1);
	uthread_wake_on(&scheduler->all_stopped);
	for (unsigned i = 1; i < scheduler->workers_count; i++)
		if (scheduler->workers[i].started)
			pthread_join(scheduler->workers[i].thread, NULL);
}

/* ---- running ------------------------------------------------------------------------------- */

static int run(struct uthread_scheduler *scheduler, void *(*start)(void *), void *argument)
{
	struct uthread_worker *const worker = &scheduler->workers[0];
	int error = attach(worker);

	if (error != 0)
		return error;
	error = uthread_spawn(worker, scheduler, NULL, NULL, start, argument, NULL, NULL);
	if (error == 0)
		error = start_workers(scheduler);
	if (error == 0)
		work(worker);
	join_workers(scheduler);
	detach(worker);
	if (error == 0 && atomic_load(&scheduler->deadlocked))
		error = base_error(EDEADLK, "%u threads can never go on",
				   atomic_load(&scheduler->live));
	return error;
}

static int check_caller(void)
{
	if (uthread_here == NULL)
		return 0;
	return base_error(EPERM, "the caller is a worker of a scheduler");
}

int uthread_run(const struct uthread_options *given, void *(*start)(void *), void *argument,
		void **result)
{
	struct uthread_scheduler *scheduler;
	struct uthread_options options;
	int error = check_caller();

	if (error == 0)
		error = complete_options(given, count_cpus(), &options);
	if (error == 0)
		error = create(&options, &scheduler);
	if (error != 0)
		return error;
	uthread_here = &scheduler->workers[0];
	uthread_overflow_attach();
	error = run(scheduler, start, argument);
	uthread_here = NULL;
	if (error == 0 && result != NULL)
		*result = scheduler->main_result;
	uthread_scheduler_destroy(scheduler);
	return error;
}

/* ---- in a loop of the program's ------------------------------------------------------------- */

int uthread_scheduler_create(const struct uthread_options *given,
			     struct uthread_scheduler **scheduler)
{
	struct uthread_options options;
	int error = complete_options(given, 1, &options);

	if (error != 0)
		return error;
	if (options.workers != 1 || options.spare_workers != 0)
		return base_error(EINVAL,
				  "%u workers and %u spare ones: a scheduler in a program's loop "
				  "has one",
				  options.workers, options.spare_workers);
	error = create(&options, scheduler);
	if (error == 0)
		(*scheduler)->passive = true;
	return error;
}

/** For each thread of the kernel that takes a turn after another one. */
static int attach_to_caller(struct uthread_worker *worker)
{
	const int error = attach(worker);

	if (error != 0)
		worker->errno_location = NULL;
	else
		uthread_overflow_attach();
	return error;
}

int uthread_turn(struct uthread_scheduler *scheduler, struct uthread_turn *left)
{
	struct uthread_worker *const worker = &scheduler->workers[0];
	unsigned long switches;
	int error = check_caller();

	if (error == 0 && base_unlikely(worker->errno_location != &errno))
		error = attach_to_caller(worker);
	if (error != 0)
		return error;
	uthread_here = worker;
	worker->looks_left = LOOKS_IN_A_TURN;
	worker->turn_over = false;
	switches = uthread_run_ready(worker);
	uthread_here = NULL;
	if (left != NULL)
		*left = (struct uthread_turn){
			.threads = atomic_load(&scheduler->live),
			.deadline_ns = worker->turn_over ? 0 : uthread_timers_first(scheduler),
		};
	return (int)base_min(switches, INT_MAX);
}

int uthread_scheduler_spawn(struct uthread_scheduler *scheduler, uthread_t *thread,
			    const struct uthread_attr *attr, void *(*start)(void *), void *argument)
{
	return uthread_spawn(&scheduler->workers[0], scheduler, thread, attr, start, argument, NULL,
			     NULL);
}

static void cancel_live(struct uthread *thread, void *context)
{
	struct uthread_worker *const worker = context;
	bool parked;

	if (atomic_load_explicit(&thread->life, memory_order_relaxed) != UTHREAD_LIFE_ALIVE)
		return;
	parked = uthread_cancel_thread(worker->solo, thread);
	uthread_wake(worker, thread, parked);
}

void uthread_scheduler_cancel(struct uthread_scheduler *scheduler)
{
	uthread_threads_visit(scheduler, cancel_live, &scheduler->workers[0]);
}

int uthread_describe(struct uthread_info *info)
{
	const struct uthread *const self = uthread_current();
	const struct uthread_scheduler *scheduler;

	if (self == NULL)
		return uthread_no_thread();
	scheduler = self->worker->scheduler;
	memset(info, 0, sizeof(*info));
	info->light_guards = scheduler->light_guards;
	info->threads = atomic_load(&scheduler->live);
	info->stacks = scheduler->stacks;
	info->stuck = atomic_load(&scheduler->stuck);
	for (unsigned i = 0; i < scheduler->workers_count; i++) {
		const struct uthread_worker *const worker = &scheduler->workers[i];

		*(worker->spare ? &info->spare_workers : &info->workers) += 1;
		info->created += atomic_load(&worker->created);
		info->switches += atomic_load(&worker->switches);
		info->steals += atomic_load(&worker->steals);
	}
	return 0;
}

void *uthread_hooks_state(void)
{
	struct uthread_worker *const worker = uthread_here;

	return worker != NULL ? worker->hooks_state : NULL;
}
