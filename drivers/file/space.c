/* SPDX-License-Identifier: MIT */
/*
 * What an image has space for: making holes, writing zeros by other means than writing, and telling
 * holes from data.
 *
 * fallocate(2) serves block devices as well as files: there, punching a hole writes zeros and may
 * deallocate, without ever falling back to plain writing; a zero range never deallocates, and does
 * fall back.
 *
 *	discard      DISCARDING ─▶ end
 *
 *	write zeros  may unmap?        ┌────────────── has none ◀─────────────┐
 *	             ├─ yes ─▶ PUNCHING ─┬─ has none ─▶ ZEROING ─┬─ has none ─┴─ fast? ─▶ end:
 *refused └─ no ───────────┐  │              ▲        │            └─▶ WRITING ALL ─▶ SYNC
 *	                              └──┼──────────────┘        │
 *	                                 └─ done ◀───────────────┴─ done
 *	                                    └─▶ WRITING HEAD ─▶ WRITING TAIL ─▶ SYNC, with FUA ─▶
 *end
 *
 *	extents      SEEKING DATA ─▶ SEEKING HOLE ─┬─ room, and more is asked for: from the start
 *	                                           └─▶ end
 */
#include "base/bits.h"
#include "file_internal.h"
#include "operation.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

/* The errors by which file systems and devices of all kinds say that they have no such operation.
 */
static bool is_unsupported(int64_t result)
{
	return result == -EOPNOTSUPP || result == -ENOSYS || result == -ENOTTY || result == -EINVAL;
}

/* What a client is told of a call's result. */
static int result_for_client(int64_t result)
{
	return is_unsupported(result) ? -EOPNOTSUPP : io_result((int)-result);
}

static void send_allocate(struct operation *operation, int mode,
			  void (*next)(struct bdus_call *call))
{
	asys_prep_fallocate(&operation->call.message, operation->image->fd,
			    mode | FALLOC_FL_KEEP_SIZE, (int64_t)operation->from,
			    (int64_t)(operation->to - operation->from));
	operation_send(operation, next);
}

/* ---- discard ------------------------------------------------------------------------------- */

static void discarded(struct bdus_call *call)
{
	if (call->message.result == -EINTR)
		operation_repeat(operation_of(call));
	else
		operation_end(operation_of(call), result_for_client(call->message.result));
}

static void discard_device(struct operation *operation)
{
	operation->range[1] = operation->to - operation->from;
	asys_prep_ioctl(&operation->call.message, operation->image->fd, BLKDISCARD,
			asys_pointer(operation->range));
	operation_send(operation, discarded);
}

void space_discard(struct operation *operation)
{
	struct image *const image = operation->image;

	operation->from = base_align_up(operation->offset, image->hole_alignment);
	operation->to =
		base_align_down(operation->offset + operation->length, image->hole_alignment);
	if (atomic_load(&image->shrunk))
		operation_end(operation, -EIO);
	else if (operation->from >= operation->to)
		operation_end(operation, 0);
	else if (image->is_block_device)
		discard_device(operation);
	else
		send_allocate(operation, FALLOC_FL_PUNCH_HOLE, discarded);
}

/* ---- write zeros --------------------------------------------------------------------------- */

static void zeros_ended(struct operation *operation, int result)
{
	if (result == 0 && (operation->request->flags & BDUS_REQUEST_FUA))
		io_sync(operation);
	else
		operation_end(operation, result);
}

static void head_written(struct operation *operation, int result)
{
	if (result == 0)
		io_write_zeros(operation, operation->to, operation->end - operation->to,
			       zeros_ended);
	else
		operation_end(operation, result);
}

/* There is no call for these zeros, or, for who wants it fast, none that surely is. */
static void zero_by_writing(struct operation *operation)
{
	const uint64_t from = operation->request->offset_bytes;

	if (operation->request->flags & BDUS_REQUEST_FAST_ONLY)
		operation_end(operation, -EOPNOTSUPP);
	else
		io_write_zeros(operation, from, operation->end - from, zeros_ended);
}

/* The aligned middle was zeroed by one call, or not; the rest at its ends has to be written. */
static void middle_zeroed(struct operation *operation, int64_t result)
{
	const uint64_t from = operation->request->offset_bytes;

	if (is_unsupported(result))
		zero_by_writing(operation);
	else if (result < 0)
		operation_end(operation, io_result((int)-result));
	else
		io_write_zeros(operation, from, operation->from - from, head_written);
}

static void range_zeroed(struct bdus_call *call)
{
	if (call->message.result == -EINTR)
		operation_repeat(operation_of(call));
	else
		middle_zeroed(operation_of(call), call->message.result);
}

static void zero_range(struct operation *operation)
{
	if ((operation->request->flags & BDUS_REQUEST_FAST_ONLY) && !operation->image->zeros_fast)
		operation_end(operation, -EOPNOTSUPP);
	else
		send_allocate(operation, FALLOC_FL_ZERO_RANGE, range_zeroed);
}

static void punched(struct bdus_call *call)
{
	struct operation *const operation = operation_of(call);
	const int64_t result = call->message.result;

	if (result == -EINTR)
		operation_repeat(operation);
	else if (is_unsupported(result))
		zero_range(operation);
	else
		middle_zeroed(operation, result);
}

void space_write_zeros(struct operation *operation)
{
	struct image *const image = operation->image;
	const int result = io_check_size(image);

	operation->end = operation->offset + operation->length;
	operation->from = base_align_up(operation->offset, image->zero_alignment);
	operation->to = base_align_down(operation->end, image->zero_alignment);
	if (result < 0)
		operation_end(operation, result);
	else if (operation->from >= operation->to)
		zero_by_writing(operation);
	else if (operation->request->flags & BDUS_REQUEST_MAY_UNMAP)
		send_allocate(operation, FALLOC_FL_PUNCH_HOLE, punched);
	else
		zero_range(operation);
}

/* ---- extents ------------------------------------------------------------------------------- */

/* Where the next data or hole begins, as lseek(2) told; the end of the image if nowhere. */
static uint64_t found_at(const struct image *image, int64_t result)
{
	return result < 0 ? image_size(image) : base_min((uint64_t)result, image_size(image));
}

static void send_seek(struct operation *operation, uint64_t offset, int what,
		      void (*next)(struct bdus_call *call))
{
	asys_prep(&operation->call.message, SYS_lseek, asys_signed(operation->image->fd), offset,
		  (uint64_t)what, 0, 0, 0);
	operation_send(operation, next);
}

/* Tells of the extent from `at` to @end; false when that is enough. */
static bool tell_extent(struct operation *operation, uint64_t end, uint32_t flags)
{
	struct bdus_request *const request = operation->request;

	request->extents[operation->told++] = (struct bdus_extent){
		.length_bytes = end - operation->at,
		.flags = flags,
	};
	operation->at = end;
	return operation->told < request->extent_capacity &&
	       end < request->offset_bytes + request->length_bytes;
}

static void end_extents(struct operation *operation)
{
	operation->request->extent_count = operation->told;
	operation_end(operation, 0);
}

static void data_found(struct bdus_call *call);

/*
 * A block that is data in part counts as data. Another process may have changed the file since the
 * data were found: one block of data, then, to be safe.
 */
static void hole_found(struct bdus_call *call)
{
	struct operation *const operation = operation_of(call);
	const struct image *const image = operation->image;
	const uint64_t block_bytes = image->logical_block_size;
	const int64_t result = call->message.result;
	uint64_t hole;

	if (result < 0 && result != -ENXIO) {
		operation_end(operation, io_result((int)-result));
		return;
	}
	hole = base_min(base_align_up(found_at(image, result), block_bytes), image_size(image));
	if (hole <= operation->at)
		hole = operation->at + block_bytes;
	if (tell_extent(operation, hole, 0))
		send_seek(operation, operation->at, SEEK_DATA, data_found);
	else
		end_extents(operation);
}

/* A range that the file system has reserved but not written is a hole: it tells no further. */
static void data_found(struct bdus_call *call)
{
	struct operation *const operation = operation_of(call);
	const int64_t result = call->message.result;
	uint64_t data;

	if (result < 0 && result != -ENXIO) {
		operation_end(operation, io_result((int)-result));
		return;
	}
	operation->data = found_at(operation->image, result);
	data = base_align_down(operation->data, operation->image->logical_block_size);
	if (data > operation->at &&
	    !tell_extent(operation, data, BDUS_EXTENT_HOLE | BDUS_EXTENT_ZERO))
		end_extents(operation);
	else
		send_seek(operation, operation->data, SEEK_HOLE, hole_found);
}

void space_extents(struct operation *operation)
{
	const int result = io_check_size(operation->image);

	operation->at = operation->offset;
	operation->told = 0;
	if (result < 0)
		operation_end(operation, result);
	else
		send_seek(operation, operation->at, SEEK_DATA, data_found);
}

/* ---- probing ------------------------------------------------------------------------------- */

static bool can_punch(const struct image *image, uint64_t offset, uint64_t length)
{
	int result;

	do
		result = fallocate(image->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)offset, (off_t)length);
	while (result < 0 && errno == EINTR);
	return result == 0 || !is_unsupported(-errno);
}

void space_probe(struct image *image)
{
	struct stat status;

	image->can_tell_extents = lseek(image->fd, 0, SEEK_DATA) >= 0 || errno == ENXIO;
	if (image->read_only || fstat(image->fd, &status) < 0)
		return;
	/* Past the end of the file, where there is nothing to lose. */
	image->can_discard = can_punch(
		image, base_align_up((uint64_t)status.st_size, 1 << 20) + (1 << 20), 1 << 20);
}
