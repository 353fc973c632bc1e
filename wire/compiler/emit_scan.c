/* SPDX-License-Identifier: MIT */
/*
 * The validator of a structure: one pass that checks bounds, finds the places of a view, and, when
 * asked to, checks values. Bytes of constant distance from one anchor are bounded once, before the
 * first of them is looked at; e->proved says how far.
 */
#include <string.h>

#include "emit.h"

static void scan_items(struct emit *e, const struct item *item);
static void scan_item(struct emit *e, const struct item *item);

/* ---- faults ---- */

static const char *offset_of(struct emit *e, const struct place *place)
{
	return place_offset(e, place);
}

void fault_if(struct emit *e, const char *error, const char *name, const char *offset,
	      const char *rule, const char *values, const char *condition, ...)
{
	struct text test = {0};
	va_list arguments;

	va_start(arguments, condition);
	text_vformat(&test, condition, arguments);
	va_end(arguments);
	line(e, "if (%s)", test.data);
	if (e->in_seal)
		line(e, "\treturn -%s;", error);
	else
		line(e, "\treturn wire_fault_value(fault, %s, \"%s\", %s, %s, %s);", error, name,
		     offset, c_string(e, rule, strlen(rule)), values);
	text_finish(&test);
}

const char *evaluate(struct emit *e, const struct expr *expr, const char *name, const char *offset)
{
	const unsigned t = e->temporaries++;

	if (expr->is_constant)
		return expression(e, expr);
	line(e, "const uint64_t t%u = %s;", t, expression(e, expr));
	if (expr->may_fail)
		fault_if(e, "ERANGE", name, offset, "a value that cannot be computed", "0, 0",
			 "bad");
	return fmt(e, "t%u", t);
}

void fail_if_bad(struct emit *e, bool may_fail, const char *name, const char *offset)
{
	if (may_fail)
		fault_if(e, "ERANGE", name, offset, "a value that cannot be computed", "0, 0",
			 "bad");
}

/* ---- bounds ---- */

static bool starts_here(const struct item *item, const struct place *at)
{
	const bool kind = item->kind == ITEM_FIELD || item->kind == ITEM_BITS ||
			  item->kind == ITEM_PAD || item->kind == ITEM_UNION ||
			  item->kind == ITEM_WHEN || item->kind == ITEM_ALIGN;

	return kind && item->is_sized && item->place.anchor == at->anchor;
}

static const char *name_of(const struct item *item)
{
	return item->field != NULL ? item->field->name : item->text != NULL ? item->text : "pad";
}

/* One test for the run of items from @item on that lie at constant distances. */
static void need(struct emit *e, const struct item *item)
{
	const struct place at = item->place;
	uint64_t end = at.delta + item->size;
	unsigned table = e->temporaries;
	struct text extents = {0};

	if (e->s->is_fixed || e->in_covered)
		return;
	if (e->proved.anchor == at.anchor && e->proved.delta >= end)
		return;
	for (const struct item *run = item; run != NULL; run = run->next) {
		const bool is_passive = run->kind == ITEM_JOIN || run->kind == ITEM_ASSERT ||
					run->kind == ITEM_CHECKSUM || run->kind == ITEM_VERSION ||
					run->kind == ITEM_ORDER;

		if (is_passive)
			continue;
		if (!starts_here(run, &at))
			break;
		if (run->place.delta + run->size > end)
			end = run->place.delta + run->size;
		text_format(&extents, "{\"%s\", %llu}, ", name_of(run),
			    (unsigned long long)(run->place.delta + run->size));
	}
	e->temporaries++;
	line(e, "static const struct wire_extent x%u[] = {%s};", table, extents.data);
	if (at.anchor == 0)
		line(e, "if (%s < %s)", e->limit, number(e, end));
	else
		line(e, "if (%s - v->at[%u] < %s)", e->limit, at.anchor - 1, number(e, end));
	line(e, "\treturn wire_fault_short(fault, x%u, sizeof(x%u) / sizeof(x%u[0]), %s, %s);",
	     table, table, table, at.anchor == 0 ? "0" : fmt(e, "v->at[%u]", at.anchor - 1),
	     e->limit);
	text_finish(&extents);
	e->proved = (struct place){at.anchor, end};
}

static void begin_checks(struct emit *e)
{
	if (e->s->is_fixed)
		return;
	line(e, "if ((mode & WIRE_VALUES) != 0) {");
	e->indent++;
}

static void end_checks(struct emit *e)
{
	if (!e->s->is_fixed)
		close_block(e);
}

/* ---- values ---- */

static bool has_value_rule(const struct field *field)
{
	return field->constant != NULL || field->ranges != NULL ||
	       (field->set != NULL && field->set->unknown == UNKNOWN_REFUSE);
}

static void scan_ranges(struct emit *e, const struct field *field, const char *value,
			const char *offset)
{
	const struct range *range = field->ranges;
	const char *list = NULL, *most = NULL;

	for (; range != NULL; range = range->next) {
		const char *low = evaluate(e, range->low, field->name, offset);
		const char *high = range->low == range->high
					   ? low
					   : evaluate(e, range->high, field->name, offset);
		const bool all = range->high->is_constant && range->high->number == UINT64_MAX;
		const char *one;

		most = most == NULL ? high : most;
		if (range->low == range->high)
			one = fmt(e, "%s == %s", value, low);
		else if (range->low->is_constant && range->low->number == 0)
			one = fmt(e, "%s <= %s", value, high);
		else if (all)
			one = fmt(e, "%s >= %s", value, low);
		else
			one = fmt(e, "(%s >= %s && %s <= %s)", value, low, value, high);
		list = list == NULL ? one : fmt(e, "%s || %s", list, one);
	}
	range = field->ranges;
	fault_if(e, "EBADMSG", field->name, offset,
		 range->next == NULL ? "must lie in its range" : "must lie in one of its ranges",
		 fmt(e, "%s, %s", value, most), "!(%s)", list);
}

static void scan_set(struct emit *e, const struct field *field, const char *value,
		     const char *offset)
{
	const struct set *set = field->set;

	if (set == NULL || set->unknown != UNKNOWN_REFUSE)
		return;
	if (set->is_flags)
		fault_if(e, "EPROTONOSUPPORT", field->name, offset, "has unknown flags",
			 fmt(e, "%s, %s", value, number(e, set->mask)), "(%s & ~%s) != 0", value,
			 fmt(e, "UINT64_C(0x%llx)", (unsigned long long)set->mask));
	else
		fault_if(e, "EPROTONOSUPPORT", field->name, offset, "is an unknown value",
			 fmt(e, "%s, 0", value), "!%s_%s_known(%s)", set->unit->format, set->name,
			 value);
}

static void scan_value(struct emit *e, const struct field *field, const char *value,
		       const char *offset)
{
	const unsigned t = e->temporaries++;
	const char *name = fmt(e, "t%u", t);

	if (!has_value_rule(field))
		return;
	line(e, "const uint64_t t%u = (uint64_t)%s;", t,
	     value_is_signed(field) ? fmt(e, "(%s)%s", c_type(e, value_bits(field), false), value)
				    : value);
	if (field->constant != NULL)
		fault_if(e, "EBADMSG", field->name, offset, "must be its constant",
			 fmt(e, "%s, %s", name, number(e, field->constant->number)), "%s != %s",
			 name, expression(e, field->constant));
	if (field->ranges != NULL)
		scan_ranges(e, field, name, offset);
	scan_set(e, field, name, offset);
}

static void scan_scalars(struct emit *e, const struct field *field)
{
	const unsigned i = e->temporaries++;
	const char *offset =
		fmt(e, "%s + i%u * %u", offset_of(e, &field->place), i, field->scalar.bytes);

	if (field->array == ARRAY_NONE) {
		scan_value(e, field, getter(e, field, NULL), offset_of(e, &field->place));
		return;
	}
	if (!has_value_rule(field))
		return;
	line(e, "for (size_t i%u = 0; i%u < %s; i%u++) {", i, i, element_count(e, field), i);
	e->indent++;
	scan_value(e, field, getter(e, field, fmt(e, "i%u", i)), offset);
	close_block(e);
}

static void scan_text(struct emit *e, const struct field *field)
{
	static const char *const rules[] = {
		[TEXT_ZERO_PADDED] = "WIRE_TEXT_ZERO_PADDED",
		[TEXT_TERMINATED] = "WIRE_TEXT_TERMINATED",
		[TEXT_SPACE_PADDED] = "WIRE_TEXT_SPACE_PADDED",
		[TEXT_EXACT] = "WIRE_TEXT_EXACT",
	};
	const char *pointer = place_pointer(e, &field->place);
	const char *offset = offset_of(e, &field->place);

	if (field->string != NULL) {
		const unsigned k = e->temporaries++;

		line(e, "static const unsigned char k%u[] = %s;", k, constant_bytes(e, field));
		line(e, "if (memcmp(%s, k%u, sizeof(k%u)) != 0)", pointer, k, k);
		line(e, "\treturn wire_fault_bytes(fault, \"%s\", %s, %s, k%u, sizeof(k%u));",
		     field->name, offset, pointer, k, k);
	} else if (field->type == TYPE_TEXT && !field->until_zero &&
		   field->text_rule != TEXT_EXACT && field->text_rule != TEXT_SPACE_PADDED) {
		line(e, "if (!wire_text_is_valid(%s, %s, %s))", rules[field->text_rule], pointer,
		     element_count(e, field));
		line(e, "\treturn wire_fault_text_rule(fault, \"%s\", %s, %s, %s, %s);",
		     field->name, offset, rules[field->text_rule], pointer,
		     element_count(e, field));
	} else if (field->type == TYPE_UTF16 && field->text_rule != TEXT_EXACT) {
		line(e, "if (!wire_utf16_is_valid(%s, %s, %s))", rules[field->text_rule], pointer,
		     element_count(e, field));
		line(e, "\treturn wire_fault_text_rule(fault, \"%s\", %s, %s, %s, %s);",
		     field->name, offset, rules[field->text_rule], pointer,
		     fmt(e, "2 * (size_t)%s", element_count(e, field)));
	}
}

/* Structures of constant size, which lie within bounds. */
static void scan_fixed_struct(struct emit *e, const struct field *field)
{
	const unsigned i = e->temporaries++;
	const char *index = fmt(e, "i%u", i), *pointer;
	const char *offset = offset_of(e, &field->place), *args;
	const bool is_array = field->array != ARRAY_NONE;
	bool may_fail;

	if (is_array) {
		line(e, "for (size_t i%u = 0; i%u < %s; i%u++) {", i, i, element_count(e, field),
		     i);
		e->indent++;
		pointer = fmt(e, "%s_from(%s + i%u * %s)", struct_prefix(e, field->strct),
			      place_pointer(e, &field->place), i, number(e, field->unit_size));
		offset = fmt(e, "%s + i%u * %s", offset, i, number(e, field->unit_size));
		e->index = index;
	} else {
		pointer = fmt(e, "%s_from(%s)", struct_prefix(e, field->strct),
			      place_pointer(e, &field->place));
		open_block(e);
	}
	args = passed_args(e, field, &may_fail);
	line(e, "const int error%u = %s_scan(%s%s, fault);", i, struct_prefix(e, field->strct),
	     pointer, args);
	fail_if_bad(e, may_fail, field->name, offset);
	line(e, "if (error%u != 0)", i);
	line(e, "\treturn wire_fault_in(fault, error%u, \"%s\", %s, %s);", i, field->name,
	     is_array ? index : "WIRE_NO_INDEX", offset);
	close_block(e);
}

/* Rules on values of a field whose place is known and within bounds. */
static void scan_field_values(struct emit *e, const struct field *field)
{
	switch (field->type) {
	case TYPE_SCALAR:
		scan_scalars(e, field);
		break;
	case TYPE_STRUCT:
		if (field->strct->is_fixed)
			scan_fixed_struct(e, field);
		break;
	default:
		scan_text(e, field);
		break;
	}
}

static bool has_field_rule(const struct field *field)
{
	switch (field->type) {
	case TYPE_SCALAR:
		return has_value_rule(field);
	case TYPE_STRUCT:
		return field->strct->is_fixed;
	case TYPE_BYTES:
		return field->string != NULL;
	default:
		return field->string != NULL || field->text_rule != TEXT_EXACT;
	}
}

static void scan_values(struct emit *e, const struct field *field)
{
	if (!has_field_rule(field))
		return;
	begin_checks(e);
	scan_field_values(e, field);
	end_checks(e);
}

/* ---- fields of variable size ---- */

static const char *left(struct emit *e, const struct place *at)
{
	if (at->anchor == 0 && at->delta == 0)
		return e->limit;
	return fmt(e, "(%s - (%s))", e->limit, place_offset(e, at));
}

/* Bytes before an array of constant distance that nobody has bounded yet: pads only bound
 * themselves. */
static void need_start(struct emit *e, const struct field *field)
{
	const struct place at = field->place;

	if (e->proved.anchor == at.anchor && e->proved.delta >= at.delta)
		return;
	if (at.delta == 0)
		return;
	line(e, "if (%s - %s < %s)", e->limit,
	     at.anchor == 0 ? "0" : fmt(e, "v->at[%u]", at.anchor - 1), number(e, at.delta));
	line(e,
	     "\treturn wire_fault_value(fault, ENODATA, \"%s\", %s, \"lies past the end\", %s, "
	     "%s);",
	     field->name, place_offset(e, &at), place_offset(e, &at), e->limit);
	e->proved = at;
}

/* The count of elements of constant size, in bounds; sets v->n_ and the anchor after it. */
static void scan_sized_elements(struct emit *e, const struct field *field)
{
	const char *offset = offset_of(e, &field->place), *unit = number(e, field->unit_size);
	const char *room = left(e, &field->place), *n;
	const unsigned t = e->temporaries++;

	if (field->array == ARRAY_REST) {
		line(e, "const size_t t%u = %s;", t, room);
	} else {
		n = evaluate(e, field->count, field->name, offset);
		fault_if(e, "ENODATA", field->name, offset, "goes past the end",
			 fmt(e, "%s, %s / %s", n, room, field->array == ARRAY_SIZE ? "1" : unit),
			 "%s > %s / %s", n, room, field->array == ARRAY_SIZE ? "1" : unit);
		line(e, "const size_t t%u = (size_t)%s%s%s;", t, n,
		     field->array == ARRAY_SIZE ? "" : " * ",
		     field->array == ARRAY_SIZE ? "" : unit);
	}
	if (field->unit_size > 1 && field->array != ARRAY_COUNT)
		fault_if(e, "EBADMSG", field->name, offset, "does not end with an element",
			 fmt(e, "t%u, %s", t, unit), "t%u %% %s != 0", t, unit);
	line(e, "v->n_%s = t%u / %s;", field->name, t, unit);
	line(e, "v->at[%u] = %s + t%u;", field->place_end.anchor - 1, offset, t);
	scan_values(e, field);
}

static void scan_text_until_zero(struct emit *e, const struct field *field)
{
	const char *offset = offset_of(e, &field->place);
	const unsigned t = e->temporaries++;

	line(e, "size_t t%u = %s;", t, left(e, &field->place));
	if (field->max_count != NULL) {
		const char *most = evaluate(e, field->max_count, field->name, offset);

		line(e, "if (t%u > %s)", t, most);
		line(e, "\tt%u = %s%s;", t, "(size_t)", fmt(e, "%s + 1", most));
	}
	line(e, "v->n_%s = wire_text_length(%s, t%u);", field->name,
	     place_pointer(e, &field->place), t);
	fault_if(e, "EBADMSG", field->name, offset, "has no zero byte at its end",
		 fmt(e, "v->n_%s, t%u", field->name, t), "v->n_%s == t%u", field->name, t);
	line(e, "v->at[%u] = %s + v->n_%s + 1;", field->place_end.anchor - 1, offset, field->name);
}

/* ---- arrays whose elements are looked at one after the other ---- */

struct loop {
	unsigned t;         /* names: c (count), p (place), end, most */
	const char *offset; /* of the element */
};

/* Declares place, end and the greatest count. */
static void begin_loop(struct emit *e, const struct field *field, struct loop *loop)
{
	const char *offset = offset_of(e, &field->place), *n;

	loop->t = e->temporaries++;
	loop->offset = fmt(e, "p%u", loop->t);
	if (field->array == ARRAY_SIZE) {
		n = evaluate(e, field->count, field->name, offset);
		fault_if(e, "ENODATA", field->name, offset, "goes past the end",
			 fmt(e, "%s, %s", n, left(e, &field->place)), "%s > %s", n,
			 left(e, &field->place));
		line(e, "const size_t end%u = %s + (size_t)%s;", loop->t, offset, n);
	} else {
		line(e, "const size_t end%u = %s;", loop->t, e->limit);
	}
	if (field->array == ARRAY_COUNT) {
		n = evaluate(e, field->count, field->name, offset);
		line(e, "const uint64_t most%u = %s;", loop->t, n);
	} else if (field->max_count != NULL) {
		n = evaluate(e, field->max_count, field->name, offset);
		line(e, "const uint64_t most%u = %s;", loop->t, n);
	}
	line(e, "size_t p%u = %s;", loop->t, offset);
	line(e, "size_t c%u = 0;", loop->t);
}

/* The element's bounds, values, and its size added to the place. */
static void loop_element(struct emit *e, const struct field *field, const struct loop *loop)
{
	const unsigned t = loop->t;
	const char *args, *index = fmt(e, "c%u", t);
	bool may_fail;

	if (field->type == TYPE_SCALAR) {
		fault_if(e, "ENODATA", field->name, loop->offset, "has no end", fmt(e, "c%u, 0", t),
			 "end%u - p%u < %u", t, t, field->scalar.bytes);
		return;
	}
	e->index = index;
	args = passed_args(e, field, &may_fail);
	if (field->strct->is_fixed) {
		fault_if(e, "ENODATA", field->name, loop->offset, "has no end", fmt(e, "c%u, 0", t),
			 "end%u - p%u < %s", t, t, number(e, field->unit_size));
		line(e, "const struct %s *const item%u = %s_from(v->data + p%u);",
		     struct_prefix(e, field->strct), t, struct_prefix(e, field->strct), t);
		line(e,
		     "const int error%u = (mode & WIRE_VALUES) == 0 ? 0 : %s_scan(item%u%s, "
		     "fault);",
		     t, struct_prefix(e, field->strct), t, args);
	} else {
		line(e, "struct %s_view item%u;", struct_prefix(e, field->strct), t);
		line(e,
		     "const int error%u = %s_scan(&item%u, v->data + p%u, end%u - p%u%s, mode, "
		     "fault);",
		     t, struct_prefix(e, field->strct), t, t, t, t, args);
	}
	fail_if_bad(e, may_fail, field->name, loop->offset);
	line(e, "if (error%u != 0)", t);
	line(e, "\treturn wire_fault_in(fault, error%u, \"%s\", c%u, p%u);", t, field->name, t, t);
	if (!field->strct->is_fixed)
		fault_if(e, "EBADMSG", field->name, loop->offset, "an element takes no bytes",
			 fmt(e, "c%u, 0", t), "item%u.length == 0", t);
}

static void loop_until(struct emit *e, const struct field *field, const struct loop *loop)
{
	const unsigned t = loop->t;
	const char *offset = loop->offset;

	if (field->array != ARRAY_UNTIL)
		return;
	e->it = field;
	e->it_value = fmt(e,
			  field->type == TYPE_SCALAR ? "value%u"
			  : field->strct->is_fixed   ? "item%u"
						     : "(&item%u)",
			  t);
	if (field->type == TYPE_SCALAR)
		line(e, "const %s value%u = (%s)wire_load_%s%u(v->data + p%u%s);",
		     c_type(e, value_bits(field), field->scalar.is_signed), t,
		     c_type(e, value_bits(field), field->scalar.is_signed),
		     order_letters(field->scalar.order), 8 * field->scalar.bytes, t,
		     field->scalar.order == ORDER_RUNTIME ? ", v->order" : "");
	line(e, "const bool last%u = (%s) != 0;", t, expression(e, field->count));
	fail_if_bad(e, field->count->may_fail, field->name, offset);
	e->it = NULL;
}

static const char *loop_condition(struct emit *e, const struct field *field, unsigned t)
{
	switch (field->array) {
	case ARRAY_COUNT:
		return fmt(e, "c%u < most%u", t, t);
	case ARRAY_UNTIL:
		return "true";
	default:
		return fmt(e, "p%u < end%u", t, t);
	}
}

static void scan_loop(struct emit *e, const struct field *field)
{
	struct loop loop;
	unsigned t;

	begin_loop(e, field, &loop);
	t = loop.t;
	line(e, "while (%s) {", loop_condition(e, field, t));
	e->indent++;
	if (field->max_count != NULL)
		fault_if(e, "EBADMSG", field->name, loop.offset, "has too many elements",
			 fmt(e, "c%u, most%u", t, t), "c%u >= most%u", t, t);
	loop_element(e, field, &loop);
	loop_until(e, field, &loop);
	if (field->unit_size != 0)
		line(e, "p%u += %s;", t, number(e, field->unit_size));
	else
		line(e, "p%u += item%u.length;", t, t);
	line(e, "c%u++;", t);
	if (field->array == ARRAY_UNTIL) {
		line(e, "if (last%u)", t);
		line(e, "\tbreak;");
	}
	close_block(e);
	line(e, "v->n_%s = c%u;", field->name, t);
	line(e, "v->at[%u] = p%u;", field->place_end.anchor - 1, t);
	if (field->type == TYPE_SCALAR)
		scan_values(e, field);
}

static void scan_single_view(struct emit *e, const struct field *field)
{
	const char *offset = offset_of(e, &field->place), *args;
	const unsigned t = e->temporaries++;
	bool may_fail;

	args = passed_args(e, field, &may_fail);
	line(e, "const int error%u = %s_scan(&v->v_%s, %s, %s%s, mode, fault);", t,
	     struct_prefix(e, field->strct), field->name, place_pointer(e, &field->place),
	     left(e, &field->place), args);
	fail_if_bad(e, may_fail, field->name, offset);
	line(e, "if (error%u != 0)", t);
	line(e, "\treturn wire_fault_in(fault, error%u, \"%s\", WIRE_NO_INDEX, %s);", t,
	     field->name, offset);
	line(e, "v->at[%u] = %s + v->v_%s.length;", field->place_end.anchor - 1, offset,
	     field->name);
}

static void scan_unsized(struct emit *e, const struct field *field)
{
	need_start(e, field);
	if (field->until_zero)
		scan_text_until_zero(e, field);
	else if (field->array == ARRAY_NONE)
		scan_single_view(e, field);
	else if (field->unit_size != 0 && field->array != ARRAY_UNTIL)
		scan_sized_elements(e, field);
	else
		scan_loop(e, field);
	e->proved = field->place_end;
}

/* ---- items ---- */

static void scan_placed(struct emit *e, const struct item *item)
{
	if (item->field->is_sized) {
		need(e, item);
		scan_values(e, item->field);
	} else {
		scan_unsized(e, item->field);
	}
}

/* A stored offset: anywhere within what the structure was given. */
static void scan_stored_place(struct emit *e, const struct item *item)
{
	const struct field *field = item->field;
	const struct place proved = e->proved;
	const char *limit = e->limit, *at;

	open_block(e);
	at = evaluate(e, item->at, field->name, "0");
	fault_if(e, "ERANGE", field->name, "0", "its stored place lies past the end",
		 fmt(e, "%s, v->size", at), "%s > v->size", at);
	line(e, "v->at[%u] = (size_t)%s;", field->place.anchor - 1, at);
	e->limit = "v->size";
	e->proved = field->place;
	scan_placed(e, item);
	close_block(e);
	e->proved = proved;
	e->limit = limit;
}

static void scan_field(struct emit *e, const struct item *item)
{
	struct place end = field_end(item->field);

	if (item->at != NULL && !item->at->is_constant) {
		scan_stored_place(e, item);
		return;
	}
	if (!e->in_covered) {
		scan_placed(e, item);
		return;
	}
	if (!has_field_rule(item->field))
		return;
	line(e, "if (%s) {", guard_condition(e, covered_guard(item->guard), &end));
	e->indent++;
	scan_values(e, item->field);
	close_block(e);
}

static void scan_bit_values(struct emit *e, const struct item *item)
{
	const char *offset = place_offset(e, &item->place);

	for (const struct bit *bit = item->bit_list; bit != NULL; bit = bit->next) {
		if (bit->field != NULL)
			scan_value(e, bit->field, getter(e, bit->field, NULL), offset);
		else if (bit->padding == PADDING_CHECK)
			fault_if(e, "EBADMSG", "pad", offset, "bits without a name must be zero",
				 fmt(e, "%u, 0", 1U),
				 "(wire_load_%s%u(%s%s) & UINT64_C(0x%llx)) != 0",
				 order_letters(item->scalar.order), 8 * item->scalar.bytes,
				 place_pointer(e, &item->place),
				 item->scalar.order == ORDER_RUNTIME ? fmt(e, ", %s", own_order(e))
								     : "",
				 (unsigned long long)(UINT64_MAX >> (64 - bit->width)
									    << bit->shift));
	}
}

static bool bits_have_rules(const struct item *item)
{
	for (const struct bit *bit = item->bit_list; bit != NULL; bit = bit->next)
		if (bit->field != NULL ? has_value_rule(bit->field) : bit->padding == PADDING_CHECK)
			return true;
	return false;
}

static void scan_bits(struct emit *e, const struct item *item)
{
	struct place end = item->place;

	need(e, item);
	if (!bits_have_rules(item))
		return;
	end.delta += item->size;
	if (e->in_covered) {
		line(e, "if (%s) {", guard_condition(e, covered_guard(item->guard), &end));
		e->indent++;
	}
	begin_checks(e);
	scan_bit_values(e, item);
	end_checks(e);
	if (e->in_covered)
		close_block(e);
}

static void scan_pad_bytes(struct emit *e, const struct item *item, const char *size)
{
	if (item->padding != PADDING_CHECK)
		return;
	begin_checks(e);
	line(e, "if (!wire_is_zero(%s, %s))", place_pointer(e, &item->place), size);
	line(e,
	     "\treturn wire_fault_value(fault, EBADMSG, \"pad\", %s, \"padding must be zero\", 1, "
	     "0);",
	     place_offset(e, &item->place));
	end_checks(e);
}

static void scan_pad(struct emit *e, const struct item *item)
{
	const char *offset = place_offset(e, &item->place), *n;
	struct place end = item->place;

	if (item->is_sized) {
		end.delta += item->size;
		need(e, item);
		if (e->in_covered && item->padding == PADDING_CHECK)
			line(e, "if (%s)", guard_condition(e, covered_guard(item->guard), &end));
		if (item->size != 0)
			scan_pad_bytes(e, item, number(e, item->size));
		return;
	}
	open_block(e);
	if (item->kind == ITEM_ALIGN)
		n = fmt(e, "wire_to_align(%s, %s)", offset, number(e, item->expr->number));
	else
		n = evaluate(e, item->expr, "pad", offset);
	fault_if(e, "ENODATA", "pad", offset, "padding goes past the end",
		 fmt(e, "%s, %s", n, left(e, &item->place)), "%s > %s", n, left(e, &item->place));
	line(e, "v->at[%u] = %s + (size_t)%s;", item->end.anchor - 1, offset, n);
	scan_pad_bytes(e, item, fmt(e, "(size_t)%s", n));
	close_block(e);
	e->proved = item->end;
}

static void mark(struct emit *e, const struct guard *guard)
{
	if (!e->s->is_fixed)
		line(e, "v->has |= UINT64_C(0x%llx);", 1ULL << guard->bit);
}

/* A block that may be skipped proves nothing to what follows. */
static void scan_branch(struct emit *e, const struct guard *guard, const struct item *body)
{
	const struct place proved = e->proved;

	mark(e, guard);
	scan_items(e, body);
	e->proved = proved;
}

/* Where a branch ended, if what follows starts at an anchor of its own. */
static void end_branch(struct emit *e, const struct item *item, const struct item *body,
		       const struct place *start)
{
	const struct item *last = body;

	while (last != NULL && last->next != NULL)
		last = last->next;
	if (item->end.anchor != start->anchor && item->end.anchor != 0)
		line(e, "v->at[%u] = %s;", item->end.anchor - 1,
		     place_offset(e, last == NULL ? start : &last->end));
}

static void scan_if(struct emit *e, const struct item *item, const struct place *start)
{
	const char *test;

	test = evaluate(e, item->expr, "if", place_offset(e, start));
	line(e, "if (%s != 0) {", test);
	e->indent++;
	scan_branch(e, item->inner, item->body);
	end_branch(e, item, item->body, start);
	e->indent--;
	line(e, "} else {");
	e->indent++;
	scan_branch(e, item->inner_else, item->orelse);
	end_branch(e, item, item->orelse, start);
	close_block(e);
}

static void scan_when(struct emit *e, const struct item *item)
{
	const char *test;

	need(e, item);
	test = evaluate(e, item->expr, "when", place_offset(e, &item->place));
	line(e, "if (%s != 0) {", test);
	e->indent++;
	scan_branch(e, item->inner, item->body);
	close_block(e);
}

static void scan_covered(struct emit *e, const struct item *item, const struct place *start)
{
	const char *cover = evaluate(e, item->expr, "covered", place_offset(e, start));
	const unsigned i = item->inner->cover;

	fault_if(e, "ENODATA", "covered", place_offset(e, start),
		 "what is covered goes past the end", fmt(e, "%s, %s", cover, e->limit), "%s > %s",
		 cover, e->limit);
	line(e, "v->cov[%u] = (size_t)%s;", i, cover);
	line(e, "v->at[%u] = wire_max_size(%s, v->cov[%u]);", item->end.anchor - 1,
	     place_offset(e, start), i);
	e->in_covered = true;
	scan_items(e, item->body);
	e->in_covered = false;
	e->proved = item->end;
}

static const char *case_test(struct emit *e, const char *value, const struct range *range)
{
	const char *list = NULL;

	for (; range != NULL; range = range->next) {
		const char *low = expression(e, range->low), *high = expression(e, range->high),
			   *one;

		if (range->low->number == range->high->number)
			one = fmt(e, "%s == %s", value, low);
		else if (range->low->number == 0)
			one = fmt(e, "%s <= %s", value, high);
		else
			one = fmt(e, "(%s >= %s && %s <= %s)", value, low, value, high);
		list = list == NULL ? one : fmt(e, "%s || %s", list, one);
	}
	return list;
}

static void scan_arms(struct emit *e, const struct item *item, const char *selector,
		      const struct place *start)
{
	const char *offset = place_offset(e, start);
	bool has_default = false;

	for (const struct arm *arm = item->arms; arm != NULL; arm = arm->next) {
		if (arm->is_default)
			line(e, "%s {", arm == item->arms ? "" : "} else");
		else
			line(e, "%sif (%s) {", arm == item->arms ? "" : "} else ",
			     case_test(e, selector, arm->cases));
		e->indent++;
		if (arm->is_refuse) {
			line(e,
			     "return wire_fault_value(fault, EPROTONOSUPPORT, \"%s\", %s, \"is "
			     "refused\", %s, 0);",
			     item->text, offset, selector);
		} else {
			scan_branch(e, arm->guard, arm->body);
			if (item->size_expr == NULL)
				end_branch(e, item, arm->body, start);
		}
		e->indent--;
		has_default |= arm->is_default;
	}
	line(e, "}%s", has_default ? "" : " else {");
	if (has_default)
		return;
	line(e,
	     "\treturn wire_fault_value(fault, EPROTONOSUPPORT, \"%s\", %s, \"no case for this\", "
	     "%s, 0);",
	     item->text, offset, selector);
	line(e, "}");
}

static void scan_union(struct emit *e, const struct item *item, const struct place *start)
{
	const char *offset = place_offset(e, start), *limit = e->limit, *selector, *size;
	const unsigned t = e->temporaries++;
	const bool in_covered = e->in_covered;

	if (in_covered) {
		const struct place end = {start->anchor, start->delta + item->size};

		line(e, "if (%s) {", guard_condition(e, covered_guard(item->guard), &end));
		e->indent++;
	} else if (item->is_sized) {
		need(e, item);
	}
	selector = evaluate(e, item->expr, item->text, offset);
	line(e, "(void)%s;", selector);
	if (item->size_expr != NULL && !e->s->is_fixed) {
		size = evaluate(e, item->size_expr, item->text, offset);
		if (!item->is_sized) {
			fault_if(e, "ENODATA", item->text, offset, "goes past the end",
				 fmt(e, "%s, %s", size, left(e, start)), "%s > %s", size,
				 left(e, start));
			line(e, "v->at[%u] = %s + (size_t)%s;", item->end.anchor - 1, offset, size);
		}
		line(e, "const size_t lim%u = %s + (size_t)%s;", t, offset, size);
		e->limit = fmt(e, "lim%u", t);
		line(e, "(void)lim%u;", t);
	}
	scan_arms(e, item, selector, start);
	e->limit = limit;
	if (in_covered)
		close_block(e);
	else if (!item->is_sized)
		e->proved = item->end;
}

static void scan_assert(struct emit *e, const struct item *item)
{
	const struct place at = item->end;

	begin_checks(e);
	open_block(e);
	fault_if(e, "EBADMSG", "assert", place_offset(e, &at), item->text, "0, 1", "%s == 0",
		 evaluate(e, item->expr, "assert", place_offset(e, &at)));
	close_block(e);
	end_checks(e);
}

static void scan_item(struct emit *e, const struct item *item)
{
	switch (item->kind) {
	case ITEM_FIELD:
		scan_field(e, item);
		break;
	case ITEM_BITS:
		scan_bits(e, item);
		break;
	case ITEM_IF:
		scan_if(e, item, &item->start);
		break;
	case ITEM_WHEN:
		scan_when(e, item);
		break;
	case ITEM_COVERED:
		scan_covered(e, item, &item->start);
		break;
	case ITEM_UNION:
		scan_union(e, item, &item->start);
		break;
	case ITEM_PAD:
	case ITEM_ALIGN:
		scan_pad(e, item);
		break;
	case ITEM_ASSERT:
		scan_assert(e, item);
		break;
	default:
		break;
	}
}

static void scan_items(struct emit *e, const struct item *item)
{
	for (; item != NULL; item = item->next)
		scan_item(e, item);
}

/* ---- the function ---- */

static void scan_order(struct emit *e)
{
	const struct field *field = e->s->order_by->field;
	const char *bits = fmt(e, "%u", 8 * field->scalar.bytes);
	const char *pointer = place_pointer(e, &field->place);

	if (e->s->is_fixed) {
		line(e, "const enum wire_order order = %s_order(s);", struct_prefix(e, e->s));
		return;
	}
	line(e, "if (size < %s)", number(e, field->place.delta + field->size));
	line(e,
	     "\treturn wire_fault_value(fault, ENODATA, \"%s\", %s, \"lies past the end\", %s, "
	     "size);",
	     field->name, place_offset(e, &field->place),
	     number(e, field->place.delta + field->size));
	line(e, "v->order = wire_load_be%s(%s) == %s ? WIRE_BIG : WIRE_LITTLE;", bits, pointer,
	     expression(e, field->constant));
}

/* The stated size: the fields that it needs must be there first. */
static void scan_size(struct emit *e)
{
	const struct expr *size = e->s->size_expr;
	uint64_t needed = 0;

	if (size == NULL)
		return;
	needed = fields_end_of(size);
	if (needed != 0) {
		line(e, "if (size < %s)", number(e, needed));
		line(e,
		     "\treturn wire_fault_value(fault, ENODATA, \"size\", 0, \"too short to know "
		     "its size\", size, %s);",
		     number(e, needed));
	}
	line(e, "const uint64_t stated = %s;", expression(e, size));
	fail_if_bad(e, size->may_fail, "size", "0");
	fault_if(e, "ENODATA", "size", "0", "the structure goes past the end", "stated, size",
		 "stated > size");
	line(e, "v->size = (size_t)stated;");
}

static void scan_finish(struct emit *e)
{
	if (e->s->is_fixed)
		return;
	line(e, "v->length = %s;",
	     e->s->size_expr != NULL ? "v->size" : place_offset(e, &e->s->end));
}

/* What is always there is set in any case; clearing all of a view would cost as much as the rest.
 */
static void clear_what_may_be_absent(struct emit *e)
{
	if (e->s->guard_count == 0)
		return;
	line(e, "v->has = 0;");
	if (e->s->anchor_count != 0)
		line(e, "memset(v->at, 0, sizeof(v->at));");
	if (e->s->cover_count != 0)
		line(e, "memset(v->cov, 0, sizeof(v->cov));");
	for (const struct field *field = e->s->fields; field != NULL; field = field->next)
		if (field->kind == FIELD_PLAIN && !field->is_sized && field->array != ARRAY_NONE &&
		    field->guard != NULL)
			line(e, "v->n_%s = 0;", field->name);
}

static void scan_view_start(struct emit *e)
{
	line(e, "v->data = wire_writable(data);");
	line(e, "v->size = size;");
	line(e, "v->length = 0;");
	clear_what_may_be_absent(e);
	if (e->s->takes_order)
		line(e, "v->order = order;");
	for (const struct param *param = e->s->params; param != NULL; param = param->next)
		line(e, "v->p_%s = p_%s;", param->name, param->name);
}

static void scan_signature(struct emit *e)
{
	const char *prefix = struct_prefix(e, e->s), *params = declared_params(e, e->s);

	if (e->s->is_fixed)
		line(e, "int %s_scan(const struct %s *s%s, struct wire_fault *fault)", prefix,
		     prefix, params);
	else
		line(e,
		     "int %s_scan(struct %s_view *v, const void *data, size_t size%s, unsigned "
		     "mode, struct wire_fault *fault)",
		     prefix, prefix, params);
}

static void use_all(struct emit *e)
{
	if (e->s->is_fixed)
		line(e, "(void)s;");
	if (e->s->is_fixed && e->s->unit->order == ORDER_RUNTIME)
		line(e, "(void)order;");
	for (const struct param *param = e->s->params; e->s->is_fixed && param != NULL;
	     param = param->next)
		line(e, "(void)p_%s;", param->name);
	line(e, "(void)fault;");
	if (!e->s->is_fixed)
		line(e, "(void)mode;");
}

static void emit_scan_body(struct emit *e)
{
	if (!e->s->is_fixed)
		scan_view_start(e);
	if (e->s->order_by != NULL)
		scan_order(e);
	use_all(e);
	if (!e->s->is_fixed)
		scan_size(e);
	scan_items(e, e->s->items);
	scan_finish(e);
	if (e->s->checksums != NULL) {
		begin_checks(e);
		emit_checksums(e, false);
		end_checks(e);
	}
	line(e, "return 0;");
}

static void emit_scan(struct emit *e)
{
	struct text *out = e->out, body = {0};

	e->self = e->s->is_fixed ? "s" : "v";
	e->size = e->limit = "v->size";
	e->proved = (struct place){0};
	e->temporaries = 0;
	e->in_covered = false;
	scan_signature(e);
	open_block(e);
	e->out = &body;
	emit_scan_body(e);
	e->out = out;
	if (strstr(body.data, "&bad") != NULL)
		line(e, "bool bad = false;");
	text_put(out, body.data, body.length);
	close_block(e);
	blank(e);
	text_finish(&body);
}

static void emit_fixed_check(struct emit *e)
{
	const struct strct *s = e->s;
	const char *prefix = struct_prefix(e, s);

	line(e, "int %s_check(const void *data, size_t size%s, struct wire_fault *fault)", prefix,
	     declared_params(e, s));
	open_block(e);
	line(e, "static const struct wire_extent extents[] = {");
	for (const struct item *item = s->items; item != NULL; item = item->next)
		if (item->size != 0)
			line(e, "\t{\"%s\", %llu},", name_of(item),
			     (unsigned long long)(item->place.delta + item->size));
	line(e, "\t{\"size\", %llu},", (unsigned long long)s->size);
	line(e, "};");
	blank(e);
	line(e, "if (size < %s)", number(e, s->size));
	line(e, "\treturn wire_fault_short(fault, extents, sizeof(extents) / sizeof(extents[0]), "
		"0, size);");
	line(e, "return %s_scan(%s_from(data)%s, fault);", prefix, prefix, passed_params(e, s));
	close_block(e);
	blank(e);
}

static void emit_view_check(struct emit *e, const char *name, const char *mode)
{
	const char *prefix = struct_prefix(e, e->s);

	line(e,
	     "int %s_%s(struct %s_view *v, const void *data, size_t size%s, struct wire_fault "
	     "*fault)",
	     prefix, name, prefix, declared_params(e, e->s));
	open_block(e);
	line(e, "return %s_scan(v, data, size%s, %s, fault);", prefix, passed_params(e, e->s),
	     mode);
	close_block(e);
	blank(e);
}

void emit_checks(struct emit *e)
{
	emit_scan(e);
	if (e->s->is_fixed) {
		emit_fixed_check(e);
		return;
	}
	emit_view_check(e, "check", "WIRE_VALUES");
	emit_view_check(e, "open", "0");
}
