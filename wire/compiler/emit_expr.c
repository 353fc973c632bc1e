/* SPDX-License-Identifier: MIT */
/*
 * Expressions and conditions in C. What cannot fail becomes an operator; what can goes through the
 * runtime's wire_add() and its kin, which note a fault in "bad".
 */
#include <string.h>

#include "emit.h"

/* ---- fields ---- */

static const char *call(struct emit *e, const char *self, const struct field *field,
			const char *index)
{
	const bool takes_order = getter_takes_order(field->owner) &&
				 (field->type == TYPE_SCALAR || field->type == TYPE_UTF16);

	return fmt(e, "%s_%s(%s%s%s%s%s)", struct_prefix(e, field->owner), field->name, self,
		   index == NULL ? "" : ", ", index == NULL ? "" : index, takes_order ? ", " : "",
		   takes_order ? own_order(e) : "");
}

const char *getter(struct emit *e, const struct field *field, const char *index)
{
	return call(e, e->self, field, index);
}

static bool may_be_absent(const struct field *field)
{
	if (field->owner->is_fixed)
		return false;
	for (const struct guard *guard = field->guard; guard != NULL; guard = guard->outer)
		if (guard_is_layout(guard))
			return true;
	return false;
}

/* Elements in C: an index that does not fit size_t is out of every range. */
static const char *index_of(struct emit *e, const struct expr *expr)
{
	if (expr == NULL)
		return NULL;
	return fmt(e, "wire_index(%s)", expression(e, expr));
}

/* The chain of getters of @expr from @self on, which is a @from'th field's owner. */
static const char *chain(struct emit *e, const char *self, const struct expr *expr, unsigned from,
			 const char *otherwise)
{
	const char *condition = NULL, *value;

	for (unsigned i = from; i + 1 < expr->field_count; i++) {
		const struct field *field = expr->fields[i];

		if (may_be_absent(field)) {
			const char *test = fmt(e, "%s_has_%s(%s)", struct_prefix(e, field->owner),
					       field->name, self);

			condition = condition == NULL ? test : fmt(e, "%s && %s", condition, test);
		}
		self = call(e, self, field, NULL);
	}
	value = call(e, self, expr->fields[expr->field_count - 1],
		     expr->is_bytes ? NULL : index_of(e, expr->a));
	if (condition == NULL)
		return value;
	return fmt(e, "(%s ? %s : %s)", condition, value, otherwise);
}

/* ---- fields of a structure that is being written ---- */

static const char *element_of(struct emit *e, const char *from, const struct field *field,
			      const char *index)
{
	return fmt(e, "(%s < %s%s_count ? %s%s[%s] : 0)", index, from, field->name, from,
		   field->name, index);
}

/* A field of a dynamic structure among the values; not all fields are. */
static const char *value_member(struct emit *e, const char *from, const struct field *field,
				const char *index)
{
	if (field->constant != NULL)
		return number(e, field->constant->number);
	if (field->is_checksum || field->kind == FIELD_JOIN)
		return "0";
	if (field->is_derived)
		return derived_value(e, from, field);
	if (index != NULL)
		return element_of(e, from, field, index);
	return fmt(e, "%s%s", from, field->name);
}

static const char *written_chain(struct emit *e, const struct expr *expr)
{
	const struct field *first = expr->fields[0];
	const char *index = expr->is_bytes ? NULL : index_of(e, expr->a), *from = "in->";

	if (expr->field_count == 1)
		return index == NULL ? fmt(e, "w_%s", first->name)
				     : element_of(e, from, first, index);
	for (unsigned i = 0; i + 1 < expr->field_count; i++) {
		const struct field *field = expr->fields[i];

		if (field->strct->is_fixed) {
			const struct expr rest = {
				.fields = expr->fields + i + 1,
				.field_count = expr->field_count - i - 1,
				.a = expr->a,
				.is_bytes = expr->is_bytes,
			};

			return chain(e, fmt(e, "(&%s%s)", from, field->name), &rest, 0, "0");
		}
		from = fmt(e, "%s%s.", from, field->name);
	}
	return value_member(e, from, expr->fields[expr->field_count - 1], index);
}

static const char *field_value(struct emit *e, const struct expr *expr)
{
	const struct field *last = expr->fields[expr->field_count - 1];
	const char *value = e->in_writer ? written_chain(e, expr) : chain(e, e->self, expr, 0, "0");

	if (last->type == TYPE_BYTES)
		return fmt(e, "wire_byte(%s, %s)",
			   e->in_writer ? written_chain(e, &(struct expr){.fields = expr->fields,
									  .field_count =
										  expr->field_count,
									  .is_bytes = true})
					: chain(e, e->self,
						&(struct expr){.fields = expr->fields,
							       .field_count = expr->field_count,
							       .is_bytes = true},
						0, "wire_no_bytes()"),
			   expression(e, expr->a));
	if (value_is_signed(last))
		return fmt(e, "wire_positive(%s, &bad)", value);
	return fmt(e, "(uint64_t)%s", value);
}

const char *bytes_expression(struct emit *e, const struct expr *expr)
{
	if (expr->kind == EXPR_PARAM)
		return fmt(e, e->s->is_fixed || e->in_writer ? "p_%s" : "v->p_%s",
			   expr->param->name);
	return e->in_writer ? written_chain(e, expr)
			    : chain(e, e->self, expr, 0, "wire_no_bytes()");
}

static const char *element_value(struct emit *e, const struct expr *expr)
{
	const struct field *last;

	if (expr->field_count == 0)
		return e->it->scalar.is_signed ? fmt(e, "wire_positive(%s, &bad)", e->it_value)
					       : fmt(e, "(uint64_t)%s", e->it_value);
	last = expr->fields[expr->field_count - 1];
	if (last->type == TYPE_BYTES)
		return fmt(e, "wire_byte(%s, %s)",
			   chain(e, e->it_value,
				 &(struct expr){.fields = expr->fields,
						.field_count = expr->field_count,
						.is_bytes = true},
				 0, "wire_no_bytes()"),
			   expression(e, expr->a));
	return fmt(e, value_is_signed(last) ? "wire_positive(%s, &bad)" : "(uint64_t)%s",
		   chain(e, e->it_value, expr, 0, "0"));
}

/* ---- operators ---- */

static const char *checked_name(unsigned op)
{
	switch (op) {
	case PUNCT(0, '+'):
		return "wire_add";
	case PUNCT(0, '-'):
		return "wire_sub";
	case PUNCT(0, '*'):
		return "wire_mul";
	case PUNCT(0, '/'):
		return "wire_div";
	case PUNCT(0, '%'):
		return "wire_mod";
	default:
		return "wire_shl";
	}
}

/* Whether the operator itself, and not only its operands, can fail. */
static bool fails_itself(const struct expr *expr)
{
	const uint64_t a = expr->a->max, b = expr->b->max;
	uint64_t r;

	switch (expr->op) {
	case PUNCT(0, '+'):
		return __builtin_add_overflow(a, b, &r);
	case PUNCT(0, '*'):
		return __builtin_mul_overflow(a, b, &r);
	case PUNCT(0, '-'):
		return !expr->a->is_constant || expr->a->number < b;
	case PUNCT(0, '/'):
	case PUNCT(0, '%'):
		return !expr->b->is_constant || b == 0;
	case PUNCT('<', '<'):
		return !expr->b->is_constant || b > 63 || (a << b) >> b != a;
	default:
		return false;
	}
}

static const char *binary(struct emit *e, const struct expr *expr)
{
	const char *a = expression(e, expr->a), *b = expression(e, expr->b);

	if (expr->op == PUNCT('>', '>') && !(expr->b->is_constant && expr->b->number < 64))
		return fmt(e, "wire_shr(%s, %s)", a, b);
	if (fails_itself(expr))
		return fmt(e, "%s(%s, %s, &bad)", checked_name(expr->op), a, b);
	if (expr->op == PUNCT('|', '|') || expr->op == PUNCT('&', '&'))
		return fmt(e, "(uint64_t)((%s) != 0 %c%c (%s) != 0)", a, (char)expr->op,
			   (char)expr->op, b);
	if (expr->op >> 8 != 0 && expr->op != PUNCT('<', '<') && expr->op != PUNCT('>', '>'))
		return fmt(e, "(uint64_t)(%s %c%c %s)", a, (char)(expr->op >> 8), (char)expr->op,
			   b);
	if (expr->op == PUNCT(0, '<') || expr->op == PUNCT(0, '>'))
		return fmt(e, "(uint64_t)(%s %c %s)", a, (char)expr->op, b);
	if (expr->op >> 8 != 0)
		return fmt(e, "(%s %c%c %s)", a, (char)expr->op, (char)expr->op, b);
	return fmt(e, "(%s %c %s)", a, (char)expr->op, b);
}

static const char *two(struct emit *e, const struct expr *expr)
{
	const char *a = expression(e, expr->a), *b = expression(e, expr->b);

	if (expr->kind == EXPR_ALIGN)
		return fmt(e, "wire_align(%s, %s, %s)", a, b, expr->may_fail ? "&bad" : "NULL");
	return fmt(e, "%s(%s, %s)", expr->kind == EXPR_MIN ? "wire_min" : "wire_max", a, b);
}

static const char *place_value(struct emit *e, const struct expr *expr)
{
	const struct field *field = expr->fields[0];
	struct place end = field_end(field);

	if (expr->kind == EXPR_OFFSETOF)
		return fmt(e, "(uint64_t)(%s)", place_offset(e, &field->place));
	if (field->is_sized)
		return fmt(e, "(uint64_t)(%s)", place_offset(e, &end));
	return fmt(e, e->in_writer ? "a%u" : "(uint64_t)v->at[%u]",
		   field->place_end.anchor - (e->in_writer ? 0 : 1));
}

static const char *has_value(struct emit *e, const struct expr *expr)
{
	const char *condition = "1", *self = e->self;

	for (unsigned i = 0; i < expr->field_count; i++) {
		const struct field *field = expr->fields[i];
		const char *own = i == 0 ? meaning_condition(e, field)
				  : may_be_absent(field)
					  ? fmt(e, "%s_has_%s(%s)", struct_prefix(e, field->owner),
						field->name, self)
					  : NULL;

		if (own != NULL)
			condition = fmt(e, "%s && %s", condition, own);
		self = call(e, self, field, NULL);
	}
	return fmt(e, "(uint64_t)(%s)", condition);
}

static const char *param_value(struct emit *e, const struct expr *expr)
{
	return fmt(e, e->s->is_fixed || e->in_writer ? "(uint64_t)p_%s" : "(uint64_t)v->p_%s",
		   expr->param->name);
}

const char *expression(struct emit *e, const struct expr *expr)
{
	switch (expr->kind) {
	case EXPR_NUMBER:
		return fmt(e, "UINT64_C(%llu)", (unsigned long long)expr->number);
	case EXPR_FIELD:
		return field_value(e, expr);
	case EXPR_PARAM:
		return param_value(e, expr);
	case EXPR_SIZE:
		return fmt(e, "(uint64_t)%s", e->s->is_fixed ? number(e, e->s->size) : e->size);
	case EXPR_INDEX:
		return fmt(e, "(uint64_t)%s", e->index);
	case EXPR_IT:
		return element_value(e, expr);
	case EXPR_UNARY:
		return fmt(e, expr->op == PUNCT(0, '!') ? "(uint64_t)((%s) == 0)" : "(~%s)",
			   expression(e, expr->a));
	case EXPR_BINARY:
		return binary(e, expr);
	case EXPR_COND:
		return fmt(e, "((%s) != 0 ? %s : %s)", expression(e, expr->a),
			   expression(e, expr->b), expression(e, expr->c));
	case EXPR_OFFSETOF:
	case EXPR_ENDOF:
		return place_value(e, expr);
	case EXPR_HAS:
		return has_value(e, expr);
	default:
		return two(e, expr);
	}
}

bool expr_uses_params(const struct expr *expr)
{
	if (expr == NULL)
		return false;
	if (expr->kind == EXPR_PARAM)
		return true;
	if (expr->kind == EXPR_HAS && expr->fields[0]->guard != NULL)
		return guard_uses_params(expr->fields[0]->guard);
	return expr_uses_params(expr->a) || expr_uses_params(expr->b) || expr_uses_params(expr->c);
}

uint64_t fields_end_of(const struct expr *expr)
{
	uint64_t end = 0;
	const struct expr *const operands[] = {expr->a, expr->b, expr->c};

	for (unsigned i = 0; i < 3; i++) {
		const uint64_t other = operands[i] == NULL ? 0 : fields_end_of(operands[i]);

		end = other > end ? other : end;
	}
	if (expr->kind == EXPR_FIELD && field_end(expr->fields[0]).delta > end)
		end = field_end(expr->fields[0]).delta;
	return end;
}

bool expr_uses_fields(const struct expr *expr)
{
	if (expr == NULL)
		return false;
	return expr->kind == EXPR_FIELD || expr->kind == EXPR_OFFSETOF ||
	       expr->kind == EXPR_ENDOF || expr->kind == EXPR_HAS || expr_uses_fields(expr->a) ||
	       expr_uses_fields(expr->b) || expr_uses_fields(expr->c);
}

/* ---- conditions ---- */

bool guard_is_layout(const struct guard *guard)
{
	return guard->kind != GUARD_WHEN;
}

bool guard_uses_params(const struct guard *guard)
{
	for (; guard != NULL; guard = guard->outer)
		if (expr_uses_params(guard->item->expr))
			return true;
	return false;
}

static const char *in_range(struct emit *e, const char *value, const struct range *range)
{
	const char *list = NULL;

	for (; range != NULL; range = range->next) {
		const char *low = expression(e, range->low), *high = expression(e, range->high),
			   *one;

		if (range->low == range->high)
			one = fmt(e, "%s == %s", value, low);
		else if (range->low->is_constant && range->low->number == 0)
			one = fmt(e, "%s <= %s", value, high);
		else
			one = fmt(e, "(%s >= %s && %s <= %s)", value, low, value, high);
		list = list == NULL ? one : fmt(e, "%s || %s", list, one);
	}
	return list;
}

static const char *arm_condition(struct emit *e, const struct guard *guard)
{
	const char *selector = expression(e, guard->item->expr), *list = NULL;

	if (!guard->arm->is_default)
		return fmt(e, "(%s)", in_range(e, selector, guard->arm->cases));
	for (const struct arm *arm = guard->item->arms; arm != guard->arm; arm = arm->next) {
		const char *one = in_range(e, selector, arm->cases);

		list = list == NULL ? one : fmt(e, "%s || %s", list, one);
	}
	return list == NULL ? "true" : fmt(e, "!(%s)", list);
}

const char *guard_condition(struct emit *e, const struct guard *guard, const struct place *end)
{
	if (e->in_writer)
		return fmt(e, "h%d", guard->bit);
	if (guard->kind == GUARD_COVERED)
		return fmt(e, "v->cov[%u] >= %s", guard->cover, place_offset(e, end));
	if (!e->s->is_fixed)
		return fmt(e, "(v->has & UINT64_C(0x%llx)) != 0", 1ULL << guard->bit);
	if (guard->kind == GUARD_ARM)
		return arm_condition(e, guard);
	return fmt(e, "(%s) != 0", expression(e, guard->item->expr));
}

/*
 * Bits of a view are only set within those around them, so that the innermost one tells; a covered
 * block beside them has its own.
 */
static const char *view_condition(struct emit *e, const struct field *field, bool layout_only)
{
	const struct place end = field_end(field);
	const char *condition = NULL;
	bool has_bit = false;

	for (const struct guard *guard = field->guard; guard != NULL; guard = guard->outer) {
		const char *one;

		if ((layout_only && !guard_is_layout(guard)) || (guard->bit >= 0 && has_bit))
			continue;
		has_bit |= guard->bit >= 0;
		one = guard_condition(e, guard, &end);
		condition = condition == NULL ? one : fmt(e, "%s && %s", condition, one);
	}
	return condition;
}

const char *layout_condition(struct emit *e, const struct field *field)
{
	return e->s->is_fixed || field->kind == FIELD_JOIN ? NULL : view_condition(e, field, true);
}

const char *meaning_condition(struct emit *e, const struct field *field)
{
	const char *condition = NULL;

	if (!e->s->is_fixed && !e->in_writer)
		return view_condition(e, field, false);
	for (const struct guard *guard = field->guard; guard != NULL; guard = guard->outer) {
		const char *one = guard_condition(e, guard, NULL);

		condition = condition == NULL ? one : fmt(e, "%s && %s", one, condition);
	}
	return condition;
}
