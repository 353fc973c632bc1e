/* SPDX-License-Identifier: MIT */
/*
 * Taking a device over from a server that is gone or about to be, and leaving one to the next.
 *
 * The kernel's part: a recoverable device whose server has let go of it is *quiesced*; requests
 * wait there, and those that the server had wait with them. START_USER_RECOVERY makes it forget the
 * old server, END_USER_RECOVERY, once the new one has sent its commands, lets requests come.
 */
#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "ublk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PAUSE_US 2000

/** How long a request may be unanswered before the kernel looks whether its server lives. */
#define WATCH_MS "1000"

static int run_plain(struct bdus_transport_device *device, unsigned number, uint64_t data)
{
	const struct ublk_command command = {
		.number = number,
		.device = device->number,
		.data = data,
	};

	return ublk_control_run(device->control, &command);
}

/* ---- what there is ------------------------------------------------------------------------- */

static int find_device(const struct bdus_device_info *info, struct bdus_transport_device *device)
{
	const int64_t number = ublk_number_from_path(info->native_path);
	int result;

	if (number < 0)
		return base_error(EINVAL, "'%s' is no device of ublk", info->native_path);
	device->number = (uint32_t)number;
	result = ublk_control_get_info(device->control, device->number, &device->made);
	if (result < 0)
		return result;
	if (ublk_tag_to_id(ublk_abi_dev_info_server_flags(&device->made)) != info->id)
		return base_error(ENODEV, "the kernel has removed device %llu",
				  (unsigned long long)info->id);
	if (!(ublk_abi_dev_info_flags(&device->made) & UBLK_ABI_F_USER_RECOVERY))
		return base_error(EOPNOTSUPP, "the kernel did not make device %llu recoverable",
				  (unsigned long long)info->id);
	return 0;
}

static void note_limits(const struct bdus_transport_setup *setup,
			const struct bdus_device_info *info, struct bdus_transport_device *device)
{
	const struct ublk_abi_dev_info *const made = &device->made;

	device->queues = ublk_abi_dev_info_nr_hw_queues(made);
	device->depth = ublk_abi_dev_info_queue_depth(made);
	/* What clients were told, which may be more than the driver takes at once. */
	device->limits = (struct ublk_limits){
		.size_bytes = info->size_bytes,
		.max_transfer_bytes = ublk_abi_dev_info_max_io_buf_bytes(made),
		.max_discard_bytes = info->max_discard_bytes,
		.max_write_zeros_bytes = info->max_write_zeros_bytes,
		.ops = info->ops,
		.zone_size_bytes = info->zone_size_bytes,
		.max_append_bytes = setup->attrs->max_append_bytes,
	};
}

static int check_queues(const struct bdus_transport_setup *setup,
			const struct bdus_transport_device *device)
{
	if (device->queues == setup->attrs->queues && device->depth == setup->attrs->queue_depth)
		return 0;
	return base_error(EPROTO,
			  "the kernel says that ublk device %u has %u queues of depth %u, its "
			  "record says %u of depth %u",
			  device->number, device->queues, device->depth, setup->attrs->queues,
			  setup->attrs->queue_depth);
}

/* ---- taking over --------------------------------------------------------------------------- */

/*
 * EBUSY: the old server has not let go yet. EINVAL: another one took the device over and was killed
 * before it sent any command (before 6.15), so that there is nothing to forget.
 */
static int begin_recovery(struct bdus_transport_device *device, uint64_t deadline_ns)
{
	int result;

	while ((result = run_plain(device, UBLK_ABI_CTRL_START_USER_RECOVERY, 0)) == -EBUSY) {
		if (base_now_ns() > deadline_ns)
			return base_error(ETIMEDOUT,
					  "ublk: the kernel still waits for the last server of "
					  "device %u to let go of it",
					  device->number);
		usleep(PAUSE_US);
	}
	return result == -EINVAL ? 0 : result;
}

static int adopt(const struct bdus_transport_setup *setup, struct bdus_transport_device *device)
{
	const uint32_t ops = setup->attrs->ops;
	int result = ublk_fit_attrs(setup->attrs, setup->native_ops);

	setup->attrs->ops = ops;
	if (result == 0)
		result = ublk_control_create(&device->control);
	if (result == 0)
		result = ublk_errand_create(device->control, &device->stop);
	if (result == 0)
		result = find_device(setup->adopted, device);
	if (result < 0)
		return result;
	ublk_note_flags(setup, device, ublk_abi_dev_info_flags(&device->made));
	note_limits(setup, setup->adopted, device);
	return check_queues(setup, device);
}

int ublk_adopt(const struct bdus_transport_setup *setup,
	       struct bdus_transport_device **result_device)
{
	struct bdus_transport_device *const device = calloc(1, sizeof(*device));
	int result;

	if (!device)
		return base_error(ENOMEM, "out of memory");
	device->char_fd = -1;
	device->adopted = true;
	device->stays = true;
	ublk_protect_process();
	ublk_protect_thread();
	result = adopt(setup, device);
	if (result < 0) {
		ublk_destroy(device);
		return result;
	}
	*result_device = device;
	return 0;
}

int ublk_await_predecessor(struct bdus_transport_device *device, uint64_t deadline_ns)
{
	const int result = begin_recovery(device, deadline_ns);

	return result < 0 ? result : ublk_open_node(device);
}

int ublk_end_recovery(struct bdus_transport_device *device)
{
	const int result = run_plain(device, UBLK_ABI_CTRL_END_USER_RECOVERY, (uint64_t)getpid());

	return result < 0 ? result : 0;
}

/* ---- leaving ------------------------------------------------------------------------------- */

/*
 * From 6.7 to 6.14, a command that is taken back while its request is on the way to the server, as
 * work for the server's thread, loses that work, and with it all requests that are in line behind
 * it: the device then never becomes quiesced, and cannot be had again. Nobody answers clients any
 * more, so that they come to wait; once nothing has come for a while, no request is on that way.
 */
#define QUIET_MS 50

static bool loses_requests(const struct bdus_transport_device *device)
{
	return !(ublk_control_features(device->control) & UBLK_ABI_F_QUIESCE);
}

/* The kernel quiesces the device when the last file of it is closed, and the ring with it. */
int ublk_leave(struct bdus_transport_device *device)
{
	device->stays = true;
	return loses_requests(device) ? QUIET_MS : 0;
}

/*
 * Kernels without QUIESCE_DEV notice the death of a server by a command that waits in the kernel.
 * When a request is in each of them, only the timer of requests notices; it does nothing else.
 */
void ublk_watch_server(const struct bdus_transport_device *device)
{
	char path[64];
	ssize_t written;
	int fd;

	if (ublk_control_features(device->control) & UBLK_ABI_F_QUIESCE)
		return;
	snprintf(path, sizeof(path), "/sys/class/block/ublkb%u/queue/io_timeout", device->number);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	written = write(fd, WATCH_MS, sizeof(WATCH_MS) - 1);
	/* It then takes the 30 seconds that the kernel has set. */
	(void)written;
	close(fd);
}
