/* SPDX-License-Identifier: MIT */
/*
 * The proof that an access stays within what its pointer points to.
 */
#include "verify.h"

struct access {
	struct opvm_verifier *verifier;
	const struct opvm_value *pointer;
	unsigned reg;
	unsigned how;
	uint32_t bytes;
	/** The instruction's. */
	int32_t offset;
	const struct opvm_value *stored;
	struct opvm_value *result;
};

static const char *verb(const struct access *access)
{
	return access->how & OPVM_ACCESS_WRITE ? "written" : "read";
}

static void give_integer(const struct access *access)
{
	const uint64_t highest = access->bytes >= 8 ? UINT64_MAX : (1ULL << access->bytes * 8) - 1;

	if (access->result != NULL)
		*access->result = opvm_value_integer(opvm_range_between(0, highest));
}

/** Pointers go to the stack alone. */
static int check_stored(const struct access *access)
{
	if (access->stored == NULL || access->stored->type == OPVM_TYPE_INTEGER)
		return 0;
	return opvm_refuse(access->verifier,
			   "an integer to store there; pointers may be stored on the stack only");
}

/* ---- memory whose size is known ------------------------------------------------------------ */

static int reach_sized(const struct access *access, uint64_t size_bytes)
{
	const struct opvm_range *const range = &access->pointer->range;
	const int64_t bytes = access->bytes;

	if (range->smin < -(int64_t)INT32_MAX || range->smin + access->offset < 0)
		return opvm_refuse(access->verifier,
				   "r%u%+d not before the first byte of what it points to",
				   access->reg, access->offset);
	if (range->smax > INT32_MAX || range->smax + access->offset + bytes > (int64_t)size_bytes)
		return opvm_refuse(access->verifier,
				   "r%u%+d at most %lld, for %u bytes to be %s of the %llu there",
				   access->reg, access->offset,
				   (long long)size_bytes - (long long)bytes, access->bytes,
				   verb(access), (unsigned long long)size_bytes);
	give_integer(access);
	return check_stored(access);
}

static int reach_variable(const struct access *access)
{
	const struct opvm_variable *const variable =
		&access->verifier->environment->variables[access->pointer->index];

	if ((access->how & OPVM_ACCESS_WRITE) && !variable->writable)
		return opvm_refuse(access->verifier, "another place to write to: %s is read-only",
				   variable->name);
	return reach_sized(access, variable->size_bytes);
}

/* ---- regions ------------------------------------------------------------------------------- */

static int reach_region(const struct access *access)
{
	const struct opvm_verifier *const verifier = access->verifier;
	const struct opvm_range *const range = &access->pointer->range;
	const unsigned index = access->pointer->index;
	const struct opvm_region *const region = &verifier->regions[index];
	const int64_t needed = (int64_t)access->offset + access->bytes;
	const int32_t room = opvm_value_room(verifier->state->region_bytes, access->pointer, index);

	if ((access->how & OPVM_ACCESS_WRITE) && !region->writable)
		return opvm_refuse(access->verifier, "another place to write to: %s is read-only",
				   region->name);
	if (range->smin < -(int64_t)INT32_MAX || range->smin + access->offset < 0)
		return opvm_refuse(access->verifier, "r%u%+d not before the first byte of %s",
				   access->reg, access->offset, region->name);
	if (room == OPVM_NO_ROOM || needed > room)
		return opvm_refuse(access->verifier,
				   "a comparison with the end of %s that leaves %lld bytes from "
				   "r%u on; %d are known to be there",
				   region->name, (long long)needed, access->reg,
				   room == OPVM_NO_ROOM ? 0 : room);
	give_integer(access);
	return check_stored(access);
}

/* ---- contexts ------------------------------------------------------------------------------ */

static const struct opvm_field *find_field(const struct opvm_context *context, int64_t offset,
					   uint32_t bytes)
{
	for (uint32_t index = 0; index < context->fields_count; index++) {
		const struct opvm_field *const field = &context->fields[index];

		if (offset >= field->offset_bytes &&
		    offset + bytes <= (int64_t)field->offset_bytes + field->size_bytes)
			return field;
	}
	return NULL;
}

static void give_field(const struct access *access, const struct opvm_field *field)
{
	const struct opvm_region *const region = &access->verifier->regions[field->region];
	struct opvm_value value;

	switch (field->kind) {
	case OPVM_FIELD_REGION:
		value = opvm_value_pointer(OPVM_TYPE_REGION, field->region);
		break;
	case OPVM_FIELD_REGION_END:
		value = opvm_value_pointer(OPVM_TYPE_REGION_END, field->region);
		break;
	case OPVM_FIELD_REGION_LENGTH:
		value = opvm_value_integer(opvm_range_between(
			access->verifier->state->region_bytes[field->region], region->max_bytes));
		value.length_region = (uint8_t)(field->region + 1);
		break;
	default:
		give_integer(access);
		return;
	}
	*access->result = value;
}

static int reach_context(const struct access *access)
{
	const struct opvm_context *const context = access->verifier->environment->context;
	const struct opvm_range *const range = &access->pointer->range;
	const struct opvm_field *field;

	if (!opvm_range_is_constant(range))
		return opvm_refuse(access->verifier, "a constant offset into the context %s",
				   context->name);
	if (range->smin < 0 || range->smin > INT32_MAX)
		return opvm_refuse(access->verifier, "an offset within the context %s",
				   context->name);
	field = find_field(context, range->smin + access->offset, access->bytes);
	if (field == NULL)
		return opvm_refuse(
			access->verifier,
			"a field of %u bytes at offset %lld of the context %s, which has "
			"none there",
			access->bytes, (long long)range->smin + access->offset, context->name);
	if ((access->how & OPVM_ACCESS_WRITE) &&
	    (field->kind != OPVM_FIELD_INTEGER || !(field->flags & OPVM_FIELD_WRITABLE)))
		return opvm_refuse(access->verifier, "another place to write to: %s is read-only",
				   field->name);
	if (field->kind != OPVM_FIELD_INTEGER &&
	    (access->bytes != field->size_bytes || (access->how & OPVM_ACCESS_BYTES)))
		return opvm_refuse(access->verifier, "to read %s as a whole, %u bytes", field->name,
				   field->size_bytes);
	if (access->result != NULL)
		give_field(access, field);
	return check_stored(access);
}

/* ---- stacks -------------------------------------------------------------------------------- */

/* Byte @at of the stack, from -1 downwards: its slot, and its bit in the slot. */
static uint32_t slot_of(int64_t at)
{
	return (uint32_t)((-at - 1) / 8);
}

static uint8_t bit_of(int64_t at)
{
	return (uint8_t)(1U << (7 - (-at - 1) % 8));
}

static void use_slots(struct opvm_frame *frame, int64_t low)
{
	while (frame->used <= slot_of(low)) {
		memset(&frame->slots[frame->used], 0, sizeof(frame->slots[0]));
		frame->used++;
	}
}

/** Forgets what was stored in the slot as a whole; bytes of pointers become unreadable. */
static void break_slot(struct opvm_slot *slot)
{
	if (slot->kept_bytes != 0 && slot->value.type != OPVM_TYPE_INTEGER)
		slot->written = 0;
	slot->kept_bytes = 0;
}

static void write_slots(const struct access *access, struct opvm_frame *frame, int64_t low,
			int64_t high)
{
	const bool exact = low == high;
	const int64_t end = high + access->bytes;

	for (int64_t at = low; at < end; at++)
		break_slot(&frame->slots[slot_of(at)]);
	if (!exact)
		return;
	for (int64_t at = low; at < end; at++)
		frame->slots[slot_of(at)].written |= bit_of(at);
	if (access->stored != NULL && low % 8 == 0 && (access->bytes == 8 || access->bytes == 4)) {
		struct opvm_slot *const slot = &frame->slots[slot_of(low)];

		/* The upper half may hold bytes of its own, which stay written. */
		slot->value = *access->stored;
		slot->kept_bytes = (uint8_t)access->bytes;
	}
}

static int read_slots(const struct access *access, const struct opvm_frame *frame, int64_t low,
		      int64_t high)
{
	const struct opvm_slot *const first = &frame->slots[slot_of(low)];

	if (low == high && low % 8 == 0 && first->kept_bytes == access->bytes &&
	    !(access->how & OPVM_ACCESS_BYTES)) {
		*access->result = first->value;
		return 0;
	}
	for (int64_t at = low; at < high + access->bytes; at++) {
		const struct opvm_slot *const slot = &frame->slots[slot_of(at)];

		if (slot->kept_bytes != 0 && slot->value.type != OPVM_TYPE_INTEGER)
			return opvm_refuse(access->verifier,
					   "integers at r10%+lld, where a pointer is stored",
					   (long long)at);
		if ((slot->written & bit_of(at)) == 0)
			return opvm_refuse(access->verifier,
					   "byte r10%+lld of the stack to be written before it is "
					   "read",
					   (long long)at);
	}
	give_integer(access);
	return 0;
}

static int reach_stack(const struct access *access)
{
	struct opvm_frame *const frame = &access->verifier->state->frames[access->pointer->index];
	const struct opvm_range *const range = &access->pointer->range;
	int64_t low, high;

	if (range->smin < -OPVM_STACK_BYTES * 2 || range->smax > OPVM_STACK_BYTES * 2)
		return opvm_refuse(access->verifier, "r%u within its stack, r10-%d to r10-1",
				   access->reg, OPVM_STACK_BYTES);
	low = range->smin + access->offset;
	high = range->smax + access->offset;
	if (low < -OPVM_STACK_BYTES || high + access->bytes > 0)
		return opvm_refuse(access->verifier,
				   "%u bytes at r%u%+d within its stack, r10-%d to r10-1",
				   access->bytes, access->reg, access->offset, OPVM_STACK_BYTES);
	if (access->stored != NULL && access->stored->type != OPVM_TYPE_INTEGER &&
	    (low != high || low % 8 != 0 || access->bytes != 8))
		return opvm_refuse(access->verifier,
				   "8 bytes at a constant multiple of 8 to store a pointer in");
	use_slots(frame, low);
	if (access->how & OPVM_ACCESS_READ) {
		const int error = read_slots(access, frame, low, high);

		if (error != 0)
			return error;
	}
	if (access->how & OPVM_ACCESS_WRITE)
		write_slots(access, frame, low, high);
	return 0;
}

/* ---- all of them --------------------------------------------------------------------------- */

int opvm_reach(struct opvm_verifier *verifier, unsigned reg, int32_t offset, uint32_t bytes,
	       unsigned how, const struct opvm_value *stored, struct opvm_value *result)
{
	const struct opvm_value pointer = opvm_top(verifier->state)->registers[reg];
	const struct access access = {verifier, &pointer, reg, how, bytes, offset, stored, result};

	if (pointer.or_null)
		return opvm_refuse(verifier, "r%u compared with 0 before, as it may be null", reg);
	switch (pointer.type) {
	case OPVM_TYPE_CONTEXT:
		return reach_context(&access);
	case OPVM_TYPE_STACK:
		return reach_stack(&access);
	case OPVM_TYPE_VALUE:
		return reach_sized(
			&access,
			opvm_map_describe(verifier->source->maps[pointer.index])->value_bytes);
	case OPVM_TYPE_REGION:
		return reach_region(&access);
	case OPVM_TYPE_VARIABLE:
		return reach_variable(&access);
	default:
		return opvm_refuse(verifier, "a pointer to memory in r%u", reg);
	}
}
