/* SPDX-License-Identifier: MIT */
/*
 * Way in: block devices of this machine by the project's own kernel module, kbdus.
 *
 *	create      CREATE                                     (the module knows the device)
 *	open_queue  ATTACH and a mapping, in queue.c
 *	start       START is under way; requests may come
 *	start_result                                           (/dev/bdus-N exists)
 *	stop        STOP is under way; the module finishes what it has, removes the disk, and then
 *	            the queues end
 *	destroy     the owner is closed                        (nothing is left)
 *
 * START and STOP only begin what the module then does in threads of its own; queue 0 hears of each
 * change. When the process dies, its files are closed, and the module fails the requests and
 * removes the disk, so that nothing stays behind. Unless the device is recoverable: then requests
 * wait, for a process that goes on with it:
 *
 *	leave              LEAVE: the queues end, and the files are closed         (an orphan)
 *	adopt              ADOPT                                                   (has a successor)
 *	await_predecessor  all files of the last server are closed
 *	open_queue         ATTACH; the first one makes it the owner
 *	start              START: served from now on
 */
#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "kbdus_internal.h"

#include <bdus/driver.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/** How long destroy() waits for the files that the end of a ring may still hold. */
#define GONE_TIMEOUT_MS 1000

static const struct bdus_option kbdus_options[] = {
	{
		.key = "poll",
		.kind = BDUS_OPTION_BOOL,
		.fallback = "no",
		.help = "do without commands of io_uring, as where there is none",
	},
	{
		.key = "busy-poll",
		.kind = BDUS_OPTION_NUMBER,
		.fallback = "100",
		.maximum = KBDUS_ABI_MOST_BUSY_POLL_US,
		.help = "microseconds to look for the next request before sleeping, while that "
			"pays off",
	},
	{.key = NULL},
};

static int refuse(int error, uint64_t id)
{
	switch (error) {
	case EPERM:
		return base_error(EPERM, "kbdus needs the capability CAP_SYS_ADMIN, which this "
					 "process lacks");
	case ENOSPC:
		return base_error(ENOSPC, "there are as many devices already as the parameter "
					  "max_devices of the module kbdus allows");
	case EEXIST:
		return base_error(EEXIST, "kbdus has a device with id %" PRIu64 " already", id);
	default:
		return base_error_errno(error, "kbdus cannot make device %" PRIu64, id);
	}
}

static void note_device(struct bdus_transport_device *device, const struct kbdus_abi_device *told)
{
	device->depth = kbdus_abi_device_queue_depth(told);
	device->limits = (struct kbdus_limits){
		.size_bytes = kbdus_abi_device_size_bytes(told),
		.max_transfer_bytes = kbdus_abi_device_max_transfer_bytes(told),
		.ops = kbdus_abi_device_ops(told),
	};
}

/** Of a zoned device, what the module does not tell. */
static void note_zones(struct bdus_transport_device *device, const struct bdus_device_attrs *attrs,
		       uint32_t ops)
{
	device->limits.zone_size_bytes = attrs->zone_size_bytes;
	device->limits.max_append_bytes = attrs->max_append_bytes;
	device->limits.ops |= ops;
}

/** A driver may drop its privileges before queues are opened, and these need some. */
static int open_files(struct bdus_transport_device *device, unsigned queues)
{
	device->queue_fds = malloc(queues * sizeof(device->queue_fds[0]));
	if (!device->queue_fds)
		return base_error(ENOMEM, "out of memory for %u queues", queues);
	for (device->queues = 0; device->queues < queues; device->queues++) {
		const int fd = kbdus_control_open();

		if (fd < 0)
			return fd;
		device->queue_fds[device->queues] = fd;
	}
	return 0;
}

static void close_files(struct bdus_transport_device *device)
{
	for (unsigned i = 0; i < device->queues; i++) {
		if (device->queue_fds[i] >= 0)
			close(device->queue_fds[i]);
	}
	free(device->queue_fds);
}

static int describe(struct bdus_transport_device *device, const struct bdus_device_attrs *attrs)
{
	struct kbdus_abi_ioctl_table table = {0};
	int result;

	if (!(attrs->ops & BDUS_OP_BIT(BDUS_OP_IOCTL)) || attrs->ioctl_part_count == 0)
		return 0;
	kbdus_abi_ioctl_table_set_parts(&table, (uintptr_t)attrs->ioctl_parts);
	kbdus_abi_ioctl_table_set_count(&table, attrs->ioctl_part_count);
	result = kbdus_control_run(device->fd, KBDUS_ABI_COMMAND_DESCRIBE, &table);
	return result < 0 ? base_error_errno(-result,
					     "kbdus refuses the description of ioctls in %u parts",
					     attrs->ioctl_part_count)
			  : 0;
}

static int check_zones(int fd)
{
	struct kbdus_abi_version version;
	const int result = kbdus_control_version(fd, &version);

	if (result < 0)
		return base_error_errno(-result, "kbdus cannot tell its version");
	return kbdus_abi_version_features(&version) & KBDUS_ABI_FEATURE_ZONES
		       ? 0
		       : base_error(EOPNOTSUPP, "kbdus of this kernel cannot carry the driver's "
						"zones (since Linux 6.11)");
}

static int make_zoned(struct bdus_transport_device *device, const struct bdus_device_attrs *attrs)
{
	struct kbdus_abi_zoned zoned;
	int result;

	kbdus_fill_zoned(attrs, &zoned);
	result = kbdus_control_run(device->fd, KBDUS_ABI_COMMAND_ZONES, &zoned);
	if (result < 0)
		return base_error_errno(-result, "kbdus refuses zones of %" PRIu64 " bytes",
					attrs->zone_size_bytes);
	note_zones(device, attrs, kbdus_abi_zoned_ops(&zoned));
	return 0;
}

static int create(const struct bdus_transport_setup *setup, struct bdus_transport_device *device)
{
	struct bdus_device_attrs *const attrs = setup->attrs;
	struct kbdus_abi_device wish;
	int result = kbdus_fit_attrs(attrs, setup->native_ops);

	if (result < 0)
		return result;
	device->fd = kbdus_control_open();
	if (device->fd < 0)
		return device->fd;
	if (attrs->zone_size_bytes != 0)
		result = check_zones(device->fd);
	if (result < 0)
		return result;
	kbdus_fill_device(setup->id, attrs, &wish);
	if (setup->recoverable)
		kbdus_abi_device_set_attrs(&wish, kbdus_abi_device_attrs(&wish) |
							  KBDUS_ABI_ATTR_RECOVERABLE);
	result = kbdus_control_run(device->fd, KBDUS_ABI_COMMAND_CREATE, &wish);
	if (result < 0)
		return refuse(-result, setup->id);
	result = describe(device, attrs);
	if (result < 0)
		return result;
	note_device(device, &wish);
	if (attrs->zone_size_bytes != 0)
		result = make_zoned(device, attrs);
	if (result < 0)
		return result;
	attrs->queues = kbdus_abi_device_queues(&wish);
	attrs->queue_depth = device->depth;
	return open_files(device, attrs->queues);
}

static int kbdus_destroy(struct bdus_transport_device *device);

static int make(const struct bdus_transport_setup *setup,
		int (*fill)(const struct bdus_transport_setup *setup,
			    struct bdus_transport_device *device),
		struct bdus_transport_device **result_device)
{
	struct bdus_transport_device *const device = calloc(1, sizeof(*device));
	char message[BASE_ERROR_MESSAGE_BYTES];
	int result;

	if (!device)
		return base_error(ENOMEM, "out of memory");
	device->fd = -1;
	device->id = setup->id;
	device->memory = setup->memory;
	device->by_poll = bdus_config_bool(setup->options, "poll");
	device->busy_poll_us = (unsigned)bdus_config_number(setup->options, "busy-poll");
	result = fill(setup, device);
	if (result < 0) {
		snprintf(message, sizeof(message), "%s", base_error_message());
		kbdus_destroy(device);
		return base_error(-result, "%s", message);
	}
	*result_device = device;
	return 0;
}

static int kbdus_create(const struct bdus_transport_setup *setup,
			struct bdus_transport_device **device)
{
	return make(setup, create, device);
}

/* ---- from one process to the next ---------------------------------------------------------- */

static int refuse_adoption(int error, uint64_t id)
{
	switch (error) {
	case EPERM:
		return refuse(EPERM, id);
	case ENODEV:
		return base_error(ENODEV, "kbdus has no device with id %" PRIu64, id);
	case EBUSY:
		return base_error(EBUSY, "device %" PRIu64 " is being taken over already, or ends",
				  id);
	default:
		return base_error_errno(error, "kbdus cannot take over device %" PRIu64, id);
	}
}

static int check_same(const struct bdus_device_attrs *attrs, const struct kbdus_abi_device *told)
{
	const uint64_t has = kbdus_abi_device_size_bytes(told);

	if (attrs->size_bytes != has)
		return base_error(EINVAL,
				  "a device of %" PRIu64 " bytes cannot become one of %" PRIu64,
				  has, attrs->size_bytes);
	if (attrs->queues != kbdus_abi_device_queues(told) ||
	    attrs->queue_depth != kbdus_abi_device_queue_depth(told))
		return base_error(EINVAL,
				  "a device of %u queues of depth %u cannot become one of %u "
				  "of depth %u",
				  kbdus_abi_device_queues(told), kbdus_abi_device_queue_depth(told),
				  attrs->queues, attrs->queue_depth);
	return 0;
}

static int get_status(struct bdus_transport_device *device, struct kbdus_abi_device *told);

/** Opens a file that is the successor of device @id; @told is what the device is like. */
static int open_successor(uint64_t id, struct kbdus_abi_device *told)
{
	const int fd = kbdus_control_open();
	int result;

	if (fd < 0)
		return fd;
	kbdus_abi_device_set_id(told, id);
	result = kbdus_control_run(fd, KBDUS_ABI_COMMAND_ADOPT, told);
	if (result == 0)
		return fd;
	close(fd);
	return refuse_adoption(-result, id);
}

static int kbdus_announce(uint64_t id, struct bdus_handed *handed)
{
	struct kbdus_abi_device told = {0};
	const int fd = open_successor(id, &told);

	if (fd < 0)
		return fd;
	handed->fds[0] = fd;
	handed->count = 1;
	return 0;
}

static int adopt(const struct bdus_transport_setup *setup, struct bdus_transport_device *device)
{
	struct bdus_handed *const handed = setup->handed;
	struct kbdus_abi_device told = {0};
	int result = 0;

	if (handed->count != 0) {
		device->fd = handed->fds[0];
		handed->fds[0] = -1;
		result = get_status(device, &told);
	} else {
		device->fd = open_successor(setup->id, &told);
	}
	if (device->fd < 0 || result < 0)
		return device->fd < 0 ? device->fd : result;
	device->stays = (kbdus_abi_device_attrs(&told) & KBDUS_ABI_ATTR_RECOVERABLE) != 0;
	note_device(device, &told);
	note_zones(device, setup->attrs, 0);
	result = check_same(setup->attrs, &told);
	return result < 0 ? result : open_files(device, setup->attrs->queues);
}

static int kbdus_adopt(const struct bdus_transport_setup *setup,
		       struct bdus_transport_device **device)
{
	return make(setup, adopt, device);
}

/* The file is readable when what STATUS tells has changed; that a killed process is as good as gone
 * is only seen by looking. */
#define LOOK_MS 200

static int kbdus_await_predecessor(struct bdus_transport_device *device, uint64_t deadline_ns)
{
	struct pollfd file = {.fd = device->fd, .events = POLLIN};
	struct kbdus_abi_device told;
	int result;

	while ((result = get_status(device, &told)) == 0) {
		const uint32_t state = kbdus_abi_device_state(&told);

		if (kbdus_abi_device_notices(&told) & KBDUS_ABI_NOTICE_VACANT)
			return 0;
		if (state != KBDUS_ABI_STATE_LIVE && state != KBDUS_ABI_STATE_ORPHANED)
			return base_error(ENODEV, "device %" PRIu64 " has ended", device->id);
		if (base_now_ns() >= deadline_ns)
			return base_error(ETIMEDOUT,
					  "the process that serves device %" PRIu64
					  " has not left it",
					  device->id);
		poll(&file, 1, LOOK_MS);
	}
	return result;
}

static bool kbdus_is_succeeded(struct bdus_transport_device *device)
{
	struct kbdus_abi_device told;

	return kbdus_control_run(device->fd, KBDUS_ABI_COMMAND_STATUS, &told) == 0 &&
	       (kbdus_abi_device_notices(&told) & KBDUS_ABI_NOTICE_SUCCEEDED) != 0;
}

static int kbdus_leave(struct bdus_transport_device *device)
{
	const int result = kbdus_control_run(device->fd, KBDUS_ABI_COMMAND_LEAVE, NULL);

	if (result == 0) {
		device->stays = true;
		return 0;
	}
	if (result == -EINVAL)
		return base_error(EINVAL,
				  "nobody takes over device %" PRIu64 ", which is not recoverable",
				  device->id);
	return base_error_errno(-result, "kbdus cannot leave device %" PRIu64, device->id);
}

/* ---- starting and stopping ----------------------------------------------------------------- */

static int kbdus_start(struct bdus_transport_device *device)
{
	const int result = kbdus_control_run(device->fd, KBDUS_ABI_COMMAND_START, NULL);

	return result < 0
		       ? base_error_errno(-result, "kbdus cannot start device %" PRIu64, device->id)
		       : 0;
}

static int get_status(struct bdus_transport_device *device, struct kbdus_abi_device *told)
{
	const int result = kbdus_control_run(device->fd, KBDUS_ABI_COMMAND_STATUS, told);

	return result < 0 ? base_error_errno(-result, "kbdus cannot tell about device %" PRIu64,
					     device->id)
			  : 0;
}

static int kbdus_start_result(struct bdus_transport_device *device)
{
	struct kbdus_abi_device told;
	int result = get_status(device, &told);

	if (result < 0)
		return result;
	switch (kbdus_abi_device_state(&told)) {
	case KBDUS_ABI_STATE_CREATED:
	case KBDUS_ABI_STATE_STARTING:
		return 0;
	case KBDUS_ABI_STATE_LIVE:
		return 1;
	default:
		break;
	}
	result = kbdus_abi_device_start_result(&told);
	if (result == 0)
		return base_error(ECANCELED,
				  "device %" PRIu64 " was destroyed before it had started",
				  device->id);
	return base_error_errno(-result, "the kernel cannot add the disk of device %" PRIu64,
				device->id);
}

static int kbdus_stop(struct bdus_transport_device *device)
{
	const int result = kbdus_control_run(device->fd, KBDUS_ABI_COMMAND_STOP, NULL);

	device->stays = device->stays && result < 0;
	return result < 0
		       ? base_error_errno(-result, "kbdus cannot stop device %" PRIu64, device->id)
		       : 0;
}

/** Requests for what is new may come before the command has ended. */
static int kbdus_resize(struct bdus_transport_device *device, uint64_t size_bytes)
{
	const uint64_t old_bytes = device->limits.size_bytes;
	struct kbdus_abi_device wanted = {0};
	int result;

	kbdus_abi_device_set_size_bytes(&wanted, size_bytes);
	__atomic_store_n(&device->limits.size_bytes, base_max(old_bytes, size_bytes),
			 __ATOMIC_RELAXED);
	result = kbdus_control_run(device->fd, KBDUS_ABI_COMMAND_RESIZE, &wanted);
	__atomic_store_n(&device->limits.size_bytes, result < 0 ? old_bytes : size_bytes,
			 __ATOMIC_RELAXED);
	if (result == -ENOTTY)
		return base_error(EOPNOTSUPP,
				  "kbdus: this module cannot change the size of a device; a newer "
				  "one can");
	return result < 0 ? base_error_errno(-result,
					     "kbdus cannot change the size of device %" PRIu64,
					     device->id)
			  : 0;
}

static void kbdus_describe(struct bdus_transport_device *device, struct bdus_device_info *info)
{
	struct kbdus_abi_device told;
	char path[KBDUS_PATH_BYTES];

	kbdus_path(path, device->id);
	snprintf(info->native_path, sizeof(info->native_path), "%s", path);
	snprintf(info->path, sizeof(info->path), "%s", path);
	if (get_status(device, &told) < 0)
		return;
	info->major = kbdus_abi_device_major(&told);
	info->minor = kbdus_abi_device_minor(&told);
}

/* Whoever destroys a device, and unloads the module then, shall not find it in use. */
static void kbdus_await_end(uint64_t id)
{
	const int fd = kbdus_control_open();

	if (fd < 0)
		return;
	kbdus_wait_until_gone(fd, id, base_deadline_ns(GONE_TIMEOUT_MS), NULL, NULL);
	close(fd);
}

static int kbdus_destroy(struct bdus_transport_device *device)
{
	if (!device)
		return 0;
	close_files(device);
	if (device->fd >= 0)
		close(device->fd);
	if (device->fd >= 0 && !device->stays)
		kbdus_await_end(device->id);
	free(device);
	return 0;
}

extern const struct bdus_transport bdus_transport_kbdus;

const struct bdus_transport bdus_transport_kbdus = {
	.name = "kbdus",
	.summary = "block devices on this machine, by the kernel module kbdus",
	.options = kbdus_options,
	.makes_block_device = true,
	.carries_ioctls = true,
	.probe = kbdus_probe,
	.create = kbdus_create,
	.adopt = kbdus_adopt,
	.announce = kbdus_announce,
	.await_end = kbdus_await_end,
	.await_predecessor = kbdus_await_predecessor,
	.is_succeeded = kbdus_is_succeeded,
	.leave = kbdus_leave,
	.open_queue = kbdus_queue_open,
	.start = kbdus_start,
	.start_result = kbdus_start_result,
	.describe = kbdus_describe,
	.fetch = kbdus_queue_fetch,
	.commit = kbdus_queue_commit,
	.stop = kbdus_stop,
	.resize = kbdus_resize,
	.close_queue = kbdus_queue_close,
	.destroy = kbdus_destroy,
	.scan = kbdus_scan,
	.identify = kbdus_identify,
	.remove = kbdus_remove,
};
