/* SPDX-License-Identifier: MIT */
/*
 * Machine code, operation by operation, in two passes of the same size: the first finds out where
 * everything lies.
 *
 * Short loops without others inside are unrolled, so that fuel is used up once for several rounds.
 * What a loop does and when fuel runs out are the same as without:
 *
 *	loop:   body; unless its condition holds, to the end
 *	        fuel for all rounds up to the next arrival here; is there too little, to `undo`
 *	copies: body; unless its condition holds, to the exit    (for every copy but the last)
 *	        body; if its condition holds, to `loop`
 *	        fuel for one round back; to the end
 *	exits:  fuel for the rounds that were not made back; to where the jump goes
 *	undo:   fuel for all these rounds back; for one round; is there too little, that is the end
 *of the program, otherwise to `loop` end:
 */
#include "compile.h"

/** How often the body of a loop is there. */
#define COPIES 4
/** Longest loop that is unrolled. */
#define MOST_REPEATED 16
#define FRAME_BYTES   1024

static const struct emitters *const emit = &opvm_emitters;

/** Where an operation lies, in one copy of its loop. */
static uint32_t *body_place(const struct compiler *compiler, uint32_t copy, uint32_t at)
{
	return &compiler->memory.places[copy * (compiler->program->operations_count + 1) + at];
}

/** Where a jump out of one copy of its loop goes, to give fuel back. */
static uint32_t *exit_place(const struct compiler *compiler, uint32_t copy, uint32_t at)
{
	return body_place(compiler, COPIES + copy, at);
}

static uint32_t target_of(const struct opvm_operation *op, uint32_t at)
{
	return at + 1 + (uint32_t)op->offset;
}

/** Where the jump that is being compiled goes. */
static size_t place_of(const struct compiler *compiler, uint32_t target)
{
	if (compiler->copy == 0)
		return *body_place(compiler, 0, target);
	if (target > compiler->first && target <= compiler->last)
		return *body_place(compiler, compiler->copy, target);
	return *exit_place(compiler, compiler->copy, compiler->at);
}

/* ---- operations ---------------------------------------------------------------------------- */

/** Uses up fuel and goes back; @condition, unless @always. */
static void go_back(struct compiler *compiler, const struct opvm_operation *op, bool always,
		    unsigned condition)
{
	const size_t over = always ? 0 : emit->jump_over(compiler, condition ^ 1);

	emit->charge(compiler, (uint32_t)-op->offset);
	emit->jump_back_if(compiler, emit->fuel_left,
			   *body_place(compiler, 0, target_of(op, compiler->at)));
	emit->jump_to(compiler, compiler->exhausted);
	if (!always)
		emit->land(compiler, over);
}

static void compile_jump(struct compiler *compiler, const struct opvm_operation *op,
			 const struct opvm_shape *shape)
{
	const bool always = shape->group == OPVM_GROUP_JUMP;
	const unsigned condition = emit->condition_of(shape->operation);

	if (!always)
		emit->compare(compiler, op, shape);
	if (op->offset < 0)
		go_back(compiler, op, always, condition);
	else if (always)
		emit->jump_to(compiler, place_of(compiler, target_of(op, compiler->at)));
	else
		emit->jump_if(compiler, condition, place_of(compiler, target_of(op, compiler->at)));
}

/** One operation; goes on to the next. */
static void compile_one(struct compiler *compiler)
{
	const struct opvm_operation *const op = &compiler->program->operations[compiler->at];
	const struct opvm_shape *shape;

	*body_place(compiler, compiler->copy, compiler->at) = (uint32_t)compiler->used;
	if (op->code == OPVM_TRAP) {
		emit->jump_to(compiler, compiler->trap);
		compiler->at++;
		return;
	}
	shape = opvm_shape_of(op->code);
	if (opvm_is_jump(opvm_row_of(op->code)))
		compile_jump(compiler, op, shape);
	else
		emit->groups[shape->group](compiler, op, shape);
	compiler->at += shape->group == OPVM_GROUP_WIDE ? 2 : 1;
}

/* ---- loops --------------------------------------------------------------------------------- */

static bool is_back_jump(const struct opvm_operation *op)
{
	const uint16_t code = opvm_plain_code(op->code);

	return code >= OPVM_BACKWARDS && code != OPVM_TRAP;
}

/** Whether @last ends a loop that is to be unrolled; the compiler then knows it. */
static bool find_loop(struct compiler *compiler, uint32_t last)
{
	const struct opvm_operation *const operations = compiler->program->operations;

	if (!is_back_jump(&operations[last]) || operations[last].offset < -MOST_REPEATED)
		return false;
	compiler->first = target_of(&operations[last], last);
	compiler->last = last;
	for (uint32_t at = compiler->first; at < last; at++)
		if (is_back_jump(&operations[at]) ||
		    (operations[at].code != OPVM_TRAP &&
		     opvm_shape_of(operations[at].code)->group == OPVM_GROUP_CALL))
			return false;
	return true;
}

/** Leaves the loop, or a copy of it, by its last operation, unless that goes back. */
static void leave_at_end(struct compiler *compiler)
{
	const struct opvm_operation *const op = &compiler->program->operations[compiler->last];
	const struct opvm_shape *const shape = opvm_shape_of(op->code);

	compiler->at = compiler->last;
	*body_place(compiler, compiler->copy, compiler->at) = (uint32_t)compiler->used;
	if (shape->group == OPVM_GROUP_JUMP)
		return;
	emit->compare(compiler, op, shape);
	emit->jump_if(compiler, emit->condition_of(shape->operation) ^ 1,
		      place_of(compiler, compiler->last + 1));
}

/** The end of the last copy. */
static void repeat_or_end(struct compiler *compiler, uint32_t cost)
{
	const struct opvm_operation *const op = &compiler->program->operations[compiler->last];
	const struct opvm_shape *const shape = opvm_shape_of(op->code);
	const size_t loop = *body_place(compiler, 0, compiler->first);

	*body_place(compiler, compiler->copy, compiler->last) = (uint32_t)compiler->used;
	if (shape->group == OPVM_GROUP_JUMP) {
		emit->jump_to(compiler, loop);
		return;
	}
	emit->compare(compiler, op, shape);
	emit->jump_back_if(compiler, emit->condition_of(shape->operation), loop);
	emit->refund(compiler, cost);
	emit->jump_to(compiler, *body_place(compiler, 0, compiler->last + 1));
}

/** Ways out of one copy. */
static void compile_exits(struct compiler *compiler, uint32_t copy, uint32_t cost)
{
	for (uint32_t at = compiler->first; at <= compiler->last; at++) {
		const struct opvm_operation *const op = &compiler->program->operations[at];
		uint32_t target = compiler->last + 1;

		if (op->code == OPVM_TRAP || !opvm_is_jump(opvm_row_of(op->code)))
			continue;
		if (at < compiler->last)
			target = target_of(op, at);
		if (target <= compiler->last)
			continue;
		*exit_place(compiler, copy, at) = (uint32_t)compiler->used;
		emit->refund(compiler, (COPIES - copy) * cost);
		emit->jump_to(compiler, *body_place(compiler, 0, target));
	}
}

static void compile_undo(struct compiler *compiler, uint32_t cost)
{
	*exit_place(compiler, 0, compiler->last) = (uint32_t)compiler->used;
	emit->refund(compiler, COPIES * cost);
	emit->charge(compiler, cost);
	emit->jump_if(compiler, emit->fuel_out, compiler->exhausted);
	emit->jump_to(compiler, *body_place(compiler, 0, compiler->first));
}

/** The end of a loop, and all that it needs to go on. */
static void compile_loop(struct compiler *compiler)
{
	const uint32_t first = compiler->first, last = compiler->last, cost = last + 1 - first;

	leave_at_end(compiler);
	emit->charge(compiler, COPIES * cost);
	emit->jump_if(compiler, emit->fuel_out, *exit_place(compiler, 0, last));
	for (compiler->copy = 1; compiler->copy < COPIES; compiler->copy++) {
		for (compiler->at = first; compiler->at < last;)
			compile_one(compiler);
		if (compiler->copy < COPIES - 1)
			leave_at_end(compiler);
		else
			repeat_or_end(compiler, cost);
	}
	compiler->copy = 0;
	for (uint32_t copy = 1; copy < COPIES; copy++)
		compile_exits(compiler, copy, cost);
	compile_undo(compiler, cost);
	compiler->at = last + 1;
}

/* ---- programs ------------------------------------------------------------------------------ */

static void compile_pass(struct compiler *compiler)
{
	compiler->used = 0;
	emit->begin(compiler);
	for (compiler->at = 0; compiler->at < compiler->program->operations_count;) {
		if (find_loop(compiler, compiler->at))
			compile_loop(compiler);
		else
			compile_one(compiler);
	}
	compiler->exhausted = compiler->used;
	emit->early_end(compiler, -ETIME);
	compiler->trap = compiler->used;
	emit->early_end(compiler, -EFAULT);
}

int opvm_compile(struct opvm_program *program, struct opvm_log *log)
{
	const size_t count = program->operations_count;
	const size_t most = count * 2 * COPIES * emit->most_bytes + FRAME_BYTES;
	struct compiler compiler = {.program = program};
	int error;

	if (program->compiled != NULL)
		return 0;
	/* Of every operation the places of its copies, and of ways out of them. */
	error = opvm_code_begin(&compiler.memory, (count + 1) * 2 * COPIES, most, log);
	if (error != 0)
		return error;
	emit->survey(&compiler, most);
	compile_pass(&compiler);
	compile_pass(&compiler);
	return opvm_code_finish(&compiler.memory, program, compiler.used, log);
}
