/* SPDX-License-Identifier: MIT */
/*
 * Records in the runtime directory.
 *
 * A record is written under a name of its own, locked, and then renamed to ID.dev, so that nobody
 * sees one that is not locked yet. Whoever finds it unlocked knows that its process is gone. The
 * lock is an flock(2), which the kernel drops with the last descriptor, however the process ends.
 */
#include "registry.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "device/control.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES      256
#define RECORD_BYTES    2048
#define COUNTER_WAIT_MS 10000
/** Ids of users other than root start at their uid shifted by this. */
#define USER_ID_SHIFT 24
#define RECORD_SUFFIX ".dev"
#define CLAIM_LOOKS   10

struct bdus_record {
	uint64_t id;
	int fd;
	char path[PATH_BYTES + 32];
};

/* ---- places -------------------------------------------------------------------------------- */

static int format_directory(char *path, size_t size)
{
	const char *const chosen = getenv("BDUS_RUNTIME_DIR");
	const char *const session = getenv("XDG_RUNTIME_DIR");

	if (chosen != NULL && chosen[0] != '\0')
		return snprintf(path, size, "%s", chosen);
	if (geteuid() == 0)
		return snprintf(path, size, "/run/bdus");
	if (session != NULL && session[0] == '/')
		return snprintf(path, size, "%s/bdus", session);
	return snprintf(path, size, "/tmp/bdus-%u", (unsigned)geteuid());
}

int bdus_registry_directory(char *path, size_t size)
{
	const int length = format_directory(path, size);
	struct stat status;

	if (length < 0 || (size_t)length >= size || length > PATH_BYTES - 64)
		return base_error(ENAMETOOLONG, "the name of the runtime directory is too long");
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return base_error_errno(errno, "cannot make the runtime directory %s", path);
	if (stat(path, &status) != 0)
		return base_error_errno(errno, "cannot use the runtime directory %s", path);
	if (!S_ISDIR(status.st_mode))
		return base_error(ENOTDIR, "the runtime directory %s is not a directory", path);
	if (status.st_uid != geteuid() && status.st_uid != 0)
		return base_error(EPERM, "the runtime directory %s belongs to user %u, not to %u",
				  path, (unsigned)status.st_uid, (unsigned)geteuid());
	return 0;
}

static int format_path(char *path, size_t size, uint64_t id, const char *suffix)
{
	char directory[PATH_BYTES];
	const int result = bdus_registry_directory(directory, sizeof(directory));

	if (result < 0)
		return result;
	if (snprintf(path, size, "%s/%" PRIu64 "%s", directory, id, suffix) >= (int)size)
		return base_error(ENAMETOOLONG, "the runtime directory %s has too long a name",
				  directory);
	return 0;
}

/* ---- ids ----------------------------------------------------------------------------------- */

/** Opens and locks the counter of ids; waits for others that hold it. */
static int open_counter(const char *directory)
{
	const uint64_t deadline = base_deadline_ns(COUNTER_WAIT_MS);
	const struct timespec pause = {.tv_nsec = 2000000};
	char path[PATH_BYTES + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/next-id", directory);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return base_error_errno(errno, "cannot open %s", path);
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK || base_remaining_ms(deadline) == 0) {
			const int error = errno == EWOULDBLOCK ? ETIMEDOUT : errno;

			close(fd);
			return base_error_errno(error, "waited %d s for the lock on %s",
						COUNTER_WAIT_MS / 1000, path);
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

static int read_counter(int fd, const char *directory, uint64_t *next)
{
	char text[32];
	char *end;
	const ssize_t length = pread(fd, text, sizeof(text) - 1, 0);

	if (length < 0)
		return base_error_errno(errno, "cannot read %s/next-id", directory);
	text[length] = '\0';
	if (length == 0) {
		*next = 0;
		return 0;
	}
	*next = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end != '\n')
		return base_error(
			EINVAL,
			"%s/next-id is damaged: must hold a number; put one there that is "
			"larger than the id of any device",
			directory);
	return 0;
}

static int write_counter(int fd, const char *directory, uint64_t next)
{
	char text[32];
	const int length = snprintf(text, sizeof(text), "%" PRIu64 "\n", next);

	if (pwrite(fd, text, (size_t)length, 0) != length)
		return base_error_errno(errno ? errno : ENOSPC, "cannot write %s/next-id",
					directory);
	return 0;
}

/** Whether something with this id exists although the counter does not know of it. */
static bool id_is_taken(uint64_t id)
{
	char path[PATH_BYTES];
	struct stat status;

	snprintf(path, sizeof(path), "/dev/bdus-%" PRIu64, id);
	if (lstat(path, &status) == 0)
		return true;
	return format_path(path, sizeof(path), id, RECORD_SUFFIX) == 0 && lstat(path, &status) == 0;
}

static int create_record(const char *directory, uint64_t id, struct bdus_record **record)
{
	struct bdus_record *const made = calloc(1, sizeof(*made));
	char new_path[PATH_BYTES + 32];

	if (made == NULL)
		return base_error(ENOMEM, "no memory for the record of device %" PRIu64, id);
	made->id = id;
	snprintf(made->path, sizeof(made->path), "%s/%" PRIu64 RECORD_SUFFIX, directory, id);
	snprintf(new_path, sizeof(new_path), "%s/.%" PRIu64 ".new", directory, id);
	unlink(new_path);
	made->fd = open(new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (made->fd < 0 || flock(made->fd, LOCK_EX | LOCK_NB) != 0 ||
	    rename(new_path, made->path) != 0) {
		const int error = errno;

		if (made->fd >= 0)
			close(made->fd);
		unlink(new_path);
		free(made);
		return base_error_errno(error, "cannot create the record %s", new_path);
	}
	*record = made;
	return 0;
}

static int take_next_id(int counter_fd, const char *directory, struct bdus_record **record,
			uint64_t *id)
{
	const uint64_t first = (uint64_t)geteuid() << USER_ID_SHIFT;
	uint64_t next = 0;
	int result = read_counter(counter_fd, directory, &next);

	if (result < 0)
		return result;
	while (id_is_taken(first + next))
		next++;
	result = write_counter(counter_fd, directory, next + 1);
	if (result == 0)
		result = create_record(directory, first + next, record);
	if (result == 0)
		*id = first + next;
	return result;
}

int bdus_registry_reserve(struct bdus_record **record, uint64_t *id)
{
	char directory[PATH_BYTES];
	int result = bdus_registry_directory(directory, sizeof(directory));
	int counter_fd;

	if (result < 0)
		return result;
	counter_fd = open_counter(directory);
	if (counter_fd < 0)
		return counter_fd;
	result = take_next_id(counter_fd, directory, record, id);
	close(counter_fd);
	return result;
}

/* ---- records ------------------------------------------------------------------------------- */

/** A member of the device's information, with its name in the file. */
struct field {
	const char *name;
	size_t offset;
	size_t size;
};

#define FIELD(member)                                                  \
	{                                                              \
#member, offsetof(struct bdus_device_info, member),    \
			sizeof(((struct bdus_device_info *)0)->member) \
	}

static const struct field number_fields[] = {
	FIELD(state),
	FIELD(pid),
	FIELD(size_bytes),
	FIELD(logical_block_size),
	FIELD(physical_block_size),
	FIELD(queues),
	FIELD(queue_depth),
	FIELD(ops),
	FIELD(flags),
	FIELD(major),
	FIELD(minor),
	FIELD(created_s),
	FIELD(native_ops),
	FIELD(max_transfer_bytes),
	FIELD(max_write_zeros_bytes),
	FIELD(max_discard_bytes),
	FIELD(zone_size_bytes),
};

static const struct field text_fields[] = {
	FIELD(transport), FIELD(driver), FIELD(path), FIELD(native_path), FIELD(way),
};

static uint64_t get_number(const struct bdus_device_info *info, const struct field *field)
{
	const char *const at = (const char *)info + field->offset;
	uint32_t narrow;
	uint64_t wide;

	if (field->size == sizeof(narrow)) {
		memcpy(&narrow, at, sizeof(narrow));
		return narrow;
	}
	memcpy(&wide, at, sizeof(wide));
	return wide;
}

static void set_number(struct bdus_device_info *info, const struct field *field, uint64_t value)
{
	char *const at = (char *)info + field->offset;
	const uint32_t narrow = (uint32_t)value;

	if (field->size == sizeof(narrow))
		memcpy(at, &narrow, sizeof(narrow));
	else
		memcpy(at, &value, sizeof(value));
}

/** Appends "name=text", control characters replaced, as long as there is room. */
static size_t append_text(char *to, size_t size, size_t used, const char *name, const char *text)
{
	size_t end = used + (size_t)snprintf(to + used, size - used, "%s=%s\n", name, text);

	if (end >= size)
		end = size - 1;
	for (size_t i = used; i + 1 < end; i++) {
		if (iscntrl((unsigned char)to[i]))
			to[i] = '?';
	}
	return end;
}

int bdus_registry_write(struct bdus_record *record, const struct bdus_device_info *info)
{
	char text[RECORD_BYTES];
	size_t used = 0;

	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(number_fields); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s=%" PRIu64 "\n",
					 number_fields[i].name,
					 get_number(info, &number_fields[i]));
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(text_fields); i++)
		used = append_text(text, sizeof(text), used, text_fields[i].name,
				   (const char *)info + text_fields[i].offset);
	used += (size_t)snprintf(text + used, sizeof(text) - used, "end\n");
	if (pwrite(record->fd, text, used, 0) != (ssize_t)used ||
	    ftruncate(record->fd, (off_t)used) != 0)
		return base_error_errno(errno ? errno : ENOSPC, "cannot write the record %s",
					record->path);
	return 0;
}

static void parse_line(char *line, struct bdus_device_info *info)
{
	char *const equals = strchr(line, '=');

	if (equals == NULL)
		return;
	*equals = '\0';
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(number_fields); i++) {
		if (strcmp(line, number_fields[i].name) == 0)
			set_number(info, &number_fields[i], strtoull(equals + 1, NULL, 10));
	}
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(text_fields); i++) {
		if (strcmp(line, text_fields[i].name) == 0)
			snprintf((char *)info + text_fields[i].offset, text_fields[i].size, "%s",
				 equals + 1);
	}
}

/** What follows the line "end" is the rest of an older, longer record that is about to be cut off.
 */
static void parse_record(char *text, struct bdus_device_info *info)
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line != NULL && strcmp(line, "end") != 0;
	     line = strtok_r(NULL, "\n", &rest))
		parse_line(line, info);
}

/** Whether some process holds the record behind @fd. */
static bool is_held(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) != 0)
		return true;
	flock(fd, LOCK_UN);
	return false;
}

/** What the record says of a device that nobody serves. */
static void orphan(struct bdus_device_info *info)
{
	const bool was_served = info->state == BDUS_STATE_AVAILABLE ||
				info->state == BDUS_STATE_ORPHANED ||
				info->state == BDUS_STATE_RECOVERING;

	/* One that never came to be, or was about to end, is not kept. */
	if (!was_served)
		info->flags &= ~(uint32_t)BDUS_DEVICE_RECOVERABLE;
	info->state = BDUS_STATE_ORPHANED;
	info->pid = 0;
}

int bdus_registry_read(uint64_t id, struct bdus_device_info *info)
{
	struct bdus_device_info read_info = {.id = id};
	char path[PATH_BYTES];
	char text[RECORD_BYTES + 1];
	ssize_t length;
	int fd;
	const int result = format_path(path, sizeof(path), id, RECORD_SUFFIX);

	if (result < 0)
		return result;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : base_error_errno(errno, "cannot open %s", path);
	length = pread(fd, text, RECORD_BYTES, 0);
	if (length < 0) {
		const int error = errno;

		close(fd);
		return base_error_errno(error, "cannot read %s", path);
	}
	text[length] = '\0';
	parse_record(text, &read_info);
	if (!is_held(fd))
		orphan(&read_info);
	close(fd);
	*info = read_info;
	return 1;
}

/** The id in the name of a record, or false for another kind of file. */
static bool id_of_name(const char *name, uint64_t *id)
{
	char *end;

	if (!isdigit((unsigned char)name[0]))
		return false;
	errno = 0;
	*id = strtoull(name, &end, 10);
	return errno == 0 && strcmp(end, RECORD_SUFFIX) == 0;
}

static int is_record(const struct dirent *entry)
{
	uint64_t id;

	return id_of_name(entry->d_name, &id);
}

/** Shorter numbers first, then by digits: the order of ids. */
static int compare_ids(const struct dirent **a, const struct dirent **b)
{
	uint64_t first = 0;
	uint64_t second = 0;

	id_of_name((*a)->d_name, &first);
	id_of_name((*b)->d_name, &second);
	return (first > second) - (first < second);
}

int bdus_registry_each(int (*found)(const struct bdus_device_info *info, void *opaque),
		       void *opaque)
{
	char directory[PATH_BYTES];
	struct dirent **entries;
	int result = bdus_registry_directory(directory, sizeof(directory));
	int count;

	if (result < 0)
		return result;
	count = scandir(directory, &entries, is_record, compare_ids);
	if (count < 0)
		return base_error_errno(errno, "cannot list %s", directory);
	for (int i = 0; i < count; i++) {
		struct bdus_device_info info;
		uint64_t id;

		if (result == 0 && id_of_name(entries[i]->d_name, &id) &&
		    bdus_registry_read(id, &info) == 1)
			result = found(&info, opaque);
		free(entries[i]);
	}
	free(entries);
	return result;
}

/** Whether @fd is what the record's name leads to, rather than one that was removed. */
static bool is_current(const struct bdus_record *record)
{
	struct stat named;
	struct stat held;

	return lstat(record->path, &named) == 0 && fstat(record->fd, &held) == 0 &&
	       named.st_ino == held.st_ino && named.st_dev == held.st_dev;
}

static int lock_record(struct bdus_record *record)
{
	const struct timespec pause = {.tv_nsec = 2000000};

	record->fd = open(record->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (record->fd < 0)
		return errno == ENOENT ? -ENOENT
				       : base_error_errno(errno, "cannot open %s", record->path);
	/* Who only looks whether it is held has it for a moment. */
	for (unsigned look = 0; flock(record->fd, LOCK_EX | LOCK_NB) != 0; look++) {
		if (errno != EWOULDBLOCK)
			return base_error_errno(errno, "cannot lock %s", record->path);
		if (look == CLAIM_LOOKS)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return is_current(record) ? 0 : -ENOENT;
}

int bdus_registry_claim(uint64_t id, struct bdus_record **record)
{
	struct bdus_record *const claimed = calloc(1, sizeof(*claimed));
	int result;

	if (claimed == NULL)
		return base_error(ENOMEM, "no memory for the record of device %" PRIu64, id);
	claimed->id = id;
	claimed->fd = -1;
	result = format_path(claimed->path, sizeof(claimed->path), id, RECORD_SUFFIX);
	if (result == 0)
		result = lock_record(claimed);
	if (result < 0) {
		bdus_registry_let_go(claimed);
		return result;
	}
	*record = claimed;
	return 0;
}

void bdus_registry_let_go(struct bdus_record *record)
{
	if (record == NULL)
		return;
	if (record->fd >= 0)
		close(record->fd);
	free(record);
}

void bdus_registry_release(struct bdus_record *record)
{
	if (record == NULL)
		return;
	unlink(record->path);
	close(record->fd);
	free(record);
}

void bdus_registry_forget(const struct bdus_device_info *info)
{
	static const char *const suffixes[] = {".nbd", RECORD_SUFFIX};
	char path[PATH_BYTES];

	bdus_registry_unlink(info);
	if (bdus_registry_directory(path, sizeof(path)) == 0)
		bdus_control_forget(path, info->id);
	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(suffixes); i++) {
		if (format_path(path, sizeof(path), info->id, suffixes[i]) == 0)
			unlink(path);
	}
}

/* ---- links --------------------------------------------------------------------------------- */

static void format_link(uint64_t id, char *path, size_t size)
{
	snprintf(path, size, "/dev/bdus-%" PRIu64, id);
}

/** Whether @link leads to @target already, as for a device that has a new driver. */
static bool is_linked(const char *link, const char *target)
{
	char present[PATH_BYTES];
	const ssize_t length = readlink(link, present, sizeof(present) - 1);

	if (length < 0)
		return false;
	present[length] = '\0';
	return strcmp(present, target) == 0;
}

int bdus_registry_link(struct bdus_device_info *info)
{
	char link[sizeof(info->path)];

	format_link(info->id, link, sizeof(link));
	/* Where the way in's own name is that, there is nothing to do. */
	if (strcmp(info->native_path, link) != 0 && !is_linked(link, info->native_path) &&
	    symlink(info->native_path, link) != 0) {
		if (errno != EACCES && errno != EPERM && errno != EROFS)
			return base_error_errno(errno, "cannot make the link %s to %s", link,
						info->native_path);
		snprintf(link, sizeof(link), "%s", info->native_path);
	}
	snprintf(info->path, sizeof(info->path), "%s", link);
	return 0;
}

void bdus_registry_unlink(const struct bdus_device_info *info)
{
	char link[PATH_BYTES];
	struct stat status;

	format_link(info->id, link, sizeof(link));
	if (lstat(link, &status) != 0 || !S_ISLNK(status.st_mode))
		return;
	if (info->native_path[0] == '\0' || is_linked(link, info->native_path))
		unlink(link);
}
