/* SPDX-License-Identifier: MIT */
/*
 * Getters and setters, inline in the header. They compile to plain loads and stores.
 */
#include <string.h>

#include "emit.h"

static const char *self_type(struct emit *e)
{
	return fmt(e, "const struct %s%s *%s", struct_prefix(e, e->s),
		   e->s->is_fixed ? "" : "_view", e->self);
}

/* What a setter changes: a structure, or through a view what it points to. */
static const char *target_type(struct emit *e)
{
	return e->s->is_fixed ? fmt(e, "struct %s *s", struct_prefix(e, e->s)) : self_type(e);
}

static const char *order_param(struct emit *e)
{
	return getter_takes_order(e->s) ? ", enum wire_order order" : "";
}

static void begin(struct emit *e, const char *type, const char *name, const char *params)
{
	line(e, "static inline %s%s%s(%s)", type, type[strlen(type) - 1] == '*' ? "" : " ", name,
	     params);
	open_block(e);
}

static void end(struct emit *e)
{
	close_block(e);
	blank(e);
}

static const char *name_of(struct emit *e, const char *what, const struct field *field)
{
	return fmt(e, "%s_%s%s", struct_prefix(e, e->s), what, field->name);
}

/* Formats all take order, though only scalars of the run-time order use it. */
static void ignore_order(struct emit *e)
{
	if (getter_takes_order(e->s))
		line(e, "(void)order;");
}

static const char *load(struct emit *e, const struct scalar *scalar, const char *pointer)
{
	return fmt(e, "wire_load_%s%u(%s%s)", order_letters(scalar->order), 8 * scalar->bytes,
		   pointer, scalar->order == ORDER_RUNTIME ? fmt(e, ", %s", own_order(e)) : "");
}

static const char *store(struct emit *e, const struct scalar *scalar, const char *pointer,
			 const char *value)
{
	return fmt(e, "wire_store_%s%u(%s, %s%s)", order_letters(scalar->order), 8 * scalar->bytes,
		   pointer, value,
		   scalar->order == ORDER_RUNTIME ? fmt(e, ", %s", own_order(e)) : "");
}

static unsigned container(unsigned bytes)
{
	return bytes <= 1 ? 8 : bytes <= 2 ? 16 : bytes <= 4 ? 32 : 64;
}

/* C of the value at @pointer, in the getter's type. */
static const char *loaded(struct emit *e, const struct field *field, const char *pointer)
{
	const char *raw = load(e, &field->scalar, pointer);
	const char *type = c_type(e, value_bits(field), value_is_signed(field));

	if (field->kind == FIELD_BIT && field->width < 8 * field->scalar.bytes)
		raw = fmt(e, "(%s >> %u & %s)", raw, field->shift,
			  number(e, UINT64_MAX >> (64 - field->width)));
	if (value_is_signed(field))
		raw = fmt(e, "wire_sign(%s, %u)", raw, 8 * field->scalar.bytes);
	if (field->set != NULL && field->set->unknown == UNKNOWN_CLEAR)
		raw = fmt(e, "(%s & %s)", raw,
			  fmt(e, "UINT%u_C(0x%llx)", field->scalar.bytes > 4 ? 64 : 32,
			      (unsigned long long)field->set->mask));
	return fmt(e, "(%s)%s", type, raw);
}

static void guarded_return(struct emit *e, const struct field *field, const char *otherwise,
			   const char *value)
{
	const char *condition = layout_condition(e, field);

	if (condition == NULL)
		line(e, "return %s;", value);
	else
		line(e, "return %s ? %s : %s;", condition, value, otherwise);
}

/* ---- scalars and bits ---- */

static const char *element_pointer(struct emit *e, const struct field *field, uint64_t unit)
{
	return fmt(e, unit == 1 ? "%s + i" : "%s + i * %llu", place_pointer(e, &field->place),
		   (unsigned long long)unit);
}

static void emit_count(struct emit *e, const struct field *field)
{
	const char *count = element_count(e, field), *condition = layout_condition(e, field);

	begin(e, "size_t", fmt(e, "%s_count", name_of(e, "", field)), self_type(e));
	line(e, "(void)%s;", e->self);
	if (field->is_sized && condition != NULL)
		line(e, "return %s ? %s : 0;", condition, count);
	else
		line(e, "return %s;", count);
	end(e);
}

static void emit_array_getter(struct emit *e, const struct field *field)
{
	const char *condition = layout_condition(e, field);
	const char *range = fmt(e, "i < %s", element_count(e, field));

	if (field->is_sized && condition != NULL)
		range = fmt(e, "%s && %s", condition, range);
	emit_count(e, field);
	begin(e, c_type(e, value_bits(field), value_is_signed(field)), name_of(e, "", field),
	      fmt(e, "%s, size_t i%s", self_type(e), order_param(e)));
	ignore_order(e);
	line(e, "return %s ? %s : 0;", range,
	     loaded(e, field, element_pointer(e, field, field->scalar.bytes)));
	end(e);
	begin(e, "void", name_of(e, "set_", field),
	      fmt(e, "%s, size_t i%s, %s value", target_type(e), order_param(e),
		  c_type(e, value_bits(field), value_is_signed(field))));
	ignore_order(e);
	line(e, "if (%s)", range);
	line(e, "\t%s;",
	     store(e, &field->scalar, element_pointer(e, field, field->scalar.bytes),
		   fmt(e, "(uint%u_t)value", container(field->scalar.bytes))));
	end(e);
}

static void emit_scalar_setter(struct emit *e, const struct field *field)
{
	const char *condition = layout_condition(e, field),
		   *pointer = place_pointer(e, &field->place);
	const char *value = "value";

	begin(e, "void", name_of(e, "set_", field),
	      fmt(e, "%s%s, %s value", target_type(e), order_param(e),
		  c_type(e, value_bits(field), value_is_signed(field))));
	ignore_order(e);
	if (condition != NULL) {
		line(e, "if (!(%s))", condition);
		line(e, "\treturn;");
	}
	if (field->set != NULL && field->set->unknown == UNKNOWN_CLEAR)
		value = fmt(e, "(value & %s)", number(e, field->set->mask));
	if (field->kind == FIELD_BIT && field->width < 8 * field->scalar.bytes) {
		const uint64_t mask = UINT64_MAX >> (64 - field->width);
		const char *type = fmt(e, "uint%u_t", container(field->scalar.bytes));

		line(e, "const uint64_t others = %s & ~UINT64_C(0x%llx);",
		     load(e, &field->scalar, pointer), (unsigned long long)(mask << field->shift));
		value = fmt(e, "(%s)(others | ((uint64_t)%s & UINT64_C(0x%llx)) << %u)", type,
			    value, (unsigned long long)mask, field->shift);
	} else {
		value = fmt(e, "(uint%u_t)%s", container(field->scalar.bytes), value);
	}
	line(e, "%s;", store(e, &field->scalar, pointer, value));
	end(e);
}

static void emit_scalar(struct emit *e, const struct field *field)
{
	begin(e, c_type(e, value_bits(field), value_is_signed(field)), name_of(e, "", field),
	      fmt(e, "%s%s", self_type(e), order_param(e)));
	ignore_order(e);
	guarded_return(e, field, "0", loaded(e, field, place_pointer(e, &field->place)));
	end(e);
	if (field->constant == NULL)
		emit_scalar_setter(e, field);
}

/* ---- joined values ---- */

static const char *part_value(struct emit *e, const struct field *part)
{
	const char *value = fmt(e, "(uint64_t)%s", getter(e, part, NULL));
	const char *condition = meaning_condition(e, part);

	return condition == NULL ? value : fmt(e, "(%s ? %s : 0)", condition, value);
}

static void emit_join(struct emit *e, const struct field *field)
{
	const char *type = c_type(e, value_bits(field), field->scalar.is_signed);
	const char *sum = part_value(e, field->parts[0]);
	unsigned shift = value_bits(field->parts[0]);

	for (unsigned i = 1; i < field->part_count; i++) {
		sum = fmt(e, "%s | %s << %u", sum, part_value(e, field->parts[i]), shift);
		shift += value_bits(field->parts[i]);
	}
	begin(e, type, name_of(e, "", field), fmt(e, "%s%s", self_type(e), order_param(e)));
	ignore_order(e);
	if (strstr(sum, "&bad") != NULL)
		line(e, "bool bad = false;\n");
	line(e, "return (%s)(%s);", type, sum);
	end(e);
	begin(e, "void", name_of(e, "set_", field),
	      fmt(e, "%s%s, %s value", target_type(e), order_param(e), type));
	shift = 0;
	for (unsigned i = 0; i < field->part_count; i++) {
		const struct field *part = field->parts[i];

		line(e, "%s(%s%s, (%s)((uint64_t)value >> %u));", name_of(e, "set_", part), e->self,
		     getter_takes_order(e->s) ? ", order" : "", c_type(e, value_bits(part), false),
		     shift);
		shift += value_bits(part);
	}
	end(e);
}

/* ---- bytes and text ---- */

static const char *rule_name(const struct field *field)
{
	static const char *const names[] = {
		[TEXT_ZERO_PADDED] = "WIRE_TEXT_ZERO_PADDED",
		[TEXT_TERMINATED] = "WIRE_TEXT_TERMINATED",
		[TEXT_SPACE_PADDED] = "WIRE_TEXT_SPACE_PADDED",
		[TEXT_EXACT] = "WIRE_TEXT_EXACT",
	};

	return names[field->text_rule];
}

static const char *text_rule(const struct field *field)
{
	return field->until_zero ? "WIRE_TEXT_EXACT" : rule_name(field);
}

static void emit_string(struct emit *e, const struct field *field)
{
	const char *pointer = place_pointer(e, &field->place), *count = element_count(e, field);
	const char *condition = layout_condition(e, field);
	const char *otherwise = field->type == TYPE_BYTES ? "wire_no_bytes()" : "wire_no_text()";
	const char *value;

	if (field->type == TYPE_BYTES)
		value = fmt(e, "wire_bytes(%s, %s)", pointer, count);
	else if (field->until_zero || field->text_rule == TEXT_EXACT)
		value = fmt(e, "wire_exact_text(%s, %s)", pointer, count);
	else
		value = fmt(e, "wire_text(%s, %s, %s)", rule_name(field), pointer, count);
	begin(e, field->type == TYPE_BYTES ? "struct wire_bytes" : "struct wire_text",
	      name_of(e, "", field), self_type(e));
	guarded_return(e, field, otherwise, value);
	end(e);
	if (field->string != NULL)
		return;
	begin(e, "int", name_of(e, "set_", field),
	      fmt(e, "%s, struct %s value", target_type(e),
		  field->type == TYPE_BYTES ? "wire_bytes" : "wire_text"));
	if (condition != NULL) {
		line(e, "if (!(%s))", condition);
		line(e, "\treturn -EINVAL;");
	}
	if (field->type == TYPE_BYTES)
		line(e, "return wire_set_bytes(%s, %s, value);", pointer, count);
	else
		line(e, "return wire_set_text(%s, %s, %s, value);", text_rule(field), pointer,
		     count);
	end(e);
}

static void emit_utf16(struct emit *e, const struct field *field)
{
	const char *pointer = place_pointer(e, &field->place), *count = element_count(e, field);
	const char *order = order_value(e, field->scalar.order);
	const char *condition = layout_condition(e, field);

	begin(e, "struct wire_utf16", name_of(e, "", field),
	      fmt(e, "%s%s", self_type(e), order_param(e)));
	ignore_order(e);
	guarded_return(
		e, field, "wire_no_utf16()",
		fmt(e, "wire_utf16(%s, %s, %s, %s)", rule_name(field), pointer, count, order));
	end(e);
	begin(e, "int", name_of(e, "set_", field),
	      fmt(e, "%s%s, struct wire_text utf8", target_type(e), order_param(e)));
	ignore_order(e);
	if (condition != NULL) {
		line(e, "if (!(%s))", condition);
		line(e, "\treturn -EINVAL;");
	}
	line(e, "return wire_set_utf16(%s, %s, %s, %s, utf8);", rule_name(field), pointer, count,
	     order);
	end(e);
}

/* ---- structures ---- */

static void emit_fixed_struct(struct emit *e, const struct field *field)
{
	const char *inner = struct_prefix(e, field->strct);

	begin(e, fmt(e, "const struct %s *", inner), name_of(e, "", field), self_type(e));
	guarded_return(e, field, "NULL",
		       fmt(e, "%s_from(%s)", inner, place_pointer(e, &field->place)));
	end(e);
	begin(e, fmt(e, "struct %s *", inner), name_of(e, "edit_", field), target_type(e));
	guarded_return(e, field, "NULL",
		       fmt(e, "%s_from(%s)", inner, place_pointer(e, &field->place)));
	end(e);
}

static void emit_fixed_array(struct emit *e, const struct field *field)
{
	const char *inner = struct_prefix(e, field->strct), *condition = layout_condition(e, field);
	const char *range = fmt(e, "i < %s", element_count(e, field));
	const char *value =
		fmt(e, "%s_from(%s)", inner, element_pointer(e, field, field->unit_size));

	if (field->is_sized && condition != NULL)
		range = fmt(e, "%s && %s", condition, range);
	emit_count(e, field);
	begin(e, fmt(e, "const struct %s *", inner), name_of(e, "", field),
	      fmt(e, "%s, size_t i", self_type(e)));
	line(e, "return %s ? %s : NULL;", range, value);
	end(e);
	begin(e, fmt(e, "struct %s *", inner), name_of(e, "edit_", field),
	      fmt(e, "%s, size_t i", target_type(e)));
	line(e, "return %s ? %s : NULL;", range, value);
	end(e);
}

static void emit_view_array(struct emit *e, const struct field *field)
{
	const char *inner = struct_prefix(e, field->strct), *args;
	const char *after = fmt(e, "v->at[%u]", field->place_end.anchor - 1);
	bool may_fail;

	e->index = "c->index";
	args = passed_args(e, field, &may_fail);
	emit_count(e, field);
	begin(e, "bool", fmt(e, "%s_next", name_of(e, "", field)),
	      fmt(e, "%s, struct wire_cursor *c, struct %s_view *item", self_type(e), inner));
	if (strstr(args, "&bad") != NULL)
		line(e, "bool bad = false;");
	line(e, "const size_t at = %s + c->offset;\n", place_offset(e, &field->place));
	line(e, "if (c->index >= v->n_%s || at > %s ||", field->name, after);
	line(e, "    %s_scan(item, v->data + at, %s - at%s, 0, NULL) != 0)", inner, after, args);
	line(e, "\treturn false;");
	line(e, "c->offset += item->length;");
	line(e, "c->index++;");
	line(e, "return true;");
	end(e);
	if (!has_stride(field))
		return;
	begin(e, "int", fmt(e, "%s_at", name_of(e, "", field)),
	      fmt(e, "%s, size_t i, struct %s_view *item", self_type(e), inner));
	line(e, "struct wire_cursor c;\n");
	line(e, "if (i >= v->n_%s)", field->name);
	line(e, "\treturn -ERANGE;");
	line(e, "c.index = i;");
	line(e, "c.offset = i * ((%s - (%s)) / v->n_%s);", after, place_offset(e, &field->place),
	     field->name);
	line(e, "return %s_next(v, &c, item) ? 0 : -ERANGE;", name_of(e, "", field));
	end(e);
}

static void emit_struct_field(struct emit *e, const struct field *field)
{
	if (!field->strct->is_fixed && field->array != ARRAY_NONE) {
		emit_view_array(e, field);
	} else if (!field->strct->is_fixed) {
		begin(e, fmt(e, "const struct %s_view *", struct_prefix(e, field->strct)),
		      name_of(e, "", field), self_type(e));
		guarded_return(e, field, "NULL", fmt(e, "&v->v_%s", field->name));
		end(e);
	} else if (field->array != ARRAY_NONE) {
		emit_fixed_array(e, field);
	} else {
		emit_fixed_struct(e, field);
	}
}

/* ---- presence ---- */

static void emit_has(struct emit *e, const struct field *field)
{
	const char *condition;

	if (field->guard == NULL)
		return;
	condition = meaning_condition(e, field);
	begin(e, "bool", name_of(e, "has_", field),
	      fmt(e, "%s%s%s", self_type(e),
		  e->s->is_fixed && e->s->order_by != NULL && getter_takes_order(e->s)
			  ? ", enum wire_order order"
			  : "",
		  e->s->is_fixed ? declared_params(e, e->s) : ""));
	if (e->s->is_fixed) {
		line(e, "(void)s;");
		ignore_order(e);
		for (const struct param *param = e->s->params; param != NULL; param = param->next)
			line(e, "(void)p_%s;", param->name);
	}
	if (strstr(condition, "&bad") != NULL) {
		line(e, "bool bad = false;");
		line(e, "const bool result = %s;\n", condition);
		line(e, "return result && !bad;");
	} else {
		line(e, "return %s;", condition);
	}
	end(e);
}

static void emit_field(struct emit *e, const struct field *field)
{
	switch (field->type) {
	case TYPE_SCALAR:
		if (field->kind == FIELD_JOIN)
			emit_join(e, field);
		else if (field->array != ARRAY_NONE)
			emit_array_getter(e, field);
		else
			emit_scalar(e, field);
		break;
	case TYPE_BYTES:
	case TYPE_TEXT:
		emit_string(e, field);
		break;
	case TYPE_UTF16:
		emit_utf16(e, field);
		break;
	case TYPE_STRUCT:
		emit_struct_field(e, field);
		break;
	}
}

void emit_accessors(struct emit *e)
{
	for (const struct field *field = e->s->fields; field != NULL; field = field->next) {
		emit_field(e, field);
		emit_has(e, field);
	}
}
