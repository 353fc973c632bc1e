/* SPDX-License-Identifier: MIT */
/*
 * What an image has space for: making holes, writing zeros by other means than writing, and telling
 * holes from data.
 *
 * fallocate(2) serves block devices as well as files: there, punching a hole writes zeros and may
 * deallocate, without ever falling back to plain writing; a zero range never deallocates, and does
 * fall back.
 */
#include "file_internal.h"

#include "base/bits.h"

#include <bdus/request.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* fallocate(), for the whole range in spite of signals. */
static int allocate(const struct image *image, int mode, uint64_t offset, uint64_t length)
{
	int result;

	do
		result = fallocate(image->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				   (off_t)length);
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : 0;
}

/* The errors by which file systems and devices of all kinds say that they have no such operation.
 */
static bool is_unsupported(int result)
{
	return result == -EOPNOTSUPP || result == -ENOSYS || result == -ENOTTY || result == -EINVAL;
}

/* ---- discard ------------------------------------------------------------------------------- */

int space_discard(struct image *image, uint64_t offset, uint64_t length)
{
	const uint64_t from = base_align_up(offset, image->hole_alignment);
	const uint64_t to = base_align_down(offset + length, image->hole_alignment);
	uint64_t range[2] = {from, to - from};
	int result;

	if (atomic_load(&image->shrunk))
		return -EIO;
	if (from >= to)
		return 0;
	if (image->is_block_device)
		result = ioctl(image->fd, BLKDISCARD, range) < 0 ? -errno : 0;
	else
		result = allocate(image, FALLOC_FL_PUNCH_HOLE, from, to - from);
	return is_unsupported(result) ? -EOPNOTSUPP : io_result(-result);
}

/* ---- write zeros --------------------------------------------------------------------------- */

/* Zeros by one call; -EOPNOTSUPP where there is none, or, with @fast, none that is surely fast. */
static int zero_range(const struct image *image, uint64_t offset, uint64_t length, bool unmap,
		      bool fast)
{
	int result = -EOPNOTSUPP;

	if (unmap)
		result = allocate(image, FALLOC_FL_PUNCH_HOLE, offset, length);
	if (is_unsupported(result) && (!fast || image->zeros_fast))
		result = allocate(image, FALLOC_FL_ZERO_RANGE, offset, length);
	return is_unsupported(result) ? -EOPNOTSUPP : io_result(-result);
}

/* Zeros the aligned middle of a range by one call, and what is left at its ends by writing. */
static int zero_middle(struct image *image, uint64_t offset, uint64_t end, bool unmap, bool fast)
{
	const uint64_t from = base_align_up(offset, image->zero_alignment);
	const uint64_t to = base_align_down(end, image->zero_alignment);
	int result = -EOPNOTSUPP;

	if (from < to)
		result = zero_range(image, from, to - from, unmap, fast);
	if (result == -EOPNOTSUPP && !fast)
		return io_write_zeros(image, offset, end - offset);
	if (result == 0)
		result = io_write_zeros(image, offset, from - offset);
	if (result == 0)
		result = io_write_zeros(image, to, end - to);
	return result;
}

int space_write_zeros(struct image *image, const struct bdus_request *request)
{
	const uint64_t end = request->offset_bytes + request->length_bytes;
	int result = io_check_size(image);

	if (result == 0)
		result = zero_middle(image, request->offset_bytes, end,
				     request->flags & BDUS_REQUEST_MAY_UNMAP,
				     request->flags & BDUS_REQUEST_FAST_ONLY);
	if (result == 0 && (request->flags & BDUS_REQUEST_FUA))
		result = io_sync(image);
	return result;
}

/* ---- extents ------------------------------------------------------------------------------- */

/* Where the next data (SEEK_DATA) or hole (SEEK_HOLE) begins; the end of the image if nowhere. */
static int seek(const struct image *image, uint64_t offset, int what, uint64_t *found)
{
	const off_t at = lseek(image->fd, (off_t)offset, what);

	if (at < 0 && errno != ENXIO)
		return -errno;
	*found = at < 0 ? image->size_bytes : base_min((uint64_t)at, image->size_bytes);
	return 0;
}

/*
 * The extent that begins at @offset. A block that is data in part counts as data; a range that the
 * file system has reserved but not written counts as a hole, as it tells them apart no further.
 */
static int extent_at(const struct image *image, uint64_t offset, struct bdus_extent *extent)
{
	const uint64_t block_bytes = image->logical_block_size;
	uint64_t data = 0, hole = 0;
	int result = seek(image, offset, SEEK_DATA, &data);

	if (result == 0 && base_align_down(data, block_bytes) > offset) {
		extent->length_bytes = base_align_down(data, block_bytes) - offset;
		extent->flags = BDUS_EXTENT_HOLE | BDUS_EXTENT_ZERO;
		return 0;
	}
	if (result == 0)
		result = seek(image, data, SEEK_HOLE, &hole);
	if (result < 0)
		return result;
	hole = base_min(base_align_up(hole, block_bytes), image->size_bytes);
	/* Another process may have changed the file between the two calls: data, then, to be safe.
	 */
	extent->length_bytes = hole > offset ? hole - offset : block_bytes;
	extent->flags = 0;
	return 0;
}

int space_extents(struct image *image, struct bdus_request *request)
{
	uint64_t done = 0;
	uint32_t count = 0;
	int result = io_check_size(image);

	while (result == 0 && done < request->length_bytes && count < request->extent_capacity) {
		struct bdus_extent *const extent = &request->extents[count];
		result = extent_at(image, request->offset_bytes + done, extent);
		if (result < 0)
			break;
		done += extent->length_bytes;
		count++;
	}
	if (result == 0)
		request->extent_count = count;
	return result;
}

/* ---- probing ------------------------------------------------------------------------------- */

void space_probe(struct image *image)
{
	struct stat status;
	uint64_t found;

	image->can_tell_extents = seek(image, 0, SEEK_DATA, &found) == 0;
	if (image->read_only || fstat(image->fd, &status) < 0)
		return;
	/* Past the end of the file, where there is nothing to lose. */
	const uint64_t past_end = base_align_up((uint64_t)status.st_size, 1 << 20) + (1 << 20);
	image->can_discard =
		!is_unsupported(allocate(image, FALLOC_FL_PUNCH_HOLE, past_end, 1 << 20));
}
