/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing an image, around the page cache where the request allows it, and making what
 * was written durable.
 */
#include "file_internal.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	ZEROS_BYTES = 256 << 10,
};

/* Never written to, so that it takes neither room in the program nor memory of its own. */
static unsigned char zeros[ZEROS_BYTES] __attribute__((aligned(65536)));

int io_result(int errnum)
{
	return errnum == EDQUOT ? -ENOSPC : -errnum;
}

int io_check_size(struct image *image)
{
	struct stat status;

	if (atomic_load_explicit(&image->shrunk, memory_order_relaxed))
		return -EIO;
	if (image->is_block_device)
		return 0;
	if (fstat(image->fd, &status) < 0)
		return io_result(errno);
	if ((uint64_t)status.st_size >= image->size_bytes)
		return 0;
	atomic_store(&image->shrunk, true);
	return -EIO;
}

static bool fits_direct(const struct image *image, uint64_t offset, uint64_t length,
			const void *data)
{
	const uint64_t bits = offset | length | (uintptr_t)data;

	return image->direct_fd >= 0 && (bits & (image->direct_alignment - 1)) == 0;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Reads some of what was asked for; as preadv2(). */
static ssize_t read_some(const struct image *image, uint64_t offset, uint64_t length, void *data,
			 int flags)
{
	const struct iovec vector = {.iov_base = data, .iov_len = length};
	ssize_t got = -1;

	errno = EINVAL;
	if (fits_direct(image, offset, length, data))
		got = preadv2(image->direct_fd, &vector, 1, (off_t)offset, flags);
	/* EINVAL: the file system wants more than it said; the page cache takes everything. */
	if (got < 0 && errno == EINVAL)
		got = preadv2(image->fd, &vector, 1, (off_t)offset, flags);
	return got;
}

int io_read(struct image *image, uint64_t offset, uint64_t length, void *data, bool no_wait)
{
	unsigned char *to = data;

	if (atomic_load_explicit(&image->shrunk, memory_order_relaxed))
		return -EIO;
	while (length != 0) {
		const ssize_t got = read_some(image, offset, length, to, no_wait ? RWF_NOWAIT : 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return no_wait && errno == EOPNOTSUPP ? -EAGAIN : io_result(errno);
		if (got == 0) {
			atomic_store(&image->shrunk, true);
			return -EIO;
		}
		to += got;
		offset += (uint64_t)got;
		length -= (uint64_t)got;
	}
	return 0;
}

/* ---- writing ------------------------------------------------------------------------------- */

static ssize_t write_direct(struct image *image, uint64_t offset, const struct iovec *vector,
			    int flags)
{
	if (!image->mixed)
		return pwritev2(image->direct_fd, vector, 1, (off_t)offset, flags);
	pthread_rwlock_rdlock(&image->mixed_lock);
	const ssize_t put = pwritev2(image->direct_fd, vector, 1, (off_t)offset, flags);
	const int saved = errno;
	pthread_rwlock_unlock(&image->mixed_lock);
	errno = saved;
	return put;
}

static ssize_t write_cached(struct image *image, uint64_t offset, const struct iovec *vector,
			    int flags)
{
	if (!image->mixed)
		return pwritev2(image->fd, vector, 1, (off_t)offset, flags);
	pthread_rwlock_wrlock(&image->mixed_lock);
	const ssize_t put = pwritev2(image->fd, vector, 1, (off_t)offset, flags);
	const int saved = errno;
	pthread_rwlock_unlock(&image->mixed_lock);
	errno = saved;
	return put;
}

/* Writes some of what was asked for; as pwritev2(). */
static ssize_t write_some(struct image *image, uint64_t offset, uint64_t length, const void *data,
			  int flags)
{
	const struct iovec vector = {.iov_base = (void *)(uintptr_t)data, .iov_len = length};
	ssize_t put = -1;

	errno = EINVAL;
	if (fits_direct(image, offset, length, data))
		put = write_direct(image, offset, &vector, flags);
	if (put < 0 && errno == EINVAL)
		put = write_cached(image, offset, &vector, flags);
	return put;
}

/*
 * The result of a write that failed. One that was to be durable may have been told of an error in
 * writing earlier data back, which no later flush would hear of again.
 */
static int write_failed(struct image *image, int errnum, bool durable)
{
	int none = 0;

	if (durable && errnum == EIO)
		atomic_compare_exchange_strong(&image->sync_error, &none, errnum);
	return io_result(errnum);
}

/* Writes all; takes RWF_DSYNC out of *@flags where the file system does not know it. */
static int write_all(struct image *image, uint64_t offset, uint64_t length, const void *data,
		     int *flags)
{
	const unsigned char *from = data;

	while (length != 0) {
		const ssize_t put = write_some(image, offset, length, from, *flags);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && errno == EOPNOTSUPP && *flags == RWF_DSYNC) {
			*flags = 0;
			continue;
		}
		if (put < 0)
			return write_failed(image, errno, *flags & RWF_DSYNC);
		from += put;
		offset += (uint64_t)put;
		length -= (uint64_t)put;
	}
	return 0;
}

int io_write(struct image *image, uint64_t offset, uint64_t length, const void *data, bool durable,
	     bool no_wait)
{
	int flags = (durable ? RWF_DSYNC : 0) | (no_wait ? RWF_NOWAIT : 0);
	int result = io_check_size(image);

	if (result == 0)
		result = write_all(image, offset, length, data, &flags);
	if (result == -EOPNOTSUPP && no_wait)
		return -EAGAIN;
	if (result == 0 && durable && !(flags & RWF_DSYNC))
		return io_sync(image);
	return result;
}

int io_write_zeros(struct image *image, uint64_t offset, uint64_t length)
{
	while (length != 0) {
		const uint64_t part = base_min(length, ZEROS_BYTES);
		const int result = io_write(image, offset, part, zeros, false, false);
		if (result < 0)
			return result;
		offset += part;
		length -= part;
	}
	return 0;
}

/* ---- durability ---------------------------------------------------------------------------- */

int io_sync(struct image *image)
{
	int none = 0;
	int failed = atomic_load(&image->sync_error);

	if (failed != 0)
		return io_result(failed);
	if (atomic_load(&image->shrunk))
		return -EIO;
	while (fdatasync(image->fd) < 0) {
		if (errno == EINTR)
			continue;
		failed = errno;
		/* What could not be written is gone; a second attempt would claim success. */
		atomic_compare_exchange_strong(&image->sync_error, &none, failed);
		return io_result(failed);
	}
	return 0;
}

int io_cache(struct image *image, uint64_t offset, uint64_t length)
{
	/* Advice: what cannot be followed is not an error. */
	posix_fadvise(image->fd, (off_t)offset, (off_t)length, POSIX_FADV_WILLNEED);
	return 0;
}
