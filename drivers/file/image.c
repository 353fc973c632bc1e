/* SPDX-License-Identifier: MIT */
/*
 * Opening an image: finding out what it is, refusing what cannot be a disk with a message that says
 * why, creating it where that was asked for, and learning what it can do. Whatever fails on the way
 * leaves the image as it was.
 */
#include "base/bits.h"
#include "file_internal.h"
#include "operation.h"

#include <bdus/driver.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/blkzoned.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* What opening does, may have to undo, and needs on the way only. */
struct opening {
	struct image *image;
	const struct bdus_config *config;
	const char *path;
	bool create;
	/* The size asked for; 0 for that of the image. */
	uint64_t wanted_bytes;
	/* Set once this call has made the file, or made it longer than it was. */
	bool created;
	bool grown;
	uint64_t old_bytes;
	/* Of a zoned block device that is to be written; else 0. */
	uint64_t zone_bytes;
	struct stat status;
};

static unsigned long long ull(uint64_t value)
{
	return value;
}

/* ---- what the path names ------------------------------------------------------------------- */

static const char *kind_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFCHR:
		return "a character device";
	case S_IFIFO:
		return "a pipe";
	case S_IFSOCK:
		return "a socket";
	default:
		return "of an unknown kind";
	}
}

static int check_kind(const struct opening *opening, mode_t mode)
{
	if (S_ISREG(mode) || S_ISBLK(mode))
		return 0;
	return bdus_config_error(S_ISDIR(mode) ? EISDIR : EINVAL,
				 "file: path=%s is %s; allowed are regular files and block devices",
				 opening->path, kind_name(mode));
}

static int refuse_missing(const struct opening *opening)
{
	if (opening->create)
		return bdus_config_error(
			EINVAL,
			"file: path=%s does not exist, and create=yes needs size=", opening->path);
	return bdus_config_error(ENOENT,
				 "file: path=%s does not exist; create=yes with size= makes it",
				 opening->path);
}

/* ---- opening ------------------------------------------------------------------------------- */

static int refuse_open(const struct opening *opening, int errnum)
{
	const char *hint = "";

	if (errnum == EBUSY && S_ISBLK(opening->status.st_mode))
		hint = ", mounted or otherwise in exclusive use";
	else if (!opening->image->read_only &&
		 (errnum == EACCES || errnum == EPERM || errnum == EROFS))
		hint = "; read-only=yes needs less";
	return bdus_config_error(errnum, "file: path=%s cannot be opened for %s: %s%s",
				 opening->path,
				 opening->image->read_only ? "reading" : "reading and writing",
				 strerror(errnum), hint);
}

/* More than this many bytes in a file would be cut off, and the process killed for trying. */
static int check_file_size_limit(const struct opening *opening, uint64_t size)
{
	struct rlimit limit;

	if (opening->image->read_only || opening->image->is_block_device ||
	    getrlimit(RLIMIT_FSIZE, &limit) < 0 || size <= limit.rlim_cur)
		return 0;
	return bdus_config_error(EFBIG,
				 "file: path=%s of %llu bytes is longer than the %llu bytes that "
				 "\"ulimit -f\" allows",
				 opening->path, ull(size), ull(limit.rlim_cur));
}

static int make_file(struct opening *opening)
{
	struct image *const image = opening->image;
	int result;

	if (!opening->create || opening->wanted_bytes == 0)
		return refuse_missing(opening);
	result = check_file_size_limit(opening, opening->wanted_bytes);
	if (result < 0)
		return result;
	image->fd = open(opening->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (image->fd < 0)
		return bdus_config_error(errno, "file: path=%s cannot be created: %s",
					 opening->path, strerror(errno));
	opening->created = true;
	return 0;
}

/* As open(2). A device that a killed process had is busy for a little longer; see lock.c. */
static int open_with_patience(const char *path, int flags)
{
	int fd = open(path, flags);

	for (unsigned i = 0; fd < 0 && errno == EBUSY && i < PATIENCE_MS / PAUSE_MS; i++) {
		usleep(PAUSE_MS * 1000);
		fd = open(path, flags);
	}
	return fd;
}

static int open_existing(struct opening *opening)
{
	struct image *const image = opening->image;
	int flags = O_CLOEXEC | (image->read_only ? O_RDONLY : O_RDWR);
	const int result = check_kind(opening, opening->status.st_mode);

	if (result < 0)
		return result;
	if (S_ISBLK(opening->status.st_mode) && !image->read_only)
		flags |= O_EXCL;
	image->fd = open_with_patience(opening->path, flags);
	return image->fd < 0 ? refuse_open(opening, errno) : 0;
}

/* Opens or makes the file, and takes its lock before anything else is done to it. */
static int open_and_lock(struct opening *opening)
{
	struct image *const image = opening->image;
	int result;

	if (stat(opening->path, &opening->status) == 0)
		result = open_existing(opening);
	else if (errno == ENOENT)
		result = make_file(opening);
	else
		result = refuse_open(opening, errno);
	if (result < 0)
		return result;
	/* Once more, of what was opened: the path may have come to name something else. */
	if (fstat(image->fd, &opening->status) < 0)
		return refuse_open(opening, errno);
	result = check_kind(opening, opening->status.st_mode);
	image->is_block_device = S_ISBLK(opening->status.st_mode);
	if (result == 0 && bdus_config_bool(opening->config, "lock"))
		result = lock_image(image->fd, opening->path, image->read_only);
	return result;
}

/* ---- sizes --------------------------------------------------------------------------------- */

/* A limit of the request queue below a block device, from sysfs; 0 when not known. */
static uint64_t queue_limit(const struct opening *opening, const char *name)
{
	const dev_t device = opening->status.st_rdev;
	unsigned long long value = 0;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/%s", major(device), minor(device),
		 name);
	file = fopen(path, "re");
	if (file == NULL) {
		/* A partition has no queue of its own, but lies in the directory of its disk. */
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../queue/%s", major(device),
			 minor(device), name);
		file = fopen(path, "re");
	}
	if (file == NULL)
		return 0;
	if (fscanf(file, "%llu", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

/* The largest power of two up to @wished, and @fallback, that divides @size. */
static uint32_t block_size_near(uint64_t wished, uint32_t fallback, uint64_t size)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (!base_is_power_of_two(wished) || wished < fallback)
		return fallback;
	wished = base_min(wished, page);
	while (wished > fallback && size % wished != 0)
		wished /= 2;
	return (uint32_t)wished;
}

/* The zones are looked at once the size that is used is known. */
static void measure_zones(struct opening *opening)
{
	uint32_t zone_sectors = 0;

	if (opening->image->read_only || ioctl(opening->image->fd, BLKGETZONESZ, &zone_sectors) < 0)
		return;
	opening->zone_bytes = (uint64_t)zone_sectors * 512;
	opening->image->max_open_zones = (uint32_t)queue_limit(opening, "max_open_zones");
	opening->image->max_active_zones = (uint32_t)queue_limit(opening, "max_active_zones");
}

static int measure_device(struct opening *opening)
{
	struct image *const image = opening->image;
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned physical = 0;
	int logical = 0;

	if (ioctl(image->fd, BLKGETSIZE64, &image->size_bytes) < 0 ||
	    ioctl(image->fd, BLKSSZGET, &logical) < 0 ||
	    ioctl(image->fd, BLKPBSZGET, &physical) < 0)
		return bdus_config_error(errno, "file: size of path=%s cannot be read: %s",
					 opening->path, strerror(errno));
	measure_zones(opening);
	image->zero_alignment = (uint32_t)logical;
	if (image->logical_block_size == 0)
		image->logical_block_size = (uint32_t)base_min((uint64_t)logical, page);
	image->physical_block_size = physical;
	image->can_discard = queue_limit(opening, "discard_max_bytes") != 0;
	image->hole_alignment = (uint32_t)queue_limit(opening, "discard_granularity");
	if (image->hole_alignment < image->zero_alignment ||
	    !base_is_power_of_two(image->hole_alignment))
		image->hole_alignment = image->zero_alignment;
	image->zeros_fast = queue_limit(opening, "write_zeroes_max_bytes") != 0;
	image->rotational = queue_limit(opening, "rotational") != 0;
	return 0;
}

static void measure_file(struct opening *opening)
{
	struct image *const image = opening->image;
	const uint64_t block = (uint64_t)opening->status.st_blksize;

	image->size_bytes = (uint64_t)opening->status.st_size;
	if (image->logical_block_size == 0)
		image->logical_block_size = 512;
	image->physical_block_size = (uint32_t)base_min(block, UINT32_MAX);
	image->zero_alignment = 1;
	image->hole_alignment = base_is_power_of_two(block) && block >= 512 && block <= 1 << 20
					? (uint32_t)block
					: 4096;
	/* File systems change their map of the file for this, whatever the length. */
	image->zeros_fast = true;
}

/* Takes the size that the user gave where there is one; makes the file longer where allowed. */
static int apply_wanted_size(struct opening *opening)
{
	struct image *const image = opening->image;
	const uint64_t wanted = opening->wanted_bytes, actual = image->size_bytes;
	int result = check_file_size_limit(opening, wanted != 0 ? wanted : actual);

	if (result < 0 || wanted == 0)
		return result;
	if (wanted > actual && (!opening->create || image->is_block_device))
		return bdus_config_error(
			EINVAL, "file: size=%llu is more than the %llu bytes of path=%s%s",
			ull(wanted), ull(actual), opening->path,
			image->is_block_device ? "" : "; create=yes makes it longer");
	if (wanted > actual) {
		opening->old_bytes = actual;
		if (ftruncate(image->fd, (off_t)wanted) < 0)
			return bdus_config_error(errno,
						 "file: path=%s cannot be made %llu bytes long: %s",
						 opening->path, ull(wanted), strerror(errno));
		opening->grown = true;
	}
	image->size_bytes = wanted;
	return 0;
}

static int check_size(const struct opening *opening)
{
	const struct image *const image = opening->image;

	if (image->size_bytes == 0)
		return bdus_config_error(
			EINVAL, "file: path=%s is empty; create=yes with size= gives it a size",
			opening->path);
	if (!base_is_power_of_two(image->logical_block_size))
		return bdus_config_error(EINVAL,
					 "file: logical-block-size=%u is not a power of two",
					 image->logical_block_size);
	if (image->size_bytes % image->logical_block_size != 0)
		return bdus_config_error(
			EINVAL,
			"file: the %llu bytes of path=%s are not a multiple of the "
			"logical block size, %u bytes",
			ull(image->size_bytes), opening->path, image->logical_block_size);
	return 0;
}

static int find_size(struct opening *opening)
{
	struct image *const image = opening->image;
	int result = 0;

	image->logical_block_size =
		(uint32_t)bdus_config_number(opening->config, "logical-block-size");
	if (image->is_block_device)
		result = measure_device(opening);
	else
		measure_file(opening);
	if (result == 0)
		result = apply_wanted_size(opening);
	if (result == 0)
		result = check_size(opening);
	if (result == 0)
		image->physical_block_size = block_size_near(
			image->physical_block_size, image->logical_block_size, image->size_bytes);
	return result;
}

/* Makes a new file survive a power failure: its size, and its name in the directory. */
static int make_durable(const struct opening *opening)
{
	char *const copy = strdup(opening->path);
	int directory = -1, result = 0;

	if (copy == NULL)
		return bdus_config_error(ENOMEM, "file: out of memory");
	if (opening->created)
		directory = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fsync(opening->image->fd) < 0 ||
	    (opening->created && (directory < 0 || fsync(directory) < 0)))
		result = bdus_config_error(errno, "file: path=%s cannot be made durable: %s",
					   opening->path, strerror(errno));
	if (directory >= 0)
		close(directory);
	free(copy);
	return result;
}

/* ---- direct transfers ---------------------------------------------------------------------- */

/* The alignment of direct transfers, as far as the system tells it; 0 when there are none. */
static uint32_t ask_direct_alignment(const struct image *image)
{
	struct statx status;
	uint64_t alignment = image->is_block_device ? image->zero_alignment : 4096;

	if (statx(image->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
	    (status.stx_mask & STATX_DIOALIGN))
		alignment = status.stx_dio_offset_align == 0 ? 0
							     : base_max(status.stx_dio_offset_align,
									status.stx_dio_mem_align);
	return base_is_power_of_two(alignment) ? (uint32_t)alignment : 0;
}

/* Whether a direct read works; an image shorter than one unit is not worth it. */
static bool direct_read_works(const struct image *image, int fd)
{
	const uint32_t unit = image->direct_alignment;
	void *buffer;

	if (image->size_bytes < unit || posix_memalign(&buffer, base_max(unit, 4096), unit) != 0)
		return false;
	const ssize_t got = pread(fd, buffer, unit, 0);
	free(buffer);
	return got == (ssize_t)unit;
}

/* Opens the image once more for direct transfers; returns whether it can have them. */
static bool open_direct(struct image *image)
{
	char again[64];
	int fd;

	image->direct_alignment = ask_direct_alignment(image);
	if (image->direct_alignment == 0)
		return false;
	/* Through the descriptor: the same file, whatever its path names by now. */
	snprintf(again, sizeof(again), "/proc/self/fd/%d", image->fd);
	fd = open(again, O_DIRECT | O_CLOEXEC | (image->read_only ? O_RDONLY : O_RDWR));
	if (fd < 0)
		return false;
	if (!direct_read_works(image, fd)) {
		close(fd);
		return false;
	}
	image->direct_fd = fd;
	image->mixed = image->direct_alignment > image->logical_block_size;
	return true;
}

static int choose_direct(const struct opening *opening)
{
	const char *const choice = bdus_config_string(opening->config, "direct");

	if (strcmp(choice, "no") == 0 || open_direct(opening->image) || strcmp(choice, "auto") == 0)
		return 0;
	return bdus_config_error(
		EINVAL,
		"file: direct=yes: path=%s does not take direct transfers; allowed "
		"are \"auto\" and \"no\"",
		opening->path);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void image_destroy(struct image *image)
{
	if (image->direct_fd >= 0)
		close(image->direct_fd);
	if (image->fd >= 0)
		close(image->fd);
	operation_free_lanes(image);
	zones_close(image);
	free(image);
}

static struct image *image_create(bool read_only)
{
	struct image *const image = calloc(1, sizeof(*image));

	if (image == NULL)
		return NULL;
	image->fd = -1;
	image->direct_fd = -1;
	image->read_only = read_only;
	return image;
}

/* Undoes what an opening that failed has done to the file system. */
static void undo(const struct opening *opening)
{
	int ignored = 0;

	if (opening->created)
		ignored = unlink(opening->path);
	else if (opening->grown)
		/* Where this fails, the file stays longer; nothing that was in it is touched. */
		ignored = ftruncate(opening->image->fd, (off_t)opening->old_bytes);
	(void)ignored;
}

/* What is written to zones goes around the page cache, which has an order of its own. */
static int open_zones(const struct opening *opening)
{
	const struct image *const image = opening->image;

	if (opening->zone_bytes == 0)
		return 0;
	if (image->direct_fd < 0 || image->mixed)
		return bdus_config_error(EINVAL,
					 "file: path=%s is a zoned block device: it takes "
					 "direct transfers of logical blocks only, of %u bytes",
					 opening->path, image->direct_alignment);
	return zones_open(opening->image, opening->path, opening->zone_bytes);
}

static int open_steps(struct opening *opening)
{
	int result = open_and_lock(opening);

	if (result == 0)
		result = find_size(opening);
	if (result == 0)
		result = choose_direct(opening);
	if (result == 0)
		result = open_zones(opening);
	if (result == 0 && !opening->image->is_block_device)
		space_probe(opening->image);
	if (result == 0 && (opening->created || opening->grown))
		result = make_durable(opening);
	return result;
}

int image_open(const struct bdus_config *config, bool read_only, struct image **image)
{
	struct opening opening = {
		.config = config,
		.path = bdus_config_string(config, "path"),
		.create = bdus_config_bool(config, "create"),
		.wanted_bytes = bdus_config_number(config, "size"),
	};

	if (read_only && opening.create)
		return bdus_config_error(
			EINVAL, "file: create=yes and a read-only device exclude one another");
	opening.image = image_create(read_only);
	if (opening.image == NULL)
		return bdus_config_error(ENOMEM, "file: out of memory");
	const int result = open_steps(&opening);
	if (result < 0) {
		undo(&opening);
		image_destroy(opening.image);
		return result;
	}
	*image = opening.image;
	return 0;
}

int image_close(struct image *image)
{
	const int result = image->read_only ? 0 : io_sync_and_wait(image);

	image_destroy(image);
	return result;
}
