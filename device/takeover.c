/* SPDX-License-Identifier: MIT */
/*
 * From a device that another process serves, or served, to one that this process may adopt.
 *
 *	held by its driver ──ask──▶ handing over ──let go──▶ nobody's ──claim──▶ ours
 *	                                 │ it took too long, and is served on
 *	                                 ▼
 *	                              -ETIMEDOUT
 */
#include "takeover.h"

#include "base/bits.h"
#include "base/error.h"
#include "device/control.h"
#include "device/wait.h"
#include "split.h"
#include "transports.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define POLL_INTERVAL_MS 5

/** What says how a driver takes requests, and nothing to clients that it could not take back. */
#define OWN_FLAGS ((uint32_t)(BDUS_DEVICE_FUA | BDUS_DEVICE_ANY_PAYLOAD | BDUS_DEVICE_FAST_ZERO))

/* ---- claiming ------------------------------------------------------------------------------ */

static int refuse_unrecoverable(uint64_t id)
{
	return base_error(EOPNOTSUPP,
			  "device %" PRIu64
			  " cannot be given another driver: it was not made recoverable",
			  id);
}

/** What clients come to, so that they find somebody there all the time. */
static void take_sockets(uint64_t id, uint64_t deadline_ns, struct bdus_handed *handed)
{
	while (handed->count < BDUS_HANDED_SOCKETS &&
	       bdus_control_socket(id, handed->count, deadline_ns, &handed->fds[handed->count]) ==
		       0)
		handed->count++;
}

void bdus_handed_close(struct bdus_handed *handed)
{
	for (unsigned i = 0; i < handed->count; i++) {
		if (handed->fds[i] >= 0)
			close(handed->fds[i]);
	}
	handed->count = 0;
}

void bdus_takeover_give_up(const struct bdus_device_info *info, struct bdus_handed *handed)
{
	const struct bdus_transport *const transport = bdus_transport_find(info->transport);

	bdus_handed_close(handed);
	if (transport != NULL && transport->await_end != NULL)
		transport->await_end(info->id);
}

/** What is found out while a device is claimed. */
struct claim {
	struct bdus_handed *handed;
	/** It was not recoverable, but for the time between the two drivers. */
	bool ends_with_driver;
};

static int announce(const struct bdus_device_info *info, struct bdus_handed *handed)
{
	const struct bdus_transport *const transport = bdus_transport_find(info->transport);

	if (transport == NULL || transport->announce == NULL)
		return refuse_unrecoverable(info->id);
	return transport->announce(info->id, handed);
}

/** Asks the process that holds the record. That it is just gone is no error. */
static int ask_holder(uint64_t id, unsigned flags, uint64_t deadline_ns, struct claim *claim)
{
	struct bdus_device_info info;
	int result = bdus_registry_read(id, &info);

	if (result <= 0)
		return result;
	if (info.state == BDUS_STATE_ORPHANED)
		return 0;
	if (info.state == BDUS_STATE_RECOVERING)
		return base_error(EBUSY, "process %d is just taking over device %" PRIu64, info.pid,
				  id);
	if (flags & BDUS_RERUN_ORPHAN_ONLY)
		return base_error(EBUSY, "device %" PRIu64 " has a driver, process %d", id,
				  info.pid);
	claim->ends_with_driver = !(info.flags & BDUS_DEVICE_RECOVERABLE);
	if (claim->ends_with_driver)
		result = announce(&info, claim->handed);
	if (result < 0)
		return result;
	take_sockets(id, deadline_ns, claim->handed);
	result = bdus_control_hand_over(id, deadline_ns, NULL, NULL);
	return result == -ENOENT || result == -ECONNRESET ? 0 : result;
}

static int check_claimed(uint64_t id, const struct bdus_device_info *info)
{
	if (!(info->flags & BDUS_DEVICE_RECOVERABLE))
		return refuse_unrecoverable(id);
	if (info->state != BDUS_STATE_AVAILABLE && info->state != BDUS_STATE_RECOVERING)
		return base_error(EOPNOTSUPP,
				  "device %" PRIu64
				  " cannot be given another driver: it was %s when it lost its "
				  "own",
				  id, bdus_state_name(info->state));
	return 0;
}

/** Waits until the record is ours, asking its holder once. */
static int wait_for_record(uint64_t id, unsigned flags, struct bdus_wait *wait, struct claim *claim,
			   struct bdus_record **record)
{
	bool asked = false;
	int result;

	while ((result = bdus_registry_claim(id, record)) == -EBUSY) {
		result = asked ? 0 : ask_holder(id, flags, wait->deadline_ns, claim);
		asked = true;
		if (result == 0)
			result = bdus_wait_sleep(wait, POLL_INTERVAL_MS);
		if (result < 0)
			return result;
	}
	if (result == -ENOENT)
		return base_error(ENODEV, "there is no device with id %" PRIu64, id);
	return result;
}

int bdus_takeover_claim(uint64_t id, unsigned flags, uint64_t deadline_ns,
			struct bdus_device_info *info, struct bdus_handed *handed,
			struct bdus_record **record)
{
	struct claim claim = {.handed = handed};
	struct bdus_record *claimed = NULL;
	struct bdus_device_info found;
	char waiting_for[96];
	struct bdus_wait wait;
	int result;

	snprintf(waiting_for, sizeof(waiting_for), "the driver of device %" PRIu64 " to finish",
		 id);
	bdus_wait_init(&wait, waiting_for, deadline_ns, NULL, NULL);
	result = wait_for_record(id, flags, &wait, &claim, &claimed);
	if (result < 0)
		return result;
	/* It is held now, so that its state is what was written last. */
	result = bdus_registry_read(id, &found);
	if (result == 0)
		result = base_error(ENODEV, "there is no device with id %" PRIu64, id);
	if (result > 0)
		result = check_claimed(id, &found);
	if (result < 0) {
		bdus_registry_let_go(claimed);
		return result;
	}
	if (claim.ends_with_driver)
		found.flags &= ~(uint32_t)BDUS_DEVICE_RECOVERABLE;
	*info = found;
	*record = claimed;
	return 0;
}

/* ---- whether a driver fits ----------------------------------------------------------------- */

static int must_equal(const char *driver, const struct bdus_device_info *info, const char *what,
		      uint64_t is, uint64_t has_to_be)
{
	if (is == has_to_be)
		return 0;
	return base_error(EINVAL,
			  "driver %s does not fit device %" PRIu64 ": its %s is %" PRIu64
			  ", that of the device is %" PRIu64,
			  driver, info->id, what, is, has_to_be);
}

static int check_ops(const char *driver, const struct bdus_device_info *info, uint32_t effective)
{
	/* Without a flush, a driver's writes are durable. */
	const uint32_t missing = info->ops & ~(effective | BDUS_OP_BIT(BDUS_OP_FLUSH));

	for (unsigned op = 0; op < BDUS_OP_COUNT; op++) {
		if (missing & BDUS_OP_BIT(op))
			return base_error(EINVAL,
					  "driver %s does not fit device %" PRIu64
					  ": it has no %s, which clients of the device may use",
					  driver, info->id, bdus_op_name(op));
	}
	return 0;
}

int bdus_takeover_match(const char *driver, const struct bdus_device_info *info,
			uint32_t native_ops, struct bdus_device_attrs *attrs)
{
	const uint32_t effective = bdus_rules_effective_ops(native_ops, info->flags);
	const bool only_reads = (attrs->flags & ~info->flags & BDUS_DEVICE_READ_ONLY) != 0;
	int result = must_equal(driver, info, "size", attrs->size_bytes, info->size_bytes);

	if (result == 0)
		result = must_equal(driver, info, "logical block size", attrs->logical_block_size,
				    info->logical_block_size);
	if (result == 0)
		result = must_equal(driver, info, "physical block size", attrs->physical_block_size,
				    info->physical_block_size);
	if (result == 0)
		result = must_equal(driver, info, "zone size", attrs->zone_size_bytes,
				    info->zone_size_bytes);
	if (result == 0)
		result = check_ops(driver, info, effective);
	if (result == 0 && only_reads)
		result = base_error(EINVAL,
				    "driver %s does not fit device %" PRIu64
				    ": it is read-only, and the device is not",
				    driver, info->id);
	if (result < 0)
		return result;
	attrs->ops = info->ops;
	attrs->queues = info->queues;
	attrs->queue_depth = info->queue_depth;
	attrs->flags = (info->flags & ~OWN_FLAGS) | (attrs->flags & OWN_FLAGS);
	attrs->max_transfer_bytes =
		(uint32_t)base_min(attrs->max_transfer_bytes, info->max_transfer_bytes);
	return 0;
}
