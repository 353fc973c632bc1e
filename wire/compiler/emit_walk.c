/* SPDX-License-Identifier: MIT */
/*
 * The walk: code that tells a visitor each thing that is there, and the tables of names that it
 * needs.
 */
#include <string.h>

#include "emit.h"

/* ---- tables of names ---- */

static void emit_names(struct emit *e, const struct set *set)
{
	line(e, "static const struct wire_name %s_%s_names[] = {", set->unit->format, set->name);
	for (const struct member *member = set->members; member != NULL; member = member->next)
		line(e, "\t{\"%s\", %s},", member->name, number(e, member->value));
	line(e, "\t{NULL, 0},");
	line(e, "};");
	blank(e);
}

static void emit_used_names(struct emit *e)
{
	const struct set *done[64];
	unsigned count = 0;

	for (unsigned i = 0; i < e->unit->sorted_count; i++)
		for (const struct field *field = e->unit->sorted[i]->fields; field != NULL;
		     field = field->next) {
			unsigned k = 0;

			while (k < count && done[k] != field->set)
				k++;
			if (field->set == NULL || k < count)
				continue;
			if (count == 64) {
				report(e->c, &field->pos, "limit",
				       "more than 64 enums and flags are used");
				return;
			}
			done[count++] = field->set;
			emit_names(e, field->set);
		}
}

/* ---- fields ---- */

static const char *flavour(const struct field *field)
{
	static const char *const texts[] = {
		[TEXT_ZERO_PADDED] = "WIRE_ZERO_PADDED",
		[TEXT_TERMINATED] = "WIRE_TERMINATED",
		[TEXT_SPACE_PADDED] = "WIRE_SPACE_PADDED",
		[TEXT_EXACT] = "WIRE_EXACT",
	};

	if (field->kind == FIELD_JOIN)
		return "WIRE_JOINED";
	if (field->set != NULL)
		return field->set->is_flags ? "WIRE_FLAGS" : "WIRE_ENUM";
	if (field->type == TYPE_TEXT || field->type == TYPE_UTF16)
		return field->until_zero ? "WIRE_EXACT" : texts[field->text_rule];
	return "WIRE_PLAIN";
}

static const char *names_of(struct emit *e, const struct field *field)
{
	return field->set == NULL
		       ? "NULL"
		       : fmt(e, "%s_%s_names", field->set->unit->format, field->set->name);
}

static const char *scalar_order(struct emit *e, const struct scalar *scalar)
{
	return scalar->bytes == 1 ? "WIRE_LITTLE" : order_value(e, scalar->order);
}

/* A value: @offset and @size of its bytes, which bits of them, what it is. */
static void put_value(struct emit *e, const struct field *field, const char *name,
		      const char *index, const char *offset, const char *value)
{
	const bool is_bit = field->kind == FIELD_BIT;

	line(e,
	     "if ((result = wire_walk_value(w, %s, %s, %s, %u, %u, %u, %s, (uint64_t)%s%s, %s, %s, "
	     "%s)) != 0)",
	     name, index, offset, field->scalar.bytes, is_bit ? field->shift : 0,
	     is_bit ? field->width : 8 * field->scalar.bytes, scalar_order(e, &field->scalar),
	     value_is_signed(field) ? "(int64_t)" : "", value,
	     value_is_signed(field) ? "WIRE_SIGNED" : "WIRE_UNSIGNED", flavour(field),
	     names_of(e, field));
	line(e, "\treturn result;");
}

static void enter(struct emit *e, const char *name, const char *index, const char *kind,
		  const char *offset, const char *size)
{
	line(e, "if ((result = wire_walk_enter(w, %s, %s, %s, %s, %s)) != 0)", name, index, kind,
	     offset, size);
	line(e, "\treturn result;");
}

static void leave(struct emit *e)
{
	line(e, "if ((result = wire_walk_leave(w)) != 0)");
	line(e, "\treturn result;");
}

static const char *array_bytes(struct emit *e, const struct field *field)
{
	return field->is_sized ? number(e, field->size)
			       : fmt(e, "v->at[%u] - (%s)", field->place_end.anchor - 1,
				     place_offset(e, &field->place));
}

static void walk_scalars(struct emit *e, const struct field *field, const char *name)
{
	const char *offset = place_offset(e, &field->place);
	const unsigned t = e->temporaries++;
	const char *index = fmt(e, "i%u", t);

	if (field->array == ARRAY_NONE) {
		put_value(e, field, name, "0", offset, getter(e, field, NULL));
		return;
	}
	enter(e, name, "0", "WIRE_ARRAY", offset, array_bytes(e, field));
	line(e, "for (size_t %s = 0; %s < %s; %s++)", index, index, element_count(e, field), index);
	e->indent++;
	put_value(e, field, "NULL", index,
		  fmt(e, "%s + %s * %u", offset, index, field->scalar.bytes),
		  getter(e, field, index));
	e->indent--;
	leave(e);
}

static void walk_string(struct emit *e, const struct field *field, const char *name)
{
	static const char *const kinds[] = {
		[TYPE_BYTES] = "WIRE_BYTES",
		[TYPE_TEXT] = "WIRE_TEXT",
		[TYPE_UTF16] = "WIRE_UTF16",
	};

	line(e, "if ((result = wire_walk_bytes(w, %s, %s, %s, %s, %s, %s)) != 0)", name,
	     place_offset(e, &field->place),
	     field->type == TYPE_UTF16 ? fmt(e, "2 * (size_t)%s", element_count(e, field))
				       : element_count(e, field),
	     kinds[field->type], flavour(field),
	     field->type == TYPE_UTF16 ? order_value(e, field->scalar.order) : "WIRE_LITTLE");
	line(e, "\treturn result;");
}

static void call_walk(struct emit *e, const struct field *field, const char *self, const char *args,
		      bool may_fail)
{
	line(e, "result = %s_walk(%s%s, w);", struct_prefix(e, field->strct), self,
	     field->strct->is_fixed ? args : "");
	line(e, "if (result != 0%s)", may_fail ? " || bad" : "");
	line(e, "\treturn result%s;", may_fail ? " != 0 ? result : -ERANGE" : "");
}

static void walk_one_struct(struct emit *e, const struct field *field, const char *name)
{
	bool may_fail;
	const char *args = passed_args(e, field, &may_fail);
	const bool fixed = field->strct->is_fixed;
	const char *size =
		fixed ? number(e, field->unit_size) : fmt(e, "v->v_%s.length", field->name);

	enter(e, name, "0", "WIRE_STRUCT", place_offset(e, &field->place), size);
	call_walk(e, field, fixed ? getter(e, field, NULL) : fmt(e, "&v->v_%s", field->name), args,
		  fixed && may_fail);
	leave(e);
}

static void walk_fixed_array(struct emit *e, const struct field *field)
{
	const unsigned t = e->temporaries++;
	const char *index = fmt(e, "i%u", t), *unit = number(e, field->unit_size), *args;
	bool may_fail;

	line(e, "for (size_t %s = 0; %s < %s; %s++) {", index, index, element_count(e, field),
	     index);
	e->indent++;
	e->index = index;
	args = passed_args(e, field, &may_fail);
	enter(e, "NULL", index, "WIRE_STRUCT",
	      fmt(e, "%s + %s * %s", place_offset(e, &field->place), index, unit), unit);
	call_walk(e, field, getter(e, field, index), args, may_fail);
	leave(e);
	close_block(e);
}

static void walk_view_array(struct emit *e, const struct field *field)
{
	const unsigned t = e->temporaries++;
	const char *inner = struct_prefix(e, field->strct);

	line(e, "struct %s_view item%u;", inner, t);
	line(e, "struct wire_cursor c%u = {0};\n", t);
	line(e, "while (%s_%s_next(v, &c%u, &item%u)) {", struct_prefix(e, e->s), field->name, t,
	     t);
	e->indent++;
	enter(e, "NULL", fmt(e, "c%u.index - 1", t), "WIRE_STRUCT",
	      fmt(e, "%s + c%u.offset - item%u.length", place_offset(e, &field->place), t, t),
	      fmt(e, "item%u.length", t));
	call_walk(e, field, fmt(e, "&item%u", t), "", false);
	leave(e);
	close_block(e);
}

static void walk_structs(struct emit *e, const struct field *field, const char *name)
{
	if (field->array == ARRAY_NONE) {
		walk_one_struct(e, field, name);
		return;
	}
	enter(e, name, "0", "WIRE_ARRAY", place_offset(e, &field->place), array_bytes(e, field));
	if (field->strct->is_fixed)
		walk_fixed_array(e, field);
	else
		walk_view_array(e, field);
	leave(e);
}

static void walk_leaf(struct emit *e, const struct item *item)
{
	const struct field *field = item->field;
	const char *name = field == NULL ? NULL : fmt(e, "\"%s\"", field->name);

	if (item->kind == ITEM_BITS)
		for (const struct bit *bit = item->bit_list; bit != NULL; bit = bit->next)
			if (bit->field != NULL)
				put_value(e, bit->field, fmt(e, "\"%s\"", bit->field->name), "0",
					  place_offset(e, &item->place),
					  getter(e, bit->field, NULL));
	if (item->kind == ITEM_JOIN)
		put_value(e, field, name, "0", place_offset(e, &field->parts[0]->place),
			  getter(e, field, NULL));
	if (item->kind != ITEM_FIELD)
		return;
	if (field->type == TYPE_SCALAR)
		walk_scalars(e, field, name);
	else if (field->type == TYPE_STRUCT)
		walk_structs(e, field, name);
	else
		walk_string(e, field, name);
}

static void emit_body(struct emit *e)
{
	line(e, "(void)%s;", e->self);
	if (e->s->is_fixed && e->s->order_by != NULL)
		line(e, "const enum wire_order order = %s_order(s);", struct_prefix(e, e->s));
	if (getter_takes_order(e->s))
		line(e, "(void)order;");
	for (const struct param *param = e->s->params; e->s->is_fixed && param != NULL;
	     param = param->next)
		line(e, "(void)p_%s;", param->name);
	each_leaf(e, e->s->items, walk_leaf);
}

static void emit_one(struct emit *e)
{
	struct text *out = e->out, body = {0};
	const char *p = struct_prefix(e, e->s);

	e->self = e->s->is_fixed ? "s" : "v";
	e->size = "v->size";
	if (e->s->is_fixed)
		line(e, "int %s_walk(const struct %s *s%s, struct wire_walk *w)", p, p,
		     declared_params(e, e->s));
	else
		line(e, "int %s_walk(const struct %s_view *v, struct wire_walk *w)", p, p);
	open_block(e);
	e->out = &body;
	emit_body(e);
	e->out = out;
	line(e, "int result = 0;");
	if (strstr(body.data, "&bad") != NULL)
		line(e, "bool bad = false;");
	text_put(out, body.data, body.length);
	line(e, "return result;");
	close_block(e);
	blank(e);
	text_finish(&body);
}

/* ---- roots ---- */

static const char *default_of(struct emit *e, const struct root *root, const struct param *param)
{
	for (const struct root_default *value = root->defaults; value != NULL; value = value->next)
		if (value->name == param->name)
			return number(e, value->value->number);
	return "0";
}

static const char *root_arguments(struct emit *e, const struct root *root)
{
	const char *list = "";
	unsigned i = 0;

	for (const struct param *param = root->strct->params; param != NULL;
	     param = param->next, i++) {
		if (param->kind == PARAM_BOOL)
			list = fmt(e, "%s, arguments[%u] != 0", list, i);
		else
			list = fmt(e, "%s, (%s)arguments[%u]", list, c_type(e, param->bits, false),
				   i);
	}
	return list;
}

static void begin_root(struct emit *e, const struct root *root, const char *what, const char *type,
		       const char *last)
{
	line(e, "static int %s_root_%s(%s *data, size_t size, const uint64_t *arguments%s)",
	     struct_prefix(e, root->strct), what, type, last);
	open_block(e);
	line(e, "(void)arguments;");
	line(e, "(void)size;");
}

/* @fixed and @view: what is returned for either kind of structure. */
static void end_root(struct emit *e, const struct root *root, const char *fixed, const char *check,
		     const char *view)
{
	if (root->strct->is_fixed) {
		line(e, "return %s;", fixed);
	} else {
		line(e, "struct %s_view view;", struct_prefix(e, root->strct));
		line(e, "const int error = %s;\n", check);
		line(e, "return error != 0 ? error : %s;", view);
	}
	close_block(e);
	blank(e);
}

static void emit_root_functions(struct emit *e, const struct root *root)
{
	const char *p = struct_prefix(e, root->strct), *args = root_arguments(e, root);
	const char *open = fmt(e, "%s_open(&view, data, size%s, NULL)", p, args);

	begin_root(e, root, "check", "const void", ", struct wire_fault *fault");
	end_root(e, root, fmt(e, "%s_check(data, size%s, fault)", p, args),
		 fmt(e, "%s_check(&view, data, size%s, fault)", p, args), "0");
	begin_root(e, root, "walk", "const void", ", struct wire_walk *w");
	end_root(e, root,
		 fmt(e, "size < sizeof(struct %s) ? -ENODATA : %s_walk(%s_from(data)%s, w)", p, p,
		     p, args),
		 open, fmt(e, "%s_walk(&view, w)", p));
	begin_root(e, root, "seal", "void", "");
	end_root(e, root,
		 fmt(e, "size < sizeof(struct %s) ? -ENODATA : %s_seal(%s_from(data)%s)", p, p, p,
		     args),
		 open, fmt(e, "%s_seal(&view)", p));
}

static void emit_arguments(struct emit *e, const struct root *root)
{
	line(e, "static const struct wire_argument %s_root_arguments[] = {",
	     struct_prefix(e, root->strct));
	for (const struct param *param = root->strct->params; param != NULL; param = param->next)
		line(e, "\t{\"%s\", %s},", param->name, default_of(e, root, param));
	line(e, "\t{NULL, 0},");
	line(e, "};");
	blank(e);
}

static void emit_root(struct emit *e, const struct root *root)
{
	const char *p = struct_prefix(e, root->strct);
	unsigned count = 0;

	for (const struct param *param = root->strct->params; param != NULL; param = param->next)
		count++;
	emit_arguments(e, root);
	emit_root_functions(e, root);
	line(e, "const struct wire_format %s_format = {", p);
	line(e,
	     "\t\"%s\", \"%s\", %s_root_arguments, %u, %s_root_check, %s_root_walk, %s_root_seal,",
	     e->unit->format, root->strct->name, p, count, p, p, p);
	line(e, "};");
	blank(e);
}

void emit_walk(struct compiler *c, struct unit *unit, struct text *out)
{
	struct emit e = {.c = c, .unit = unit, .out = out};

	line(&e, "/* Generated by wirec from %s.wire: edit that. */", unit->base);
	line(&e, "#include \"%s.h\"\n", unit->base);
	emit_used_names(&e);
	for (unsigned i = 0; i < unit->sorted_count; i++) {
		e.s = unit->sorted[i];
		emit_one(&e);
	}
	for (const struct root *root = unit->roots; root != NULL; root = root->next)
		emit_root(&e, root);
}
