/* SPDX-License-Identifier: MIT */
/*
 * The life of a device.
 *
 *                open_driver, choose, reserve id
 *                             │ create_device
 *                             ▼
 *                         created ───────── start fails ──────────┐
 *                             │ start_device, become_available    │
 *                             ▼                                   │
 *   signal, bdus destroy,  available                              │
 *   driver's abort, error ────┤ begin_stop                        │
 *                             ▼                                   │
 *                         draining   (fetched requests finish)    │
 *                             │ end_device                        │
 *                             ▼                                   ▼
 *                         destroyed ◀──────────────────── remove_device
 *
 *   The process is killed in any state: orphaned. Its record is no longer locked;
 * bdus_manage_destroy() or the next run's sweep removes what is left (manage.c). Replacement and
 * adoption are the other ways out of "orphaned" once a way in can keep a device without its driver.
 *
 * The thread that calls bdus_device_run() is the main thread: it owns queue 0, the transport's
 * control calls, the record and the control socket. Queues from 1 on have a thread each.
 * `stop_requested`, `abort_error` and `queue_failed` are the only things that other threads set,
 * followed by a wake-up.
 */
#include "device.h"

#include "attrs.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "control.h"
#include "daemonize.h"
#include "manage.h"
#include "options.h"
#include "queue.h"
#include "registry.h"
#include "signals.h"
#include "transports.h"
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/** After how many busy turns the thread of a queue resets its wake-up. */
#define TURNS_BETWEEN_DRAINS 64
/** After how many busy turns the main thread looks at the time, which is a system call here and
 * there. */
#define TURNS_BETWEEN_LOOKS 16
/** For how long busy turns may keep the main thread from events other than requests. */
#define EVENTS_WAIT_NS (UINT64_C(5) * 1000 * 1000)
#define EVENTS_AT_ONCE 16
#define WORKER_IDLE_MS 1000

enum thread_orders {
	ORDERS_NONE,
	ORDERS_SERVE,
	ORDERS_LEAVE,
};

/** A thread that owns a queue from 1 on. */
struct queue_thread {
	struct bdus_device *device;
	unsigned index;
	pthread_t thread;
	int open_result;
	char open_error[BASE_ERROR_MESSAGE_BYTES];
};

struct bdus_device {
	const struct bdus_device_config *config;
	const struct bdus_transport *transport;
	struct bdus_config *transport_config;
	struct bdus_transport_device *transport_device;
	void *instance;
	bool driver_is_open;
	struct bdus_device_attrs attrs;
	uint32_t native_ops;
	struct bdus_rules rules;
	struct bdus_workers *workers;

	struct bdus_queue *queues;
	unsigned queues_ready;
	struct queue_thread *threads;
	unsigned thread_count;
	/** Protects the threads' start: `opened`, `orders`. */
	pthread_mutex_t start_lock;
	pthread_cond_t start_changed;
	unsigned opened;
	enum thread_orders orders;

	struct bdus_record *record;
	struct bdus_device_info info;
	char runtime_directory[256];
	struct bdus_control *control;
	struct bdus_daemon *daemon;
	int epoll_fd;
	int signal_slot;

	/** When events are looked at next, however busy the main queue is. */
	uint64_t next_events_ns;
	bool is_available;
	bool is_stopping;
	/** What the run returns, with its message; the first error counts. */
	int result;
	char message[BASE_ERROR_MESSAGE_BYTES];

	atomic_bool stop_requested;
	atomic_int abort_error;
	char abort_what[128];
};

/** Keeps the first error of the run; returns @result. */
static int note_result(struct bdus_device *device, int result)
{
	if (result < 0 && device->result == 0) {
		device->result = result;
		snprintf(device->message, sizeof(device->message), "%s", base_error_message());
	}
	return result;
}

/* ---- the driver ---------------------------------------------------------------------------- */

/** Serves a request on the queue's own thread, where only one callback may run at a time. */
static void handle_in_place(void *opaque, struct bdus_request *request)
{
	struct bdus_device *const device = opaque;

	bdus_complete(request, device->config->driver->handle(device->instance, request));
}

static int make_top_layer(struct bdus_device *device, struct bdus_layer *top)
{
	const struct bdus_driver *const driver = device->config->driver;
	const struct bdus_workers_policy policy = {
		.maximum = device->attrs.max_concurrency,
		.idle_ms = WORKER_IDLE_MS,
		.fixed = getenv("BDUS_FIXED_WORKERS") != NULL,
	};
	int result;

	if (driver->submit != NULL) {
		*top = (struct bdus_layer){.submit = driver->submit, .instance = device->instance};
		return 0;
	}
	if (policy.maximum == 1) {
		*top = (struct bdus_layer){.submit = handle_in_place, .instance = device};
		return 0;
	}
	result = bdus_workers_create(&policy, driver->handle, device->instance, &device->workers);
	*top = (struct bdus_layer){.submit = bdus_workers_submit, .instance = device->workers};
	return result;
}

static int check_driver(const struct bdus_driver *driver)
{
	if (driver->open == NULL || (driver->submit != NULL) == (driver->handle != NULL))
		return base_error(EINVAL,
				  "driver %s: must have `open` and exactly one of `submit` and "
				  "`handle`",
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

static void apply_overrides(struct bdus_device *device)
{
	const struct bdus_device_config *const config = device->config;
	struct bdus_device_attrs *const attrs = &device->attrs;

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

static int open_driver(struct bdus_device *device)
{
	const struct bdus_device_config *const config = device->config;
	struct bdus_config *options = NULL;
	char owner[96];
	int result = check_driver(config->driver);

	if (result < 0)
		return result;
	snprintf(owner, sizeof(owner), "driver %s", config->driver->name);
	result = bdus_config_create(owner, config->driver->options, config->driver_options,
				    config->driver_option_count, &options);
	if (result < 0)
		return result;
	device->attrs.flags = config->read_only ? BDUS_DEVICE_READ_ONLY : 0;
	result = config->driver->open(options, &device->attrs, &device->instance);
	bdus_config_destroy(options);
	if (result < 0)
		return result;
	device->driver_is_open = true;
	apply_overrides(device);
	result = bdus_attrs_complete(config->driver->name, &device->attrs);
	if (result < 0)
		return result;
	device->native_ops = device->attrs.ops;
	device->attrs.ops = bdus_rules_effective_ops(device->native_ops, device->attrs.flags);
	return 0;
}

static void close_driver(struct bdus_device *device)
{
	const struct bdus_driver *const driver = device->config->driver;

	if (!device->driver_is_open)
		return;
	device->driver_is_open = false;
	if (driver->close != NULL)
		note_result(device, driver->close(device->instance));
}

/* ---- creating ------------------------------------------------------------------------------ */

static void fill_info(struct bdus_device *device)
{
	struct bdus_device_info *const info = &device->info;
	const struct bdus_device_attrs *const attrs = &device->attrs;

	info->pid = getpid();
	info->size_bytes = attrs->size_bytes;
	info->logical_block_size = attrs->logical_block_size;
	info->physical_block_size = attrs->physical_block_size;
	info->queues = attrs->queues;
	info->queue_depth = attrs->queue_depth;
	info->ops = attrs->ops;
	info->flags = attrs->flags;
	info->created_s = (uint64_t)time(NULL);
	snprintf(info->transport, sizeof(info->transport), "%s", device->transport->name);
	snprintf(info->driver, sizeof(info->driver), "%s", device->config->driver->name);
}

static int reserve_id(struct bdus_device *device)
{
	int result = bdus_registry_directory(device->runtime_directory,
					     sizeof(device->runtime_directory));

	if (result == 0)
		result = bdus_registry_reserve(&device->record, &device->info.id);
	if (result < 0)
		return result;
	fill_info(device);
	return bdus_registry_write(device->record, &device->info);
}

/** Where clients will find the device, as far as that can be said before it exists. */
static void foretell_path(struct bdus_device *device)
{
	if (device->transport->makes_block_device)
		snprintf(device->info.path, sizeof(device->info.path), "/dev/bdus-%llu",
			 (unsigned long long)device->info.id);
	else
		device->transport->describe(device->transport_device, &device->info);
}

static int create_device(struct bdus_device *device)
{
	const struct bdus_transport_setup setup = {
		.id = device->info.id,
		.driver_name = device->config->driver->name,
		.runtime_directory = device->runtime_directory,
		.options = device->transport_config,
		.attrs = &device->attrs,
		.native_ops = device->native_ops,
	};
	int result = device->transport->create(&setup, &device->transport_device);

	if (result < 0)
		return result;
	fill_info(device);
	foretell_path(device);
	result = bdus_registry_write(device->record, &device->info);
	if (result == 0)
		result = bdus_rules_init(&device->rules, &device->attrs, device->native_ops);
	if (result == 0)
		result = bdus_control_create(device->info.id, &device->control);
	if (result == 0 && device->config->created != NULL)
		result = device->config->created(device->config->opaque, device, &device->attrs,
						 &device->info);
	return result;
}

/* ---- queues -------------------------------------------------------------------------------- */

static int init_queues(struct bdus_device *device)
{
	struct bdus_layer top;
	int result = make_top_layer(device, &top);

	if (result < 0)
		return result;
	device->queues = aligned_alloc(_Alignof(struct bdus_queue),
				       device->attrs.queues * sizeof(device->queues[0]));
	device->threads = calloc(device->attrs.queues, sizeof(device->threads[0]));
	if (device->queues == NULL || device->threads == NULL)
		return base_error(ENOMEM, "no memory for %u queues", device->attrs.queues);
	while (device->queues_ready < device->attrs.queues) {
		result = bdus_queue_init(&device->queues[device->queues_ready], device->transport,
					 top, &device->rules);
		if (result < 0)
			return result;
		device->queues[device->queues_ready].serves_in_place =
			top.submit == handle_in_place;
		device->queues_ready++;
	}
	return 0;
}

static void finish_queues(struct bdus_device *device)
{
	while (device->queues_ready > 0)
		bdus_queue_finish(&device->queues[--device->queues_ready]);
	free(device->queues);
	free(device->threads);
	bdus_rules_finish(&device->rules);
}

/** Makes queue 0's wake-up include the control socket, and lets signals wake it. */
static int init_events(struct bdus_device *device)
{
	struct bdus_queue *const main_queue = &device->queues[0];
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

	device->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (device->epoll_fd < 0 ||
	    epoll_ctl(device->epoll_fd, EPOLL_CTL_ADD, main_queue->event_fd, &event) != 0)
		return base_error_errno(errno, "cannot set up epoll for the device");
	main_queue->wake_fd = device->epoll_fd;
	bdus_signals_set_wake(device->signal_slot, main_queue->event_fd);
	return 0;
}

static void ask_to_stop(void *opaque)
{
	struct bdus_device *const device = opaque;

	atomic_store(&device->stop_requested, true);
	bdus_queue_wake(&device->queues[0]);
}

void bdus_device_abort(struct bdus_device *device, int error, const char *what)
{
	int none = 0;

	if (!atomic_compare_exchange_strong(&device->abort_error, &none, -1))
		return;
	snprintf(device->abort_what, sizeof(device->abort_what), "%s", what);
	atomic_store(&device->abort_error, error);
	ask_to_stop(device);
}

/** Reports that the queue is open, or why not, and waits for orders. */
static enum thread_orders report_and_wait(struct queue_thread *self)
{
	struct bdus_device *const device = self->device;
	enum thread_orders orders;

	pthread_mutex_lock(&device->start_lock);
	device->opened++;
	pthread_cond_broadcast(&device->start_changed);
	while (device->orders == ORDERS_NONE)
		pthread_cond_wait(&device->start_changed, &device->start_lock);
	orders = device->orders;
	pthread_mutex_unlock(&device->start_lock);
	return orders;
}

static void serve_queue(struct bdus_device *device, struct bdus_queue *queue)
{
	int count;

	do {
		count = bdus_queue_turn(queue, -1);
		if (count == 0 || queue->turns % TURNS_BETWEEN_DRAINS == 0)
			bdus_queue_drain_wake(queue);
	} while (count >= 0);
	if (count != -ENODEV)
		bdus_device_abort(device, -count, base_error_message());
	bdus_queue_wait_for_own(queue);
}

static void *queue_thread_main(void *argument)
{
	struct queue_thread *const self = argument;
	struct bdus_device *const device = self->device;
	struct bdus_queue *const queue = &device->queues[self->index];

	self->open_result = bdus_queue_open(queue, device->transport_device, self->index);
	if (self->open_result < 0)
		snprintf(self->open_error, sizeof(self->open_error), "%s", base_error_message());
	if (report_and_wait(self) == ORDERS_SERVE)
		serve_queue(device, queue);
	if (self->open_result == 0)
		bdus_queue_close(queue);
	return NULL;
}

static int start_thread(struct bdus_device *device, unsigned index)
{
	struct queue_thread *const thread = &device->threads[index];
	int error;

	thread->device = device;
	thread->index = index;
	error = base_thread_start(&thread->thread, queue_thread_main, thread);
	if (error != 0)
		return base_error_errno(error, "cannot start the thread of queue %u", index);
	device->thread_count++;
	return 0;
}

static int wait_for_threads_to_open(struct bdus_device *device)
{
	pthread_mutex_lock(&device->start_lock);
	while (device->opened < device->thread_count)
		pthread_cond_wait(&device->start_changed, &device->start_lock);
	pthread_mutex_unlock(&device->start_lock);
	for (unsigned i = 1; i <= device->thread_count; i++) {
		if (device->threads[i].open_result < 0)
			return base_error(-device->threads[i].open_result, "%s",
					  device->threads[i].open_error);
	}
	return 0;
}

static int open_queues(struct bdus_device *device)
{
	int result = 0;

	for (unsigned i = 1; i < device->attrs.queues && result == 0; i++)
		result = start_thread(device, i);
	if (result == 0)
		result = bdus_queue_open(&device->queues[0], device->transport_device, 0);
	if (result == 0)
		result = wait_for_threads_to_open(device);
	return result;
}

/** Gives all queue threads their orders. */
static void order_threads(struct bdus_device *device, enum thread_orders orders)
{
	pthread_mutex_lock(&device->start_lock);
	device->orders = orders;
	pthread_cond_broadcast(&device->start_changed);
	pthread_mutex_unlock(&device->start_lock);
}

static void join_threads(struct bdus_device *device)
{
	for (unsigned i = 1; i <= device->thread_count; i++)
		pthread_join(device->threads[i].thread, NULL);
	device->thread_count = 0;
}

/* ---- serving ------------------------------------------------------------------------------- */

static int announce(struct bdus_device *device)
{
	const struct bdus_device_config *const config = device->config;
	int result = 0;

	device->info.state = BDUS_STATE_AVAILABLE;
	device->transport->describe(device->transport_device, &device->info);
	if (device->transport->makes_block_device)
		result = bdus_registry_link(&device->info);
	if (result == 0)
		result = bdus_registry_write(device->record, &device->info);
	if (result < 0 || config->available == NULL)
		return result;
	if (device->workers != NULL)
		bdus_workers_pause(device->workers);
	result = config->available(&device->info, config->opaque);
	if (device->workers != NULL)
		bdus_workers_resume(device->workers);
	return result;
}

static int become_available(struct bdus_device *device)
{
	int result = device->transport->start_result(device->transport_device);

	if (result <= 0)
		return result;
	device->is_available = true;
	result = announce(device);
	if (result == 0 && device->daemon != NULL)
		result = bdus_daemon_ready(device->daemon);
	return result;
}

/** Tells other processes that the device ends; see needs_a_signal() in manage.c. */
static void record_end(struct bdus_device *device)
{
	device->info.state = BDUS_STATE_DRAINING;
	if (device->record != NULL)
		bdus_registry_write(device->record, &device->info);
}

static void begin_stop(struct bdus_device *device)
{
	int result;

	device->is_stopping = true;
	record_end(device);
	bdus_registry_unlink(&device->info);
	result = device->transport->stop(device->transport_device);
	note_result(device, result);
	for (unsigned i = 0; i < device->attrs.queues; i++)
		bdus_queue_wake(&device->queues[i]);
}

static void handle_events(struct bdus_device *device)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	const int count = epoll_wait(device->epoll_fd, events, EVENTS_AT_ONCE, 0);

	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == NULL)
			bdus_queue_drain_wake(&device->queues[0]);
		else
			bdus_control_handle(device->control, events[i].data.ptr);
	}
	if (bdus_signals_came(device->signal_slot))
		atomic_store(&device->stop_requested, true);
}

/** The time of the last tick of the kernel's clock, which costs next to nothing to read. */
static uint64_t coarse_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void look_at_events(struct bdus_device *device, bool woken)
{
	const uint64_t now = coarse_now_ns();

	if (!woken && now < device->next_events_ns)
		return;
	device->next_events_ns = now + EVENTS_WAIT_NS;
	handle_events(device);
}

/** What happens between two turns of queue 0. */
static void look_around(struct bdus_device *device, bool woken)
{
	if (woken || device->queues[0].turns % TURNS_BETWEEN_LOOKS == 0)
		look_at_events(device, woken);
	if (base_unlikely(!device->is_available && !device->is_stopping) &&
	    note_result(device, become_available(device)) < 0)
		atomic_store(&device->stop_requested, true);
	if (base_unlikely(atomic_load_explicit(&device->stop_requested, memory_order_acquire)) &&
	    !device->is_stopping)
		begin_stop(device);
}

static void serve_main_queue(struct bdus_device *device)
{
	struct bdus_queue *const queue = &device->queues[0];
	/* A way in may be available from the start, and then has nothing to wake the first turn. */
	int timeout_ms = 0;
	int count;

	for (;;) {
		count = bdus_queue_turn(queue, timeout_ms);
		if (count < 0)
			break;
		look_around(device, count == 0);
		timeout_ms = -1;
		if (device->workers != NULL && bdus_workers_tick(device->workers))
			timeout_ms = BDUS_WORKERS_TICK_MS;
	}
	if (count != -ENODEV)
		note_result(device, count);
	if (!device->is_stopping)
		begin_stop(device);
	bdus_queue_wait_for_own(queue);
}

static int start_device(struct bdus_device *device)
{
	int result = init_queues(device);

	if (result == 0)
		result = init_events(device);
	if (result == 0)
		result = bdus_control_attach(device->control, device->epoll_fd, &device->queues[0],
					     ask_to_stop, device);
	if (result == 0)
		result = open_queues(device);
	if (result == 0)
		result = device->transport->start(device->transport_device);
	return result;
}

static void note_abort(struct bdus_device *device)
{
	const int error = atomic_load(&device->abort_error);

	if (error > 0)
		note_result(device, base_error(error, "%s", device->abort_what));
}

static void serve(struct bdus_device *device)
{
	const int result = note_result(device, start_device(device));

	if (result < 0) {
		order_threads(device, ORDERS_LEAVE);
	} else {
		order_threads(device, ORDERS_SERVE);
		serve_main_queue(device);
	}
	join_threads(device);
	note_abort(device);
	if (device->queues_ready > 0 && device->queues[0].transport_queue != NULL)
		bdus_queue_close(&device->queues[0]);
}

/* ---- ending -------------------------------------------------------------------------------- */

static void end_device(struct bdus_device *device)
{
	record_end(device);
	bdus_control_destroy(device->control);
	bdus_signals_set_wake(device->signal_slot, -1);
	if (device->epoll_fd >= 0)
		close(device->epoll_fd);
	/* Whoever completed the last request may still be about to wake its queue. */
	bdus_workers_destroy(device->workers);
	close_driver(device);
	finish_queues(device);
	if (device->transport_device != NULL)
		note_result(device, device->transport->destroy(device->transport_device));
	if (device->record != NULL)
		bdus_registry_unlink(&device->info);
	bdus_registry_release(device->record);
	bdus_config_destroy(device->transport_config);
	bdus_signals_forget(device->signal_slot);
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
static int prepare(struct bdus_device *device)
{
	const struct bdus_device_config *const config = device->config;
	int result = config->lock_memory ? lock_memory() : 0;

	if (result == 0)
		result = open_driver(device);
	if (result == 0)
		result = bdus_transport_choose(config->transport, config->block_device_only,
					       &device->transport, &device->transport_config);
	if (result == 0)
		result = reserve_id(device);
	if (result == 0)
		result = create_device(device);
	return result;
}

static int run_here(const struct bdus_device_config *config, struct bdus_daemon *daemon)
{
	struct bdus_device device = {
		.config = config,
		.daemon = daemon,
		.instance = config->instance,
		.epoll_fd = -1,
		.signal_slot = bdus_signals_watch(),
		.start_lock = PTHREAD_MUTEX_INITIALIZER,
		.start_changed = PTHREAD_COND_INITIALIZER,
	};

	bdus_manage_sweep();
	if (note_result(&device, prepare(&device)) == 0)
		serve(&device);
	end_device(&device);
	if (device.result < 0)
		base_error(-device.result, "%s", device.message);
	return device.result;
}

int bdus_device_run(const struct bdus_device_config *config)
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
