/* SPDX-License-Identifier: MIT */
/*
 * Requests put to the state of zones: to have them decided, or to check how a driver decided them.
 *
 * Checking works by doing the same here. A driver that succeeds where the rules refuse is wrong,
 * and so is one that refuses by the limits what they allow, or reports what cannot be. Two things
 * are left to it: which implicitly open zone becomes closed, and to fail for reasons of its own.
 * After such a failure the zone is in doubt until the driver's next report of it.
 */
#include "base/bits.h"
#include "base/error.h"
#include "zones.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static int report(const struct bdus_zones *zones, struct bdus_request *request)
{
	const int count = bdus_zones_report(zones, request->offset_bytes, request->zones,
					    request->zone_capacity);

	if (count < 0)
		return count;
	request->zone_count = (uint32_t)count;
	return 0;
}

/** Whether no part of a read lies in a zone that cannot be read. */
static int check_read(const struct bdus_zones *zones, const struct bdus_request *request)
{
	uint64_t part;

	for (uint64_t done = 0; done < request->length_bytes; done += part) {
		const int result = bdus_zones_read_part(zones, request->offset_bytes + done,
							request->length_bytes - done, &part);

		if (result < 0)
			return result;
	}
	return 0;
}

int bdus_zones_handle(struct bdus_zones *zones, struct bdus_request *request)
{
	const uint64_t offset = request->offset_bytes;

	switch (request->op) {
	case BDUS_OP_READ:
		return check_read(zones, request);
	case BDUS_OP_WRITE:
	case BDUS_OP_WRITE_ZEROS:
		return bdus_zones_write(zones, offset, request->length_bytes);
	case BDUS_OP_ZONE_APPEND:
		return bdus_zones_append(zones, offset, request->length_bytes,
					 &request->append_offset_bytes);
	case BDUS_OP_ZONE_REPORT:
		return report(zones, request);
	case BDUS_OP_ZONE_OPEN:
		return bdus_zones_open(zones, offset);
	case BDUS_OP_ZONE_CLOSE:
		return bdus_zones_close(zones, offset);
	case BDUS_OP_ZONE_FINISH:
		return bdus_zones_finish(zones, offset);
	case BDUS_OP_ZONE_RESET:
		return bdus_zones_reset(zones, offset);
	case BDUS_OP_ZONE_RESET_ALL:
		bdus_zones_reset_all(zones);
		return 0;
	default:
		return 0;
	}
}

/* ---- checking ------------------------------------------------------------------------------ */

static uint32_t index_of(const struct bdus_zones *zones, uint64_t offset)
{
	return (uint32_t)(offset / bdus_zones_geometry(zones)->zone_size_bytes);
}

static bool is_open(unsigned condition)
{
	return condition == BDUS_ZONE_IMPLICIT_OPEN || condition == BDUS_ZONE_EXPLICIT_OPEN;
}

static bool is_broken(unsigned condition)
{
	return condition == BDUS_ZONE_READ_ONLY || condition == BDUS_ZONE_OFFLINE;
}

/** Which implicitly open zone is closed for another is the driver's to choose. */
static bool may_differ(unsigned reported, unsigned known)
{
	return (reported == BDUS_ZONE_IMPLICIT_OPEN || reported == BDUS_ZONE_CLOSED) &&
	       (known == BDUS_ZONE_IMPLICIT_OPEN || known == BDUS_ZONE_CLOSED);
}

static bool is_condition_of(unsigned condition, unsigned type)
{
	if (type == BDUS_ZONE_CONVENTIONAL)
		return condition == BDUS_ZONE_NO_WRITE_POINTER;
	return is_open(condition) || is_broken(condition) || condition == BDUS_ZONE_EMPTY ||
	       condition == BDUS_ZONE_CLOSED || condition == BDUS_ZONE_FULL;
}

/** What no zone of the device can be, whatever was done to it. */
static int check_possible(const struct bdus_zones *zones, const struct bdus_zone *zone,
			  uint32_t index)
{
	const uint64_t block = bdus_zones_geometry(zones)->logical_block_size;
	const uint64_t written = zone->write_pointer_bytes - zone->start_bytes;
	struct bdus_zone known;

	bdus_zones_describe(zones, index, &known);
	if (zone->start_bytes != known.start_bytes || zone->length_bytes != known.length_bytes ||
	    zone->capacity_bytes != known.capacity_bytes || zone->type != known.type)
		return base_error(EILSEQ,
				  "zone %" PRIu32 " is reported at %" PRIu64 " with length %" PRIu64
				  ", capacity %" PRIu64 ", type %u: it is at %" PRIu64
				  " with %" PRIu64 ", %" PRIu64 ", %u",
				  index, zone->start_bytes, zone->length_bytes,
				  zone->capacity_bytes, zone->type, known.start_bytes,
				  known.length_bytes, known.capacity_bytes, known.type);
	if (!is_condition_of(zone->condition, zone->type))
		return base_error(EILSEQ,
				  "zone %" PRIu32 " is reported in condition 0x%x, which zones of "
				  "type %u do not have",
				  index, zone->condition, zone->type);
	if (zone->type == BDUS_ZONE_CONVENTIONAL || is_broken(zone->condition))
		return 0;
	if (written > zone->capacity_bytes || written % block != 0 ||
	    (zone->condition == BDUS_ZONE_EMPTY && written != 0))
		return base_error(EILSEQ,
				  "zone %" PRIu32 " is reported %s with write pointer %" PRIu64,
				  index, bdus_zone_condition_name(zone->condition),
				  zone->write_pointer_bytes);
	return 0;
}

static int check_zone(struct bdus_zones *zones, const struct bdus_zone *zone, uint32_t index)
{
	struct bdus_zone known;
	const int result = check_possible(zones, zone, index);

	if (result < 0)
		return result;
	bdus_zones_describe(zones, index, &known);
	if (zone->type == BDUS_ZONE_SEQUENTIAL &&
	    (is_broken(zone->condition) || bdus_zones_is_doubtful(zones, index))) {
		bdus_zones_adopt(zones, zone, index);
		return 0;
	}
	if (zone->condition != known.condition && !may_differ(zone->condition, known.condition))
		return base_error(EILSEQ, "zone %" PRIu32 " is reported %s: it is %s", index,
				  bdus_zone_condition_name(zone->condition),
				  bdus_zone_condition_name(known.condition));
	if (zone->type == BDUS_ZONE_SEQUENTIAL &&
	    zone->write_pointer_bytes != known.write_pointer_bytes)
		return base_error(EILSEQ,
				  "zone %" PRIu32 " is reported with write pointer %" PRIu64
				  ": it is %" PRIu64,
				  index, zone->write_pointer_bytes, known.write_pointer_bytes);
	return 0;
}

static int check_report(struct bdus_zones *zones, const struct bdus_request *request)
{
	const struct bdus_zone_geometry *const geometry = bdus_zones_geometry(zones);
	const uint32_t first = index_of(zones, request->offset_bytes);
	uint32_t open = 0;

	if (request->zone_count == 0 || request->zone_count > request->zone_capacity ||
	    request->zone_count > bdus_zones_count(zones) - first)
		return base_error(EILSEQ,
				  "a report from zone %" PRIu32 " on tells of %" PRIu32 " zones",
				  first, request->zone_count);
	for (uint32_t i = 0; i < request->zone_count; i++) {
		const int result = check_zone(zones, &request->zones[i], first + i);

		if (result < 0)
			return result;
		open += is_open(request->zones[i].condition);
	}
	if (geometry->max_open_zones != 0 && open > geometry->max_open_zones)
		return base_error(EILSEQ,
				  "%" PRIu32 " zones are reported open: at most %" PRIu32 " may be",
				  open, geometry->max_open_zones);
	return 0;
}

static int must_not_succeed(const struct bdus_request *request)
{
	char why[BASE_ERROR_MESSAGE_BYTES];

	snprintf(why, sizeof(why), "%s", base_error_message());
	return base_error(EILSEQ, "%s at offset %" PRIu64 " succeeded: %s",
			  bdus_op_name(request->op), request->offset_bytes, why);
}

static int check_append(struct bdus_zones *zones, const struct bdus_request *request)
{
	uint64_t at;

	if (bdus_zones_append(zones, request->offset_bytes, request->length_bytes, &at) < 0)
		return must_not_succeed(request);
	if (at != request->append_offset_bytes)
		return base_error(EILSEQ,
				  "an append is said to have gone to offset %" PRIu64
				  ": the write pointer was %" PRIu64,
				  request->append_offset_bytes, at);
	return 0;
}

static int check_success(struct bdus_zones *zones, const struct bdus_request *request)
{
	struct bdus_request copy = *request;

	if (request->op == BDUS_OP_ZONE_REPORT)
		return check_report(zones, request);
	if (request->op != BDUS_OP_ZONE_RESET_ALL &&
	    bdus_zones_is_doubtful(zones, index_of(zones, request->offset_bytes)))
		return 0;
	if (request->op == BDUS_OP_ZONE_APPEND)
		return check_append(zones, request);
	return bdus_zones_handle(zones, &copy) < 0 ? must_not_succeed(request) : 0;
}

/** A driver may refuse by the limits only what they forbid. */
static int check_failure(struct bdus_zones *zones, const struct bdus_request *request, int result)
{
	const struct bdus_zone_geometry *const geometry = bdus_zones_geometry(zones);
	const bool known = !bdus_zones_have_doubts(zones);
	const bool by_open = known && result == -ETOOMANYREFS &&
			     (geometry->max_open_zones == 0 ||
			      bdus_zones_open_count(zones) < geometry->max_open_zones);
	const bool by_active = known && result == -EOVERFLOW &&
			       (geometry->max_active_zones == 0 ||
				bdus_zones_active_count(zones) < geometry->max_active_zones);

	if (by_open || by_active)
		return base_error(EILSEQ,
				  "%s at offset %" PRIu64
				  " failed for too many %s zones: there are "
				  "%" PRIu32 " open and %" PRIu32 " active ones",
				  bdus_op_name(request->op), request->offset_bytes,
				  by_open ? "open" : "active", bdus_zones_open_count(zones),
				  bdus_zones_active_count(zones));
	if (request->op == BDUS_OP_ZONE_RESET_ALL)
		for (uint32_t index = 0; index < bdus_zones_count(zones); index++)
			bdus_zones_doubt(zones, index);
	else if (request->op != BDUS_OP_READ && request->op != BDUS_OP_ZONE_REPORT)
		bdus_zones_doubt(zones, index_of(zones, request->offset_bytes));
	return 0;
}

int bdus_zones_check(struct bdus_zones *zones, const struct bdus_request *request, int result)
{
	if (!base_range_within(request->offset_bytes, 1, bdus_zones_geometry(zones)->size_bytes) ||
	    request->op == BDUS_OP_FLUSH)
		return 0;
	return result < 0 ? check_failure(zones, request, result) : check_success(zones, request);
}
