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
 * removes the disk, so that nothing stays behind.
 */
#include "base/clock.h"
#include "base/error.h"
#include "kbdus_internal.h"

#include <bdus/driver.h>
#include <errno.h>
#include <inttypes.h>
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
	kbdus_fill_device(setup->id, attrs, &wish);
	result = kbdus_control_run(device->fd, KBDUS_ABI_COMMAND_CREATE, &wish);
	if (result < 0)
		return refuse(-result, setup->id);
	attrs->queues = kbdus_abi_device_queues(&wish);
	attrs->queue_depth = kbdus_abi_device_queue_depth(&wish);
	device->depth = attrs->queue_depth;
	device->limits = (struct kbdus_limits){
		.size_bytes = attrs->size_bytes,
		.max_transfer_bytes = attrs->max_transfer_bytes,
		.ops = kbdus_abi_device_ops(&wish),
	};
	return 0;
}

static int kbdus_destroy(struct bdus_transport_device *device);

static int kbdus_create(const struct bdus_transport_setup *setup,
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
	result = create(setup, device);
	if (result < 0) {
		snprintf(message, sizeof(message), "%s", base_error_message());
		kbdus_destroy(device);
		return base_error(-result, "%s", message);
	}
	*result_device = device;
	return 0;
}

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

	return result < 0
		       ? base_error_errno(-result, "kbdus cannot stop device %" PRIu64, device->id)
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
static void wait_until_gone(uint64_t id)
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
	if (device->fd >= 0) {
		close(device->fd);
		wait_until_gone(device->id);
	}
	free(device);
	return 0;
}

extern const struct bdus_transport bdus_transport_kbdus;

const struct bdus_transport bdus_transport_kbdus = {
	.name = "kbdus",
	.summary = "block devices on this machine, by the kernel module kbdus",
	.options = kbdus_options,
	.makes_block_device = true,
	.probe = kbdus_probe,
	.create = kbdus_create,
	.open_queue = kbdus_queue_open,
	.start = kbdus_start,
	.start_result = kbdus_start_result,
	.describe = kbdus_describe,
	.fetch = kbdus_queue_fetch,
	.commit = kbdus_queue_commit,
	.stop = kbdus_stop,
	.close_queue = kbdus_queue_close,
	.destroy = kbdus_destroy,
	.scan = kbdus_scan,
	.identify = kbdus_identify,
	.remove = kbdus_remove,
};
