/* SPDX-License-Identifier: MIT */
/*
 * Applies the rules of split.h. The common request passes with a few compares; anything else
 * follows a plan: pieces of it, one after the other, then perhaps a flush.
 */
#include "split.h"

#include "base/bits.h"
#include "base/error.h"
#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define WRITING_OPS                                                           \
	(BDUS_OP_BIT(BDUS_OP_WRITE) | BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS) |      \
	 BDUS_OP_BIT(BDUS_OP_DISCARD) | BDUS_OP_BIT(BDUS_OP_SECURE_ERASE) |   \
	 BDUS_OP_BIT(BDUS_OP_ZONE_OPEN) | BDUS_OP_BIT(BDUS_OP_ZONE_CLOSE) |   \
	 BDUS_OP_BIT(BDUS_OP_ZONE_FINISH) | BDUS_OP_BIT(BDUS_OP_ZONE_RESET) | \
	 BDUS_OP_BIT(BDUS_OP_ZONE_RESET_ALL) | BDUS_OP_BIT(BDUS_OP_ZONE_APPEND))

/** A request on its way in pieces. Belongs to the queue's thread. */
struct bdus_plan {
	/** The piece that is on its way; its `queue` finds the way back here. */
	struct bdus_io piece;
	struct bdus_io *whole;
	const struct bdus_stage *stage;
	uint64_t done_bytes;
	uint64_t piece_bytes;
	bool flush_at_end;
	/** Set by a piece that completed while it was being submitted. */
	bool piece_returned;
	bool submitting;
	struct bdus_plan *next_free;
};

uint32_t bdus_rules_effective_ops(uint32_t native_ops, uint32_t device_flags)
{
	uint32_t ops = native_ops;

	if (native_ops & BDUS_OP_BIT(BDUS_OP_WRITE))
		ops |= BDUS_OP_BIT(BDUS_OP_WRITE_ZEROS);
	if (native_ops & BDUS_OP_BIT(BDUS_OP_READ))
		ops |= BDUS_OP_BIT(BDUS_OP_EXTENTS);
	if (native_ops & BDUS_OP_BIT(BDUS_OP_ZONE_RESET))
		ops |= BDUS_OP_BIT(BDUS_OP_ZONE_RESET_ALL);
	if (device_flags & BDUS_DEVICE_READ_ONLY)
		ops &= ~WRITING_OPS;
	return ops;
}

/** How @op goes down when the driver does not take it itself. */
static enum bdus_rule_action substitute(unsigned op, uint32_t native_ops)
{
	switch (op) {
	case BDUS_OP_FLUSH:
		return BDUS_RULE_NOTHING_TO_DO;
	case BDUS_OP_WRITE_ZEROS:
		return native_ops & BDUS_OP_BIT(BDUS_OP_WRITE) ? BDUS_RULE_ZEROS_BY_WRITING
							       : BDUS_RULE_UNSUPPORTED;
	case BDUS_OP_EXTENTS:
		return native_ops & BDUS_OP_BIT(BDUS_OP_READ) ? BDUS_RULE_ALL_ALLOCATED
							      : BDUS_RULE_UNSUPPORTED;
	case BDUS_OP_ZONE_RESET_ALL:
		return native_ops & BDUS_OP_BIT(BDUS_OP_ZONE_RESET) ? BDUS_RULE_RESET_EACH_ZONE
								    : BDUS_RULE_UNSUPPORTED;
	default:
		return BDUS_RULE_UNSUPPORTED;
	}
}

static bool is_zone_op(unsigned op)
{
	return op >= BDUS_OP_ZONE_REPORT && op <= BDUS_OP_ZONE_APPEND;
}

static uint64_t longest_piece(unsigned op, const struct bdus_device_attrs *attrs)
{
	switch (op) {
	case BDUS_OP_READ:
	case BDUS_OP_WRITE:
		return attrs->max_transfer_bytes;
	case BDUS_OP_WRITE_ZEROS:
		return attrs->max_write_zeros_bytes;
	case BDUS_OP_DISCARD:
	case BDUS_OP_SECURE_ERASE:
		return attrs->max_discard_bytes;
	case BDUS_OP_ZONE_APPEND:
		return attrs->max_append_bytes;
	case BDUS_OP_ZONE_RESET_ALL:
		return attrs->zone_size_bytes;
	default:
		return UINT64_MAX;
	}
}

static struct bdus_rule make_rule(unsigned op, const struct bdus_device_attrs *attrs,
				  uint32_t native_ops)
{
	const bool read_only = attrs->flags & BDUS_DEVICE_READ_ONLY;
	const bool flush_for_fua =
		!(attrs->flags & BDUS_DEVICE_FUA) && (native_ops & BDUS_OP_BIT(BDUS_OP_FLUSH));
	struct bdus_rule rule = {
		.action = is_zone_op(op) ? BDUS_RULE_ZONE : BDUS_RULE_PASS,
		.max_bytes = longest_piece(op, attrs),
		.hidden_flags = flush_for_fua ? BDUS_REQUEST_FUA : 0,
	};

	if (!(native_ops & BDUS_OP_BIT(op)))
		rule.action = substitute(op, native_ops);
	if (read_only && (WRITING_OPS & BDUS_OP_BIT(op)))
		rule.action = BDUS_RULE_READ_ONLY;
	if (rule.action == BDUS_RULE_ZEROS_BY_WRITING)
		rule.max_bytes = attrs->max_transfer_bytes;
	return rule;
}

int bdus_rules_init(struct bdus_rules *rules, const struct bdus_device_attrs *attrs,
		    uint32_t native_ops)
{
	*rules = (struct bdus_rules){
		.size_bytes = attrs->size_bytes,
		.block_mask = attrs->logical_block_size - 1,
		.zone_mask = attrs->zone_size_bytes - 1,
		.sequential_start_bytes = attrs->conventional_zones * attrs->zone_size_bytes,
	};
	for (unsigned op = 0; op < BDUS_OP_COUNT; op++)
		rules->rule[op] = make_rule(op, attrs, native_ops);
	if (rules->rule[BDUS_OP_WRITE_ZEROS].action != BDUS_RULE_ZEROS_BY_WRITING)
		return 0;

	/* Never written to: every page of it is the system's page of zeros. */
	rules->zeros_bytes = attrs->max_transfer_bytes;
	rules->zeros =
		mmap(NULL, rules->zeros_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (rules->zeros == MAP_FAILED) {
		rules->zeros = NULL;
		return base_error_errno(errno, "cannot map %zu bytes of zeros", rules->zeros_bytes);
	}
	return 0;
}

void bdus_rules_finish(struct bdus_rules *rules)
{
	if (rules->zeros != NULL)
		munmap(rules->zeros, rules->zeros_bytes);
	rules->zeros = NULL;
}

void bdus_plans_free(struct bdus_queue *queue)
{
	while (queue->free_plans != NULL) {
		struct bdus_plan *const plan = queue->free_plans;

		queue->free_plans = plan->next_free;
		free(plan);
	}
}

static struct bdus_plan *plan_get(struct bdus_queue *queue)
{
	struct bdus_plan *const plan = queue->free_plans;

	if (plan == NULL)
		return malloc(sizeof(*plan));
	queue->free_plans = plan->next_free;
	return plan;
}

static void plan_end(struct bdus_queue *queue, struct bdus_plan *plan, int result)
{
	struct bdus_io *const whole = plan->whole;

	plan->next_free = queue->free_plans;
	queue->free_plans = plan;
	bdus_queue_refuse(queue, whole, result);
}

void bdus_io_prepare_part(struct bdus_io *piece, const struct bdus_request *whole, unsigned flags,
			  uint64_t skip_bytes, uint64_t length_bytes)
{
	bdus_io_prepare(piece, whole->op, flags, whole->offset_bytes + skip_bytes, length_bytes,
			whole->data ? (char *)whole->data + skip_bytes : NULL);
	piece->request.payload_buffer = whole->payload_buffer;
	piece->request.payload_offset_bytes = whole->payload_offset_bytes + skip_bytes;
}

/** Makes the next piece; false when the whole request is done. */
static bool plan_next_piece(struct bdus_plan *plan)
{
	const struct bdus_request *const whole = &plan->whole->request;
	const struct bdus_rules *const rules = &plan->stage->rules;
	const struct bdus_rule *const rule = &rules->rule[whole->op];
	const uint64_t left = whole->length_bytes - plan->done_bytes;
	/* The pieces' answers must end up behind one another, in the payload of the whole. */
	const unsigned flags =
		whole->flags & ~((unsigned)rule->hidden_flags | BDUS_REQUEST_MAY_LEND);
	const uint64_t offset = whole->offset_bytes + plan->done_bytes;

	if (left == 0) {
		if (!plan->flush_at_end)
			return false;
		plan->flush_at_end = false;
		plan->piece_bytes = 0;
		bdus_io_prepare(&plan->piece, BDUS_OP_FLUSH, 0, 0, 0, NULL);
		return true;
	}
	plan->piece_bytes = base_min(left, rule->max_bytes);
	if (rule->action == BDUS_RULE_ZEROS_BY_WRITING)
		bdus_io_prepare(&plan->piece, BDUS_OP_WRITE, flags & BDUS_REQUEST_FUA, offset,
				plan->piece_bytes, rules->zeros);
	else if (rule->action == BDUS_RULE_RESET_EACH_ZONE)
		bdus_io_prepare(&plan->piece, BDUS_OP_ZONE_RESET, 0, offset, plan->piece_bytes,
				NULL);
	else
		bdus_io_prepare_part(&plan->piece, whole, flags, plan->done_bytes,
				     plan->piece_bytes);
	return true;
}

/** Notes that the piece that was on its way is done. */
static void take_piece(struct bdus_plan *plan)
{
	if (plan->piece.request.op == BDUS_OP_ZONE_APPEND)
		plan->whole->request.append_offset_bytes = plan->piece.request.append_offset_bytes;
	plan->done_bytes += plan->piece_bytes;
}

/** Sends pieces for as long as they complete at once. */
static void plan_go_on(struct bdus_queue *queue, struct bdus_plan *plan)
{
	while (plan_next_piece(plan)) {
		plan->piece_returned = false;
		plan->submitting = true;
		bdus_queue_pass(queue, plan->stage, &plan->piece);
		plan->submitting = false;
		if (!plan->piece_returned)
			return;
		if (plan->piece.result != 0) {
			plan_end(queue, plan, plan->piece.result);
			return;
		}
		take_piece(plan);
	}
	plan_end(queue, plan, 0);
}

static void piece_finished(struct bdus_io *piece)
{
	struct bdus_plan *const plan = base_container_of(piece, struct bdus_plan, piece);
	struct bdus_queue *const queue = piece->queue;

	plan->piece_returned = true;
	if (plan->submitting)
		return;
	if (piece->result != 0) {
		plan_end(queue, plan, piece->result);
		return;
	}
	take_piece(plan);
	plan_go_on(queue, plan);
}

static void follow_plan(struct bdus_queue *queue, const struct bdus_stage *stage,
			struct bdus_io *io, uint64_t skip_bytes, bool flush_at_end)
{
	struct bdus_plan *const plan = plan_get(queue);

	if (plan == NULL) {
		bdus_queue_refuse(queue, io, -ENOMEM);
		return;
	}
	bdus_io_init(&plan->piece);
	plan->piece.finished = piece_finished;
	plan->piece.fetched_ns = io->fetched_ns;
	plan->whole = io;
	plan->stage = stage;
	plan->done_bytes = skip_bytes;
	plan->flush_at_end = flush_at_end;
	plan_go_on(queue, plan);
}

static void answer_all_allocated(struct bdus_queue *queue, struct bdus_io *io)
{
	io->request.extents[0] = (struct bdus_extent){.length_bytes = io->request.length_bytes};
	io->request.extent_count = 1;
	bdus_queue_refuse(queue, io, 0);
}

/** The device may be resized meanwhile, by the thread of queue 0. */
static inline uint64_t size_of(const struct bdus_rules *rules)
{
	return __atomic_load_n(&rules->size_bytes, __ATOMIC_RELAXED);
}

/** Whether the range of @request is one that the device has. */
static inline bool range_is_valid(const struct bdus_rules *rules,
				  const struct bdus_request *request)
{
	return request->length_bytes != 0 &&
	       ((request->offset_bytes | request->length_bytes) & rules->block_mask) == 0 &&
	       base_range_within(request->offset_bytes, request->length_bytes, size_of(rules));
}

static bool has_range(unsigned op)
{
	return op != BDUS_OP_FLUSH && op != BDUS_OP_IOCTL;
}

/** Writing past the end is lack of space, as NBD has it; any other bad range makes no sense. */
static int bad_range_result(const struct bdus_rules *rules, const struct bdus_request *request)
{
	const bool writes = request->op == BDUS_OP_WRITE || request->op == BDUS_OP_WRITE_ZEROS;
	const bool past_end =
		!base_range_within(request->offset_bytes, request->length_bytes, size_of(rules));

	return writes && past_end ? -ENOSPC : -EINVAL;
}

/** Whether the operation on zones can have this range, which is one that the device has. */
static bool zone_range_is_valid(const struct bdus_rules *rules, const struct bdus_request *request)
{
	if ((request->offset_bytes & rules->zone_mask) != 0)
		return false;
	switch (request->op) {
	case BDUS_OP_ZONE_APPEND:
		return request->length_bytes <= rules->rule[BDUS_OP_ZONE_APPEND].max_bytes;
	case BDUS_OP_ZONE_REPORT:
		return (request->length_bytes & rules->zone_mask) == 0 &&
		       request->zone_capacity != 0;
	case BDUS_OP_ZONE_RESET_ALL:
		return request->offset_bytes == 0 && request->length_bytes == rules->size_bytes;
	default:
		return request->length_bytes == rules->zone_mask + 1;
	}
}

/** An append that a driver that died may have carried out would write its data once more. */
static bool must_not_run_twice(const struct bdus_request *request)
{
	return request->op == BDUS_OP_ZONE_APPEND && (request->flags & BDUS_REQUEST_RETRIED);
}

static void apply_to_zones(struct bdus_queue *queue, const struct bdus_stage *stage,
			   struct bdus_io *io)
{
	const struct bdus_rules *const rules = &stage->rules;
	const struct bdus_rule *const rule = &rules->rule[io->request.op];

	if (!zone_range_is_valid(rules, &io->request))
		bdus_queue_refuse(queue, io, -EINVAL);
	else if (must_not_run_twice(&io->request))
		bdus_queue_refuse(queue, io, -EIO);
	else if (rule->action == BDUS_RULE_RESET_EACH_ZONE)
		follow_plan(queue, stage, io, rules->sequential_start_bytes, false);
	else if (io->request.flags & rule->hidden_flags & BDUS_REQUEST_FUA)
		follow_plan(queue, stage, io, 0, true);
	else
		bdus_queue_pass(queue, stage, io);
}

static void apply_unusual(struct bdus_queue *queue, const struct bdus_stage *stage,
			  struct bdus_io *io)
{
	const struct bdus_rule *const rule = &stage->rules.rule[io->request.op];
	const bool hidden_fua = io->request.flags & rule->hidden_flags & BDUS_REQUEST_FUA;

	switch (rule->action) {
	case BDUS_RULE_UNSUPPORTED:
		bdus_queue_refuse(queue, io, -EOPNOTSUPP);
		return;
	case BDUS_RULE_READ_ONLY:
		bdus_queue_refuse(queue, io, -EPERM);
		return;
	case BDUS_RULE_NOTHING_TO_DO:
		bdus_queue_refuse(queue, io, 0);
		return;
	case BDUS_RULE_ALL_ALLOCATED:
		answer_all_allocated(queue, io);
		return;
	case BDUS_RULE_ZEROS_BY_WRITING:
		if (io->request.flags & BDUS_REQUEST_FAST_ONLY) {
			bdus_queue_refuse(queue, io, -EOPNOTSUPP);
			return;
		}
		break;
	case BDUS_RULE_ZONE:
	case BDUS_RULE_RESET_EACH_ZONE:
		apply_to_zones(queue, stage, io);
		return;
	case BDUS_RULE_PASS:
		break;
	}
	follow_plan(queue, stage, io, 0, hidden_fua);
}

void bdus_rules_apply(struct bdus_queue *queue, const struct bdus_stage *stage, struct bdus_io *io)
{
	const struct bdus_request *const request = &io->request;
	const struct bdus_rule *rule;

	if (base_unlikely(request->op >= BDUS_OP_COUNT)) {
		bdus_queue_refuse(queue, io, -EOPNOTSUPP);
		return;
	}
	rule = &stage->rules.rule[request->op];
	if (base_unlikely(!range_is_valid(&stage->rules, request) && has_range(request->op))) {
		bdus_queue_refuse(queue, io, bad_range_result(&stage->rules, request));
		return;
	}
	if (base_likely(rule->action == BDUS_RULE_PASS &&
			request->length_bytes <= rule->max_bytes &&
			(request->flags & rule->hidden_flags) == 0))
		bdus_queue_pass(queue, stage, io);
	else
		apply_unusual(queue, stage, io);
}
