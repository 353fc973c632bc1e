/* SPDX-License-Identifier: MIT */
/*
 * What stands before a layer: requests that make no sense are refused, those
 * larger than the driver wants are cut into pieces, and what the driver lacks is made of what it
 * has.
 */
#ifndef DEVICE_SPLIT_H
#define DEVICE_SPLIT_H

#include "device/io.h"

#include <bdus/driver.h>

struct bdus_queue;
struct bdus_stage;

/** How the requests of one operation go down. */
enum bdus_rule_action {
	BDUS_RULE_UNSUPPORTED,
	BDUS_RULE_READ_ONLY,
	BDUS_RULE_PASS,
	BDUS_RULE_NOTHING_TO_DO,
	BDUS_RULE_ZEROS_BY_WRITING,
	BDUS_RULE_ALL_ALLOCATED,
	/** Passes when its range is one that the operation on zones can have. */
	BDUS_RULE_ZONE,
	BDUS_RULE_RESET_EACH_ZONE,
};

struct bdus_rule {
	enum bdus_rule_action action;
	/** Longest request that goes down in one piece. */
	uint64_t max_bytes;
	/** Flags that the driver is not shown; a hidden FUA is made up by a flush. */
	uint16_t hidden_flags;
};

struct bdus_rules {
	struct bdus_rule rule[BDUS_OP_COUNT];
	/** May change while the queue serves: see bdus_device_resize(). */
	uint64_t size_bytes;
	uint64_t block_mask;
	/** Of zoned devices: the size of a zone less 1, and where the first sequential one starts.
	 */
	uint64_t zone_mask;
	uint64_t sequential_start_bytes;
	/** Zeros to write, of the largest transfer's length; read-only; NULL when not needed. */
	void *zeros;
	size_t zeros_bytes;
};

/** @native_ops: the driver's own, without what attrs->ops has in addition. */
int bdus_rules_init(struct bdus_rules *rules, const struct bdus_device_attrs *attrs,
		    uint32_t native_ops);
void bdus_rules_finish(struct bdus_rules *rules);

/** The operations that clients can use of a driver that takes @native_ops. */
uint32_t bdus_rules_effective_ops(uint32_t native_ops, uint32_t device_flags);

/** Sends a request, of a transport, of the engine itself or of a filter, on its way to @stage. */
void bdus_rules_apply(struct bdus_queue *queue, const struct bdus_stage *stage, struct bdus_io *io);

/** Makes @piece a part of @whole, payload included. */
void bdus_io_prepare_part(struct bdus_io *piece, const struct bdus_request *whole, unsigned flags,
			  uint64_t skip_bytes, uint64_t length_bytes);

/** Frees the plans that @queue keeps for reuse. */
void bdus_plans_free(struct bdus_queue *queue);

#endif
