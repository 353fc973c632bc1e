/* SPDX-License-Identifier: MIT */
/*
 * Draws requests: all operations, with a liking for the edges of the device, the limits at which
 * the engine splits, a few hot blocks, and now and then a range that makes no sense.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "sim_internal.h"

#include <string.h>

#define HOT_BYTES (UINT64_C(64) << 10)
/** Most pieces that a long request is cut into. */
#define PIECES_MAX 512

/** Out of 100, in the order of enum bdus_op and then an operation that does not exist. */
static const uint8_t weights[][BDUS_OP_COUNT + 1] = {
	[SIM_MIX_EVEN] = {32, 32, 6, 10, 8, 1, 8, 2, 1},
	[SIM_MIX_READS] = {76, 10, 2, 3, 3, 0, 5, 1, 0},
	[SIM_MIX_WRITES] = {10, 70, 10, 4, 3, 0, 3, 0, 0},
	[SIM_MIX_HOLES] = {20, 20, 5, 20, 20, 3, 10, 1, 1},
};

static uint8_t draw_op(struct bdus_transport_queue *queue)
{
	const uint8_t *const weight = weights[queue->device->mix];
	uint64_t left = sim_random_below(&queue->requests, 100);

	for (uint8_t op = 0; op < BDUS_OP_COUNT; op++) {
		if (left < weight[op])
			return op;
		left -= weight[op];
	}
	return (uint8_t)sim_random_between(&queue->requests, BDUS_OP_COUNT, UINT8_MAX);
}

static uint16_t draw_flags(struct sim_random *random, unsigned op)
{
	unsigned flags = 0;

	if (op == BDUS_OP_READ && sim_random_chance(random, 50))
		flags |= BDUS_REQUEST_MAY_LEND;
	if ((op == BDUS_OP_WRITE || op == BDUS_OP_WRITE_ZEROS) && sim_random_chance(random, 25))
		flags |= BDUS_REQUEST_FUA;
	if (op == BDUS_OP_WRITE_ZEROS && sim_random_chance(random, 50))
		flags |= BDUS_REQUEST_MAY_UNMAP;
	if (op == BDUS_OP_WRITE_ZEROS && sim_random_chance(random, 20))
		flags |= BDUS_REQUEST_FAST_ONLY;
	return (uint16_t)flags;
}

/** The longest request that the engine need not split. */
static uint64_t longest_piece(const struct bdus_transport_device *device, unsigned op)
{
	const struct bdus_device_attrs *const attrs = &device->attrs;
	uint64_t limit = attrs->max_transfer_bytes;

	if (op == BDUS_OP_WRITE_ZEROS && (device->native_ops & BDUS_OP_BIT(op)))
		limit = attrs->max_write_zeros_bytes;
	if (op == BDUS_OP_DISCARD || op == BDUS_OP_SECURE_ERASE)
		limit = attrs->max_discard_bytes;
	return limit != 0 ? limit : UINT64_MAX;
}

/** A length around a multiple of the limit at which the engine splits, where that is in reach. */
static uint64_t draw_edge_length(struct bdus_transport_queue *queue, unsigned op)
{
	const struct bdus_transport_device *const device = queue->device;
	struct sim_random *const random = &queue->requests;
	const uint64_t piece =
		base_min(longest_piece(device, op), device->attrs.max_transfer_bytes);
	const uint64_t length = sim_random_between(random, 1, 3) * piece;

	switch (sim_random_below(random, 3)) {
	case 0:
		return length - device->attrs.logical_block_size;
	case 1:
		return length + device->attrs.logical_block_size;
	default:
		return length;
	}
}

/** The longest request of an operation that transfers nothing: all of the device, if split into
 * few. */
static uint64_t longest_range(const struct bdus_transport_device *device, unsigned op)
{
	uint64_t most;

	if (base_mul_overflows(longest_piece(device, op), PIECES_MAX, &most))
		return device->attrs.size_bytes;
	return base_min(most, device->attrs.size_bytes);
}

/** A length that makes sense: a positive multiple of the block, at most the device. */
static uint64_t draw_length(struct bdus_transport_queue *queue, unsigned op)
{
	const struct bdus_transport_device *const device = queue->device;
	struct sim_random *const random = &queue->requests;
	const uint64_t block = device->attrs.logical_block_size;
	const uint64_t most = base_min(device->max_request_bytes, device->attrs.size_bytes);
	const uint64_t kind = sim_random_below(random, 100);
	uint64_t length;

	if (kind < 60)
		length = block * sim_random_between(random, 1, 8);
	else if (kind < 80)
		length = block * sim_random_between(random, 1, 64);
	else if (kind < 86)
		length = draw_edge_length(queue, op);
	else if (kind == 86)
		length = op == BDUS_OP_READ || op == BDUS_OP_WRITE ? most
								   : longest_range(device, op);
	else
		length = block * sim_random_between(random, 1, base_max(most / block, 1));
	length = base_min(length, device->attrs.size_bytes);
	return base_max(length - length % block, block);
}

static uint64_t draw_offset(struct bdus_transport_queue *queue, uint64_t length)
{
	const struct bdus_device_attrs *const attrs = &queue->device->attrs;
	struct sim_random *const random = &queue->requests;
	const uint64_t last = attrs->size_bytes - length;
	const uint64_t kind = sim_random_below(random, 100);
	uint64_t offset;

	if (kind < 10)
		return 0;
	if (kind < 20)
		return last;
	if (kind < 50)
		offset = sim_random_below(random, base_min(last, HOT_BYTES) + 1);
	else
		offset = sim_random_below(random, last + 1);
	return offset - offset % attrs->logical_block_size;
}

/** Makes a sensible range senseless, in one of the ways that clients have. */
static void spoil_range(struct bdus_transport_queue *queue, struct sim_plan *plan)
{
	const struct bdus_device_attrs *const attrs = &queue->device->attrs;
	struct sim_random *const random = &queue->requests;

	switch (sim_random_below(random, 8)) {
	case 0:
		plan->length_bytes = 0;
		break;
	case 1:
		plan->offset_bytes += sim_random_between(random, 1, attrs->logical_block_size - 1);
		break;
	case 2:
		plan->length_bytes -= sim_random_between(random, 1, attrs->logical_block_size - 1);
		break;
	case 3:
		plan->offset_bytes = attrs->size_bytes;
		break;
	case 4:
		plan->offset_bytes =
			attrs->size_bytes - plan->length_bytes + attrs->logical_block_size;
		break;
	case 5:
		plan->length_bytes = UINT64_MAX - attrs->logical_block_size + 1;
		break;
	case 6:
		/* The end wraps round to where the range would look sound. */
		plan->offset_bytes = UINT64_MAX - attrs->logical_block_size + 1;
		plan->length_bytes = 2 * (uint64_t)attrs->logical_block_size;
		break;
	default:
		plan->offset_bytes = sim_random_next(random) | (UINT64_C(1) << 63);
		break;
	}
}

static bool range_is_sound(const struct bdus_device_attrs *attrs, const struct sim_plan *plan)
{
	return plan->length_bytes != 0 && plan->offset_bytes % attrs->logical_block_size == 0 &&
	       plan->length_bytes % attrs->logical_block_size == 0 &&
	       base_range_within(plan->offset_bytes, plan->length_bytes, attrs->size_bytes);
}

enum sim_expectation sim_expect(const struct bdus_transport_device *device,
				const struct sim_plan *plan)
{
	const uint32_t bit = plan->op < BDUS_OP_COUNT ? BDUS_OP_BIT(plan->op) : 0;

	if (plan->op == BDUS_OP_FLUSH)
		return SIM_EXPECT_SERVICE;
	if (bit == 0)
		return SIM_EXPECT_UNSUPPORTED;
	if (!range_is_sound(&device->attrs, plan))
		return SIM_EXPECT_BAD_RANGE;
	if (sim_op_writes(plan->op) && (device->attrs.flags & BDUS_DEVICE_READ_ONLY))
		return SIM_EXPECT_READ_ONLY;
	if (!(device->attrs.ops & bit))
		return SIM_EXPECT_UNSUPPORTED;
	if ((plan->flags & BDUS_REQUEST_FAST_ONLY) && !(device->native_ops & bit))
		return SIM_EXPECT_UNSUPPORTED;
	return SIM_EXPECT_SERVICE;
}

/** A request to a zoned device with a range that makes no sense. */
static void plan_senseless_zone_request(struct bdus_transport_queue *queue, struct sim_plan *plan)
{
	plan->length_bytes = queue->device->attrs.logical_block_size;
	plan->zone_capacity = plan->op == BDUS_OP_ZONE_REPORT;
	spoil_range(queue, plan);
	plan->expectation = SIM_EXPECT_BAD_RANGE;
}

void sim_plan_random(struct bdus_transport_queue *queue, struct sim_plan *plan)
{
	struct sim_random *const random = &queue->requests;

	memset(plan, 0, sizeof(*plan));
	if (queue->device->world->zones != NULL) {
		sim_zones_plan(queue->device->world->zones, random, plan);
		if (plan->op != BDUS_OP_FLUSH && sim_random_chance(random, 2))
			plan_senseless_zone_request(queue, plan);
		return;
	}
	plan->op = draw_op(queue);
	plan->flags = draw_flags(random, plan->op);
	plan->extent_capacity = (unsigned)sim_random_between(random, 1, SIM_EXTENTS_MAX);
	if (plan->op != BDUS_OP_FLUSH) {
		plan->length_bytes = draw_length(queue, plan->op);
		plan->offset_bytes = draw_offset(queue, plan->length_bytes);
		if (sim_random_chance(random, 2))
			spoil_range(queue, plan);
	}
	plan->expectation = sim_expect(queue->device, plan);
}
