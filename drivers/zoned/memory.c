/* SPDX-License-Identifier: MIT */
/*
 * A zoned disk in memory. Every request is completed within `submit`. Memory follows what is
 * written; that of a zone that was reset is the system's to take back when it runs short, and is
 * used again until then. What was not written is never looked at, so that it need not be cleared.
 *
 * Owner: the thread of the device's only queue.
 */
#include "base/bits.h"
#include "zoned_internal.h"

#include <bdus/async.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FEWEST_BYTES_FOR_LARGE_PAGES (UINT64_C(8) << 20)

struct memory_disk {
	struct bdus_zones *zones;
	uint64_t size_bytes;
	uint64_t zone_bytes;
	uint32_t conventional_zones;
	char *memory;
};

int memory_disk_create(const struct bdus_zone_geometry *geometry, struct memory_disk **result_disk)
{
	struct memory_disk *const disk = calloc(1, sizeof(*disk));
	int result;

	if (disk == NULL)
		return bdus_config_error(ENOMEM, "zoned: out of memory");
	result = bdus_zones_create(geometry, &disk->zones);
	if (result < 0) {
		free(disk);
		return bdus_config_error(-result, "zoned: %s", bdus_manage_error());
	}
	disk->size_bytes = geometry->size_bytes;
	disk->zone_bytes = geometry->zone_size_bytes;
	disk->conventional_zones = geometry->conventional_zones;
	disk->memory = mmap(NULL, geometry->size_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (disk->memory == MAP_FAILED) {
		result = errno;
		bdus_zones_destroy(disk->zones);
		free(disk);
		return bdus_config_error(result,
					 "zoned: no address space for size=%llu bytes; it may be "
					 "limited by \"ulimit -v\"",
					 (unsigned long long)geometry->size_bytes);
	}
	/* Zones fill from their start, so that large pages waste little in those that hold many. */
	if (disk->zone_bytes >= FEWEST_BYTES_FOR_LARGE_PAGES)
		madvise(disk->memory, disk->size_bytes, MADV_HUGEPAGE);
	*result_disk = disk;
	return 0;
}

void memory_disk_destroy(struct memory_disk *disk)
{
	munmap(disk->memory, disk->size_bytes);
	bdus_zones_destroy(disk->zones);
	free(disk);
}

struct bdus_zones *memory_disk_zones(struct memory_disk *disk)
{
	return disk->zones;
}

/** Zeros are put into the payload from here. */
static const char zeros[65536];

static int put_zeros(struct bdus_request *request, uint64_t skip, uint64_t length)
{
	int result = 0;

	for (uint64_t done = 0; done < length && result == 0; done += sizeof(zeros))
		result = bdus_payload_put(request, skip + done, zeros,
					  base_min(length - done, sizeof(zeros)));
	return result;
}

static int read_disk(const struct memory_disk *disk, struct bdus_request *request)
{
	uint64_t part;

	for (uint64_t done = 0; done < request->length_bytes; done += part) {
		const uint64_t offset = request->offset_bytes + done;
		int result = bdus_zones_read_part(disk->zones, offset, request->length_bytes - done,
						  &part);

		if (result > 0)
			result = bdus_payload_put(request, done, disk->memory + offset, part);
		else if (result == 0)
			result = put_zeros(request, done, part);
		if (result < 0)
			return result;
	}
	return 0;
}

static int write_disk(struct memory_disk *disk, struct bdus_request *request)
{
	const bool append = request->op == BDUS_OP_ZONE_APPEND;
	int result = bdus_zones_handle(disk->zones, request);
	uint64_t at;

	if (result < 0)
		return result;
	at = append ? request->append_offset_bytes : request->offset_bytes;
	result = bdus_payload_get(request, 0, disk->memory + at, request->length_bytes);
	if (result < 0)
		bdus_zones_undo_write(disk->zones, at, request->length_bytes);
	return result;
}

/** What was in the zones is not needed any more; a failure is none. */
static void release(struct memory_disk *disk, uint64_t offset, uint64_t length)
{
	madvise(disk->memory + offset, length, MADV_FREE);
}

static int reset(struct memory_disk *disk, struct bdus_request *request)
{
	const uint64_t index = request->offset_bytes / disk->zone_bytes;
	const bool used = bdus_zones_written_bytes(disk->zones, (uint32_t)index) != 0;
	const int result = bdus_zones_handle(disk->zones, request);

	if (result == 0 && used)
		release(disk, request->offset_bytes, disk->zone_bytes);
	return result;
}

/** Broken zones keep what they have. */
static int reset_all(struct memory_disk *disk)
{
	const uint32_t count = bdus_zones_count(disk->zones);

	for (uint32_t index = disk->conventional_zones; index < count; index++) {
		const uint64_t start = index * disk->zone_bytes;

		if (bdus_zones_written_bytes(disk->zones, index) != 0 &&
		    bdus_zones_reset(disk->zones, start) == 0)
			release(disk, start, disk->zone_bytes);
	}
	bdus_zones_reset_all(disk->zones);
	return 0;
}

static int serve(struct memory_disk *disk, struct bdus_request *request)
{
	switch (request->op) {
	case BDUS_OP_READ:
		return read_disk(disk, request);
	case BDUS_OP_WRITE:
	case BDUS_OP_ZONE_APPEND:
		return write_disk(disk, request);
	case BDUS_OP_ZONE_RESET:
		return reset(disk, request);
	case BDUS_OP_ZONE_RESET_ALL:
		return reset_all(disk);
	case BDUS_OP_ZONE_REPORT:
	case BDUS_OP_ZONE_OPEN:
	case BDUS_OP_ZONE_CLOSE:
	case BDUS_OP_ZONE_FINISH:
		return bdus_zones_handle(disk->zones, request);
	default:
		return -EOPNOTSUPP;
	}
}

void memory_disk_submit(struct memory_disk *disk, struct bdus_request *request)
{
	bdus_complete(request, serve(disk, request));
}
