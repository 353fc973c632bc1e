/* SPDX-License-Identifier: MIT */
/*
 * Devices seen from outside the process that serves them: listing, finding, flushing, destroying.
 *
 * What is known of a device comes from its record (registry.c) and, for ways in that the kernel
 * keeps devices for, from the kernel, which knows of devices whose record is lost.
 */
#include "manage.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/error.h"
#include "device/control.h"
#include "device/wait.h"
#include "registry.h"
#include "run.h"
#include "transports.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define SWEEP_DEADLINE_MS 2000
#define POLL_INTERVAL_MS  5

const char *bdus_manage_error(void)
{
	return base_error_message();
}

static int read_options(const struct bdus_run_options *options, struct bdus_run_config *config)
{
	if (options->size < sizeof(*options) || options->driver == NULL)
		return base_error(EINVAL,
				  "bdus_manage_run: size is %zu: must be at least %zu, with a "
				  "driver",
				  options->size, sizeof(*options));
	if (options->log_level > BDUS_LOG_DEBUG)
		return base_error(EINVAL, "bdus_manage_run: log level is %u: at most %u",
				  (unsigned)options->log_level, BDUS_LOG_DEBUG);
	*config = (struct bdus_run_config){
		.driver = options->driver,
		.driver_options = options->driver_options,
		.driver_option_count = options->driver_option_count,
		.transport = options->transport,
		.queues = options->queues,
		.queue_depth = options->queue_depth,
		.read_only = options->read_only,
		.recoverable = options->recoverable,
		.restart = options->restart,
		.no_partition_scan = options->no_partition_scan,
		.lock_memory = options->lock_memory,
		.daemonize = options->daemonize,
		.available = options->available,
		.opaque = options->opaque,
		.filters = options->filters,
		.filter_count = options->filter_count,
		.backends = options->backends,
		.backend_count = options->backend_count,
		.find_filter = options->find_filter,
		.log = options->log,
		.log_level = (uint32_t)options->log_level,
	};
	return 0;
}

int bdus_manage_run(const struct bdus_run_options *options)
{
	struct bdus_run_config config;
	const int result = read_options(options, &config);

	return result < 0 ? result : bdus_run_driver(&config);
}

int bdus_manage_rerun(const struct bdus_device_info *info, const struct bdus_run_options *options,
		      unsigned flags, uint64_t timeout_ms)
{
	struct bdus_run_config config;
	const int result = read_options(options, &config);

	if (result < 0)
		return result;
	config.takes_over = true;
	config.device_id = info->id;
	config.rerun_flags = flags;
	config.rerun_deadline_ns =
		base_deadline_ns(timeout_ms != 0 ? timeout_ms : BDUS_RERUN_TIMEOUT_MS);
	config.read_only = false;
	config.no_partition_scan = false;
	return bdus_run_driver(&config);
}

/* ---- listing ------------------------------------------------------------------------------- */

struct list_walk {
	int (*found)(const struct bdus_device_info *info, void *opaque);
	void *opaque;
};

/** A device that the kernel knows: shown only if it has no record, else it was shown already. */
static int show_unrecorded(const struct bdus_device_info *info, void *opaque)
{
	const struct list_walk *const walk = opaque;
	struct bdus_device_info recorded;

	if (info->id != BDUS_ID_NONE && bdus_registry_read(info->id, &recorded) == 1)
		return 0;
	return walk->found(info, walk->opaque);
}

int bdus_manage_list(int (*found)(const struct bdus_device_info *info, void *opaque), void *opaque)
{
	struct list_walk walk = {.found = found, .opaque = opaque};
	int result = bdus_registry_each(found, opaque);

	for (unsigned i = 0; bdus_transport_table[i] != NULL && result == 0; i++) {
		if (bdus_transport_table[i]->scan != NULL)
			result = bdus_transport_table[i]->scan(show_unrecorded, &walk);
	}
	return result;
}

/* ---- finding ------------------------------------------------------------------------------- */

struct search {
	/** Match by id, or, where that is BDUS_ID_NONE, by path. */
	uint64_t id;
	const char *path;
	struct bdus_device_info *info;
};

static int match(const struct bdus_device_info *info, void *opaque)
{
	const struct search *const search = opaque;
	const bool same = search->path != NULL ? strcmp(info->path, search->path) == 0
					       : info->id == search->id;

	if (!same)
		return 0;
	*search->info = *info;
	return 1;
}

static int find_by(const struct search *search)
{
	return bdus_manage_list(match, (void *)(uintptr_t)search);
}

int bdus_manage_find_id(uint64_t id, struct bdus_device_info *info)
{
	const struct search search = {.id = id, .info = info};
	const int result = find_by(&search);

	if (result == 0)
		return base_error(ENODEV, "there is no device with id %" PRIu64, id);
	return result < 0 ? result : 0;
}

/** Completes what a way in knows of a device by its record. */
static int complete_from_record(struct bdus_device_info *info)
{
	struct bdus_device_info recorded;

	if (info->id != BDUS_ID_NONE && bdus_registry_read(info->id, &recorded) == 1)
		*info = recorded;
	return 0;
}

/** "/dev/bdus-7" names device 7 even when the kernel has none behind it any more. */
static int find_by_link_name(const char *path, struct bdus_device_info *info)
{
	static const char prefix[] = "/dev/bdus-";
	uint64_t id;
	char *end;

	if (strncmp(path, prefix, sizeof(prefix) - 1) != 0 ||
	    !isdigit((unsigned char)path[sizeof(prefix) - 1]))
		return 0;
	errno = 0;
	id = strtoull(path + sizeof(prefix) - 1, &end, 10);
	if (errno != 0 || *end != '\0')
		return 0;
	return bdus_manage_find_id(id, info) == 0 ? 1 : 0;
}

int bdus_manage_find_path(const char *path, struct bdus_device_info *info)
{
	struct stat status;

	for (unsigned i = 0; bdus_transport_table[i] != NULL; i++) {
		const struct bdus_transport *const transport = bdus_transport_table[i];
		const int result =
			transport->identify != NULL ? transport->identify(path, info) : 0;

		if (result < 0)
			return result;
		if (result > 0)
			return complete_from_record(info);
	}
	if (find_by_link_name(path, info) > 0)
		return 0;
	if (stat(path, &status) != 0)
		return base_error_errno(errno, "%s", path);
	if (!S_ISBLK(status.st_mode))
		return base_error(EINVAL, "%s is not a block special file", path);
	return base_error(EINVAL, "%s is not a device made by BDUS", path);
}

static bool is_number(const char *text, uint64_t *number)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

int bdus_manage_find(const char *text, struct bdus_device_info *info)
{
	const struct search by_uri = {.path = text, .info = info};
	uint64_t id;
	int result;

	if (is_number(text, &id))
		return bdus_manage_find_id(id, info);
	if (text[0] == '/' || text[0] == '.')
		return bdus_manage_find_path(text, info);
	result = find_by(&by_uri);
	if (result != 0)
		return result < 0 ? result : 0;
	if (strncmp(text, "nbd", 3) == 0)
		return base_error(ENODEV, "there is no device at %s", text);
	return base_error(EINVAL, "'%s' is not a device: must be an id, a path or an NBD URI",
			  text);
}

/* ---- flushing ------------------------------------------------------------------------------ */

/** An fsync() on its way in a thread of its own, which outlives a caller that gave up. */
struct sync_job {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int fd;
	bool done;
	bool abandoned;
	int error;
};

static void sync_job_destroy(struct sync_job *job)
{
	pthread_mutex_destroy(&job->lock);
	pthread_cond_destroy(&job->changed);
	close(job->fd);
	free(job);
}

static void *sync_thread(void *argument)
{
	struct sync_job *const job = argument;
	const int error = fsync(job->fd) != 0 ? errno : 0;
	bool abandoned;

	pthread_mutex_lock(&job->lock);
	job->error = error;
	job->done = true;
	abandoned = job->abandoned;
	pthread_cond_signal(&job->changed);
	pthread_mutex_unlock(&job->lock);
	if (abandoned)
		sync_job_destroy(job);
	return NULL;
}

static int start_sync(int fd, struct sync_job **started)
{
	struct sync_job *const job = calloc(1, sizeof(*job));
	pthread_t thread;
	int error;

	if (job == NULL) {
		close(fd);
		return base_error(ENOMEM, "no memory to flush");
	}
	job->fd = fd;
	pthread_mutex_init(&job->lock, NULL);
	base_cond_init(&job->changed);
	error = pthread_create(&thread, NULL, sync_thread, job);
	if (error != 0) {
		sync_job_destroy(job);
		return base_error_errno(error, "cannot start a thread to flush");
	}
	pthread_detach(thread);
	*started = job;
	return 0;
}

static int wait_for_sync(struct sync_job *job, const char *path, struct bdus_wait *wait)
{
	int result = 0;
	int error;

	pthread_mutex_lock(&job->lock);
	while (!job->done && result >= 0) {
		result = bdus_wait_step(wait, 1000);
		if (result >= 0)
			base_cond_wait_until(&job->changed, &job->lock,
					     base_deadline_ns((uint64_t)result));
	}
	error = job->error;
	job->abandoned = !job->done;
	pthread_mutex_unlock(&job->lock);
	if (result < 0)
		return result;
	sync_job_destroy(job);
	return error != 0 ? base_error_errno(error, "cannot flush %s", path) : 0;
}

static int flush_block_device(const struct bdus_device_info *info, uint64_t deadline_ns,
			      bdus_progress_fn *progress, void *opaque)
{
	const int fd = open(info->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char waiting_for[256];
	struct sync_job *job = NULL;
	struct bdus_wait wait;
	struct stat status;
	int result;

	if (fd < 0)
		return base_error_errno(errno, "cannot open %s to flush it", info->path);
	if (fstat(fd, &status) != 0 || major(status.st_rdev) != info->major ||
	    minor(status.st_rdev) != info->minor) {
		close(fd);
		return base_error(ENODEV, "%s is another device by now", info->path);
	}
	result = start_sync(fd, &job);
	if (result < 0)
		return result;
	snprintf(waiting_for, sizeof(waiting_for), "the flush of %s to end", info->path);
	bdus_wait_init(&wait, waiting_for, deadline_ns, progress, opaque);
	return wait_for_sync(job, info->path, &wait);
}

static uint64_t deadline_of(uint64_t timeout_ms)
{
	return timeout_ms != 0 ? base_deadline_ns(timeout_ms) : UINT64_MAX;
}

int bdus_manage_flush(const struct bdus_device_info *info, uint64_t timeout_ms,
		      bdus_progress_fn *progress, void *opaque)
{
	const uint64_t deadline_ns = deadline_of(timeout_ms);

	if (info->state == BDUS_STATE_ORPHANED)
		return base_error(ENODEV,
				  "%s has no driver any more, so that nothing can be flushed",
				  info->path[0] != '\0' ? info->path : info->native_path);
	if (info->major != 0 || info->minor != 0)
		return flush_block_device(info, deadline_ns, progress, opaque);
	return bdus_control_flush(info->id, deadline_ns, progress, opaque);
}

/* ---- destroying ---------------------------------------------------------------------------- */

/** Whether the process that served the device still holds its record, which then is in @now. */
static bool is_served(uint64_t id, struct bdus_device_info *now)
{
	return bdus_registry_read(id, now) == 1 && now->state != BDUS_STATE_ORPHANED;
}

static int wait_until_not_served(const struct bdus_device_info *info, uint64_t deadline_ns,
				 bdus_progress_fn *progress, void *opaque)
{
	char waiting_for[128];
	struct bdus_device_info now;
	struct bdus_wait wait;

	snprintf(waiting_for, sizeof(waiting_for), "process %d to end device %" PRIu64, info->pid,
		 info->id);
	bdus_wait_init(&wait, waiting_for, deadline_ns, progress, opaque);
	while (is_served(info->id, &now)) {
		const int result = bdus_wait_sleep(&wait, POLL_INTERVAL_MS);

		if (result < 0)
			return result;
	}
	return 0;
}

/**
 * Whether the device's process should be told to end by a signal. One that is ending the device, as
 * its record says before it closes the service, needs no telling, and may be done with the
 * device, and with catching signals for it, by the time that one arrives.
 */
static bool needs_a_signal(uint64_t id)
{
	struct bdus_device_info now;

	return is_served(id, &now) && now.state != BDUS_STATE_DRAINING;
}

/**
 * Sends SIGTERM to the process that holds the device's record. The pidfd is opened first: if the
 * record is still held afterwards, its holder lived then, and the pid was its own.
 */
static int signal_holder(const struct bdus_device_info *info)
{
	const int fd = (int)syscall(SYS_pidfd_open, info->pid, 0);
	long result = 0;
	int error;

	if (fd < 0)
		return errno == ESRCH
			       ? 0
			       : base_error_errno(errno, "cannot reach process %d", info->pid);
	if (needs_a_signal(info->id))
		result = syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
	error = errno;
	close(fd);
	if (result != 0 && error != ESRCH)
		return base_error_errno(error,
					"cannot end process %d, which serves device %" PRIu64,
					info->pid, info->id);
	return 0;
}

static int stop_holder(const struct bdus_device_info *info, uint64_t deadline_ns,
		       bdus_progress_fn *progress, void *opaque)
{
	int result = bdus_control_stop(info->id, deadline_ns, progress, opaque);

	if (result == -EACCES || result == -EPERM || result == -ETIMEDOUT)
		return result;
	if (result < 0)
		result = signal_holder(info);
	return result < 0 ? result : wait_until_not_served(info, deadline_ns, progress, opaque);
}

/** Removes what is left of a device that nobody serves. */
static int remove_remains(const struct bdus_device_info *info, uint64_t deadline_ns,
			  bdus_progress_fn *progress, void *opaque)
{
	const struct bdus_transport *const transport = bdus_transport_find(info->transport);
	struct bdus_record *record = NULL;
	int result = 0;

	/* While it is ours, nobody takes the device over. */
	if (info->id != BDUS_ID_NONE && bdus_registry_claim(info->id, &record) == -EBUSY)
		return base_error(EBUSY, "another process is just taking over device %" PRIu64,
				  info->id);
	if (transport != NULL && transport->remove != NULL)
		result = transport->remove(info, deadline_ns, progress, opaque);
	if (result == 0 && info->id != BDUS_ID_NONE)
		bdus_registry_forget(info);
	bdus_registry_let_go(record);
	return result;
}

int bdus_manage_destroy(const struct bdus_device_info *info, uint64_t timeout_ms,
			bdus_progress_fn *progress, void *opaque)
{
	const uint64_t deadline_ns = deadline_of(timeout_ms);
	struct bdus_device_info now;
	int result = 0;

	if (info->id != BDUS_ID_NONE && is_served(info->id, &now))
		result = stop_holder(info, deadline_ns, progress, opaque);
	return result < 0 ? result : remove_remains(info, deadline_ns, progress, opaque);
}

static int sweep_one(const struct bdus_device_info *info, void *opaque)
{
	const uint64_t *const deadline_ns = opaque;

	if (info->state == BDUS_STATE_ORPHANED && !(info->flags & BDUS_DEVICE_RECOVERABLE))
		remove_remains(info, *deadline_ns, NULL, NULL);
	return 0;
}

void bdus_manage_sweep(void)
{
	uint64_t deadline_ns = base_deadline_ns(SWEEP_DEADLINE_MS);

	bdus_registry_each(sweep_one, &deadline_ns);
}
