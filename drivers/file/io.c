/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing an image, around the page cache where the request allows it, and making what
 * was written durable.
 *
 *	read    READING ─┬─ all there ─▶ end
 *	         ▲       ├─ part there, interrupted
 *	         └───────┴─ refused to go around the page cache: then through it
 *
 *	write   SIZE OK? ─▶ TURN ─▶ WRITING ─┬─ all there ─┬─ FUA was not to be had ─▶ SYNCING ─▶
 *end ▲                           │             └─▶ end └───────────────────────────┴─ as above;
 *file system without RWF_DSYNC: without it
 *
 *	flush   SYNCING ─▶ end
 *
 * TURN is only for images whose direct transfers are larger than the smallest request. Requests
 *that are too small for them go through the page cache, which reads and writes whole pages. A write
 *of this kind waits until no other is in progress and direct writes wait for it, first come, first
 * served, so that neither undoes what the other wrote beside it. Such an image has one queue: there
 * are no threads in this.
 */
#include "base/bits.h"
#include "file_internal.h"
#include "operation.h"

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
	struct statx status;

	if (atomic_load_explicit(&image->shrunk, memory_order_relaxed))
		return -EIO;
	if (image->is_block_device)
		return 0;
	/* As far as this machine knows: asking a server would make the queue wait. */
	if (statx(image->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, &status) < 0)
		return io_result(errno);
	if (status.stx_size >= image_size(image))
		return 0;
	atomic_store(&image->shrunk, true);
	return -EIO;
}

static bool must_not_wait(const struct operation *operation)
{
	return operation->request->flags & BDUS_REQUEST_NO_WAIT;
}

/* ---- transfers ----------------------------------------------------------------------------- */

/* What one call is asked to move. */
static uint64_t length_of_attempt(const struct operation *operation)
{
	return operation->zeros ? base_min(operation->length, ZEROS_BYTES) : operation->length;
}

static const void *address_of(const struct operation *operation)
{
	return operation->zeros ? zeros : bdus_payload_address(operation->request, operation->skip);
}

static bool fits_direct(const struct operation *operation)
{
	const struct image *const image = operation->image;
	const uint64_t bits =
		operation->offset | length_of_attempt(operation) | (uintptr_t)address_of(operation);

	return image->direct_fd >= 0 && !operation->cached_only &&
	       (bits & (image->direct_alignment - 1)) == 0;
}

static int file_of(const struct operation *operation)
{
	return operation->direct ? operation->image->direct_fd : operation->image->fd;
}

static void advance(struct operation *operation, uint64_t moved_bytes)
{
	operation->offset += moved_bytes;
	operation->skip += moved_bytes;
	operation->length -= moved_bytes;
}

/*
 * Whether what failed is worth another attempt, which is different then. EINVAL: the file system
 * wants more than it said; the page cache takes everything, but writes no zones.
 */
static bool may_try_again(struct operation *operation, int errnum)
{
	if (errnum == EINVAL && operation->direct && operation->image->zones == NULL) {
		operation->cached_only = true;
		return true;
	}
	return errnum == EINTR;
}

/* The error of a transfer that could not be had, in terms of requests. */
static int transfer_error(const struct operation *operation, int errnum)
{
	return must_not_wait(operation) && errnum == EOPNOTSUPP ? -EAGAIN : io_result(errnum);
}

/* ---- reading ------------------------------------------------------------------------------- */

static void prepare_read(struct operation *operation)
{
	struct asys_message *const message = &operation->call.message;
	const struct bdus_request *const request = operation->request;

	if (base_likely(!must_not_wait(operation))) {
		bdus_payload_prep_read(message, request, operation->skip, operation->length,
				       file_of(operation), (int64_t)operation->offset);
		return;
	}
	asys_prep_read_flags(message, file_of(operation),
			     bdus_payload_address(request, operation->skip), operation->length,
			     (int64_t)operation->offset, RWF_NOWAIT);
	bdus_payload_choose(message, request);
}

static void read_done(struct bdus_call *call);

static void attempt_read(struct operation *operation)
{
	operation->direct = fits_direct(operation);
	prepare_read(operation);
	operation_send(operation, read_done);
}

static void read_done(struct bdus_call *call)
{
	struct operation *const operation = operation_of(call);
	const int64_t result = call->message.result;

	if (base_likely(result > 0)) {
		advance(operation, (uint64_t)result);
		if (base_likely(operation->length == 0))
			operation_end(operation, 0);
		else
			attempt_read(operation);
	} else if (result == 0) {
		atomic_store(&operation->image->shrunk, true);
		operation_end(operation, -EIO);
	} else if (may_try_again(operation, (int)-result)) {
		attempt_read(operation);
	} else {
		operation_end(operation, transfer_error(operation, (int)-result));
	}
}

void io_read(struct operation *operation)
{
	if (atomic_load_explicit(&operation->image->shrunk, memory_order_relaxed))
		operation_end(operation, -EIO);
	else
		attempt_read(operation);
}

/* ---- turns --------------------------------------------------------------------------------- */

static bool may_write_now(const struct image *image, const struct operation *operation)
{
	return !image->cached_write && (operation->direct || image->direct_writes == 0);
}

static void begin_turn(struct image *image, const struct operation *operation)
{
	if (operation->direct)
		image->direct_writes++;
	else
		image->cached_write = true;
}

/* False when @operation has to wait, and is in the line for that. */
static bool take_turn(struct image *image, struct operation *operation)
{
	if (image->waiting == NULL && may_write_now(image, operation)) {
		begin_turn(image, operation);
		return true;
	}
	operation->next = NULL;
	if (image->waiting == NULL)
		image->waiting = operation;
	else
		image->waiting_last->next = operation;
	image->waiting_last = operation;
	return false;
}

static void send_write(struct operation *operation);

static void end_turn(struct image *image, const struct operation *operation)
{
	if (operation->direct)
		image->direct_writes--;
	else
		image->cached_write = false;
	while (image->waiting != NULL && may_write_now(image, image->waiting)) {
		struct operation *const first = image->waiting;

		image->waiting = first->next;
		begin_turn(image, first);
		send_write(first);
	}
}

/* ---- writing ------------------------------------------------------------------------------- */

static void prepare_write(struct operation *operation)
{
	struct asys_message *const message = &operation->call.message;
	const struct bdus_request *const request = operation->request;
	const int file = file_of(operation);
	const int64_t offset = (int64_t)operation->offset;
	const uint64_t length = length_of_attempt(operation);

	if (operation->zeros) {
		asys_prep_write(message, file, zeros, length, offset);
	} else if (base_likely(operation->rw_flags == 0)) {
		bdus_payload_prep_write(message, request, operation->skip, length, file, offset);
	} else {
		asys_prep_write_flags(message, file, address_of(operation), length, offset,
				      operation->rw_flags);
		bdus_payload_choose(message, request);
	}
}

static void attempt_write(struct operation *operation)
{
	struct image *const image = operation->image;
	const int result = io_check_size(image);

	if (base_unlikely(result < 0)) {
		operation->finished(operation, result);
		return;
	}
	operation->direct = fits_direct(operation);
	if (base_likely(!image->mixed)) {
		send_write(operation);
		return;
	}
	if (must_not_wait(operation) && (image->waiting || !may_write_now(image, operation)))
		operation->finished(operation, -EAGAIN);
	else if (take_turn(image, operation))
		send_write(operation);
}

/* All is written; whether it is durable as well is a matter of the flags that were to be had. */
static void write_ended(struct operation *operation)
{
	const bool durable = !operation->zeros && (operation->request->flags & BDUS_REQUEST_FUA);

	if (durable && !(operation->rw_flags & RWF_DSYNC))
		io_sync(operation);
	else
		operation->finished(operation, 0);
}

/*
 * The end of a write that failed. One that was to be durable may have been told of an error in
 * writing earlier data back, which no later flush would hear of again.
 */
static void write_failed(struct operation *operation, int errnum)
{
	int none = 0;

	if ((operation->rw_flags & RWF_DSYNC) && errnum == EIO)
		atomic_compare_exchange_strong(&operation->image->sync_error, &none, errnum);
	operation->finished(operation, transfer_error(operation, errnum));
}

static void write_done(struct bdus_call *call)
{
	struct operation *const operation = operation_of(call);
	const int64_t result = call->message.result;
	const int errnum = result < 0 ? (int)-result : EIO;

	if (base_unlikely(operation->image->mixed))
		end_turn(operation->image, operation);
	if (base_likely(result > 0)) {
		advance(operation, (uint64_t)result);
		if (base_likely(operation->length == 0))
			write_ended(operation);
		else
			attempt_write(operation);
	} else if (may_try_again(operation, errnum)) {
		attempt_write(operation);
	} else if (errnum == EOPNOTSUPP && operation->rw_flags == RWF_DSYNC) {
		operation->rw_flags = 0;
		attempt_write(operation);
	} else {
		write_failed(operation, errnum);
	}
}

static void send_write(struct operation *operation)
{
	prepare_write(operation);
	operation_send(operation, write_done);
}

void io_write(struct operation *operation)
{
	const unsigned flags = operation->request->flags;

	operation->rw_flags = ((flags & BDUS_REQUEST_FUA) ? RWF_DSYNC : 0) |
			      ((flags & BDUS_REQUEST_NO_WAIT) ? RWF_NOWAIT : 0);
	attempt_write(operation);
}

void io_write_zeros(struct operation *operation, uint64_t offset, uint64_t length,
		    void (*finished)(struct operation *operation, int result))
{
	operation->zeros = true;
	operation->cached_only = false;
	operation->offset = offset;
	operation->length = length;
	operation->finished = finished;
	if (length == 0)
		finished(operation, 0);
	else
		attempt_write(operation);
}

/* ---- durability ---------------------------------------------------------------------------- */

/* Why nothing can be made durable any more; 0 when it can. */
static int check_durable(struct image *image)
{
	const int failed = atomic_load(&image->sync_error);

	if (failed != 0)
		return io_result(failed);
	return atomic_load(&image->shrunk) ? -EIO : 0;
}

/* The result of a sync. What could not be written is gone; a second one would claim success. */
static int after_sync(struct image *image, int errnum)
{
	int none = 0;

	if (errnum != 0)
		atomic_compare_exchange_strong(&image->sync_error, &none, errnum);
	/* Of syncs at the same time, the kernel tells one. */
	return check_durable(image);
}

static void sync_done(struct bdus_call *call)
{
	struct operation *const operation = operation_of(call);
	const int64_t result = call->message.result;

	if (result == -EINTR)
		operation_repeat(operation);
	else
		operation_end(operation,
			      after_sync(operation->image, result < 0 ? (int)-result : 0));
}

void io_sync(struct operation *operation)
{
	const int result = check_durable(operation->image);

	if (result < 0) {
		operation_end(operation, result);
		return;
	}
	asys_prep_fdatasync(&operation->call.message, operation->image->fd);
	operation_send(operation, sync_done);
}

int io_sync_and_wait(struct image *image)
{
	int result = check_durable(image);

	if (result < 0)
		return result;
	do
		result = fdatasync(image->fd);
	while (result < 0 && errno == EINTR);
	return after_sync(image, result < 0 ? errno : 0);
}

/* ---- advice -------------------------------------------------------------------------------- */

/* What cannot be followed is not an error. */
static void advice_given(struct bdus_call *call)
{
	operation_end(operation_of(call), 0);
}

void io_cache(struct operation *operation)
{
	asys_prep(&operation->call.message, SYS_fadvise64, asys_signed(operation->image->fd),
		  operation->offset, operation->length, POSIX_FADV_WILLNEED, 0, 0);
	operation_send(operation, advice_given);
}
