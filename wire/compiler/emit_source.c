/* SPDX-License-Identifier: MIT */
/*
 * The source: validators, initial values, seals, equality, tables of operations.
 */
#include <string.h>

#include "emit.h"

/* ---- initial values ---- */

static void init_struct(struct emit *e, const struct field *field)
{
	const char *inner = struct_prefix(e, field->strct), *p = struct_prefix(e, e->s);
	const char *order = getter_takes_order(field->strct) ? ", order" : "";

	if (field->array == ARRAY_NONE) {
		line(e, "%s_init(%s_edit_%s(s)%s);", inner, p, field->name, order);
		return;
	}
	line(e, "for (size_t i = 0; i < %s; i++)", number(e, field->length));
	line(e, "\t%s_init(%s_edit_%s(s, i)%s);", inner, p, field->name, order);
}

static void init_scalar(struct emit *e, const struct field *field, const struct scalar *scalar)
{
	line(e, "wire_store_%s%u(%s, (uint%u_t)%s%s);", order_letters(scalar->order),
	     8 * scalar->bytes, place_pointer(e, &field->place),
	     scalar->bytes <= 1   ? 8
	     : scalar->bytes <= 2 ? 16
	     : scalar->bytes <= 4 ? 32
				  : 64,
	     expression(e, field->constant), scalar->order == ORDER_RUNTIME ? ", order" : "");
}

static void init_field(struct emit *e, const struct field *field)
{
	const char *pointer = place_pointer(e, &field->place);

	if (field->string != NULL) {
		open_block(e);
		line(e, "static const unsigned char k[] = %s;\n", constant_bytes(e, field));
		line(e, "memcpy(%s, k, sizeof(k));", pointer);
		close_block(e);
	} else if (field->type == TYPE_TEXT && field->text_rule == TEXT_SPACE_PADDED) {
		line(e, "memset(%s, ' ', %s);", pointer, number(e, field->size));
	} else if (field->type == TYPE_STRUCT) {
		init_struct(e, field);
	} else if (field->constant != NULL) {
		init_scalar(e, field, &field->scalar);
	}
}

/* Constants of bits are gathered into one store. */
static void init_bits(struct emit *e, const struct item *item)
{
	uint64_t value = 0;

	for (const struct bit *bit = item->bit_list; bit != NULL; bit = bit->next)
		if (bit->field != NULL && bit->field->constant != NULL)
			value |= bit->field->constant->number << bit->shift;
	if (value != 0) {
		struct expr constant = {.kind = EXPR_NUMBER, .number = value};
		struct field field = {.place = item->place, .constant = &constant};

		init_scalar(e, &field, &item->scalar);
	}
}

void emit_init(struct emit *e)
{
	const char *p = struct_prefix(e, e->s);

	e->self = "s";
	line(e, "void %s_init(struct %s *s%s)", p, p,
	     getter_takes_order(e->s) ? ", enum wire_order order" : "");
	open_block(e);
	if (getter_takes_order(e->s))
		line(e, "(void)order;");
	line(e, "memset(s, 0, sizeof(*s));");
	for (const struct item *item = e->s->items; item != NULL; item = item->next) {
		if (item->kind == ITEM_FIELD)
			init_field(e, item->field);
		else if (item->kind == ITEM_BITS)
			init_bits(e, item);
	}
	close_block(e);
	blank(e);
}

/* ---- equality ---- */

/*
 * Conditions are those of the first structure: what decides them stands before, and has been found
 * equal.
 */
static const char *on_other(struct emit *e, const struct field *field, const char *index)
{
	const char *self = e->self, *result;

	e->self = "b";
	result = getter(e, field, index);
	e->self = self;
	return result;
}

static const char *other_pointer(struct emit *e, const struct place *place)
{
	const char *self = e->self, *result;

	e->self = "b";
	result = place_pointer(e, place);
	e->self = self;
	return result;
}

__attribute__((format(printf, 2, 3))) static void differ_if(struct emit *e, const char *format, ...)
{
	struct text text = {0};
	va_list arguments;

	va_start(arguments, format);
	text_vformat(&text, format, arguments);
	va_end(arguments);
	line(e, "if (%s)", text.data);
	line(e, "\treturn false;");
	text_finish(&text);
}

static void equal_bytes(struct emit *e, const struct place *place, const char *size)
{
	differ_if(e, "memcmp(%s, %s, %s) != 0", place_pointer(e, place), other_pointer(e, place),
		  size);
}

static void equal_array_of_views(struct emit *e, const struct field *field)
{
	const unsigned t = e->temporaries++;
	const char *inner = struct_prefix(e, field->strct);
	const char *next = fmt(e, "%s_%s_next", struct_prefix(e, e->s), field->name);

	line(e, "struct %s_view x%u, y%u;", inner, t, t);
	line(e, "struct wire_cursor cx%u = {0}, cy%u = {0};\n", t, t);
	line(e, "while (%s(v, &cx%u, &x%u))", next, t, t);
	line(e, "\tif (!%s(b, &cy%u, &y%u) || !%s_equal(&x%u, &y%u))", next, t, t, inner, t, t);
	line(e, "\t\treturn false;");
}

static void equal_structs(struct emit *e, const struct field *field)
{
	const char *inner = struct_prefix(e, field->strct), *args;
	const unsigned t = e->temporaries++;
	const char *index = fmt(e, "i%u", t);
	bool may_fail;

	if (!field->strct->is_fixed && field->array != ARRAY_NONE) {
		equal_array_of_views(e, field);
		return;
	}
	if (!field->strct->is_fixed) {
		differ_if(e, "!%s_equal(&v->v_%s, &b->v_%s)", inner, field->name, field->name);
		return;
	}
	e->index = index;
	args = passed_args(e, field, &may_fail);
	if (field->array == ARRAY_NONE) {
		differ_if(e, "!%s_equal(%s, %s%s)", inner, getter(e, field, NULL),
			  on_other(e, field, NULL), args);
		return;
	}
	line(e, "for (size_t %s = 0; %s < %s; %s++)", index, index, element_count(e, field), index);
	line(e, "\tif (!%s_equal(%s, %s%s))", inner, getter(e, field, index),
	     on_other(e, field, index), args);
	line(e, "\t\treturn false;");
}

static void equal_text(struct emit *e, const struct field *field)
{
	if (field->type == TYPE_TEXT)
		differ_if(e, "!wire_text_equal(%s, %s)", getter(e, field, NULL),
			  on_other(e, field, NULL));
	else
		differ_if(e, "!wire_utf16_equal(%s, %s)", getter(e, field, NULL),
			  on_other(e, field, NULL));
}

static void equal_field(struct emit *e, const struct field *field)
{
	const char *count = field->array == ARRAY_NONE || field->is_sized ? NULL : field->name;

	if (count != NULL)
		differ_if(e, "v->n_%s != b->n_%s", count, count);
	switch (field->type) {
	case TYPE_SCALAR:
		if (field->array == ARRAY_NONE)
			differ_if(e, "%s != %s", getter(e, field, NULL), on_other(e, field, NULL));
		else
			equal_bytes(e, &field->place,
				    fmt(e, "(size_t)%s * %u", element_count(e, field),
					field->scalar.bytes));
		break;
	case TYPE_BYTES:
		equal_bytes(e, &field->place, element_count(e, field));
		break;
	case TYPE_STRUCT:
		equal_structs(e, field);
		break;
	default:
		equal_text(e, field);
		break;
	}
}

static void equal_leaf(struct emit *e, const struct item *item)
{
	if (item->kind == ITEM_FIELD)
		equal_field(e, item->field);
	if (item->kind == ITEM_PAD && item->padding == PADDING_KEEP && item->is_sized &&
	    item->size != 0)
		equal_bytes(e, &item->place, number(e, item->size));
	for (const struct bit *bit = item->kind == ITEM_BITS ? item->bit_list : NULL; bit != NULL;
	     bit = bit->next)
		if (bit->field != NULL)
			differ_if(e, "%s != %s", getter(e, bit->field, NULL),
				  on_other(e, bit->field, NULL));
}

static void equal_start(struct emit *e)
{
	const char *p = struct_prefix(e, e->s);

	line(e, "(void)%s;", e->self);
	line(e, "(void)b;");
	for (const struct param *param = e->s->params; e->s->is_fixed && param != NULL;
	     param = param->next)
		line(e, "(void)p_%s;", param->name);
	if (e->s->is_fixed && e->s->order_by != NULL) {
		line(e, "const enum wire_order order = %s_order(s);\n", p);
		differ_if(e, "order != %s_order(b)", p);
	} else if (e->s->is_fixed && e->s->takes_order) {
		line(e, "(void)order;");
	}
	if (!e->s->is_fixed && e->s->guard_count != 0)
		differ_if(e, "v->has != b->has");
	if (!e->s->is_fixed && e->s->unit->order == ORDER_RUNTIME)
		differ_if(e, "v->order != b->order");
	for (unsigned i = 0; i < e->s->cover_count; i++)
		differ_if(e, "v->cov[%u] != b->cov[%u]", i, i);
}

void emit_equal(struct emit *e)
{
	struct text *out = e->out, body = {0};
	const char *p = struct_prefix(e, e->s);

	e->self = e->s->is_fixed ? "s" : "v";
	if (e->s->is_fixed)
		line(e, "bool %s_equal(const struct %s *s, const struct %s *b%s)", p, p, p,
		     declared_params(e, e->s));
	else
		line(e, "bool %s_equal(const struct %s_view *v, const struct %s_view *b)", p, p, p);
	open_block(e);
	e->out = &body;
	equal_start(e);
	each_leaf(e, e->s->items, equal_leaf);
	line(e, "return %s;", strstr(body.data, "&bad") != NULL ? "!bad" : "true");
	e->out = out;
	if (strstr(body.data, "&bad") != NULL)
		line(e, "bool bad = false;");
	text_put(out, body.data, body.length);
	close_block(e);
	blank(e);
	text_finish(&body);
}

/* ---- operations ---- */

/* Tables hold functions of one type; those of views are wrapped. */
static void emit_wrapper(struct emit *e, const struct strct *s)
{
	const char *p = struct_prefix(e, s);

	if (s->is_fixed)
		return;
	line(e, "static int %s_checked(const void *data, size_t size, struct wire_fault *fault)",
	     p);
	open_block(e);
	line(e, "struct %s_view view;\n", p);
	line(e, "return %s_check(&view, data, size, fault);", p);
	close_block(e);
	blank(e);
}

static const char *check_name(struct emit *e, const struct strct *s)
{
	if (s == NULL)
		return "NULL";
	return fmt(e, "%s_%s", struct_prefix(e, s), s->is_fixed ? "check" : "checked");
}

static bool used_before(const struct unit *unit, const struct operation *until,
			const struct strct *s)
{
	for (const struct operation *o = unit->operations; o != until; o = o->next)
		if (o->request == s || o->reply == s)
			return true;
	return false;
}

void emit_operations(struct emit *e)
{
	const char *format = e->unit->format;
	unsigned count = 0;

	if (e->unit->operations == NULL)
		return;
	for (const struct operation *o = e->unit->operations; o != NULL; o = o->next, count++) {
		if (o->request != NULL && !used_before(e->unit, o, o->request))
			emit_wrapper(e, o->request);
		if (o->reply != NULL && o->reply != o->request &&
		    !used_before(e->unit, o, o->reply))
			emit_wrapper(e, o->reply);
	}
	line(e, "const struct wire_operation %s_operations[] = {", format);
	for (const struct operation *o = e->unit->operations; o != NULL; o = o->next)
		line(e, "\t{\"%s\", %s, %s, %s, %s, %s},", o->name, number(e, o->code->number),
		     check_name(e, o->request), check_name(e, o->reply),
		     o->fds == NULL ? "0" : number(e, o->fds->number),
		     o->reply_fds == NULL ? "0" : number(e, o->reply_fds->number));
	line(e, "};");
	line(e, "const size_t %s_operation_count = %u;", format, count);
}

void emit_source(struct compiler *c, struct unit *unit, struct text *out)
{
	struct emit e = {.c = c, .unit = unit, .out = out};

	line(&e, "/* Generated by wirec from %s.wire: edit that. */", unit->base);
	line(&e, "#include \"%s.h\"\n", unit->base);
	for (unsigned i = 0; i < unit->sorted_count; i++) {
		e.s = unit->sorted[i];
		e.size = "v->size";
		emit_checks(&e);
		if (e.s->is_fixed)
			emit_init(&e);
		emit_seal(&e);
		emit_equal(&e);
		emit_writer(&e);
	}
	e.self = "v";
	emit_operations(&e);
}
