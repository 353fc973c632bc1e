/* SPDX-License-Identifier: MIT */
/*
 * The life of a program: decode, verify, lower; then run.
 */
#include "interpret.h"

static int check_context(const struct opvm_context *context, struct opvm_log *log)
{
	for (uint32_t index = 0; index < context->fields_count; index++) {
		const struct opvm_field *const field = &context->fields[index];
		const bool points =
			field->kind == OPVM_FIELD_REGION || field->kind == OPVM_FIELD_REGION_END;

		if (field->kind < OPVM_FIELD_INTEGER || field->kind > OPVM_FIELD_REGION_LENGTH ||
		    field->size_bytes == 0 || field->offset_bytes > context->size_bytes ||
		    field->size_bytes > context->size_bytes - field->offset_bytes ||
		    (points && (field->size_bytes != 8 || field->offset_bytes % 8 != 0)) ||
		    (field->kind != OPVM_FIELD_INTEGER &&
		     (field->region >= OPVM_MAX_REGIONS || field->region_max_bytes > INT32_MAX ||
		      field->region_min_bytes > field->region_max_bytes)))
			return opvm_fail(log, EINVAL,
					 "field %s of context %s is declared wrongly\n",
					 field->name, context->name);
	}
	return 0;
}

static int check_source(const struct opvm_environment *environment,
			const struct opvm_source *source, struct opvm_log *log)
{
	if (environment->size != sizeof(*environment) || source->size != sizeof(*source))
		return opvm_fail(log, EINVAL,
				 "size of environment or source: they are %zu and %zu\n",
				 sizeof(*environment), sizeof(*source));
	if (source->count == 0 || source->entry >= source->count)
		return opvm_fail(log, EINVAL, "entry %u: the program has %u instructions\n",
				 source->entry, source->count);
	if (source->count > OPVM_MAX_INSTRUCTIONS)
		return opvm_fail(log, E2BIG, "%u instructions: at most %u are possible\n",
				 source->count, OPVM_MAX_INSTRUCTIONS);
	if (source->maps_count > OPVM_MAX_MAPS)
		return opvm_fail(log, E2BIG, "%u maps: at most %u are possible\n",
				 source->maps_count, OPVM_MAX_MAPS);
	return environment->context == NULL ? 0 : check_context(environment->context, log);
}

static int allocate_facts(uint32_t count, uint8_t **rows, struct opvm_facts *facts,
			  struct opvm_log *log)
{
	memset(facts, 0, sizeof(*facts));
	*rows = opvm_host_allocate(count);
	facts->reached = opvm_host_allocate(count);
	facts->stack_bytes = opvm_host_allocate(count * sizeof(*facts->stack_bytes));
	facts->function = opvm_host_allocate(count * sizeof(*facts->function));
	facts->length = opvm_host_allocate(count * sizeof(*facts->length));
	if (*rows == NULL || facts->reached == NULL || facts->stack_bytes == NULL ||
	    facts->function == NULL || facts->length == NULL)
		return opvm_fail(log, ENOMEM, "no memory to verify %u instructions\n", count);
	return 0;
}

static void free_facts(uint8_t *rows, struct opvm_facts *facts)
{
	opvm_host_free(rows);
	opvm_host_free(facts->reached);
	opvm_host_free(facts->stack_bytes);
	opvm_host_free(facts->function);
	opvm_host_free(facts->length);
}

static int create(const struct opvm_environment *environment, const struct opvm_source *source,
		  const uint8_t *rows, const struct opvm_facts *facts, struct opvm_log *log,
		  struct opvm_program **result)
{
	struct opvm_program *const program = opvm_host_allocate(sizeof(*program));

	if (program == NULL || opvm_lower(environment, source, rows, facts, program) != 0) {
		opvm_program_destroy(program);
		return opvm_fail(log, ENOMEM, "no memory for a program of %u instructions\n",
				 source->count);
	}
	program->exhausted_result = source->exhausted_result;
	program->info = (struct opvm_program_info){
		.instructions = source->count,
		.operations = program->operations_count,
		.steps = facts->steps,
		.state_bytes = facts->state_bytes,
		.stack_bytes = facts->total_stack_bytes,
		.walked = facts->walked,
	};
	*result = program;
	return 0;
}

int opvm_program_create(const struct opvm_environment *environment,
			const struct opvm_source *source, struct opvm_log *log,
			struct opvm_program **program)
{
	struct opvm_facts facts;
	uint8_t *rows;
	int error;

	if (log != NULL && log->size_bytes > 0 && log->used_bytes == 0)
		log->text[0] = 0;
	error = check_source(environment, source, log);
	if (error != 0)
		return error;
	error = allocate_facts(source->count, &rows, &facts, log);
	if (error == 0)
		error = opvm_decode_all(source->instructions, source->count, rows, log);
	if (error == 0 && rows[source->entry] == OPVM_SECOND_HALF)
		error = opvm_fail(log, EINVAL, "entry %u is the second half of an instruction\n",
				  source->entry);
	if (error == 0)
		error = opvm_verify(environment, source, rows, log, &facts);
	if (error == 0 && !source->verify_only)
		error = create(environment, source, rows, &facts, log, program);
	free_facts(rows, &facts);
	return error;
}

void opvm_program_destroy(struct opvm_program *program)
{
	if (program == NULL)
		return;
	opvm_release_code(program);
	opvm_host_free(program->operations);
	opvm_host_free(program);
}

void opvm_program_describe(const struct opvm_program *program, struct opvm_program_info *info)
{
	*info = program->info;
	info->compiled = program->compiled != NULL;
}

int opvm_run(const struct opvm_program *program, void *context, uint64_t fuel, uint64_t *result)
{
	if (program->compiled != NULL)
		return opvm_run_code(program, context, fuel, result);
	return opvm_interpret(program, context, fuel, result);
}
