/* SPDX-License-Identifier: MIT */
/*
 * Checksums: gathered as pieces (with zero bytes where something is skipped), computed by the
 * runtime or by the program, then compared or stored.
 */
#include <string.h>

#include "emit.h"

static const char *field_offset(struct emit *e, const struct field *field)
{
	return place_offset(e, &field->place);
}

static const char *field_bytes(struct emit *e, const struct field *field)
{
	return field->is_sized ? number(e, field->size)
			       : fmt(e, "v->at[%u] - (%s)", field->place_end.anchor - 1,
				     field_offset(e, field));
}

/* Skipped fields that are there. */
static void put_holes(struct emit *e, const struct checksum *sum)
{
	if (sum->skip_count == 0)
		return;
	line(e, "struct wire_hole holes[%u];", sum->skip_count);
	line(e, "size_t hole_count = 0;\n");
	for (unsigned i = 0; i < sum->skip_count; i++) {
		const struct field *field = sum->skips[i];
		const char *condition = layout_condition(e, field);

		if (condition != NULL)
			line(e, "if (%s)", condition);
		line(e, "%sholes[hole_count++] = (struct wire_hole){%s, %s};",
		     condition != NULL ? "\t" : "", field_offset(e, field), field_bytes(e, field));
	}
}

/* Where only run time tells, a checksum must not cover its own field. */
static void refuse_own_field(struct emit *e, const struct checksum *sum, const char *from,
			     const char *to)
{
	for (unsigned i = 0; i < sum->field_count; i++) {
		const struct field *field = sum->fields[i];
		const char *condition = layout_condition(e, field);
		bool skipped = false;

		for (unsigned k = 0; k < sum->skip_count; k++)
			skipped |= sum->skips[k] == field;
		if (!skipped)
			fault_if(e, "EBADMSG", field->name, field_offset(e, field),
				 "its checksum covers itself", fmt(e, "%s, %s", from, to),
				 "%s%s%s + %s > %s && %s < %s", condition == NULL ? "" : condition,
				 condition == NULL ? "" : " && ", field_offset(e, field),
				 field_bytes(e, field), from, field_offset(e, field), to);
	}
}

static void put_range(struct emit *e, const struct checksum *sum, const struct piece *piece)
{
	const char *name = sum->fields[0]->name, *offset = field_offset(e, sum->fields[0]);
	const char *size = e->s->is_fixed ? number(e, e->s->size) : "v->size";
	const char *base = place_pointer(e, &(struct place){0});
	const char *from = evaluate(e, piece->from, name, offset);
	const char *to = evaluate(e, piece->to, name, offset);

	if (piece->from->is_constant && piece->to->is_constant && e->s->is_fixed) {
		if (piece->from->number > piece->to->number || piece->to->number > e->s->size)
			report(e->c, &piece->pos, "size",
			       "this piece does not lie in the structure");
	} else {
		fault_if(e, "ERANGE", name, offset, "its checksum covers what is not there",
			 fmt(e, "%s, %s", to, size), "%s%s > %s",
			 piece->from->is_constant && piece->from->number == 0
				 ? ""
				 : fmt(e, "%s > %s || ", from, to),
			 to, size);
		refuse_own_field(e, sum, from, to);
	}
	line(e, "count += wire_sum_range(pieces + count, %s, (size_t)%s, (size_t)%s, %s);", base,
	     from, to, sum->skip_count != 0 ? "holes, hole_count" : "NULL, 0");
}

static void put_value(struct emit *e, const struct checksum *sum, const struct piece *piece,
		      unsigned i)
{
	const char *value =
		evaluate(e, piece->from, sum->fields[0]->name, field_offset(e, sum->fields[0]));

	line(e, "unsigned char word%u[%u];\n", i, piece->bytes);
	line(e, "wire_store_%s%u(word%u, (uint%u_t)%s);", piece->is_big ? "be" : "le",
	     8 * piece->bytes, i, 8 * piece->bytes, value);
	line(e, "pieces[count++] = wire_bytes(word%u, sizeof(word%u));", i, i);
}

static void put_pieces(struct emit *e, const struct checksum *sum)
{
	unsigned most = 0, i = 0;

	for (const struct piece *piece = sum->pieces; piece != NULL; piece = piece->next)
		most += piece->kind == PIECE_SELF ? 2 * sum->skip_count + 1 : 1;
	line(e, "struct wire_bytes pieces[%u];", most);
	line(e, "size_t count = 0;\n");
	put_holes(e, sum);
	for (const struct piece *piece = sum->pieces; piece != NULL; piece = piece->next, i++) {
		if (piece->kind == PIECE_SELF)
			put_range(e, sum, piece);
		else if (piece->kind == PIECE_VALUE)
			put_value(e, sum, piece, i);
		else
			line(e, "pieces[count++] = %s;", bytes_expression(e, piece->from));
	}
}

static void begin_part(struct emit *e, const struct field *field)
{
	const char *condition = meaning_condition(e, field);

	if (condition == NULL) {
		open_block(e);
		return;
	}
	line(e, "if (%s) {", condition);
	e->indent++;
}

static void compare(struct emit *e, const struct checksum *sum)
{
	unsigned width = 0;

	line(e, "uint64_t stored = 0, mask = 0;");
	line(e, "unsigned shift = 0;\n");
	for (unsigned i = 0; i < sum->field_count; i++) {
		const unsigned bits = value_bits(sum->fields[i]);

		width += bits;
		begin_part(e, sum->fields[i]);
		line(e, "stored |= (uint64_t)%s << shift;", getter(e, sum->fields[i], NULL));
		line(e, "mask |= UINT64_C(0x%llx) << shift;",
		     (unsigned long long)(UINT64_MAX >> (64 - bits)));
		line(e, "shift += %u;", bits);
		close_block(e);
	}
	line(e, "(void)shift;");
	if (width > 64)
		report(e->c, &sum->pos, "size", "the parts of the checksum have more than 64 bits");
	fault_if(e, "EBADMSG", sum->fields[0]->name, field_offset(e, sum->fields[0]),
		 "is not the checksum of what it covers", "stored, computed & mask",
		 "stored != (computed & mask)");
}

static void keep(struct emit *e, const struct checksum *sum)
{
	line(e, "unsigned shift = 0;\n");
	for (unsigned i = 0; i < sum->field_count; i++) {
		const struct field *field = sum->fields[i];

		begin_part(e, field);
		line(e, "%s_set_%s(%s%s, (%s)(computed >> shift));", struct_prefix(e, e->s),
		     field->name, e->self,
		     getter_takes_order(e->s) ? fmt(e, ", %s", own_order(e)) : "",
		     c_type(e, value_bits(field), false));
		line(e, "shift += %u;", value_bits(field));
		close_block(e);
	}
	line(e, "(void)shift;");
}

static void put_known(struct emit *e, const struct checksum *sum, bool seal)
{
	const char *name = sum->fields[0]->name, *offset = field_offset(e, sum->fields[0]);
	const char *seed =
		sum->seed == NULL ? sum->known->seed : evaluate(e, sum->seed, name, offset);

	line(e, "const uint64_t computed = wire_sum(%s, %s, pieces, count);", sum->known->function,
	     seed);
	if (seal)
		keep(e, sum);
	else
		compare(e, sum);
}

static void put_digest(struct emit *e, const struct checksum *sum, bool seal)
{
	const struct field *field = sum->fields[0];
	const char *pointer = place_pointer(e, &field->place);

	line(e, "unsigned char digest[%llu] = {0};\n", (unsigned long long)field->size);
	line(e, "%s_%s(digest, pieces, count);", e->unit->format, sum->algorithm);
	if (seal) {
		line(e, "memcpy(%s, digest, sizeof(digest));", pointer);
		return;
	}
	line(e, "if (memcmp(%s, digest, sizeof(digest)) != 0)", pointer);
	line(e, "\treturn wire_fault_bytes(fault, \"%s\", %s, %s, digest, sizeof(digest));",
	     field->name, field_offset(e, field), pointer);
}

static void emit_checksum(struct emit *e, const struct checksum *sum, bool seal)
{
	const struct field pretend = {.guard = sum->guard, .place = sum->fields[0]->place};
	const char *condition = sum->guard == NULL ? NULL : meaning_condition(e, &pretend);
	const char *test = sum->condition == NULL
				   ? NULL
				   : evaluate(e, sum->condition, sum->fields[0]->name,
					      field_offset(e, sum->fields[0]));

	for (unsigned i = 0; i < sum->skip_count; i++)
		if (!sum->skips[i]->is_sized || sum->skips[i]->size > 64)
			report(e->c, &sum->pos, "size",
			       "'%s' is too large to be skipped: at most 64 bytes",
			       sum->skips[i]->name);
	if (condition == NULL && test == NULL) {
		open_block(e);
	} else {
		line(e, "if (%s%s%s) {", condition == NULL ? "" : condition,
		     condition != NULL && test != NULL ? " && " : "",
		     test == NULL ? "" : fmt(e, "%s != 0", test));
		e->indent++;
	}
	put_pieces(e, sum);
	if (sum->digest != NULL)
		put_digest(e, sum, seal);
	else
		put_known(e, sum, seal);
	close_block(e);
}

void emit_checksums(struct emit *e, bool seal)
{
	for (const struct checksum *sum = e->s->checksums; sum != NULL; sum = sum->next)
		emit_checksum(e, sum, seal);
}

/* ---- seal ---- */

/* A nested structure whose checksums come first. */
static void seal_leaf(struct emit *e, const struct item *item)
{
	const struct field *field = item->field;
	const char *inner, *args, *p, *n;
	const unsigned t = e->temporaries++;
	bool may_fail = false;

	if (item->kind != ITEM_FIELD || field->strct == NULL || !field->strct->has_checksums)
		return;
	inner = struct_prefix(e, field->strct);
	p = struct_prefix(e, e->s);
	n = field->name;
	if (!field->strct->is_fixed && field->array == ARRAY_NONE) {
		line(e, "if ((error = %s_seal(&v->v_%s)) != 0)", inner, n);
		line(e, "\treturn error;");
		return;
	}
	if (!field->strct->is_fixed) {
		line(e, "struct %s_view item%u;", inner, t);
		line(e, "struct wire_cursor c%u = {0};\n", t);
		line(e, "while (%s_%s_next(v, &c%u, &item%u))", p, n, t, t);
		line(e, "\tif ((error = %s_seal(&item%u)) != 0)", inner, t);
		line(e, "\t\treturn error;");
		return;
	}
	e->index = fmt(e, "i%u", t);
	args = passed_args(e, field, &may_fail);
	if (field->array == ARRAY_NONE) {
		line(e, "error = %s_seal(%s_edit_%s(%s)%s);", inner, p, n, e->self, args);
		line(e, "if (error != 0%s)", may_fail ? " || bad" : "");
		line(e, "\treturn -EBADMSG;");
		return;
	}
	line(e, "for (size_t i%u = 0; i%u < %s; i%u++) {", t, t, element_count(e, field), t);
	line(e, "\terror = %s_seal(%s_edit_%s(%s, i%u)%s);", inner, p, n, e->self, t, args);
	line(e, "\tif (error != 0%s)", may_fail ? " || bad" : "");
	line(e, "\t\treturn -EBADMSG;");
	line(e, "}");
}

static void seal_body(struct emit *e)
{
	if (e->s->is_fixed && e->s->order_by != NULL)
		line(e, "const enum wire_order order = %s_order(s);", struct_prefix(e, e->s));
	line(e, "(void)%s;", e->self);
	line(e, "(void)error;");
	if (e->s->is_fixed && e->s->unit->order == ORDER_RUNTIME)
		line(e, "(void)order;");
	for (const struct param *param = e->s->params; e->s->is_fixed && param != NULL;
	     param = param->next)
		line(e, "(void)p_%s;", param->name);
	if (e->s->has_checksums) {
		each_leaf(e, e->s->items, seal_leaf);
		emit_checksums(e, true);
	}
	line(e, "return 0;");
}

void emit_seal(struct emit *e)
{
	struct text *out = e->out, body = {0};
	const char *p = struct_prefix(e, e->s);

	e->in_seal = true;
	e->self = e->s->is_fixed ? "s" : "v";
	if (e->s->is_fixed)
		line(e, "int %s_seal(struct %s *s%s)", p, p, declared_params(e, e->s));
	else
		line(e, "int %s_seal(struct %s_view *v)", p, p);
	open_block(e);
	line(e, "int error = 0;");
	e->out = &body;
	seal_body(e);
	e->out = out;
	if (strstr(body.data, "&bad") != NULL)
		line(e, "bool bad = false;");
	text_put(out, body.data, body.length);
	close_block(e);
	blank(e);
	text_finish(&body);
	e->in_seal = false;
}
