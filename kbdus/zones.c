// SPDX-License-Identifier: GPL-2.0
/*
 * Zoned devices: what makes a device one, reports of its zones, and where appends went. What the
 * server says of either is checked as far as it could lead the block layer astray; whether it is
 * true is between the server and its clients.
 */
#include "kbdus_internal.h"

#include "compat/compat.h"

#include <linux/blkzoned.h>
#include <linux/log2.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#define LARGEST_ZONE_BYTES (1ULL << 40)

/* What one request asks for at most. */
#define REPORT_BYTES SZ_64K

#define CHANGE_OPS                                                                        \
	(KBDUS_ABI_OPS_ZONE_OPEN | KBDUS_ABI_OPS_ZONE_CLOSE | KBDUS_ABI_OPS_ZONE_FINISH | \
	 KBDUS_ABI_OPS_ZONE_RESET | KBDUS_ABI_OPS_ZONE_RESET_ALL)

/* ---- what makes a device zoned --------------------------------------------------------------- */

static bool has_sound_ops(const struct kbdus_abi_device *created,
			  const struct kbdus_abi_zoned *zoned)
{
	const u32 ops = kbdus_abi_zoned_ops(zoned);
	const bool read_only = kbdus_abi_device_attrs(created) & KBDUS_ABI_ATTR_READ_ONLY;
	const u32 needed = KBDUS_ABI_OPS_ZONE_REPORT | (read_only ? 0 : CHANGE_OPS);

	return (ops & needed) == needed && !(ops & ~(needed | KBDUS_ABI_OPS_ZONE_APPEND)) &&
	       !(kbdus_abi_device_ops(created) &
		 (KBDUS_ABI_OPS_DISCARD | KBDUS_ABI_OPS_SECURE_ERASE));
}

static bool has_sound_limits(const struct kbdus_abi_device *created,
			     const struct kbdus_abi_zoned *zoned)
{
	const u32 append = kbdus_abi_zoned_max_append_bytes(zoned);
	const u32 open = kbdus_abi_zoned_max_open_zones(zoned);
	const u32 active = kbdus_abi_zoned_max_active_zones(zoned);
	const bool appends = kbdus_abi_zoned_ops(zoned) & KBDUS_ABI_OPS_ZONE_APPEND;

	return (append != 0) == appends &&
	       append % kbdus_abi_device_logical_block_size(created) == 0 &&
	       append <= kbdus_abi_device_max_transfer_bytes(created) &&
	       append <= kbdus_abi_zoned_zone_bytes(zoned) && (active == 0 || open <= active);
}

static bool is_sound(const struct kbdus_abi_device *created, const struct kbdus_abi_zoned *zoned)
{
	const u64 zone = kbdus_abi_zoned_zone_bytes(zoned);
	const u64 size = kbdus_abi_device_size_bytes(created);

	return is_power_of_2(zone) && zone >= PAGE_SIZE && zone <= LARGEST_ZONE_BYTES &&
	       (size & (zone - 1)) == 0 && size >> ilog2(zone) <= INT_MAX &&
	       has_sound_ops(created, zoned) && has_sound_limits(created, zoned);
}

int kbdus_zones_describe(struct kbdus_device *device, const struct kbdus_file *file,
			 const struct kbdus_abi_zoned *zoned)
{
	struct kbdus_abi_device *created = &device->created;
	int error = 0;

	if (!KBDUS_HAS_ZONES)
		return -EOPNOTSUPP;
	mutex_lock(&device->lock);
	if (device->owner != file || device->state != KBDUS_ABI_STATE_CREATED ||
	    kbdus_device_is_zoned(device)) {
		error = -EBUSY;
	} else if (!is_sound(created, zoned)) {
		error = -EINVAL;
	} else {
		device->zoned = *zoned;
		kbdus_abi_device_set_ops(created, kbdus_abi_device_ops(created) |
							  kbdus_abi_zoned_ops(zoned));
	}
	mutex_unlock(&device->lock);
	return error;
}

int kbdus_zones_add(struct kbdus_device *device)
{
	return kbdus_device_is_zoned(device) ? kbdus_zones_revalidate(device->disk) : 0;
}

/* ---- reports --------------------------------------------------------------------------------- */

static bool has_pointer(const struct kbdus_abi_zone *zone)
{
	switch (kbdus_abi_zone_condition(zone)) {
	case BLK_ZONE_COND_EMPTY:
	case BLK_ZONE_COND_IMP_OPEN:
	case BLK_ZONE_COND_EXP_OPEN:
	case BLK_ZONE_COND_CLOSED:
		return true;
	default:
		return false;
	}
}

static bool is_condition(const struct kbdus_abi_zone *zone)
{
	const u8 condition = kbdus_abi_zone_condition(zone);

	if (kbdus_abi_zone_type(zone) == BLK_ZONE_TYPE_CONVENTIONAL)
		return condition == BLK_ZONE_COND_NOT_WP || condition == BLK_ZONE_COND_READONLY ||
		       condition == BLK_ZONE_COND_OFFLINE;
	return kbdus_abi_zone_type(zone) == BLK_ZONE_TYPE_SEQWRITE_REQ &&
	       (has_pointer(zone) || condition == BLK_ZONE_COND_FULL ||
		condition == BLK_ZONE_COND_READONLY || condition == BLK_ZONE_COND_OFFLINE);
}

/* Whether there can be such a zone at @start. */
static bool is_possible(const struct kbdus_device *device, const struct kbdus_abi_zone *zone,
			u64 start)
{
	const u64 length = kbdus_abi_zoned_zone_bytes(&device->zoned);
	const u64 block = kbdus_abi_device_logical_block_size(&device->created);
	const u64 capacity = kbdus_abi_zone_capacity_bytes(zone);
	const u64 pointer = kbdus_abi_zone_write_pointer_bytes(zone);

	return kbdus_abi_zone_start_bytes(zone) == start &&
	       kbdus_abi_zone_length_bytes(zone) == length && capacity != 0 && capacity <= length &&
	       (capacity & (block - 1)) == 0 && is_condition(zone) &&
	       (!has_pointer(zone) ||
		(pointer >= start && pointer - start <= capacity && (pointer & (block - 1)) == 0));
}

static struct blk_zone translate(const struct kbdus_abi_zone *zone)
{
	const u64 end = kbdus_abi_zone_start_bytes(zone) + kbdus_abi_zone_length_bytes(zone);

	return (struct blk_zone){
		.start = kbdus_abi_zone_start_bytes(zone) >> SECTOR_SHIFT,
		.len = kbdus_abi_zone_length_bytes(zone) >> SECTOR_SHIFT,
		/* As the kernel's own drivers say of the other conditions. */
		.wp = (has_pointer(zone) ? kbdus_abi_zone_write_pointer_bytes(zone) : end) >>
		      SECTOR_SHIFT,
		.type = kbdus_abi_zone_type(zone),
		.cond = kbdus_abi_zone_condition(zone),
		.capacity = kbdus_abi_zone_capacity_bytes(zone) >> SECTOR_SHIFT,
	};
}

/* Asks the server for up to @count zones from @start on: 0, or a negative errno. */
static int ask(struct kbdus_device *device, u64 start, struct kbdus_abi_zone *zones,
	       unsigned int count)
{
	struct kbdus_ioctl report = {
		.place = start,
		.bytes = count * sizeof(*zones),
		.data = zones,
		.is_repeatable = true,
	};

	memset(zones, 0, report.bytes);
	return kbdus_ioctl_carry(device->disk->queue, REQ_OP_DRV_IN, &report);
}

static unsigned int most_at_once(const struct kbdus_device *device, unsigned int count)
{
	const u32 bytes =
		min_t(u32, REPORT_BYTES, kbdus_abi_device_max_transfer_bytes(&device->created));

	return min_t(unsigned int, count, bytes / sizeof(struct kbdus_abi_zone));
}

/* How many zones there are from @start on, but at most @count. */
static unsigned int zones_from(const struct kbdus_device *device, u64 start, unsigned int count)
{
	const u64 size = kbdus_abi_device_size_bytes(&device->created);
	const u64 zone = kbdus_abi_zoned_zone_bytes(&device->zoned);

	return start < size ? min_t(u64, count, (size - start) >> ilog2(zone)) : 0;
}

int kbdus_zones_report(struct gendisk *disk, sector_t sector, unsigned int count,
		       KBDUS_REPORT_PARAMETERS)
{
	struct kbdus_device *device = disk->private_data;
	const u64 length = kbdus_abi_zoned_zone_bytes(&device->zoned);
	u64 start = ((u64)sector << SECTOR_SHIFT) & ~(length - 1);
	unsigned int done = 0, most, part, i;
	struct kbdus_abi_zone *zones;
	int error = 0;

	count = zones_from(device, start, count);
	most = most_at_once(device, count);
	zones = kvmalloc_array(most, sizeof(*zones), GFP_NOIO);
	if (!zones)
		return -ENOMEM;
	while (!error && done < count) {
		part = min(most, count - done);
		error = ask(device, start, zones, part);
		for (i = 0; !error && i < part; i++, done++, start += length) {
			struct blk_zone zone;

			if (!kbdus_abi_zone_length_bytes(&zones[i]))
				break;
			zone = translate(&zones[i]);
			error = is_possible(device, &zones[i], start)
					? KBDUS_REPORT_ZONE(disk, &zone, done)
					: -EIO;
		}
		if (i == 0)
			break;
	}
	kvfree(zones);
	return error ? error : done;
}

/* ---- appends --------------------------------------------------------------------------------- */

bool kbdus_zones_land(const struct kbdus_device *device, struct request *request, u64 offset)
{
	const u64 start = (u64)blk_rq_pos(request) << SECTOR_SHIFT;
	const u64 length = kbdus_abi_zoned_zone_bytes(&device->zoned);
	const u64 block = kbdus_abi_device_logical_block_size(&device->created);

	if (offset < start || (offset & (block - 1)) ||
	    offset - start > length - min_t(u64, length, blk_rq_bytes(request)))
		return false;
	request->__sector = offset >> SECTOR_SHIFT;
	return true;
}
