/* SPDX-License-Identifier: MIT */
/*
 * Says in the protocol's words what a device can do.
 */
#include "export.h"

#include "base/bits.h"
#include "nbd.h"

#include <bdus/driver.h>

static uint16_t writing_flags(const struct bdus_device_attrs *attrs, uint32_t native_ops)
{
	/*
	 * FUA can be honoured always: by the driver, by a flush after the write, or because a
	 * device without a flush has no cache to lose.
	 */
	unsigned flags = NBD_FLAG_SEND_FUA;

	if (attrs->ops & BDUS_OP_BIT(BDUS_OP_DISCARD))
		flags |= NBD_FLAG_SEND_TRIM;
	if (attrs->ops & BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS)) {
		flags |= NBD_FLAG_SEND_WRITE_ZEROES;
		/* Zeros that the engine writes as data are never fast. */
		if (native_ops & BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS))
			flags |= NBD_FLAG_SEND_FAST_ZERO;
	}
	return (uint16_t)flags;
}

static uint16_t transmission_flags(const struct bdus_device_attrs *attrs, uint32_t native_ops)
{
	/* One driver serves all connections, so that each sees what the others wrote. */
	unsigned flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_CAN_MULTI_CONN;

	if (attrs->flags & BDUS_DEVICE_READ_ONLY)
		flags |= NBD_FLAG_READ_ONLY;
	else
		flags |= writing_flags(attrs, native_ops);
	if (attrs->flags & BDUS_DEVICE_ROTATIONAL)
		flags |= NBD_FLAG_ROTATIONAL;
	if (attrs->ops & BDUS_OP_BIT(BDUS_OP_FLUSH))
		flags |= NBD_FLAG_SEND_FLUSH;
	if (attrs->ops & BDUS_OP_BIT(BDUS_OP_CACHE))
		flags |= NBD_FLAG_SEND_CACHE;
	return (uint16_t)flags;
}

static uint32_t preferred_block(const struct bdus_device_attrs *attrs)
{
	uint64_t preferred = base_max(4096, attrs->physical_block_size);

	if (base_is_power_of_two(attrs->optimal_io_bytes))
		preferred = base_max(preferred, attrs->optimal_io_bytes);
	return (uint32_t)base_min(preferred, NBD_DEFAULT_PAYLOAD_BYTES);
}

void nbd_export_init(struct nbd_export *export, const struct bdus_device_attrs *attrs,
		     uint32_t native_ops)
{
	export->size_bytes = attrs->size_bytes;
	export->flags = transmission_flags(attrs, native_ops);
	export->has_extents = (attrs->ops & BDUS_OP_BIT(BDUS_OP_EXTENTS)) != 0;
	export->minimum_block_bytes = attrs->logical_block_size;
	export->preferred_block_bytes = preferred_block(attrs);
	export->maximum_payload_bytes = NBD_DEFAULT_PAYLOAD_BYTES;
}
