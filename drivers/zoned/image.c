/* SPDX-License-Identifier: MIT */
/*
 * Reading, checking and making the pages of an image; see abi/zoned.wire for its rules.
 */
#include "image.h"

#include "base/bits.h"
#include "base/checked.h"

#include <bdus/driver.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE     ZONED_IMAGE_PAGE_BYTES
#define PER_PAGE ZONED_IMAGE_ZONES_PER_PAGE

static uint32_t count_zones(const struct bdus_zone_geometry *geometry)
{
	return (uint32_t)(geometry->size_bytes / geometry->zone_size_bytes);
}

static uint32_t count_pages(const struct bdus_zone_geometry *geometry)
{
	return (count_zones(geometry) + PER_PAGE - 1) / PER_PAGE;
}

static uint64_t data_start(const struct bdus_zone_geometry *geometry)
{
	return base_align_up((2 + 2 * (uint64_t)count_pages(geometry)) * PAGE,
			     ZONED_IMAGE_DATA_ALIGNMENT);
}

uint64_t zimage_bytes(const struct bdus_zone_geometry *geometry)
{
	return data_start(geometry) + geometry->size_bytes;
}

static uint64_t place_of_page(uint32_t number, unsigned copy)
{
	return (2 + 2 * (uint64_t)number + copy) * PAGE;
}

static int failed(const char *name, const char *what, int result)
{
	return bdus_config_error(-result, "zoned: path=%s: %s failed: %s", name, what,
				 strerror(-result));
}

/* ---- making -------------------------------------------------------------------------------- */

static void fill_header(struct zoned_image_header *header,
			const struct bdus_zone_geometry *geometry, uint64_t image_id)
{
	zoned_image_header_init(header);
	zoned_image_header_set_sequence(header, 1);
	zoned_image_header_set_image_id(header, image_id);
	zoned_image_header_set_size_bytes(header, geometry->size_bytes);
	zoned_image_header_set_zone_size_bytes(header, geometry->zone_size_bytes);
	zoned_image_header_set_zone_capacity_bytes(header, geometry->zone_capacity_bytes);
	zoned_image_header_set_logical_block_size(header, geometry->logical_block_size);
	zoned_image_header_set_conventional_zones(header, geometry->conventional_zones);
	zoned_image_header_set_max_open_zones(header, geometry->max_open_zones);
	zoned_image_header_set_max_active_zones(header, geometry->max_active_zones);
	zoned_image_header_set_max_append_bytes(header, geometry->max_append_bytes);
	zoned_image_header_set_clean(header, 1);
}

static void fill_states(struct zoned_image_states *states,
			const struct bdus_zone_geometry *geometry, uint64_t image_id,
			uint32_t number)
{
	const uint32_t left = count_zones(geometry) - number * PER_PAGE;

	zoned_image_states_init(states);
	zoned_image_states_set_number(states, number);
	zoned_image_states_set_image_id(states, image_id);
	zoned_image_states_set_sequence(states, 1);
	zoned_image_states_set_count(states, (uint32_t)base_min(left, PER_PAGE));
	for (unsigned i = 0; i < PER_PAGE; i++)
		zoned_image_entry_set_condition(zoned_image_states_edit_entries(states, i),
						ZONED_IMAGE_CONDITION_EMPTY);
}

/** The header comes last: without one, it is no image. */
int zimage_format(struct store *store, const char *name, const struct bdus_zone_geometry *geometry,
		  uint64_t image_id)
{
	struct zoned_image_header header;
	struct zoned_image_states states;
	int result = 0;

	for (uint32_t number = 0; number < count_pages(geometry) && result == 0; number++) {
		fill_states(&states, geometry, image_id, number);
		zoned_image_states_seal(&states);
		for (unsigned copy = 0; copy < 2 && result == 0; copy++)
			result = store->ops->now(store, STORE_WRITE, &states,
						 place_of_page(number, copy), PAGE);
	}
	if (result == 0)
		result = store->ops->now(store, STORE_SYNC, NULL, 0, 0);
	fill_header(&header, geometry, image_id);
	zoned_image_header_seal(&header);
	for (unsigned copy = 0; copy < 2 && result == 0; copy++)
		result = store->ops->now(store, STORE_WRITE, &header, copy * PAGE, PAGE);
	if (result == 0)
		result = store->ops->now(store, STORE_SYNC, NULL, 0, 0);
	return result < 0 ? failed(name, "writing an empty image", result) : 0;
}

/* ---- reading ------------------------------------------------------------------------------- */

static int read_header(struct image *image)
{
	struct zoned_image_header copies[2];
	bool valid[2];
	const int result =
		image->store->ops->now(image->store, STORE_READ, copies, 0, sizeof(copies));

	if (result < 0)
		return bdus_config_error(
			EINVAL,
			"zoned: path=%s is no image of a zoned disk: it is shorter "
			"than a header, or cannot be read",
			image->name);
	for (unsigned copy = 0; copy < 2; copy++)
		valid[copy] = zoned_image_header_check(&copies[copy], PAGE, NULL) >= 0;
	if (!valid[0] && !valid[1])
		return bdus_config_error(EINVAL,
					 "zoned: path=%s is no image of a zoned disk, or a corrupt "
					 "one: neither copy of its header is valid",
					 image->name);
	image->header_newest =
		!valid[0] || (valid[1] && zoned_image_header_sequence(&copies[1]) >
						  zoned_image_header_sequence(&copies[0]));
	image->header = copies[image->header_newest];
	return 0;
}

static void read_geometry(struct image *image)
{
	const struct zoned_image_header *const header = &image->header;

	image->geometry = (struct bdus_zone_geometry){
		.size_bytes = zoned_image_header_size_bytes(header),
		.zone_size_bytes = zoned_image_header_zone_size_bytes(header),
		.zone_capacity_bytes = zoned_image_header_zone_capacity_bytes(header),
		.logical_block_size = zoned_image_header_logical_block_size(header),
		.conventional_zones = zoned_image_header_conventional_zones(header),
		.max_open_zones = zoned_image_header_max_open_zones(header),
		.max_active_zones = zoned_image_header_max_active_zones(header),
		.max_append_bytes = zoned_image_header_max_append_bytes(header),
	};
}

/** A geometry that a device cannot have has not come from us. */
static int check_geometry(struct image *image)
{
	struct bdus_zones *zones;
	const int result = bdus_zones_create(&image->geometry, &zones);

	if (result < 0)
		return bdus_config_error(-result, "zoned: path=%s is corrupt: %s", image->name,
					 bdus_manage_error());
	bdus_zones_destroy(zones);
	if (image->store->size_bytes < zimage_bytes(&image->geometry))
		return bdus_config_error(EINVAL,
					 "zoned: path=%s is truncated: it has %llu bytes and needs "
					 "%llu",
					 image->name, (unsigned long long)image->store->size_bytes,
					 (unsigned long long)zimage_bytes(&image->geometry));
	return 0;
}

static int check_wanted(const struct image *image, const struct bdus_zone_geometry *wanted)
{
	const struct bdus_zone_geometry *const found = &image->geometry;

	if (wanted->size_bytes != 0 && wanted->size_bytes != found->size_bytes)
		return bdus_config_error(EINVAL, "zoned: path=%s is of size %llu, not %llu",
					 image->name, (unsigned long long)found->size_bytes,
					 (unsigned long long)wanted->size_bytes);
	if (wanted->zone_size_bytes != 0 && wanted->zone_size_bytes != found->zone_size_bytes)
		return bdus_config_error(EINVAL, "zoned: path=%s has zones of size %llu, not %llu",
					 image->name, (unsigned long long)found->zone_size_bytes,
					 (unsigned long long)wanted->zone_size_bytes);
	return 0;
}

static bool states_are_valid(const struct image *image, const struct zoned_image_states *states,
			     uint32_t number)
{
	return zoned_image_states_check(states, PAGE, NULL) >= 0 &&
	       zoned_image_states_number(states) == number &&
	       zoned_image_states_image_id(states) == zoned_image_header_image_id(&image->header) &&
	       zoned_image_states_count(states) ==
		       base_min(count_zones(&image->geometry) - number * PER_PAGE, PER_PAGE);
}

/** Reads both copies of a page; *@torn says that one of them is to be made anew. */
static int read_page(struct image *image, uint32_t number, bool *torn)
{
	struct image_page *const page = &image->pages[number];
	struct zoned_image_states copies[2];
	const int result = image->store->ops->now(image->store, STORE_READ, copies,
						  place_of_page(number, 0), sizeof(copies));
	const bool clean = zoned_image_header_clean(&image->header) != 0;
	bool valid[2];

	if (result < 0)
		return failed(image->name, "reading the states of its zones", result);
	for (unsigned copy = 0; copy < 2; copy++)
		valid[copy] = states_are_valid(image, &copies[copy], number);
	*torn = !valid[0] || !valid[1];
	if ((!valid[0] && !valid[1]) || (*torn && clean))
		return bdus_config_error(
			EINVAL,
			"zoned: path=%s is corrupt: %s of page %u of the states of "
			"its zones, at offset %llu, is not valid",
			image->name, clean ? "a copy" : "either copy", number,
			(unsigned long long)place_of_page(number, 0));
	page->newest = !valid[0] || (valid[1] && zoned_image_states_sequence(&copies[1]) >
							 zoned_image_states_sequence(&copies[0]));
	page->states = copies[page->newest];
	return 0;
}

static int write_header(struct image *image, bool clean)
{
	int result;

	zoned_image_header_set_clean(&image->header, clean);
	zoned_image_header_set_sequence(&image->header,
					zoned_image_header_sequence(&image->header) + 1);
	zoned_image_header_seal(&image->header);
	image->header_newest = !image->header_newest;
	result = image->store->ops->now(image->store, STORE_WRITE, &image->header,
					image->header_newest * PAGE, PAGE);
	if (result == 0)
		result = image->store->ops->now(image->store, STORE_SYNC, NULL, 0, 0);
	return result;
}

/** Writes what a power cut tore, so that only the next one can tear a copy. */
static int repair(struct image *image, const bool *torn)
{
	int result = write_header(image, false);

	for (uint32_t number = 0; number < image->page_count && result == 0; number++)
		if (torn[number])
			result = image->store->ops->now(
				image->store, STORE_WRITE, &image->pages[number].states,
				place_of_page(number, !image->pages[number].newest), PAGE);
	if (result == 0)
		result = image->store->ops->now(image->store, STORE_SYNC, NULL, 0, 0);
	return result < 0 ? failed(image->name, "marking it as in use", result) : 0;
}

static int read_pages(struct image *image)
{
	bool *torn;
	int result = 0;

	image->page_count = count_pages(&image->geometry);
	image->pages = calloc(image->page_count, sizeof(*image->pages));
	torn = calloc(image->page_count, sizeof(*torn));
	if (image->pages == NULL || torn == NULL)
		result = bdus_config_error(ENOMEM, "zoned: out of memory");
	for (uint32_t number = 0; number < image->page_count && result == 0; number++)
		result = read_page(image, number, &torn[number]);
	if (result == 0)
		result = repair(image, torn);
	free(torn);
	if (result < 0)
		free(image->pages);
	return result;
}

int zimage_open(struct store *store, const char *name, const struct bdus_zone_geometry *wanted,
		struct image *image)
{
	int result;

	*image = (struct image){.store = store, .name = name};
	result = read_header(image);
	if (result < 0)
		return result;
	read_geometry(image);
	result = check_geometry(image);
	if (result == 0 && wanted != NULL)
		result = check_wanted(image, wanted);
	if (result < 0)
		return result;
	image->data_start = data_start(&image->geometry);
	return read_pages(image);
}

/**
 * Where pages of two times came together, more zones may be closed than may be active: those that
 * are too many are made full, as a drive's own controller may do.
 */
static int restore_zone(const struct image *image, struct bdus_zones *zones, uint32_t index)
{
	const struct zoned_image_entry *const entry = zoned_image_states_entries(
		&image->pages[index / PER_PAGE].states, index % PER_PAGE);
	const uint64_t written = zoned_image_entry_written_bytes(entry);
	int result = bdus_zones_restore(zones, index, zoned_image_entry_condition(entry), written);

	if (result == -EOVERFLOW)
		result = bdus_zones_restore(zones, index, BDUS_ZONE_FULL, written);
	return result;
}

int zimage_restore(const struct image *image, struct bdus_zones *zones)
{
	const uint32_t count = count_zones(&image->geometry);

	for (uint32_t index = image->geometry.conventional_zones; index < count; index++) {
		const int result = restore_zone(image, zones, index);

		if (result < 0)
			return bdus_config_error(-result, "zoned: path=%s is corrupt: %s",
						 image->name, bdus_manage_error());
	}
	return 0;
}

/* ---- writing ------------------------------------------------------------------------------- */

uint32_t zimage_note(struct image *image, uint32_t zone, enum bdus_zone_condition condition,
		     uint64_t written_bytes)
{
	struct zoned_image_states *const states = &image->pages[zone / PER_PAGE].states;
	struct zoned_image_entry *const entry =
		zoned_image_states_edit_entries(states, zone % PER_PAGE);

	zoned_image_entry_set_condition(entry, (uint8_t)condition);
	zoned_image_entry_set_written_bytes(entry, written_bytes);
	return zone / PER_PAGE;
}

int zimage_seal(struct image *image, uint32_t number, uint64_t *offset, void **memory)
{
	struct image_page *const page = &image->pages[number];

	zoned_image_states_set_sequence(&page->states,
					zoned_image_states_sequence(&page->states) + 1);
	page->newest = !page->newest;
	*offset = place_of_page(number, page->newest);
	*memory = &page->states;
	return zoned_image_states_seal(&page->states) < 0 ? -EIO : 0;
}

int zimage_close(struct image *image, bool clean)
{
	const int result = clean ? write_header(image, true) : 0;

	free(image->pages);
	image->pages = NULL;
	return result;
}
