/* SPDX-License-Identifier: MIT */
/*
 * Expressions: what names stand for, constants folded, and for the rest a bound of the value and
 * whether computing it can fail. What cannot fail becomes plain C.
 */
#include <string.h>

#include "wirec.h"

static void make_number(struct expr *e, uint64_t value)
{
	e->kind = EXPR_NUMBER;
	e->number = value;
	e->is_constant = true;
	e->may_fail = false;
	e->max = value;
}

/* The largest value of the C type that a getter of @bits bits has. */
static uint64_t container_max(unsigned bits)
{
	return bits <= 8    ? UINT8_MAX
	       : bits <= 16 ? UINT16_MAX
	       : bits <= 32 ? UINT32_MAX
			    : UINT64_MAX;
}

static uint64_t field_max(const struct field *field)
{
	return container_max(field->kind == FIELD_BIT ? field->width : 8 * field->scalar.bytes);
}

static void resolve_field_value(struct scope *scope, struct expr *e, const struct field *last)
{
	const bool is_array = last->array != ARRAY_NONE;

	if (last->type == TYPE_BYTES && e->a == NULL) {
		e->is_bytes = true;
	} else if (last->type == TYPE_BYTES) {
		e->max = UINT8_MAX;
	} else if (last->type != TYPE_SCALAR) {
		report(scope->c, &e->pos, "type", "'%s' is not a number", last->name);
	} else if (is_array != (e->a != NULL)) {
		report(scope->c, &e->pos, "type",
		       is_array ? "'%s' is an array: say which element" : "'%s' is not an array",
		       last->name);
	} else {
		e->max = field_max(last);
		e->may_fail |= last->scalar.is_signed;
	}
}

/* Follows names from @s inwards. @needs_declared: fields of @s must stand before. */
static bool follow(struct scope *scope, struct expr *e, const struct strct *s, unsigned from,
		   bool needs_declared)
{
	e->fields = arena_alloc(&scope->c->arena, (e->path_length + 1) * sizeof(struct field *));
	for (unsigned i = from; i < e->path_length; i++) {
		struct field *field = s == NULL ? NULL : find_field(s, e->path[i]);

		if (field == NULL) {
			report(scope->c, &e->pos, "unknown-name", "there is no field '%s' in '%s'",
			       e->path[i], i == 0 ? scope->strct->name : e->path[i - 1]);
			return false;
		}
		if (needs_declared && i == from && !field->declared) {
			report(scope->c, &e->pos, "unknown-name",
			       "'%s' is only declared further down", field->name);
			return false;
		}
		if (i + 1 < e->path_length &&
		    (field->strct == NULL || field->array != ARRAY_NONE)) {
			report(scope->c, &e->pos, "type", "'%s' is no single structure",
			       field->name);
			return false;
		}
		e->fields[e->field_count++] = field;
		s = field->strct;
	}
	return true;
}

static struct param *find_param(const struct strct *s, const char *name)
{
	struct param *param = s == NULL ? NULL : s->params;

	while (param != NULL && param->name != name)
		param = param->next;
	return param;
}

static void resolve_index(struct scope *scope, struct expr *e)
{
	if (e->a != NULL) {
		resolve_expr(scope, e->a);
		e->may_fail |= e->a->may_fail;
	}
}

static bool resolve_member(struct scope *scope, struct expr *e, const struct set *set, unsigned at)
{
	if (at + 1 != e->path_length)
		return false;
	for (const struct member *member = set->members; member != NULL; member = member->next)
		if (member->name == e->path[at]) {
			uint64_t value = 0;

			resolve_constant(&(struct scope){.c = scope->c, .unit = set->unit},
					 member->expr, "the value of a name", &value);
			make_number(e, member->is_bit ? (value < 64 ? UINT64_C(1) << value : 0)
						      : value);
			return true;
		}
	return false;
}

static bool resolve_global(struct scope *scope, struct expr *e)
{
	unsigned at = 0;
	const struct symbol *symbol = find_symbol(scope->unit, e->path[at++]);
	struct constant *constant;
	uint64_t value = 0;

	if (symbol == NULL && e->path_length > 1)
		symbol = find_symbol_in(scope->unit, e->path[0], e->path[at++]);
	if (symbol == NULL || e->a != NULL)
		return false;
	if (symbol->kind == SYMBOL_SET)
		return resolve_member(scope, e, symbol->what, at);
	if (symbol->kind != SYMBOL_CONST || at != e->path_length)
		return false;
	constant = symbol->what;
	if (constant->progress == PROGRESS_RUNNING) {
		report(scope->c, &e->pos, "cycle", "'%s' is computed from itself", constant->name);
	} else if (++scope->c->depth > WIREC_MAX_DEPTH) {
		report(scope->c, &e->pos, "limit", "constants that need more than %d others",
		       WIREC_MAX_DEPTH);
	} else {
		constant->progress = PROGRESS_RUNNING;
		resolve_constant(&(struct scope){.c = scope->c, .unit = scope->unit},
				 constant->expr, "a constant", &value);
		constant->progress = PROGRESS_DONE;
		scope->c->depth--;
	}
	make_number(e, value);
	return true;
}

/* "size", "index" and "it", which are only special where nothing else has that name. */
static bool resolve_word(struct scope *scope, struct expr *e)
{
	if (strcmp(e->path[0], "it") == 0 && scope->it != NULL) {
		e->kind = EXPR_IT;
		if (e->path_length == 1) {
			e->max = field_max(scope->it);
			e->may_fail = scope->it->scalar.is_signed;
			if (scope->it->type != TYPE_SCALAR)
				report(scope->c, &e->pos, "type",
				       "'it' is a structure: say which field");
		} else if (follow(scope, e, scope->it->strct, 1, false)) {
			resolve_field_value(scope, e, e->fields[e->field_count - 1]);
		}
		return true;
	}
	if (e->path_length != 1 || scope->strct == NULL)
		return false;
	e->max = INT64_MAX;
	if (strcmp(e->path[0], "size") == 0) {
		e->kind = EXPR_SIZE;
		return true;
	}
	if (strcmp(e->path[0], "index") == 0 && scope->has_index) {
		e->kind = EXPR_INDEX;
		return true;
	}
	return false;
}

static void resolve_name(struct scope *scope, struct expr *e)
{
	const struct field *field =
		scope->strct == NULL ? NULL : find_field(scope->strct, e->path[0]);

	resolve_index(scope, e);
	e->param = find_param(scope->strct, e->path[0]);
	if (field != NULL && (field->declared || e->param == NULL)) {
		e->kind = EXPR_FIELD;
		if (follow(scope, e, scope->strct, 0, true))
			resolve_field_value(scope, e, e->fields[e->field_count - 1]);
	} else if (e->param != NULL && e->path_length == 1 && e->a == NULL) {
		e->kind = EXPR_PARAM;
		e->is_bytes = e->param->kind == PARAM_BYTES;
		e->max = e->param->kind == PARAM_BOOL ? 1 : container_max(e->param->bits);
	} else if (!resolve_word(scope, e) && !resolve_global(scope, e)) {
		report(scope->c, &e->pos, "unknown-name", "nothing here is called '%s%s%s'",
		       e->path[0], e->path_length > 1 ? "." : "",
		       e->path_length > 1 ? e->path[1] : "");
		make_number(e, 1);
	}
}

static void resolve_sizeof(struct scope *scope, struct expr *e)
{
	const char *format = e->path_length == 2 ? e->path[0] : NULL;
	const struct symbol *symbol =
		find_symbol_in(scope->unit, format, e->path[e->path_length - 1]);
	struct strct *s =
		symbol != NULL && symbol->kind == SYMBOL_STRUCT
			? struct_for(symbol->what, scope->strct != NULL && scope->strct->is_narrow)
			: NULL;

	if (s == NULL) {
		report(scope->c, &e->pos, "unknown-name", "there is no structure '%s'", e->path[0]);
	} else {
		layout_struct(scope->c, s);
		if (s->layout == PROGRESS_RUNNING)
			report(scope->c, &e->pos, "cycle",
			       "'%s' would have to contain its own size", s->name);
		else if (!s->is_fixed)
			report(scope->c, &e->pos, "constant", "the size of '%s' is not constant",
			       s->name);
	}
	make_number(e, s == NULL ? 1 : s->size);
}

static void resolve_place(struct scope *scope, struct expr *e)
{
	const struct field *field;

	if (scope->strct == NULL || !follow(scope, e, scope->strct, 0, true)) {
		make_number(e, 0);
		return;
	}
	field = e->fields[0];
	if (e->kind == EXPR_HAS) {
		e->max = 1;
		return;
	}
	e->max = INT64_MAX;
	if (e->path_length != 1 || field->kind != FIELD_PLAIN)
		report(scope->c, &e->pos, "type",
		       "only fields of the structure itself have a place here");
	else if (field->place.anchor == 0 && (e->kind == EXPR_OFFSETOF || field->is_sized))
		make_number(e, field->place.delta + (e->kind == EXPR_ENDOF ? field->size : 0));
}

/* ---- arithmetic ---- */

static uint64_t all_ones(uint64_t value)
{
	for (unsigned shift = 1; shift < 64; shift *= 2)
		value |= value >> shift;
	return value;
}

/* Computes; false if that is a fault. */
static bool compute(unsigned op, uint64_t a, uint64_t b, uint64_t *r)
{
	switch (op) {
	case PUNCT('|', '|'):
		*r = a || b;
		return true;
	case PUNCT('&', '&'):
		*r = a && b;
		return true;
	case PUNCT('=', '='):
		*r = a == b;
		return true;
	case PUNCT('!', '='):
		*r = a != b;
		return true;
	case PUNCT('<', '='):
		*r = a <= b;
		return true;
	case PUNCT('>', '='):
		*r = a >= b;
		return true;
	case PUNCT(0, '<'):
		*r = a < b;
		return true;
	case PUNCT(0, '>'):
		*r = a > b;
		return true;
	case PUNCT(0, '|'):
		*r = a | b;
		return true;
	case PUNCT(0, '^'):
		*r = a ^ b;
		return true;
	case PUNCT(0, '&'):
		*r = a & b;
		return true;
	case PUNCT('<', '<'):
		*r = b < 64 ? a << b : 0;
		return a == 0 || (b < 64 && *r >> b == a);
	case PUNCT('>', '>'):
		*r = b < 64 ? a >> b : 0;
		return true;
	case PUNCT(0, '+'):
		return !__builtin_add_overflow(a, b, r);
	case PUNCT(0, '-'):
		return !__builtin_sub_overflow(a, b, r);
	case PUNCT(0, '*'):
		return !__builtin_mul_overflow(a, b, r);
	case PUNCT(0, '/'):
		*r = b != 0 ? a / b : 0;
		return b != 0;
	default:
		*r = b != 0 ? a % b : 0;
		return b != 0;
	}
}

/* Bounds of a result whose operands are not both constant. */
static void bound(struct expr *e)
{
	const uint64_t a = e->a->max, b = e->b->max;
	bool fails = false;

	switch (e->op) {
	case PUNCT(0, '+'):
		fails = __builtin_add_overflow(a, b, &e->max);
		break;
	case PUNCT(0, '*'):
		fails = __builtin_mul_overflow(a, b, &e->max);
		break;
	case PUNCT(0, '-'):
		e->max = a;
		fails = !e->a->is_constant || e->a->number < b;
		break;
	case PUNCT('<', '<'):
		fails = !e->b->is_constant || !compute(e->op, a, b, &e->max);
		break;
	case PUNCT('>', '>'):
		e->max = e->b->is_constant ? (b < 64 ? a >> b : 0) : a;
		break;
	case PUNCT(0, '/'):
		e->max = a;
		fails = !e->b->is_constant || b == 0;
		break;
	case PUNCT(0, '%'):
		e->max = b == 0 ? 0 : b - 1;
		fails = !e->b->is_constant || b == 0;
		break;
	case PUNCT(0, '&'):
		e->max = a < b ? a : b;
		break;
	case PUNCT(0, '|'):
	case PUNCT(0, '^'):
		e->max = all_ones(a | b);
		break;
	default:
		e->max = 1;
		break;
	}
	if (fails) {
		e->may_fail = true;
		e->max =
			e->op == PUNCT(0, '+') || e->op == PUNCT(0, '*') || e->op == PUNCT('<', '<')
				? UINT64_MAX
				: e->max;
	}
}

static void resolve_binary(struct scope *scope, struct expr *e)
{
	uint64_t value = 0;

	if (e->a->is_constant && e->b->is_constant) {
		if (!compute(e->op, e->a->number, e->b->number, &value)) {
			value = 1;
			report(scope->c, &e->pos, "constant",
			       "this does not fit into 64 bits without a sign, or divides by zero");
		}
		make_number(e, value);
		return;
	}
	e->may_fail = e->a->may_fail || e->b->may_fail;
	bound(e);
}

static void resolve_unary(struct expr *e)
{
	if (e->a->is_constant) {
		make_number(e, e->op == PUNCT(0, '!') ? e->a->number == 0 : ~e->a->number);
		return;
	}
	e->may_fail = e->a->may_fail;
	e->max = e->op == PUNCT(0, '!') ? 1 : UINT64_MAX;
}

static void resolve_cond(struct expr *e)
{
	if (e->a->is_constant) {
		const struct expr chosen = e->a->number != 0 ? *e->b : *e->c;

		*e = chosen;
		return;
	}
	e->may_fail = e->a->may_fail || e->b->may_fail || e->c->may_fail;
	e->max = e->b->max > e->c->max ? e->b->max : e->c->max;
}

static void resolve_call(struct scope *scope, struct expr *e)
{
	const uint64_t a = e->a->max, b = e->b->max;
	const bool constant = e->a->is_constant && e->b->is_constant;

	e->may_fail = e->a->may_fail || e->b->may_fail;
	if (e->kind == EXPR_MIN) {
		e->max = a < b ? a : b;
	} else if (e->kind == EXPR_MAX) {
		e->max = a > b ? a : b;
	} else {
		const bool fits = b != 0 && a <= UINT64_MAX - b;

		e->may_fail |= !e->b->is_constant || !fits;
		e->max = e->may_fail || !fits ? UINT64_MAX : (a + b - 1) / b * b;
		if (constant && !fits)
			report(scope->c, &e->pos, "constant",
			       "this does not fit, or aligns to zero");
	}
	if (constant)
		make_number(e, e->max);
}

static void resolve_operands(struct scope *scope, struct expr *e)
{
	struct expr *const operands[] = {e->a, e->b, e->c};

	for (unsigned i = 0; i < 3; i++) {
		if (operands[i] == NULL)
			continue;
		resolve_expr(scope, operands[i]);
		if (operands[i]->is_bytes)
			report(scope->c, &operands[i]->pos, "type", "bytes are not a number");
	}
}

void resolve_expr(struct scope *scope, struct expr *e)
{
	if (e->is_resolved)
		return;
	e->is_resolved = true;
	if (e->kind == EXPR_NAME) {
		resolve_name(scope, e);
		return;
	}
	resolve_operands(scope, e);
	switch (e->kind) {
	case EXPR_NUMBER:
		make_number(e, e->number);
		break;
	case EXPR_UNARY:
		resolve_unary(e);
		break;
	case EXPR_BINARY:
		resolve_binary(scope, e);
		break;
	case EXPR_COND:
		resolve_cond(e);
		break;
	case EXPR_SIZEOF:
		resolve_sizeof(scope, e);
		break;
	case EXPR_OFFSETOF:
	case EXPR_ENDOF:
	case EXPR_HAS:
		resolve_place(scope, e);
		break;
	default:
		resolve_call(scope, e);
		break;
	}
}

bool resolve_constant(struct scope *scope, struct expr *e, const char *what, uint64_t *value)
{
	const unsigned before = scope->c->errors;

	resolve_expr(scope, e);
	if (scope->c->errors != before)
		return false;
	if (!e->is_constant) {
		report(scope->c, &e->pos, "constant", "%s must be constant", what);
		return false;
	}
	*value = e->number;
	return true;
}

void resolve_ranges(struct scope *scope, struct range *range)
{
	for (; range != NULL; range = range->next) {
		resolve_expr(scope, range->low);
		resolve_expr(scope, range->high);
		if (range->low->is_constant && range->high->is_constant &&
		    range->low->number > range->high->number)
			report(scope->c, &range->low->pos, "range",
			       "a range that nothing can be in");
	}
}
