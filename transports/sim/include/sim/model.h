/* SPDX-License-Identifier: MIT */
/*
 * A model of a disk: for each logical block, the contents that it may have, given what clients
 * asked for and were answered. Nothing is assumed but what the block layer promises:
 *
 * - A read returns, for each 8-byte word, a value that some write left there which was not
 * certainly overwritten before the read began. Writes in flight together may end in any order, or
 * mixed.
 * - A write that failed may have taken effect, in part or not at all.
 * - After a crash each block holds a value that no durable write has certainly replaced. A write is
 *   durable once it completed with FUA, or a flush that was issued after its completion succeeded.
 *
 * "Certainly overwritten" means: by a write that was issued after the former completed. Time is a
 * counter that the caller advances at each issue and each completion.
 *
 * A block filled by a write holds a pattern made of the write's stamp and the block's place, so
 * that data of another write or another place is recognised, and told by name.
 *
 * The caller serialises all calls.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Stamps of contents that no write with a stamp of its own made. */
#define SIM_STAMP_ZERO UINT64_C(0)
#define SIM_STAMP_ANY  UINT64_MAX

struct sim_model;

/**
 * The device reads as zeros at first. The model is in memory that a process shares with its
 * children. NULL when memory is out.
 */
struct sim_model *sim_model_create(uint64_t size_bytes, uint32_t block_bytes, bool track_crashes);
void sim_model_destroy(struct sim_model *model);

/** Whether completed writes may be lost in a crash until a flush. Before any request. */
void sim_model_set_volatile_cache(struct sim_model *model, bool volatile_cache);

/** Fills @data with what a write with @stamp stores at @offset_bytes. */
void sim_model_fill(const struct sim_model *model, void *data, uint64_t offset_bytes,
		    uint64_t length_bytes, uint64_t stamp);

/** Whether @data is still what sim_model_fill() made of it. */
bool sim_model_is_filled(const struct sim_model *model, const void *data, uint64_t offset_bytes,
			 uint64_t length_bytes, uint64_t stamp);

/** Whether one more write to the range can be followed; false passes when others complete. */
bool sim_model_has_room(struct sim_model *model, uint64_t offset_bytes, uint64_t length_bytes);

/** A write, or with SIM_STAMP_ZERO a write zeros or discard, is issued at time @now. */
void sim_model_begin_write(struct sim_model *model, uint64_t offset_bytes, uint64_t length_bytes,
			   uint64_t stamp, uint64_t now);

/** How a write ended. */
struct sim_write_end {
	/** The time that was given to sim_model_begin_write(). */
	uint64_t issued;
	uint64_t now;
	/** The new content is certain; otherwise the old one may be there as well, or both mixed.
	 */
	bool certain;
	/** Completed with FUA. */
	bool durable;
};
void sim_model_end_write(struct sim_model *model, uint64_t offset_bytes, uint64_t length_bytes,
			 uint64_t stamp, const struct sim_write_end *end);

void sim_model_begin_read(struct sim_model *model, uint64_t offset_bytes, uint64_t length_bytes);

/**
 * A read that was issued at @issued returned @data; NULL when it failed. Returns false with a
 * sentence in @why when the data is none that the device may return.
 */
bool sim_model_end_read(struct sim_model *model, uint64_t offset_bytes, uint64_t length_bytes,
			const void *data, uint64_t issued, char *why, size_t why_bytes);

/**
 * Whether a block of the range cannot have read as zeros at any time since @issued; its offset is
 * stored. The range is one of a read that has begun and not ended.
 */
bool sim_model_find_nonzero(const struct sim_model *model, uint64_t offset_bytes,
			    uint64_t length_bytes, uint64_t issued, uint64_t *found_bytes);

/** A flush that was issued at @issued succeeded. */
void sim_model_end_flush(struct sim_model *model, uint64_t issued);

/** Whoever made the requests in flight was killed: they will never be answered. */
void sim_model_interrupt(struct sim_model *model, uint64_t now);

/** The device lost its volatile cache; nothing is in flight. */
void sim_model_crash(struct sim_model *model, uint64_t now);

#endif
