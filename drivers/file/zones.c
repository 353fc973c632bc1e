/* SPDX-License-Identifier: MIT */
/*
 * A zoned block device: its zones are passed through as they are.
 *
 * What changes a sequential zone takes turns there, first come, first served, since the kernel may
 * begin calls that are in flight together in another order, and a zone is written in one only:
 *
 *	write    TURN ─▶ WRITING ─▶ end
 *	append   TURN ─▶ where is the write pointer? ─┬─ known ───────────────┬─▶ WRITING ─▶ end
 *	                                              └─ not known ─▶ ASKING ─┘
 *	others   TURN ─▶ CHANGING ─▶ end
 *	report   REPORTING ─▶ end
 *
 * Where the write pointer is, is known from what was done last; after an error it is asked for.
 *
 * Owner: the thread of the only queue.
 */
#include "base/bits.h"
#include "file_internal.h"
#include "operation.h"

#include <bdus/driver.h>
#include <bdus/zoned.h>
#include <errno.h>
#include <linux/blkzoned.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define SECTOR       UINT64_C(512)
#define REPORT_ZONES 1024
#define NOT_KNOWN    UINT64_MAX

/* Those that want to change a zone; the first one does. */
struct turn {
	struct operation *first;
	struct operation *last;
	uint64_t write_pointer_bytes;
};

struct zones {
	uint64_t zone_bytes;
	uint64_t capacity_bytes;
	uint32_t count;
	uint32_t conventional;
	struct turn turns[];
};

struct report {
	struct blk_zone_report head;
	struct blk_zone zones[];
};

static struct report *make_report(uint64_t offset_bytes, uint32_t count)
{
	struct report *const report = calloc(1, sizeof(*report) + count * sizeof(struct blk_zone));

	if (report == NULL)
		return NULL;
	report->head.sector = offset_bytes / SECTOR;
	report->head.nr_zones = count;
	return report;
}

static uint64_t capacity_of(const struct report *report, const struct blk_zone *zone)
{
	return SECTOR * (report->head.flags & BLK_ZONE_REP_CAPACITY ? zone->capacity : zone->len);
}

/* From the start of the device; NOT_KNOWN where a zone has none that can be written at. */
static uint64_t write_pointer_of(const struct blk_zone *zone)
{
	const bool writable =
		zone->cond == BLK_ZONE_COND_EMPTY || zone->cond == BLK_ZONE_COND_IMP_OPEN ||
		zone->cond == BLK_ZONE_COND_EXP_OPEN || zone->cond == BLK_ZONE_COND_CLOSED;

	return writable ? zone->wp * SECTOR : NOT_KNOWN;
}

/* ---- opening ------------------------------------------------------------------------------- */

static int refuse(const char *path, const char *what)
{
	return bdus_config_error(EOPNOTSUPP, "file: path=%s is a zoned block device %s", path,
				 what);
}

/* Takes over the description of zone @index, if it fits what was found so far. */
static int note_zone(struct zones *zones, uint32_t index, const struct report *report,
		     const struct blk_zone *zone, const char *path)
{
	const uint64_t capacity = capacity_of(report, zone);

	if (zone->start * SECTOR != index * zones->zone_bytes ||
	    zone->len * SECTOR != zones->zone_bytes)
		return refuse(path, "whose zones are not all of one size");
	if (zone->type == BLK_ZONE_TYPE_CONVENTIONAL) {
		if (zones->conventional != index)
			return refuse(path, "with conventional zones behind sequential ones");
		zones->conventional++;
		return 0;
	}
	if (zone->type != BLK_ZONE_TYPE_SEQWRITE_REQ)
		return refuse(path, "whose sequential zones are written anywhere, too; "
				    "read-only=yes reads it");
	if (zones->capacity_bytes == 0)
		zones->capacity_bytes = capacity;
	if (capacity != zones->capacity_bytes)
		return refuse(path, "whose zones are not all of one capacity");
	zones->turns[index].write_pointer_bytes = write_pointer_of(zone);
	return 0;
}

static int look_at_some(struct zones *zones, int fd, const char *path, uint32_t *done)
{
	struct report *const report = make_report(*done * zones->zone_bytes, REPORT_ZONES);
	int result = 0;

	if (report == NULL)
		return bdus_config_error(ENOMEM, "file: out of memory");
	if (ioctl(fd, BLKREPORTZONE, report) < 0 || report->head.nr_zones == 0)
		result = bdus_config_error(errno != 0 ? errno : EIO,
					   "file: zones of path=%s cannot be reported: %s", path,
					   strerror(errno));
	for (uint32_t i = 0; result == 0 && i < report->head.nr_zones && *done < zones->count; i++)
		result = note_zone(zones, (*done)++, report, &report->zones[i], path);
	free(report);
	return result;
}

int zones_open(struct image *image, const char *path, uint64_t zone_bytes)
{
	const uint64_t count = image->size_bytes / zone_bytes;
	struct zones *zones;
	int result = 0;

	if (image->size_bytes % zone_bytes != 0 || count == 0 || count > INT32_MAX)
		return refuse(path, "whose size, or the one given, is not whole zones");
	zones = calloc(1, sizeof(*zones) + count * sizeof(zones->turns[0]));
	if (zones == NULL)
		return bdus_config_error(ENOMEM, "file: out of memory");
	zones->zone_bytes = zone_bytes;
	zones->count = (uint32_t)count;
	for (uint32_t done = 0; done < zones->count && result == 0;)
		result = look_at_some(zones, image->fd, path, &done);
	if (result == 0 && zones->conventional == zones->count)
		result = refuse(path, "without sequential zones in the part that is used");
	if (result < 0) {
		free(zones);
		return result;
	}
	image->zones = zones;
	return 0;
}

void zones_close(struct image *image)
{
	free(image->zones);
}

void zones_describe(const struct image *image, struct bdus_device_attrs *attrs)
{
	attrs->ops = BDUS_OP_BIT(BDUS_OP_READ) | BDUS_OP_BIT(BDUS_OP_WRITE) |
		     BDUS_OP_BIT(BDUS_OP_FLUSH) | BDUS_OP_BIT(BDUS_OP_ZONE_REPORT) |
		     BDUS_OP_BIT(BDUS_OP_ZONE_OPEN) | BDUS_OP_BIT(BDUS_OP_ZONE_CLOSE) |
		     BDUS_OP_BIT(BDUS_OP_ZONE_FINISH) | BDUS_OP_BIT(BDUS_OP_ZONE_RESET) |
		     BDUS_OP_BIT(BDUS_OP_ZONE_APPEND);
	attrs->zone_size_bytes = image->zones->zone_bytes;
	attrs->zone_capacity_bytes = image->zones->capacity_bytes;
	attrs->conventional_zones = image->zones->conventional;
	attrs->max_open_zones = image->max_open_zones;
	attrs->max_active_zones = image->max_active_zones;
	attrs->queues = 1;
}

/* ---- turns --------------------------------------------------------------------------------- */

static uint32_t index_of(const struct zones *zones, const struct bdus_request *request)
{
	return (uint32_t)(request->offset_bytes / zones->zone_bytes);
}

/* The turn that the operation takes; NULL where it takes none. */
static struct turn *turn_of(const struct operation *operation)
{
	struct zones *const zones = operation->image->zones;
	const struct bdus_request *const request = operation->request;
	const uint32_t index = index_of(zones, request);
	const bool changes = request->op == BDUS_OP_WRITE || (request->op > BDUS_OP_ZONE_REPORT &&
							      request->op <= BDUS_OP_ZONE_APPEND);

	return changes && index >= zones->conventional ? &zones->turns[index] : NULL;
}

static void begin_change(struct operation *operation);
static void begin_append(struct operation *operation);

static void begin(struct operation *operation)
{
	switch (operation->request->op) {
	case BDUS_OP_WRITE:
		io_write(operation);
		break;
	case BDUS_OP_ZONE_APPEND:
		begin_append(operation);
		break;
	default:
		begin_change(operation);
		break;
	}
}

void zones_begin(struct operation *operation)
{
	struct turn *const turn = turn_of(operation);

	operation->next = NULL;
	if (turn == NULL) {
		begin(operation);
		return;
	}
	if (turn->first != NULL) {
		turn->last->next = operation;
		turn->last = operation;
		return;
	}
	turn->first = operation;
	turn->last = operation;
	begin(operation);
}

/* Where the write pointer is after what the operation did. */
static uint64_t pointer_after(const struct operation *operation, const struct turn *turn,
			      int result)
{
	const struct bdus_request *const request = operation->request;

	if (result != 0)
		return NOT_KNOWN;
	switch (request->op) {
	case BDUS_OP_WRITE:
		return request->offset_bytes + request->length_bytes;
	case BDUS_OP_ZONE_APPEND:
		return request->append_offset_bytes + request->length_bytes;
	case BDUS_OP_ZONE_RESET:
		return request->offset_bytes;
	case BDUS_OP_ZONE_FINISH:
		return NOT_KNOWN;
	default:
		return turn->write_pointer_bytes;
	}
}

struct operation *zones_end(struct operation *operation, int result)
{
	struct turn *const turn = turn_of(operation);

	if (turn == NULL)
		return NULL;
	turn->write_pointer_bytes = pointer_after(operation, turn, result);
	turn->first = operation->next;
	return turn->first;
}

void zones_begin_next(struct operation *operation)
{
	begin(operation);
}

/* ---- appends ------------------------------------------------------------------------------- */

static void append_at(struct operation *operation, uint64_t at)
{
	const struct zones *const zones = operation->image->zones;
	struct bdus_request *const request = operation->request;
	const uint64_t end = request->offset_bytes + zones->capacity_bytes;

	if (at == NOT_KNOWN || at > end || request->length_bytes > end - at) {
		operation_end(operation, -EIO);
		return;
	}
	request->append_offset_bytes = at;
	operation->offset = at;
	io_write(operation);
}

static void pointer_told(struct bdus_call *call)
{
	struct operation *const operation = operation_of(call);
	struct report *const report = operation->report;
	const bool told = call->message.result >= 0 && report->head.nr_zones == 1;
	const uint64_t at = told ? write_pointer_of(&report->zones[0]) : NOT_KNOWN;

	free(report);
	append_at(operation, at);
}

static void begin_append(struct operation *operation)
{
	const struct turn *const turn = turn_of(operation);

	if (turn == NULL) {
		operation_end(operation, -EINVAL);
		return;
	}
	if (turn->write_pointer_bytes != NOT_KNOWN) {
		append_at(operation, turn->write_pointer_bytes);
		return;
	}
	operation->report = make_report(operation->request->offset_bytes, 1);
	if (operation->report == NULL) {
		operation_end(operation, -ENOMEM);
		return;
	}
	asys_prep_ioctl(&operation->call.message, operation->image->fd, BLKREPORTZONE,
			asys_pointer(operation->report));
	operation_send(operation, pointer_told);
}

/* ---- open, close, finish, reset ------------------------------------------------------------ */

static void changed(struct bdus_call *call)
{
	const int64_t result = call->message.result;

	operation_end(operation_of(call), result < 0 ? io_result((int)-result) : 0);
}

static void begin_change(struct operation *operation)
{
	static const unsigned long commands[BDUS_OP_COUNT] = {
		[BDUS_OP_ZONE_OPEN] = BLKOPENZONE,
		[BDUS_OP_ZONE_CLOSE] = BLKCLOSEZONE,
		[BDUS_OP_ZONE_FINISH] = BLKFINISHZONE,
		[BDUS_OP_ZONE_RESET] = BLKRESETZONE,
	};
	const struct bdus_request *const request = operation->request;

	/* As struct blk_zone_range. */
	operation->range[0] = request->offset_bytes / SECTOR;
	operation->range[1] = request->length_bytes / SECTOR;
	asys_prep_ioctl(&operation->call.message, operation->image->fd, commands[request->op],
			asys_pointer(operation->range));
	operation_send(operation, changed);
}

/* ---- reports ------------------------------------------------------------------------------- */

static void describe(const struct zones *zones, const struct report *report, uint32_t index,
		     struct bdus_zone *described)
{
	const struct blk_zone *const zone = &report->zones[index];
	const uint64_t pointer = write_pointer_of(zone);
	const bool conventional = zone->type == BLK_ZONE_TYPE_CONVENTIONAL;

	*described = (struct bdus_zone){
		.start_bytes = zone->start * SECTOR,
		.length_bytes = zone->len * SECTOR,
		.capacity_bytes = conventional ? zone->len * SECTOR : zones->capacity_bytes,
		.type = zone->type,
		.condition = zone->cond,
	};
	described->write_pointer_bytes =
		pointer != NOT_KNOWN ? pointer : described->start_bytes + described->capacity_bytes;
}

static void reported(struct bdus_call *call)
{
	struct operation *const operation = operation_of(call);
	struct bdus_request *const request = operation->request;
	struct report *const report = operation->report;
	const int64_t result = call->message.result;

	request->zone_count = 0;
	for (uint32_t i = 0; result >= 0 && i < report->head.nr_zones && i < request->zone_capacity;
	     i++)
		describe(operation->image->zones, report, request->zone_count++,
			 &request->zones[i]);
	free(report);
	operation_end(operation, result < 0                 ? io_result((int)-result)
				 : request->zone_count != 0 ? 0
							    : -EIO);
}

void zones_report(struct operation *operation)
{
	const struct zones *const zones = operation->image->zones;
	const struct bdus_request *const request = operation->request;
	const uint64_t left = zones->count - index_of(zones, request);
	const uint32_t count =
		(uint32_t)base_min(base_min(request->zone_capacity, left), REPORT_ZONES);

	operation->report = make_report(request->offset_bytes, count);
	if (operation->report == NULL) {
		operation_end(operation, -ENOMEM);
		return;
	}
	asys_prep_ioctl(&operation->call.message, operation->image->fd, BLKREPORTZONE,
			asys_pointer(operation->report));
	operation_send(operation, reported);
}
