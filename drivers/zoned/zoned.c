/* SPDX-License-Identifier: MIT */
/*
 * The zoned driver: an emulated zoned disk (SMR, ZNS) in memory, with any geometry and limits.
 */
#include "zoned_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern const struct bdus_driver bdus_driver_zoned;

static const struct bdus_option zoned_options[] = {
	{.key = "size",
	 .kind = BDUS_OPTION_SIZE,
	 .required = true,
	 .help = "size of the disk, a multiple of the zone size",
	 .minimum = 4096,
	 .maximum = UINT64_C(64) << 40},
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

static int zoned_open(const struct bdus_config *config, struct bdus_device_attrs *attrs,
		      void **instance)
{
	const struct bdus_zone_geometry geometry = read_geometry(config);
	struct memory_disk *disk;
	int result = memory_disk_create(&geometry, &disk);

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
	*instance = disk;
	return 0;
}

static int zoned_close(void *instance)
{
	memory_disk_destroy(instance);
	return 0;
}

static void zoned_submit(void *instance, struct bdus_request *request)
{
	memory_disk_submit(instance, request);
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
