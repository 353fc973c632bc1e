/* SPDX-License-Identifier: MIT */
/*
 * Brings the changes of an image to its file. They are found by comparing, sector by sector, and
 * written as runs of whole sectors:
 *
 *	one sector                   in place, which a disk does entirely or not at all
 *	more, in a file that nobody  a copy beside the file (sharing its blocks where the file
 *system can) else has links to          takes its place otherwise                    in place; if
 *that fails half way, what was there is written back
 */
#include "command_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512U
/** What is compared at a time. */
#define CHUNK ((size_t)64 * 1024)
/** A file with more data is not copied. */
#define MOST_COPIED ((off_t)1 << 30)

/** A run of changed sectors (the last may be cut off by the image's end), with what was there. */
struct run {
	struct run *next;
	size_t start, length; /* from image->data */
	unsigned char *old;
};

struct runs {
	struct run *first, *last;
	size_t sectors;
};

static void forget_runs(struct runs *runs)
{
	struct run *next;

	for (struct run *run = runs->first; run != NULL; run = next) {
		next = run->next;
		free(run->old);
		free(run);
	}
}

static int append_run(struct runs *runs, size_t start, const unsigned char *old, size_t length)
{
	struct run *const run = malloc(sizeof(*run));

	if (run == NULL)
		return -ENOMEM;
	*run = (struct run){.start = start, .length = length};
	run->old = malloc(length);
	if (run->old == NULL) {
		free(run);
		return -ENOMEM;
	}
	memcpy(run->old, old, length);
	if (runs->last != NULL)
		runs->last->next = run;
	else
		runs->first = run;
	runs->last = run;
	return 0;
}

/** Adds a changed sector, if need be to the run that ends where it begins. */
static int add_sector(struct runs *runs, size_t start, const unsigned char *old, size_t length)
{
	struct run *const run = runs->last;
	unsigned char *grown;

	runs->sectors++;
	if (run == NULL || run->start + run->length != start)
		return append_run(runs, start, old, length);
	grown = realloc(run->old, run->length + length);
	if (grown == NULL)
		return -ENOMEM;
	memcpy(grown + run->length, old, length);
	run->old = grown;
	run->length += length;
	return 0;
}

/** Reads all of @length bytes. */
static int read_fully(int fd, unsigned char *to, size_t length, uint64_t offset)
{
	while (length != 0) {
		const ssize_t got = pread(fd, to, length, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		to += got;
		offset += (uint64_t)got;
		length -= (size_t)got;
	}
	return 0;
}

/** Adds to @done what was written, also on failure. */
static int write_fully(int fd, const unsigned char *from, size_t length, uint64_t offset,
		       size_t *done)
{
	while (length != 0) {
		const ssize_t put = pwrite(fd, from, length, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		from += put;
		*done += (size_t)put;
		offset += (uint64_t)put;
		length -= (size_t)put;
	}
	return 0;
}

/** Where the sector that contains byte @at of the data ends; sectors are the image's, not the
 * data's. */
static size_t sector_end(const struct image *image, size_t at, size_t limit)
{
	const size_t to_end = SECTOR - (size_t)((image->offset + at) % SECTOR);

	return to_end < limit - at ? at + to_end : limit;
}

static int compare_chunk(const struct image *image, struct runs *runs, const unsigned char *old,
			 size_t start, size_t end)
{
	int error = 0;

	for (size_t at = start, next; at < end && error == 0; at = next) {
		next = sector_end(image, at, end);
		if (memcmp(image->data + at, old + (at - start), next - at) != 0)
			error = add_sector(runs, at, old + (at - start), next - at);
	}
	return error;
}

static int find_runs(const struct image *image, size_t extent, struct runs *runs)
{
	unsigned char *const old = malloc(CHUNK);
	int error = old != NULL ? 0 : -ENOMEM;

	for (size_t start = 0, end; start < extent && error == 0; start = end) {
		/* Chunks end where sectors do, lest one sector counts as two. */
		end = extent - start > CHUNK - SECTOR
			      ? sector_end(image, start + CHUNK - 2 * SECTOR, extent)
			      : extent;
		error = read_fully(image->fd, old, end - start, image->offset + start);
		if (error == 0)
			error = compare_chunk(image, runs, old, start, end);
	}
	free(old);
	return error;
}

/** Writes the runs to @fd, a copy or the image itself; @done is as write_fully() has it. */
static int write_runs(const struct image *image, const struct runs *runs, int fd, size_t *done)
{
	int error = 0;

	for (const struct run *run = runs->first; run != NULL && error == 0; run = run->next)
		error = write_fully(fd, image->data + run->start, run->length,
				    image->offset + run->start, done);
	if (error == 0 && fsync(fd) != 0)
		error = -errno;
	return error;
}

/** Writes back what was in the place of the first @done bytes of the runs. */
static int undo_runs(const struct image *image, const struct runs *runs, size_t done)
{
	int error = 0;

	for (const struct run *run = runs->first; done != 0; run = run->next) {
		const size_t length = run->length < done ? run->length : done;
		size_t ignored = 0;
		const int result = write_fully(image->fd, run->old, length,
					       image->offset + run->start, &ignored);

		error = error == 0 ? result : error;
		done -= length;
	}
	if (fsync(image->fd) != 0 && error == 0)
		error = -errno;
	return error;
}

static int store_in_place(const struct image *image, const struct runs *runs)
{
	size_t done = 0;
	const int error = write_runs(image, runs, image->fd, &done);

	if (error == 0)
		return STATUS_OK;
	if (undo_runs(image, runs, done) == 0)
		say("%s: cannot write, and is as it was: %s", image->path, strerror(-error));
	else
		say("%s: cannot write, and is now half changed: %s", image->path, strerror(-error));
	return STATUS_IO;
}

/** Copies what the file has between two holes. */
static int copy_data(int from, int to, off_t start, off_t end)
{
	off_t out = start;

	while (start < end) {
		const ssize_t copied =
			copy_file_range(from, &start, to, &out, (size_t)(end - start), 0);

		if (copied <= 0)
			return copied < 0 ? -errno : -EIO;
	}
	return 0;
}

static int copy_file(int from, int to, off_t size)
{
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	if (ftruncate(to, size) != 0)
		return -errno;
	for (off_t data = 0, hole; (data = lseek(from, data, SEEK_DATA)) >= 0; data = hole) {
		int error;

		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		error = copy_data(from, to, data, hole);
		if (error != 0)
			return error;
	}
	return errno == ENXIO ? 0 : -errno;
}

static int take_over_metadata(int fd, const struct stat *stat)
{
	if (fchown(fd, stat->st_uid, stat->st_gid) != 0 || fchmod(fd, stat->st_mode & 07777) != 0)
		return -errno;
	return 0;
}

static void sync_folder(const char *path)
{
	char folder[PATH_MAX];
	const char *const slash = strrchr(path, '/');
	int fd;

	snprintf(folder, sizeof(folder), "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
		 slash != NULL ? path : ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

/** Puts a changed copy in the file's place. A negative errno if that cannot be done here. */
static int replace(const struct image *image, const struct runs *runs, const struct stat *stat)
{
	char path[PATH_MAX], copy[PATH_MAX + 16];
	size_t done = 0;
	int fd, error;

	if (realpath(image->path, path) == NULL)
		return -errno;
	snprintf(copy, sizeof(copy), "%s.wire-XXXXXX", path);
	fd = mkostemp(copy, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	error = take_over_metadata(fd, stat);
	if (error == 0)
		error = copy_file(image->fd, fd, stat->st_size);
	if (error == 0)
		error = write_runs(image, runs, fd, &done);
	if (error == 0 && rename(copy, path) != 0)
		error = -errno;
	close(fd);
	if (error != 0)
		unlink(copy);
	else
		sync_folder(path);
	return error;
}

static bool may_replace(const struct image *image, struct stat *stat)
{
	return fstat(image->fd, stat) == 0 && S_ISREG(stat->st_mode) && stat->st_nlink == 1 &&
	       (off_t)stat->st_blocks * 512 <= MOST_COPIED;
}

static int store_runs(const struct image *image, const struct runs *runs)
{
	struct stat stat;

	if (runs->sectors == 0)
		return STATUS_OK;
	if (runs->sectors > 1 && may_replace(image, &stat) && replace(image, runs, &stat) == 0)
		return STATUS_OK;
	return store_in_place(image, runs);
}

static int compare(const struct image *image, size_t extent, struct runs *runs)
{
	const int error = find_runs(image, extent < image->size ? extent : image->size, runs);

	if (error == 0)
		return STATUS_OK;
	say("%s: cannot compare with what is stored: %s", image->path, strerror(-error));
	return STATUS_IO;
}

int image_store(struct image *image, size_t extent)
{
	struct runs runs = {0};
	int status = compare(image, extent, &runs);

	if (status == STATUS_OK)
		status = store_runs(image, &runs);
	forget_runs(&runs);
	return status;
}
