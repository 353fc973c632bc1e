/* SPDX-License-Identifier: MIT */
/*
 * Way in: block devices of this machine by the kernel's ublk driver.
 *
 *	create      ADD_DEV, SET_PARAMS, open /dev/ublkcN      (character device exists)
 *	open_queue  commands for all tags, in queue.c
 *	start       START_DEV is under way; the kernel may already send requests
 *	start_result                                           (/dev/ublkbN exists)
 *	stop        STOP_DEV is under way; the kernel finishes what it has, then every
 *	            tag's command comes back without a request
 *	destroy     DEL_DEV                                    (nothing is left)
 *
 * START_DEV and STOP_DEV end only when requests have been served, by the same thread perhaps that
 * issued them. They are therefore errands: begun here, run by a child, watched in queue 0's loop.
 *
 * A recoverable device goes on from there by another process:
 *
 *	leave       the commands are taken back with the ring  (requests wait)
 *	adopt       START_USER_RECOVERY, open /dev/ublkcN      (await_predecessor)
 *	start       END_USER_RECOVERY: the requests that were left come first
 *
 * When the process of another one dies, the kernel ends the requests with errors and removes
 * /dev/ublkbN by itself; /dev/ublkcN stays, with our tag in it, until somebody removes it.
 */
#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "ublk_internal.h"

#include <bdus/driver.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** How long /dev/ublkcN may take to appear and to become ours to open. */
#define NODE_TIMEOUT_MS 5000
#define NODE_PAUSE_US   5000

/** How long destroy() waits for those who have the disk open, where the kernel makes it wait. */
#define DELETE_TIMEOUT_MS 5000

static const struct bdus_option ublk_options[] = {
	{
		.key = "unprivileged",
		.kind = BDUS_OPTION_BOOL,
		.help = "make a device that its owner can manage without CAP_SYS_ADMIN (default: "
			"when that is lacking)",
	},
	{
		.key = "zero-copy",
		.kind = BDUS_OPTION_BOOL,
		.fallback = "yes",
		.help = "let drivers that can do so move data without copying it, where the kernel "
			"can (Linux 6.16)",
	},
	{
		.key = "batch",
		.kind = BDUS_OPTION_BOOL,
		.fallback = "no",
		.help = "exchange many requests and results by one command (Linux 7.0)",
	},
	{.key = NULL},
};

/* ---- creating ------------------------------------------------------------------------------ */

static int choose_privilege(const struct bdus_transport_setup *setup,
			    struct bdus_transport_device *device)
{
	const uint64_t features = ublk_control_features(device->control);
	const bool privileged = ublk_has_privilege();
	const bool given = bdus_config_given(setup->options, "unprivileged");
	const bool wanted = bdus_config_bool(setup->options, "unprivileged");

	if (given && wanted && privileged)
		return base_error(EINVAL, "unprivileged=yes cannot be had by root: for a process "
					  "with CAP_SYS_ADMIN the kernel makes privileged devices");
	if (privileged)
		return 0;
	if (given && !wanted)
		return base_error(EPERM, "unprivileged=no needs the capability CAP_SYS_ADMIN, "
					 "which this process lacks");
	if (!(features & UBLK_ABI_F_UNPRIVILEGED))
		return base_error(EPERM,
				  "ublk needs the capability CAP_SYS_ADMIN here: this kernel "
				  "has no unprivileged ublk devices (since Linux 6.5)");
	device->unprivileged = true;
	return 0;
}

static bool may_avoid_copies(const struct bdus_transport_setup *setup,
			     const struct bdus_transport_device *device)
{
	/* The next driver of a recoverable device may be one that wants memory. */
	return (setup->attrs->flags & BDUS_DEVICE_ANY_PAYLOAD) && !device->unprivileged &&
	       !setup->recoverable && bdus_config_bool(setup->options, "zero-copy") &&
	       (ublk_control_features(device->control) & UBLK_ZERO_COPY_FLAGS) ==
		       UBLK_ZERO_COPY_FLAGS;
}

/* The program's memory is not the kernel's to fill: it is copied to and from when it is there. */
static int check_memory(const struct bdus_transport_setup *setup,
			const struct bdus_transport_device *device)
{
	if (!setup->memory || may_avoid_copies(setup, device))
		return 0;
	if (device->unprivileged ||
	    !(ublk_control_features(device->control) & UBLK_ABI_F_USER_COPY))
		return base_error(EOPNOTSUPP, "ublk can put payloads into memory of the program "
					      "only for root, and since Linux 6.5");
	return 0;
}

static int check_batch(const struct bdus_transport_setup *setup,
		       const struct bdus_transport_device *device)
{
	if (bdus_config_bool(setup->options, "batch") &&
	    !(ublk_control_features(device->control) & UBLK_ABI_F_BATCH_IO))
		return base_error(EOPNOTSUPP, "ublk: batch=yes needs commands that this kernel "
					      "does not have (since Linux 7.0)");
	return 0;
}

/*
 * Outstanding requests of a server that died are given to the next one, but for those of zones,
 * which must not be carried out twice: see docs/decisions/replace.md.
 */
static uint64_t recovery_flags(const struct bdus_transport_setup *setup,
			       const struct bdus_transport_device *device)
{
	const bool zoned = setup->attrs->zone_size_bytes != 0;
	uint64_t flags = 0;

	if (!setup->recoverable)
		return 0;
	flags |= UBLK_ABI_F_USER_RECOVERY;
	if (!zoned)
		flags |= UBLK_ABI_F_USER_RECOVERY_REISSUE;
	if (ublk_control_features(device->control) & UBLK_ABI_F_QUIESCE)
		flags |= UBLK_ABI_F_QUIESCE;
	return flags;
}

/*
 * Since UBLK_F_NO_AUTO_PART_SCAN the kernel can be told not to look for partitions. Before, it
 * looks exactly when all queues were fetched by threads with CAP_SYS_ADMIN, to protect itself from
 * the partition tables of ordinary users; so there the queues lay that down while they fetch.
 */
static uint64_t wanted_flags(const struct bdus_transport_setup *setup,
			     struct bdus_transport_device *device)
{
	const uint64_t features = ublk_control_features(device->control);
	const bool no_scan = (setup->attrs->flags & BDUS_DEVICE_NO_PARTITION_SCAN) != 0;
	const bool zoned = setup->attrs->zone_size_bytes != 0;
	uint64_t flags = UBLK_ABI_F_COMPLETE_IN_TASK;

	if (device->unprivileged)
		flags |= UBLK_ABI_F_UNPRIVILEGED;
	if (no_scan && (features & UBLK_ABI_F_NO_PARTITION_SCAN))
		flags |= UBLK_ABI_F_NO_PARTITION_SCAN;
	if (may_avoid_copies(setup, device))
		flags |= UBLK_ZERO_COPY_FLAGS;
	else if (setup->memory || zoned)
		flags |= UBLK_ABI_F_USER_COPY;
	if (zoned)
		flags |= UBLK_ABI_F_ZONED;
	if (bdus_config_bool(setup->options, "batch"))
		flags |= UBLK_ABI_F_BATCH_IO;
	flags |= recovery_flags(setup, device);
	device->hide_privilege =
		no_scan && !device->unprivileged && !(flags & UBLK_ABI_F_NO_PARTITION_SCAN);
	return flags;
}

static int check_recoverable(const struct bdus_transport_setup *setup,
			     const struct bdus_transport_device *device)
{
	if (setup->recoverable && device->unprivileged)
		return base_error(EPERM, "ublk: only root can make a recoverable device");
	return 0;
}

static int add_device(struct bdus_transport_device *device, uint32_t number,
		      struct ublk_abi_dev_info *info)
{
	const struct ublk_command command = {
		.number = UBLK_ABI_CTRL_ADD_DEV,
		.device = number,
		.payload = info,
		.payload_bytes = sizeof(*info),
	};

	ublk_abi_dev_info_set_dev_id(info, number);
	return ublk_control_run(device->control, &command);
}

/* The id's own number keeps the kernel from giving a number to two devices after one another. */
static int add_numbered_device(struct bdus_transport_device *device, uint64_t id,
			       struct ublk_abi_dev_info *info)
{
	int result = -EEXIST;

	if (id < UBLK_ABI_DEVICES)
		result = add_device(device, (uint32_t)id, info);
	if (result == -EEXIST)
		result = add_device(device, UBLK_ABI_ANY_DEVICE, info);
	if (result == -EACCES && device->unprivileged)
		return base_error(EACCES, "ublk: there are as many unprivileged devices already as "
					  "the parameter ublks_max of the module ublk_drv allows");
	return result;
}

static int check_echo(const struct bdus_transport_device *device, uint64_t asked,
		      const struct ublk_abi_dev_info *info)
{
	const uint64_t missing = asked & ~ublk_abi_dev_info_flags(info) &
				 (UBLK_ABI_F_UNPRIVILEGED | UBLK_ABI_F_NO_PARTITION_SCAN |
				  UBLK_ABI_F_USER_RECOVERY | UBLK_ABI_F_USER_RECOVERY_REISSUE |
				  UBLK_ZERO_COPY_FLAGS | UBLK_ABI_F_ZONED | UBLK_ABI_F_BATCH_IO);

	if (missing != 0)
		return base_error(EOPNOTSUPP,
				  "ublk: the kernel made device %u without the features "
				  "0x%llx",
				  device->number, (unsigned long long)missing);
	if (ublk_abi_dev_info_nr_hw_queues(info) == 0 || ublk_abi_dev_info_queue_depth(info) == 0 ||
	    ublk_abi_dev_info_queue_depth(info) > UBLK_ABI_DEPTH ||
	    ublk_abi_dev_info_max_io_buf_bytes(info) < (uint32_t)sysconf(_SC_PAGESIZE))
		return base_error(EPROTO,
				  "ublk: the kernel made device %u with %u queues of depth "
				  "%u and requests of %u bytes",
				  device->number, ublk_abi_dev_info_nr_hw_queues(info),
				  ublk_abi_dev_info_queue_depth(info),
				  ublk_abi_dev_info_max_io_buf_bytes(info));
	return 0;
}

/** @flags: those that the kernel made the device with. */
void ublk_note_flags(const struct bdus_transport_setup *setup, struct bdus_transport_device *device,
		     uint64_t flags)
{
	const uint64_t made = ublk_abi_dev_info_flags(&device->made);

	device->batches = (flags & UBLK_ABI_F_BATCH_IO) != 0;
	device->zero_copy = (flags & UBLK_ABI_F_AUTO_BUFFER) != 0;
	device->user_copy = !device->zero_copy && (flags & UBLK_ABI_F_USER_COPY) != 0;
	device->memory = device->zero_copy ? NULL : setup->memory;
	device->may_trim = (made & UBLK_ABI_F_COMPLETE_IN_TASK) != 0;
	device->recoverable = (flags & UBLK_ABI_F_USER_RECOVERY) != 0;
}

static int add(const struct bdus_transport_setup *setup, struct bdus_transport_device *device)
{
	struct bdus_device_attrs *const attrs = setup->attrs;
	const uint64_t flags = wanted_flags(setup, device);
	struct ublk_abi_dev_info info = {0};
	int result;

	ublk_abi_dev_info_set_nr_hw_queues(&info, (uint16_t)attrs->queues);
	ublk_abi_dev_info_set_queue_depth(&info, (uint16_t)attrs->queue_depth);
	ublk_abi_dev_info_set_max_io_buf_bytes(&info, attrs->max_transfer_bytes);
	ublk_abi_dev_info_set_flags(&info, flags);
	ublk_abi_dev_info_set_server_flags(&info, ublk_tag_from_id(setup->id));
	result = add_numbered_device(device, setup->id, &info);
	if (result < 0)
		return result;
	device->added = true;
	device->number = ublk_abi_dev_info_dev_id(&info);
	device->made = info;
	result = check_echo(device, flags, &info);
	if (result < 0)
		return result;
	ublk_note_flags(setup, device, flags);
	attrs->queues = (uint32_t)base_min(attrs->queues, ublk_abi_dev_info_nr_hw_queues(&info));
	attrs->queue_depth =
		(uint32_t)base_min(attrs->queue_depth, ublk_abi_dev_info_queue_depth(&info));
	attrs->max_transfer_bytes = (uint32_t)base_min(attrs->max_transfer_bytes,
						       ublk_abi_dev_info_max_io_buf_bytes(&info));
	attrs->max_append_bytes =
		(uint32_t)base_min(attrs->max_append_bytes, attrs->max_transfer_bytes);
	return 0;
}

/*
 * The node is made by devtmpfs or udev, and for unprivileged devices udev gives it to its owner.
 * EBUSY: somebody looks whether the device is served, and will let go at once.
 */
int ublk_open_node(struct bdus_transport_device *device)
{
	const uint64_t deadline_ns = base_deadline_ns(NODE_TIMEOUT_MS);
	char path[UBLK_PATH_BYTES];

	ublk_char_path(path, device->number);
	for (;;) {
		device->char_fd = open(path, O_RDWR | O_CLOEXEC);
		if (device->char_fd >= 0)
			return 0;
		if ((errno != ENOENT && errno != EBUSY && errno != EACCES) ||
		    base_now_ns() > deadline_ns)
			break;
		usleep(NODE_PAUSE_US);
	}
	if (errno == ENOENT)
		return base_error(ENOENT,
				  "%s has not appeared in %d s: is /dev a devtmpfs, or "
				  "looked after by udev?",
				  path, NODE_TIMEOUT_MS / 1000);
	if (errno == EACCES && device->unprivileged)
		return base_error(EACCES,
				  "%s was not given to this user in %d s: a udev rule must "
				  "do that for unprivileged devices (see bdus-ublk(7))",
				  path, NODE_TIMEOUT_MS / 1000);
	return base_error_errno(errno, "cannot open %s", path);
}

static int set_params(struct bdus_transport_device *device, const struct bdus_device_attrs *attrs)
{
	struct ublk_abi_params params;
	const struct ublk_command command = {
		.number = UBLK_ABI_CTRL_SET_PARAMS,
		.device = device->number,
		.payload = &params,
		.payload_bytes = sizeof(params),
		.with_path = device->unprivileged,
	};

	ublk_fill_params(attrs, &params);
	return ublk_control_run(device->control, &command);
}

static void remember_limits(struct bdus_transport_device *device,
			    const struct bdus_device_attrs *attrs)
{
	device->queues = attrs->queues;
	device->depth = attrs->queue_depth;
	device->limits = (struct ublk_limits){
		.size_bytes = attrs->size_bytes,
		.max_transfer_bytes = attrs->max_transfer_bytes,
		.max_discard_bytes = attrs->max_discard_bytes,
		.max_write_zeros_bytes = attrs->max_write_zeros_bytes,
		.ops = attrs->ops,
		.zone_size_bytes = attrs->zone_size_bytes,
		.max_append_bytes = attrs->max_append_bytes,
	};
}

static int create(const struct bdus_transport_setup *setup, struct bdus_transport_device *device)
{
	int result = ublk_fit_attrs(setup->attrs, setup->native_ops);

	if (result == 0)
		result = ublk_control_create(&device->control);
	if (result == 0)
		result = ublk_errand_create(device->control, &device->start);
	if (result == 0)
		result = ublk_errand_create(device->control, &device->stop);
	if (result == 0)
		result = choose_privilege(setup, device);
	if (result == 0)
		result = check_memory(setup, device);
	if (result == 0 && setup->attrs->zone_size_bytes != 0)
		result = ublk_zoned_check(setup->attrs, ublk_control_features(device->control),
					  device->unprivileged);
	if (result == 0)
		result = check_batch(setup, device);
	if (result == 0)
		result = check_recoverable(setup, device);
	if (result == 0)
		result = add(setup, device);
	if (result == 0)
		result = ublk_open_node(device);
	if (result == 0)
		result = set_params(device, setup->attrs);
	if (result == 0)
		remember_limits(device, setup->attrs);
	return result < 0 ? result : 0;
}

/* Undoes what create() has done and returns its error; says what could not be undone. */
static int abandon(struct bdus_transport_device *device, int result)
{
	const uint32_t number = device->number;
	char message[BASE_ERROR_MESSAGE_BYTES];

	snprintf(message, sizeof(message), "%s", base_error_message());
	if (ublk_destroy(device) < 0)
		return base_error(-result, "%s; /dev/ublkc%u is left behind for root to remove",
				  message, number);
	return base_error(-result, "%s", message);
}

static int ublk_create(const struct bdus_transport_setup *setup,
		       struct bdus_transport_device **result_device)
{
	struct bdus_transport_device *const device = calloc(1, sizeof(*device));
	int result;

	if (!device)
		return base_error(ENOMEM, "out of memory");
	device->char_fd = -1;
	ublk_protect_process();
	ublk_protect_thread();
	result = create(setup, device);
	if (result < 0)
		return abandon(device, result);
	*result_device = device;
	return 0;
}

/* ---- starting and stopping ----------------------------------------------------------------- */

static struct ublk_command make_command(const struct bdus_transport_device *device, unsigned number,
					uint64_t data)
{
	return (struct ublk_command){
		.number = number,
		.device = device->number,
		.data = data,
		.with_path = device->unprivileged,
	};
}

/* The engine asks for the start's result after the turn that this makes. */
static void on_start_news(struct bdus_call *call)
{
	(void)call;
}

static void on_stop_ended(struct bdus_call *call)
{
	struct bdus_transport_device *const device =
		base_container_of(call, struct bdus_transport_device, stop_watch);
	int result;

	/* -ENODEV: somebody removed it, which ends the queues. */
	if (ublk_errand_wait(device->stop, 0, &result) == 0 || result >= 0 || result == -ENODEV ||
	    !device->main_queue)
		return;
	ublk_queue_fail(device->main_queue,
			base_error_errno(-result, "ublk: the kernel failed STOP_DEV of device %u",
					 device->number));
}

/* Begins @command, whose end completes @watch. */
static int begin_errand(struct bdus_transport_device *device, struct ublk_errand *errand,
			const struct ublk_command *command, struct bdus_call *watch)
{
	const int result = ublk_errand_begin(errand, command);

	if (result < 0 || !device->main_queue)
		return result;
	asys_prep_poll(&watch->message, ublk_errand_fd(errand), POLLHUP);
	return bdus_loop_send(ublk_queue_loop(device->main_queue), watch);
}

static int ublk_start(struct bdus_transport_device *device)
{
	const struct ublk_command command =
		make_command(device, UBLK_ABI_CTRL_START_DEV, (uint64_t)getpid());
	int result;

	if (device->adopted)
		return ublk_end_recovery(device);
	device->start_watch.completed = on_start_news;
	device->start_timer.completed = on_start_news;
	result = begin_errand(device, device->start, &command, &device->start_watch);
	if (result < 0)
		return result;
	device->start_deadline_ns = base_deadline_ns(UBLK_COMMAND_TIMEOUT_MS);
	asys_prep_timeout(&device->start_timer.message, device->start_deadline_ns);
	return bdus_loop_send(ublk_queue_loop(device->main_queue), &device->start_timer);
}

static void forget_start(struct bdus_transport_device *device)
{
	if (device->main_queue) {
		struct bdus_loop *const loop = ublk_queue_loop(device->main_queue);

		bdus_loop_cancel(loop, &device->start_timer);
		bdus_loop_cancel(loop, &device->start_watch);
	}
	ublk_errand_destroy(device->start);
	device->start = NULL;
	device->start_deadline_ns = 0;
}

void ublk_device_leave_loop(struct bdus_transport_device *device)
{
	struct bdus_loop *const loop = ublk_queue_loop(device->main_queue);

	device->main_queue = NULL;
	bdus_loop_end_call(loop, &device->start_timer);
	bdus_loop_end_call(loop, &device->start_watch);
	bdus_loop_end_call(loop, &device->stop_watch);
}

static int ublk_start_result(struct bdus_transport_device *device)
{
	const bool in_time = base_now_ns() < device->start_deadline_ns;
	int result;

	if (device->adopted)
		return 1;
	if (ublk_errand_wait(device->start, 0, &result) == 0) {
		if (in_time)
			return 0;
		forget_start(device);
		return base_error(
			ETIMEDOUT,
			"ublk: the kernel has not ended START_DEV of device %u in %d s; it "
			"waits for the driver to answer the first requests",
			device->number, UBLK_COMMAND_TIMEOUT_MS / 1000);
	}
	forget_start(device);
	if (result < 0)
		return base_error_errno(-result, "ublk: the kernel failed START_DEV of device %u",
					device->number);
	if (device->recoverable)
		ublk_watch_server(device);
	return 1;
}

static int ublk_stop(struct bdus_transport_device *device)
{
	const struct ublk_command command = make_command(device, UBLK_ABI_CTRL_STOP_DEV, 0);

	device->stays = false;
	device->stop_watch.completed = on_stop_ended;
	return begin_errand(device, device->stop, &command, &device->stop_watch);
}

static void ublk_describe(struct bdus_transport_device *device, struct bdus_device_info *info)
{
	char path[UBLK_PATH_BYTES];

	ublk_block_path(path, device->number);
	snprintf(info->native_path, sizeof(info->native_path), "%s", path);
	snprintf(info->path, sizeof(info->path), "%s", path);
	ublk_read_device_number(device->number, info);
}

/* ---- destroying ---------------------------------------------------------------------------- */

/*
 * The character device is let go of first: that is what makes the kernel fail requests which no
 * queue serves any more, and STOP_DEV waits for them. Nothing that would have to wait for a device
 * that does not stop is done in this process, which could then not even be killed.
 */
static int end_device(struct bdus_transport_device *device)
{
	struct ublk_patience patience = {.started_ns = base_now_ns()};
	int result;

	if (!ublk_errand_was_begun(device->stop)) {
		result = ublk_stop(device);
		if (result < 0)
			return result;
	}
	if (ublk_errand_wait(device->stop, base_deadline_ns(UBLK_COMMAND_TIMEOUT_MS), &result) == 0)
		return base_error(ETIMEDOUT,
				  "ublk: the kernel has not ended STOP_DEV of device %u "
				  "in %d s; destroy it once more when this process has "
				  "ended",
				  device->number, UBLK_COMMAND_TIMEOUT_MS / 1000);
	patience.deadline_ns = base_deadline_ns(DELETE_TIMEOUT_MS);
	return ublk_delete(device->control, &device->made, &patience);
}

int ublk_destroy(struct bdus_transport_device *device)
{
	int result = 0;

	if (!device)
		return 0;
	if (device->char_fd >= 0)
		close(device->char_fd);
	if ((device->added || device->adopted) && !device->stays)
		result = end_device(device);
	ublk_errand_destroy(device->start);
	ublk_errand_destroy(device->stop);
	ublk_control_destroy(device->control);
	ublk_unprotect_process();
	free(device);
	return result;
}

extern const struct bdus_transport bdus_transport_ublk;

/** The kernel only notes the number and tells those who watch the disk. */
static int ublk_resize(struct bdus_transport_device *device, uint64_t size_bytes)
{
	const uint64_t old_bytes = device->limits.size_bytes;
	const struct ublk_command command = {
		.number = UBLK_ABI_CTRL_UPDATE_SIZE,
		.device = device->number,
		.data = size_bytes >> UBLK_ABI_SECTOR_SHIFT,
		.with_path = device->unprivileged,
	};
	int result;

	if (!(ublk_control_features(device->control) & UBLK_ABI_F_UPDATE_SIZE))
		return base_error(EOPNOTSUPP,
				  "ublk: this kernel cannot change the size of a device; Linux "
				  "6.16 can");
	/* Requests for what is new may come before the command has ended. */
	__atomic_store_n(&device->limits.size_bytes, base_max(old_bytes, size_bytes),
			 __ATOMIC_RELAXED);
	result = ublk_control_run(device->control, &command);
	__atomic_store_n(&device->limits.size_bytes, result < 0 ? old_bytes : size_bytes,
			 __ATOMIC_RELAXED);
	return result < 0 ? result : 0;
}

const struct bdus_transport bdus_transport_ublk = {
	.name = "ublk",
	.summary = "block devices on this machine, by the kernel's ublk driver",
	.options = ublk_options,
	.makes_block_device = true,
	.probe = ublk_probe,
	.create = ublk_create,
	.adopt = ublk_adopt,
	.await_predecessor = ublk_await_predecessor,
	.open_queue = ublk_queue_open,
	.start = ublk_start,
	.start_result = ublk_start_result,
	.describe = ublk_describe,
	.fetch = ublk_queue_fetch,
	.commit = ublk_queue_commit,
	.copy_payload = ublk_queue_copy_payload,
	.stop = ublk_stop,
	.leave = ublk_leave,
	.resize = ublk_resize,
	.close_queue = ublk_queue_close,
	.destroy = ublk_destroy,
	.scan = ublk_scan,
	.identify = ublk_identify,
	.remove = ublk_remove,
};
