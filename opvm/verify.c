/* SPDX-License-Identifier: MIT */
/*
 * The verifier: walks through a program with what is known of each register, until nothing new can
 *be learnt or something is not proven.
 *
 * States are kept at every instruction that a jump goes to. A walk that arrives there with a state
 * that a kept one includes, ends. Otherwise
 *
 *	at the head of a loop   it is joined with the kept state of the same shape, and ends of
 *	                        intervals that have moved go to the next constant of the program
 *	                        (widening), so that a few rounds settle a loop of any length;
 *	elsewhere               it is kept as well, up to KEPT_MOST of them, and then joined.
 *
 * The condition of a loop narrows what was widened, which is all that induction variables need:
 *counting up or down, to an end by ==, !=, < or >, or by a comparison with a region's end.
 *
 * Where that loses too much, so that the program would be refused, a second pass walks loops round
 *by round without joining anything, as long as its steps last. What it does not refuse is proven.
 * Termination plays no part in either: lowering makes every jump backwards use up fuel.
 *
 * Time and memory are bounded by the limit of steps, and by that of kept bytes (state.c).
 */
#include "verify.h"
#include "compute.h"

#define KEPT_MOST      8
#define WALKED_KEPT    24
#define WIDENED_MOST   24
#define STEPS          2000000U
#define MAX_THRESHOLDS 192
#define FAR            (1LL << 62)

/* What is marked of an instruction. */
enum mark {
	MARK_TARGET = 1 << 0,
	MARK_LOOP = 1 << 1
};

static struct opvm_value *register_of(struct opvm_verifier *verifier, unsigned reg)
{
	return &opvm_top(verifier->state)->registers[reg];
}

static uint32_t new_id(struct opvm_verifier *verifier)
{
	return ++verifier->next_id;
}

/* ---- before the walk ----------------------------------------------------------------------- */

static int collect_regions(struct opvm_verifier *verifier)
{
	const struct opvm_context *const context = verifier->environment->context;

	for (uint32_t index = 0; context != NULL && index < context->fields_count; index++) {
		const struct opvm_field *const field = &context->fields[index];
		struct opvm_region *const region = &verifier->regions[field->region];

		if (field->kind != OPVM_FIELD_REGION)
			continue;
		*region = (struct opvm_region){field->name, field->region_min_bytes,
					       field->region_max_bytes,
					       (field->flags & OPVM_FIELD_WRITABLE) != 0, true};
	}
	for (uint32_t index = 0; context != NULL && index < context->fields_count; index++) {
		const struct opvm_field *const field = &context->fields[index];

		if (field->kind != OPVM_FIELD_INTEGER && !verifier->regions[field->region].declared)
			return opvm_fail(verifier->log, EINVAL,
					 "field %s of context %s: region %u has no first byte\n",
					 field->name, context->name, field->region);
	}
	return 0;
}

static void add_threshold(struct opvm_verifier *verifier, uint64_t value)
{
	for (uint32_t index = 0; index < verifier->thresholds_count; index++)
		if (verifier->thresholds[index] == value)
			return;
	if (verifier->thresholds_count < MAX_THRESHOLDS)
		verifier->thresholds[verifier->thresholds_count++] = value;
}

/** A constant, and what is beside it: where a loop ends by !=, that is as far as it goes. */
static void add_ends(struct opvm_verifier *verifier, uint64_t value)
{
	add_threshold(verifier, value);
	add_threshold(verifier, value - 1);
	add_threshold(verifier, value + 1);
}

/** Ends that loops may have: constants of comparisons and moves, and ends of types. */
static void collect_thresholds(struct opvm_verifier *verifier)
{
	static const uint64_t usual[] = {0,         1,          UINT8_MAX, UINT16_MAX,
					 INT32_MAX, UINT32_MAX, INT64_MAX, (uint64_t)-1};
	const struct opvm_source *const source = verifier->source;

	for (unsigned index = 0; index < OPVM_LENGTH(usual); index++)
		add_threshold(verifier, usual[index]);
	for (unsigned region = 0; region < OPVM_MAX_REGIONS; region++)
		add_threshold(verifier, verifier->regions[region].max_bytes);
	for (uint32_t at = 0; at < source->count; at++) {
		const uint8_t row = verifier->rows[at];
		const struct opvm_instruction *const instruction = &source->instructions[at];

		if (row == OPVM_SECOND_HALF)
			continue;
		if (row == OPVM_OP_LDDW)
			add_ends(verifier, opvm_wide(instruction));
		else if (opvm_shapes[row].group == OPVM_GROUP_JUMP_K || row == OPVM_OP_MOV64_K ||
			 row == OPVM_OP_MOV32_K)
			add_ends(verifier, (uint64_t)(int64_t)instruction->immediate);
	}
}

static void mark_targets(struct opvm_verifier *verifier)
{
	for (uint32_t at = 0; at < verifier->source->count; at++) {
		const uint8_t row = verifier->rows[at];
		int64_t target;

		if (!opvm_is_jump(row))
			continue;
		target = opvm_target(&verifier->source->instructions[at], row, at);
		verifier->marks[target] |= MARK_TARGET;
		if (target <= at)
			verifier->marks[target] |= MARK_LOOP;
	}
}

/* ---- live registers ------------------------------------------------------------------------ */

static void uses_and_sets(const struct opvm_instruction *instruction, uint8_t row, unsigned *uses,
			  unsigned *sets)
{
	const struct opvm_shape *const shape = &opvm_shapes[row];
	const unsigned dst = 1U << opvm_dst(instruction), src = 1U << opvm_src(instruction);

	*uses = shape->form & OPVM_FORM_S ? src : 0;
	*sets = 0;
	switch (shape->group) {
	case OPVM_GROUP_ALU_K:
	case OPVM_GROUP_ALU_X:
		*sets = dst;
		if (shape->operation < OPVM_DO_MOV || shape->operation > OPVM_DO_MOVSX32)
			*uses |= dst;
		break;
	case OPVM_GROUP_LOAD:
	case OPVM_GROUP_WIDE:
		*sets = dst;
		break;
	case OPVM_GROUP_CALL: /* r1 to r5 may be arguments, and are gone afterwards */
		*uses = 0x3e | (row == OPVM_OP_CALLX ? dst : 0);
		*sets = 0x3f;
		break;
	case OPVM_GROUP_EXIT:
		*uses = 1;
		break;
	case OPVM_GROUP_ATOMIC:
		*uses |= dst | (shape->operation == OPVM_DO_CMPXCHG ? 1 : 0);
		break;
	default:
		*uses |= shape->form & OPVM_FORM_D ? dst : 0;
		break;
	}
}

/** What is live before an instruction, from what is live after it. */
static uint16_t live_before(const struct opvm_verifier *verifier, uint32_t at)
{
	const uint32_t count = verifier->source->count;
	const uint8_t row = verifier->rows[at];
	const struct opvm_instruction *const instruction = &verifier->source->instructions[at];
	const uint32_t next = at + (opvm_shapes[row].group == OPVM_GROUP_WIDE ? 2 : 1);
	unsigned after = 0, uses, sets;

	if (row != OPVM_OP_EXIT && opvm_shapes[row].group != OPVM_GROUP_JUMP && next < count)
		after |= verifier->live[next];
	if (opvm_is_jump(row))
		after |= verifier->live[opvm_target(instruction, row, at)];
	uses_and_sets(instruction, row, &uses, &sets);
	return (uint16_t)((after & ~sets) | uses);
}

static void find_live(struct opvm_verifier *verifier)
{
	bool changed = true;

	/* Loops need another round each; what is not settled then counts as live. */
	for (unsigned round = 0; changed && round < 16; round++) {
		changed = false;
		for (uint32_t at = verifier->source->count; at-- > 0;) {
			uint16_t live;

			if (verifier->rows[at] == OPVM_SECOND_HALF)
				continue;
			live = live_before(verifier, at);
			changed |= live != verifier->live[at];
			verifier->live[at] = live;
		}
	}
	for (uint32_t at = 0; changed && at < verifier->source->count; at++)
		verifier->live[at] = 0x7ff;
}

static void forget_dead(struct opvm_verifier *verifier)
{
	const uint16_t live = verifier->live[verifier->state->at];

	for (unsigned reg = 0; reg < 10; reg++)
		if (!(live & 1U << reg))
			*register_of(verifier, reg) = opvm_value_nothing();
}

/* ---- arithmetic ---------------------------------------------------------------------------- */

static bool is_near(const struct opvm_range *range)
{
	return range->smin > -FAR && range->smax < FAR;
}

static bool is_pointer(const struct opvm_value *value)
{
	return value->type != OPVM_TYPE_INTEGER && value->type != OPVM_TYPE_NOTHING;
}

/** Forgets relations with other values. */
static void unrelate(struct opvm_value *value)
{
	value->id = 0;
	value->delta = 0;
	value->room_region = 0;
	value->room = OPVM_NO_ROOM;
	value->length_region = 0;
	value->length_delta = 0;
}

/** Moves @number by a small constant, to which its relations are moved, too. */
static void shift_relations(struct opvm_value *value, int64_t by)
{
	if (by < -INT32_MAX / 4 || by > INT32_MAX / 4 || value->delta > INT32_MAX / 2 ||
	    value->delta < -INT32_MAX / 2 || value->length_delta > INT32_MAX / 2 ||
	    value->length_delta < -INT32_MAX / 2 ||
	    (value->room_region != 0 &&
	     (value->room > INT32_MAX / 2 || value->room < -INT32_MAX / 2))) {
		unrelate(value);
		return;
	}
	value->delta += (int32_t)by;
	if (value->length_region != 0)
		value->length_delta += (int32_t)by;
	if (value->room_region != 0)
		value->room -= (int32_t)by;
}

/** dst + constant, or dst - constant as its negative: relations survive. */
static void add_constant(struct opvm_verifier *verifier, struct opvm_value *dst, int64_t by,
			 const struct opvm_range *result)
{
	if (dst->id == 0 && !opvm_range_is_constant(&dst->range))
		dst->id = new_id(verifier);
	if (is_near(&dst->range) && is_near(result))
		shift_relations(dst, by);
	else
		unrelate(dst);
	dst->range = *result;
}

/** pointer + integer that is not constant. The integer's relations become the pointer's. */
static void add_variable(struct opvm_value *pointer, const struct opvm_value *integer,
			 const struct opvm_range *result)
{
	const bool based = opvm_range_is_constant(&pointer->range);
	const int64_t base = pointer->range.smin;

	unrelate(pointer);
	if (based && is_near(&integer->range) && is_near(result)) {
		pointer->id = integer->id;
		pointer->delta = integer->delta;
		pointer->room_region = integer->room_region;
		pointer->room = integer->room;
		shift_relations(pointer, base);
	}
	/* Room in another region says nothing here. */
	if (pointer->type != OPVM_TYPE_REGION || pointer->room_region != pointer->index + 1) {
		pointer->room_region = 0;
		pointer->room = OPVM_NO_ROOM;
	}
	pointer->length_region = 0;
	pointer->length_delta = 0;
	pointer->range = *result;
}

static bool has_offset(const struct opvm_value *value)
{
	return value->type == OPVM_TYPE_STACK || value->type == OPVM_TYPE_CONTEXT ||
	       value->type == OPVM_TYPE_VALUE || value->type == OPVM_TYPE_REGION ||
	       value->type == OPVM_TYPE_REGION_END || value->type == OPVM_TYPE_VARIABLE;
}

static int add_to_pointer(struct opvm_verifier *verifier, enum opvm_do operation,
			  struct opvm_value *dst, const struct opvm_value *src)
{
	const struct opvm_value integer = is_pointer(dst) ? *src : *dst;
	struct opvm_value pointer = is_pointer(dst) ? *dst : *src;
	const struct opvm_range result =
		opvm_range_compute(operation, 64, &pointer.range, &integer.range);

	if (!has_offset(&pointer))
		return opvm_refuse(verifier, "no arithmetic on a map or a function");
	if (pointer.or_null)
		return opvm_refuse(verifier,
				   "the pointer to be compared with 0 before, as it may be "
				   "null");
	if (!is_near(&result))
		return opvm_refuse(verifier, "an integer that is known to be small, to add it to a "
					     "pointer");
	if (opvm_range_is_constant(&integer.range))
		add_constant(verifier, &pointer,
			     operation == OPVM_DO_SUB ? -integer.range.smin : integer.range.smin,
			     &result);
	else if (operation == OPVM_DO_ADD)
		add_variable(&pointer, &integer, &result);
	else
		unrelate(&pointer), pointer.range = result;
	*dst = pointer;
	return 0;
}

/** end - start of a region, and differences within one object. */
static int subtract_pointers(struct opvm_verifier *verifier, struct opvm_value *dst,
			     const struct opvm_value *src)
{
	struct opvm_value result = opvm_value_integer(opvm_range_any());
	const bool same = dst->type == src->type && dst->index == src->index;
	const bool length = dst->type == OPVM_TYPE_REGION_END && src->type == OPVM_TYPE_REGION &&
			    dst->index == src->index;

	if (dst->or_null || src->or_null || !has_offset(dst) || (!same && !length))
		return opvm_refuse(verifier, "two pointers to the same thing, to subtract them");
	if (same) {
		result.range = opvm_range_compute(OPVM_DO_SUB, 64, &dst->range, &src->range);
	} else if (opvm_range_is_constant(&dst->range) && opvm_range_is_constant(&src->range) &&
		   is_near(&dst->range) && is_near(&src->range)) {
		const struct opvm_range size =
			opvm_range_between(verifier->state->region_bytes[dst->index],
					   verifier->regions[dst->index].max_bytes);
		const int64_t by = dst->range.smin - src->range.smin;
		const struct opvm_range moved = opvm_range_constant((uint64_t)by);

		result.range = opvm_range_compute(OPVM_DO_ADD, 64, &size, &moved);
		result.length_region = (uint8_t)(dst->index + 1);
		shift_relations(&result, by);
		result.delta = 0;
	}
	*dst = result;
	return 0;
}

static int compute_with_pointer(struct opvm_verifier *verifier, enum opvm_do operation,
				unsigned bits, struct opvm_value *dst, const struct opvm_value *src)
{
	if (bits != 64 || (operation != OPVM_DO_ADD && operation != OPVM_DO_SUB))
		return opvm_refuse(verifier,
				   "integers; a pointer can be added to and subtracted from "
				   "with 64 bits only");
	if (is_pointer(dst) && is_pointer(src)) {
		if (operation == OPVM_DO_SUB)
			return subtract_pointers(verifier, dst, src);
		return opvm_refuse(verifier, "an integer, as two pointers cannot be added");
	}
	if (is_pointer(src) && operation == OPVM_DO_SUB)
		return opvm_refuse(verifier, "the pointer on the left to subtract");
	return add_to_pointer(verifier, operation, dst, src);
}

static void compute_integers(struct opvm_verifier *verifier, enum opvm_do operation, unsigned bits,
			     struct opvm_value *dst, const struct opvm_value *src)
{
	const struct opvm_range result =
		opvm_range_compute(operation, bits, &dst->range, &src->range);
	const bool adds = operation == OPVM_DO_ADD || operation == OPVM_DO_SUB;
	const bool whole = bits == 64 ||
			   (dst->range.umax <= INT32_MAX / 2 && src->range.smin > -INT32_MAX / 2 &&
			    src->range.smin < INT32_MAX / 2 && result.umax <= INT32_MAX);

	if (adds && whole && opvm_range_is_constant(&src->range) && is_near(&src->range)) {
		add_constant(verifier, dst,
			     operation == OPVM_DO_SUB ? -src->range.smin : src->range.smin,
			     &result);
		return;
	}
	unrelate(dst);
	dst->range = result;
}

/** A copy, which from now on is known to be one. */
static void move(struct opvm_verifier *verifier, unsigned bits, struct opvm_value *dst,
		 struct opvm_value *src)
{
	const struct opvm_range zero = opvm_range_constant(0);

	if (bits == 64 || (src->type == OPVM_TYPE_INTEGER && src->range.umax <= UINT32_MAX)) {
		if (src->id == 0 && !opvm_range_is_constant(&src->range))
			src->id = new_id(verifier);
		*dst = *src;
		return;
	}
	*dst = opvm_value_integer(opvm_range_compute(OPVM_DO_MOV, 32, &zero, &src->range));
}

static int walk_alu(struct opvm_verifier *verifier, const struct opvm_shape *shape,
		    const struct opvm_instruction *instruction)
{
	struct opvm_value *const dst = register_of(verifier, opvm_dst(instruction));
	struct opvm_value constant =
		opvm_value_integer(opvm_range_constant((uint64_t)(int64_t)instruction->immediate));
	struct opvm_value *const from = shape->group == OPVM_GROUP_ALU_K
						? &constant
						: register_of(verifier, opvm_src(instruction));
	const bool moves = shape->operation >= OPVM_DO_MOV && shape->operation <= OPVM_DO_MOVSX32;
	struct opvm_value operand;

	if (from->type == OPVM_TYPE_NOTHING || (!moves && dst->type == OPVM_TYPE_NOTHING))
		return opvm_refuse(verifier, "r%u to have a value",
				   from->type == OPVM_TYPE_NOTHING ? opvm_src(instruction)
								   : opvm_dst(instruction));
	if (moves && is_pointer(from) && (shape->operation != OPVM_DO_MOV || shape->bits != 64))
		return opvm_refuse(verifier, "an integer in r%u", opvm_src(instruction));
	if (shape->operation == OPVM_DO_MOV) {
		move(verifier, shape->bits, dst, from);
		return 0;
	}
	operand = *from;
	if (!moves && (is_pointer(dst) || is_pointer(&operand)))
		return compute_with_pointer(verifier, shape->operation, shape->bits, dst, &operand);
	if (moves)
		*dst = opvm_value_integer(opvm_range_any());
	compute_integers(verifier, shape->operation, shape->bits, dst, &operand);
	return 0;
}

static int walk_wide(struct opvm_verifier *verifier, const struct opvm_shape *shape,
		     const struct opvm_instruction *instruction)
{
	struct opvm_value *const dst = register_of(verifier, opvm_dst(instruction));
	const uint32_t index = (uint32_t)instruction->immediate;
	const uint32_t maps_count = verifier->source->maps_count;

	switch (shape->operation) {
	case OPVM_DO_IMM64:
		*dst = opvm_value_integer(opvm_range_constant(opvm_wide(instruction)));
		return 0;
	case OPVM_DO_VARIABLE:
		if (index >= verifier->environment->variables_count)
			return opvm_refuse(verifier, "a variable that there is: there are %u",
					   verifier->environment->variables_count);
		*dst = opvm_value_pointer(OPVM_TYPE_VARIABLE, index);
		return 0;
	case OPVM_DO_CODE:
		*dst = opvm_value_pointer(
			OPVM_TYPE_CODE,
			(uint32_t)opvm_target(instruction, OPVM_OP_LDDW_CODE, verifier->state->at));
		return 0;
	default:
		break;
	}
	if (index >= maps_count)
		return opvm_refuse(verifier, "a map that there is: there are %u", maps_count);
	*dst = opvm_value_pointer(OPVM_TYPE_MAP, index);
	if (shape->operation == OPVM_DO_MAP || shape->operation == OPVM_DO_MAP_FD)
		return 0;
	if (opvm_map_values(verifier->source->maps[index]) == NULL)
		return opvm_refuse(verifier, "an array for the address of a value");
	*dst = opvm_value_pointer(OPVM_TYPE_VALUE, index);
	dst->range = opvm_range_constant((uint32_t)instruction[1].immediate);
	return 0;
}

/* ---- memory -------------------------------------------------------------------------------- */

static int walk_load(struct opvm_verifier *verifier, const struct opvm_shape *shape,
		     const struct opvm_instruction *instruction)
{
	const struct opvm_range zero = opvm_range_constant(0);
	struct opvm_value result = opvm_value_nothing();
	const int error = opvm_reach(verifier, opvm_src(instruction), instruction->offset,
				     shape->bits / 8U, OPVM_ACCESS_READ, NULL, &result);
	enum opvm_do extend;

	if (error != 0)
		return error;
	if (shape->operation == OPVM_DO_LOAD_SIGNED) {
		extend = shape->bits == 8    ? OPVM_DO_MOVSX8
			 : shape->bits == 16 ? OPVM_DO_MOVSX16
					     : OPVM_DO_MOVSX32;
		result = opvm_value_integer(opvm_range_compute(extend, 64, &zero, &result.range));
	}
	*register_of(verifier, opvm_dst(instruction)) = result;
	return 0;
}

/** What memory of @bits then holds. */
static struct opvm_value stored_value(struct opvm_verifier *verifier, unsigned bits,
				      struct opvm_value *value)
{
	const uint64_t highest = bits == 64 ? UINT64_MAX : (1ULL << bits) - 1;
	const struct opvm_range mask = opvm_range_constant(highest);

	if (value->type != OPVM_TYPE_INTEGER || value->range.umax <= highest) {
		if (value->id == 0 && !opvm_range_is_constant(&value->range))
			value->id = new_id(verifier);
		return *value;
	}
	return opvm_value_integer(opvm_range_compute(OPVM_DO_AND, 64, &value->range, &mask));
}

static int walk_store(struct opvm_verifier *verifier, const struct opvm_shape *shape,
		      const struct opvm_instruction *instruction)
{
	struct opvm_value constant =
		opvm_value_integer(opvm_range_constant((uint64_t)(int64_t)instruction->immediate));
	struct opvm_value *const from = shape->group == OPVM_GROUP_STORE_K
						? &constant
						: register_of(verifier, opvm_src(instruction));
	struct opvm_value stored;

	if (from->type == OPVM_TYPE_NOTHING)
		return opvm_refuse(verifier, "r%u to have a value", opvm_src(instruction));
	stored = stored_value(verifier, shape->bits, from);
	return opvm_reach(verifier, opvm_dst(instruction), instruction->offset, shape->bits / 8U,
			  OPVM_ACCESS_WRITE, &stored, NULL);
}

/** Atomics have to be aligned, which what they point to is. */
static int check_alignment(struct opvm_verifier *verifier, const struct opvm_shape *shape,
			   const struct opvm_instruction *instruction)
{
	const struct opvm_value *const dst = register_of(verifier, opvm_dst(instruction));
	const uint64_t low = shape->bits / 8U - 1;
	const uint64_t at = dst->range.known + (uint64_t)(int64_t)instruction->offset;

	if (dst->type != OPVM_TYPE_STACK && dst->type != OPVM_TYPE_VALUE)
		return opvm_refuse(verifier, "a pointer to the stack or to a map's value in r%u",
				   opvm_dst(instruction));
	if ((dst->range.unknown & low) != 0 || (at & low) != 0)
		return opvm_refuse(verifier, "an address that is a multiple of %u",
				   shape->bits / 8U);
	return 0;
}

static int walk_atomic(struct opvm_verifier *verifier, const struct opvm_shape *shape,
		       const struct opvm_instruction *instruction)
{
	const unsigned src = opvm_src(instruction);
	const bool compares = shape->operation == OPVM_DO_CMPXCHG;
	struct opvm_value stored = opvm_value_integer(opvm_range_any());
	struct opvm_value result = opvm_value_nothing();
	int error;

	if (register_of(verifier, src)->type != OPVM_TYPE_INTEGER ||
	    (compares && register_of(verifier, 0)->type != OPVM_TYPE_INTEGER))
		return opvm_refuse(verifier, "an integer in r%u%s", src,
				   compares ? " and in r0" : "");
	error = check_alignment(verifier, shape, instruction);
	if (error == 0)
		error = opvm_reach(verifier, opvm_dst(instruction), instruction->offset,
				   shape->bits / 8U, OPVM_ACCESS_READ, NULL, &result);
	if (error == 0 && result.type != OPVM_TYPE_INTEGER)
		error = opvm_refuse(verifier, "an integer in memory");
	if (shape->bits == 32)
		stored = opvm_value_integer(opvm_range_between(0, UINT32_MAX));
	if (error == 0)
		error = opvm_reach(verifier, opvm_dst(instruction), instruction->offset,
				   shape->bits / 8U, OPVM_ACCESS_WRITE, &stored, NULL);
	if (error != 0)
		return error;
	if (compares)
		*register_of(verifier, 0) = stored;
	else if (shape->operation >= OPVM_DO_FETCH_ADD)
		*register_of(verifier, src) = stored;
	return 0;
}

/* ---- conditions ---------------------------------------------------------------------------- */

struct news {
	struct opvm_value value;
	bool is_null;
	struct opvm_state *state;
};

/** Tells a value that is related to the news' one. */
static void tell(struct opvm_value *value, void *data)
{
	const struct news *const news = data;
	const struct opvm_value *const other = &news->value;

	if (value->id == 0 || value->id != other->id)
		return;
	if (value->delta == other->delta && value->type == other->type) {
		value->range = other->range;
		value->or_null = other->or_null;
		if (news->is_null)
			*value = opvm_value_integer(opvm_range_constant(0));
	}
	if (news->is_null || other->room_region == 0)
		return;
	if (value->type == OPVM_TYPE_INTEGER ||
	    (value->type == OPVM_TYPE_REGION && value->index + 1 == other->room_region)) {
		const int64_t room = (int64_t)other->room + other->delta - value->delta;

		if ((value->room_region == other->room_region && value->room >= room) ||
		    room > INT32_MAX / 2 || room < -INT32_MAX / 2)
			return;
		value->room_region = other->room_region;
		value->room = (int32_t)room;
	}
}

static void learn_length(struct opvm_state *state, unsigned region, int64_t bytes)
{
	if (bytes > state->region_bytes[region] && bytes <= INT32_MAX)
		state->region_bytes[region] = (uint32_t)bytes;
}

/** Puts what a condition has shown of a register into the state. */
static void learn(struct opvm_state *state, unsigned reg, const struct opvm_value *value,
		  bool is_null)
{
	struct news news = {*value, is_null, state};

	opvm_top(state)->registers[reg] =
		is_null ? opvm_value_integer(opvm_range_constant(0)) : *value;
	opvm_state_visit(state, tell, &news);
	if (value->type == OPVM_TYPE_INTEGER && value->length_region != 0 &&
	    value->range.smin >= 0 && value->range.smin <= INT32_MAX)
		learn_length(state, value->length_region - 1U,
			     value->range.smin - value->length_delta);
}

/** Now number + more <= the region's length. */
static void learn_room(struct opvm_verifier *verifier, struct opvm_value *value, unsigned region,
		       int64_t more)
{
	const int64_t most = (int64_t)verifier->regions[region].max_bytes - more;
	struct opvm_range range = value->range;

	if (more > INT32_MAX / 2 || more < -INT32_MAX / 2)
		return;
	if (value->type == OPVM_TYPE_REGION ? value->index != region
					    : value->type != OPVM_TYPE_INTEGER)
		return;
	if (value->room_region != region + 1 || value->room < more) {
		value->room_region = (uint8_t)(region + 1);
		value->room = (int32_t)more;
	}
	if (range.smax > most) {
		range.smax = most;
		if (opvm_range_settle(&range))
			value->range = range;
	}
	if (opvm_range_is_constant(&value->range) && value->range.smin >= 0 &&
	    value->range.smin <= INT32_MAX)
		learn_length(verifier->state, region, value->range.smin + more);
}

/** What an order of a number and a region's end, moved by @end, says of the number's room. */
static void compare_with_end(struct opvm_verifier *verifier, enum opvm_do condition,
			     struct opvm_value *value, unsigned region, int64_t end)
{
	const int32_t room = opvm_value_room(verifier->state->region_bytes, value, region);

	switch (condition) {
	case OPVM_DO_JLT:
		learn_room(verifier, value, region, 1 - end);
		break;
	case OPVM_DO_JLE:
	case OPVM_DO_JEQ:
		learn_room(verifier, value, region, -end);
		break;
	case OPVM_DO_JNE: /* not there yet, where it cannot be beyond */
		if (room != OPVM_NO_ROOM && room == -end)
			learn_room(verifier, value, region, 1 - end);
		break;
	default:
		break;
	}
}

/** The region whose end a value is, + 1, and how far from it; 0 for none. */
static unsigned end_of(const struct opvm_value *value, int64_t *end)
{
	if (value->type == OPVM_TYPE_REGION_END && opvm_range_is_constant(&value->range) &&
	    value->range.smin > -INT32_MAX / 2 && value->range.smin < INT32_MAX / 2) {
		*end = value->range.smin;
		return value->index + 1;
	}
	if (value->type == OPVM_TYPE_INTEGER && value->length_region != 0) {
		*end = value->length_delta;
		return value->length_region;
	}
	return 0;
}

/** Signed comparisons of what has no sign are unsigned ones. */
static enum opvm_do without_sign(enum opvm_do condition, const struct opvm_value *a,
				 const struct opvm_value *b)
{
	if (a->range.smin < 0 || b->range.smin < 0)
		return condition;
	switch (condition) {
	case OPVM_DO_JSLT:
		return OPVM_DO_JLT;
	case OPVM_DO_JSLE:
		return OPVM_DO_JLE;
	case OPVM_DO_JSGT:
		return OPVM_DO_JGT;
	case OPVM_DO_JSGE:
		return OPVM_DO_JGE;
	default:
		return condition;
	}
}

static bool is_small(const struct opvm_value *value)
{
	return value->range.smin > -INT32_MAX / 2 && value->range.smax <= INT32_MAX;
}

/** Lets the operands of a condition that holds learn of regions' ends. */
static void learn_of_ends(struct opvm_verifier *verifier, enum opvm_do condition,
			  struct opvm_value *a, struct opvm_value *b)
{
	int64_t end;
	unsigned region = end_of(b, &end);
	const bool integers = a->type == OPVM_TYPE_INTEGER && b->type == OPVM_TYPE_INTEGER;

	if (integers)
		condition = without_sign(condition, a, b);
	/* An integer below 0 is above everything without sign, a pointer is below its region's end.
	 */
	if (region != 0 && is_small(a) &&
	    (!integers || (a->range.smin >= 0 && b->range.smin >= 0)) &&
	    (integers || b->type == OPVM_TYPE_REGION_END))
		compare_with_end(verifier, condition, a, region - 1, end);
	region = end_of(a, &end);
	if (region != 0 && is_small(b) &&
	    (!integers || (a->range.smin >= 0 && b->range.smin >= 0)) &&
	    (integers || a->type == OPVM_TYPE_REGION_END))
		compare_with_end(verifier, opvm_mirrored(condition), b, region - 1, end);
}

/** A comparison of 32 bits of values that have no more is one of 64. */
static unsigned effective_bits(enum opvm_do condition, unsigned bits, const struct opvm_value *a,
			       const struct opvm_value *b)
{
	const bool is_signed = condition >= OPVM_DO_JSGT && condition <= OPVM_DO_JSLT;
	const uint64_t highest = is_signed ? INT32_MAX : UINT32_MAX;

	return bits == 32 && a->range.umax <= highest && b->range.umax <= highest ? 64 : bits;
}

/**
 * Makes of the state the one in which the condition holds. Returns whether it can.
 */
static bool assume(struct opvm_verifier *verifier, enum opvm_do condition, unsigned bits,
		   const struct opvm_instruction *instruction, bool immediate)
{
	struct opvm_state *const state = verifier->state;
	const unsigned dst = opvm_dst(instruction), src = opvm_src(instruction);
	struct opvm_value a = *register_of(verifier, dst);
	struct opvm_value b = immediate ? opvm_value_integer(opvm_range_constant(
						  (uint64_t)(int64_t)instruction->immediate))
					: *register_of(verifier, src);
	const bool to_null = a.or_null && condition != OPVM_DO_JNE;

	if (is_pointer(&a) && b.type == OPVM_TYPE_INTEGER) {
		/* A null check; others know that they are not null. */
		if (!a.or_null)
			return condition == OPVM_DO_JNE;
		a.or_null = false;
		learn(state, dst, &a, to_null);
		return true;
	}
	if (a.type == OPVM_TYPE_INTEGER && b.type == OPVM_TYPE_INTEGER) {
		bits = effective_bits(condition, bits, &a, &b);
		if (!immediate && dst == src)
			return opvm_holds(condition, 0, 0) || condition == OPVM_DO_JSET ||
			       condition == OPVM_DO_JCLEAR;
		if (!opvm_range_assume(condition, bits, &a.range, &b.range))
			return false;
	}
	if (bits == 64 && (immediate || dst != src))
		learn_of_ends(verifier, condition, &a, &b);
	learn(state, dst, &a, false);
	if (!immediate)
		learn(state, src, &b, false);
	return true;
}

static int check_condition(struct opvm_verifier *verifier, const struct opvm_shape *shape,
			   const struct opvm_instruction *instruction)
{
	const bool immediate = shape->group == OPVM_GROUP_JUMP_K;
	const struct opvm_value *const a = register_of(verifier, opvm_dst(instruction));
	const struct opvm_value *const b = register_of(verifier, opvm_src(instruction));
	const bool equality = shape->operation == OPVM_DO_JEQ || shape->operation == OPVM_DO_JNE;

	if (a->type == OPVM_TYPE_NOTHING || (!immediate && b->type == OPVM_TYPE_NOTHING))
		return opvm_refuse(verifier, "r%u to have a value",
				   a->type == OPVM_TYPE_NOTHING ? opvm_dst(instruction)
								: opvm_src(instruction));
	if (!is_pointer(a) && (immediate || !is_pointer(b)))
		return 0;
	if (is_pointer(a) && immediate && instruction->immediate == 0 && equality &&
	    shape->bits == 64)
		return 0;
	if (!immediate && is_pointer(a) && is_pointer(b) && shape->bits == 64 && !a->or_null &&
	    !b->or_null)
		return 0;
	return opvm_refuse(verifier,
			   "two integers, or two pointers that are not null, or an (in)equality "
			   "of a pointer and 0, with 64 bits");
}

/* ---- walks --------------------------------------------------------------------------------- */

static int out_of_memory(struct opvm_verifier *verifier)
{
	opvm_log(verifier->log, "verification takes more memory than the limit, %u MiB\n", 16);
	return -E2BIG;
}

/** Puts the state aside, to be walked from @at on. */
static int walk_later(struct opvm_verifier *verifier, uint32_t at)
{
	const uint32_t here = verifier->state->at;
	struct opvm_kept *kept;

	verifier->state->at = at;
	kept = opvm_state_keep(verifier, verifier->state);
	verifier->state->at = here;
	if (kept == NULL)
		return out_of_memory(verifier);
	kept->next = verifier->pending;
	verifier->pending = kept;
	return 0;
}

/** Both ways of a conditional jump. 1 if the walk ends here. */
static int walk_condition(struct opvm_verifier *verifier, const struct opvm_shape *shape,
			  const struct opvm_instruction *instruction, uint32_t target)
{
	const bool immediate = shape->group == OPVM_GROUP_JUMP_K;
	const uint32_t next = verifier->state->at + 1;
	int error = check_condition(verifier, shape, instruction);
	struct opvm_kept *before;
	bool stays;

	if (error != 0)
		return error;
	before = opvm_state_keep(verifier, verifier->state);
	if (before == NULL)
		return out_of_memory(verifier);
	stays = assume(verifier, opvm_negated(shape->operation), shape->bits, instruction,
		       immediate);
	if (stays)
		error = walk_later(verifier, next);
	if (error == 0) {
		opvm_state_restore(verifier->state, before);
		if (!assume(verifier, shape->operation, shape->bits, instruction, immediate))
			error = 1;
	}
	verifier->state->at = target;
	opvm_kept_free(verifier, before);
	return error;
}

static int add_edge(struct opvm_verifier *verifier, uint32_t caller, uint32_t callee)
{
	for (uint32_t index = 0; index < verifier->edges_count; index++)
		if (verifier->edges[index].caller == caller &&
		    verifier->edges[index].callee == callee)
			return 0;
	if (verifier->edges_count == OPVM_MAX_EDGES)
		return opvm_refuse(verifier,
				   "fewer than %u pairs of functions that call each other",
				   OPVM_MAX_EDGES);
	verifier->edges[verifier->edges_count++] = (struct opvm_edge){caller, callee, 0};
	verifier->facts->has_calls = true;
	return 0;
}

/** Enters a function of the program. */
static int enter(struct opvm_verifier *verifier, uint32_t function)
{
	struct opvm_state *const state = verifier->state;
	struct opvm_frame *const caller = opvm_top(state), *const frame = caller + 1;
	int error;

	if (state->frames_count == OPVM_MAX_FRAMES)
		return opvm_refuse(verifier, "calls of functions that nest no deeper than %u",
				   OPVM_MAX_FRAMES);
	error = add_edge(verifier, caller->function, function);
	if (error != 0)
		return error;
	for (unsigned reg = 0; reg < OPVM_LENGTH(frame->registers); reg++)
		frame->registers[reg] = reg >= 1 && reg <= OPVM_MAX_ARGUMENTS
						? caller->registers[reg]
						: opvm_value_nothing();
	frame->registers[10] = opvm_value_pointer(OPVM_TYPE_STACK, state->frames_count);
	frame->call_at = state->at;
	frame->function = function;
	frame->used = 0;
	for (unsigned reg = 0; reg <= OPVM_MAX_ARGUMENTS; reg++)
		caller->registers[reg] = opvm_value_nothing();
	state->frames_count++;
	state->at = function;
	return 0;
}

static void forget_stack(struct opvm_value *value, void *data)
{
	if (value->type == OPVM_TYPE_STACK && value->index == *(const uint32_t *)data)
		*value = opvm_value_nothing();
}

/** The end of a function, or of the program. 1 if the walk ends here. */
static int leave(struct opvm_verifier *verifier)
{
	struct opvm_state *const state = verifier->state;
	const struct opvm_value result = *register_of(verifier, 0);
	uint32_t gone = state->frames_count - 1;

	if (state->frames_count == 1) {
		if (result.type != OPVM_TYPE_INTEGER)
			return opvm_refuse(verifier, "an integer in r0 as the result");
		return 1;
	}
	if (result.type == OPVM_TYPE_NOTHING)
		return opvm_refuse(verifier, "a value in r0 as the function's result");
	state->at = opvm_top(state)->call_at + 1;
	state->frames_count--;
	*register_of(verifier, 0) = result;
	opvm_state_visit(state, forget_stack, &gone);
	return 0;
}

static int walk_call(struct opvm_verifier *verifier, const struct opvm_shape *shape,
		     const struct opvm_instruction *instruction)
{
	const struct opvm_value *value;
	int error;

	switch (shape->operation) {
	case OPVM_DO_LOCAL:
		return enter(verifier, (uint32_t)opvm_target(instruction, OPVM_OP_CALL_LOCAL,
							     verifier->state->at));
	case OPVM_DO_REGISTER:
		value = register_of(verifier, opvm_dst(instruction));
		if (value->type != OPVM_TYPE_CODE)
			return opvm_refuse(verifier, "a function that is known here in r%u",
					   opvm_dst(instruction));
		return enter(verifier, value->index);
	default:
		error = opvm_verify_helper(verifier, shape->operation,
					   (uint32_t)instruction->immediate);
		verifier->state->at += error == 0;
		return error;
	}
}

/** One instruction; moves the state on. 1 if the walk ends here. */
static int walk_one(struct opvm_verifier *verifier)
{
	struct opvm_state *const state = verifier->state;
	const uint8_t row = verifier->rows[state->at];
	const struct opvm_shape *const shape = &opvm_shapes[row];
	const struct opvm_instruction *const instruction =
		&verifier->source->instructions[state->at];
	int error;

	switch (shape->group) {
	case OPVM_GROUP_ALU_K:
	case OPVM_GROUP_ALU_X:
		error = walk_alu(verifier, shape, instruction);
		break;
	case OPVM_GROUP_LOAD:
		error = walk_load(verifier, shape, instruction);
		break;
	case OPVM_GROUP_STORE_K:
	case OPVM_GROUP_STORE_X:
		error = walk_store(verifier, shape, instruction);
		break;
	case OPVM_GROUP_ATOMIC:
		error = walk_atomic(verifier, shape, instruction);
		break;
	case OPVM_GROUP_WIDE:
		error = walk_wide(verifier, shape, instruction);
		state->at += error == 0;
		break;
	case OPVM_GROUP_JUMP:
		state->at = (uint32_t)opvm_target(instruction, row, state->at);
		return 0;
	case OPVM_GROUP_JUMP_K:
	case OPVM_GROUP_JUMP_X:
		return walk_condition(verifier, shape, instruction,
				      (uint32_t)opvm_target(instruction, row, state->at));
	case OPVM_GROUP_CALL:
		return walk_call(verifier, shape, instruction);
	default:
		return leave(verifier);
	}
	state->at += error == 0;
	return error;
}

/** Marks the instruction as reached, and as part of one function. */
static int note_reached(struct opvm_verifier *verifier)
{
	struct opvm_facts *const facts = verifier->facts;
	const uint32_t at = verifier->state->at, function = opvm_top(verifier->state)->function;

	if (at >= verifier->source->count || verifier->rows[at] == OPVM_SECOND_HALF) {
		verifier->state->at = verifier->source->count - 1;
		return opvm_refuse(verifier, "an exit or a jump before the end of the program");
	}
	if (!facts->reached[at]) {
		facts->reached[at] = 1;
		facts->function[at] = function;
		facts->length[function]++;
	} else if (facts->function[at] != function) {
		return opvm_refuse(verifier,
				   "to belong to one function; those at %u and %u share it",
				   facts->function[at], function);
	}
	return 0;
}

static void note_stack(struct opvm_verifier *verifier)
{
	for (uint32_t index = 0; index < verifier->state->frames_count; index++) {
		const struct opvm_frame *const frame = &verifier->state->frames[index];
		uint16_t *const bytes = &verifier->facts->stack_bytes[frame->function];

		if (frame->used * 8 > *bytes)
			*bytes = (uint16_t)(frame->used * 8);
	}
}

/* ---- kept states --------------------------------------------------------------------------- */

static void drop(struct opvm_verifier *verifier, struct opvm_kept **link)
{
	struct opvm_kept *const kept = *link;

	*link = kept->next;
	opvm_kept_free(verifier, kept);
}

static int keep_here(struct opvm_verifier *verifier, uint32_t widened)
{
	struct opvm_kept *const kept = opvm_state_keep(verifier, verifier->state);
	struct opvm_kept **const list = &verifier->kept[verifier->state->at];

	if (kept == NULL)
		return out_of_memory(verifier);
	kept->widened = widened;
	kept->next = *list;
	*list = kept;
	return 0;
}

/** Joins the state with a kept one, which it replaces. */
static int replace(struct opvm_verifier *verifier, struct opvm_kept **link)
{
	struct opvm_kept *const kept = *link;
	const uint32_t widened = kept->widened + 1;
	const bool loop = verifier->marks[verifier->state->at] & MARK_LOOP;

	opvm_state_restore(verifier->other, kept);
	opvm_state_join(verifier, verifier->other, verifier->state, loop || widened > KEPT_MOST,
			widened > WIDENED_MOST);
	drop(verifier, link);
	return keep_here(verifier, widened);
}

/** At the target of jumps. 1 if all that may follow is known already. */
static int meet_kept(struct opvm_verifier *verifier)
{
	struct opvm_kept **link, **same = NULL, **last = NULL;
	const bool loop = verifier->marks[verifier->state->at] & MARK_LOOP;
	unsigned count = 0;

	forget_dead(verifier);
	for (link = &verifier->kept[verifier->state->at]; *link != NULL; link = &(*link)->next) {
		opvm_state_restore(verifier->other, *link);
		if (!opvm_state_same_calls(verifier->other, verifier->state))
			continue;
		if (opvm_state_includes(verifier, verifier->other, verifier->state))
			return 1;
		count++;
		last = link;
		if (same == NULL && opvm_state_same_shape(verifier->other, verifier->state))
			same = link;
	}
	if (verifier->walk && count >= WALKED_KEPT)
		drop(verifier, last);
	if (verifier->walk)
		return keep_here(verifier, 0);
	if (same != NULL && (loop || count >= KEPT_MOST))
		return replace(verifier, same);
	if (count >= 2 * KEPT_MOST)
		return replace(verifier, last);
	return keep_here(verifier, 0);
}

static void free_list(struct opvm_verifier *verifier, struct opvm_kept **list)
{
	while (*list != NULL)
		drop(verifier, list);
}

static void free_states(struct opvm_verifier *verifier)
{
	free_list(verifier, &verifier->pending);
	for (uint32_t at = 0; at < verifier->source->count; at++)
		free_list(verifier, &verifier->kept[at]);
}

/* ---- passes -------------------------------------------------------------------------------- */

static void begin(struct opvm_verifier *verifier)
{
	struct opvm_state *const state = verifier->state;
	struct opvm_frame *const frame = &state->frames[0];

	state->at = verifier->source->entry;
	state->frames_count = 1;
	for (unsigned region = 0; region < OPVM_MAX_REGIONS; region++)
		state->region_bytes[region] = verifier->regions[region].min_bytes;
	for (unsigned reg = 0; reg < OPVM_LENGTH(frame->registers); reg++)
		frame->registers[reg] = opvm_value_nothing();
	frame->registers[1] = verifier->environment->context != NULL
				      ? opvm_value_pointer(OPVM_TYPE_CONTEXT, 0)
				      : opvm_value_integer(opvm_range_constant(0));
	frame->registers[10] = opvm_value_pointer(OPVM_TYPE_STACK, 0);
	frame->function = verifier->source->entry;
	frame->call_at = 0;
	frame->used = 0;
}

static int step(struct opvm_verifier *verifier)
{
	int error = note_reached(verifier);

	if (error == 0 && (verifier->marks[verifier->state->at] & MARK_TARGET))
		error = meet_kept(verifier);
	if (error != 0)
		return error;
	if (verifier->steps_left-- == 0) {
		opvm_log(verifier->log, "verification takes more than its limit of steps\n");
		return -E2BIG;
	}
	verifier->steps++;
	if (verifier->source->explain)
		opvm_explain(verifier);
	error = walk_one(verifier);
	note_stack(verifier);
	return error;
}

/** Walks until everything is proven (0) or something is refused. */
static int pass(struct opvm_verifier *verifier)
{
	int error = 0;

	begin(verifier);
	for (;;) {
		while (error == 0)
			error = step(verifier);
		if (error < 0 || verifier->pending == NULL)
			break;
		opvm_state_restore(verifier->state, verifier->pending);
		drop(verifier, &verifier->pending);
		error = 0;
	}
	free_states(verifier);
	return error < 0 ? error : 0;
}

static void forget_facts(struct opvm_verifier *verifier)
{
	const uint32_t count = verifier->source->count;
	struct opvm_facts *const facts = verifier->facts;

	memset(facts->reached, 0, count * sizeof(*facts->reached));
	memset(facts->function, 0, count * sizeof(*facts->function));
	memset(facts->length, 0, count * sizeof(*facts->length));
	memset(facts->stack_bytes, 0, count * sizeof(*facts->stack_bytes));
	facts->has_calls = false;
	verifier->edges_count = 0;
}

/** Both passes. The log is that of the one that knows best. */
static int passes(struct opvm_verifier *verifier)
{
	const uint32_t limit =
		verifier->source->max_steps != 0 ? verifier->source->max_steps : STEPS;
	struct opvm_log *const log = verifier->log;
	const size_t start = log != NULL ? log->used_bytes : 0;
	int first, second;
	size_t middle;

	verifier->steps_left = limit / 2;
	first = pass(verifier);
	if (first != -EACCES && first != -E2BIG)
		return first;
	middle = log != NULL ? log->used_bytes : 0;
	verifier->walk = true;
	verifier->steps_left = limit / 2;
	forget_facts(verifier);
	second = pass(verifier);
	verifier->facts->walked = true;
	if (log == NULL || log->size_bytes == 0)
		return second == -E2BIG ? first : second;
	if (second == -E2BIG) {
		log->used_bytes = middle;
	} else {
		memmove(log->text + start, log->text + middle, log->used_bytes - middle);
		log->used_bytes -= middle - start;
	}
	log->text[log->used_bytes] = 0;
	return second == -E2BIG ? first : second;
}

/* ---- results ------------------------------------------------------------------------------- */

/** The most that those which @function calls need, as far as it is known by now. */
static uint32_t below(const struct opvm_verifier *verifier, uint32_t function)
{
	uint32_t most = 0;

	for (uint32_t index = 0; index < verifier->edges_count; index++)
		if (verifier->edges[index].caller == function &&
		    verifier->edges[index].bytes > most)
			most = verifier->edges[index].bytes;
	return most;
}

/** Bytes of stack of a run: calls nest no deeper than the rounds taken here. */
static uint32_t total_stack(struct opvm_verifier *verifier)
{
	const uint16_t *const stack_bytes = verifier->facts->stack_bytes;
	const uint32_t entry = verifier->source->entry;

	for (unsigned round = 0; round < OPVM_MAX_FRAMES; round++)
		for (uint32_t index = 0; index < verifier->edges_count; index++) {
			struct opvm_edge *const edge = &verifier->edges[index];

			edge->bytes = stack_bytes[edge->callee] + below(verifier, edge->callee);
		}
	return stack_bytes[entry] + below(verifier, entry);
}

static int allocate(struct opvm_verifier *verifier)
{
	const size_t count = verifier->source->count;

	verifier->state = opvm_host_allocate(sizeof(*verifier->state));
	verifier->other = opvm_host_allocate(sizeof(*verifier->other));
	verifier->pairs = opvm_host_allocate(sizeof(*verifier->pairs));
	verifier->marks = opvm_host_allocate(count * sizeof(*verifier->marks));
	verifier->live = opvm_host_allocate(count * sizeof(*verifier->live));
	verifier->kept = opvm_host_allocate(count * sizeof(struct opvm_kept *));
	verifier->thresholds = opvm_host_allocate(MAX_THRESHOLDS * sizeof(*verifier->thresholds));
	verifier->edges = opvm_host_allocate(OPVM_MAX_EDGES * sizeof(*verifier->edges));
	if (verifier->state == NULL || verifier->other == NULL || verifier->pairs == NULL ||
	    verifier->marks == NULL || verifier->live == NULL || verifier->kept == NULL ||
	    verifier->thresholds == NULL || verifier->edges == NULL)
		return opvm_fail(verifier->log, ENOMEM, "no memory to verify a program\n");
	return 0;
}

static void release(struct opvm_verifier *verifier)
{
	opvm_host_free(verifier->state);
	opvm_host_free(verifier->other);
	opvm_host_free(verifier->pairs);
	opvm_host_free(verifier->marks);
	opvm_host_free(verifier->live);
	opvm_host_free(verifier->kept);
	opvm_host_free(verifier->thresholds);
	opvm_host_free(verifier->edges);
}

int opvm_verify(const struct opvm_environment *environment, const struct opvm_source *source,
		const uint8_t *rows, struct opvm_log *log, struct opvm_facts *facts)
{
	struct opvm_verifier verifier;
	int error;

	memset(&verifier, 0, sizeof(verifier));
	verifier.environment = environment;
	verifier.source = source;
	verifier.rows = rows;
	verifier.log = log;
	verifier.facts = facts;
	error = collect_regions(&verifier);
	if (error == 0)
		error = allocate(&verifier);
	if (error == 0) {
		collect_thresholds(&verifier);
		mark_targets(&verifier);
		find_live(&verifier);
		error = passes(&verifier);
		facts->steps = verifier.steps;
		facts->state_bytes = verifier.kept_bytes_most;
		facts->total_stack_bytes = total_stack(&verifier);
	}
	release(&verifier);
	return error;
}
