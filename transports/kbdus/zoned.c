/* SPDX-License-Identifier: MIT */
/*
 * Zoned devices: what the module is told of them, its requests on zones, and reports. Pure
 * functions. A zone looks the same on both sides, so that a driver fills in what the module reads.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "kbdus_internal.h"

#include <bdus/driver.h>
#include <bdus/zoned.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

_Static_assert((int)BDUS_OP_ZONE_REPORT == (int)KBDUS_ABI_OP_ZONE_REPORT, "zone report");
_Static_assert((int)BDUS_OP_ZONE_OPEN == (int)KBDUS_ABI_OP_ZONE_OPEN, "zone open");
_Static_assert((int)BDUS_OP_ZONE_CLOSE == (int)KBDUS_ABI_OP_ZONE_CLOSE, "zone close");
_Static_assert((int)BDUS_OP_ZONE_FINISH == (int)KBDUS_ABI_OP_ZONE_FINISH, "zone finish");
_Static_assert((int)BDUS_OP_ZONE_RESET == (int)KBDUS_ABI_OP_ZONE_RESET, "zone reset");
_Static_assert((int)BDUS_OP_ZONE_RESET_ALL == (int)KBDUS_ABI_OP_ZONE_RESET_ALL, "zone reset all");
_Static_assert((int)BDUS_OP_ZONE_APPEND == (int)KBDUS_ABI_OP_ZONE_APPEND, "zone append");
_Static_assert(sizeof(struct bdus_zone) == sizeof(struct kbdus_abi_zone), "zones");
_Static_assert(offsetof(struct bdus_zone, capacity_bytes) ==
		       offsetof(struct kbdus_abi_zone, capacity_bytes),
	       "zones");
_Static_assert(offsetof(struct bdus_zone, write_pointer_bytes) ==
		       offsetof(struct kbdus_abi_zone, write_pointer_bytes),
	       "zones");
_Static_assert(offsetof(struct bdus_zone, type) == offsetof(struct kbdus_abi_zone, type), "zones");
_Static_assert(offsetof(struct bdus_zone, condition) == offsetof(struct kbdus_abi_zone, condition),
	       "zones");

void kbdus_fill_zoned(const struct bdus_device_attrs *attrs, struct kbdus_abi_zoned *zoned)
{
	uint32_t ops = attrs->ops & KBDUS_ZONE_OPS;

	if (attrs->flags & BDUS_DEVICE_READ_ONLY)
		ops &= BDUS_OP_BIT(BDUS_OP_ZONE_REPORT);
	memset(zoned, 0, sizeof(*zoned));
	kbdus_abi_zoned_set_zone_bytes(zoned, attrs->zone_size_bytes);
	kbdus_abi_zoned_set_max_open_zones(zoned, attrs->max_open_zones);
	kbdus_abi_zoned_set_max_active_zones(zoned, attrs->max_active_zones);
	if (ops & BDUS_OP_BIT(BDUS_OP_ZONE_APPEND))
		kbdus_abi_zoned_set_max_append_bytes(zoned, attrs->max_append_bytes);
	kbdus_abi_zoned_set_ops(zoned, ops);
}

/* ---- requests ------------------------------------------------------------------------------- */

static int decode_append(uint64_t offset, uint64_t length, const struct kbdus_limits *limits,
			 unsigned flags, struct bdus_io *io)
{
	if (length == 0 || length > limits->max_append_bytes)
		return -EIO;
	bdus_io_prepare(io, BDUS_OP_ZONE_APPEND, flags, offset, length, NULL);
	return 0;
}

static int decode_report(uint64_t offset, uint64_t length, const struct kbdus_limits *limits,
			 unsigned flags, struct bdus_io *io)
{
	const uint64_t left = (limits->size_bytes - offset) / limits->zone_size_bytes;
	const uint64_t wanted = length / sizeof(struct kbdus_abi_zone);

	if (wanted == 0 || length % sizeof(struct kbdus_abi_zone) != 0 || wanted > left ||
	    length > limits->max_transfer_bytes)
		return -EIO;
	bdus_io_prepare(io, BDUS_OP_ZONE_REPORT, flags, offset, wanted * limits->zone_size_bytes,
			NULL);
	io->request.zone_capacity = (uint32_t)wanted;
	return 0;
}

int kbdus_decode_zoned(const struct kbdus_abi_request *request, const struct kbdus_limits *limits,
		       unsigned flags, struct bdus_io *io)
{
	const enum bdus_op op = (enum bdus_op)kbdus_abi_request_op(request);
	const uint64_t offset = kbdus_abi_request_offset_bytes(request);
	const uint64_t length = kbdus_abi_request_length_bytes(request);

	if (op == BDUS_OP_ZONE_RESET_ALL) {
		bdus_io_prepare(io, op, flags, 0, limits->size_bytes, NULL);
		return 0;
	}
	if (limits->zone_size_bytes == 0 || offset % limits->zone_size_bytes != 0 ||
	    !base_range_within(offset, limits->zone_size_bytes, limits->size_bytes))
		return -EIO;
	if (op == BDUS_OP_ZONE_APPEND)
		return decode_append(offset, length, limits, flags, io);
	if (op == BDUS_OP_ZONE_REPORT)
		return decode_report(offset, length, limits, flags, io);
	bdus_io_prepare(io, op, flags, offset, limits->zone_size_bytes, NULL);
	return 0;
}

/* ---- reports -------------------------------------------------------------------------------- */

uint64_t kbdus_report_bytes(const struct bdus_request *request)
{
	return request->zone_capacity * sizeof(struct kbdus_abi_zone);
}

void kbdus_begin_report(struct bdus_request *request, void *payload)
{
	request->data = NULL;
	request->zones = payload;
	request->zone_count = 0;
}

void kbdus_end_report(struct bdus_request *request)
{
	const uint64_t told = base_min(request->zone_count, request->zone_capacity);

	memset(request->zones + told, 0,
	       (request->zone_capacity - told) * sizeof(struct bdus_zone));
}
