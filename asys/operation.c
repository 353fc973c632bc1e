/* SPDX-License-Identifier: MIT */
/*
 * What is known of each operation, and carrying one out by plain system calls.
 */
#include "asys_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <unistd.h>

static_assert(sizeof(long) == 8, "offsets and pointers are one argument of a system call");

enum asys_class asys_class_of(const struct asys_message *message)
{
	const bool at_position = (int64_t)message->arguments[3] < 0;

	switch (message->number) {
	/* An offset below 0 is an error there, but means the position elsewhere. */
	case SYS_pread64:
	case SYS_preadv:
		return at_position ? ASYS_CLASS_CALL : ASYS_CLASS_READ;
	case SYS_pwrite64:
	case SYS_pwritev:
		return at_position ? ASYS_CLASS_CALL : ASYS_CLASS_WRITE;
	case SYS_preadv2:
	case ASYS_READ:
		return at_position ? ASYS_CLASS_STREAM_READ : ASYS_CLASS_READ;
	case SYS_pwritev2:
	case ASYS_WRITE:
		return at_position ? ASYS_CLASS_STREAM_WRITE : ASYS_CLASS_WRITE;
	case SYS_read:
	case SYS_readv:
		return ASYS_CLASS_STREAM_READ;
	case SYS_write:
	case SYS_writev:
		return ASYS_CLASS_STREAM_WRITE;
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_accept4:
		return ASYS_CLASS_SOCKET_IN;
	case SYS_sendto:
	case SYS_sendmsg:
		return ASYS_CLASS_SOCKET_OUT;
	case SYS_fsync:
	case SYS_fdatasync:
		return ASYS_CLASS_SYNC;
	case ASYS_FUTEX_WAKE:
		return ASYS_CLASS_QUICK;
	case SYS_fallocate:
	case SYS_openat:
	case SYS_statx:
	case SYS_socket:
	case SYS_connect:
	case SYS_shutdown:
	case ASYS_SPLICE:
	case ASYS_FUTEX_WAIT:
		return ASYS_CLASS_RING;
	case SYS_close:
		return ASYS_CLASS_CLOSE;
	case ASYS_NOP:
		return ASYS_CLASS_NOP;
	case ASYS_POLL:
		return ASYS_CLASS_POLL;
	case ASYS_TIMEOUT:
		return ASYS_CLASS_TIMEOUT;
	case ASYS_URING_CMD:
		return ASYS_CLASS_URING_CMD;
	case ASYS_CANCEL:
		return ASYS_CLASS_CANCEL;
	default:
		return ASYS_CLASS_CALL;
	}
}

static uint64_t sum_of_vectors(const struct asys_message *message)
{
	const struct iovec *const vectors = (const void *)(uintptr_t)message->arguments[1];
	uint64_t sum = 0;

	for (uint64_t i = 0; i < message->arguments[2]; i++)
		sum += vectors[i].iov_len;
	return sum;
}

bool asys_asks_for_bytes(const struct asys_message *message, uint64_t *length_bytes)
{
	switch (message->number) {
	case SYS_pread64:
	case SYS_pwrite64:
	case SYS_read:
	case SYS_write:
	case ASYS_READ:
	case ASYS_WRITE:
		*length_bytes = message->arguments[2];
		return true;
	case SYS_preadv:
	case SYS_pwritev:
	case SYS_preadv2:
	case SYS_pwritev2:
	case SYS_readv:
	case SYS_writev:
		*length_bytes = sum_of_vectors(message);
		return true;
	case ASYS_SPLICE:
		*length_bytes = message->arguments[4];
		return true;
	default:
		return false;
	}
}

/* ---- carrying out -------------------------------------------------------------------------- */

static int64_t result_of(long returned)
{
	return returned < 0 ? -errno : returned;
}

/* preadv2(2) or pwritev2(2) of one buffer; on an ABI of 64 bits the upper half of an offset is 0.
 */
static int64_t call_transfer(const struct asys_message *message, uint64_t file, long number,
			     int flags)
{
	const struct iovec vector = {(void *)(uintptr_t)message->arguments[1],
				     message->arguments[2]};

	return result_of(syscall(number, file, &vector, 1UL, message->arguments[3], 0UL, flags));
}

static int64_t call_splice(const struct asys_message *message)
{
	const uint64_t *const arguments = message->arguments;
	int64_t from_offset = (int64_t)arguments[1];
	int64_t to_offset = (int64_t)arguments[3];

	return result_of(syscall(SYS_splice, (int)arguments[0],
				 from_offset < 0 ? NULL : &from_offset, (int)arguments[2],
				 to_offset < 0 ? NULL : &to_offset, arguments[4],
				 (unsigned)arguments[5]));
}

/* A socket that is not to block connects on its own; the message still waits for the end of that.
 */
static int64_t call_connect(const struct asys_message *message, uint64_t file)
{
	struct pollfd done = {.fd = (int)file, .events = POLLOUT};
	const uint64_t *const arguments = message->arguments;

	if (syscall(SYS_connect, file, arguments[1], arguments[2]) == 0)
		return 0;
	if (errno != EINPROGRESS || poll(&done, 1, -1) < 0)
		return -errno;
	/* This one only fetches what became of the first. */
	return result_of(syscall(SYS_connect, file, arguments[1], arguments[2]));
}

/* Only asked of a file that cannot be waited for, which is always ready. */
static int64_t call_poll(const struct asys_message *message, uint64_t file)
{
	struct pollfd look = {.fd = (int)file, .events = (short)message->arguments[1]};

	if (poll(&look, 1, 0) < 0)
		return -errno;
	return (look.revents & POLLNVAL) ? -EBADF : (unsigned short)look.revents;
}

int64_t asys_call(const struct asys_message *message, uint64_t file)
{
	const uint64_t *const arguments = message->arguments;

	switch (message->number) {
	case ASYS_NOP:
		return 0;
	case SYS_pread64:
		return result_of(pread((int)file, (void *)(uintptr_t)arguments[1], arguments[2],
				       (off_t)arguments[3]));
	case SYS_pwrite64:
		return result_of(pwrite((int)file, (const void *)(uintptr_t)arguments[1],
					arguments[2], (off_t)arguments[3]));
	case ASYS_READ:
		return call_transfer(message, file, SYS_preadv2, (int)arguments[4]);
	case ASYS_WRITE:
		return call_transfer(message, file, SYS_pwritev2, (int)arguments[4]);
	case SYS_connect:
		return call_connect(message, file);
	case SYS_sendto:
		return result_of(syscall(SYS_sendto, file, arguments[1], arguments[2],
					 arguments[3] | MSG_NOSIGNAL, arguments[4], arguments[5]));
	case SYS_sendmsg:
		return result_of(
			syscall(SYS_sendmsg, file, arguments[1], arguments[2] | MSG_NOSIGNAL));
	case ASYS_SPLICE:
		return call_splice(message);
	case ASYS_POLL:
		return call_poll(message, file);
	case ASYS_FUTEX_WAIT:
		return result_of(syscall(SYS_futex, arguments[0], FUTEX_WAIT_PRIVATE, arguments[1],
					 NULL, NULL, 0));
	case ASYS_FUTEX_WAKE:
		return result_of(
			syscall(SYS_futex, arguments[0], FUTEX_WAKE_PRIVATE, arguments[1]));
	default:
		break;
	}
	if (message->number >= ASYS_NOP)
		return -ENOSYS;
	return result_of(syscall(message->number, file, arguments[1], arguments[2], arguments[3],
				 arguments[4], arguments[5]));
}

/* ---- trying without blocking --------------------------------------------------------------- */

static int64_t try_transfer(uint64_t file, long number, const struct iovec *vectors, uint64_t count,
			    int64_t offset, uint64_t flags)
{
	const long returned = syscall(number, file, vectors, count, offset, 0L, flags | RWF_NOWAIT);

	if (returned < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		return ASYS_CANNOT_TRY;
	return result_of(returned);
}

static int64_t try_buffer(const struct asys_message *message, uint64_t file, long number,
			  int64_t offset, uint64_t flags)
{
	const struct iovec vector = {(void *)(uintptr_t)message->arguments[1],
				     message->arguments[2]};

	return try_transfer(file, number, &vector, 1, offset, flags);
}

static int64_t try_vectors(const struct asys_message *message, uint64_t file, long number,
			   int64_t offset, uint64_t flags)
{
	return try_transfer(file, number, (const void *)(uintptr_t)message->arguments[1],
			    message->arguments[2], offset, flags);
}

static int64_t try_socket(const struct asys_message *message, uint64_t file, unsigned flags_at,
			  uint64_t more_flags)
{
	uint64_t arguments[6];

	for (unsigned i = 0; i < 6; i++)
		arguments[i] = message->arguments[i];
	if (arguments[flags_at] & MSG_WAITALL)
		return ASYS_CANNOT_TRY;
	arguments[flags_at] |= MSG_DONTWAIT | more_flags;
	return result_of(syscall(message->number, file, arguments[1], arguments[2], arguments[3],
				 arguments[4], arguments[5]));
}

static int64_t try_as_is(const struct asys_message *message, uint64_t file)
{
	const int64_t offset = (int64_t)message->arguments[3];

	switch (message->number) {
	case SYS_read:
		return try_buffer(message, file, SYS_preadv2, -1, 0);
	case SYS_write:
		return try_buffer(message, file, SYS_pwritev2, -1, 0);
	case SYS_pread64:
		return try_buffer(message, file, SYS_preadv2, offset, 0);
	case ASYS_READ:
		return try_buffer(message, file, SYS_preadv2, offset, message->arguments[4]);
	case ASYS_WRITE:
		return try_buffer(message, file, SYS_pwritev2, offset, message->arguments[4]);
	case SYS_readv:
		return try_vectors(message, file, SYS_preadv2, -1, 0);
	case SYS_writev:
		return try_vectors(message, file, SYS_pwritev2, -1, 0);
	case SYS_preadv:
		return try_vectors(message, file, SYS_preadv2, offset, 0);
	case SYS_preadv2:
	case SYS_pwritev2:
		return try_vectors(message, file, message->number, offset, message->arguments[5]);
	case SYS_recvfrom:
		return try_socket(message, file, 3, 0);
	case SYS_sendto:
		return try_socket(message, file, 3, MSG_NOSIGNAL);
	case SYS_recvmsg:
		return try_socket(message, file, 2, 0);
	case SYS_sendmsg:
		return try_socket(message, file, 2, MSG_NOSIGNAL);
	default:
		return ASYS_CANNOT_TRY;
	}
}

static bool file_never_waits(uint64_t file)
{
	const int flags = fcntl((int)file, F_GETFL);

	return flags >= 0 && (flags & O_NONBLOCK) != 0;
}

int64_t asys_try(const struct asys_message *message, uint64_t file)
{
	const int64_t result = try_as_is(message, file);

	if (result == ASYS_CANNOT_TRY && file_never_waits(file))
		return asys_call(message, file);
	return result;
}

bool asys_must_not_wait(const struct asys_message *message)
{
	switch (message->number) {
	case SYS_preadv2:
	case SYS_pwritev2:
		return (message->arguments[5] & RWF_NOWAIT) != 0;
	case ASYS_READ:
	case ASYS_WRITE:
		return (message->arguments[4] & RWF_NOWAIT) != 0;
	case SYS_recvfrom:
	case SYS_sendto:
		return (message->arguments[3] & MSG_DONTWAIT) != 0;
	case SYS_recvmsg:
	case SYS_sendmsg:
		return (message->arguments[2] & MSG_DONTWAIT) != 0;
	default:
		return false;
	}
}
