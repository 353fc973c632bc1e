/* SPDX-License-Identifier: MIT */
/*
 * The pages of an image (abi/zoned.wire): made, read and checked when it is opened, and kept in
 * memory as they are to be written next. image.c has no idea of requests.
 */
#ifndef ZONED_IMAGE_H
#define ZONED_IMAGE_H

#include "store.h"
#include "zoned.h"

#include <bdus/zoned.h>

struct image_page {
	struct zoned_image_states states;
	/** The copy that counts; the other one is written next. */
	unsigned newest;
};

struct image {
	struct store *store;
	const char *name;
	struct bdus_zone_geometry geometry;
	uint64_t data_start;
	struct zoned_image_header header;
	unsigned header_newest;
	struct image_page *pages;
	uint32_t page_count;
};

/** How long a file for an image of this geometry is. */
uint64_t zimage_bytes(const struct bdus_zone_geometry *geometry);

/** Writes an image without data to an empty store. */
int zimage_format(struct store *store, const char *name, const struct bdus_zone_geometry *geometry,
		  uint64_t image_id);

/**
 * Reads and checks the image in @store, which stays the caller's, repairs what a power cut tore,
 * and marks it as in use. A negative errno after bdus_config_error() that names the image and what
 * is wrong with it; nothing was written then. Sizes in @wanted that are not 0 must be those of the
 * image; it may be NULL.
 */
int zimage_open(struct store *store, const char *name, const struct bdus_zone_geometry *wanted,
		struct image *image);

/** Puts zones of the image's geometry into the states that it has. */
int zimage_restore(const struct image *image, struct bdus_zones *zones);

/** Notes the state of a zone in its page; returns the page's number. */
uint32_t zimage_note(struct image *image, uint32_t zone, enum bdus_zone_condition condition,
		     uint64_t written_bytes);

/** Makes page @number ready to be written: to where, and which bytes. */
int zimage_seal(struct image *image, uint32_t number, uint64_t *offset, void **memory);

/** Everything was made durable: marks the image as closed and frees what zimage_open() made. */
int zimage_close(struct image *image, bool clean);

#endif
