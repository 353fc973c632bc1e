/* SPDX-License-Identifier: MIT */
/*
 * Values and states of the verifier: keeping them, comparing them, joining them.
 */
#include "verify.h"

#define MAX_KEPT_BYTES (16U << 20)

/* ---- values -------------------------------------------------------------------------------- */

struct opvm_value opvm_value_nothing(void)
{
	struct opvm_value value;

	memset(&value, 0, sizeof(value));
	value.range = opvm_range_any();
	value.room = OPVM_NO_ROOM;
	return value;
}

struct opvm_value opvm_value_integer(struct opvm_range range)
{
	struct opvm_value value = opvm_value_nothing();

	value.type = OPVM_TYPE_INTEGER;
	value.range = range;
	return value;
}

struct opvm_value opvm_value_pointer(enum opvm_type type, uint32_t index)
{
	struct opvm_value value = opvm_value_nothing();

	value.type = (uint8_t)type;
	value.index = index;
	value.range = opvm_range_constant(0);
	return value;
}

int32_t opvm_value_room(const uint32_t *region_bytes, const struct opvm_value *value,
			unsigned region)
{
	int64_t room = OPVM_NO_ROOM;

	if (value->room_region == region + 1)
		room = value->room;
	if (value->range.umax <= INT32_MAX &&
	    (int64_t)region_bytes[region] - (int64_t)value->range.umax > room)
		room = (int64_t)region_bytes[region] - (int64_t)value->range.umax;
	return room < -INT32_MAX ? OPVM_NO_ROOM : (int32_t)room;
}

/* ---- keeping ------------------------------------------------------------------------------- */

/* A frame without its slots. */
#define FRAME_BYTES offsetof(struct opvm_frame, slots)

static size_t frame_bytes(const struct opvm_frame *frame)
{
	return FRAME_BYTES + frame->used * sizeof(frame->slots[0]);
}

struct opvm_kept *opvm_state_keep(struct opvm_verifier *verifier, const struct opvm_state *state)
{
	size_t bytes = sizeof(struct opvm_kept);
	struct opvm_kept *kept;
	uint8_t *to;

	for (uint32_t index = 0; index < state->frames_count; index++)
		bytes += frame_bytes(&state->frames[index]);
	if (verifier->kept_bytes + bytes > MAX_KEPT_BYTES)
		return NULL;
	kept = opvm_host_allocate(bytes);
	if (kept == NULL)
		return NULL;
	verifier->kept_bytes += bytes;
	if (verifier->kept_bytes > verifier->kept_bytes_most)
		verifier->kept_bytes_most = verifier->kept_bytes;
	kept->bytes = (uint32_t)bytes;
	kept->at = state->at;
	kept->frames_count = state->frames_count;
	memcpy(kept->region_bytes, state->region_bytes, sizeof(kept->region_bytes));
	to = (uint8_t *)kept->data;
	for (uint32_t index = 0; index < state->frames_count; index++) {
		memcpy(to, &state->frames[index], frame_bytes(&state->frames[index]));
		to += frame_bytes(&state->frames[index]);
	}
	return kept;
}

void opvm_state_restore(struct opvm_state *state, const struct opvm_kept *kept)
{
	const uint8_t *from = (const uint8_t *)kept->data;

	state->at = kept->at;
	state->frames_count = kept->frames_count;
	memcpy(state->region_bytes, kept->region_bytes, sizeof(state->region_bytes));
	for (uint32_t index = 0; index < kept->frames_count; index++) {
		struct opvm_frame *const frame = &state->frames[index];

		memcpy(frame, from, FRAME_BYTES);
		memcpy(frame->slots, from + FRAME_BYTES, frame->used * sizeof(frame->slots[0]));
		from += frame_bytes(frame);
	}
}

void opvm_kept_free(struct opvm_verifier *verifier, struct opvm_kept *kept)
{
	verifier->kept_bytes -= kept->bytes;
	opvm_host_free(kept);
}

/* ---- walking through values ---------------------------------------------------------------- */

void opvm_state_visit(struct opvm_state *state, opvm_visit visit, void *data)
{
	for (uint32_t index = 0; index < state->frames_count; index++) {
		struct opvm_frame *const frame = &state->frames[index];

		for (unsigned reg = 0; reg < OPVM_LENGTH(frame->registers); reg++)
			visit(&frame->registers[reg], data);
		for (uint32_t slot = 0; slot < frame->used; slot++)
			if (frame->slots[slot].kept_bytes != 0)
				visit(&frame->slots[slot].value, data);
	}
}

bool opvm_state_same_calls(const struct opvm_state *a, const struct opvm_state *b)
{
	if (a->frames_count != b->frames_count || a->at != b->at)
		return false;
	for (uint32_t index = 1; index < a->frames_count; index++)
		if (a->frames[index].call_at != b->frames[index].call_at ||
		    a->frames[index].function != b->frames[index].function)
			return false;
	return true;
}

/* ---- comparing ----------------------------------------------------------------------------- */

/* What stands for the id of constants, which have none. */
#define CONSTANT UINT32_MAX

/**
 * A value's id for comparing with what has an id: a constant can stand for any. *@base is what its
 * delta counts from, as far as it is known.
 */
static uint32_t id_of(const struct opvm_value *value, int32_t delta, int64_t *base)
{
	*base = 0;
	if (value->id != 0) {
		*base = (int64_t)value->delta - delta;
		return value->id;
	}
	/* Two that may be null are not known to be so together. */
	if (!opvm_range_is_constant(&value->range) || value->or_null)
		return 0;
	*base = (int64_t)(value->range.umin - (uint64_t)(int64_t)delta);
	return CONSTANT;
}

/** Whether relations that @outer has with other values hold for @inner as well. */
static bool relation_holds(struct opvm_pairs *pairs, const struct opvm_value *outer,
			   const struct opvm_value *inner)
{
	int64_t base;
	uint32_t id, index;

	if (outer->id == 0)
		return true;
	id = id_of(inner, outer->delta, &base);
	for (index = 0; index < pairs->count; index++)
		if (pairs->pairs[index].a == outer->id)
			return id != 0 && pairs->pairs[index].b == id &&
			       pairs->pairs[index].difference == base;
	if (pairs->count == OPVM_MAX_PAIRS)
		return false;
	pairs->pairs[pairs->count++] = (struct opvm_pair){outer->id, id, base, 0};
	return true;
}

static bool same_kind(const struct opvm_value *a, const struct opvm_value *b)
{
	return a->type == b->type && a->index == b->index;
}

static bool room_includes(const struct opvm_value *outer, const struct opvm_state *inner_state,
			  const struct opvm_value *inner)
{
	return outer->room_region == 0 ||
	       outer->room <=
		       opvm_value_room(inner_state->region_bytes, inner, outer->room_region - 1U);
}

static bool value_includes(struct opvm_pairs *pairs, const struct opvm_value *outer,
			   const struct opvm_state *inner_state, const struct opvm_value *inner)
{
	if (outer->type == OPVM_TYPE_NOTHING)
		return true;
	if (!same_kind(outer, inner) || (inner->or_null && !outer->or_null) ||
	    !opvm_range_includes(&outer->range, &inner->range))
		return false;
	if (outer->length_region != 0 && (outer->length_region != inner->length_region ||
					  outer->length_delta != inner->length_delta))
		return false;
	return room_includes(outer, inner_state, inner) && relation_holds(pairs, outer, inner);
}

static bool slot_includes(struct opvm_pairs *pairs, const struct opvm_slot *outer,
			  const struct opvm_state *inner_state, const struct opvm_slot *inner)
{
	if ((outer->written & ~inner->written) != 0)
		return false;
	if (outer->kept_bytes == 0) /* bytes: of an integer, never of a pointer */
		return outer->written == 0 || inner->kept_bytes == 0 ||
		       inner->value.type == OPVM_TYPE_INTEGER;
	return outer->kept_bytes == inner->kept_bytes &&
	       value_includes(pairs, &outer->value, inner_state, &inner->value);
}

static const struct opvm_slot *slot_at(const struct opvm_frame *frame, uint32_t slot)
{
	static const struct opvm_slot empty;

	return slot < frame->used ? &frame->slots[slot] : &empty;
}

static bool frame_includes(struct opvm_pairs *pairs, const struct opvm_frame *outer,
			   const struct opvm_state *inner_state, const struct opvm_frame *inner)
{
	for (unsigned reg = 0; reg < OPVM_LENGTH(outer->registers); reg++)
		if (!value_includes(pairs, &outer->registers[reg], inner_state,
				    &inner->registers[reg]))
			return false;
	for (uint32_t slot = 0; slot < outer->used; slot++)
		if (!slot_includes(pairs, &outer->slots[slot], inner_state, slot_at(inner, slot)))
			return false;
	return true;
}

bool opvm_state_includes(struct opvm_verifier *verifier, const struct opvm_state *outer,
			 const struct opvm_state *inner)
{
	struct opvm_pairs *const pairs = verifier->pairs;

	pairs->count = 0;
	for (unsigned region = 0; region < OPVM_MAX_REGIONS; region++)
		if (outer->region_bytes[region] > inner->region_bytes[region])
			return false;
	for (uint32_t index = 0; index < outer->frames_count; index++)
		if (!frame_includes(pairs, &outer->frames[index], inner, &inner->frames[index]))
			return false;
	return true;
}

/* ---- joining ------------------------------------------------------------------------------- */

static bool same_shape(const struct opvm_value *a, const struct opvm_value *b)
{
	return same_kind(a, b) && a->or_null == b->or_null;
}

bool opvm_state_same_shape(const struct opvm_state *a, const struct opvm_state *b)
{
	for (uint32_t index = 0; index < a->frames_count; index++) {
		const struct opvm_frame *const fa = &a->frames[index], *const fb =
									       &b->frames[index];
		const uint32_t slots = fa->used > fb->used ? fa->used : fb->used;

		for (unsigned reg = 0; reg < OPVM_LENGTH(fa->registers); reg++)
			if (!same_shape(&fa->registers[reg], &fb->registers[reg]))
				return false;
		for (uint32_t slot = 0; slot < slots; slot++) {
			const struct opvm_slot *const sa = slot_at(fa, slot), *const sb = slot_at(
										      fb, slot);

			if (sa->kept_bytes != sb->kept_bytes ||
			    (sa->kept_bytes != 0 && !same_shape(&sa->value, &sb->value)))
				return false;
		}
	}
	return true;
}

struct joining {
	struct opvm_verifier *verifier;
	const struct opvm_state *old;
	struct opvm_state *state;
	struct opvm_pairs *pairs;
	bool widen;
	bool give_up;
};

/** The id of two values' join: the same for pairs that stand in the same relation. */
static uint32_t joined_id(struct joining *joining, const struct opvm_value *old,
			  const struct opvm_value *value)
{
	struct opvm_pairs *const pairs = joining->pairs;
	int64_t base;
	const uint32_t id = old->id == 0 ? 0 : id_of(value, old->delta, &base);

	if (id == 0)
		return 0;
	for (uint32_t index = 0; index < pairs->count; index++) {
		const struct opvm_pair *const pair = &pairs->pairs[index];

		if (pair->a == old->id && pair->b == id && pair->difference == base)
			return pair->joined;
	}
	if (pairs->count == OPVM_MAX_PAIRS)
		return 0;
	pairs->pairs[pairs->count++] =
		(struct opvm_pair){old->id, id, base, ++joining->verifier->next_id};
	return joining->verifier->next_id;
}

/** The next lower one of few: powers of 2, 0, none. */
static int32_t widened_room(int32_t room)
{
	if (room <= 0)
		return room < 0 ? OPVM_NO_ROOM : 0;
	return (int32_t)(1U << (31 - __builtin_clz((unsigned)room)));
}

static void join_room(struct joining *joining, const struct opvm_value *old,
		      const struct opvm_value *value, struct opvm_value *join)
{
	const uint8_t region =
		old->room_region != 0 ? old->room_region
		: value->room_region != 0
			? value->room_region
			: (uint8_t)(old->type == OPVM_TYPE_REGION ? old->index + 1 : 0);
	int32_t old_room, room;

	join->room_region = 0;
	join->room = OPVM_NO_ROOM;
	if (region == 0)
		return;
	old_room = opvm_value_room(joining->old->region_bytes, old, region - 1U);
	room = opvm_value_room(joining->state->region_bytes, value, region - 1U);
	if (room < old_room && joining->widen)
		room = widened_room(room);
	else if (old_room < room)
		room = old_room;
	if (room != OPVM_NO_ROOM) {
		join->room_region = region;
		join->room = room;
	}
}

static struct opvm_range join_range(const struct joining *joining, const struct opvm_range *old,
				    const struct opvm_range *range)
{
	const struct opvm_range join = opvm_range_join(old, range);

	if (!joining->widen || opvm_range_includes(old, &join))
		return join;
	if (joining->give_up)
		return opvm_range_any();
	return opvm_range_widen(old, &join, joining->verifier->thresholds,
				joining->verifier->thresholds_count);
}

static void join_value(struct joining *joining, const struct opvm_value *old,
		       struct opvm_value *value)
{
	struct opvm_value join = *value;

	if (!same_kind(old, value)) {
		*value = opvm_value_nothing();
		return;
	}
	join.or_null = old->or_null || value->or_null;
	join.range = join_range(joining, &old->range, &value->range);
	join_room(joining, old, value, &join);
	if (old->length_region != value->length_region || old->length_delta != value->length_delta)
		join.length_region = 0;
	join.id = joined_id(joining, old, value);
	join.delta = old->delta;
	/* One that may be null on one side only must not be taken for its copies. */
	if (old->or_null != value->or_null)
		join.id = 0;
	*value = join;
}

static void join_slot(struct joining *joining, const struct opvm_slot *old, struct opvm_slot *slot)
{
	const bool pointers = (old->kept_bytes != 0 && old->value.type != OPVM_TYPE_INTEGER) ||
			      (slot->kept_bytes != 0 && slot->value.type != OPVM_TYPE_INTEGER);

	slot->written &= old->written;
	if (slot->kept_bytes == old->kept_bytes && slot->kept_bytes != 0)
		join_value(joining, &old->value, &slot->value);
	else
		slot->kept_bytes = 0;
	if (slot->kept_bytes == 0 ? pointers : slot->value.type == OPVM_TYPE_NOTHING) {
		slot->kept_bytes = 0;
		slot->written = 0;
	}
}

static void join_frame(struct joining *joining, const struct opvm_frame *old,
		       struct opvm_frame *frame)
{
	for (unsigned reg = 0; reg < OPVM_LENGTH(frame->registers); reg++)
		join_value(joining, &old->registers[reg], &frame->registers[reg]);
	for (uint32_t slot = 0; slot < frame->used; slot++)
		join_slot(joining, slot_at(old, slot), &frame->slots[slot]);
}

void opvm_state_join(struct opvm_verifier *verifier, const struct opvm_state *old,
		     struct opvm_state *state, bool widen, bool give_up)
{
	struct joining joining;

	joining.verifier = verifier;
	joining.old = old;
	joining.state = state;
	joining.pairs = verifier->pairs;
	joining.pairs->count = 0;
	joining.widen = widen;
	joining.give_up = give_up;
	for (uint32_t index = 0; index < state->frames_count; index++)
		join_frame(&joining, &old->frames[index], &state->frames[index]);
	/* Last, as rooms were told by what each had. */
	for (unsigned region = 0; region < OPVM_MAX_REGIONS; region++)
		if (old->region_bytes[region] < state->region_bytes[region])
			state->region_bytes[region] = old->region_bytes[region];
}
