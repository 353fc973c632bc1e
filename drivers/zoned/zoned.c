/* SPDX-License-Identifier: MIT */
/*
 * The zoned driver: an emulated zoned disk (SMR, ZNS) in memory or in an image, with any geometry
 * and limits.
 */
#include "base/bits.h"
#include "disk.h"
#include "zoned_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

extern const struct bdus_driver bdus_driver_zoned;

static const struct bdus_option zoned_options[] = {
	{.key = "size",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "size of the disk, a multiple of the zone size; needed in memory and to create",
	 .minimum = 4096,
	 .maximum = UINT64_C(64) << 40},
	{.key = "path",
	 .kind = BDUS_OPTION_STRING,
	 .help = "an image that keeps zones and data; in memory if left out"},
	{.key = "create",
	 .kind = BDUS_OPTION_BOOL,
	 .fallback = "no",
	 .help = "make the image, where there is none"},
	{.key = "zone-size",
	 .kind = BDUS_OPTION_SIZE,
	 .fallback = "256M",
	 .help = "size of each zone, a power of two",
	 .minimum = 4096,
	 .maximum = UINT64_C(1) << 40},
	{.key = "zone-capacity",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "how much of a sequential zone can be written; all of it if left out",
	 .minimum = 512,
	 .maximum = UINT64_C(1) << 40},
	{.key = "conventional",
	 .kind = BDUS_OPTION_NUMBER,
	 .fallback = "0",
	 .help = "how many zones, the first ones, are written anywhere",
	 .maximum = UINT32_MAX},
	{.key = "max-open",
	 .kind = BDUS_OPTION_NUMBER,
	 .fallback = "0",
	 .help = "most zones open at once; 0 for no limit",
	 .maximum = UINT32_MAX},
	{.key = "max-active",
	 .kind = BDUS_OPTION_NUMBER,
	 .fallback = "0",
	 .help = "most zones open or closed at once; 0 for no limit",
	 .maximum = UINT32_MAX},
	{.key = "max-append",
	 .kind = BDUS_OPTION_SIZE,
	 .help = "largest append; that of a write if left out",
	 .minimum = 512,
	 .maximum = UINT64_C(1) << 30},
	{.key = "logical-block-size",
	 .kind = BDUS_OPTION_SIZE,
	 .fallback = "4096",
	 .help = "smallest unit of a request, a power of two",
	 .minimum = 512,
	 .maximum = 65536},
	{.key = "read-only-zones",
	 .kind = BDUS_OPTION_STRING,
	 .help = "broken zones that can only be read: numbers, separated by colons"},
	{.key = "offline-zones",
	 .kind = BDUS_OPTION_STRING,
	 .help = "broken zones that cannot be used at all: numbers, separated by colons"},
	{.key = NULL},
};

/** One of them is set. */
struct zoned {
	struct memory_disk *memory;
	struct disk *disk;
};

static struct bdus_zone_geometry read_geometry(const struct bdus_config *config)
{
	return (struct bdus_zone_geometry){
		.size_bytes = bdus_config_number(config, "size"),
		.zone_size_bytes = bdus_config_number(config, "zone-size"),
		.zone_capacity_bytes = bdus_config_number(config, "zone-capacity"),
		.logical_block_size = (uint32_t)bdus_config_number(config, "logical-block-size"),
		.conventional_zones = (uint32_t)bdus_config_number(config, "conventional"),
		.max_open_zones = (uint32_t)bdus_config_number(config, "max-open"),
		.max_active_zones = (uint32_t)bdus_config_number(config, "max-active"),
		.max_append_bytes = (uint32_t)bdus_config_number(config, "max-append"),
	};
}

static int break_zone(struct bdus_zones *zones, const char *key, const char *number,
		      enum bdus_zone_condition condition)
{
	char *end;
	const unsigned long long index = strtoull(number, &end, 10);

	if (end == number || *end != '\0' || index > UINT32_MAX ||
	    bdus_zones_restore(zones, (uint32_t)index, condition, 0) < 0)
		return bdus_config_error(
			EINVAL,
			"zoned: %s has \"%s\": must be numbers of sequential zones, "
			"below %u, separated by colons",
			key, number, bdus_zones_count(zones));
	return 0;
}

static int break_zones(struct bdus_zones *zones, const struct bdus_config *config, const char *key,
		       enum bdus_zone_condition condition)
{
	const char *const text = bdus_config_string(config, key);
	char *copy, *rest, *word;
	int result = 0;

	if (text == NULL)
		return 0;
	copy = strdup(text);
	if (copy == NULL)
		return bdus_config_error(ENOMEM, "zoned: out of memory");
	rest = copy;
	while (result == 0 && (word = strsep(&rest, ":")) != NULL)
		result = break_zone(zones, key, word, condition);
	free(copy);
	return result;
}

static void describe(const struct bdus_zone_geometry *geometry, struct bdus_device_attrs *attrs)
{
	attrs->size_bytes = geometry->size_bytes;
	attrs->logical_block_size = geometry->logical_block_size;
	attrs->ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) |
		     BDUS_OP_BIT(BDUS_OP_ZONE_REPORT) | BDUS_OP_BIT(BDUS_OP_ZONE_OPEN) |
		     BDUS_OP_BIT(BDUS_OP_ZONE_CLOSE) | BDUS_OP_BIT(BDUS_OP_ZONE_FINISH) |
		     BDUS_OP_BIT(BDUS_OP_ZONE_RESET) | BDUS_OP_BIT(BDUS_OP_ZONE_RESET_ALL) |
		     BDUS_OP_BIT(BDUS_OP_ZONE_APPEND);
	attrs->zone_size_bytes = geometry->zone_size_bytes;
	attrs->zone_capacity_bytes = geometry->zone_capacity_bytes;
	attrs->conventional_zones = geometry->conventional_zones;
	attrs->max_open_zones = geometry->max_open_zones;
	attrs->max_active_zones = geometry->max_active_zones;
	attrs->max_append_bytes = geometry->max_append_bytes;
	attrs->queues = 1;
}

/* ---- in an image --------------------------------------------------------------------------- */

/** A complete geometry that a device can have, or a refusal. */
static int check_geometry(struct bdus_zone_geometry *geometry)
{
	struct bdus_zones *zones;
	int result;

	if (geometry->zone_capacity_bytes == 0)
		geometry->zone_capacity_bytes = geometry->zone_size_bytes;
	result = bdus_zones_create(geometry, &zones);
	if (result < 0)
		return bdus_config_error(-result, "zoned: %s", bdus_manage_error());
	bdus_zones_destroy(zones);
	return 0;
}

static int check_options(const struct bdus_config *config)
{
	static const char *const memory_only[] = {"read-only-zones", "offline-zones"};

	for (unsigned i = 0; i < BASE_ARRAY_LENGTH(memory_only); i++)
		if (bdus_config_given(config, memory_only[i]))
			return bdus_config_error(EINVAL,
						 "zoned: %s= is only for a disk in memory, without "
						 "path=",
						 memory_only[i]);
	if (bdus_config_bool(config, "create") && !bdus_config_given(config, "size"))
		return bdus_config_error(EINVAL, "zoned: create=yes needs size=");
	return 0;
}

static int make_image(struct store *store, const char *path,
		      const struct bdus_zone_geometry *geometry)
{
	uint64_t image_id = 0;

	if (getrandom(&image_id, sizeof(image_id), 0) != sizeof(image_id))
		return bdus_config_error(EIO, "zoned: no random number for the image's id");
	return zimage_format(store, path, geometry, image_id);
}

/** What options say of an image, which must not be otherwise; 0 for anything. */
static struct bdus_zone_geometry read_wanted(const struct bdus_config *config)
{
	const bool zone_size = bdus_config_given(config, "zone-size");

	return (struct bdus_zone_geometry){
		.size_bytes = bdus_config_number(config, "size"),
		.zone_size_bytes = zone_size ? bdus_config_number(config, "zone-size") : 0,
	};
}

static int open_disk(const struct bdus_config *config, const char *path, struct disk **disk)
{
	struct bdus_zone_geometry geometry = read_geometry(config);
	const struct bdus_zone_geometry wanted = read_wanted(config);
	const bool create = bdus_config_bool(config, "create");
	struct store *store;
	bool created;
	int result = check_options(config);

	if (result == 0 && create)
		result = check_geometry(&geometry);
	if (result == 0)
		result = zstore_file_open(path, create ? zimage_bytes(&geometry) : 0, &created,
					  &store);
	if (result < 0)
		return result;
	if (created)
		result = make_image(store, path, &geometry);
	if (result < 0) {
		store->ops->close(store);
		/* What is no image would be in the way of the next attempt. */
		unlink(path);
		return result;
	}
	return zdisk_open(store, path, &wanted, disk);
}

static int open_image(const struct bdus_config *config, const char *path,
		      struct bdus_device_attrs *attrs, struct zoned *zoned)
{
	const int result = open_disk(config, path, &zoned->disk);

	if (result < 0)
		return result;
	describe(zdisk_geometry(zoned->disk), attrs);
	attrs->ops |= BDUS_OP_BIT(BDUS_OP_FLUSH);
	return 0;
}

/* ---- in memory ----------------------------------------------------------------------------- */

static int open_memory(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		       struct zoned *zoned)
{
	const struct bdus_zone_geometry geometry = read_geometry(config);
	struct memory_disk *disk;
	int result;

	if (!bdus_config_given(config, "size"))
		return bdus_config_error(EINVAL, "zoned: a disk in memory needs size=");
	result = memory_disk_create(&geometry, &disk);

	if (result < 0)
		return result;
	result = break_zones(memory_disk_zones(disk), config, "read-only-zones",
			     BDUS_ZONE_READ_ONLY);
	if (result == 0)
		result = break_zones(memory_disk_zones(disk), config, "offline-zones",
				     BDUS_ZONE_OFFLINE);
	if (result < 0) {
		memory_disk_destroy(disk);
		return result;
	}
	describe(&geometry, attrs);
	attrs->flags |= BDUS_DEVICE_ANY_PAYLOAD;
	zoned->memory = disk;
	return 0;
}

static int zoned_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		      void **instance)
{
	const char *const path = bdus_config_string(config, "path");
	struct zoned *const zoned = calloc(1, sizeof(*zoned));
	int result;

	if (zoned == NULL)
		return bdus_config_error(ENOMEM, "zoned: out of memory");
	result = path != NULL ? open_image(config, path, attrs, zoned)
			      : open_memory(config, attrs, zoned);
	if (result < 0) {
		free(zoned);
		return result;
	}
	*instance = zoned;
	return 0;
}

static int zoned_close(void *instance)
{
	struct zoned *const zoned = instance;
	int result = 0;

	if (zoned->disk != NULL)
		result = zdisk_close(zoned->disk);
	else
		memory_disk_destroy(zoned->memory);
	free(zoned);
	return result;
}

static void zoned_submit(void *instance, struct bdus_request *request)
{
	const struct zoned *const zoned = instance;

	if (zoned->disk != NULL)
		zdisk_submit(zoned->disk, request);
	else
		memory_disk_submit(zoned->memory, request);
}

const struct bdus_driver bdus_driver_zoned = {
	.abi = BDUS_DRIVER_ABI,
	.size = sizeof(struct bdus_driver),
	.name = "zoned",
	.summary = "an emulated zoned disk",
	.options = zoned_options,
	.open = zoned_open,
	.close = zoned_close,
	.submit = zoned_submit,
};
