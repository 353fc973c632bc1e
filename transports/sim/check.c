/* SPDX-License-Identifier: MIT */
/*
 * Judges what came back: the result, the data, the extents; and keeps the model up to date.
 */
#include "base/bits.h"
#include "sim_internal.h"

#include <errno.h>

static bool is_served(const struct sim_slot *slot)
{
	return slot->plan.expectation == SIM_EXPECT_SERVICE;
}

void sim_begin(struct bdus_transport_device *device, struct sim_slot *slot)
{
	struct sim_model *const model = device->world->model;
	const struct sim_plan *const plan = &slot->plan;

	slot->issued = device->world->now++;
	slot->flushes_failed_before = atomic_load(&device->world->flushes_failed);
	slot->stores_full_before = atomic_load(&device->world->stores_full);
	if (!is_served(slot))
		return;
	if (device->world->zones != NULL)
		sim_zones_begin(device->world->zones, slot);
	if (model == NULL)
		return;
	if (sim_op_writes(plan->op))
		sim_model_begin_write(model, plan->offset_bytes, plan->length_bytes,
				      plan->op == BDUS_OP_WRITE ? slot->stamp : SIM_STAMP_ZERO,
				      slot->issued);
	else if (sim_op_reads(plan->op))
		sim_model_begin_read(model, plan->offset_bytes, plan->length_bytes);
}

/** Fails with the request in front of the sentence. */
static void fail(struct bdus_transport_device *device, const struct sim_slot *slot,
		 const char *sentence)
{
	sim_fail(device->world, "#%llu: %s, offset %llu, length %llu, flags %#x, result %d: %s",
		 (unsigned long long)slot->number, bdus_op_name(slot->plan.op),
		 (unsigned long long)slot->plan.offset_bytes,
		 (unsigned long long)slot->plan.length_bytes, slot->plan.flags, slot->io.result,
		 sentence);
}

/* ---- results ------------------------------------------------------------------------------- */

/** What clients may be told of an errno, as bdus_complete() says. */
static int as_client_sees(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EOPNOTSUPP:
	case ETIMEDOUT:
	case ENOLINK:
	case EAGAIN:
		return -errnum;
	default:
		return -EIO;
	}
}

/** The operation that the driver sees for a client's @op; BDUS_OP_COUNT for none. */
static unsigned driver_op(const struct bdus_transport_device *device, unsigned op)
{
	if (device->native_ops & BDUS_OP_BIT(op))
		return op;
	return op == BDUS_OP_WRITE_ZEROS ? BDUS_OP_WRITE : BDUS_OP_COUNT;
}

static bool touches(const struct sim_bad_spot *spot, unsigned op, const struct sim_plan *plan)
{
	return op < BDUS_OP_COUNT && (spot->ops & BDUS_OP_BIT(op)) &&
	       plan->offset_bytes < spot->offset_bytes + spot->length_bytes &&
	       spot->offset_bytes < plan->offset_bytes + plan->length_bytes;
}

/** Whether a bad spot explains @result; *@must_fail tells whether there is one at all. */
static bool spot_explains(const struct bdus_transport_device *device, const struct sim_plan *plan,
			  int result, bool *must_fail)
{
	const unsigned op = driver_op(device, plan->op);
	bool explained = false;

	*must_fail = false;
	if (plan->op == BDUS_OP_FLUSH)
		return false;
	for (unsigned i = 0; i < device->world->spot_count; i++) {
		const struct sim_bad_spot *const spot = &device->world->spots[i];

		if (!touches(spot, op, plan))
			continue;
		*must_fail = true;
		explained = explained || as_client_sees(spot->errnum) == result;
	}
	return explained;
}

/** Whether the driver sees a flush because of @plan. */
static bool flushes(const struct bdus_transport_device *device, const struct sim_plan *plan)
{
	if (!(device->native_ops & BDUS_OP_BIT(BDUS_OP_FLUSH)))
		return false;
	return plan->op == BDUS_OP_FLUSH ||
	       ((plan->flags & BDUS_REQUEST_FUA) && !(device->attrs.flags & BDUS_DEVICE_FUA));
}

/**
 * No room for what a driver keeps beside its data: flushes under way fail, and writes that wait for
 * what only that would make room for, even those that come later.
 */
static bool fullness_explains(const struct bdus_transport_device *device,
			      const struct sim_slot *slot, int result)
{
	const unsigned times = atomic_load(&device->world->stores_full);

	if (result != -ENOSPC)
		return false;
	return slot->plan.op == BDUS_OP_WRITE
		       ? times > 0
		       : flushes(device, &slot->plan) && times > slot->stores_full_before;
}

static bool service_result_is_right(struct bdus_transport_device *device,
				    const struct sim_slot *slot, int result)
{
	struct sim_world *const world = device->world;
	const struct sim_plan *const plan = &slot->plan;
	bool must_fail;

	if (spot_explains(device, plan, result, &must_fail))
		return true;
	if (result == -EIO && atomic_load(&world->power_failed))
		return true;
	if (result == -EOPNOTSUPP && (plan->flags & BDUS_REQUEST_FAST_ONLY) &&
	    !(device->attrs.flags & BDUS_DEVICE_FAST_ZERO))
		return true;
	if (must_fail)
		return false;
	if (result == 0 || fullness_explains(device, slot, result))
		return true;
	if (result == -EIO && flushes(device, plan) &&
	    atomic_load(&world->flushes_failed) > slot->flushes_failed_before) {
		world->flush_failures_seen++;
		return true;
	}
	return false;
}

static bool result_is_right(struct bdus_transport_device *device, const struct sim_slot *slot)
{
	const struct sim_plan *const plan = &slot->plan;
	const int result = slot->io.result;
	const bool writes = sim_op_writes(plan->op);
	const bool read_only = device->attrs.flags & BDUS_DEVICE_READ_ONLY;

	switch (plan->expectation) {
	case SIM_EXPECT_BAD_RANGE:
		return result == -EINVAL || (writes && result == -ENOSPC) ||
		       (writes && read_only && result == -EPERM) ||
		       (!(device->attrs.ops & BDUS_OP_BIT(plan->op)) && result == -EOPNOTSUPP);
	case SIM_EXPECT_READ_ONLY:
		return result == -EPERM;
	case SIM_EXPECT_UNSUPPORTED:
		return result == -EOPNOTSUPP;
	case SIM_EXPECT_SERVICE:
		return service_result_is_right(device, slot, result);
	}
	return false;
}

/* ---- data ---------------------------------------------------------------------------------- */

static void check_read(struct bdus_transport_device *device, struct sim_slot *slot)
{
	const struct sim_plan *const plan = &slot->plan;
	const bool succeeded = slot->io.result == 0;
	char why[448];

	/* Lent memory may change while it is looked at. */
	if (succeeded && slot->io.request.data != slot->payload)
		memcpy(slot->payload, slot->io.request.data, plan->length_bytes);
	if (!sim_model_end_read(device->world->model, plan->offset_bytes, plan->length_bytes,
				succeeded ? slot->payload : NULL, slot->issued, why, sizeof(why)))
		fail(device, slot, why);
	if (succeeded)
		device->world->verified_bytes += plan->length_bytes;
}

/** One extent of an answer; false when it makes no sense. @offset is where it starts. */
static bool check_extent(struct bdus_transport_device *device, struct sim_slot *slot,
			 const struct bdus_extent *extent, uint64_t offset)
{
	const struct sim_plan *const plan = &slot->plan;
	const uint64_t end = plan->offset_bytes + plan->length_bytes;
	uint64_t nonzero;

	if (extent->length_bytes == 0 ||
	    extent->length_bytes % device->attrs.logical_block_size != 0 ||
	    !base_range_within(offset, extent->length_bytes, device->attrs.size_bytes)) {
		fail(device, slot, "an extent is empty, unaligned, or ends past the device");
		return false;
	}
	if (offset >= end) {
		fail(device, slot, "an extent starts past the end of the range");
		return false;
	}
	if (device->world->model != NULL && (extent->flags & BDUS_EXTENT_ZERO) &&
	    sim_model_find_nonzero(device->world->model, offset,
				   base_min(extent->length_bytes, end - offset), slot->issued,
				   &nonzero)) {
		fail(device, slot, "an extent is said to read as zeros, and holds data");
		return false;
	}
	return true;
}

static void check_extents(struct bdus_transport_device *device, struct sim_slot *slot)
{
	const struct bdus_request *const request = &slot->io.request;
	uint64_t offset = slot->plan.offset_bytes;

	if (request->extent_count == 0 || request->extent_count > slot->plan.extent_capacity) {
		fail(device, slot, "the number of extents is 0 or more than there is room for");
		return;
	}
	for (unsigned i = 0; i < request->extent_count; i++) {
		if (!check_extent(device, slot, &slot->extents[i], offset))
			return;
		offset += slot->extents[i].length_bytes;
	}
}

static void end_write(struct bdus_transport_device *device, struct sim_slot *slot)
{
	const struct sim_plan *const plan = &slot->plan;
	const bool succeeded = slot->io.result == 0;
	const bool overwrites = plan->op == BDUS_OP_WRITE || plan->op == BDUS_OP_WRITE_ZEROS;

	sim_model_end_write(device->world->model, plan->offset_bytes, plan->length_bytes,
			    plan->op == BDUS_OP_WRITE ? slot->stamp : SIM_STAMP_ZERO,
			    &(struct sim_write_end){
				    .issued = slot->issued,
				    .now = device->world->now,
				    .certain = succeeded && overwrites,
				    .durable = succeeded && (plan->flags & BDUS_REQUEST_FUA),
			    });
}

static void tell_model(struct bdus_transport_device *device, struct sim_slot *slot)
{
	struct sim_model *const model = device->world->model;
	const struct sim_plan *const plan = &slot->plan;

	if (sim_op_writes(plan->op))
		end_write(device, slot);
	else if (plan->op == BDUS_OP_READ)
		check_read(device, slot);
	else if (plan->op == BDUS_OP_EXTENTS)
		sim_model_end_read(model, plan->offset_bytes, plan->length_bytes, NULL,
				   slot->issued, NULL, 0);
	else if (plan->op == BDUS_OP_FLUSH && slot->io.result == 0)
		sim_model_end_flush(model, slot->issued);
}

/** What can be checked of a request that was served, whether or not there is a model. */
static void check_served(struct bdus_transport_device *device, struct sim_slot *slot)
{
	const struct sim_world *const world = device->world;
	const struct sim_plan *const plan = &slot->plan;
	const bool succeeded = slot->io.result == 0;

	if (plan->op == BDUS_OP_WRITE &&
	    !sim_model_is_filled(world->model, slot->payload, plan->offset_bytes,
				 plan->length_bytes, slot->stamp))
		fail(device, slot, "the payload of a write was changed");
	if (plan->op == BDUS_OP_EXTENTS && succeeded)
		check_extents(device, slot);
	if (plan->op == BDUS_OP_READ && succeeded && world->reads_zeros &&
	    !sim_model_is_filled(world->model, slot->payload, plan->offset_bytes,
				 plan->length_bytes, SIM_STAMP_ZERO))
		fail(device, slot, "a device that reads as zeros gave something else");
	if (world->model != NULL)
		tell_model(device, slot);
}

static void count_answer(struct sim_world *world, const struct sim_slot *slot)
{
	if (!is_served(slot))
		world->refused++;
	else if (slot->io.result != 0)
		world->failures_seen++;
	world->answered[base_min(slot->plan.op, BDUS_OP_COUNT)]++;
}

/** A request to a zoned device, which sense was made of. */
static void check_of_zones(struct bdus_transport_device *device, struct sim_slot *slot)
{
	struct sim_world *const world = device->world;
	const char *wrong;

	/* Lent memory may change while it is looked at. */
	if (slot->plan.op == BDUS_OP_READ && slot->io.result == 0 &&
	    slot->io.request.data != slot->payload)
		memcpy(slot->payload, slot->io.request.data, slot->plan.length_bytes);
	wrong = sim_zones_answer(world->zones, slot, world->now, atomic_load(&world->power_failed));
	if (wrong != NULL)
		fail(device, slot, wrong);
	if (slot->plan.op == BDUS_OP_READ && slot->io.result == 0)
		world->verified_bytes += slot->plan.length_bytes;
}

static void check_of_disk(struct bdus_transport_device *device, struct sim_slot *slot)
{
	if (!result_is_right(device, slot))
		fail(device, slot, "the result is not the one that it must have");
	if (is_served(slot))
		check_served(device, slot);
	if (device->world->zones != NULL && slot->plan.op == BDUS_OP_FLUSH && slot->io.result == 0)
		sim_zones_end_flush(device->world->zones, slot->issued);
}

void sim_check_answer(struct bdus_transport_device *device, struct sim_slot *slot)
{
	if (device->world->zones != NULL && is_served(slot) && slot->plan.op != BDUS_OP_FLUSH)
		check_of_zones(device, slot);
	else
		check_of_disk(device, slot);
	count_answer(device->world, slot);
	device->world->now++;
}

void sim_abandon(struct bdus_transport_device *device, struct sim_slot *slot)
{
	slot->io.result = -EIO;
	if (is_served(slot) && device->world->model != NULL)
		tell_model(device, slot);
	device->world->now++;
}
