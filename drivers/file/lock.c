/* SPDX-License-Identifier: MIT */
/*
 * Keeps two programs from writing one image, by advisory locks that belong to the open file
 * (F_OFD_SETLK). They conflict with those of every program that locks with fcntl(2).
 *
 * A writer locks the whole file. A reader must keep writers out and let readers in, also those of
 * QEMU, which has a protocol of its own: a user of an image holds read locks on byte 100 + N for
 * what it does with it, and on byte 200 + N for what it does not suffer others to do, with N being
 * 0 for reading, 1 for writing and 3 for resizing; it then looks whether anybody holds a lock that
 * contradicts. A reader here does the same.
 */
#include "file_internal.h"

#include "base/bits.h"

#include <bdus/driver.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
	DOES = 100,
	DENIES = 200,
	READING = 0,
	WRITING = 1,
	RESIZING = 3,
};

/* ---- naming who is in the way -------------------------------------------------------------- */

static bool file_contains(const char *path, const char *text)
{
	char content[4096];
	FILE *const file = fopen(path, "re");

	if (file == NULL)
		return false;
	content[fread(content, 1, sizeof(content) - 1, file)] = '\0';
	fclose(file);
	return strstr(content, text) != NULL;
}

/* Whether process @pid has a lock on the file that /proc names @identity. */
static bool holds_lock(const char *pid, const char *identity)
{
	char path[64 + 2 * NAME_MAX];
	const struct dirent *entry;
	bool found = false;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo", pid);
	directory = opendir(path);
	while (directory != NULL && !found && (entry = readdir(directory)) != NULL) {
		snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, entry->d_name);
		found = entry->d_name[0] != '.' && file_contains(path, identity);
	}
	if (directory != NULL)
		closedir(directory);
	return found;
}

/*
 * Finds a process that has a lock on the file, as far as this user may look, and returns its id or
 * 0. The kernel tells the owner of such a lock in no other way: the lock is the open file's.
 */
static int find_holder(int fd)
{
	const struct dirent *entry;
	char identity[64];
	struct stat status;
	int pid = 0;

	if (fstat(fd, &status) < 0)
		return 0;
	snprintf(identity, sizeof(identity), " %02x:%02x:%llu ", major(status.st_dev),
		 minor(status.st_dev), (unsigned long long)status.st_ino);
	DIR *const directory = opendir("/proc");
	while (directory != NULL && pid == 0 && (entry = readdir(directory)) != NULL) {
		const int candidate = atoi(entry->d_name);
		if (candidate > 0 && holds_lock(entry->d_name, identity))
			pid = candidate;
	}
	if (directory != NULL)
		closedir(directory);
	return pid;
}

static int refuse_locked(int fd, const char *path)
{
	const int pid = find_holder(fd);
	char holder[64] = "another program";

	if (pid != 0)
		snprintf(holder, sizeof(holder), "process %d", pid);
	return bdus_config_error(
		EBUSY,
		"file: path=%s is in use by %s; one writer, or any number of readers "
		"(read-only=yes), can have it open",
		path, holder);
}

static int refuse_lock_error(int errnum, const char *path)
{
	return bdus_config_error(
		errnum,
		"file: path=%s cannot be locked: %s; lock=no does without, and then "
		"nothing keeps two writers apart",
		path, strerror(errnum));
}

/* ---- locking ------------------------------------------------------------------------------- */

static int set_lock(int fd, short type, off_t start, off_t length)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* -EAGAIN when anybody else has a lock of any kind on the byte. */
static int look_at_lock(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return -errno;
	return lock.l_type == F_UNLCK ? 0 : -EAGAIN;
}

static int lock_for_reading(int fd)
{
	static const off_t held[] = {DOES + READING, DENIES + WRITING, DENIES + RESIZING};
	static const off_t contradicting[] = {DENIES + READING, DOES + WRITING, DOES + RESIZING};
	int result = 0;

	for (size_t i = 0; result == 0 && i < BASE_ARRAY_LENGTH(held); i++)
		result = set_lock(fd, F_RDLCK, held[i], 1);
	for (size_t i = 0; result == 0 && i < BASE_ARRAY_LENGTH(contradicting); i++)
		result = look_at_lock(fd, contradicting[i]);
	return result;
}

static int try_to_lock(int fd, bool read_only)
{
	const int result = read_only ? lock_for_reading(fd) : set_lock(fd, F_WRLCK, 0, 0);

	return result == -EACCES ? -EAGAIN : result;
}

/*
 * Of a process that was killed, the kernel may hold the open files a little longer: io_uring gives
 * them back after the process is gone.
 */
static int lock_with_patience(int fd, bool read_only)
{
	int result = try_to_lock(fd, read_only);

	if (result != -EAGAIN || find_holder(fd) != 0)
		return result;
	for (unsigned i = 0; result == -EAGAIN && i < PATIENCE_MS / PAUSE_MS; i++) {
		usleep(PAUSE_MS * 1000);
		result = try_to_lock(fd, read_only);
	}
	return result;
}

int lock_image(int fd, const char *path, bool read_only)
{
	const int result = lock_with_patience(fd, read_only);

	if (result == -EAGAIN)
		return refuse_locked(fd, path);
	if (result < 0)
		return refuse_lock_error(-result, path);
	return 0;
}
