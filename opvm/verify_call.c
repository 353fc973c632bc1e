/* SPDX-License-Identifier: MIT */
/*
 * Calls of helpers: what they take against what they are given.
 */
#include "verify.h"

struct call {
	struct opvm_verifier *verifier;
	const struct opvm_helper *helper;
	/** Of the argument that was last a map; NULL before. */
	const struct opvm_map_definition *map;
	uint32_t map_index;
};

static const struct opvm_value *argument(const struct call *call, unsigned index)
{
	return &opvm_top(call->verifier->state)->registers[1 + index];
}

static int check_integer(const struct call *call, unsigned index)
{
	if (argument(call, index)->type == OPVM_TYPE_INTEGER)
		return 0;
	return opvm_refuse(call->verifier, "an integer in r%u for %s", 1 + index,
			   call->helper->name);
}

static int check_context(const struct call *call, unsigned index)
{
	const struct opvm_value *const value = argument(call, index);

	if (value->type == OPVM_TYPE_CONTEXT && opvm_range_is_constant(&value->range) &&
	    value->range.umin == 0)
		return 0;
	return opvm_refuse(call->verifier, "the context in r%u for %s", 1 + index,
			   call->helper->name);
}

static int check_map(struct call *call, unsigned index)
{
	const struct opvm_value *const value = argument(call, index);
	const struct opvm_map_definition *map;

	if (value->type != OPVM_TYPE_MAP)
		return opvm_refuse(call->verifier, "a map in r%u for %s", 1 + index,
				   call->helper->name);
	map = opvm_map_describe(call->verifier->source->maps[value->index]);
	if (call->helper->map_kinds != 0 && !(call->helper->map_kinds & 1U << map->kind))
		return opvm_refuse(call->verifier, "a map of another kind in r%u: %s is of kind %u",
				   1 + index, map->name, map->kind);
	call->map = map;
	call->map_index = value->index;
	return 0;
}

/** Memory whose size is in the next register. */
static int check_memory(const struct call *call, unsigned index, unsigned how)
{
	const struct opvm_value *const size = argument(call, index + 1);

	if (index + 1 >= OPVM_MAX_ARGUMENTS || size->type != OPVM_TYPE_INTEGER)
		return opvm_refuse(call->verifier, "an integer in r%u for %s", 2 + index,
				   call->helper->name);
	if (size->range.umin == 0 || size->range.umax > INT32_MAX)
		return opvm_refuse(call->verifier, "a size from 1 to %d in r%u for %s", INT32_MAX,
				   2 + index, call->helper->name);
	/* What is written may be less: only what surely is counts as written. */
	if ((how & OPVM_ACCESS_WRITE) && !opvm_range_is_constant(&size->range) &&
	    argument(call, index)->type == OPVM_TYPE_STACK)
		return opvm_refuse(call->verifier,
				   "a constant size in r%u, as %s writes to the stack", 2 + index,
				   call->helper->name);
	return opvm_reach(call->verifier, 1 + index, 0, (uint32_t)size->range.umax,
			  how | OPVM_ACCESS_BYTES, NULL, NULL);
}

static int check_argument(struct call *call, unsigned index)
{
	switch (call->helper->arguments[index]) {
	case OPVM_ARGUMENT_INTEGER:
	case OPVM_ARGUMENT_SIZE:
		return check_integer(call, index);
	case OPVM_ARGUMENT_CONTEXT:
		return check_context(call, index);
	case OPVM_ARGUMENT_MAP:
		return check_map(call, index);
	case OPVM_ARGUMENT_READ:
		return check_memory(call, index, OPVM_ACCESS_READ);
	case OPVM_ARGUMENT_WRITE:
		return check_memory(call, index, OPVM_ACCESS_WRITE);
	default:
		if (call->map == NULL)
			return opvm_refuse(call->verifier, "a map before r%u for %s", 1 + index,
					   call->helper->name);
		return opvm_reach(call->verifier, 1 + index, 0,
				  call->helper->arguments[index] == OPVM_ARGUMENT_KEY
					  ? call->map->key_bytes
					  : call->map->value_bytes,
				  OPVM_ACCESS_READ | OPVM_ACCESS_BYTES, NULL, NULL);
	}
}

static struct opvm_value call_result(struct call *call)
{
	struct opvm_value value;

	if (call->helper->result != OPVM_RESULT_VALUE_OR_NULL || call->map == NULL)
		return opvm_value_integer(opvm_range_any());
	value = opvm_value_pointer(OPVM_TYPE_VALUE, call->map_index);
	value.or_null = true;
	value.id = ++call->verifier->next_id;
	return value;
}

int opvm_verify_helper(struct opvm_verifier *verifier, enum opvm_do how, uint32_t number)
{
	struct opvm_value *const registers = opvm_top(verifier->state)->registers;
	struct call call = {verifier, NULL, NULL, 0};

	call.helper = opvm_find_helper(verifier->environment, how, number);
	if (call.helper == NULL)
		return opvm_refuse(verifier, "a helper that there is: %u is none", number);
	for (unsigned index = 0;
	     index < OPVM_MAX_ARGUMENTS && call.helper->arguments[index] != OPVM_ARGUMENT_NONE;
	     index++) {
		const int error = check_argument(&call, index);

		if (error != 0)
			return error;
	}
	registers[0] = call_result(&call);
	for (unsigned reg = 1; reg <= OPVM_MAX_ARGUMENTS; reg++)
		registers[reg] = opvm_value_nothing();
	return 0;
}
