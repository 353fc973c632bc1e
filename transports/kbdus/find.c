/* SPDX-License-Identifier: MIT */
/*
 * The devices that the module has, and their removal, whatever becomes of the processes that serve
 * them. A device whose process has died is removed by the module itself.
 */
#include "base/clock.h"
#include "base/error.h"
#include "kbdus_internal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/** How often a wait looks. */
#define LOOK_PAUSE_US 2000

static enum bdus_device_state state_of(const struct kbdus_abi_device *told)
{
	switch (kbdus_abi_device_state(told)) {
	case KBDUS_ABI_STATE_LIVE:
		return BDUS_STATE_AVAILABLE;
	case KBDUS_ABI_STATE_CREATED:
	case KBDUS_ABI_STATE_STARTING:
		return BDUS_STATE_CREATING;
	case KBDUS_ABI_STATE_ORPHANED:
		return BDUS_STATE_ORPHANED;
	default:
		return BDUS_STATE_DRAINING;
	}
}

static uint32_t flags_of(uint32_t attrs)
{
	uint32_t flags = 0;

	if (attrs & KBDUS_ABI_ATTR_READ_ONLY)
		flags |= BDUS_DEVICE_READ_ONLY;
	if (attrs & KBDUS_ABI_ATTR_FUA)
		flags |= BDUS_DEVICE_FUA;
	if (attrs & KBDUS_ABI_ATTR_ROTATIONAL)
		flags |= BDUS_DEVICE_ROTATIONAL;
	if (attrs & KBDUS_ABI_ATTR_NO_PARTITION_SCAN)
		flags |= BDUS_DEVICE_NO_PARTITION_SCAN;
	return flags;
}

static void fill_info(const struct kbdus_abi_device *told, struct bdus_device_info *info)
{
	char path[KBDUS_PATH_BYTES];

	*info = (struct bdus_device_info){
		.id = kbdus_abi_device_id(told),
		.state = state_of(told),
		.pid = kbdus_abi_device_pid(told),
		.size_bytes = kbdus_abi_device_size_bytes(told),
		.logical_block_size = kbdus_abi_device_logical_block_size(told),
		.physical_block_size = kbdus_abi_device_physical_block_size(told),
		.queues = kbdus_abi_device_queues(told),
		.queue_depth = kbdus_abi_device_queue_depth(told),
		.ops = kbdus_abi_device_ops(told),
		.flags = flags_of(kbdus_abi_device_attrs(told)),
		.major = kbdus_abi_device_major(told),
		.minor = kbdus_abi_device_minor(told),
		.transport = "kbdus",
	};
	kbdus_path(path, info->id);
	snprintf(info->path, sizeof(info->path), "%s", path);
	snprintf(info->native_path, sizeof(info->native_path), "%s", path);
}

/* Who may not use kbdus has no devices of it. */
static int open_or_none(void)
{
	const int fd = kbdus_control_open();

	return fd == -EACCES ? -ENODEV : fd;
}

static int each(int fd, int (*found)(const struct bdus_device_info *info, void *opaque),
		void *opaque)
{
	struct kbdus_abi_device told = {0};
	struct bdus_device_info info;
	int result = 0;

	while (result == 0 && kbdus_control_run(fd, KBDUS_ABI_COMMAND_NEXT, &told) == 0) {
		const uint64_t id = kbdus_abi_device_id(&told);

		fill_info(&told, &info);
		if (kbdus_abi_device_state(&told) != KBDUS_ABI_STATE_STOPPED)
			result = found(&info, opaque);
		if (id == UINT64_MAX)
			break;
		kbdus_abi_device_set_id(&told, id + 1);
	}
	return result;
}

int kbdus_scan(int (*found)(const struct bdus_device_info *info, void *opaque), void *opaque)
{
	const int fd = open_or_none();
	int result;

	if (fd < 0)
		return fd == -ENODEV ? 0 : fd;
	result = each(fd, found, opaque);
	close(fd);
	return result;
}

/* ---- one device, by a path ----------------------------------------------------------------- */

/*
 * The name of the disk or partition that the block special file @path is of, from the end of a link
 * of sysfs; empty when there is none.
 */
static void name_of_node(const char *path, char name[64])
{
	char link[64], target[256];
	struct stat status;
	const char *slash;
	ssize_t length;

	name[0] = '\0';
	if (stat(path, &status) != 0 || !S_ISBLK(status.st_mode))
		return;
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(status.st_rdev),
		 minor(status.st_rdev));
	length = readlink(link, target, sizeof(target) - 1);
	if (length <= 0)
		return;
	target[length] = '\0';
	slash = strrchr(target, '/');
	snprintf(name, 64, "%.63s", slash ? slash + 1 : target);
}

/* 1 with the id of "bdus-N", 0 for another name, an error for a partition. */
static int id_of_name(const char *path, const char *name, uint64_t *id)
{
	char *end;

	if (strncmp(name, "bdus-", 5) != 0 || !isdigit((unsigned char)name[5]))
		return 0;
	errno = 0;
	*id = strtoull(name + 5, &end, 10);
	if (errno != 0)
		return 0;
	if (*end == 'p')
		return base_error(EINVAL,
				  "%s is partition %s of /dev/bdus-%" PRIu64 ", not a device; "
				  "name the device itself",
				  path, end + 1, *id);
	return *end == '\0';
}

int kbdus_identify(const char *path, struct bdus_device_info *info)
{
	struct kbdus_abi_device told = {0};
	uint64_t id = 0;
	char name[64];
	int fd, result;

	name_of_node(path, name);
	result = id_of_name(path, name, &id);
	if (result <= 0)
		return result;
	fd = open_or_none();
	if (fd < 0)
		return fd == -ENODEV ? 0 : fd;
	kbdus_abi_device_set_id(&told, id);
	result = kbdus_control_run(fd, KBDUS_ABI_COMMAND_FIND, &told);
	close(fd);
	if (result < 0)
		return 0;
	fill_info(&told, info);
	return 1;
}

/* ---- removing ------------------------------------------------------------------------------ */

int kbdus_wait_until_gone(int fd, uint64_t id, uint64_t deadline_ns, bdus_progress_fn *progress,
			  void *opaque)
{
	const uint64_t start_ns = base_now_ns();
	struct kbdus_abi_device told = {0};
	uint64_t told_s = 0;

	kbdus_abi_device_set_id(&told, id);
	while (kbdus_control_run(fd, KBDUS_ABI_COMMAND_FIND, &told) == 0) {
		const uint64_t now_ns = base_now_ns();
		const uint64_t waited_ms = (now_ns - start_ns) / 1000000;

		if (now_ns >= deadline_ns)
			return base_error(ETIMEDOUT,
					  "kbdus: still waiting for the end of device "
					  "%" PRIu64,
					  id);
		if (progress && waited_ms / 1000 > told_s) {
			told_s = waited_ms / 1000;
			progress(waited_ms, "the kernel to end the device", opaque);
		}
		usleep(LOOK_PAUSE_US);
	}
	return 0;
}

/*
 * The disk goes, whatever the process does; what is left then is the process with files of the
 * device, which are nobody's concern but its own if it does not end.
 */
static int remove_from(int fd, const struct bdus_device_info *info, uint64_t deadline_ns,
		       bdus_progress_fn *progress, void *opaque)
{
	struct kbdus_abi_device told = {0};
	int result;

	kbdus_abi_device_set_id(&told, info->id);
	result = kbdus_control_run(fd, KBDUS_ABI_COMMAND_DESTROY, &told);
	if (result == -ENODEV)
		return 0;
	if (result < 0)
		return base_error_errno(-result, "kbdus cannot destroy device %" PRIu64, info->id);
	return kbdus_wait_until_gone(fd, info->id, deadline_ns, progress, opaque);
}

int kbdus_remove(const struct bdus_device_info *info, uint64_t deadline_ns,
		 bdus_progress_fn *progress, void *opaque)
{
	const int fd = kbdus_control_open();
	int result;

	if (fd < 0)
		return fd == -ENODEV ? 0 : fd;
	result = remove_from(fd, info, deadline_ns, progress, opaque);
	close(fd);
	return result;
}
