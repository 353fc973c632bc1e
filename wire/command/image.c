/* SPDX-License-Identifier: MIT */
/*
 * Images in memory: a private mapping, so that the largest cost nothing but what is looked at, and
 * nothing reaches the file before store.c writes it.
 */
#include "command_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int io_error(const struct image *image, const char *what)
{
	say("%s: cannot %s: %s", image->path, what, strerror(errno));
	return STATUS_IO;
}

static int find_size(struct image *image, uint64_t *size)
{
	struct stat stat;

	if (fstat(image->fd, &stat) != 0)
		return io_error(image, "look at it");
	image->is_device = S_ISBLK(stat.st_mode);
	if (image->is_device) {
		if (ioctl(image->fd, BLKGETSIZE64, size) != 0)
			return io_error(image, "find its size");
		return STATUS_OK;
	}
	if (!S_ISREG(stat.st_mode)) {
		say("%s: is neither a file nor a block device", image->path);
		return STATUS_IO;
	}
	*size = (uint64_t)stat.st_size;
	return STATUS_OK;
}

/** Nobody else may edit at the same time; a block device must not be mounted. */
static int open_file(struct image *image, const struct words *words, bool to_edit)
{
	struct stat stat_of_path;
	const bool write = to_edit && !words->dry_run;
	int flags = O_CLOEXEC | O_NONBLOCK | (write ? O_RDWR : O_RDONLY);

	if (write && !words->force && stat(image->path, &stat_of_path) == 0 &&
	    S_ISBLK(stat_of_path.st_mode))
		flags |= O_EXCL;
	image->fd = open(image->path, flags);
	if (image->fd < 0 && errno == EBUSY) {
		say("%s: is in use, perhaps mounted; --force edits it nevertheless", image->path);
		return STATUS_IO;
	}
	if (image->fd < 0)
		return io_error(image, "open");
	if (write && flock(image->fd, LOCK_EX | LOCK_NB) != 0)
		return io_error(image, "lock");
	return STATUS_OK;
}

/** Narrows the image down to what --offset and --length say. */
static int take_part(struct image *image, const struct words *words, uint64_t size)
{
	if (words->offset > size) {
		say("%s: offset %" PRIu64 " is past its end; allowed: 0 to %" PRIu64, image->path,
		    words->offset, size);
		return STATUS_IO;
	}
	if (words->length != UINT64_MAX && words->length > size - words->offset) {
		say("%s: length %" PRIu64 " reaches past its end; allowed: 0 to %" PRIu64,
		    image->path, words->length, size - words->offset);
		return STATUS_IO;
	}
	image->offset = words->offset;
	size = words->length != UINT64_MAX ? words->length : size - words->offset;
	if (size > SIZE_MAX) {
		say("%s: %" PRIu64 " bytes are more than this machine can map; see --length",
		    image->path, size);
		return STATUS_IO;
	}
	image->size = (size_t)size;
	return STATUS_OK;
}

static int map(struct image *image)
{
	static unsigned char nothing[1];
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const uint64_t start = image->offset & ~(page - 1);
	const size_t before = (size_t)(image->offset - start);
	void *mapping;

	image->data = nothing;
	if (image->size == 0)
		return STATUS_OK;
	mapping = mmap(NULL, image->size + before, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_NORESERVE, image->fd, (off_t)start);
	if (mapping == MAP_FAILED)
		return io_error(image, "map");
	image->mapping = mapping;
	image->mapped = image->size + before;
	image->data = image->mapping + before;
	return STATUS_OK;
}

int image_open(struct image *image, const struct words *words, bool to_edit)
{
	uint64_t size = 0;
	int status = open_file(image, words, to_edit);

	if (status == STATUS_OK)
		status = find_size(image, &size);
	if (status == STATUS_OK)
		status = take_part(image, words, size);
	if (status == STATUS_OK)
		status = map(image);
	if (status != STATUS_OK)
		image_close(image);
	return status;
}

void image_close(struct image *image)
{
	if (image->mapped != 0)
		munmap(image->mapping, image->mapped);
	if (image->fd >= 0)
		close(image->fd);
	image->mapped = 0;
	image->fd = -1;
}
