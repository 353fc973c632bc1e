/* SPDX-License-Identifier: MIT */
/*
 * Running a driver: everything that a program with a loop of its own would do itself, and the
 * threads that this takes.
 *
 *	take_over ─▶ open_driver, its filters ─▶ bdus_device_make ─▶ open_queues ─▶ start_filters ─▶
 *bdus_device_start ─▶ serve_main_queue ─▶ join_threads ─▶ close the queues ─▶ close_driver ─▶
 *bdus_device_destroy
 *
 * The thread that calls bdus_run_driver() is the device's main thread and serves queue 0; queues
 * from 1 on have a thread each. A driver with `handle` gets the elastic pool, or is called on the
 * main thread where only one call may be in progress; one with `thread` gets userland threads on
 *the loops of its queues.
 */
#include "run.h"

#include "attrs.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "daemonize.h"
#include "device.h"
#include "options.h"
#include "restart.h"
#include "signals.h"
#include "stack.h"
#include "takeover.h"
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
#define LEAVE_TURN_MS  100

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
	/** Lasts from before the thread reports that it is open until it has the order to leave. */
	struct bdus_loop *loop;
	struct bdus_queue *queue;
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
	/** Queues that the driver can be served by at once, each from a thread of its own; 0 is 1.
	 */
	uint32_t most_threads;
	/** The device to be taken over, and its record until the device has that; else NULL. */
	struct bdus_device_info taken;
	struct bdus_record *record;
	struct bdus_handed handed;
	/** NULL without filters. */
	struct bdus_stack *stack;
	struct bdus_workers *workers;
	struct bdus_thread_driver threaded;

	struct bdus_device *device;
	struct bdus_loop *loop;
	struct bdus_queue *main_queue;
	/** All queues, by their index. */
	struct bdus_queue **queues;
	struct queue_thread *threads;
	unsigned thread_count;
	/** Protects what threads tell one another: `opened`, `drained`, `orders`. */
	pthread_mutex_t start_lock;
	pthread_cond_t start_changed;
	unsigned opened;
	/** Threads whose queue has nothing in flight and gets nothing, while the device is left. */
	unsigned drained;
	/** The flush before the device is handed over. */
	struct bdus_io last_flush;
	bool is_flushing;
	enum thread_orders orders;
	/** While the device is left: see leave() in device/transport.h. Set before the orders. */
	unsigned quiet_ms;

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
	if (config->recoverable || config->restart)
		attrs->flags |= BDUS_DEVICE_RECOVERABLE;
	if (config->queue_depth != 0)
		attrs->queue_depth = config->queue_depth;
	attrs->queues = (uint32_t)base_min(attrs->queues, config->queues != 0 ? config->queues
									      : processor_count());
	/* A blocking driver gets its concurrency from workers, which one queue feeds. */
	if (config->driver->handle != NULL)
		attrs->queues = 1;
	run->most_threads = attrs->queues;
}

/** The filters, and what they may send to. */
static int create_stack(const struct bdus_run_config *config, struct bdus_stack **stack)
{
	int result;

	if (config->filter_count == 0 && config->backend_count != 0)
		return base_error(EINVAL,
				  "%u backends, but no filter that could send anything to them",
				  config->backend_count);
	result = bdus_stack_create(config->filters, config->filter_count, stack);
	if (result == 0)
		result = bdus_stack_add_backends(*stack, config->backends, config->backend_count);
	return result;
}

/** What the user wrote, before anything is opened, or a driver that lives is asked to end. */
static int read_options(struct run *run, const char *owner, struct bdus_config **options)
{
	const struct bdus_run_config *const config = run->config;
	int result = check_driver(config->driver);

	if (result < 0)
		return result;
	result = bdus_config_create(owner, config->driver->options, config->driver_options,
				    config->driver_option_count, options);
	if (result == 0)
		result = create_stack(config, &run->stack);
	return result;
}

/** The device becomes this process's to serve. */
static int take_over(struct run *run)
{
	const struct bdus_run_config *const config = run->config;

	if (!config->takes_over)
		return 0;
	return bdus_takeover_claim(config->device_id, config->rerun_flags,
				   config->rerun_deadline_ns, &run->taken, &run->handed,
				   &run->record);
}

/** The attributes that the device will have, of those that the driver wants. */
static int settle_attrs(struct run *run, const char *owner)
{
	int result;

	apply_overrides(run);
	result = bdus_attrs_complete(owner, &run->attrs);
	if (result == 0 && run->stack != NULL)
		result = bdus_stack_open(run->stack, &run->attrs);
	if (result < 0)
		return result;
	run->native_ops = run->attrs.ops;
	if (run->record != NULL)
		return bdus_takeover_match(run->config->driver->name, &run->taken, run->native_ops,
					   &run->attrs);
	run->attrs.ops = bdus_rules_effective_ops(run->native_ops, run->attrs.flags);
	return 0;
}

static int open_driver(struct run *run)
{
	const struct bdus_run_config *const config = run->config;
	struct bdus_config *options = NULL;
	char owner[96];
	int result;

	snprintf(owner, sizeof(owner), "driver %s", config->driver->name);
	result = read_options(run, owner, &options);
	if (result == 0)
		result = take_over(run);
	run->attrs.flags = config->read_only ? BDUS_DEVICE_READ_ONLY : 0;
	run->attrs.flags |= run->taken.flags & BDUS_DEVICE_READ_ONLY;
	if (result == 0)
		result = config->driver->open(options, &run->attrs, &run->instance);
	bdus_config_destroy(options);
	if (result < 0)
		return result;
	run->driver_is_open = true;
	return settle_attrs(run, owner);
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

static void tell(void *opaque, enum bdus_log_level level, const char *text)
{
	const struct run *const run = opaque;

	run->config->log(level, text, run->config->opaque);
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

static void name_filters(const struct run *run)
{
	struct bdus_stats_row rows[BDUS_STATS_FILTERS];

	bdus_device_name_filters(run->device, rows, bdus_stack_rows(run->stack, rows));
}

static int attach_filter(void *opaque, const char *filter, const char *const *words, unsigned count)
{
	const struct run *const run = opaque;
	struct bdus_filter_use use = {.options = words, .option_count = count};
	struct bdus_device_attrs attrs = run->attrs;
	struct bdus_layer top;
	int result = run->config->find_filter != NULL
			     ? run->config->find_filter(filter, &use.filter)
			     : bdus_manage_load_filter(filter, &use.filter);

	attrs.ops = run->native_ops;
	attrs.size_bytes = bdus_device_info(run->device)->size_bytes;
	if (result == 0)
		result = bdus_stack_attach(run->stack, &use, &attrs, &top);
	if (result < 0)
		return result;
	bdus_device_clear_filter(run->device, ((const struct bdus_stage *)top.instance)->row);
	return bdus_device_change_top(run->device, top);
}

static int detach_filter(void *opaque, const char *filter)
{
	const struct run *const run = opaque;
	struct bdus_layer top;
	const int result = bdus_stack_detach(run->stack, filter, &top);

	return result == 0 ? bdus_device_change_top(run->device, top) : result;
}

static int top_changed(void *opaque)
{
	const struct run *const run = opaque;
	const int result = bdus_stack_settle(run->stack);

	name_filters(run);
	return result;
}

static int resize(void *opaque, uint64_t size_bytes)
{
	const struct run *const run = opaque;

	/* Each stage has its own idea of the size, on the queues' threads. */
	if (!bdus_stack_is_empty(run->stack))
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

/** The way in of a device that is taken over, as it was made where nobody says how. */
static const char *way_of(const struct run *run)
{
	const char *const given = run->config->transport;
	const struct bdus_device_info *const taken = &run->taken;

	if (given != NULL && strcmp(given, "auto") != 0 && strcmp(given, taken->transport) != 0)
		return given;
	return taken->way[0] != '\0' ? taken->way : taken->transport;
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
		.log = config->log != NULL ? tell : NULL,
		.set_log_level = config->set_log_level != NULL ? set_log_level : NULL,
		.log_level = config->log_level,
		.resize = config->driver->resize != NULL ? resize : NULL,
		.opaque = run,
		.filter_command = filter_command,
		.attach_filter = attach_filter,
		.detach_filter = detach_filter,
		.top_changed = top_changed,
		.can_leave = true,
	};
	int result = config->lock_memory ? lock_memory() : 0;

	if (result == 0)
		result = open_driver(run);
	if (result < 0)
		return result;
	made.native_ops = run->native_ops;
	if (run->record != NULL) {
		made.adopted = &run->taken;
		made.record = run->record;
		made.handed = &run->handed;
		made.adopt_deadline_ns = config->rerun_deadline_ns;
		made.transport = way_of(run);
		made.block_device_only = false;
		run->record = NULL;
	}
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

static void wait_to_leave(struct run *run)
{
	pthread_mutex_lock(&run->start_lock);
	run->drained++;
	pthread_cond_broadcast(&run->start_changed);
	while (run->orders != ORDERS_LEAVE)
		pthread_cond_wait(&run->start_changed, &run->start_lock);
	pthread_mutex_unlock(&run->start_lock);
}

static bool is_leaving(const struct run *run)
{
	return base_unlikely(bdus_device_leaving(run->device) != BDUS_NOT_LEAVING);
}

/** Gives the kernel what was completed by the last turn, without taking anything new. */
static void hand_in(struct bdus_loop *loop)
{
	bdus_loop_turn(loop, 0);
	bdus_loop_flush(loop);
}

/** Longest that a loop goes on for the sake of `quiet_ms`. */
#define MOST_SETTLE_MS 1000

/** Waits until nothing has come to a loop, whose queues are held back, for a while. */
static void settle(const struct run *run, struct bdus_loop *loop)
{
	const uint64_t quiet_ns = (uint64_t)run->quiet_ms * 1000000;
	const uint64_t deadline_ns = base_deadline_ns(MOST_SETTLE_MS);
	uint64_t began_ns;

	if (quiet_ns == 0)
		return;
	do {
		began_ns = base_now_ns();
		if (bdus_loop_turn(loop, (int)run->quiet_ms) < 0)
			return;
	} while (base_now_ns() - began_ns < quiet_ns && base_now_ns() < deadline_ns);
}

/** The device is being left: finishes what the driver has, and waits for what comes of it. */
static void drain_thread(struct queue_thread *self)
{
	struct run *const run = self->run;

	bdus_queue_hold_back(self->queue, true);
	while (is_leaving(run) && !bdus_queue_is_drained(self->queue) &&
	       bdus_loop_turn(self->loop, LEAVE_TURN_MS) >= 0)
		;
	hand_in(self->loop);
	pthread_mutex_lock(&run->start_lock);
	run->drained++;
	pthread_cond_broadcast(&run->start_changed);
	while (run->orders != ORDERS_LEAVE && is_leaving(run))
		pthread_cond_wait(&run->start_changed, &run->start_lock);
	run->drained--;
	pthread_mutex_unlock(&run->start_lock);
	settle(run, self->loop);
	bdus_queue_hold_back(self->queue, false);
}

static bool is_to_serve(struct queue_thread *self)
{
	struct run *const run = self->run;
	bool serve;

	pthread_mutex_lock(&run->start_lock);
	serve = run->orders != ORDERS_LEAVE;
	pthread_mutex_unlock(&run->start_lock);
	return serve;
}

static void serve_queue(struct queue_thread *self)
{
	struct run *const run = self->run;
	int result = 0;

	while (result >= 0 && bdus_queue_result(self->queue) == 0) {
		result = bdus_loop_turn(self->loop, -1);
		if (!is_leaving(run))
			continue;
		drain_thread(self);
		if (!is_to_serve(self))
			return;
	}
	if (result < 0)
		bdus_device_abort(run->device, -result, base_error_message());
}

static void *queue_thread_main(void *argument)
{
	struct queue_thread *const self = argument;
	struct run *const run = self->run;

	self->open_result = bdus_loop_create(&loop_options, &self->loop);
	if (self->open_result == 0)
		self->open_result =
			bdus_queue_open(run->device, self->index, self->loop, &self->queue);
	if (self->open_result < 0)
		snprintf(self->open_error, sizeof(self->open_error), "%s", base_error_message());
	if (report_and_wait(self) == ORDERS_SERVE)
		serve_queue(self);
	/* The main thread wakes the loop until then. */
	wait_to_leave(run);
	bdus_loop_destroy(self->loop);
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

/**
 * Queues from 1 on have a thread each. A device that was taken over may have more of them than its
 * driver can be served by; the main thread serves the rest.
 */
static int open_queues(struct run *run)
{
	const unsigned queues = run->attrs.queues;
	const unsigned own_threads = (unsigned)base_min(base_max(run->most_threads, 1), queues);
	int result = 0;

	run->threads = calloc(queues, sizeof(run->threads[0]));
	run->queues = calloc(queues, sizeof(struct bdus_queue *));
	if (run->threads == NULL || run->queues == NULL)
		return base_error(ENOMEM, "no memory for %u threads", queues);
	for (unsigned i = 1; i < own_threads && result == 0; i++)
		result = start_thread(run, i);
	if (result == 0)
		result = bdus_queue_open(run->device, 0, run->loop, &run->main_queue);
	run->queues[0] = run->main_queue;
	for (unsigned i = own_threads; i < queues && result == 0; i++)
		result = bdus_queue_open(run->device, i, run->loop, &run->queues[i]);
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

/* ---- turns ---------------------------------------------------------------------------------- */

/** One turn of queue 0's loop, of at most @timeout_ms, and what is to be done besides. */
static int turn(struct run *run, int timeout_ms)
{
	const int result = bdus_loop_turn(run->loop, timeout_ms);

	if (bdus_signals_came(run->signal_slot))
		bdus_device_stop(run->device);
	return result;
}

/** How long the next turn may sleep. */
static int tick_ms(struct run *run)
{
	return run->workers != NULL && bdus_workers_tick(run->workers) ? BDUS_WORKERS_TICK_MS : -1;
}

/* ---- leaving a device to another process --------------------------------------------------- */

static void wake_threads(struct run *run)
{
	for (unsigned i = 1; i <= run->thread_count; i++)
		bdus_loop_wake(run->threads[i].loop);
}

static void hold_back_main(struct run *run, bool hold_back)
{
	for (unsigned i = 0; i < run->attrs.queues; i++) {
		if (run->queues[i] != NULL)
			bdus_queue_hold_back(run->queues[i], hold_back);
	}
}

static bool main_has_requests(const struct run *run)
{
	for (unsigned i = 0; i < run->attrs.queues; i++) {
		if (run->queues[i] != NULL && !bdus_queue_is_drained(run->queues[i]))
			return true;
	}
	return false;
}

static bool threads_are_drained(struct run *run)
{
	bool drained;

	pthread_mutex_lock(&run->start_lock);
	drained = run->drained == run->thread_count;
	pthread_mutex_unlock(&run->start_lock);
	return drained;
}

/** Until no request is in the driver; false once that took too long. */
static bool drain(struct run *run)
{
	const bool in_order = bdus_device_leaving(run->device) == BDUS_LEAVING_IN_ORDER;
	const uint64_t deadline_ns = in_order ? base_deadline_ns(BDUS_HAND_OVER_MS) : UINT64_MAX;

	hold_back_main(run, true);
	wake_threads(run);
	while (main_has_requests(run) || !threads_are_drained(run)) {
		const int most_ms = run->thread_count != 0 ? BDUS_WORKERS_TICK_MS : LEAVE_TURN_MS;

		if (base_now_ns() > deadline_ns || turn(run, most_ms) < 0)
			return !in_order;
		tick_ms(run);
	}
	hand_in(run->loop);
	return true;
}

static void flush_is_back(struct bdus_io *io)
{
	base_container_of(io, struct run, last_flush)->is_flushing = false;
}

/** Has the driver make durable what it has; one that fails has its `close` left to do so. */
static bool flush(struct run *run)
{
	const uint64_t deadline_ns = base_deadline_ns(BDUS_HAND_OVER_MS);

	/* That of an attempt before may still be on its way. */
	if (!run->is_flushing) {
		bdus_io_init(&run->last_flush);
		run->last_flush.finished = flush_is_back;
		run->is_flushing = true;
		if (bdus_device_flush(run->device, &run->last_flush) < 0)
			run->is_flushing = false;
	}
	while (run->is_flushing) {
		if (base_now_ns() > deadline_ns || turn(run, LEAVE_TURN_MS) < 0)
			return false;
		tick_ms(run);
	}
	return true;
}

/** The device is served on: what it was left for took too long. */
static void stay(struct run *run)
{
	bdus_device_stay(run->device);
	pthread_mutex_lock(&run->start_lock);
	pthread_cond_broadcast(&run->start_changed);
	pthread_mutex_unlock(&run->start_lock);
	hold_back_main(run, false);
}

/** Brings the queues to the point where the loops can be destroyed; false: the device is kept. */
static bool leave(struct run *run)
{
	const bool in_order = bdus_device_leaving(run->device) == BDUS_LEAVING_IN_ORDER;

	if (drain(run) && (!in_order || flush(run))) {
		note_result(run, bdus_stack_stop(run->stack));
		run->quiet_ms = bdus_device_leave(run->device);
		return true;
	}
	stay(run);
	return false;
}

/* ---- serving ------------------------------------------------------------------------------- */

static void serve_main_queue(struct run *run)
{
	int timeout_ms = -1;
	int result = 0;

	while (result >= 0 && bdus_queue_result(run->main_queue) == 0) {
		result = turn(run, timeout_ms);
		if (is_leaving(run) && leave(run))
			return;
		timeout_ms = tick_ms(run);
	}
	/* The end of the loop then ends the device. */
	note_result(run, result);
	if (result >= 0)
		note_result(run, bdus_stack_stop(run->stack));
}

/** What comes before the device is started waits. */
static int start_filters(struct run *run)
{
	int result;

	if (bdus_stack_is_empty(run->stack))
		return 0;
	hold_back_main(run, true);
	result = bdus_stack_start(run->stack, run->main_queue);
	hold_back_main(run, false);
	return result;
}

static int start_device(struct run *run)
{
	struct bdus_layer top;
	int result = bdus_loop_create(&loop_options, &run->loop);

	if (result == 0)
		result = make_top_layer(run, &top);
	if (result < 0)
		return result;
	top = bdus_stack_over(run->stack, top);
	name_filters(run);
	bdus_device_set_top(run->device, top);
	bdus_signals_set_wake(run->signal_slot, bdus_device_wake_fd(run->device));
	result = open_queues(run);
	if (result == 0)
		result = start_filters(run);
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
		wake_threads(run);
		order_threads(run, ORDERS_LEAVE);
		settle(run, run->loop);
	}
	bdus_signals_set_wake(run->signal_slot, -1);
	bdus_workers_destroy(run->workers);
	bdus_loop_destroy(run->loop);
	join_threads(run);
	free(run->threads);
	free(run->queues);
	note_result(run, bdus_device_failure(run->device));
}

/** A device that was to be taken over waits for another driver, or ends, as it was made. */
static void give_up_claim(struct run *run)
{
	if (run->record != NULL && !(run->taken.flags & BDUS_DEVICE_RECOVERABLE)) {
		bdus_takeover_give_up(&run->taken, &run->handed);
		bdus_registry_forget(&run->taken);
	}
	bdus_registry_let_go(run->record);
	bdus_handed_close(&run->handed);
}

int bdus_run_once(const struct bdus_run_config *config, struct bdus_daemon *daemon)
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
	give_up_claim(&run);
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
	result = config->restart ? bdus_restart_run(config, daemon) : bdus_run_once(config, daemon);
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
