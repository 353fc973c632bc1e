/* SPDX-License-Identifier: MIT */
/*
 * Wrappers of system calls for the tests of the file driver.
 */
#include "fault.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* The names that the linker's --wrap gives to a call and to what stands in for it. */
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fallocate64(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);
int __real_statx(int folder, const char *path, int flags, unsigned mask, struct statx *status);
int __wrap_statx(int folder, const char *path, int flags, unsigned mask, struct statx *status);
ssize_t __real_preadv64v2(int fd, const struct iovec *vector, int count, off_t offset, int flags);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *vector, int count, off_t offset, int flags);
ssize_t __real_pwritev64v2(int fd, const struct iovec *vector, int count, off_t offset, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *vector, int count, off_t offset, int flags);

struct fault fault;

static _Thread_local bool interrupted;

static int fail(int errnum)
{
	errno = errnum;
	return -1;
}

int __wrap_fdatasync(int fd)
{
	__atomic_fetch_add(&fault.syncs, 1, __ATOMIC_RELAXED);
	return fault.sync_error != 0 ? fail(fault.sync_error) : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
	struct stat status;

	if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
		fault.folder_syncs++;
	return __real_fsync(fd);
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length)
{
	return fault.allocate_error != 0 ? fail(fault.allocate_error)
					 : __real_fallocate64(fd, mode, offset, length);
}

int __wrap_statx(int folder, const char *path, int flags, unsigned mask, struct statx *status)
{
	const int result = __real_statx(folder, path, flags, mask, status);

	if (result == 0 && fault.direct_alignment != 0) {
		status->stx_mask |= STATX_DIOALIGN;
		status->stx_dio_offset_align = fault.direct_alignment;
		status->stx_dio_mem_align = fault.direct_alignment;
	}
	return result;
}

static void count_transfer(int fd)
{
	unsigned *const count =
		(fcntl(fd, F_GETFL) & O_DIRECT) ? &fault.direct_transfers : &fault.cached_transfers;

	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

/* Shortens a transfer as asked for; false when it is to be interrupted instead. */
static bool shorten(struct iovec *vector)
{
	if (fault.most_bytes == 0)
		return true;
	vector->iov_len = base_min(vector->iov_len, fault.most_bytes);
	interrupted = !interrupted;
	return !interrupted;
}

ssize_t __wrap_preadv64v2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
{
	struct iovec one = *vector;

	count_transfer(fd);
	return shorten(&one) ? __real_preadv64v2(fd, &one, count, offset, flags) : fail(EINTR);
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
{
	struct iovec one = *vector;

	count_transfer(fd);
	if (flags & RWF_DSYNC) {
		__atomic_fetch_add(&fault.durable_writes, 1, __ATOMIC_RELAXED);
		if (fault.durable_write_error != 0)
			return fail(fault.durable_write_error);
	}
	return shorten(&one) ? __real_pwritev64v2(fd, &one, count, offset, flags) : fail(EINTR);
}
