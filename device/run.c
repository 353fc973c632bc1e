/* SPDX-License-Identifier: MIT */
/*
 * Running a driver: everything that a program with a loop of its own would do itself, and the
 * threads that this takes.
 *
 *	open_driver, its filters ─▶ bdus_device_make ─▶ open_queues ─▶ bdus_device_start ─▶
 *serve_main_queue ─▶ join_threads ─▶ close the queues ─▶ close_driver ─▶ bdus_device_destroy
 *
 * The thread that calls bdus_run_driver() is the device's main thread and serves queue 0; queues
 * from 1 on have a thread each. A driver with `handle` gets the elastic pool, or is called on the
 * main thread where only one call may be in progress; one with `thread` gets userland threads on
 *the loops of its queues.
 */
#include "run.h"

#include "attrs.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/thread.h"
#include "daemonize.h"
#include "device.h"
#include "options.h"
#include "signals.h"
#include "stack.h"
#include "workers.h"

#include <bdus/thread.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORKER_IDLE_MS 1000

enum thread_orders {
	ORDERS_NONE,
	ORDERS_SERVE,
	ORDERS_LEAVE,
};

struct run;

/** A thread that owns a queue from 1 on. */
struct queue_thread {
	struct run *run;
	unsigned index;
	pthread_t thread;
	int open_result;
	char open_error[BASE_ERROR_MESSAGE_BYTES];
};

struct run {
	const struct bdus_run_config *config;
	struct bdus_daemon *daemon;
	int signal_slot;

	void *instance;
	bool driver_is_open;
	struct bdus_device_attrs attrs;
	uint32_t native_ops;
	/** NULL without filters. */
	struct bdus_stack *stack;
	struct bdus_workers *workers;
	struct bdus_thread_driver threaded;

	struct bdus_device *device;
	struct bdus_loop *loop;
	struct bdus_queue *main_queue;
	struct queue_thread *threads;
	unsigned thread_count;
	/** Protects the threads' start: `opened`, `orders`. */
	pthread_mutex_t start_lock;
	pthread_cond_t start_changed;
	unsigned opened;
	enum thread_orders orders;

	/** What the run returns, with its message; the first error counts. */
	int result;
	char message[BASE_ERROR_MESSAGE_BYTES];
};

/** Keeps the first error of the run; returns @result. */
static int note_result(struct run *run, int result)
{
	if (result < 0 && run->result == 0) {
		run->result = result;
		snprintf(run->message, sizeof(run->message), "%s", base_error_message());
	}
	return result;
}

/* ---- the driver ---------------------------------------------------------------------------- */

/** Serves a request on the queue's own thread, where only one callback may run at a time. */
static void handle_in_place(void *opaque, struct bdus_request *request)
{
	struct run *const run = opaque;

	bdus_complete(request, run->config->driver->handle(run->instance, request));
}

static int make_top_layer(struct run *run, struct bdus_layer *top)
{
	const struct bdus_driver *const driver = run->config->driver;
	const struct bdus_workers_policy policy = {
		.maximum = run->attrs.max_concurrency,
		.idle_ms = WORKER_IDLE_MS,
		.fixed = getenv("BDUS_FIXED_WORKERS") != NULL,
		.shown =
			driver->handle != NULL && run->attrs.max_concurrency > 1
				? bdus_device_shown_workers(run->device, run->attrs.max_concurrency)
				: NULL,
	};
	int result;

	if (driver->submit != NULL) {
		*top = (struct bdus_layer){.submit = driver->submit, .instance = run->instance};
		return 0;
	}
	if (driver->thread != NULL) {
		run->threaded = (struct bdus_thread_driver){
			.size = sizeof(run->threaded),
			.handle = driver->thread,
			.instance = run->instance,
			.stack_bytes = run->attrs.thread_stack_bytes,
		};
		*top = (struct bdus_layer){.submit = bdus_thread_submit,
					   .instance = &run->threaded};
		return 0;
	}
	if (policy.maximum == 1) {
		*top = (struct bdus_layer){.submit = handle_in_place, .instance = run};
		run->loop->serves_in_place = true;
		return 0;
	}
	result = bdus_workers_create(&policy, driver->handle, run->instance, &run->workers);
	*top = (struct bdus_layer){.submit = bdus_workers_submit, .instance = run->workers};
	return result;
}

static int check_driver(const struct bdus_driver *driver)
{
	const int styles =
		(driver->submit != NULL) + (driver->handle != NULL) + (driver->thread != NULL);

	if (driver->open == NULL || styles != 1)
		return base_error(EINVAL,
				  "driver %s: must have `open` and exactly one of `submit`, "
				  "`handle` and `thread`",
				  driver->name);
	return 0;
}

/** More queues than processors take memory and threads for nothing, unless somebody asks for them.
 */
static uint32_t processor_count(void)
{
	const long count = sysconf(_SC_NPROCESSORS_ONLN);

	return count > 0 ? (uint32_t)count : 1;
}

static void apply_overrides(struct run *run)
{
	const struct bdus_run_config *const config = run->config;
	struct bdus_device_attrs *const attrs = &run->attrs;

	if (config->read_only)
		attrs->flags |= BDUS_DEVICE_READ_ONLY;
	if (config->no_partition_scan)
		attrs->flags |= BDUS_DEVICE_NO_PARTITION_SCAN;
	if (config->queue_depth != 0)
		attrs->queue_depth = config->queue_depth;
	attrs->queues = (uint32_t)base_min(attrs->queues, config->queues != 0 ? config->queues
									      : processor_count());
	/* A blocking driver gets its concurrency from workers, which one queue feeds. */
	if (config->driver->handle != NULL)
		attrs->queues = 1;
}

/** The filters, and what they may send to, if there are any. */
static int create_stack(const struct bdus_run_config *config, struct bdus_stack **stack)
{
	int result;

	if (config->filter_count == 0)
		return config->backend_count == 0
			       ? 0
			       : base_error(EINVAL,
					    "%u backends, but no filter that could send "
					    "anything to them",
					    config->backend_count);
	result = bdus_stack_create(config->filters, config->filter_count, stack);
	if (result == 0)
		result = bdus_stack_add_backends(*stack, config->backends, config->backend_count);
	return result;
}

static int open_driver(struct run *run)
{
	const struct bdus_run_config *const config = run->config;
	struct bdus_config *options = NULL;
	char owner[96];
	int result = check_driver(config->driver);

	if (result < 0)
		return result;
	snprintf(owner, sizeof(owner), "driver %s", config->driver->name);
	result = bdus_config_create(owner, config->driver->options, config->driver_options,
				    config->driver_option_count, &options);
	if (result == 0)
		result = create_stack(config, &run->stack);
	if (result < 0) {
		bdus_config_destroy(options);
		return result;
	}
	run->attrs.flags = config->read_only ? BDUS_DEVICE_READ_ONLY : 0;
	result = config->driver->open(options, &run->attrs, &run->instance);
	bdus_config_destroy(options);
	if (result < 0)
		return result;
	run->driver_is_open = true;
	apply_overrides(run);
	result = bdus_attrs_complete(owner, &run->attrs);
	if (result == 0 && run->stack != NULL)
		result = bdus_stack_open(run->stack, &run->attrs);
	if (result < 0)
		return result;
	run->native_ops = run->attrs.ops;
	run->attrs.ops = bdus_rules_effective_ops(run->native_ops, run->attrs.flags);
	return 0;
}

static void close_driver(struct run *run)
{
	const struct bdus_driver *const driver = run->config->driver;

	if (!run->driver_is_open)
		return;
	run->driver_is_open = false;
	if (run->stack != NULL)
		note_result(run, bdus_stack_close(run->stack));
	if (driver->close != NULL)
		note_result(run, driver->close(run->instance));
}

/* ---- the device ---------------------------------------------------------------------------- */

static int device_created(void *opaque, struct bdus_device *device)
{
	struct run *const run = opaque;

	run->attrs = *bdus_device_attrs(device);
	if (run->config->created == NULL)
		return 0;
	return run->config->created(run->config->opaque, device, bdus_device_attrs(device),
				    bdus_device_info(device));
}

static int device_available(void *opaque, const struct bdus_device_info *info)
{
	struct run *const run = opaque;
	int result = 0;

	if (run->config->available != NULL) {
		if (run->workers != NULL)
			bdus_workers_pause(run->workers);
		result = run->config->available(info, run->config->opaque);
		if (run->workers != NULL)
			bdus_workers_resume(run->workers);
	}
	if (result == 0 && run->daemon != NULL)
		result = bdus_daemon_ready(run->daemon);
	return result;
}

static void set_log_level(void *opaque, uint32_t level)
{
	const struct run *const run = opaque;

	run->config->set_log_level(run->config->opaque, level);
}

static int filter_command(void *opaque, const char *filter, const char *const *words,
			  unsigned count, char *answer, size_t answer_bytes)
{
	const struct run *const run = opaque;

	return bdus_stack_command(run->stack, filter, words, count, answer, answer_bytes);
}

static int resize(void *opaque, uint64_t size_bytes)
{
	const struct run *const run = opaque;

	/* Each stage has its own idea of the size, on the queues' threads. */
	if (run->config->filter_count != 0)
		return base_error(EOPNOTSUPP, "a device with filters cannot change its size");
	return run->config->driver->resize(run->instance, size_bytes);
}

static int lock_memory(void)
{
	if (mlockall(MCL_CURRENT) != 0 || mlockall(MCL_FUTURE | MCL_ONFAULT) != 0)
		return base_error_errno(errno,
					"cannot lock memory; raise the limit of locked memory "
					"(ulimit -l) or run as root");
	return 0;
}

/** Everything up to the point where the transport has made the device. */
static int prepare(struct run *run)
{
	const struct bdus_run_config *const config = run->config;
	struct bdus_device_config made = {
		.driver_name = config->driver->name,
		.attrs = &run->attrs,
		.transport = config->transport,
		.block_device_only = config->block_device_only,
		.created = device_created,
		.available = device_available,
		.set_log_level = config->set_log_level != NULL ? set_log_level : NULL,
		.log_level = config->log_level,
		.resize = config->driver->resize != NULL ? resize : NULL,
		.opaque = run,
		.filter_command = config->filter_count != 0 ? filter_command : NULL,
	};
	int result = config->lock_memory ? lock_memory() : 0;

	if (result == 0)
		result = open_driver(run);
	if (result < 0)
		return result;
	made.native_ops = run->native_ops;
	return bdus_device_make(&made, &run->device);
}

/* ---- queues -------------------------------------------------------------------------------- */

static const struct bdus_loop_options loop_options = {
	.size = sizeof(loop_options),
	.flags = BDUS_LOOP_NOT_POLLED,
};

/** Reports that the queue is open, or why not, and waits for orders. */
static enum thread_orders report_and_wait(struct queue_thread *self)
{
	struct run *const run = self->run;
	enum thread_orders orders;

	pthread_mutex_lock(&run->start_lock);
	run->opened++;
	pthread_cond_broadcast(&run->start_changed);
	while (run->orders == ORDERS_NONE)
		pthread_cond_wait(&run->start_changed, &run->start_lock);
	orders = run->orders;
	pthread_mutex_unlock(&run->start_lock);
	return orders;
}

static void serve_queue(struct run *run, struct bdus_loop *loop, struct bdus_queue *queue)
{
	int result = 0;

	while (result >= 0 && bdus_queue_result(queue) == 0)
		result = bdus_loop_turn(loop, -1);
	if (result < 0)
		bdus_device_abort(run->device, -result, base_error_message());
}

static void *queue_thread_main(void *argument)
{
	struct queue_thread *const self = argument;
	struct bdus_loop *loop = NULL;
	struct bdus_queue *queue;

	self->open_result = bdus_loop_create(&loop_options, &loop);
	if (self->open_result == 0)
		self->open_result = bdus_queue_open(self->run->device, self->index, loop, &queue);
	if (self->open_result < 0)
		snprintf(self->open_error, sizeof(self->open_error), "%s", base_error_message());
	if (report_and_wait(self) == ORDERS_SERVE)
		serve_queue(self->run, loop, queue);
	bdus_loop_destroy(loop);
	return NULL;
}

static int start_thread(struct run *run, unsigned index)
{
	struct queue_thread *const thread = &run->threads[index];
	int error;

	thread->run = run;
	thread->index = index;
	error = base_thread_start(&thread->thread, queue_thread_main, thread);
	if (error != 0)
		return base_error_errno(error, "cannot start the thread of queue %u", index);
	run->thread_count++;
	return 0;
}

static int wait_for_threads_to_open(struct run *run)
{
	pthread_mutex_lock(&run->start_lock);
	while (run->opened < run->thread_count)
		pthread_cond_wait(&run->start_changed, &run->start_lock);
	pthread_mutex_unlock(&run->start_lock);
	for (unsigned i = 1; i <= run->thread_count; i++) {
		if (run->threads[i].open_result < 0)
			return base_error(-run->threads[i].open_result, "%s",
					  run->threads[i].open_error);
	}
	return 0;
}

static int open_queues(struct run *run)
{
	int result = 0;

	run->threads = calloc(run->attrs.queues, sizeof(run->threads[0]));
	if (run->threads == NULL)
		return base_error(ENOMEM, "no memory for %u threads", run->attrs.queues);
	for (unsigned i = 1; i < run->attrs.queues && result == 0; i++)
		result = start_thread(run, i);
	if (result == 0)
		result = bdus_queue_open(run->device, 0, run->loop, &run->main_queue);
	if (result == 0)
		result = wait_for_threads_to_open(run);
	return result;
}

/** Gives all queue threads their orders. */
static void order_threads(struct run *run, enum thread_orders orders)
{
	pthread_mutex_lock(&run->start_lock);
	run->orders = orders;
	pthread_cond_broadcast(&run->start_changed);
	pthread_mutex_unlock(&run->start_lock);
}

static void join_threads(struct run *run)
{
	for (unsigned i = 1; i <= run->thread_count; i++)
		pthread_join(run->threads[i].thread, NULL);
	run->thread_count = 0;
}

/* ---- serving ------------------------------------------------------------------------------- */

static void serve_main_queue(struct run *run)
{
	int timeout_ms = -1;
	int result = 0;

	while (result >= 0 && bdus_queue_result(run->main_queue) == 0) {
		result = bdus_loop_turn(run->loop, timeout_ms);
		if (bdus_signals_came(run->signal_slot))
			bdus_device_stop(run->device);
		timeout_ms = -1;
		if (run->workers != NULL && bdus_workers_tick(run->workers))
			timeout_ms = BDUS_WORKERS_TICK_MS;
	}
	/* The end of the loop then ends the device. */
	note_result(run, result);
}

static int start_device(struct run *run)
{
	struct bdus_layer top;
	int result = bdus_loop_create(&loop_options, &run->loop);

	if (result == 0)
		result = make_top_layer(run, &top);
	if (result < 0)
		return result;
	if (run->stack != NULL)
		top = bdus_stack_over(run->stack, top);
	bdus_device_set_top(run->device, top);
	bdus_signals_set_wake(run->signal_slot, bdus_device_wake_fd(run->device));
	result = open_queues(run);
	return result == 0 ? bdus_device_start(run->device) : result;
}

static void serve(struct run *run)
{
	const int result = note_result(run, start_device(run));

	if (result < 0) {
		order_threads(run, ORDERS_LEAVE);
	} else {
		order_threads(run, ORDERS_SERVE);
		serve_main_queue(run);
	}
	bdus_signals_set_wake(run->signal_slot, -1);
	bdus_workers_destroy(run->workers);
	bdus_loop_destroy(run->loop);
	join_threads(run);
	free(run->threads);
	note_result(run, bdus_device_failure(run->device));
}

static int run_here(const struct bdus_run_config *config, struct bdus_daemon *daemon)
{
	struct run run = {
		.config = config,
		.daemon = daemon,
		.instance = config->instance,
		.signal_slot = bdus_signals_watch(),
		.start_lock = PTHREAD_MUTEX_INITIALIZER,
		.start_changed = PTHREAD_COND_INITIALIZER,
	};

	if (note_result(&run, prepare(&run)) == 0)
		serve(&run);
	close_driver(&run);
	note_result(&run, bdus_device_destroy(run.device));
	bdus_stack_destroy(run.stack);
	bdus_signals_forget(run.signal_slot);
	if (run.result < 0)
		base_error(-run.result, "%s", run.message);
	return run.result;
}

int bdus_run_driver(const struct bdus_run_config *config)
{
	struct bdus_daemon *daemon = NULL;
	int result;

	if (config->daemonize) {
		result = bdus_daemon_fork(&daemon);
		if (result < 0)
			return result;
	}
	result = run_here(config, daemon);
	if (daemon != NULL && bdus_daemon_is_waited_for(daemon)) {
		if (result == 0)
			result = base_error(ECANCELED, "the device was ended by a signal before it "
						       "was available");
		bdus_daemon_failed(daemon, result);
		_exit(EXIT_FAILURE);
	}
	bdus_daemon_destroy(daemon);
	return result;
}
