/* SPDX-License-Identifier: MIT */
/*
 * The checked interpreter. It runs lowered operations, one after the other, in a plain loop.
 */
#include "checked.h"

#define STACK_BYTES (OPVM_STACK_BYTES * OPVM_MAX_FRAMES)

struct frame {
	uint32_t return_to;
	uint64_t saved[5];
	uint32_t defined;
};

struct machine {
	struct checked *checked;
	uint64_t r[11];
	/** Bits of registers that have a value. */
	uint32_t defined;
	struct frame frames[OPVM_MAX_FRAMES];
	unsigned depth;
	int64_t left;
	uint32_t at;
	uint64_t stack[STACK_BYTES / 8];
	bool written[STACK_BYTES];
};

void checked_allow(struct checked *checked, const void *address, uint64_t size_bytes, bool writable)
{
	checked->ranges[checked->ranges_count++] =
		(struct checked_range){(uint64_t)(uintptr_t)address, size_bytes, writable};
}

static bool violate(struct machine *machine, const char *what)
{
	if (machine->checked->violation == NULL) {
		machine->checked->violation = what;
		machine->checked->at = machine->at;
	}
	return false;
}

static bool is_defined(struct machine *machine, unsigned reg)
{
	return (machine->defined & 1U << reg) != 0 ||
	       violate(machine, "a register without a value");
}

/* ---- memory -------------------------------------------------------------------------------- */

static bool may_reach_stack(struct machine *machine, uint64_t first, uint64_t bytes, bool writes)
{
	for (uint64_t at = first; at < first + bytes; at++) {
		if (!writes && !machine->written[at])
			return violate(machine, "stack that was never written");
		if (writes)
			machine->written[at] = true;
	}
	return true;
}

static bool may_reach(struct machine *machine, uint64_t address, uint64_t bytes, bool writes)
{
	const uint64_t stack = (uint64_t)(uintptr_t)machine->stack;
	const uint64_t offset = address - stack;
	const struct checked *const checked = machine->checked;

	if (offset < STACK_BYTES && bytes <= STACK_BYTES - offset)
		return may_reach_stack(machine, offset, bytes, writes);
	for (unsigned index = 0; index < checked->ranges_count; index++) {
		const struct checked_range *const range = &checked->ranges[index];
		const uint64_t into = address - range->address;

		if (into <= range->size_bytes && bytes <= range->size_bytes - into)
			return !writes || range->writable ||
			       violate(machine, "a write to what is read-only");
	}
	return violate(machine, "memory that is nobody's");
}

/** Checks what a builtin helper reaches by itself. */
static bool check_helper(struct machine *machine, opvm_function function)
{
	const uint64_t *const r = machine->r;
	const struct opvm_map_definition *map;

	for (const struct opvm_helper *helper = opvm_builtins; helper->function != NULL; helper++) {
		if (helper->function != function || helper->arguments[1] != OPVM_ARGUMENT_KEY)
			continue;
		map = opvm_map_describe((const struct opvm_map *)(uintptr_t)r[1]);
		return may_reach(machine, r[2], map->key_bytes, false) &&
		       (helper->arguments[2] != OPVM_ARGUMENT_VALUE ||
			may_reach(machine, r[3], map->value_bytes, false));
	}
	return true;
}

/* ---- operations ---------------------------------------------------------------------------- */

static bool run_atomic(struct machine *machine, const struct opvm_operation *op,
		       const struct opvm_shape *shape)
{
	const uint64_t address = machine->r[op->dst] + (uint64_t)(int64_t)op->offset;
	uint64_t old;

	if (address % (shape->bits / 8U) != 0)
		return violate(machine, "an atomic operation that is not aligned");
	if (!may_reach(machine, address, shape->bits / 8U, false) ||
	    !may_reach(machine, address, shape->bits / 8U, true))
		return false;
	old = opvm_atomic(shape->operation, shape->bits, address, machine->r[op->src],
			  machine->r[0]);
	if (shape->operation == OPVM_DO_CMPXCHG)
		machine->r[0] = old;
	else if (shape->operation >= OPVM_DO_FETCH_ADD)
		machine->r[op->src] = old;
	return true;
}

static bool run_memory(struct machine *machine, const struct opvm_operation *op,
		       const struct opvm_shape *shape)
{
	const bool loads = shape->group == OPVM_GROUP_LOAD;
	const unsigned base = loads ? op->src : op->dst;
	const uint64_t address = machine->r[base] + (uint64_t)(int64_t)op->offset;

	if (!is_defined(machine, base) || !may_reach(machine, address, shape->bits / 8U, !loads))
		return false;
	if (loads) {
		machine->r[op->dst] =
			opvm_load(shape->bits, shape->operation == OPVM_DO_LOAD_SIGNED, address);
		machine->defined |= 1U << op->dst;
	} else {
		opvm_store(shape->bits, address,
			   shape->group == OPVM_GROUP_STORE_K ? (uint64_t)op->immediate
							      : machine->r[op->src]);
	}
	return true;
}

static bool run_alu(struct machine *machine, const struct opvm_operation *op,
		    const struct opvm_shape *shape)
{
	const bool moves = shape->operation >= OPVM_DO_MOV && shape->operation <= OPVM_DO_MOVSX32;
	const uint64_t operand =
		shape->group == OPVM_GROUP_ALU_K ? (uint64_t)op->immediate : machine->r[op->src];

	if (!moves && !is_defined(machine, op->dst))
		return false;
	machine->r[op->dst] =
		opvm_compute(shape->operation, shape->bits, machine->r[op->dst], operand);
	machine->defined |= 1U << op->dst;
	return true;
}

static void enter(struct machine *machine, const struct opvm_operation *op, uint32_t target)
{
	struct frame *const frame = &machine->frames[machine->depth++];

	machine->left -= op->call.cost;
	frame->return_to = machine->at + 1;
	frame->defined = machine->defined;
	memcpy(frame->saved, &machine->r[6], sizeof(frame->saved));
	machine->r[10] -= op->call.stack_bytes;
	machine->defined = (machine->defined & 0x3e) | 1U << 10;
	for (uint64_t at = 0; at < machine->r[10] - (uint64_t)(uintptr_t)machine->stack; at++)
		machine->written[at] = false;
	machine->at = target;
}

static bool run_call(struct machine *machine, const struct opvm_operation *op,
		     const struct opvm_shape *shape)
{
	const struct opvm_program *const program = machine->checked->program;
	uint64_t *const r = machine->r;

	switch (shape->operation) {
	case OPVM_DO_LOCAL:
	case OPVM_DO_REGISTER:
		if (machine->depth == OPVM_MAX_FRAMES - 1)
			return violate(machine, "calls that nest too deep");
		enter(machine, op,
		      shape->operation == OPVM_DO_LOCAL
			      ? machine->at + 1 + (uint32_t)op->offset
			      : (uint32_t)((const struct opvm_operation *)(uintptr_t)r[op->dst] -
					   program->operations));
		return machine->at < program->operations_count ||
		       violate(machine, "a call of what is no function");
	default:
		if (!check_helper(machine, op->function))
			return false;
		r[0] = op->function(r[1], r[2], r[3], r[4], r[5], machine->checked->context);
		machine->defined = (machine->defined & ~0x3eU) | 1;
		machine->at++;
		return true;
	}
}

static bool run_jump(struct machine *machine, const struct opvm_operation *op,
		     const struct opvm_shape *shape)
{
	bool taken = true;

	if (shape->group != OPVM_GROUP_JUMP) {
		if (!is_defined(machine, op->dst) ||
		    (shape->group == OPVM_GROUP_JUMP_X && !is_defined(machine, op->src)))
			return false;
		taken = opvm_compare(shape->operation, shape->bits, machine->r[op->dst],
				     shape->group == OPVM_GROUP_JUMP_K ? (uint64_t)op->immediate
								       : machine->r[op->src]);
	}
	if (taken && op->code >= OPVM_BACKWARDS && op->code < OPVM_TRAP)
		machine->left += op->offset;
	machine->at += 1 + (taken ? (uint32_t)op->offset : 0);
	return true;
}

static bool leave(struct machine *machine)
{
	const struct frame *const frame = &machine->frames[--machine->depth];

	machine->at = frame->return_to;
	machine->defined = (frame->defined & ~0x3fU) | 1;
	memcpy(&machine->r[6], frame->saved, sizeof(frame->saved));
	return true;
}

static bool uses_defined(struct machine *machine, const struct opvm_operation *op,
			 const struct opvm_shape *shape)
{
	return !(shape->form & OPVM_FORM_S) || is_defined(machine, op->src);
}

/** One operation; false at the end or after a violation. */
static bool step(struct machine *machine)
{
	const struct opvm_operation *const op = &machine->checked->program->operations[machine->at];
	const struct opvm_shape *shape;
	bool good;

	if (machine->at >= machine->checked->program->operations_count || op->code == OPVM_TRAP)
		return violate(machine, "an instruction that should never be reached");
	shape = opvm_shape_of(op->code);
	if (!uses_defined(machine, op, shape))
		return false;
	switch (shape->group) {
	case OPVM_GROUP_JUMP:
	case OPVM_GROUP_JUMP_K:
	case OPVM_GROUP_JUMP_X:
		return run_jump(machine, op, shape);
	case OPVM_GROUP_CALL:
		return run_call(machine, op, shape);
	case OPVM_GROUP_EXIT:
		return is_defined(machine, 0) && machine->depth > 0 && leave(machine);
	case OPVM_GROUP_WIDE:
		machine->r[op->dst] = op->bits;
		machine->defined |= 1U << op->dst;
		machine->at += 2;
		return true;
	case OPVM_GROUP_ATOMIC:
		good = run_atomic(machine, op, shape);
		break;
	case OPVM_GROUP_ALU_K:
	case OPVM_GROUP_ALU_X:
		good = run_alu(machine, op, shape);
		break;
	default:
		good = run_memory(machine, op, shape);
		break;
	}
	machine->at++;
	return good;
}

int checked_run(struct checked *checked, uint64_t *result)
{
	struct machine *const machine = calloc(1, sizeof(*machine));
	int error;

	checked->violation = NULL;
	machine->checked = checked;
	machine->at = checked->program->entry;
	machine->left = (int64_t)checked->fuel;
	machine->r[1] = (uint64_t)(uintptr_t)checked->context;
	machine->r[10] = (uint64_t)(uintptr_t)(machine->stack + OPVM_LENGTH(machine->stack));
	machine->defined = 1U << 1 | 1U << 10;
	while (machine->left >= 0 && step(machine))
		;
	error = checked->violation != NULL ? -EFAULT : machine->left < 0 ? -ETIME : 0;
	*result = error == 0 ? machine->r[0] : checked->program->exhausted_result;
	free(machine);
	return error;
}
