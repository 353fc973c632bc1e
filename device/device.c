/* SPDX-License-Identifier: MIT */
/*
 * The life of a device, which goes on only within calls of who owns it: no thread, no waiting.
 *
 *                 choose, reserve id
 *                        │ create_device
 *                        ▼           adopt_device (another process had it) ───▶ created
 *                     created ──── a failure ─────────────────────────┐
 *                        │ bdus_queue_open, bdus_device_start         │
 *                        │ become_available                           │
 *                        ▼                                            │
 *   bdus destroy,     available                                       │
 *   bdus_device_stop, ───┤ begin_stop                                 │
 *   abort, an error      ▼                                            │
 *                     draining   (fetched requests finish)            │
 *                        │ the queues end and are closed              │
 *                        ▼                                            ▼
 *                     destroyed ◀──────────────────── bdus_device_destroy
 *
 *   The process is killed in any state: orphaned. Its record is no longer locked;
 * bdus_manage_destroy() or the next run's sweep removes what is left (manage.c). A recoverable
 * device that was available is not swept but waits for another driver (takeover.c); it is left in
 * that state as well by a driver that fails (begin_stop) and by one that hands it over (run.c): its
 * transport is left rather than destroyed, and its record let go of.
 *
 * The main thread of a device is the one that serves queue 0: it owns the transport's control
 * calls, the record and the service. `stop_requested`, `abort_error` and `open_queues` are
 * the only things that other threads set, the first two followed by a write to `wake_fd`.
 */
#include "device.h"

#include "attrs.h"
#include "base/bits.h"
#include "base/error.h"
#include "device/control.h"
#include "manage.h"
#include "memory.h"
#include "options.h"
#include "registry.h"
#include "stats.h"
#include "transports.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/** A queue and what the device knows of it; belongs to the queue's thread while it is open. */
struct device_queue {
	struct bdus_queue queue;
	struct bdus_device *device;
	bool open;
	/** Its loop was made for it, and ends with it. */
	bool owns_loop;
};

struct bdus_device {
	struct bdus_device_config config;
	const struct bdus_transport *transport;
	struct bdus_config *transport_config;
	struct bdus_transport_device *transport_device;
	struct bdus_device_attrs attrs;
	uint32_t native_ops;
	struct bdus_rules rules;
	struct device_queue *queues;
	struct bdus_stats_memory stats;
	struct bdus_log log;

	struct bdus_record *record;
	struct bdus_device_info info;
	char runtime_directory[256];
	struct bdus_control *control;
	/** Why the device was not made, or ended, with its message; the first error counts. */
	int result;
	char message[BASE_ERROR_MESSAGE_BYTES];

	/** Of queue 0, while that is open. */
	struct bdus_loop *loop;
	/** Looks after each turn, while the start or a stop is under way. */
	struct bdus_loop_hook hook;
	/** While queue 0 is in no loop: `hook` is to be in the next one. */
	bool was_hooked;
	/** Waits for `wake_fd`. */
	struct bdus_call wake_call;
	bool uses_memory;
	bool is_started;
	bool is_available;
	bool is_stopping;

	/** A change of filters, while `changed` is set. */
	struct bdus_change change;
	bdus_filters_changed_fn *changed;
	void *changed_opaque;

	/* Any thread. */
	/** Held to close a queue, and to reach the loops of queues from elsewhere. */
	pthread_mutex_t open_lock;
	/** enum bdus_leaving; changed by the main thread. */
	atomic_uint leaving;
	int wake_fd;
	atomic_uint open_queues;
	atomic_bool stop_requested;
	atomic_int abort_error;
	char abort_what[BASE_ERROR_MESSAGE_BYTES];
};

/** Keeps the first error; returns @result. */
static int note_result(struct bdus_device *device, int result)
{
	if (result < 0 && device->result == 0) {
		device->result = result;
		snprintf(device->message, sizeof(device->message), "%s", base_error_message());
	}
	return result;
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
	if (info->created_s == 0)
		info->created_s = (uint64_t)time(NULL);
	/* Of one that was taken over, clients were told before. */
	if (device->config.adopted == NULL) {
		info->native_ops = device->native_ops;
		info->max_transfer_bytes = attrs->max_transfer_bytes;
		info->max_write_zeros_bytes = attrs->max_write_zeros_bytes;
		info->max_discard_bytes = attrs->max_discard_bytes;
		info->zone_size_bytes = attrs->zone_size_bytes;
	}
	snprintf(info->transport, sizeof(info->transport), "%s", device->transport->name);
	snprintf(info->driver, sizeof(info->driver), "%s", device->config.driver_name);
}

/** For those who take the device over and are not told how; one that is too long is not kept. */
static void note_way(struct bdus_device *device)
{
	const char *given = device->config.transport;
	struct bdus_device_info *const info = &device->info;

	if (given == NULL ||
	    strncmp(given, device->transport->name, strlen(device->transport->name)) != 0)
		given = device->transport->name;
	if (strlen(given) < sizeof(info->way))
		memcpy(info->way, given, strlen(given) + 1);
}

static int reserve_id(struct bdus_device *device)
{
	int result = bdus_registry_directory(device->runtime_directory,
					     sizeof(device->runtime_directory));

	if (device->config.adopted != NULL) {
		device->record = device->config.record;
		device->info = *device->config.adopted;
		device->info.state = BDUS_STATE_RECOVERING;
	} else if (result == 0) {
		result = bdus_registry_reserve(&device->record, &device->info.id);
		note_way(device);
	}
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

static int make_queues(struct bdus_device *device)
{
	device->queues = calloc(device->attrs.queues, sizeof(device->queues[0]));
	if (device->queues == NULL)
		return base_error(ENOMEM, "no memory for %u queues", device->attrs.queues);
	for (unsigned i = 0; i < device->attrs.queues; i++)
		device->queues[i].device = device;
	return 0;
}

static int join_memory(struct bdus_device *device)
{
	int result;

	if (device->config.memory == NULL)
		return 0;
	result = bdus_memory_join(device->config.memory, device->attrs.max_transfer_bytes);
	device->uses_memory = result == 0;
	return result;
}

static int make_stats(struct bdus_device *device)
{
	if (getenv("BDUS_NO_STATISTICS") != NULL)
		return 0;
	return bdus_stats_memory_init(&device->stats, device->attrs.queues,
				      device->attrs.queue_depth);
}

static int adopt(struct bdus_device *device, const struct bdus_transport_setup *setup)
{
	const struct bdus_transport *const transport = device->transport;
	const int result = transport->adopt(setup, &device->transport_device);

	if (result < 0)
		return result;
	return transport->await_predecessor(device->transport_device,
					    device->config.adopt_deadline_ns);
}

static int create_device(struct bdus_device *device)
{
	const struct bdus_device_config *const config = &device->config;
	const struct bdus_transport_setup setup = {
		.id = device->info.id,
		.driver_name = config->driver_name,
		.runtime_directory = device->runtime_directory,
		.options = device->transport_config,
		.attrs = &device->attrs,
		.native_ops = device->native_ops,
		.memory = config->memory,
		.recoverable = (device->attrs.flags & BDUS_DEVICE_RECOVERABLE) != 0,
		.adopted = config->adopted,
		.handed = config->handed,
		.log = &device->log,
	};
	int result = config->adopted != NULL
			     ? adopt(device, &setup)
			     : device->transport->create(&setup, &device->transport_device);

	if (result < 0)
		return result;
	fill_info(device);
	foretell_path(device);
	/* Its last process may have been killed, and left its service. */
	if (config->adopted != NULL)
		bdus_control_forget(device->runtime_directory, device->info.id);
	result = join_memory(device);
	if (result == 0)
		result = bdus_registry_write(device->record, &device->info);
	if (result == 0)
		result = bdus_rules_init(&device->rules, &device->attrs, device->native_ops);
	if (result == 0)
		result = make_queues(device);
	if (result == 0)
		result = make_stats(device);
	if (result == 0)
		result = bdus_control_create(device, &device->control);
	if (result == 0 && config->created != NULL)
		result = config->created(config->opaque, device);
	return result;
}

/** Whether the way in can do without a server for a while, where the device is to. */
static int check_recoverable(const struct bdus_device *device)
{
	const bool recoverable = (device->attrs.flags & BDUS_DEVICE_RECOVERABLE) != 0;

	if (recoverable && device->transport->adopt == NULL)
		return base_error(EOPNOTSUPP,
				  "%s cannot make a recoverable device: its devices end with their "
				  "drivers",
				  device->transport->name);
	return 0;
}

static int check_ioctls(const struct bdus_device *device)
{
	if ((device->attrs.ops & BDUS_OP_BIT(BDUS_OP_IOCTL)) && !device->transport->carries_ioctls)
		return base_error(EOPNOTSUPP,
				  "%s cannot carry ioctls, which the driver has: only kbdus can",
				  device->transport->name);
	return 0;
}

static int make(struct bdus_device *device)
{
	const struct bdus_device_config *const config = &device->config;
	int result = 0;

	device->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (device->wake_fd < 0)
		return base_error_errno(errno, "cannot create an eventfd for a device");
	result = bdus_transport_choose(config->transport, config->block_device_only,
				       &device->transport, &device->transport_config);
	if (result == 0)
		result = check_recoverable(device);
	if (result == 0)
		result = check_ioctls(device);
	if (result == 0)
		result = reserve_id(device);
	if (result == 0)
		result = create_device(device);
	return result;
}

static void tend(struct bdus_loop_hook *hook);

int bdus_device_make(const struct bdus_device_config *config, struct bdus_device **result_device)
{
	struct bdus_device *const device = calloc(1, sizeof(*device));

	if (device == NULL) {
		bdus_registry_let_go(config->record);
		return base_error(ENOMEM, "no memory for a device");
	}
	device->config = *config;
	device->config.free_opaque = NULL;
	device->attrs = *config->attrs;
	device->native_ops = config->native_ops;
	device->log.tell = config->log;
	device->log.opaque = config->opaque;
	atomic_init(&device->log.level, config->log_level);
	device->stats.fd = -1;
	pthread_mutex_init(&device->open_lock, NULL);
	device->hook.run = tend;
	base_list_init(&device->hook.link);
	bdus_manage_sweep();
	if (note_result(device, make(device)) < 0)
		return bdus_device_destroy(device);
	/* They need not outlive the call; `adopted` is only compared with NULL. */
	device->config.attrs = NULL;
	device->config.transport = NULL;
	device->config.free_opaque = config->free_opaque;
	*result_device = device;
	return 0;
}

void bdus_device_name_filters(struct bdus_device *device, const struct bdus_stats_row *rows,
			      unsigned count)
{
	bdus_stats_name_filters(&device->stats, rows, count);
}

void bdus_device_clear_filter(struct bdus_device *device, unsigned row)
{
	bdus_stats_clear_filter(&device->stats, row);
}

void bdus_device_set_top(struct bdus_device *device, struct bdus_layer top)
{
	device->config.top = top;
}

const struct bdus_device_attrs *bdus_device_attrs(const struct bdus_device *device)
{
	return &device->attrs;
}

const struct bdus_device_info *bdus_device_info(const struct bdus_device *device)
{
	return &device->info;
}

int bdus_stats_of_device(const struct bdus_device *device, struct bdus_stats **stats)
{
	int fd = bdus_device_stats_fd(device);

	if (fd < 0)
		return fd;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd >= 0 ? bdus_stats_open_fd(fd, stats)
		       : base_error_errno(errno, "cannot read statistics");
}

/* ---- for the control plane ----------------------------------------------------------------- */

int bdus_device_stats_fd(const struct bdus_device *device)
{
	if (device->stats.start == NULL)
		return base_error(EOPNOTSUPP,
				  "device %llu has no statistics: BDUS_NO_STATISTICS is in the "
				  "environment of its process",
				  (unsigned long long)device->info.id);
	return device->stats.fd;
}

int bdus_device_flush(struct bdus_device *device, struct bdus_io *io)
{
	struct bdus_queue *const queue = &device->queues[0].queue;

	if (!device->queues[0].open || queue->result != 0 || queue->loop->ending)
		return base_error(ENODEV, "the device is ending");
	bdus_io_prepare(io, BDUS_OP_FLUSH, 0, 0, 0, NULL);
	bdus_rules_apply(queue, &queue->top, io);
	return 0;
}

int bdus_device_set_log_level(struct bdus_device *device, uint32_t level)
{
	const struct bdus_device_config *const config = &device->config;

	if (config->set_log_level == NULL && config->log == NULL)
		return base_error(EOPNOTSUPP,
				  "driver %s of device %llu tells nothing of what it does, "
				  "whatever the log level",
				  device->info.driver, (unsigned long long)device->info.id);
	if (level > BDUS_LOG_DEBUG)
		return base_error(EINVAL, "log level %u: at most %u", level, BDUS_LOG_DEBUG);
	if (config->set_log_level != NULL)
		config->set_log_level(config->opaque, level);
	atomic_store_explicit(&device->log.level, level, memory_order_relaxed);
	return 0;
}

uint32_t bdus_device_log_level(const struct bdus_device *device)
{
	return atomic_load_explicit(&device->log.level, memory_order_relaxed);
}

const struct bdus_log *bdus_device_log(const struct bdus_device *device)
{
	return &device->log;
}

static int check_resize(const struct bdus_device *device, uint64_t size_bytes)
{
	const struct bdus_device_info *const info = &device->info;

	if (!device->is_available || device->is_stopping)
		return base_error(ENODEV, "device %llu is not available",
				  (unsigned long long)info->id);
	if (device->transport->resize == NULL)
		return base_error(EOPNOTSUPP, "%s cannot change the size of a device",
				  info->transport);
	if (device->config.resize == NULL)
		return base_error(EOPNOTSUPP, "driver %s cannot change the size of a device",
				  info->driver);
	if (device->attrs.zone_size_bytes != 0)
		return base_error(EOPNOTSUPP, "device %llu has zones, whose number is fixed",
				  (unsigned long long)info->id);
	if (size_bytes == 0 || size_bytes > INT64_MAX ||
	    size_bytes % device->attrs.physical_block_size != 0)
		return base_error(EINVAL,
				  "size %llu: must be a positive multiple of the physical block "
				  "size, %u",
				  (unsigned long long)size_bytes,
				  device->attrs.physical_block_size);
	return 0;
}

/** Each queue sees it with its next request. */
static void set_size(struct bdus_device *device, uint64_t size_bytes)
{
	device->attrs.size_bytes = size_bytes;
	for (unsigned i = 0; i < device->attrs.queues; i++)
		__atomic_store_n(&device->queues[i].queue.top.rules.size_bytes, size_bytes,
				 __ATOMIC_RELAXED);
}

/** Back to @old_bytes, and the message is still that of the failure. */
static void undo_resize(struct bdus_device *device, uint64_t old_bytes, int result)
{
	char message[BASE_ERROR_MESSAGE_BYTES];

	snprintf(message, sizeof(message), "%s", base_error_message());
	set_size(device, old_bytes);
	device->config.resize(device->config.opaque, old_bytes);
	base_error(-result, "%s", message);
}

/**
 * The driver first, as it may refuse; then the queues, which let through what clients may ask as
 * soon as they are told; and these last. A smaller size the other way round would let a client ask
 * for what is refused, which is an error for it in either order. Before all that, the way in is
 * given the size that there is: where it cannot tell its clients of any, a driver is not bothered,
 * which may be unable to go back.
 */
int bdus_device_resize(struct bdus_device *device, uint64_t size_bytes)
{
	const uint64_t old_bytes = device->attrs.size_bytes;
	int result = check_resize(device, size_bytes);

	if (result == 0)
		result = device->transport->resize(device->transport_device, old_bytes);
	if (result == 0)
		result = device->config.resize(device->config.opaque, size_bytes);
	if (result < 0)
		return result;
	set_size(device, size_bytes);
	result = device->transport->resize(device->transport_device, size_bytes);
	if (result < 0) {
		undo_resize(device, old_bytes, result);
		return result;
	}
	device->info.size_bytes = size_bytes;
	return bdus_registry_write(device->record, &device->info);
}

_Atomic(uint32_t) *bdus_device_shown_workers(const struct bdus_device *device, uint32_t limit)
{
	return bdus_stats_workers(&device->stats, limit);
}

int bdus_device_wake_fd(const struct bdus_device *device)
{
	return device->wake_fd;
}

int bdus_device_filter_command(struct bdus_device *device, const char *filter,
			       const char *const *words, unsigned count, char *answer,
			       size_t answer_bytes)
{
	if (device->config.filter_command == NULL)
		return base_error(ENODEV, "device %llu has no filters",
				  (unsigned long long)device->info.id);
	return device->config.filter_command(device->config.opaque, filter, words, count, answer,
					     answer_bytes);
}

int bdus_device_socket(const struct bdus_device *device, unsigned index)
{
	if (device->transport->socket == NULL)
		return base_error(ENOENT, "%s has no sockets to hand over", device->info.transport);
	return device->transport->socket(device->transport_device, index);
}

static void look_around(struct bdus_device *device);

/* ---- leaving ------------------------------------------------------------------------------- */

static bool may_be_left(const struct bdus_device *device)
{
	const struct bdus_transport *const transport = device->transport;

	if (device->attrs.flags & BDUS_DEVICE_RECOVERABLE)
		return true;
	return transport->announce != NULL && (transport->is_succeeded == NULL ||
					       transport->is_succeeded(device->transport_device));
}

int bdus_device_hand_over(struct bdus_device *device)
{
	const struct bdus_device_info *const info = &device->info;

	if (!may_be_left(device))
		return base_error(EOPNOTSUPP,
				  "device %llu cannot be given another driver: it was not made "
				  "recoverable",
				  (unsigned long long)info->id);
	if (!device->config.can_leave)
		return base_error(EOPNOTSUPP,
				  "device %llu cannot be given another driver while process %d "
				  "serves it from a loop of its own",
				  (unsigned long long)info->id, info->pid);
	/* What no driver has seen would be failed with what one had, as that must not run twice. */
	if (device->attrs.zone_size_bytes != 0 && device->transport->is_succeeded == NULL)
		return base_error(
			EOPNOTSUPP,
			"device %llu has zones, and %s cannot tell requests that must not "
			"run twice from others: it can be recovered, but not replaced",
			(unsigned long long)info->id, info->transport);
	if (!device->is_available || device->is_stopping)
		return base_error(ENODEV, "device %llu is not available",
				  (unsigned long long)info->id);
	atomic_store(&device->leaving, BDUS_LEAVING_IN_ORDER);
	return 0;
}

enum bdus_leaving bdus_device_leaving(const struct bdus_device *device)
{
	return (enum bdus_leaving)atomic_load_explicit(&device->leaving, memory_order_acquire);
}

void bdus_device_stay(struct bdus_device *device)
{
	if (bdus_device_leaving(device) == BDUS_LEAVING_IN_ORDER)
		atomic_store(&device->leaving, BDUS_NOT_LEAVING);
	/* A request to stop was put off. */
	look_around(device);
}

unsigned bdus_device_leave(struct bdus_device *device)
{
	const int result = note_result(device, device->transport->leave(device->transport_device));

	/* Until its successor has it, it is not to be swept away. */
	if (result >= 0 && !(device->info.flags & BDUS_DEVICE_RECOVERABLE)) {
		device->info.flags |= BDUS_DEVICE_RECOVERABLE;
		bdus_registry_write(device->record, &device->info);
	}
	return result > 0 ? (unsigned)result : 0;
}

/** Whether the device, whose driver is ending, is left for another one. */
static bool outlives_failure(const struct bdus_device *device)
{
	const bool failed = device->is_available && device->result < 0;
	const bool was_never_served = device->config.adopted != NULL && !device->is_available;

	return (failed || was_never_served) && device->config.can_leave &&
	       (device->attrs.flags & BDUS_DEVICE_RECOVERABLE);
}

static void change_taken(struct bdus_change *change)
{
	const struct bdus_device *const device =
		base_container_of(change, struct bdus_device, change);
	const uint64_t one = 1;
	const ssize_t written = write(device->wake_fd, &one, sizeof(one));

	(void)written;
}

int bdus_device_change_top(struct bdus_device *device, struct bdus_layer top)
{
	if (!device->is_available || device->is_stopping || device->loop == NULL)
		return base_error(ENODEV, "device %llu is not available",
				  (unsigned long long)device->info.id);
	device->change.top = top;
	device->change.taken = change_taken;
	atomic_store(&device->change.left, device->attrs.queues);
	pthread_mutex_lock(&device->open_lock);
	/* One that has closed never takes it; the device is at its end then. */
	for (unsigned i = 0; i < device->attrs.queues; i++)
		if (device->queues[i].open)
			bdus_queue_order(&device->queues[i].queue, &device->change);
	pthread_mutex_unlock(&device->open_lock);
	return 0;
}

static int may_change(const struct bdus_device *device, bool is_possible)
{
	if (!is_possible)
		return base_error(EOPNOTSUPP, "the filters of device %llu cannot be changed",
				  (unsigned long long)device->info.id);
	if (device->changed != NULL)
		return base_error(EBUSY, "another change of the filters is under way");
	return 0;
}

/** Notes whom to tell, if the change has begun. */
static int begun(struct bdus_device *device, int result, bdus_filters_changed_fn *done,
		 void *opaque)
{
	if (result == 0) {
		device->changed = done;
		device->changed_opaque = opaque;
	}
	return result;
}

int bdus_device_attach_filter(struct bdus_device *device, const char *filter,
			      const char *const *words, unsigned count,
			      bdus_filters_changed_fn *done, void *opaque)
{
	const struct bdus_device_config *const config = &device->config;
	const int result = may_change(device, config->attach_filter != NULL);

	if (result < 0)
		return result;
	return begun(device, config->attach_filter(config->opaque, filter, words, count), done,
		     opaque);
}

int bdus_device_detach_filter(struct bdus_device *device, const char *filter,
			      bdus_filters_changed_fn *done, void *opaque)
{
	const struct bdus_device_config *const config = &device->config;
	const int result = may_change(device, config->detach_filter != NULL);

	if (result < 0)
		return result;
	return begun(device, config->detach_filter(config->opaque, filter), done, opaque);
}

/* ---- from other threads -------------------------------------------------------------------- */

void bdus_device_stop(struct bdus_device *device)
{
	const int saved = errno;
	const uint64_t one = 1;
	ssize_t written;

	atomic_store(&device->stop_requested, true);
	/* Fails only when the counter is full, and then the loop is awake. */
	written = write(device->wake_fd, &one, sizeof(one));
	(void)written;
	errno = saved;
}

void bdus_device_abort(struct bdus_device *device, int error, const char *what)
{
	int none = 0;

	if (!atomic_compare_exchange_strong(&device->abort_error, &none, -1))
		return;
	snprintf(device->abort_what, sizeof(device->abort_what), "%s", what);
	atomic_store(&device->abort_error, error);
	bdus_device_stop(device);
}

static void note_abort(struct bdus_device *device)
{
	const int error = atomic_load(&device->abort_error);

	if (error > 0)
		note_result(device, base_error(error, "%s", device->abort_what));
}

int bdus_device_failure(struct bdus_device *device)
{
	note_abort(device);
	return device->result == 0 ? 0 : base_error(-device->result, "%s", device->message);
}

/* ---- queues -------------------------------------------------------------------------------- */

static struct device_queue *of_queue(struct bdus_queue *queue)
{
	return base_container_of(queue, struct device_queue, queue);
}

static unsigned index_of(const struct device_queue *queue)
{
	return (unsigned)(queue - queue->device->queues);
}

/** No more requests come from a queue. */
static void queue_ended(struct bdus_queue *queue)
{
	struct device_queue *const ended = of_queue(queue);
	struct bdus_device *const device = ended->device;

	if (queue->result != -ENODEV)
		bdus_device_abort(device, -queue->result, queue->message);
	else if (index_of(ended) == 0)
		bdus_device_stop(device);
	/* Nobody may process the loop once more for the wake-up. */
	if (index_of(ended) == 0 && !device->is_stopping && base_list_is_empty(&device->hook.link))
		bdus_loop_add_hook(device->loop, &device->hook);
}

static void begin_stop(struct bdus_device *device);

/** Queue 0's loop no longer does the device's work; so there must be none left to do. */
static void leave_loop(struct bdus_device *device)
{
	if (device->is_started && !device->is_stopping &&
	    bdus_device_leaving(device) == BDUS_NOT_LEAVING)
		begin_stop(device);
	bdus_control_detach(device->control);
	bdus_loop_end_call(device->loop, &device->wake_call);
	bdus_loop_remove_hook(&device->hook);
	device->loop = NULL;
}

static void note_closed(struct device_queue *closed)
{
	if (index_of(closed) == 0)
		leave_loop(closed->device);
	pthread_mutex_lock(&closed->device->open_lock);
	closed->open = false;
	pthread_mutex_unlock(&closed->device->open_lock);
	atomic_fetch_sub(&closed->device->open_queues, 1);
}

static void queue_forced(struct bdus_queue *queue)
{
	note_closed(of_queue(queue));
}

static int open_in_loop(struct device_queue *opened, struct bdus_loop *loop)
{
	struct bdus_device *const device = opened->device;
	const struct bdus_queue_setup setup = {
		.transport = device->transport,
		.device = device->transport_device,
		.index = index_of(opened),
		.top = device->config.top,
		.rules = &device->rules,
		.memory = device->config.memory,
		.stats = bdus_stats_part(&device->stats, index_of(opened)),
		.ended = queue_ended,
		.forced = queue_forced,
	};
	int result;

	/* The transport may complete a call of queue 0 at once. */
	if (setup.index == 0)
		device->loop = loop;
	result = bdus_queue_start(&opened->queue, loop, &setup);
	if (result < 0) {
		if (setup.index == 0)
			device->loop = NULL;
		return result;
	}
	opened->open = true;
	atomic_fetch_add(&device->open_queues, 1);
	return 0;
}

int bdus_queue_open(struct bdus_device *device, unsigned index, struct bdus_loop *loop,
		    struct bdus_queue **queue)
{
	struct bdus_loop *own = NULL;
	struct device_queue *opened;
	int result = 0;

	if (index >= device->attrs.queues)
		return base_error(EINVAL, "queue %u of device %llu, which has %u", index,
				  (unsigned long long)device->info.id, device->attrs.queues);
	opened = &device->queues[index];
	if (opened->open)
		return base_error(EBUSY, "queue %u of device %llu is open already", index,
				  (unsigned long long)device->info.id);
	if (loop == NULL)
		result = bdus_loop_create(NULL, &own);
	if (result == 0)
		result = open_in_loop(opened, loop != NULL ? loop : own);
	if (result < 0) {
		bdus_loop_destroy(own);
		return result;
	}
	opened->owns_loop = own != NULL;
	*queue = &opened->queue;
	return 0;
}

struct bdus_loop *bdus_queue_loop(struct bdus_queue *queue)
{
	return queue->loop;
}

static int refuse_without_loop(struct bdus_queue *queue)
{
	const struct device_queue *const detached = of_queue(queue);

	return base_error(EINVAL, "queue %u of device %llu was detached and is in no loop",
			  index_of(detached), (unsigned long long)detached->device->info.id);
}

int bdus_queue_fd(struct bdus_queue *queue)
{
	if (queue->loop == NULL)
		return refuse_without_loop(queue);
	return bdus_loop_fd(queue->loop);
}

int bdus_queue_process(struct bdus_queue *queue, int timeout_ms)
{
	if (queue->loop == NULL)
		return refuse_without_loop(queue);
	return bdus_loop_process(queue->loop, timeout_ms);
}

int bdus_queue_result(const struct bdus_queue *queue)
{
	return queue->in_flight != 0 ? 0 : queue->result;
}

static int refuse_to_close(const struct device_queue *queue)
{
	return base_error(EBUSY,
			  "queue %u of device %llu is being served: stop the device and go on "
			  "until the queue has ended",
			  index_of(queue), (unsigned long long)queue->device->info.id);
}

int bdus_queue_close(struct bdus_queue *queue)
{
	struct device_queue *const closed = queue != NULL ? of_queue(queue) : NULL;

	if (closed == NULL || !closed->open)
		return 0;
	if (queue->loop == NULL)
		return base_error(EBUSY,
				  "queue %u of device %llu is in no loop: attach it before it "
				  "is closed",
				  index_of(closed), (unsigned long long)closed->device->info.id);
	if (queue->loop->in_turn)
		return base_error(EBUSY, "a queue cannot be closed from within its loop");
	if (closed->owns_loop) {
		bdus_loop_destroy(queue->loop);
		return 0;
	}
	if (bdus_queue_result(queue) != -ENODEV)
		return refuse_to_close(closed);
	bdus_queue_end(queue);
	note_closed(closed);
	queue->loop = NULL;
	return 0;
}

/* ---- from loop to loop --------------------------------------------------------------------- */

static int wait_for_wake(struct bdus_device *device);

/** Queue 0 takes the device's own work along. */
static void suspend(struct bdus_device *device)
{
	bdus_control_detach(device->control);
	bdus_loop_end_call(device->loop, &device->wake_call);
	device->was_hooked = !base_list_is_empty(&device->hook.link);
	bdus_loop_remove_hook(&device->hook);
	device->loop = NULL;
}

static int resume(struct bdus_device *device, struct bdus_loop *loop)
{
	int result;

	device->loop = loop;
	if (device->was_hooked)
		bdus_loop_add_hook(loop, &device->hook);
	if (!device->is_started)
		return 0;
	result = wait_for_wake(device);
	return result == 0 ? bdus_control_attach(device->control, loop) : result;
}

static int may_detach(struct device_queue *queue)
{
	const struct bdus_device *const device = queue->device;
	const unsigned long long id = device->info.id;
	const unsigned index = index_of(queue);

	if (queue->queue.loop == NULL)
		return refuse_without_loop(&queue->queue);
	if (device->transport->detach_queue == NULL || device->transport->attach_queue == NULL)
		return base_error(EOPNOTSUPP,
				  "queue %u of device %llu cannot be detached: over %s, a queue "
				  "stays with the thread that opened it",
				  index, id, device->transport->name);
	if (queue->owns_loop)
		return base_error(EINVAL,
				  "queue %u of device %llu cannot be detached from a loop of its "
				  "own",
				  index, id);
	if (queue->queue.loop->in_turn)
		return base_error(EBUSY, "a queue cannot be detached from within its loop");
	if (queue->queue.in_flight != 0)
		return base_error(EBUSY,
				  "queue %u of device %llu cannot be detached: %u requests are in "
				  "flight",
				  index, id, queue->queue.in_flight);
	return 0;
}

int bdus_queue_detach(struct bdus_queue *queue)
{
	struct device_queue *const detached = of_queue(queue);
	const int result = may_detach(detached);

	if (result < 0)
		return result;
	bdus_queue_leave_loop(queue);
	if (index_of(detached) == 0)
		suspend(detached->device);
	return 0;
}

int bdus_queue_attach(struct bdus_queue *queue, struct bdus_loop *loop)
{
	struct device_queue *const attached = of_queue(queue);
	int result = 0;

	if (queue->loop != NULL)
		return base_error(EBUSY, "queue %u of device %llu is in a loop: detach it first",
				  index_of(attached),
				  (unsigned long long)attached->device->info.id);
	if (loop->in_turn)
		return base_error(EBUSY, "a queue cannot be attached from within a loop");
	if (index_of(attached) == 0)
		result = resume(attached->device, loop);
	if (result < 0) {
		suspend(attached->device);
		return result;
	}
	bdus_queue_enter_loop(queue, loop);
	return 0;
}

/* ---- starting and stopping ----------------------------------------------------------------- */

/** Tells other processes that the device ends; see needs_a_signal() in manage.c. */
static void record_end(struct bdus_device *device)
{
	device->info.state = BDUS_STATE_DRAINING;
	if (device->record != NULL)
		bdus_registry_write(device->record, &device->info);
}

static void begin_stop(struct bdus_device *device)
{
	device->is_stopping = true;
	bdus_loop_remove_hook(&device->hook);
	note_abort(device);
	if (outlives_failure(device)) {
		atomic_store(&device->leaving, BDUS_LEAVING_AT_ONCE);
	} else {
		record_end(device);
		bdus_registry_unlink(&device->info);
		note_result(device, device->transport->stop(device->transport_device));
	}
	if (device->config.stopping != NULL)
		device->config.stopping(device->config.opaque, device->result);
}

static int announce(struct bdus_device *device)
{
	const struct bdus_device_config *const config = &device->config;
	int result = 0;

	device->info.state = BDUS_STATE_AVAILABLE;
	device->transport->describe(device->transport_device, &device->info);
	if (device->transport->makes_block_device)
		result = bdus_registry_link(&device->info);
	if (result == 0)
		result = bdus_registry_write(device->record, &device->info);
	if (result == 0 && config->available != NULL)
		result = config->available(config->opaque, &device->info);
	return result;
}

static int become_available(struct bdus_device *device)
{
	const int result = device->transport->start_result(device->transport_device);

	if (result <= 0)
		return result;
	device->is_available = true;
	bdus_loop_remove_hook(&device->hook);
	return announce(device);
}

/** Between two turns of queue 0's loop. */
static void look_around(struct bdus_device *device)
{
	if (!device->is_available && !device->is_stopping &&
	    note_result(device, become_available(device)) < 0)
		atomic_store(&device->stop_requested, true);
	if (atomic_load_explicit(&device->stop_requested, memory_order_acquire) &&
	    !device->is_stopping && bdus_device_leaving(device) == BDUS_NOT_LEAVING)
		begin_stop(device);
}

static void tend(struct bdus_loop_hook *hook)
{
	look_around(base_container_of(hook, struct bdus_device, hook));
}

static int wait_for_wake(struct bdus_device *device)
{
	asys_prep_poll(&device->wake_call.message, device->wake_fd, POLLIN);
	return bdus_loop_send(device->loop, &device->wake_call);
}

static void finish_change(struct bdus_device *device)
{
	bdus_filters_changed_fn *const changed = device->changed;

	if (changed == NULL || atomic_load(&device->change.left) != 0)
		return;
	device->changed = NULL;
	changed(device->changed_opaque, device->config.top_changed(device->config.opaque));
}

static void on_wake(struct bdus_call *call)
{
	struct bdus_device *const device = base_container_of(call, struct bdus_device, wake_call);
	uint64_t count;
	ssize_t got;

	if (device->loop == NULL || call->message.result < 0)
		return;
	got = read(device->wake_fd, &count, sizeof(count));
	(void)got;
	wait_for_wake(device);
	finish_change(device);
	look_around(device);
}

static int start(struct bdus_device *device)
{
	int result;

	device->wake_call.completed = on_wake;
	result = wait_for_wake(device);
	if (result == 0)
		result = bdus_control_attach(device->control, device->loop);
	if (result == 0)
		result = device->transport->start(device->transport_device);
	return result;
}

int bdus_device_start(struct bdus_device *device)
{
	const unsigned open = atomic_load(&device->open_queues);

	if (device->is_started)
		return base_error(EALREADY, "device %llu was started before",
				  (unsigned long long)device->info.id);
	if (open != device->attrs.queues)
		return base_error(EINVAL,
				  "%u of the %u queues of device %llu are open: all have "
				  "to be",
				  open, device->attrs.queues, (unsigned long long)device->info.id);
	device->is_started = true;
	bdus_loop_add_hook(device->loop, &device->hook);
	/* There may be nothing to wake the first turn. */
	bdus_loop_wake(device->loop);
	if (note_result(device, start(device)) == 0)
		return 0;
	begin_stop(device);
	return base_error(-device->result, "%s", device->message);
}

/* ---- ending -------------------------------------------------------------------------------- */

/** What others know of the device goes, or stays, for another process. */
static void unmake_record(struct bdus_device *device, bool leave)
{
	if (leave) {
		bdus_registry_let_go(device->record != NULL ? device->record
							    : device->config.record);
		return;
	}
	if (device->record != NULL)
		bdus_registry_unlink(&device->info);
	bdus_registry_release(device->record);
}

static void unmake(struct bdus_device *device)
{
	const bool was_never_taken_over = device->config.adopted != NULL &&
					  (device->attrs.flags & BDUS_DEVICE_RECOVERABLE) &&
					  !device->is_available && !device->is_stopping;
	const bool leave = bdus_device_leaving(device) != BDUS_NOT_LEAVING || was_never_taken_over;

	if (device->transport != NULL && !leave)
		record_end(device);
	note_abort(device);
	bdus_control_destroy(device->control);
	bdus_rules_finish(&device->rules);
	free(device->queues);
	bdus_stats_memory_finish(&device->stats);
	if (device->transport_device != NULL)
		note_result(device, device->transport->destroy(device->transport_device));
	unmake_record(device, leave);
	bdus_config_destroy(device->transport_config);
	if (device->uses_memory)
		bdus_memory_leave(device->config.memory);
	if (device->wake_fd >= 0)
		close(device->wake_fd);
	if (device->config.free_opaque != NULL)
		device->config.free_opaque(device->config.opaque);
}

int bdus_device_destroy(struct bdus_device *device)
{
	int result;

	if (device == NULL)
		return 0;
	if (atomic_load(&device->open_queues) != 0)
		return base_error(EBUSY, "%u queues of device %llu are still open",
				  atomic_load(&device->open_queues),
				  (unsigned long long)device->info.id);
	unmake(device);
	result = device->result;
	if (result < 0)
		base_error(-result, "%s", device->message);
	free(device);
	return result;
}
