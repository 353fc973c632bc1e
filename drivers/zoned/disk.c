/* SPDX-License-Identifier: MIT */
/*
 * Requests of a disk in an image. What a power cut leaves must be a state that the zones had, with
 * the data that belongs to it. So states become durable by commits, one at a time:
 *
 *	            flush, reset, finish            all writes begun before are done
 *	  (idle) ──────────────────────▶ DRAINING ────────────────────▶ SYNCING_DATA
 *	    ▲                                                                │
 *	    │ those that asked are completed,                                │ data is durable
 *	    │ what was held goes on                                          ▼
 *	    └───────────── SYNCING_STATES ◀──────────────────────── WRITING_STATES
 *	                                       pages are written
 *
 * A commit writes the states that zones had when it began, of which all data was written by the end
 * of DRAINING. A zone that is to be reset or finished changes with the commit; requests that would
 * change it are held until then, so that no data overwrites what a state that counts speaks of.
 * What asks while a commit is under way waits for the next one.
 *
 * Data that could not be written: the zone's write pointer falls back to it when nothing behind it
 * was written; otherwise the zone becomes read-only up to there. A commit that fails is the last
 * one: from then on nothing becomes durable, and whoever asks is told so.
 *
 * Owner: the thread of the device's only queue.
 */
#include "disk.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum phase {
	IDLE,
	DRAINING,
	SYNCING_DATA,
	WRITING_STATES,
	SYNCING_STATES,
};

enum change {
	NO_CHANGE,
	RESET,
	FINISH,
};

struct zone {
	uint32_t in_flight;
	uint8_t change;
	/** Its state differs from the one in its page. */
	bool dirty;
	bool failed;
	/** When a write failed: where the first one was, from the start of the zone. */
	uint64_t failed_at;
	/** How far writes succeeded since the last reset, from the start of the zone. */
	uint64_t succeeded;
	/** What the commit under way writes, and changes. */
	bool noted;
	uint8_t noted_change;
	uint8_t noted_condition;
	uint64_t noted_bytes;
};

struct operation {
	struct store_call call;
	struct disk *disk;
	struct bdus_request *request;
	uint64_t done_bytes;
	/** Of a write: the zone, where in it, and in which period it began. */
	uint32_t zone;
	uint64_t at;
	unsigned period;
	struct operation *next;
};

struct request_list {
	struct bdus_request *first;
	struct bdus_request *last;
};

struct page_write {
	struct store_call call;
	struct disk *disk;
	bool due;
};

struct disk {
	struct image image;
	struct bdus_zones *zones;
	struct zone *states;
	uint32_t zone_count;
	bool *page_dirty;
	struct page_write *page_writes;
	struct operation *free_operations;

	enum phase phase;
	struct bdus_loop *loop;
	struct store_call sync_call;
	uint32_t pages_in_flight;
	/** Writes in flight that began in this period and the one before. */
	unsigned period;
	uint64_t writes[2];
	/** Something was written since data was made durable last. */
	bool unsynced;
	/** The first error of a commit, negative. */
	int broken;
	struct request_list asking;
	struct request_list committing;
	struct request_list held;
};

/* ---- lists of requests --------------------------------------------------------------------- */

static void push(struct request_list *list, struct bdus_request *request)
{
	request->driver_data = NULL;
	if (list->first == NULL)
		list->first = request;
	else
		list->last->driver_data = request;
	list->last = request;
}

static struct bdus_request *pop(struct request_list *list)
{
	struct bdus_request *const request = list->first;

	if (request != NULL)
		list->first = request->driver_data;
	return request;
}

/* ---- zones --------------------------------------------------------------------------------- */

static uint64_t start_of(const struct disk *disk, uint32_t zone)
{
	return zone * disk->image.geometry.zone_size_bytes;
}

static uint32_t zone_of(const struct disk *disk, uint64_t offset)
{
	return (uint32_t)(offset / disk->image.geometry.zone_size_bytes);
}

static bool is_sequential(const struct disk *disk, uint32_t zone)
{
	return zone >= disk->image.geometry.conventional_zones;
}

static void soil(struct disk *disk, uint32_t zone)
{
	disk->states[zone].dirty = true;
	disk->page_dirty[zone / ZONED_IMAGE_ZONES_PER_PAGE] = true;
}

/** The condition that a zone has after the power came back. */
static enum bdus_zone_condition lasting_condition(unsigned condition, uint64_t written)
{
	if (condition == BDUS_ZONE_IMPLICIT_OPEN || condition == BDUS_ZONE_EXPLICIT_OPEN)
		return written == 0 ? BDUS_ZONE_EMPTY : BDUS_ZONE_CLOSED;
	return condition;
}

static unsigned condition_of(const struct disk *disk, uint32_t zone)
{
	struct bdus_zone described;

	bdus_zones_report(disk->zones, start_of(disk, zone), &described, 1);
	return described.condition;
}

static void put_note(struct disk *disk, uint32_t index)
{
	const struct zone *const zone = &disk->states[index];

	zimage_note(&disk->image, index, zone->noted_condition, zone->noted_bytes);
}

/** Puts into its page what the commit makes of the zone. */
static void note(struct disk *disk, uint32_t index)
{
	struct zone *const zone = &disk->states[index];
	const uint64_t written = bdus_zones_written_bytes(disk->zones, index);
	const unsigned condition = condition_of(disk, index);

	zone->dirty = false;
	zone->noted = true;
	zone->noted_change = zone->change;
	zone->noted_bytes = zone->change == RESET ? 0 : written;
	if (zone->change == RESET)
		zone->noted_condition = BDUS_ZONE_EMPTY;
	else if (zone->change == FINISH)
		zone->noted_condition = BDUS_ZONE_FULL;
	else
		zone->noted_condition = (uint8_t)lasting_condition(condition, written);
	put_note(disk, index);
}

/** Data that the commit under way was to speak of could not be written. */
static void lower_note(struct disk *disk, uint32_t index, uint64_t bytes)
{
	struct zone *const zone = &disk->states[index];

	if (disk->phase != DRAINING || !zone->noted || zone->noted_bytes <= bytes)
		return;
	zone->noted_bytes = bytes;
	if (zone->noted_change == NO_CHANGE)
		zone->noted_condition = bytes == 0 ? BDUS_ZONE_EMPTY : BDUS_ZONE_CLOSED;
	put_note(disk, index);
}

/* ---- commits ------------------------------------------------------------------------------- */

static void commit_go_on(struct disk *disk);
static void begin_request(struct disk *disk, struct bdus_request *request);

static void note_zones(struct disk *disk)
{
	for (uint32_t index = 0; index < disk->zone_count; index++)
		if (disk->states[index].dirty)
			note(disk, index);
}

/** Nothing becomes durable any more. */
static void refuse_all(struct disk *disk)
{
	struct bdus_request *request;

	while ((request = pop(&disk->asking)) != NULL)
		bdus_complete(request, -EIO);
}

static void begin_commit(struct disk *disk)
{
	if (disk->broken != 0)
		refuse_all(disk);
	if (disk->phase != IDLE || disk->asking.first == NULL)
		return;
	disk->committing = disk->asking;
	disk->asking = (struct request_list){0};
	disk->phase = DRAINING;
	note_zones(disk);
	disk->period ^= 1;
	commit_go_on(disk);
}

static void send_sync(struct disk *disk, void (*done)(struct store_call *call, int result))
{
	disk->sync_call = (struct store_call){.kind = STORE_SYNC, .done = done};
	disk->image.store->ops->send(disk->image.store, disk->loop, &disk->sync_call);
}

/** What was to be reset or finished is so now. */
static void apply_changes(struct disk *disk)
{
	for (uint32_t index = 0; index < disk->zone_count; index++) {
		struct zone *const zone = &disk->states[index];

		if (!zone->noted)
			continue;
		zone->noted = false;
		if (zone->noted_change == NO_CHANGE)
			continue;
		bdus_zones_restore(disk->zones, index, zone->noted_condition, zone->noted_bytes);
		zone->succeeded = zone->noted_bytes;
		zone->change = NO_CHANGE;
	}
}

/** Zones stay as they were; those that would have been changed can be used on. */
static void drop_changes(struct disk *disk)
{
	for (uint32_t index = 0; index < disk->zone_count; index++) {
		disk->states[index].noted = false;
		disk->states[index].change = NO_CHANGE;
	}
}

static void end_commit(struct disk *disk, int result)
{
	struct request_list committed = disk->committing, held = disk->held;
	struct bdus_request *request;

	if (result == 0)
		apply_changes(disk);
	else
		drop_changes(disk);
	if (result < 0 && disk->broken == 0)
		disk->broken = result;
	disk->committing = (struct request_list){0};
	disk->held = (struct request_list){0};
	disk->phase = IDLE;
	while ((request = pop(&committed)) != NULL)
		bdus_complete(request, result == 0 ? 0 : -EIO);
	while ((request = pop(&held)) != NULL)
		begin_request(disk, request);
	begin_commit(disk);
}

static void states_synced(struct store_call *call, int result)
{
	end_commit(base_container_of(call, struct disk, sync_call), result);
}

static void states_written(struct disk *disk)
{
	if (disk->broken != 0) {
		end_commit(disk, disk->broken);
		return;
	}
	disk->phase = SYNCING_STATES;
	send_sync(disk, states_synced);
}

static void page_written(struct store_call *call, int result)
{
	struct disk *const disk = base_container_of(call, struct page_write, call)->disk;

	if (result < 0)
		disk->broken = result;
	if (--disk->pages_in_flight == 0)
		states_written(disk);
}

static void write_page(struct disk *disk, uint32_t number)
{
	struct page_write *const write = &disk->page_writes[number];

	write->disk = disk;
	write->call = (struct store_call){
		.kind = STORE_WRITE,
		.length = ZONED_IMAGE_PAGE_BYTES,
		.done = page_written,
	};
	zimage_seal(&disk->image, number, &write->call.offset, &write->call.memory);
	disk->image.store->ops->send(disk->image.store, disk->loop, &write->call);
}

/** Pages of this commit are due; those of zones that changed since it began stay dirty. */
static void choose_pages(struct disk *disk)
{
	for (uint32_t number = 0; number < disk->image.page_count; number++) {
		disk->page_writes[number].due = disk->page_dirty[number];
		disk->page_dirty[number] = false;
	}
	for (uint32_t index = 0; index < disk->zone_count; index++)
		if (disk->states[index].dirty)
			disk->page_dirty[index / ZONED_IMAGE_ZONES_PER_PAGE] = true;
}

static void write_pages(struct disk *disk)
{
	disk->phase = WRITING_STATES;
	disk->pages_in_flight = 1;
	choose_pages(disk);
	for (uint32_t number = 0; number < disk->image.page_count; number++) {
		if (!disk->page_writes[number].due)
			continue;
		disk->pages_in_flight++;
		write_page(disk, number);
	}
	if (--disk->pages_in_flight == 0)
		states_written(disk);
}

static void data_synced(struct store_call *call, int result)
{
	struct disk *const disk = base_container_of(call, struct disk, sync_call);

	if (result < 0) {
		end_commit(disk, result);
		return;
	}
	write_pages(disk);
}

static void commit_go_on(struct disk *disk)
{
	if (disk->phase != DRAINING || disk->writes[!disk->period] != 0)
		return;
	disk->phase = SYNCING_DATA;
	disk->unsynced = false;
	send_sync(disk, data_synced);
}

static bool is_durable(const struct disk *disk)
{
	if (disk->phase != IDLE || disk->unsynced || disk->writes[disk->period] != 0)
		return false;
	for (uint32_t number = 0; number < disk->image.page_count; number++)
		if (disk->page_dirty[number])
			return false;
	return true;
}

/** Completes @request when what it asks for is durable. */
static void ask_for_commit(struct disk *disk, struct bdus_request *request)
{
	if (disk->broken != 0) {
		bdus_complete(request, -EIO);
		return;
	}
	if (is_durable(disk)) {
		bdus_complete(request, 0);
		return;
	}
	push(&disk->asking, request);
	begin_commit(disk);
}

/* ---- writes -------------------------------------------------------------------------------- */

static struct operation *take_operation(struct disk *disk, struct bdus_request *request)
{
	struct operation *operation = disk->free_operations;

	if (operation != NULL)
		disk->free_operations = operation->next;
	else
		operation = malloc(sizeof(*operation));
	if (operation == NULL)
		return NULL;
	*operation = (struct operation){.disk = disk, .request = request};
	return operation;
}

static void end_operation(struct operation *operation, int result)
{
	struct disk *const disk = operation->disk;
	struct bdus_request *const request = operation->request;

	operation->next = disk->free_operations;
	disk->free_operations = operation;
	bdus_complete(request, result);
}

/** All writes to a zone of which one failed are back: what can be said of the zone now? */
static void settle(struct disk *disk, uint32_t index)
{
	struct zone *const zone = &disk->states[index];
	const uint64_t written = bdus_zones_written_bytes(disk->zones, index);
	const uint64_t start = start_of(disk, index);

	zone->failed = false;
	if (zone->succeeded <= zone->failed_at)
		bdus_zones_undo_write(disk->zones, start + zone->failed_at,
				      written - zone->failed_at);
	else
		bdus_zones_restore(disk->zones, index, BDUS_ZONE_READ_ONLY, zone->failed_at);
	soil(disk, index);
}

static void count_write(struct operation *operation, int result)
{
	struct disk *const disk = operation->disk;
	struct zone *const zone = &disk->states[operation->zone];
	const uint64_t end = operation->at + operation->request->length_bytes;

	disk->writes[operation->period]--;
	if (!is_sequential(disk, operation->zone))
		return;
	zone->in_flight--;
	if (result == 0) {
		zone->succeeded = base_max(zone->succeeded, end);
	} else {
		zone->failed_at =
			zone->failed ? base_min(zone->failed_at, operation->at) : operation->at;
		zone->failed = true;
		lower_note(disk, operation->zone, zone->failed_at);
	}
	if (zone->failed && zone->in_flight == 0)
		settle(disk, operation->zone);
}

static void write_done(struct store_call *call, int result)
{
	struct operation *const operation = base_container_of(call, struct operation, call);
	struct disk *const disk = operation->disk;

	disk->unsynced = true;
	count_write(operation, result);
	end_operation(operation, result == -ENOSPC ? -ENOSPC : result < 0 ? -EIO : 0);
	commit_go_on(disk);
}

static void begin_write(struct disk *disk, struct bdus_request *request)
{
	const uint32_t index = zone_of(disk, request->offset_bytes);
	struct operation *operation;
	uint64_t place;
	int result;

	if (disk->states[index].failed) {
		bdus_complete(request, -EIO);
		return;
	}
	operation = take_operation(disk, request);
	result = operation != NULL ? bdus_zones_handle(disk->zones, request) : -ENOMEM;
	if (result < 0) {
		if (operation != NULL)
			end_operation(operation, result);
		else
			bdus_complete(request, result);
		return;
	}
	place = request->op == BDUS_OP_ZONE_APPEND ? request->append_offset_bytes
						   : request->offset_bytes;
	operation->zone = index;
	operation->at = place - start_of(disk, index);
	operation->period = disk->period;
	disk->writes[disk->period]++;
	if (is_sequential(disk, index)) {
		disk->states[index].in_flight++;
		soil(disk, index);
	}
	operation->call = (struct store_call){
		.kind = STORE_WRITE,
		.memory = request->data,
		.offset = disk->image.data_start + place,
		.length = request->length_bytes,
		.done = write_done,
	};
	disk->image.store->ops->send(disk->image.store, disk->loop, &operation->call);
}

/* ---- reads --------------------------------------------------------------------------------- */

static void read_on(struct operation *operation);

static void part_read(struct store_call *call, int result)
{
	struct operation *const operation = base_container_of(call, struct operation, call);

	if (result < 0) {
		end_operation(operation, -EIO);
		return;
	}
	operation->done_bytes += call->length;
	read_on(operation);
}

/** Reads up to the end of the next part that was written. */
static void read_on(struct operation *operation)
{
	struct disk *const disk = operation->disk;
	const struct bdus_request *const request = operation->request;
	uint64_t part;

	while (operation->done_bytes < request->length_bytes) {
		const uint64_t offset = request->offset_bytes + operation->done_bytes;
		char *const memory = (char *)request->data + operation->done_bytes;
		const int kind = bdus_zones_read_part(
			disk->zones, offset, request->length_bytes - operation->done_bytes, &part);

		if (kind < 0) {
			end_operation(operation, kind);
			return;
		}
		if (kind > 0) {
			operation->call = (struct store_call){
				.kind = STORE_READ,
				.memory = memory,
				.offset = disk->image.data_start + offset,
				.length = part,
				.done = part_read,
			};
			disk->image.store->ops->send(disk->image.store, disk->loop,
						     &operation->call);
			return;
		}
		memset(memory, 0, part);
		operation->done_bytes += part;
	}
	end_operation(operation, 0);
}

static void begin_read(struct disk *disk, struct bdus_request *request)
{
	struct operation *const operation = take_operation(disk, request);

	if (operation != NULL)
		read_on(operation);
	else
		bdus_complete(request, -ENOMEM);
}

/* ---- changes of zones ---------------------------------------------------------------------- */

static bool may_change(const struct disk *disk, uint32_t index)
{
	const unsigned condition = condition_of(disk, index);

	return is_sequential(disk, index) && condition != BDUS_ZONE_READ_ONLY &&
	       condition != BDUS_ZONE_OFFLINE;
}

static void begin_change(struct disk *disk, struct bdus_request *request, enum change change)
{
	const uint32_t index = zone_of(disk, request->offset_bytes);
	struct zone *const zone = &disk->states[index];

	if (!may_change(disk, index)) {
		bdus_complete(request, -EIO);
		return;
	}
	if (disk->broken == 0) {
		zone->change = (uint8_t)change;
		soil(disk, index);
	}
	ask_for_commit(disk, request);
}

static void begin_reset_all(struct disk *disk, struct bdus_request *request)
{
	if (disk->broken == 0) {
		for (uint32_t index = 0; index < disk->zone_count; index++) {
			if (!may_change(disk, index) ||
			    condition_of(disk, index) == BDUS_ZONE_EMPTY)
				continue;
			disk->states[index].change = RESET;
			soil(disk, index);
		}
	}
	ask_for_commit(disk, request);
}

/** Whether the request would change a zone that a commit is to change. */
static bool must_be_held(const struct disk *disk, const struct bdus_request *request)
{
	switch (request->op) {
	case BDUS_OP_WRITE:
	case BDUS_OP_ZONE_APPEND:
	case BDUS_OP_ZONE_OPEN:
	case BDUS_OP_ZONE_CLOSE:
	case BDUS_OP_ZONE_FINISH:
	case BDUS_OP_ZONE_RESET:
		return disk->states[zone_of(disk, request->offset_bytes)].change != NO_CHANGE;
	case BDUS_OP_ZONE_RESET_ALL:
		for (uint32_t index = 0; index < disk->zone_count; index++)
			if (disk->states[index].change != NO_CHANGE)
				return true;
		return false;
	default:
		return false;
	}
}

static void begin_request(struct disk *disk, struct bdus_request *request)
{
	if (must_be_held(disk, request)) {
		push(&disk->held, request);
		return;
	}
	switch (request->op) {
	case BDUS_OP_READ:
		begin_read(disk, request);
		return;
	case BDUS_OP_WRITE:
	case BDUS_OP_ZONE_APPEND:
		begin_write(disk, request);
		return;
	case BDUS_OP_FLUSH:
		ask_for_commit(disk, request);
		return;
	case BDUS_OP_ZONE_RESET:
		begin_change(disk, request, RESET);
		return;
	case BDUS_OP_ZONE_FINISH:
		begin_change(disk, request, FINISH);
		return;
	case BDUS_OP_ZONE_RESET_ALL:
		begin_reset_all(disk, request);
		return;
	case BDUS_OP_ZONE_REPORT:
	case BDUS_OP_ZONE_OPEN:
	case BDUS_OP_ZONE_CLOSE:
		bdus_complete(request, bdus_zones_handle(disk->zones, request));
		return;
	default:
		bdus_complete(request, -EOPNOTSUPP);
	}
}

void zdisk_submit(struct disk *disk, struct bdus_request *request)
{
	if (base_unlikely(disk->loop == NULL))
		disk->loop = bdus_queue_loop(bdus_request_queue(request));
	begin_request(disk, request);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void free_disk(struct disk *disk)
{
	while (disk->free_operations != NULL) {
		struct operation *const operation = disk->free_operations;

		disk->free_operations = operation->next;
		free(operation);
	}
	bdus_zones_destroy(disk->zones);
	free(disk->states);
	free(disk->page_dirty);
	free(disk->page_writes);
	free(disk);
}

static int allocate(struct disk *disk)
{
	const uint32_t pages = disk->image.page_count;

	if (bdus_zones_create(&disk->image.geometry, &disk->zones) < 0)
		return bdus_config_error(ENOMEM, "zoned: %s", bdus_manage_error());
	disk->zone_count = bdus_zones_count(disk->zones);
	disk->states = calloc(disk->zone_count, sizeof(*disk->states));
	disk->page_dirty = calloc(pages, sizeof(*disk->page_dirty));
	disk->page_writes = calloc(pages, sizeof(*disk->page_writes));
	if (disk->states == NULL || disk->page_dirty == NULL || disk->page_writes == NULL)
		return bdus_config_error(ENOMEM, "zoned: out of memory");
	return zimage_restore(&disk->image, disk->zones);
}

int zdisk_open(struct store *store, const char *name, const struct bdus_zone_geometry *wanted,
	       struct disk **result_disk)
{
	struct disk *const disk = calloc(1, sizeof(*disk));
	int result;

	if (disk == NULL) {
		store->ops->close(store);
		return bdus_config_error(ENOMEM, "zoned: out of memory");
	}
	result = zimage_open(store, name, wanted, &disk->image);
	if (result == 0) {
		result = allocate(disk);
		if (result < 0)
			zimage_close(&disk->image, false);
	}
	if (result < 0) {
		store->ops->close(store);
		free_disk(disk);
		return result;
	}
	for (uint32_t index = 0; index < disk->zone_count; index++)
		disk->states[index].succeeded = bdus_zones_written_bytes(disk->zones, index);
	*result_disk = disk;
	return 0;
}

const struct bdus_zone_geometry *zdisk_geometry(const struct disk *disk)
{
	return &disk->image.geometry;
}

static int write_dirty_pages(struct disk *disk)
{
	struct store *const store = disk->image.store;
	uint64_t offset;
	void *memory;
	int result = 0;

	note_zones(disk);
	for (uint32_t number = 0; number < disk->image.page_count && result == 0; number++) {
		if (!disk->page_dirty[number])
			continue;
		zimage_seal(&disk->image, number, &offset, &memory);
		result =
			store->ops->now(store, STORE_WRITE, memory, offset, ZONED_IMAGE_PAGE_BYTES);
	}
	return result == 0 ? store->ops->now(store, STORE_SYNC, NULL, 0, 0) : result;
}

int zdisk_close(struct disk *disk)
{
	struct store *const store = disk->image.store;
	int result = disk->broken;
	int closed;

	if (result == 0)
		result = store->ops->now(store, STORE_SYNC, NULL, 0, 0);
	if (result == 0)
		result = write_dirty_pages(disk);
	closed = zimage_close(&disk->image, result == 0);
	if (result == 0)
		result = closed;
	closed = store->ops->close(store);
	free_disk(disk);
	return result < 0 ? result : closed;
}
