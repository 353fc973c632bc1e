/* SPDX-License-Identifier: MIT */
/*
 * Messages as entries of the ring.
 *
 * Only what the ring does exactly as the system call: an operation or an argument that is not here
 * goes to workers.
 */
#include "asys_internal.h"

#include <errno.h>
#include <string.h>

/* Of newer kernels than liburing's header may know. */
#define OPCODE_FUTEX_WAIT     51
#define FUTEX2_32_BITS        2
#define FUTEX2_PRIVATELY      128
#define FUTEX_ANY_BIT         UINT32_MAX
#define COMMAND_BYTES_IN_WIDE 80

int asys_ring_opcode(const struct asys_message *message)
{
	const bool fixed = (message->flags & ASYS_FIXED_BUFFER) != 0;

	switch (message->number) {
	case ASYS_NOP:
		return IORING_OP_NOP;
	case SYS_pread64:
	case SYS_read:
	case ASYS_READ:
		return fixed ? IORING_OP_READ_FIXED : IORING_OP_READ;
	case SYS_pwrite64:
	case SYS_write:
	case ASYS_WRITE:
		return fixed ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE;
	case SYS_readv:
	case SYS_preadv:
	case SYS_preadv2:
		return IORING_OP_READV;
	case SYS_writev:
	case SYS_pwritev:
	case SYS_pwritev2:
		return IORING_OP_WRITEV;
	case SYS_fsync:
	case SYS_fdatasync:
		return IORING_OP_FSYNC;
	case SYS_fallocate:
		return IORING_OP_FALLOCATE;
	case SYS_openat:
		return IORING_OP_OPENAT;
	case SYS_close:
		return IORING_OP_CLOSE;
	case SYS_statx:
		return IORING_OP_STATX;
	case SYS_socket:
		return IORING_OP_SOCKET;
	case SYS_accept4:
		return IORING_OP_ACCEPT;
	case SYS_connect:
		return IORING_OP_CONNECT;
	case SYS_shutdown:
		return IORING_OP_SHUTDOWN;
	/* With an address, these are calls of their own. */
	case SYS_sendto:
		return message->arguments[4] == 0 ? IORING_OP_SEND : -1;
	case SYS_recvfrom:
		return message->arguments[4] == 0 ? IORING_OP_RECV : -1;
	case SYS_sendmsg:
		return IORING_OP_SENDMSG;
	case SYS_recvmsg:
		return IORING_OP_RECVMSG;
	case ASYS_SPLICE:
		return IORING_OP_SPLICE;
	case ASYS_POLL:
		return IORING_OP_POLL_ADD;
	case ASYS_FUTEX_WAIT:
		return OPCODE_FUTEX_WAIT;
	case ASYS_URING_CMD:
		return IORING_OP_URING_CMD;
	default:
		return -1;
	}
}

static bool encode_vectors(const struct asys_message *message, struct io_uring_sqe *sqe,
			   uint64_t offset, uint64_t flags)
{
	/* More than the kernel takes, which must not shrink to something that it takes. */
	if (message->arguments[2] > INT32_MAX)
		return false;
	sqe->off = offset;
	sqe->addr = message->arguments[1];
	sqe->len = (uint32_t)message->arguments[2];
	sqe->rw_flags = (int)flags;
	return true;
}

static void encode_message_call(const struct asys_message *message, struct io_uring_sqe *sqe)
{
	sqe->addr = message->arguments[1];
	sqe->len = 1;
	sqe->msg_flags = (uint32_t)message->arguments[2];
}

static void encode_splice(const struct asys_message *message, struct io_uring_sqe *sqe)
{
	sqe->fd = (int32_t)message->arguments[2];
	sqe->off = message->arguments[3];
	sqe->splice_fd_in = (int32_t)message->arguments[0];
	sqe->splice_off_in = message->arguments[1];
	sqe->len = asys_ring_cut_length(message->arguments[4]);
	sqe->splice_flags = (uint32_t)message->arguments[5];
}

static void encode_futex_wait(const struct asys_message *message, struct io_uring_sqe *sqe)
{
	sqe->fd = FUTEX2_32_BITS | FUTEX2_PRIVATELY;
	sqe->addr = message->arguments[0];
	sqe->addr2 = (uint32_t)message->arguments[1];
	sqe->addr3 = FUTEX_ANY_BIT;
}

static bool encode_command(const struct asys *asys, const struct asys_message *message,
			   struct io_uring_sqe *sqe)
{
	const bool wide = (asys->ring_setup & IORING_SETUP_SQE128) != 0;
	const uint64_t bytes = message->arguments[3];

	if (bytes > (wide ? COMMAND_BYTES_IN_WIDE : ASYS_COMMAND_BYTES))
		return false;
	if (wide)
		memset(sqe->cmd, 0, COMMAND_BYTES_IN_WIDE);
	asys_ring_encode_command(message, sqe, bytes);
	return true;
}

static bool encode_rest(const struct asys *asys, const struct asys_message *message,
			struct io_uring_sqe *sqe)
{
	const uint64_t *const arguments = message->arguments;

	switch (message->number) {
	case SYS_fdatasync:
		sqe->fsync_flags = IORING_FSYNC_DATASYNC;
		return true;
	case SYS_fsync:
	case SYS_close:
		return true;
	case SYS_fallocate:
		sqe->len = (uint32_t)arguments[1];
		sqe->off = arguments[2];
		sqe->addr = arguments[3];
		return true;
	case SYS_openat:
		sqe->addr = arguments[1];
		sqe->open_flags = (uint32_t)arguments[2];
		sqe->len = (uint32_t)arguments[3];
		return true;
	case SYS_statx:
		sqe->addr = arguments[1];
		sqe->statx_flags = (uint32_t)arguments[2];
		sqe->len = (uint32_t)arguments[3];
		sqe->off = arguments[4];
		return true;
	case SYS_socket:
		sqe->off = arguments[1];
		sqe->len = (uint32_t)arguments[2];
		return true;
	case SYS_accept4:
		sqe->addr = arguments[1];
		sqe->addr2 = arguments[2];
		sqe->accept_flags = (uint32_t)arguments[3];
		return true;
	case SYS_connect:
		sqe->addr = arguments[1];
		sqe->off = arguments[2];
		return true;
	case SYS_shutdown:
		sqe->len = (uint32_t)arguments[1];
		return true;
	case SYS_sendto:
	case SYS_recvfrom:
		sqe->addr = arguments[1];
		sqe->len = asys_ring_cut_length(arguments[2]);
		sqe->msg_flags = (uint32_t)arguments[3];
		return true;
	case SYS_sendmsg:
	case SYS_recvmsg:
		encode_message_call(message, sqe);
		return true;
	case ASYS_SPLICE:
		encode_splice(message, sqe);
		return true;
	case ASYS_POLL:
		/* Small-endian and big-endian halves: see poll32_events. */
		sqe->poll32_events = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
					     ? (uint32_t)arguments[1] << 16
					     : (uint32_t)arguments[1];
		return true;
	case ASYS_FUTEX_WAIT:
		encode_futex_wait(message, sqe);
		return true;
	case ASYS_URING_CMD:
		return encode_command(asys, message, sqe);
	default:
		return false;
	}
}

bool asys_ring_encode(const struct asys *asys, const struct asys_message *message, int opcode,
		      struct io_uring_sqe *sqe)
{
	const uint64_t *const arguments = message->arguments;

	asys_ring_clear(sqe, message, (uint8_t)opcode);
	switch (message->number) {
	case ASYS_NOP:
		return true;
	case SYS_pread64:
	case SYS_pwrite64:
		asys_ring_encode_transfer(message, sqe, arguments[3]);
		return true;
	case SYS_read:
	case SYS_write:
		asys_ring_encode_transfer(message, sqe, UINT64_MAX);
		return true;
	case ASYS_READ:
	case ASYS_WRITE:
		asys_ring_encode_transfer(message, sqe, arguments[3]);
		sqe->rw_flags = (int)arguments[4];
		return true;
	case SYS_readv:
	case SYS_writev:
		return encode_vectors(message, sqe, UINT64_MAX, 0);
	case SYS_preadv:
	case SYS_pwritev:
		return encode_vectors(message, sqe, arguments[3], 0);
	case SYS_preadv2:
	case SYS_pwritev2:
		return encode_vectors(message, sqe, arguments[3], arguments[5]);
	default:
		return encode_rest(asys, message, sqe);
	}
}
