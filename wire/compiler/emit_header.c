/* SPDX-License-Identifier: MIT */
/*
 * The header: constants, types with their asserts, declarations.
 */
#include <stdlib.h>
#include <string.h>

#include "emit.h"

void put_doc(struct emit *e, const char *doc)
{
	if (doc == NULL)
		return;
	line(e, "/**");
	while (*doc != '\0') {
		const size_t length = strcspn(doc, "\n");
		const char *copy = arena_copy(&e->c->arena, doc, length);

		/* Nothing in it may end the comment. */
		for (char *end = strstr(copy, "*/"); end != NULL; end = strstr(copy, "*/"))
			*end = '+';
		line(e, " *%s%s", *copy == '\0' ? "" : " ", copy);
		doc += length + (doc[length] == '\n');
	}
	line(e, " */");
}

/* ---- constants and sets ---- */

static bool set_is_enum(const struct set *set)
{
	for (const struct member *member = set->members; member != NULL; member = member->next)
		if (member->value > INT32_MAX)
			return false;
	return !set->is_flags;
}

static void emit_known(struct emit *e, const struct set *set)
{
	line(e, "static inline bool %s_%s_known(uint64_t value)", set->unit->format, set->name);
	open_block(e);
	line(e, "switch (value) {");
	for (const struct member *member = set->members; member != NULL; member = member->next) {
		bool again = false;

		for (const struct member *other = set->members; other != member;
		     other = other->next)
			again |= other->value == member->value;
		if (!again)
			line(e, "case %s:", number(e, member->value));
	}
	line(e, "\treturn true;");
	line(e, "default:");
	line(e, "\treturn false;");
	line(e, "}");
	close_block(e);
}

static void emit_set(struct emit *e, const struct set *set)
{
	const char *prefix = upper(e, fmt(e, "%s_%s", set->unit->format, set->name));
	const bool is_enum = set_is_enum(set);

	put_doc(e, set->doc);
	if (is_enum)
		line(e, "enum %s_%s {", set->unit->format, set->name);
	for (const struct member *member = set->members; member != NULL; member = member->next) {
		const char *name = fmt(e, "%s_%s", prefix, upper(e, member->name));

		if (is_enum)
			line(e, "\t%s = %s,", name, number(e, member->value));
		else
			line(e, "#define %s UINT%d_C(0x%llx)", name,
			     set->scalar->bytes > 4 ? 64 : 32, (unsigned long long)member->value);
	}
	if (is_enum)
		line(e, "};");
	blank(e);
	if (set->unknown == UNKNOWN_REFUSE && !set->is_flags) {
		emit_known(e, set);
		blank(e);
	}
}

static void emit_constants(struct emit *e)
{
	for (const struct constant *k = e->unit->constants; k != NULL; k = k->next) {
		put_doc(e, k->doc);
		line(e, "#define %s %s", upper(e, fmt(e, "%s_%s", e->unit->format, k->name)),
		     k->expr->number > UINT32_MAX
			     ? fmt(e, "UINT64_C(%llu)", (unsigned long long)k->expr->number)
			     : number(e, k->expr->number));
	}
	blank(e);
	for (const struct set_list *entry = e->unit->sets; entry != NULL; entry = entry->next)
		emit_set(e, entry->set);
}

/* ---- fixed structures ---- */

struct member_list {
	const struct item **list;
	size_t count, room;
};

static void add_member(struct emit *e, struct member_list *m, const struct item *item)
{
	if (m->count == m->room) {
		const struct item **more;

		m->room = m->room == 0 ? 64 : 2 * m->room;
		more = arena_alloc(&e->c->arena, m->room * sizeof(struct item *));
		if (m->count != 0)
			memcpy(more, m->list, m->count * sizeof(struct item *));
		m->list = more;
	}
	m->list[m->count++] = item;
}

static void collect_members(struct emit *e, struct member_list *m, const struct item *item)
{
	for (; item != NULL; item = item->next) {
		if (item->kind == ITEM_WHEN)
			collect_members(e, m, item->body);
		else if ((item->kind == ITEM_FIELD || item->kind == ITEM_BITS ||
			  item->kind == ITEM_UNION) &&
			 item->size != 0)
			add_member(e, m, item);
	}
}

static int by_place(const void *a, const void *b)
{
	const struct item *const *x = a, *const *y = b;

	if ((*x)->place.delta != (*y)->place.delta)
		return (*x)->place.delta < (*y)->place.delta ? -1 : 1;
	return (*x)->pos.offset < (*y)->pos.offset ? -1 : 1;
}

const char *bits_name(struct emit *e, const struct item *item)
{
	return item->text != NULL ? item->text
				  : fmt(e, "bits_%llu", (unsigned long long)item->place.delta);
}

static const char *wire_type(struct emit *e, const struct scalar *scalar)
{
	return scalar->bytes == 1
		       ? "wire_u8"
		       : fmt(e, "wire_%s%u", order_letters(scalar->order), 8 * scalar->bytes);
}

static void emit_member(struct emit *e, const struct item *item)
{
	const struct field *field = item->field;
	const char *array;

	if (item->kind != ITEM_FIELD) {
		if (item->kind == ITEM_BITS)
			line(e, "%s %s;", wire_type(e, &item->scalar), bits_name(e, item));
		else
			line(e, "unsigned char %s[%llu];", item->text,
			     (unsigned long long)item->size);
		return;
	}
	array = field->array == ARRAY_NONE ? ""
					   : fmt(e, "[%llu]", (unsigned long long)field->length);
	switch (field->type) {
	case TYPE_SCALAR:
		line(e, "%s %s%s;", wire_type(e, &field->scalar), field->name, array);
		break;
	case TYPE_STRUCT:
		line(e, "struct %s %s%s;", struct_prefix(e, field->strct), field->name, array);
		break;
	default:
		line(e, "unsigned char %s[%llu];", field->name, (unsigned long long)field->size);
		break;
	}
}

static void emit_hole(struct emit *e, uint64_t from, uint64_t to)
{
	if (to > from)
		line(e, "unsigned char wire_hole_%llu[%llu];", (unsigned long long)from,
		     (unsigned long long)(to - from));
}

static const char *member_name(struct emit *e, const struct item *item)
{
	return item->kind == ITEM_BITS    ? bits_name(e, item)
	       : item->kind == ITEM_FIELD ? item->field->name
					  : item->text;
}

static void emit_asserts(struct emit *e, const struct member_list *m)
{
	const char *prefix = struct_prefix(e, e->s);

	line(e, "WIRE_STATIC_ASSERT(sizeof(struct %s) == %llu, \"size of %s\");", prefix,
	     (unsigned long long)e->s->size, e->s->name);
	for (size_t i = 0; i < m->count; i++)
		line(e, "WIRE_STATIC_ASSERT(offsetof(struct %s, %s) == %llu, \"place of %s\");",
		     prefix, member_name(e, m->list[i]),
		     (unsigned long long)m->list[i]->place.delta, member_name(e, m->list[i]));
}

static void emit_fixed_type(struct emit *e)
{
	const char *prefix = struct_prefix(e, e->s);
	struct member_list m = {0};
	uint64_t at = 0;

	collect_members(e, &m, e->s->items);
	if (m.count != 0)
		qsort(m.list, m.count, sizeof(struct item *), by_place);
	put_doc(e, e->s->doc);
	line(e, "struct %s {", prefix);
	e->indent++;
	for (size_t i = 0; i < m.count; i++) {
		emit_hole(e, at, m.list[i]->place.delta);
		emit_member(e, m.list[i]);
		at = m.list[i]->place.delta + m.list[i]->size;
	}
	emit_hole(e, at, e->s->size);
	e->indent--;
	line(e, "};");
	line(e, "#define %s_SIZE %llu", upper(e, prefix), (unsigned long long)e->s->size);
	emit_asserts(e, &m);
	blank(e);
}

/* ---- views ---- */

static void emit_view_fields(struct emit *e)
{
	for (const struct field *field = e->s->fields; field != NULL; field = field->next) {
		if (field->kind != FIELD_PLAIN || field->is_sized)
			continue;
		if (field->array == ARRAY_NONE)
			line(e, "struct %s_view v_%s;", struct_prefix(e, field->strct),
			     field->name);
		else
			line(e, "size_t n_%s;", field->name);
	}
}

static void emit_view_type(struct emit *e)
{
	put_doc(e, e->s->doc);
	line(e, "struct %s_view {", struct_prefix(e, e->s));
	e->indent++;
	line(e, "unsigned char *data;");
	line(e, "size_t size;");
	line(e, "size_t length;");
	if (e->s->guard_count != 0)
		line(e, "uint64_t has;");
	if (e->s->anchor_count != 0)
		line(e, "size_t at[%u];", e->s->anchor_count);
	if (e->s->cover_count != 0)
		line(e, "size_t cov[%u];", e->s->cover_count);
	if (e->s->unit->order == ORDER_RUNTIME)
		line(e, "enum wire_order order;");
	for (const struct param *param = e->s->params; param != NULL; param = param->next)
		line(e, "%s p_%s;",
		     param->kind == PARAM_BYTES  ? "struct wire_bytes"
		     : param->kind == PARAM_BOOL ? "bool"
						 : c_type(e, param->bits, false),
		     param->name);
	emit_view_fields(e);
	e->indent--;
	line(e, "};");
	blank(e);
}

/* ---- functions ---- */

static void declare_fixed(struct emit *e)
{
	const char *p = struct_prefix(e, e->s), *params = declared_params(e, e->s);
	const char *order = getter_takes_order(e->s) ? ", enum wire_order order" : "";

	line(e, "int %s_check(const void *data, size_t size%s, struct wire_fault *fault);", p,
	     params);
	line(e, "int %s_scan(const struct %s *s%s, struct wire_fault *fault);", p, p, params);
	line(e, "void %s_init(struct %s *s%s);", p, p, order);
	line(e, "int %s_seal(struct %s *s%s);", p, p, params);
	line(e, "bool %s_equal(const struct %s *a, const struct %s *b%s);", p, p, p, params);
	line(e, "int %s_walk(const struct %s *s%s, struct wire_walk *w);", p, p, params);
	blank(e);
	line(e, "static inline struct %s *%s_from(const void *data)", p, p);
	open_block(e);
	line(e, "return (struct %s *)(void *)wire_writable(data);", p);
	close_block(e);
	blank(e);
	line(e, "static inline void %s_copy(struct %s *to, const struct %s *from)", p, p, p);
	open_block(e);
	line(e, "memmove(to, from, sizeof(*to));");
	close_block(e);
	blank(e);
}

static void declare_view(struct emit *e)
{
	const char *p = struct_prefix(e, e->s), *params = declared_params(e, e->s);

	line(e,
	     "int %s_check(struct %s_view *v, const void *data, size_t size%s, struct wire_fault "
	     "*fault);",
	     p, p, params);
	line(e,
	     "int %s_open(struct %s_view *v, const void *data, size_t size%s, struct wire_fault "
	     "*fault);",
	     p, p, params);
	line(e,
	     "int %s_scan(struct %s_view *v, const void *data, size_t size%s, unsigned mode, "
	     "struct wire_fault *fault);",
	     p, p, params);
	line(e, "int %s_seal(struct %s_view *v);", p, p);
	line(e, "bool %s_equal(const struct %s_view *a, const struct %s_view *b);", p, p, p);
	line(e, "int %s_walk(const struct %s_view *v, struct wire_walk *w);", p, p);
	blank(e);
	line(e, "static inline int %s_copy(void *to, size_t size, const struct %s_view *v)", p, p);
	open_block(e);
	line(e, "return wire_copy(to, size, v->data, v->length);");
	close_block(e);
	blank(e);
}

static void emit_order(struct emit *e)
{
	const char *p = struct_prefix(e, e->s);
	const struct field *field;

	if (e->unit->order != ORDER_RUNTIME)
		return;
	if (!e->s->is_fixed) {
		line(e, "static inline enum wire_order %s_order(const struct %s_view *v)", p, p);
		open_block(e);
		line(e, "return v->order;");
		close_block(e);
		blank(e);
		return;
	}
	if (e->s->order_by == NULL)
		return;
	field = e->s->order_by->field;
	line(e, "static inline enum wire_order %s_order(const struct %s *s)", p, p);
	open_block(e);
	line(e, "return wire_load_be%u(%s) == %s ? WIRE_BIG : WIRE_LITTLE;",
	     8 * field->scalar.bytes, place_pointer(e, &field->place),
	     expression(e, field->constant));
	close_block(e);
	blank(e);
}

static void emit_struct(struct emit *e, struct strct *s)
{
	e->s = s;
	e->self = s->is_fixed ? "s" : "v";
	e->size = "v->size";
	if (s->is_fixed) {
		emit_fixed_type(e);
		declare_fixed(e);
	} else {
		emit_view_type(e);
		declare_view(e);
	}
	emit_order(e);
	emit_accessors(e);
	emit_writer_types(e);
}

/* ---- companions, operations, roots ---- */

static void emit_companion(struct emit *e, const struct companion *companion)
{
	const char *p = struct_prefix(e, companion->strct);
	const char *name = fmt(e, "%s_%s", p, companion->name);
	const char *view = companion->strct->is_fixed ? "" : "_view";
	const char *member = companion->strct->is_fixed ? "image" : "view";

	line(e, "struct %s {", name);
	line(e, "\tstruct %s%s %s;", p, view, member);
	for (unsigned i = 0; i < companion->line_count; i++)
		line(e, "\t%s;", companion->lines[i]);
	line(e, "};");
	blank(e);
	line(e, "static inline struct %s *%s_of(const struct %s%s *%s)", name, name, p, view,
	     member);
	open_block(e);
	line(e, "return (struct %s *)(void *)(wire_writable(%s) - offsetof(struct %s, %s));", name,
	     member, name, member);
	close_block(e);
	blank(e);
}

static void declare_operations(struct emit *e)
{
	const char *format = e->unit->format;

	if (e->unit->operations == NULL)
		return;
	line(e, "enum %s_operation {", format);
	for (const struct operation *o = e->unit->operations; o != NULL; o = o->next)
		line(e, "\t%s = %s,", upper(e, fmt(e, "%s_operation_%s", format, o->name)),
		     number(e, o->code->number));
	line(e, "};");
	blank(e);
	line(e, "extern const struct wire_operation %s_operations[];", format);
	line(e, "extern const size_t %s_operation_count;", format);
	blank(e);
}

static void emit_preamble(struct emit *e)
{
	const char *guard = upper(e, fmt(e, "WIRE_%s_%s_H", e->unit->format, "GENERATED"));

	line(e, "/* Generated by wirec from %s.wire: edit that. */", e->unit->base);
	put_doc(e, e->unit->doc);
	line(e, "#ifndef %s", guard);
	line(e, "#define %s", guard);
	blank(e);
	line(e, "#include <wire.h>");
	if (e->unit->ioctls != NULL)
		line(e, "#include <linux/ioctl.h>");
	for (const struct include *include = e->unit->includes; include != NULL;
	     include = include->next)
		line(e, include->text[0] == '<' ? "#include %s" : "#include \"%s\"", include->text);
	for (const struct import *import = e->unit->imports; import != NULL; import = import->next)
		line(e, "#include \"%s.h\"", import->unit->base);
	blank(e);
}

void emit_header(struct compiler *c, struct unit *unit, struct text *out)
{
	struct emit e = {.c = c, .unit = unit, .out = out};

	find_writers(unit);
	emit_preamble(&e);
	emit_constants(&e);
	for (const struct digest *digest = unit->digests; digest != NULL; digest = digest->next)
		line(&e,
		     "void %s_%s(unsigned char *digest, const struct wire_bytes *pieces, size_t "
		     "count);\n",
		     unit->format, digest->name);
	for (unsigned i = 0; i < unit->sorted_count; i++)
		emit_struct(&e, unit->sorted[i]);
	for (const struct companion *k = unit->companions; k != NULL; k = k->next)
		emit_companion(&e, k);
	declare_operations(&e);
	emit_ioctl_numbers(&e);
	for (const struct root *root = unit->roots; root != NULL; root = root->next)
		line(&e, "extern const struct wire_format %s_format;",
		     struct_prefix(&e, root->strct));
	line(&e, "\n#endif");
}
