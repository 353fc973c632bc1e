/* SPDX-License-Identifier: MIT */
/*
 * The ublk devices that exist, ours among them, as the kernel knows them. Nothing here needs the
 * process that serves a device, and nothing waits for it: commands that take the kernel's lock on
 * a device, which one that is being stopped holds for long, are left alone.
 */
#include "base/clock.h"
#include "base/error.h"
#include "ublk_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CLASS_PATH "/sys/class/ublk-char"

/** Room for the target of a link that is looked at. */
#define LINK_BYTES 256

/* ---- names --------------------------------------------------------------------------------- */

/* The number in @name when that is @prefix and a plain decimal number, else -ENOENT. */
static int64_t number_from_name(const char *name, const char *prefix)
{
	const size_t length = strlen(prefix);
	char *end;
	unsigned long number;

	if (strncmp(name, prefix, length) != 0 || !isdigit((unsigned char)name[length]))
		return -ENOENT;
	errno = 0;
	number = strtoul(name + length, &end, 10);
	if (errno != 0 || *end != '\0' || number >= UINT32_MAX)
		return -ENOENT;
	return (int64_t)number;
}

int64_t ublk_number_from_path(const char *path)
{
	const int64_t number = number_from_name(path, "/dev/ublkb");

	return number >= 0 ? number : number_from_name(path, "/dev/ublkc");
}

/* ---- what sysfs tells ---------------------------------------------------------------------- */

static bool read_attribute(uint32_t number, const char *name, char *text, size_t bytes)
{
	char path[96];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/block/ublkb%u/%s", number, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, text, bytes - 1);
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	return length > 0;
}

static uint64_t read_number(uint32_t number, const char *name)
{
	char text[32];

	return read_attribute(number, name, text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
}

void ublk_read_device_number(uint32_t number, struct bdus_device_info *info)
{
	char text[32];
	char *colon;

	if (!read_attribute(number, "dev", text, sizeof(text)))
		return;
	info->major = (uint32_t)strtoul(text, &colon, 10);
	if (*colon == ':')
		info->minor = (uint32_t)strtoul(colon + 1, NULL, 10);
}

static void read_flags(uint32_t number, struct bdus_device_info *info)
{
	if (read_number(number, "ro") != 0)
		info->flags |= BDUS_DEVICE_READ_ONLY;
	if (read_number(number, "queue/fua") != 0)
		info->flags |= BDUS_DEVICE_FUA;
	if (read_number(number, "queue/rotational") != 0)
		info->flags |= BDUS_DEVICE_ROTATIONAL;
}

static void read_ops(uint32_t number, struct bdus_device_info *info)
{
	char cache[32];

	info->ops = BDUS_OP_BIT(BDUS_OP_READ);
	if (!(info->flags & BDUS_DEVICE_READ_ONLY))
		info->ops |= BDUS_OP_BIT(BDUS_OP_WRITE);
	if (read_attribute(number, "queue/write_cache", cache, sizeof(cache)) &&
	    strncmp(cache, "write back", strlen("write back")) == 0)
		info->ops |= BDUS_OP_BIT(BDUS_OP_FLUSH);
	if (read_number(number, "queue/discard_max_bytes") != 0)
		info->ops |= BDUS_OP_BIT(BDUS_OP_DISCARD);
	if (read_number(number, "queue/write_zeroes_max_bytes") != 0)
		info->ops |= BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS);
}

static void read_disk(uint32_t number, struct bdus_device_info *info)
{
	info->size_bytes = read_number(number, "size") << UBLK_ABI_SECTOR_SHIFT;
	if (info->size_bytes == 0)
		return;
	info->logical_block_size = (uint32_t)read_number(number, "queue/logical_block_size");
	info->physical_block_size = (uint32_t)read_number(number, "queue/physical_block_size");
	ublk_read_device_number(number, info);
	read_flags(number, info);
	read_ops(number, info);
}

/* ---- whether somebody is there ------------------------------------------------------------- */

/** Others look, too, and the kernel is slow to notice that they let go. */
#define LOOKS         5
#define LOOK_PAUSE_US 4000

bool ublk_is_served(uint32_t number)
{
	char path[UBLK_PATH_BYTES];
	int fd;

	ublk_char_path(path, number);
	for (unsigned look = 0; look < LOOKS; look++) {
		if (look != 0)
			usleep(LOOK_PAUSE_US);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			close(fd);
		if (fd >= 0 || errno != EBUSY)
			return false;
	}
	return true;
}

static bool process_lives(int pid)
{
	return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

bool ublk_is_alive(const struct ublk_abi_dev_info *answer)
{
	/*
	 * The kernel knows the process of a started device; before and after, and while another is
	 * to take it over, only an open tells.
	 */
	if (ublk_abi_dev_info_state(answer) == UBLK_ABI_STATE_LIVE)
		return process_lives(ublk_abi_dev_info_server_pid(answer));
	return ublk_is_served(ublk_abi_dev_info_dev_id(answer));
}

static enum bdus_device_state state_of(const struct ublk_abi_dev_info *answer)
{
	if (!ublk_is_alive(answer))
		return BDUS_STATE_ORPHANED;
	return ublk_abi_dev_info_state(answer) == UBLK_ABI_STATE_LIVE ? BDUS_STATE_AVAILABLE
								      : BDUS_STATE_CREATING;
}

static void fill_info(const struct ublk_abi_dev_info *answer, struct bdus_device_info *info)
{
	char path[UBLK_PATH_BYTES];

	*info = (struct bdus_device_info){
		.id = ublk_tag_to_id(ublk_abi_dev_info_server_flags(answer)),
		.state = state_of(answer),
		.queues = ublk_abi_dev_info_nr_hw_queues(answer),
		.queue_depth = ublk_abi_dev_info_queue_depth(answer),
		.transport = "ublk",
	};
	if (info->state == BDUS_STATE_AVAILABLE)
		info->pid = ublk_abi_dev_info_server_pid(answer);
	ublk_block_path(path, ublk_abi_dev_info_dev_id(answer));
	snprintf(info->path, sizeof(info->path), "%s", path);
	snprintf(info->native_path, sizeof(info->native_path), "%s", path);
	if (ublk_abi_dev_info_state(answer) == UBLK_ABI_STATE_LIVE)
		read_disk(ublk_abi_dev_info_dev_id(answer), info);
}

/* ---- all devices --------------------------------------------------------------------------- */

int ublk_for_each(struct ublk_control *control,
		  int (*visit)(const struct ublk_abi_dev_info *answer, void *opaque), void *opaque)
{
	DIR *const directory = opendir(CLASS_PATH);
	struct ublk_abi_dev_info answer;
	struct dirent *entry;
	int64_t number;
	int result = 0;

	if (!directory)
		return 0;
	while (result == 0 && (entry = readdir(directory)) != NULL) {
		number = number_from_name(entry->d_name, "ublkc");
		/* Devices of other users, and those that just went away, cannot be asked. */
		if (number >= 0 && ublk_control_get_info(control, (uint32_t)number, &answer) == 0)
			result = visit(&answer, opaque);
	}
	closedir(directory);
	return result;
}

struct scan {
	int (*found)(const struct bdus_device_info *info, void *opaque);
	void *opaque;
};

static int report_ours(const struct ublk_abi_dev_info *answer, void *opaque)
{
	const struct scan *const scan = opaque;
	struct bdus_device_info info;

	if (ublk_tag_to_id(ublk_abi_dev_info_server_flags(answer)) == BDUS_ID_NONE)
		return 0;
	fill_info(answer, &info);
	return scan->found(&info, scan->opaque);
}

/* Who may not use ublk at all has no ublk devices. */
static bool means_none(int error)
{
	return error == -ENODEV || error == -EACCES || error == -EPERM || error == -ENOSYS;
}

int ublk_scan(int (*found)(const struct bdus_device_info *info, void *opaque), void *opaque)
{
	struct scan scan = {.found = found, .opaque = opaque};
	struct ublk_control *control;
	int result;

	if (access(CLASS_PATH, F_OK) != 0)
		return 0;
	result = ublk_control_create(&control);
	if (result < 0)
		return means_none(result) ? 0 : result;
	result = ublk_for_each(control, report_ours, &scan);
	ublk_control_destroy(control);
	return result < 0 ? result : 0;
}

/* ---- one device, by a path ----------------------------------------------------------------- */

/* The last component of the link @path, a file of sysfs. */
static bool read_link_name(const char *path, char name[LINK_BYTES])
{
	char target[LINK_BYTES];
	const ssize_t length = readlink(path, target, sizeof(target) - 1);
	const char *slash, *last;

	if (length <= 0)
		return false;
	target[length] = '\0';
	slash = strrchr(target, '/');
	last = slash ? slash + 1 : target;
	memcpy(name, last, strlen(last) + 1);
	return true;
}

/* @name is that of a block device; -ENOENT when it is no partition of a ublk device. */
static int refuse_partition(const char *path, char name[LINK_BYTES])
{
	char *const separator = strrchr(name, 'p');

	if (!separator)
		return -ENOENT;
	*separator = '\0';
	if (number_from_name(name, "ublkb") < 0)
		return -ENOENT;
	return base_error(EINVAL,
			  "%s is partition %s of /dev/%s, not a device; name the device itself",
			  path, separator + 1, name);
}

/* The number of the ublk device that the node @path is of; -ENOENT when of none. */
static int64_t number_of_node(const char *path, const struct stat *status)
{
	const bool is_block = S_ISBLK(status->st_mode);
	char link[64], name[LINK_BYTES];
	int64_t number;

	if (!is_block && !S_ISCHR(status->st_mode))
		return -ENOENT;
	snprintf(link, sizeof(link), "/sys/dev/%s/%u:%u", is_block ? "block" : "char",
		 major(status->st_rdev), minor(status->st_rdev));
	if (!read_link_name(link, name))
		return -ENOENT;
	number = number_from_name(name, is_block ? "ublkb" : "ublkc");
	return number >= 0 || !is_block ? number : refuse_partition(path, name);
}

/*
 * The disk of an orphan is gone with its server, so that its path and links to it lead nowhere. The
 * name is then all there is.
 */
static int64_t number_of_lost_path(const char *path)
{
	char target[LINK_BYTES];
	const ssize_t length = readlink(path, target, sizeof(target) - 1);

	if (length <= 0)
		return ublk_number_from_path(path);
	target[length] = '\0';
	return ublk_number_from_path(target);
}

static int64_t number_of_path(const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0)
		return number_of_node(path, &status);
	if (errno == ENOENT)
		return number_of_lost_path(path);
	return -ENOENT;
}

static int identify_number(struct ublk_control *control, const char *path, uint32_t number,
			   struct bdus_device_info *info)
{
	struct ublk_abi_dev_info answer;
	const int result = ublk_control_get_info(control, number, &answer);

	if (result == -ENODEV)
		return 0;
	if (result < 0)
		return result;
	if (ublk_tag_to_id(ublk_abi_dev_info_server_flags(&answer)) == BDUS_ID_NONE &&
	    ublk_is_alive(&answer))
		return base_error(EINVAL,
				  "%s belongs to another ublk server, process %d, which "
				  "still runs",
				  path, ublk_abi_dev_info_server_pid(&answer));
	fill_info(&answer, info);
	return 1;
}

int ublk_identify(const char *path, struct bdus_device_info *info)
{
	const int64_t number = number_of_path(path);
	struct ublk_control *control;
	int result;

	if (number < 0)
		return number == -ENOENT ? 0 : (int)number;
	result = ublk_control_create(&control);
	if (result < 0)
		return result == -ENODEV ? 0 : result;
	result = identify_number(control, path, (uint32_t)number, info);
	ublk_control_destroy(control);
	return result;
}
