/* SPDX-License-Identifier: MIT */
/*
 * Between the module's structures and ours: attributes, and requests. Pure functions, which look at
 * nothing but their arguments.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/error.h"
#include "kbdus_internal.h"

#include <bdus/driver.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Operations have the same numbers on both sides. */
_Static_assert((int)BDUS_OP_READ == (int)KBDUS_ABI_OP_READ, "read");
_Static_assert((int)BDUS_OP_WRITE == (int)KBDUS_ABI_OP_WRITE, "write");
_Static_assert((int)BDUS_OP_FLUSH == (int)KBDUS_ABI_OP_FLUSH, "flush");
_Static_assert((int)BDUS_OP_WRITE_ZEROS == (int)KBDUS_ABI_OP_WRITE_ZEROS, "write zeros");
_Static_assert((int)BDUS_OP_DISCARD == (int)KBDUS_ABI_OP_DISCARD, "discard");
_Static_assert((int)BDUS_OP_SECURE_ERASE == (int)KBDUS_ABI_OP_SECURE_ERASE, "secure erase");
_Static_assert((int)BDUS_OP_IOCTL == (int)KBDUS_ABI_OP_IOCTL, "ioctl");
_Static_assert((int)BDUS_IOCTL_STRING == (int)KBDUS_ABI_PART_FLAG_STRING, "flags of parts");
_Static_assert(sizeof(struct bdus_ioctl_part) == sizeof(struct kbdus_abi_ioctl_part), "parts");
_Static_assert(offsetof(struct bdus_ioctl_part, element_bytes) ==
		       offsetof(struct kbdus_abi_ioctl_part, element_bytes),
	       "parts");
_Static_assert(offsetof(struct bdus_ioctl_part, parent) ==
		       offsetof(struct kbdus_abi_ioctl_part, parent),
	       "parts");
_Static_assert(offsetof(struct bdus_ioctl_part, count_at) ==
		       offsetof(struct kbdus_abi_ioctl_part, count_at),
	       "parts");

/* A power of two keeps the pieces of larger requests aligned. */
#define MOST_RANGE_BYTES (UINT64_C(1) << 30)

/* Write zeros that the engine has to write out should not keep other requests waiting for long. */
#define MOST_EMULATED_ZEROS_BYTES (UINT64_C(16) << 20)

static uint64_t fit_range(uint64_t bytes, uint64_t most)
{
	return bytes == 0 || bytes > most ? most : bytes;
}

int kbdus_fit_attrs(struct bdus_device_attrs *attrs, uint32_t native_ops)
{
	const bool zeros_are_native = (native_ops & BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS)) != 0;

	if (attrs->discard_granularity_bytes > MOST_RANGE_BYTES)
		return base_error(EOPNOTSUPP,
				  "kbdus cannot carry a discard granularity of %u bytes; at most "
				  "%llu are allowed",
				  attrs->discard_granularity_bytes,
				  (unsigned long long)MOST_RANGE_BYTES);
	/* Clients of a block device have no way to ask for these. */
	attrs->ops &= ~(BDUS_OP_BIT(BDUS_OP_EXTENTS) | BDUS_OP_BIT(BDUS_OP_CACHE));
	attrs->queues = (uint32_t)base_min(attrs->queues, KBDUS_ABI_QUEUES);
	attrs->queue_depth = (uint32_t)base_min(attrs->queue_depth, KBDUS_ABI_DEPTH);
	attrs->max_transfer_bytes =
		(uint32_t)base_min(attrs->max_transfer_bytes, KBDUS_ABI_TRANSFER_BYTES);
	attrs->max_append_bytes =
		(uint32_t)base_min(attrs->max_append_bytes, attrs->max_transfer_bytes);
	attrs->max_discard_bytes = fit_range(attrs->max_discard_bytes, MOST_RANGE_BYTES);
	attrs->max_write_zeros_bytes =
		fit_range(attrs->max_write_zeros_bytes,
			  zeros_are_native ? MOST_RANGE_BYTES : MOST_EMULATED_ZEROS_BYTES);
	return 0;
}

static uint32_t attr_bits(const struct bdus_device_attrs *attrs)
{
	uint32_t bits = 0;

	if (attrs->flags & BDUS_DEVICE_READ_ONLY)
		bits |= KBDUS_ABI_ATTR_READ_ONLY;
	if (attrs->flags & BDUS_DEVICE_ROTATIONAL)
		bits |= KBDUS_ABI_ATTR_ROTATIONAL;
	if (attrs->flags & BDUS_DEVICE_FUA)
		bits |= KBDUS_ABI_ATTR_FUA;
	if (attrs->flags & BDUS_DEVICE_NO_PARTITION_SCAN)
		bits |= KBDUS_ABI_ATTR_NO_PARTITION_SCAN;
	if (attrs->flags & BDUS_DEVICE_MIRRORED_IOCTLS)
		bits |= KBDUS_ABI_ATTR_MIRRORED_IOCTLS;
	return bits;
}

void kbdus_fill_device(uint64_t id, const struct bdus_device_attrs *attrs,
		       struct kbdus_abi_device *wish)
{
	uint32_t ops = attrs->ops & ~KBDUS_ZONE_OPS;

	if (attrs->flags & BDUS_DEVICE_READ_ONLY)
		ops &= BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_FLUSH) |
		       BDUS_OP_BIT(BDUS_OP_IOCTL);
	memset(wish, 0, sizeof(*wish));
	kbdus_abi_device_set_id(wish, id);
	kbdus_abi_device_set_size_bytes(wish, attrs->size_bytes);
	kbdus_abi_device_set_logical_block_size(wish, attrs->logical_block_size);
	kbdus_abi_device_set_physical_block_size(wish, attrs->physical_block_size);
	kbdus_abi_device_set_optimal_io_bytes(wish, attrs->optimal_io_bytes);
	kbdus_abi_device_set_discard_granularity_bytes(wish, attrs->discard_granularity_bytes);
	kbdus_abi_device_set_max_transfer_bytes(wish, attrs->max_transfer_bytes);
	if (ops & KBDUS_ABI_OPS_DISCARD)
		kbdus_abi_device_set_max_discard_bytes(wish, (uint32_t)attrs->max_discard_bytes);
	if (ops & KBDUS_ABI_OPS_SECURE_ERASE)
		kbdus_abi_device_set_max_secure_erase_bytes(wish,
							    (uint32_t)attrs->max_discard_bytes);
	if (ops & KBDUS_ABI_OPS_WRITE_ZEROS)
		kbdus_abi_device_set_max_write_zeros_bytes(wish,
							   (uint32_t)attrs->max_write_zeros_bytes);
	kbdus_abi_device_set_queues(wish, attrs->queues);
	kbdus_abi_device_set_queue_depth(wish, attrs->queue_depth);
	kbdus_abi_device_set_ops(wish, ops);
	kbdus_abi_device_set_attrs(wish, attr_bits(attrs));
}

static unsigned decode_flags(unsigned op, unsigned given)
{
	unsigned flags = 0;

	if ((given & KBDUS_ABI_REQUEST_FLAG_FUA) &&
	    (op == BDUS_OP_WRITE || op == BDUS_OP_WRITE_ZEROS || op == BDUS_OP_ZONE_APPEND))
		flags |= BDUS_REQUEST_FUA;
	if ((given & KBDUS_ABI_REQUEST_FLAG_MAY_UNMAP) && op == BDUS_OP_WRITE_ZEROS)
		flags |= BDUS_REQUEST_MAY_UNMAP;
	if (given & KBDUS_ABI_REQUEST_FLAG_RETRIED)
		flags |= BDUS_REQUEST_RETRIED;
	if (given & KBDUS_ABI_REQUEST_FLAG_CLIENT_32)
		flags |= BDUS_REQUEST_CLIENT_32;
	/* The module copies from wherever it is told. */
	if (op == BDUS_OP_READ)
		flags |= BDUS_REQUEST_MAY_LEND;
	return flags;
}

int kbdus_decode_request(const struct kbdus_abi_request *request, const struct kbdus_limits *limits,
			 struct bdus_io *io)
{
	const unsigned op = kbdus_abi_request_op(request);
	const uint64_t offset = kbdus_abi_request_offset_bytes(request);
	const uint64_t length = kbdus_abi_request_length_bytes(request);

	if (op > BDUS_OP_IOCTL || !(limits->ops & BDUS_OP_BIT(op)))
		return -EIO;
	if (op == BDUS_OP_IOCTL) {
		if (offset > UINT32_MAX || length > limits->max_transfer_bytes)
			return -EIO;
		bdus_io_prepare(io, BDUS_OP_IOCTL,
				decode_flags(op, kbdus_abi_request_flags(request)), offset, length,
				NULL);
		return 0;
	}
	if (op == BDUS_OP_FLUSH) {
		bdus_io_prepare(io, BDUS_OP_FLUSH,
				decode_flags(op, kbdus_abi_request_flags(request)), 0, 0, NULL);
		return 0;
	}
	if (BDUS_OP_BIT(op) & KBDUS_ZONE_OPS)
		return kbdus_decode_zoned(request, limits,
					  decode_flags(op, kbdus_abi_request_flags(request)), io);
	if (length == 0 ||
	    !base_range_within(offset, length,
			       __atomic_load_n(&limits->size_bytes, __ATOMIC_RELAXED)) ||
	    ((op == BDUS_OP_READ || op == BDUS_OP_WRITE) && length > limits->max_transfer_bytes))
		return -EIO;
	bdus_io_prepare(io, (enum bdus_op)op, decode_flags(op, kbdus_abi_request_flags(request)),
			offset, length, NULL);
	return 0;
}
