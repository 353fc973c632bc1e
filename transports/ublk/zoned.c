/* SPDX-License-Identifier: MIT */
/*
 * Zoned devices: what the kernel is told of them, its requests on zones, and reports. What an
 * append has to say goes back in the place of the payload's address, which is why the kernel wants
 * payloads of such devices to be copied, or mapped, by us.
 */
#include "base/bits.h"
#include "base/error.h"
#include "ublk_internal.h"

#include <bdus/zoned.h>
#include <errno.h>
#include <stdlib.h>

int ublk_zoned_check(const struct bdus_device_attrs *attrs, uint64_t features, bool unprivileged)
{
	const uint32_t append = BDUS_OP_BIT(BDUS_OP_ZONE_APPEND);

	if (!(features & UBLK_ABI_F_ZONED))
		return base_error(EOPNOTSUPP, "ublk of this kernel cannot carry the driver's zones "
					      "(since Linux 6.6)");
	if (unprivileged)
		return base_error(EOPNOTSUPP, "ublk can carry zones only for root: payloads of "
					      "zoned devices have to be copied by the driver's "
					      "process, which the kernel allows to no other user");
	if (!(attrs->flags & BDUS_DEVICE_READ_ONLY) && !(attrs->ops & append))
		return base_error(EOPNOTSUPP, "ublk cannot carry a zoned device without the "
					      "operation zone append, which the driver lacks");
	return 0;
}

static uint32_t to_sectors(uint64_t bytes)
{
	return (uint32_t)(bytes >> UBLK_ABI_SECTOR_SHIFT);
}

void ublk_zoned_fill_params(const struct bdus_device_attrs *attrs, struct ublk_abi_params *params)
{
	ublk_abi_params_set_types(params, ublk_abi_params_types(params) | UBLK_ABI_PARAM_ZONED);
	ublk_abi_params_set_chunk_sectors(params, to_sectors(attrs->zone_size_bytes));
	ublk_abi_params_set_max_open_zones(params, attrs->max_open_zones);
	ublk_abi_params_set_max_active_zones(params, attrs->max_active_zones);
	ublk_abi_params_set_max_zone_append_sectors(params, to_sectors(attrs->max_append_bytes));
}

static int decode_op(uint32_t op_flags, enum bdus_op *op)
{
	switch (op_flags & UBLK_ABI_OP_MASK) {
	case UBLK_ABI_OP_ZONE_OPEN:
		*op = BDUS_OP_ZONE_OPEN;
		return 0;
	case UBLK_ABI_OP_ZONE_CLOSE:
		*op = BDUS_OP_ZONE_CLOSE;
		return 0;
	case UBLK_ABI_OP_ZONE_FINISH:
		*op = BDUS_OP_ZONE_FINISH;
		return 0;
	case UBLK_ABI_OP_ZONE_RESET:
		*op = BDUS_OP_ZONE_RESET;
		return 0;
	case UBLK_ABI_OP_ZONE_RESET_ALL:
		*op = BDUS_OP_ZONE_RESET_ALL;
		return 0;
	case UBLK_ABI_OP_ZONE_APPEND:
		*op = BDUS_OP_ZONE_APPEND;
		return 0;
	case UBLK_ABI_OP_REPORT_ZONES:
		*op = BDUS_OP_ZONE_REPORT;
		return 0;
	default:
		return -EIO;
	}
}

/* The length of the range, which the descriptor of most operations on zones does not have. */
static uint64_t length_of(enum bdus_op op, uint64_t offset, uint32_t count,
			  const struct ublk_limits *limits)
{
	switch (op) {
	case BDUS_OP_ZONE_APPEND:
		return (uint64_t)count << UBLK_ABI_SECTOR_SHIFT;
	case BDUS_OP_ZONE_REPORT:
		return base_min(count * limits->zone_size_bytes, limits->size_bytes - offset);
	case BDUS_OP_ZONE_RESET_ALL:
		return limits->size_bytes;
	default:
		return limits->zone_size_bytes;
	}
}

int ublk_zoned_decode(uint32_t op_flags, uint64_t sector, uint32_t count,
		      const struct ublk_limits *limits, void *payload, struct bdus_io *io)
{
	const bool fua = (op_flags & UBLK_ABI_REQUEST_FUA) != 0;
	uint64_t offset, length;
	enum bdus_op op;

	if (limits->zone_size_bytes == 0 || decode_op(op_flags, &op) != 0 ||
	    !(limits->ops & BDUS_OP_BIT(op)) ||
	    sector > limits->size_bytes >> UBLK_ABI_SECTOR_SHIFT)
		return -EIO;
	offset = op == BDUS_OP_ZONE_RESET_ALL ? 0 : sector << UBLK_ABI_SECTOR_SHIFT;
	length = length_of(op, offset, count, limits);
	if (length == 0 || (op == BDUS_OP_ZONE_APPEND && length > limits->max_append_bytes) ||
	    !base_range_within(offset, length, limits->size_bytes))
		return -EIO;
	bdus_io_prepare(io, op, op == BDUS_OP_ZONE_APPEND && fua ? BDUS_REQUEST_FUA : 0, offset,
			length, op == BDUS_OP_ZONE_APPEND ? payload : NULL);
	io->request.zone_capacity = (uint32_t)(length / limits->zone_size_bytes);
	return 0;
}

/* ---- reports ------------------------------------------------------------------------------- */

int ublk_zoned_make_room(struct bdus_request *request)
{
	request->zone_count = 0;
	request->zones = calloc(request->zone_capacity, sizeof(*request->zones));
	return request->zones ? 0 : -ENOMEM;
}

void ublk_zoned_free_room(struct bdus_request *request)
{
	free(request->zones);
	request->zones = NULL;
}

/* Of a full zone, the kernel's own drivers say that its write pointer is at the end of the zone. */
static void encode(const struct bdus_zone *zone, struct ublk_abi_zone *encoded)
{
	const uint64_t pointer = zone->condition == BDUS_ZONE_FULL
					 ? zone->start_bytes + zone->length_bytes
					 : zone->write_pointer_bytes;

	*encoded = (struct ublk_abi_zone){0};
	ublk_abi_zone_set_start(encoded, zone->start_bytes >> UBLK_ABI_SECTOR_SHIFT);
	ublk_abi_zone_set_len(encoded, zone->length_bytes >> UBLK_ABI_SECTOR_SHIFT);
	ublk_abi_zone_set_wp(encoded, pointer >> UBLK_ABI_SECTOR_SHIFT);
	ublk_abi_zone_set_type(encoded, zone->type);
	ublk_abi_zone_set_cond(encoded, zone->condition);
	ublk_abi_zone_set_capacity(encoded, zone->capacity_bytes >> UBLK_ABI_SECTOR_SHIFT);
}

void ublk_zoned_encode(const struct bdus_zone *zones, unsigned count, struct ublk_abi_zone *encoded)
{
	for (unsigned i = 0; i < count; i++)
		encode(&zones[i], &encoded[i]);
}
