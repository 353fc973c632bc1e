/* SPDX-License-Identifier: MIT */
/*
 * Small pieces of C that all emitters need.
 */
#include <ctype.h>
#include <string.h>

#include "emit.h"

void line(struct emit *e, const char *format, ...)
{
	va_list arguments;

	if (format[0] != '#')
		for (unsigned i = 0; i < e->indent; i++)
			text_put(e->out, "\t", 1);
	va_start(arguments, format);
	text_vformat(e->out, format, arguments);
	va_end(arguments);
	text_put(e->out, "\n", 1);
}

void blank(struct emit *e)
{
	text_put(e->out, "\n", 1);
}

void open_block(struct emit *e)
{
	line(e, "{");
	e->indent++;
}

void close_block(struct emit *e)
{
	e->indent--;
	line(e, "}");
}

const char *fmt(struct emit *e, const char *format, ...)
{
	struct text *text = &e->c->scratch;
	va_list arguments;

	text->length = 0;
	va_start(arguments, format);
	text_vformat(text, format, arguments);
	va_end(arguments);
	return arena_copy(&e->c->arena, text->data, text->length);
}

const char *struct_prefix(struct emit *e, const struct strct *s)
{
	return fmt(e, "%s_%s", s->unit->format, s->name);
}

const char *upper(struct emit *e, const char *text)
{
	char *copy = arena_copy(&e->c->arena, text, strlen(text));

	for (char *at = copy; *at != '\0'; at++)
		*at = (char)toupper((unsigned char)*at);
	return copy;
}

const char *c_type(struct emit *e, unsigned bits, bool is_signed)
{
	const unsigned width = bits <= 8 ? 8 : bits <= 16 ? 16 : bits <= 32 ? 32 : 64;

	return fmt(e, "%sint%u_t", is_signed ? "" : "u", width);
}

unsigned value_bits(const struct field *field)
{
	return field->kind == FIELD_BIT ? field->width : 8 * field->scalar.bytes;
}

bool value_is_signed(const struct field *field)
{
	return field->kind != FIELD_BIT && field->scalar.is_signed;
}

bool getter_takes_order(const struct strct *s)
{
	return s->is_fixed && s->unit->order == ORDER_RUNTIME;
}

const char *order_letters(enum order order)
{
	static const char *const letters[] = {
		[ORDER_LITTLE] = "le",
		[ORDER_BIG] = "be",
		[ORDER_NATIVE] = "ne",
		[ORDER_RUNTIME] = "rt",
	};

	return letters[order];
}

const char *own_order(struct emit *e)
{
	return e->s->is_fixed || e->in_writer ? "order" : "v->order";
}

const char *order_value(struct emit *e, enum order order)
{
	switch (order) {
	case ORDER_LITTLE:
		return "WIRE_LITTLE";
	case ORDER_BIG:
		return "WIRE_BIG";
	case ORDER_NATIVE:
		return "WIRE_NATIVE";
	default:
		return own_order(e);
	}
}

/* ---- parameters ---- */

static const char *param_type(struct emit *e, const struct param *param)
{
	switch (param->kind) {
	case PARAM_BOOL:
		return "bool";
	case PARAM_BYTES:
		return "struct wire_bytes";
	default:
		return c_type(e, param->bits, false);
	}
}

const char *declared_params(struct emit *e, const struct strct *s)
{
	const char *list = s->takes_order ? ", enum wire_order order" : "";

	for (const struct param *param = s->params; param != NULL; param = param->next)
		list = fmt(e, "%s, %s p_%s", list, param_type(e, param), param->name);
	return list;
}

const char *passed_params(struct emit *e, const struct strct *s)
{
	const char *list = s->takes_order ? ", order" : "";

	for (const struct param *param = s->params; param != NULL; param = param->next)
		list = fmt(e, "%s, p_%s", list, param->name);
	return list;
}

static const char *one_arg(struct emit *e, const struct param *param, const struct expr *arg,
			   bool *may_fail)
{
	const uint64_t max = param->bits == 64 ? UINT64_MAX : (UINT64_C(1) << param->bits) - 1;

	*may_fail |= arg->may_fail;
	switch (param->kind) {
	case PARAM_BYTES:
		return bytes_expression(e, arg);
	case PARAM_BOOL:
		return fmt(e, "(%s) != 0", expression(e, arg));
	default:
		break;
	}
	if (arg->max <= max)
		return fmt(e, "(uint%u_t)(%s)", param->bits, expression(e, arg));
	*may_fail = true;
	return fmt(e, "(uint%u_t)wire_fit(%s, %s, &bad)", param->bits, expression(e, arg),
		   number(e, max));
}

const char *passed_args(struct emit *e, const struct field *field, bool *may_fail)
{
	const char *list = field->strct->takes_order ? fmt(e, ", %s", own_order(e)) : "";
	unsigned i = 0;

	*may_fail = false;
	for (const struct param *param = field->strct->params; param != NULL; param = param->next)
		list = fmt(e, "%s, %s", list, one_arg(e, param, field->args.list[i++], may_fail));
	return list;
}

/* ---- places ---- */

const char *number(struct emit *e, uint64_t value)
{
	if (value <= INT32_MAX)
		return fmt(e, "%llu", (unsigned long long)value);
	if (value <= UINT32_MAX)
		return fmt(e, "UINT32_C(0x%llx)", (unsigned long long)value);
	return fmt(e, "UINT64_C(0x%llx)", (unsigned long long)value);
}

const char *place_offset(struct emit *e, const struct place *place)
{
	if (place->anchor == 0)
		return number(e, place->delta);
	if (e->in_writer)
		return fmt(e, "a%u + %s", place->anchor, number(e, place->delta));
	if (place->delta == 0)
		return fmt(e, "v->at[%u]", place->anchor - 1);
	return fmt(e, "v->at[%u] + %s", place->anchor - 1, number(e, place->delta));
}

const char *place_pointer(struct emit *e, const struct place *place)
{
	const char *base =
		e->s->is_fixed ? fmt(e, "wire_in(%s)", e->self) : fmt(e, "%s->data", e->self);

	if (place->anchor == 0 && place->delta == 0)
		return base;
	if (place->anchor == 0)
		return fmt(e, "%s + %s", base, number(e, place->delta));
	return fmt(e, "%s + %s->at[%u] + %s", base, e->self, place->anchor - 1,
		   number(e, place->delta));
}

struct place field_end(const struct field *field)
{
	struct place end = field->place;

	end.delta += field->kind == FIELD_BIT ? field->bits->scalar.bytes : field->size;
	return end;
}

static bool mentions(const struct expr *expr, const struct param *param)
{
	if (expr == NULL)
		return false;
	return (expr->kind == EXPR_PARAM && expr->param == param) || mentions(expr->a, param) ||
	       mentions(expr->b, param) || mentions(expr->c, param);
}

static bool uses_index(const struct expr *expr)
{
	if (expr == NULL)
		return false;
	return expr->kind == EXPR_INDEX || uses_index(expr->a) || uses_index(expr->b) ||
	       uses_index(expr->c);
}

bool has_stride(const struct field *field)
{
	const struct param *param;
	unsigned i = 0;

	if (field->strct == NULL || field->strct->is_fixed || field->strct->size_expr == NULL ||
	    field->array == ARRAY_NONE || field->array == ARRAY_UNTIL ||
	    expr_uses_fields(field->strct->size_expr))
		return false;
	for (param = field->strct->params; param != NULL; param = param->next)
		if (uses_index(field->args.list[i++]) && mentions(field->strct->size_expr, param))
			return false;
	return true;
}

const char *element_count(struct emit *e, const struct field *field)
{
	if (field->is_sized || (field->array == ARRAY_COUNT && field->count->is_constant))
		return number(e, field->length);
	return fmt(e, "%s->n_%s", e->self, field->name);
}

/* ---- text ---- */

const char *c_string(struct emit *e, const char *text, size_t length)
{
	struct text out = {0};
	const char *copy;

	text_put(&out, "\"", 1);
	for (size_t i = 0; i < length; i++) {
		const unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			text_format(&out, "\\%c", c);
		else if (c >= ' ' && c < 127 && c != '?')
			text_format(&out, "%c", c);
		else
			text_format(&out, "\\%03o", c);
	}
	text_put(&out, "\"", 1);
	copy = arena_copy(&e->c->arena, out.data, out.length);
	text_finish(&out);
	return copy;
}

const char *constant_bytes(struct emit *e, const struct field *field)
{
	struct text out = {0};
	const char fill = field->text_rule == TEXT_SPACE_PADDED ? ' ' : '\0';
	const char *copy;

	for (uint64_t i = 0; i < field->size; i++) {
		const char c = i < field->string_length ? field->string[i] : fill;

		text_format(&out, "%s0x%02x",
			    i == 0        ? "{"
			    : i % 12 == 0 ? ",\n\t"
					  : ", ",
			    (unsigned char)c);
	}
	text_put(&out, "}", 1);
	copy = arena_copy(&e->c->arena, out.data, out.length);
	text_finish(&out);
	return copy;
}

/* ---- walking ---- */

static void guarded(struct emit *e, const struct guard *guard, const struct item *body,
		    void (*leaf)(struct emit *e, const struct item *item))
{
	if (body == NULL)
		return;
	line(e, "if (%s) {", guard_condition(e, guard, NULL));
	e->indent++;
	each_leaf(e, body, leaf);
	close_block(e);
}

const struct guard *covered_guard(const struct guard *guard)
{
	while (guard != NULL && guard->kind != GUARD_COVERED)
		guard = guard->outer;
	return guard;
}

static void covered_leaf(struct emit *e, const struct item *item,
			 void (*leaf)(struct emit *e, const struct item *item))
{
	struct place end = item->place;

	end.delta += item->size;
	line(e, "if (%s) {", guard_condition(e, covered_guard(item->guard), &end));
	e->indent++;
	leaf(e, item);
	close_block(e);
}

void each_leaf(struct emit *e, const struct item *item,
	       void (*leaf)(struct emit *e, const struct item *item))
{
	for (; item != NULL; item = item->next) {
		const bool is_place = item->kind == ITEM_FIELD || item->kind == ITEM_BITS ||
				      item->kind == ITEM_PAD;

		switch (item->kind) {
		case ITEM_IF:
			guarded(e, item->inner, item->body, leaf);
			guarded(e, item->inner_else, item->orelse, leaf);
			break;
		case ITEM_WHEN:
			guarded(e, item->inner, item->body, leaf);
			break;
		case ITEM_COVERED:
			each_leaf(e, item->body, leaf);
			break;
		case ITEM_UNION:
			for (const struct arm *arm = item->arms; arm != NULL; arm = arm->next)
				guarded(e, arm->guard, arm->body, leaf);
			break;
		default:
			if (is_place && covered_guard(item->guard) != NULL && !e->in_writer)
				covered_leaf(e, item, leaf);
			else
				leaf(e, item);
			break;
		}
	}
}
