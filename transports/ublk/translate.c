/* SPDX-License-Identifier: MIT */
/*
 * Between the kernel's structures and ours: the tag of a device, its parameters, its requests and
 * their results. Pure functions, which look at nothing but their arguments.
 */
#include "base/bits.h"
#include "base/error.h"
#include "ublk_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/*
 * The kernel keeps 64 bits for a device's server. Ours hold 0xbd above the device's id, from
 * ADD_DEV on: so a device is known as ours, and which it is, even when its creator was killed right
 * after that, and without any file.
 */
#define TAG_MARK       UINT64_C(0xbd)
#define TAG_MARK_SHIFT 56
#define TAG_ID_MASK    ((UINT64_C(1) << TAG_MARK_SHIFT) - 1)

uint64_t ublk_tag_from_id(uint64_t id)
{
	return TAG_MARK << TAG_MARK_SHIFT | (id & TAG_ID_MASK);
}

uint64_t ublk_tag_to_id(uint64_t tag)
{
	return tag >> TAG_MARK_SHIFT == TAG_MARK ? tag & TAG_ID_MASK : BDUS_ID_NONE;
}

/*
 * Discards and write zeros carry no payload, and their length is bounded only by the results,
 * which are signed 32-bit byte counts. A power of two keeps the pieces of larger ones aligned.
 */
#define MOST_RANGE_BYTES (UINT64_C(1) << 30)

/* Write zeros that the engine has to write out should not keep other requests waiting for long. */
#define MOST_EMULATED_ZEROS_BYTES (UINT64_C(16) << 20)

/* The driver's documented largest buffer of one request. */
#define MOST_TRANSFER_BYTES (UINT32_C(32) << 20)

static uint64_t fit_range(uint64_t bytes, uint64_t most)
{
	return bytes == 0 || bytes > most ? most : bytes;
}

int ublk_fit_attrs(struct bdus_device_attrs *attrs, uint32_t native_ops)
{
	const bool zeros_are_native = (native_ops & BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS)) != 0;

	if (native_ops & BDUS_OP_BIT(BDUS_OP_SECURE_ERASE))
		return base_error(EOPNOTSUPP, "ublk cannot carry the operation secure erase, which "
					      "the driver has");
	if (attrs->discard_granularity_bytes > MOST_RANGE_BYTES)
		return base_error(EOPNOTSUPP,
				  "ublk cannot carry a discard granularity of %u bytes; at most "
				  "%llu are allowed",
				  attrs->discard_granularity_bytes,
				  (unsigned long long)MOST_RANGE_BYTES);

	/* Clients of a block device have no way to ask for these. */
	attrs->ops &= ~(BDUS_OP_BIT(BDUS_OP_EXTENTS) | BDUS_OP_BIT(BDUS_OP_CACHE));
	attrs->queues = (uint32_t)base_min(attrs->queues, UBLK_ABI_QUEUES);
	attrs->queue_depth = (uint32_t)base_min(attrs->queue_depth, UBLK_ABI_DEPTH);
	attrs->max_transfer_bytes =
		(uint32_t)base_min(attrs->max_transfer_bytes, MOST_TRANSFER_BYTES);
	attrs->max_discard_bytes = fit_range(attrs->max_discard_bytes, MOST_RANGE_BYTES);
	attrs->max_write_zeros_bytes =
		fit_range(attrs->max_write_zeros_bytes,
			  zeros_are_native ? MOST_RANGE_BYTES : MOST_EMULATED_ZEROS_BYTES);
	return 0;
}

static uint32_t to_sectors(uint64_t bytes)
{
	return (uint32_t)(bytes >> UBLK_ABI_SECTOR_SHIFT);
}

static uint32_t basic_attrs(const struct bdus_device_attrs *attrs)
{
	uint32_t bits = 0;

	if (attrs->flags & BDUS_DEVICE_READ_ONLY)
		bits |= UBLK_ABI_ATTR_READ_ONLY;
	if (attrs->flags & BDUS_DEVICE_ROTATIONAL)
		bits |= UBLK_ABI_ATTR_ROTATIONAL;
	if (attrs->ops & BDUS_OP_BIT(BDUS_OP_FLUSH))
		bits |= UBLK_ABI_ATTR_VOLATILE_CACHE;
	/* Without a volatile cache the kernel knows that FUA means nothing, and refuses it. */
	if ((attrs->ops & BDUS_OP_BIT(BDUS_OP_FLUSH)) && (attrs->flags & BDUS_DEVICE_FUA))
		bits |= UBLK_ABI_ATTR_FUA;
	return bits;
}

/*
 * Write zeros are advertised whenever a client may use them, emulated ones, too: the kernel's own
 * fallback would send the zeros as ordinary writes, each page copied into our payload memory.
 */
static void fill_discard(const struct bdus_device_attrs *attrs, struct ublk_abi_params *params)
{
	const bool discard = (attrs->ops & BDUS_OP_BIT(BDUS_OP_DISCARD)) != 0;
	const bool zeros = (attrs->ops & BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS)) != 0;

	if ((attrs->flags & BDUS_DEVICE_READ_ONLY) || !(discard || zeros))
		return;
	ublk_abi_params_set_types(params, ublk_abi_params_types(params) | UBLK_ABI_PARAM_DISCARD);
	ublk_abi_params_set_discard_granularity(params, attrs->discard_granularity_bytes != 0
								? attrs->discard_granularity_bytes
								: attrs->physical_block_size);
	if (discard) {
		ublk_abi_params_set_max_discard_sectors(params,
							to_sectors(attrs->max_discard_bytes));
		ublk_abi_params_set_max_discard_segments(params, 1);
	}
	if (zeros)
		ublk_abi_params_set_max_write_zeroes_sectors(
			params, to_sectors(attrs->max_write_zeros_bytes));
}

void ublk_fill_params(const struct bdus_device_attrs *attrs, struct ublk_abi_params *params)
{
	const uint32_t optimal = attrs->optimal_io_bytes > attrs->physical_block_size
					 ? attrs->optimal_io_bytes
					 : attrs->physical_block_size;

	memset(params, 0, sizeof(*params));
	ublk_abi_params_set_len(params, sizeof(*params));
	ublk_abi_params_set_types(params, UBLK_ABI_PARAM_BASIC);
	ublk_abi_params_set_attrs(params, basic_attrs(attrs));
	ublk_abi_params_set_logical_bs_shift(params, (uint8_t)base_log2(attrs->logical_block_size));
	ublk_abi_params_set_physical_bs_shift(params,
					      (uint8_t)base_log2(attrs->physical_block_size));
	ublk_abi_params_set_io_min_shift(params, (uint8_t)base_log2(attrs->physical_block_size));
	ublk_abi_params_set_io_opt_shift(params, (uint8_t)base_log2(optimal));
	ublk_abi_params_set_max_sectors(params, to_sectors(attrs->max_transfer_bytes));
	ublk_abi_params_set_dev_sectors(params, attrs->size_bytes >> UBLK_ABI_SECTOR_SHIFT);
	fill_discard(attrs, params);
	if (attrs->zone_size_bytes != 0)
		ublk_zoned_fill_params(attrs, params);
}

/* The operation, and the most bytes that a request of it may have; -EIO for operations not offered.
 */
static int decode_op(uint32_t op_flags, const struct ublk_limits *limits, enum bdus_op *op,
		     uint64_t *most_bytes)
{
	switch (op_flags & UBLK_ABI_OP_MASK) {
	case UBLK_ABI_OP_READ:
		*op = BDUS_OP_READ;
		*most_bytes = limits->max_transfer_bytes;
		break;
	case UBLK_ABI_OP_WRITE:
		*op = BDUS_OP_WRITE;
		*most_bytes = limits->max_transfer_bytes;
		break;
	case UBLK_ABI_OP_FLUSH:
		*op = BDUS_OP_FLUSH;
		*most_bytes = 0;
		break;
	case UBLK_ABI_OP_DISCARD:
		*op = BDUS_OP_DISCARD;
		*most_bytes = limits->max_discard_bytes;
		break;
	case UBLK_ABI_OP_WRITE_ZEROES:
		*op = BDUS_OP_WRITE_ZEROS;
		*most_bytes = limits->max_write_zeros_bytes;
		break;
	default:
		return -EIO;
	}
	return limits->ops & BDUS_OP_BIT(*op) ? 0 : -EIO;
}

static unsigned decode_flags(uint32_t op_flags, enum bdus_op op)
{
	unsigned flags = 0;

	if ((op_flags & UBLK_ABI_REQUEST_FUA) && (op == BDUS_OP_WRITE || op == BDUS_OP_WRITE_ZEROS))
		flags |= BDUS_REQUEST_FUA;
	if (op == BDUS_OP_WRITE_ZEROS && !(op_flags & UBLK_ABI_REQUEST_NO_UNMAP))
		flags |= BDUS_REQUEST_MAY_UNMAP;
	return flags;
}

/* The kernel may write to the descriptor again while we look: what was checked is what is used. */
static inline struct ublk_abi_io_desc read_once(const struct ublk_abi_io_desc *descriptor)
{
	const struct ublk_abi_io_desc copy = *descriptor;

	atomic_signal_fence(memory_order_seq_cst);
	return copy;
}

int ublk_decode_request(const struct ublk_abi_io_desc *descriptor, const struct ublk_limits *limits,
			void *payload, struct bdus_io *io)
{
	const struct ublk_abi_io_desc copy = read_once(descriptor);
	const uint32_t op_flags = ublk_abi_io_desc_op_flags(&copy);
	const uint64_t sector = ublk_abi_io_desc_start_sector(&copy);
	const uint64_t length = (uint64_t)ublk_abi_io_desc_nr_sectors(&copy)
				<< UBLK_ABI_SECTOR_SHIFT;
	uint64_t most_bytes;
	enum bdus_op op;

	if (decode_op(op_flags, limits, &op, &most_bytes) != 0)
		return ublk_zoned_decode(op_flags, sector, ublk_abi_io_desc_nr_sectors(&copy),
					 limits, payload, io);
	if (op == BDUS_OP_FLUSH) {
		bdus_io_prepare(io, op, 0, 0, 0, NULL);
		return 0;
	}
	if (length == 0 || length > most_bytes || sector > UINT64_MAX >> UBLK_ABI_SECTOR_SHIFT ||
	    !base_range_within(sector << UBLK_ABI_SECTOR_SHIFT, length,
			       __atomic_load_n(&limits->size_bytes, __ATOMIC_RELAXED)))
		return -EIO;
	bdus_io_prepare(io, op, decode_flags(op_flags, op), sector << UBLK_ABI_SECTOR_SHIFT, length,
			op == BDUS_OP_READ || op == BDUS_OP_WRITE ? payload : NULL);
	return 0;
}

/*
 * The errors that the block layer hands on to the client as they are. It knows a few more, with
 * meanings of its own (ENOMEM and EBUSY ask it to try again, ENODATA is a medium error), so that
 * everything else becomes EIO here.
 */
static int32_t encode_error(int32_t error)
{
	switch (error) {
	case -ENOSPC:
	case -EOPNOTSUPP:
	case -ETIMEDOUT:
	case -ENOLINK:
	case -EAGAIN:
	case -ETOOMANYREFS:
	case -EOVERFLOW:
		return error;
	default:
		return -EIO;
	}
}

int32_t ublk_encode_result(const struct bdus_io *io)
{
	if (io->result < 0)
		return encode_error(io->result);
	switch (io->request.op) {
	case BDUS_OP_READ:
	case BDUS_OP_WRITE:
	case BDUS_OP_ZONE_APPEND:
		return (int32_t)io->request.length_bytes;
	case BDUS_OP_ZONE_REPORT:
		/* All of its payload, whose length nobody but the kernel knows, and which it lowers
		 * this to. */
		return INT32_MAX;
	default:
		return 0;
	}
}
