/* SPDX-License-Identifier: MIT */
/*
 * Writers of dynamic structures. What stands at constant distances is stored into one piece of
 * room; `w_x` is the value of a field for later expressions (0 while it is absent), `h3` whether a
 * condition held, `a2` where anchor 2 turned out to be. The result is sealed and checked by what
 * checks any data.
 */
#include <string.h>

#include "emit.h"

static void put_items(struct emit *e, const struct item *item);

/* ---- which structures have one, and what is computed ---- */

static bool uses_size(const struct expr *expr)
{
	if (expr == NULL)
		return false;
	return expr->kind == EXPR_SIZE || uses_size(expr->a) || uses_size(expr->b) ||
	       uses_size(expr->c);
}

static const char *field_obstacle(const struct item *item)
{
	const struct field *field = item->field;

	if (item->at != NULL && !item->at->is_constant)
		return "a field has a stored place";
	if (item->place.anchor != item->start.anchor || item->place.delta < item->start.delta)
		return "a field stands before those in front of it";
	if (field->array == ARRAY_UNTIL && !field->until_zero)
		return "an array ends by a condition";
	if (field->strct != NULL && !field->strct->is_fixed && field->strct->no_writer != NULL)
		return "a structure in it has none";
	for (unsigned i = 0; i < field->args.count; i++)
		if (uses_size(field->args.list[i]))
			return "'size' is not known before";
	return uses_size(field->count) ? "'size' is not known before" : NULL;
}

static const char *obstacle(const struct item *item)
{
	const char *found = NULL;

	for (; item != NULL && found == NULL; item = item->next) {
		if (uses_size(item->expr) && item->kind != ITEM_ASSERT)
			return "'size' is not known before";
		if (item->kind == ITEM_FIELD)
			found = field_obstacle(item);
		if (found == NULL)
			found = obstacle(item->body);
		if (found == NULL)
			found = obstacle(item->orelse);
		for (const struct arm *arm = item->arms; arm != NULL && found == NULL;
		     arm = arm->next)
			found = obstacle(arm->body);
	}
	return found;
}

/* Whether the count of @array can give the value of @count. */
static bool can_derive(const struct field *array, const struct field *count)
{
	if (count->kind == FIELD_JOIN || count->array != ARRAY_NONE || count->constant != NULL ||
	    count->is_derived || count->guard != array->guard || count->scalar.is_signed ||
	    array->type == TYPE_UTF16)
		return false;
	return array->array == ARRAY_COUNT || array->unit_size != 0;
}

static void find_derived(struct strct *s)
{
	for (struct field *field = s->fields; field != NULL; field = field->next) {
		const struct expr *count = field->count;

		if ((field->array != ARRAY_COUNT && field->array != ARRAY_SIZE) ||
		    count->kind != EXPR_FIELD || count->field_count != 1 || count->a != NULL ||
		    !can_derive(field, count->fields[0]))
			continue;
		count->fields[0]->is_derived = true;
		count->fields[0]->derived_from = field;
	}
}

void find_writers(struct unit *unit)
{
	for (unsigned i = 0; i < unit->sorted_count; i++) {
		struct strct *s = unit->sorted[i];

		if (s->is_fixed || s->has_writer)
			continue;
		s->no_writer = unit->order == ORDER_RUNTIME
				       ? "its byte order is only known at run time"
				       : obstacle(s->items);
		s->has_writer = s->no_writer == NULL;
		if (s->has_writer)
			find_derived(s);
	}
}

/* ---- types ---- */

static bool is_member(const struct field *field)
{
	return field->kind != FIELD_JOIN && field->constant == NULL && field->string == NULL &&
	       !field->is_checksum && !field->is_derived;
}

static void emit_value_member(struct emit *e, const struct field *field)
{
	const char *inner = field->strct == NULL ? "" : struct_prefix(e, field->strct);
	const char *suffix = field->strct == NULL || field->strct->is_fixed ? "" : "_values";
	const bool is_array = field->array != ARRAY_NONE;

	switch (field->type) {
	case TYPE_BYTES:
		line(e, "struct wire_bytes %s;", field->name);
		return;
	case TYPE_TEXT:
	case TYPE_UTF16:
		line(e, "struct wire_text %s;", field->name);
		return;
	case TYPE_SCALAR:
		line(e, "%s%s %s%s;", is_array ? "const " : "",
		     c_type(e, value_bits(field), value_is_signed(field)), is_array ? "*" : "",
		     field->name);
		break;
	case TYPE_STRUCT:
		line(e, "%sstruct %s%s %s%s;", is_array ? "const " : "", inner, suffix,
		     is_array ? "*" : "", field->name);
		break;
	}
	if (is_array)
		line(e, "size_t %s_count;", field->name);
}

static void emit_values(struct emit *e, const char *p)
{
	bool any = false;

	line(e, "struct %s_values {", p);
	e->indent++;
	for (const struct field *field = e->s->fields; field != NULL; field = field->next)
		if (is_member(field)) {
			emit_value_member(e, field);
			any = true;
		}
	if (!any)
		line(e, "char wire_nothing;");
	e->indent--;
	line(e, "};");
	blank(e);
}

void emit_writer_types(struct emit *e)
{
	const char *p = struct_prefix(e, e->s), *params = declared_params(e, e->s);

	if (e->s->is_fixed)
		return;
	if (!e->s->has_writer) {
		line(e, "/* %s has no writer: %s. */", p, e->s->no_writer);
		blank(e);
		return;
	}
	emit_values(e, p);
	line(e,
	     "long %s_write(void *buffer, size_t size, const struct %s_values *in%s, struct "
	     "wire_fault *fault);",
	     p, p, params);
	line(e, "long %s_measure(const struct %s_values *in%s, struct wire_fault *fault);", p, p,
	     params);
	line(e,
	     "int %s_put(struct wire_writer *w, const struct %s_values *in%s, struct wire_fault "
	     "*fault);",
	     p, p, params);
	blank(e);
}

/* ---- values ---- */

/* C of the number of elements, or of bytes, that the caller gave. */
static const char *given_count(struct emit *e, const char *from, const struct field *field)
{
	switch (field->type) {
	case TYPE_BYTES:
		return fmt(e, "%s%s.size", from, field->name);
	case TYPE_TEXT:
		return fmt(e, "%s%s.length", from, field->name);
	default:
		return fmt(e, "%s%s_count", from, field->name);
	}
}

const char *derived_value(struct emit *e, const char *from, const struct field *field)
{
	const struct field *array = field->derived_from;

	if (array->array == ARRAY_COUNT || array->unit_size == 1)
		return fmt(e, "(uint64_t)%s", given_count(e, from, array));
	return fmt(e, "(uint64_t)%s * %s", given_count(e, from, array),
		   number(e, array->unit_size));
}

static void refuse_if(struct emit *e, const struct field *field, const char *rule,
		      const char *values, const char *test)
{
	fault_if(e, "EBADMSG", field->name, "w->at", rule, values, "%s", test);
}

/* Sets w_x of a scalar that is there. */
static void set_value(struct emit *e, const struct field *field)
{
	const char *type = c_type(e, value_bits(field), value_is_signed(field)), *value;
	const uint64_t max = field->kind == FIELD_BIT ? UINT64_MAX >> (64 - field->width)
						      : scalar_max(&field->scalar);

	if (field->constant != NULL) {
		line(e, "w_%s = (%s)%s;", field->name, type, number(e, field->constant->number));
	} else if (field->is_checksum) {
		line(e, "w_%s = 0;", field->name);
	} else if (field->is_derived) {
		value = derived_value(e, "in->", field);
		refuse_if(
			e, field, "cannot hold the count", fmt(e, "%s, %s", value, number(e, max)),
			max == UINT64_MAX ? "false"
					  : fmt(e, "wire_exceeds(%s, %s)", value, number(e, max)));
		line(e, "w_%s = (%s)(%s);", field->name, type, value);
	} else if (field->set != NULL && field->set->unknown == UNKNOWN_CLEAR) {
		line(e, "w_%s = (%s)(in->%s & UINT64_C(0x%llx));", field->name, type, field->name,
		     (unsigned long long)field->set->mask);
	} else {
		line(e, "w_%s = in->%s;", field->name, field->name);
		if (!value_is_signed(field) && max != UINT64_MAX && max != UINT32_MAX &&
		    max != UINT16_MAX && max != UINT8_MAX)
			refuse_if(e, field, "does not fit",
				  fmt(e, "w_%s, %s", field->name, number(e, max)),
				  fmt(e, "w_%s > %s", field->name, number(e, max)));
	}
}

static const char *stored(struct emit *e, const struct scalar *scalar, const char *to,
			  const char *value)
{
	const unsigned bits = scalar->bytes <= 1   ? 8
			      : scalar->bytes <= 2 ? 16
			      : scalar->bytes <= 4 ? 32
						   : 64;

	return fmt(e, "wire_store_%s%u(%s, (uint%u_t)%s)", order_letters(scalar->order),
		   8 * scalar->bytes, to, bits, value);
}

/* Where something lies in the room "p", which starts at @from. */
static const char *in_room(struct emit *e, const struct place *place, const struct place *from)
{
	return fmt(e, "p + %s", number(e, place->delta - from->delta));
}

static void check_count(struct emit *e, const struct field *field, const char *wanted)
{
	const char *given = given_count(e, "in->", field);

	refuse_if(e, field, "has another count than its place", fmt(e, "%s, %s", given, wanted),
		  fmt(e, "%s != %s", given, wanted));
}

/* Elements of constant size into the room at @to. */
static void store_elements(struct emit *e, const struct field *field, const char *to)
{
	const unsigned t = e->temporaries++;
	const char *one = fmt(e, "%s + i%u * %s", to, t, number(e, field->unit_size));

	line(e, "for (size_t i%u = 0; p != NULL && i%u < in->%s_count; i%u++)", t, t, field->name,
	     t);
	if (field->type == TYPE_STRUCT)
		line(e, "\tmemcpy(%s, &in->%s[i%u], sizeof(in->%s[i%u]));", one, field->name, t,
		     field->name, t);
	else
		line(e, "\t%s;",
		     stored(e, &field->scalar, one, fmt(e, "in->%s[i%u]", field->name, t)));
}

static const char *rule_of(const struct field *field)
{
	static const char *const rules[] = {
		[TEXT_ZERO_PADDED] = "WIRE_TEXT_ZERO_PADDED",
		[TEXT_TERMINATED] = "WIRE_TEXT_TERMINATED",
		[TEXT_SPACE_PADDED] = "WIRE_TEXT_SPACE_PADDED",
		[TEXT_EXACT] = "WIRE_TEXT_EXACT",
	};

	return rules[field->text_rule];
}

static void store_string(struct emit *e, const struct field *field, const char *to,
			 const char *count)
{
	const char *set;

	if (field->is_checksum)
		return;
	if (field->string != NULL) {
		open_block(e);
		line(e, "static const unsigned char k[] = %s;\n", constant_bytes(e, field));
		line(e, "if (p != NULL)");
		line(e, "\tmemcpy(%s, k, sizeof(k));", to);
		close_block(e);
		return;
	}
	if (field->type == TYPE_BYTES) {
		line(e, "w_%s = in->%s;", field->name, field->name);
		set = fmt(e, "wire_set_bytes(%s, %s, w_%s)", to, count, field->name);
	} else if (field->type == TYPE_TEXT) {
		set = fmt(e, "wire_set_text(%s, %s, %s, in->%s)", rule_of(field), to, count,
			  field->name);
	} else {
		set = fmt(e, "wire_set_utf16(%s, %s, %s, %s, in->%s)", rule_of(field), to, count,
			  order_value(e, field->scalar.order), field->name);
	}
	refuse_if(e, field, "does not fit", "0, 0", fmt(e, "p != NULL && %s != 0", set));
}

static void store_field(struct emit *e, const struct field *field, const char *to)
{
	if (field->type == TYPE_BYTES || field->type == TYPE_TEXT || field->type == TYPE_UTF16) {
		store_string(e, field, to, number(e, field->length));
	} else if (field->array != ARRAY_NONE) {
		check_count(e, field, number(e, field->length));
		store_elements(e, field, to);
	} else if (field->type == TYPE_STRUCT) {
		line(e, "if (p != NULL)");
		line(e, "\tmemcpy(%s, &in->%s, sizeof(in->%s));", to, field->name, field->name);
	} else {
		set_value(e, field);
		line(e, "if (p != NULL)");
		line(e, "\t%s;", stored(e, &field->scalar, to, fmt(e, "w_%s", field->name)));
	}
}

static void store_bits(struct emit *e, const struct item *item, const char *to)
{
	const unsigned t = e->temporaries++;

	line(e, "uint64_t bits%u = 0;\n", t);
	for (const struct bit *bit = item->bit_list; bit != NULL; bit = bit->next) {
		if (bit->field == NULL)
			continue;
		set_value(e, bit->field);
		line(e, "bits%u |= (uint64_t)w_%s << %u;", t, bit->field->name, bit->shift);
	}
	line(e, "if (p != NULL)");
	line(e, "\t%s;", stored(e, &item->scalar, to, fmt(e, "bits%u", t)));
}

/* ---- runs of constant distance ---- */

static void store_run(struct emit *e, const struct item *item, const struct item *last,
		      const struct place *from);

static const char *condition_value(struct emit *e, const struct expr *expr)
{
	const char *value = fmt(e, "(%s) != 0", expression(e, expr));

	return value;
}

static void note_if_bad(struct emit *e, const struct expr *expr)
{
	fail_if_bad(e, expr->may_fail, "condition", "w->at");
}

static void open_arm(struct emit *e, const struct item *item, const struct arm *arm)
{
	const char *list = NULL;

	for (const struct range *range = arm->cases; range != NULL; range = range->next) {
		const char *one =
			range->low->number == 0
				? fmt(e, "selector <= %s", expression(e, range->high))
				: fmt(e, "(selector >= %s && selector <= %s)",
				      expression(e, range->low), expression(e, range->high));

		list = list == NULL ? one : fmt(e, "%s || %s", list, one);
	}
	line(e, "%s%s {", arm == item->arms ? "" : "} else ",
	     arm->is_default ? (arm == item->arms ? "if (true)" : "") : fmt(e, "if (%s)", list));
	e->indent++;
	line(e, "h%d = true;", arm->guard->bit);
}

static void begin_union(struct emit *e, const struct item *item)
{
	open_block(e);
	line(e, "const uint64_t selector = %s;\n", expression(e, item->expr));
	note_if_bad(e, item->expr);
	line(e, "(void)selector;");
}

static void store_union(struct emit *e, const struct item *item, const struct place *from)
{
	begin_union(e, item);
	for (const struct arm *arm = item->arms; arm != NULL; arm = arm->next) {
		open_arm(e, item, arm);
		store_run(e, arm->body, NULL, from);
		e->indent--;
	}
	line(e, "}");
	close_block(e);
}

static void store_when(struct emit *e, const struct item *item, const struct place *from)
{
	line(e, "h%d = %s;", item->inner->bit, condition_value(e, item->expr));
	note_if_bad(e, item->expr);
	line(e, "if (h%d) {", item->inner->bit);
	e->indent++;
	store_run(e, item->body, NULL, from);
	close_block(e);
}

static void join_value(struct emit *e, const struct field *field)
{
	unsigned shift = 0;

	line(e, "w_%s = 0;", field->name);
	for (unsigned i = 0; i < field->part_count; i++) {
		line(e, "w_%s |= (%s)((uint64_t)w_%s << %u);", field->name,
		     c_type(e, value_bits(field), value_is_signed(field)), field->parts[i]->name,
		     shift);
		shift += value_bits(field->parts[i]);
	}
}

static void store_item(struct emit *e, const struct item *item, const struct place *from)
{
	const char *to = in_room(e, &item->place, from);
	const bool is_covered =
		e->in_covered && item->kind != ITEM_JOIN && item->kind != ITEM_ASSERT;

	if (is_covered) {
		const struct place end = {item->place.anchor, item->place.delta + item->size};

		line(e, "if (cover%u >= %s) {", covered_guard(item->guard)->cover,
		     place_offset(e, &end));
		e->indent++;
	}
	switch (item->kind) {
	case ITEM_FIELD:
		store_field(e, item->field, to);
		break;
	case ITEM_BITS:
		open_block(e);
		store_bits(e, item, to);
		close_block(e);
		break;
	case ITEM_WHEN:
		store_when(e, item, from);
		break;
	case ITEM_UNION:
		store_union(e, item, from);
		break;
	case ITEM_JOIN:
		join_value(e, item->field);
		break;
	default:
		break;
	}
	if (is_covered)
		close_block(e);
}

static void store_run(struct emit *e, const struct item *item, const struct item *last,
		      const struct place *from)
{
	for (; item != NULL; item = item->next) {
		store_item(e, item, from);
		if (item == last)
			break;
	}
}

static bool all_sized(const struct item *item)
{
	for (; item != NULL; item = item->next) {
		const bool passive = item->kind == ITEM_JOIN || item->kind == ITEM_ASSERT ||
				     item->kind == ITEM_CHECKSUM || item->kind == ITEM_VERSION;

		if (!passive && (!item->is_sized || !all_sized(item->body)))
			return false;
		for (const struct arm *arm = item->arms; arm != NULL; arm = arm->next)
			if (!all_sized(arm->body))
				return false;
	}
	return true;
}

static bool in_run(const struct item *item)
{
	switch (item->kind) {
	case ITEM_FIELD:
	case ITEM_BITS:
	case ITEM_PAD:
	case ITEM_ALIGN:
		return item->is_sized;
	case ITEM_WHEN:
		return true;
	case ITEM_UNION:
		if (!item->is_sized)
			return false;
		for (const struct arm *arm = item->arms; arm != NULL; arm = arm->next)
			if (!all_sized(arm->body))
				return false;
		return true;
	case ITEM_JOIN:
	case ITEM_ASSERT:
	case ITEM_CHECKSUM:
	case ITEM_VERSION:
		return true;
	default:
		return false;
	}
}

/* The run that starts at @item; returns what follows it. */
static const struct item *put_run(struct emit *e, const struct item *item)
{
	const struct item *first = item, *last = item;

	while (item != NULL && in_run(item)) {
		last = item;
		item = item->next;
	}
	open_block(e);
	line(e, "unsigned char *const p = wire_put(w, %s);\n",
	     number(e, last->end.delta - first->start.delta));
	line(e, "(void)p;");
	store_run(e, first, last, &first->start);
	close_block(e);
	return item;
}

/* ---- variable sizes ---- */

static void set_anchor(struct emit *e, const struct place *place)
{
	if (place->anchor != 0)
		line(e, "a%u = w->at - start;", place->anchor);
}

static void put_elements(struct emit *e, const struct field *field)
{
	const unsigned t = e->temporaries++;
	const bool fixed = field->strct->is_fixed;
	const char *args;
	bool may_fail;

	if (fixed) {
		line(e, "unsigned char *const p = wire_put_array(w, in->%s_count, %s);\n",
		     field->name, number(e, field->unit_size));
		store_elements(e, field, "p");
		return;
	}
	e->index = fmt(e, "i%u", t);
	args = passed_args(e, field, &may_fail);
	line(e, "for (size_t i%u = 0; i%u < in->%s_count; i%u++) {", t, t, field->name, t);
	e->indent++;
	line(e, "const uint64_t at%u = w->at;", t);
	line(e, "const int error%u = %s_put(w, &in->%s[i%u]%s, fault);\n", t,
	     struct_prefix(e, field->strct), field->name, t, args);
	fail_if_bad(e, may_fail, field->name, fmt(e, "at%u", t));
	line(e, "if (error%u != 0)", t);
	line(e, "\treturn wire_fault_in(fault, error%u, \"%s\", i%u, 0);", t, field->name, t);
	line(e, "(void)at%u;", t);
	close_block(e);
}

static void put_single(struct emit *e, const struct field *field)
{
	const unsigned t = e->temporaries++;
	const char *args;
	bool may_fail;

	args = passed_args(e, field, &may_fail);
	line(e, "const int error%u = %s_put(w, &in->%s%s, fault);\n", t,
	     struct_prefix(e, field->strct), field->name, args);
	fail_if_bad(e, may_fail, field->name, "w->at");
	line(e, "if (error%u != 0)", t);
	line(e, "\treturn wire_fault_in(fault, error%u, \"%s\", WIRE_NO_INDEX, 0);", t,
	     field->name);
}

static void put_string(struct emit *e, const struct field *field)
{
	const char *count = field->type == TYPE_UTF16 ? fmt(e, "count%u", e->temporaries) : NULL;

	if (field->type == TYPE_UTF16) {
		const char *value = field->array == ARRAY_COUNT
					    ? evaluate(e, field->count, field->name, "w->at")
					    : "wire_utf8_units(in->%s)";

		if (field->array != ARRAY_COUNT)
			value = fmt(e, "wire_utf8_units(in->%s)", field->name);
		line(e, "const size_t %s = wire_index(%s);", count, value);
		line(e, "unsigned char *const p = wire_put_array(w, %s, 2);\n", count);
		store_string(e, field, "p", count);
		return;
	}
	count = given_count(e, "in->", field);
	line(e, "unsigned char *const p = wire_put_array(w, %s, 1);\n", count);
	if (field->until_zero) {
		refuse_if(e, field, "must not contain a zero byte", "0, 0",
			  fmt(e, "wire_text_length((const unsigned char *)in->%s.data, %s) != %s",
			      field->name, count, count));
		line(e, "wire_put(w, 1);");
	}
	line(e, "if (p != NULL && %s != 0)", count);
	line(e, "\tmemcpy(p, in->%s.data, %s);", field->name, count);
	if (field->type == TYPE_BYTES)
		line(e, "w_%s = in->%s;", field->name, field->name);
}

/* What an array's stated count or size says must be what was given. */
static void check_stated(struct emit *e, const struct field *field)
{
	const char *given = given_count(e, "in->", field), *stated;

	if (field->array == ARRAY_REST || field->array == ARRAY_UNTIL ||
	    field->type == TYPE_UTF16 || (field->array == ARRAY_SIZE && field->unit_size == 0))
		return;
	stated = evaluate(e, field->count, field->name, "w->at");
	if (field->array == ARRAY_SIZE && field->unit_size != 1)
		given = fmt(e, "(uint64_t)%s * %s", given, number(e, field->unit_size));
	refuse_if(e, field, "has another count than stated", fmt(e, "%s, %s", given, stated),
		  fmt(e, "%s != %s", given, stated));
}

static void put_unsized(struct emit *e, const struct field *field)
{
	open_block(e);
	if (field->array == ARRAY_NONE) {
		put_single(e, field);
	} else {
		check_stated(e, field);
		if (field->type == TYPE_STRUCT) {
			put_elements(e, field);
		} else if (field->type == TYPE_SCALAR) {
			line(e, "unsigned char *const p = wire_put_array(w, in->%s_count, %u);\n",
			     field->name, field->scalar.bytes);
			store_elements(e, field, "p");
		} else {
			put_string(e, field);
		}
	}
	close_block(e);
	set_anchor(e, &field->place_end);
}

/* ---- blocks ---- */

static void put_if(struct emit *e, const struct item *item)
{
	line(e, "h%d = %s;", item->inner->bit, condition_value(e, item->expr));
	note_if_bad(e, item->expr);
	line(e, "h%d = !h%d;", item->inner_else->bit, item->inner->bit);
	line(e, "if (h%d) {", item->inner->bit);
	e->indent++;
	put_items(e, item->body);
	e->indent--;
	line(e, "} else {");
	e->indent++;
	put_items(e, item->orelse);
	close_block(e);
	set_anchor(e, &item->end);
}

static void put_covered(struct emit *e, const struct item *item)
{
	const unsigned i = item->inner->cover;

	line(e, "cover%u = %s;", i, expression(e, item->expr));
	note_if_bad(e, item->expr);
	open_block(e);
	line(e, "const uint64_t before = w->at - start;");
	line(e, "unsigned char *const p = wire_put(w, cover%u > before ? cover%u - before : 0);\n",
	     i, i);
	line(e, "(void)p;");
	e->in_covered = true;
	store_run(e, item->body, NULL, &item->start);
	e->in_covered = false;
	close_block(e);
	set_anchor(e, &item->end);
}

static void put_union(struct emit *e, const struct item *item)
{
	begin_union(e, item);
	line(e, "const uint64_t before = w->at;\n");
	for (const struct arm *arm = item->arms; arm != NULL; arm = arm->next) {
		open_arm(e, item, arm);
		put_items(e, arm->body);
		e->indent--;
	}
	line(e, "}");
	if (item->size_expr != NULL) {
		const char *size = evaluate(e, item->size_expr, item->text, "w->at");

		fault_if(e, "EBADMSG", item->text, "w->at", "is larger than its union",
			 fmt(e, "w->at - before, %s", size), "w->at - before > %s", size);
		line(e, "wire_put(w, %s - (w->at - before));", size);
	} else {
		line(e, "(void)before;");
	}
	close_block(e);
	set_anchor(e, &item->end);
}

static void put_padding(struct emit *e, const struct item *item)
{
	open_block(e);
	if (item->kind == ITEM_ALIGN)
		line(e, "wire_put(w, wire_to_align(w->at - start, %s));",
		     number(e, item->expr->number));
	else
		line(e, "wire_put(w, %s);", evaluate(e, item->expr, "pad", "w->at"));
	close_block(e);
	set_anchor(e, &item->end);
}

static void put_items(struct emit *e, const struct item *item)
{
	while (item != NULL) {
		if (in_run(item)) {
			item = put_run(e, item);
			continue;
		}
		switch (item->kind) {
		case ITEM_FIELD:
			put_unsized(e, item->field);
			break;
		case ITEM_IF:
			put_if(e, item);
			break;
		case ITEM_COVERED:
			put_covered(e, item);
			break;
		case ITEM_UNION:
			put_union(e, item);
			break;
		case ITEM_PAD:
		case ITEM_ALIGN:
			put_padding(e, item);
			break;
		default:
			break;
		}
		item = item->next;
	}
}

/* ---- functions ---- */

static void put_size(struct emit *e)
{
	if (e->s->size_expr == NULL)
		return;
	line(e, "const uint64_t stated = %s;", expression(e, e->s->size_expr));
	note_if_bad(e, e->s->size_expr);
	fault_if(e, "EBADMSG", "size", "w->at", "the fields take more bytes than stated",
		 "w->at - start, stated", "w->at - start > stated");
	line(e, "wire_put(w, stated - (w->at - start));");
}

static void declare_values(struct emit *e)
{
	for (const struct field *field = e->s->fields; field != NULL; field = field->next) {
		if (field->type == TYPE_BYTES && field->string == NULL)
			line(e, "struct wire_bytes w_%s = wire_no_bytes();", field->name);
		else if (field->type == TYPE_SCALAR && field->array == ARRAY_NONE)
			line(e, "%s w_%s = 0;",
			     c_type(e, value_bits(field), value_is_signed(field)), field->name);
	}
	for (int i = 0; i < e->s->guard_count; i++)
		line(e, "bool h%d = false;", i);
	for (unsigned i = 0; i < e->s->cover_count; i++)
		line(e, "uint64_t cover%u = 0;", i);
	for (unsigned i = 1; i <= e->s->anchor_count; i++)
		line(e, "uint64_t a%u = 0;", i);
	line(e, "const uint64_t start = w->at;");
}

static void use_values(struct emit *e)
{
	for (const struct param *param = e->s->params; param != NULL; param = param->next)
		line(e, "(void)p_%s;", param->name);
	for (const struct field *field = e->s->fields; field != NULL; field = field->next)
		if ((field->type == TYPE_BYTES && field->string == NULL) ||
		    (field->type == TYPE_SCALAR && field->array == ARRAY_NONE))
			line(e, "(void)w_%s;", field->name);
	for (int i = 0; i < e->s->guard_count; i++)
		line(e, "(void)h%d;", i);
	for (unsigned i = 1; i <= e->s->anchor_count; i++)
		line(e, "(void)a%u;", i);
	line(e, "(void)start;");
	line(e, "(void)in;");
}

static void emit_put(struct emit *e, const char *p)
{
	struct text *out = e->out, body = {0};

	line(e,
	     "int %s_put(struct wire_writer *w, const struct %s_values *in%s, struct wire_fault "
	     "*fault)",
	     p, p, declared_params(e, e->s));
	open_block(e);
	declare_values(e);
	e->out = &body;
	put_items(e, e->s->items);
	put_size(e);
	use_values(e);
	e->out = out;
	if (body.data != NULL && strstr(body.data, "&bad") != NULL)
		line(e, "bool bad = false;");
	blank(e);
	if (body.data != NULL)
		text_put(out, body.data, body.length);
	line(e, "return wire_written(w, fault);");
	close_block(e);
	blank(e);
	text_finish(&body);
}

static void emit_write_functions(struct emit *e, const char *p)
{
	const char *params = declared_params(e, e->s), *args = passed_params(e, e->s);

	line(e, "long %s_measure(const struct %s_values *in%s, struct wire_fault *fault)", p, p,
	     params);
	open_block(e);
	line(e, "struct wire_writer w = {NULL, UINT64_MAX, 0};");
	line(e, "const int error = %s_put(&w, in%s, fault);\n", p, args);
	line(e, "return error != 0 ? error : wire_length(w.at);");
	close_block(e);
	blank(e);
	line(e,
	     "long %s_write(void *buffer, size_t size, const struct %s_values *in%s, struct "
	     "wire_fault *fault)",
	     p, p, params);
	open_block(e);
	line(e, "struct wire_writer w = {wire_writable(buffer), size, 0};");
	line(e, "struct %s_view view = {0};", p);
	line(e, "int error = %s_put(&w, in%s, fault);\n", p, args);
	line(e, "if (error != 0)");
	line(e, "\treturn error;");
	if (e->s->has_checksums) {
		line(e, "error = %s_open(&view, buffer, (size_t)w.at%s, fault);", p, args);
		line(e, "if (error != 0 || (error = %s_seal(&view)) != 0)", p);
		line(e, "\treturn error;");
	}
	line(e, "error = %s_check(&view, buffer, (size_t)w.at%s, fault);", p, args);
	line(e, "return error != 0 ? error : wire_length(w.at);");
	close_block(e);
	blank(e);
}

void emit_writer(struct emit *e)
{
	const char *p = struct_prefix(e, e->s);

	if (!e->s->has_writer)
		return;
	e->in_writer = true;
	e->temporaries = 0;
	e->self = "in";
	emit_put(e, p);
	emit_write_functions(e, p);
	e->in_writer = false;
}
