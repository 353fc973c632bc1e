/* SPDX-License-Identifier: MIT */
/*
 * Places. A place is a constant distance from an anchor. Anchor 0 is the structure's start;
 * whatever has a size that is only known at run time ends at a new anchor, which the validator
 * computes and the view keeps. A structure that needs no anchor, no `if` and no `covered` is fixed.
 */
#include <string.h>

#include "wirec.h"

struct layouter {
	struct compiler *c;
	struct strct *s;
	struct scope scope;
	struct place at;
	struct guard *guard;
	bool dynamic;
	bool in_covered;
	bool has_limit; /* what `..` goes up to is @limit, from anchor 0 */
	uint64_t limit;
	uint64_t reached; /* the highest constant end so far */
};

static void layout_items(struct layouter *l, struct item *item);

static void resolve(struct layouter *l, struct expr *e)
{
	if (e == NULL)
		return;
	resolve_expr(&l->scope, e);
	if (e->is_bytes)
		report(l->c, &e->pos, "type", "bytes are not a number");
}

static void new_anchor(struct layouter *l)
{
	l->at = (struct place){.anchor = ++l->s->anchor_count};
	l->dynamic = true;
}

/* What has constant size may go on for as long as the whole stays possible. */
static void advance(struct layouter *l, const struct pos *pos, uint64_t size)
{
	if (size > WIREC_MAX_BYTES || l->at.delta > WIREC_MAX_BYTES - size) {
		report(l->c, pos, "size", "this would make a structure of more than %llu bytes",
		       (unsigned long long)WIREC_MAX_BYTES);
		longjmp(l->c->stop, 1);
	}
	l->at.delta += size;
	if (l->at.anchor == 0 && l->at.delta > l->reached)
		l->reached = l->at.delta;
}

static struct guard *new_guard(struct layouter *l, enum guard_kind kind, struct item *item)
{
	struct guard *guard = arena_alloc(&l->c->arena, sizeof(*guard));

	guard->kind = kind;
	guard->item = item;
	guard->outer = l->guard;
	guard->bit = kind == GUARD_COVERED ? -1 : l->s->guard_count++;
	return guard;
}

static void layout_guarded(struct layouter *l, struct guard *guard, struct item *body)
{
	l->guard = guard;
	layout_items(l, body);
	l->guard = guard->outer;
}

/* ---- fields ---- */

static void check_args(struct layouter *l, struct field *field)
{
	const struct param *param = field->strct->params;
	unsigned count = 0;

	for (; param != NULL; param = param->next, count++) {
		struct expr *e;

		if (count >= field->args.count)
			break;
		e = field->args.list[count];
		resolve_expr(&l->scope, e);
		if (e->is_bytes != (param->kind == PARAM_BYTES))
			report(l->c, &e->pos, "type", "'%s' of '%s' must be %s", param->name,
			       field->strct->name, e->is_bytes ? "a number" : "bytes");
	}
	if (param != NULL || count != field->args.count)
		report(l->c, &field->pos, "type", "'%s' does not take %u arguments",
		       field->strct->name, field->args.count);
}

static bool enter_struct(struct layouter *l, struct field *field)
{
	struct strct *inner = field->strct;

	if (inner->narrow != NULL && l->s->narrow == NULL)
		report(l->c, &field->pos, "compat",
		       "'%s' is 'compat', so that '%s', which it is in, has to be, too",
		       inner->name, l->s->name);
	layout_struct(l->c, inner);
	if (inner->layout == PROGRESS_RUNNING) {
		report(l->c, &field->pos, "cycle", "'%s' would contain itself", inner->name);
		return false;
	}
	if (inner->takes_order && l->s->unit->order != ORDER_RUNTIME)
		report(l->c, &field->pos, "order",
		       "'%s' needs a byte order that is chosen at run time; this format has none",
		       inner->name);
	if (inner->nesting + 1 > l->s->nesting)
		l->s->nesting = inner->nesting + 1;
	if (l->s->nesting > WIREC_MAX_NESTING) {
		report(l->c, &field->pos, "limit", "structures are nested more than %d deep",
		       WIREC_MAX_NESTING);
		longjmp(l->c->stop, 1);
	}
	l->s->has_checksums |= inner->has_checksums;
	field->unit_size = inner->is_fixed ? inner->size : 0;
	l->dynamic |= !inner->is_fixed;
	return true;
}

static bool resolve_field_type(struct layouter *l, struct field *field)
{
	static const uint64_t unit_sizes[] = {
		[TYPE_BYTES] = 1,
		[TYPE_TEXT] = 1,
		[TYPE_UTF16] = 2,
	};

	if (!resolve_type(l->c, l->s->unit, field))
		return false;
	if (field->type == TYPE_STRUCT)
		return enter_struct(l, field);
	if (field->args.count != 0)
		report(l->c, &field->pos, "type", "only structures take arguments");
	field->unit_size =
		field->type == TYPE_SCALAR ? field->scalar.bytes : unit_sizes[field->type];
	return true;
}

static void check_string(struct layouter *l, struct field *field)
{
	const bool fits = field->is_sized && field->string_length <= field->size;

	if (field->type != TYPE_BYTES && field->type != TYPE_TEXT)
		report(l->c, &field->pos, "constant", "only bytes and char can be text in quotes");
	else if (!fits ||
		 (field->text_rule == TEXT_TERMINATED && field->string_length >= field->size))
		report(l->c, &field->pos, "constant", "the text of %zu bytes does not fit",
		       field->string_length);
}

static void check_constraints(struct layouter *l, struct field *field, uint64_t max)
{
	uint64_t value;

	if (field->set != NULL && field->set->mask > max)
		report(l->c, &field->pos, "type", "'%s' has values that do not fit",
		       field->set->name);
	if (field->string != NULL)
		check_string(l, field);
	if ((field->constant != NULL || field->ranges != NULL) &&
	    (field->type != TYPE_SCALAR || field->array != ARRAY_NONE)) {
		report(l->c, &field->pos, "type",
		       "only single scalars and bits can have values stated");
		return;
	}
	if (field->constant != NULL &&
	    resolve_constant(&l->scope, field->constant, "what stands after '='", &value) &&
	    value > max)
		report(l->c, &field->constant->pos, "constant", "%llu does not fit into '%s'",
		       (unsigned long long)value, field->name);
	resolve_ranges(&l->scope, field->ranges);
	if (field->ranges != NULL && field->scalar.is_signed)
		report(l->c, &field->pos, "type", "ranges are for unsigned fields");
}

/* The number of elements, where it is constant. */
static bool constant_length(struct layouter *l, struct field *field, uint64_t *length)
{
	const struct expr *count = field->count;

	*length = 1;
	if (field->array == ARRAY_NONE)
		return true;
	if (field->array == ARRAY_REST && l->has_limit && l->at.anchor == 0 &&
	    field->unit_size != 0) {
		if (l->limit < l->at.delta || (l->limit - l->at.delta) % field->unit_size != 0)
			report(l->c, &field->pos, "size", "the elements do not fill what is left");
		*length = l->limit < l->at.delta ? 1 : (l->limit - l->at.delta) / field->unit_size;
		return true;
	}
	if (field->array == ARRAY_SIZE && count->is_constant && field->unit_size != 0) {
		if (count->number % field->unit_size != 0)
			report(l->c, &field->pos, "size", "%llu bytes are no multiple of %llu",
			       (unsigned long long)count->number,
			       (unsigned long long)field->unit_size);
		*length = count->number / field->unit_size;
		return true;
	}
	*length = count != NULL ? count->number : 0;
	return field->array == ARRAY_COUNT && count->is_constant;
}

static void size_field(struct layouter *l, struct field *field)
{
	const bool constant = constant_length(l, field, &field->length);

	if (constant && field->length == 0)
		report(l->c, &field->pos, "size", "'%s' would have no element", field->name);
	if (constant && field->unit_size != 0 &&
	    field->length > WIREC_MAX_BYTES / field->unit_size) {
		report(l->c, &field->pos, "size", "'%s' would have more than %llu bytes",
		       field->name, (unsigned long long)WIREC_MAX_BYTES);
		longjmp(l->c->stop, 1);
	}
	field->is_sized = constant && field->unit_size != 0;
	field->size = field->is_sized ? field->length * field->unit_size : 0;
}

static void resolve_array(struct layouter *l, struct field *field)
{
	const bool is_string =
		field->type == TYPE_BYTES || field->type == TYPE_TEXT || field->type == TYPE_UTF16;

	l->scope.it = field->array == ARRAY_UNTIL && !is_string ? field : NULL;
	resolve(l, field->count);
	l->scope.it = NULL;
	resolve(l, field->max_count);
	if (is_string && field->array == ARRAY_NONE) {
		report(l->c, &field->pos, "size", "'%s' needs a size in brackets", field->name);
		field->array = ARRAY_REST;
	}
	if (field->array != ARRAY_UNTIL || !is_string)
		return;
	field->until_zero = true;
	if (field->type != TYPE_TEXT || !field->count->is_constant || field->count->number != 0)
		report(l->c, &field->pos, "type", "among strings, only char can go on until 0");
}

static void layout_field(struct layouter *l, struct item *item)
{
	struct field *field = item->field;
	const struct place before = l->at;
	bool returns = false;

	if (!resolve_field_type(l, field))
		return;
	resolve(l, item->at);
	if (item->at != NULL && item->at->is_constant) {
		l->at = (struct place){0};
		advance(l, &item->pos, item->at->number);
	} else if (item->at != NULL) {
		new_anchor(l);
		returns = true;
	}
	resolve_array(l, field);
	l->scope.has_index = field->array != ARRAY_NONE;
	if (field->strct != NULL)
		check_args(l, field);
	l->scope.has_index = false;
	size_field(l, field);
	check_constraints(l, field, scalar_max(&field->scalar));
	field->guard = l->guard;
	field->place = item->place = l->at;
	item->is_sized = field->is_sized;
	item->size = field->size;
	field->declared = true;
	if (field->is_sized)
		advance(l, &item->pos, field->size);
	else
		new_anchor(l);
	if (l->in_covered && (!field->is_sized || returns))
		report(l->c, &item->pos, "covered",
		       "what is covered has constant places and sizes");
	field->place_end = l->at;
	if (returns)
		l->at = before;
}

/* ---- bits ---- */

static void layout_bits(struct layouter *l, struct item *item)
{
	const unsigned total = 8 * item->scalar.bytes;
	unsigned used = 0;

	for (struct bit *bit = item->bit_list; bit != NULL; bit = bit->next) {
		uint64_t width = 0;

		if (!resolve_constant(&l->scope, bit->width_expr, "a number of bits", &width))
			return;
		if (width == 0 || width > total - used) {
			report(l->c, &bit->pos, "bits", "%llu bits: %u of %u are left",
			       (unsigned long long)width, total - used, total);
			return;
		}
		bit->width = (unsigned)width;
		bit->shift = item->msb_first ? total - used - bit->width : used;
		used += bit->width;
		if (bit->field == NULL)
			continue;
		bit->field->shift = bit->shift;
		bit->field->width = bit->width;
		bit->field->guard = l->guard;
		bit->field->place = l->at;
		bit->field->declared = true;
		if (resolve_type(l->c, l->s->unit, bit->field))
			check_constraints(l, bit->field, UINT64_MAX >> (64 - bit->width));
	}
	if (used != total)
		report(l->c, &item->pos, "bits", "%u of %u bits are not said", total - used, total);
	item->place = l->at;
	item->size = item->scalar.bytes;
	item->is_sized = true;
	advance(l, &item->pos, item->size);
}

/* ---- blocks ---- */

static bool same_place(const struct place *a, const struct place *b)
{
	return a->anchor == b->anchor && a->delta == b->delta;
}

static void layout_if(struct layouter *l, struct item *item)
{
	const struct place start = l->at;
	struct place end;

	resolve(l, item->expr);
	if (l->in_covered)
		report(l->c, &item->pos, "covered", "'if' cannot stand in 'covered'; 'when' can");
	l->dynamic = true;
	item->inner = new_guard(l, GUARD_IF, item);
	layout_guarded(l, item->inner, item->body);
	end = l->at;
	l->at = start;
	item->inner_else = new_guard(l, GUARD_ELSE, item);
	layout_guarded(l, item->inner_else, item->orelse);
	if (!same_place(&end, &l->at))
		new_anchor(l);
}

static void layout_when(struct layouter *l, struct item *item)
{
	const struct place start = l->at;
	const unsigned anchors = l->s->anchor_count;

	resolve(l, item->expr);
	item->inner = new_guard(l, GUARD_WHEN, item);
	layout_guarded(l, item->inner, item->body);
	item->place = start;
	item->is_sized = l->s->anchor_count == anchors;
	if (!item->is_sized)
		report(l->c, &item->pos, "size",
		       "what stands in 'when' must have constant size; 'if' changes the layout");
	item->size = l->at.delta - start.delta;
}

static void layout_covered(struct layouter *l, struct item *item)
{
	resolve(l, item->expr);
	if (l->in_covered)
		report(l->c, &item->pos, "covered", "'covered' cannot stand in 'covered'");
	l->in_covered = true;
	item->inner = new_guard(l, GUARD_COVERED, item);
	item->inner->cover = l->s->cover_count++;
	layout_guarded(l, item->inner, item->body);
	l->in_covered = false;
	item->cover_end = l->at;
	new_anchor(l);
}

static void check_cases(struct layouter *l, const struct item *item, const struct arm *arm)
{
	for (const struct range *range = arm->cases; range != NULL; range = range->next) {
		if (!range->low->is_constant || !range->high->is_constant) {
			report(l->c, &range->low->pos, "constant", "a case must be constant");
			return;
		}
		for (const struct arm *other = item->arms; other != arm; other = other->next)
			for (const struct range *r = other->cases; r != NULL; r = r->next)
				if (r->low->number <= range->high->number &&
				    range->low->number <= r->high->number) {
					report(l->c, &range->low->pos, "selector",
					       "line %u already has this case", r->low->pos.line);
					return;
				}
	}
}

static void check_default(struct layouter *l, const struct item *item)
{
	for (const struct arm *arm = item->arms; arm != NULL; arm = arm->next)
		if (arm->is_default && arm->next != NULL)
			report(l->c, &arm->pos, "selector", "'default' must come last");
}

struct union_state {
	struct place start, end;
	bool is_sized, ends_agree, any;
	uint64_t size;
};

static void layout_arm(struct layouter *l, struct item *item, struct arm *arm,
		       struct union_state *u)
{
	resolve_ranges(&l->scope, arm->cases);
	check_cases(l, item, arm);
	arm->guard = new_guard(l, GUARD_ARM, item);
	arm->guard->arm = arm;
	if (arm->is_refuse)
		return;
	l->at = u->start;
	layout_guarded(l, arm->guard, arm->body);
	if (u->is_sized && l->at.anchor == u->start.anchor &&
	    l->at.delta - u->start.delta > u->size)
		report(l->c, &arm->pos, "size", "this arm has %llu bytes, the union only %llu",
		       (unsigned long long)(l->at.delta - u->start.delta),
		       (unsigned long long)u->size);
	u->ends_agree &= !u->any || same_place(&u->end, &l->at);
	u->end = l->at;
	u->any = true;
}

static void layout_union(struct layouter *l, struct item *item)
{
	struct union_state u = {.start = l->at, .end = l->at, .ends_agree = true};
	const bool had_limit = l->has_limit;
	const uint64_t limit = l->limit;

	resolve(l, item->expr);
	resolve(l, item->size_expr);
	u.is_sized = item->size_expr != NULL && item->size_expr->is_constant;
	u.size = u.is_sized ? item->size_expr->number : 0;
	if (item->size_expr != NULL)
		l->has_limit = u.is_sized && u.start.anchor == 0;
	if (l->has_limit && item->size_expr != NULL)
		l->limit = u.start.delta + u.size;
	if (item->arms == NULL)
		report(l->c, &item->pos, "selector", "a union without a case");
	check_default(l, item);
	for (struct arm *arm = item->arms; arm != NULL; arm = arm->next)
		layout_arm(l, item, arm, &u);
	l->has_limit = had_limit;
	l->limit = limit;
	l->at = u.start;
	item->place = u.start;
	item->is_sized = u.is_sized || (item->size_expr == NULL && u.ends_agree);
	item->size = u.is_sized ? u.size : u.end.delta - u.start.delta;
	if (item->is_sized)
		advance(l, &item->pos, item->size);
	else
		new_anchor(l);
	if (l->in_covered && !item->is_sized)
		report(l->c, &item->pos, "covered",
		       "what is covered has constant places and sizes");
}

/* ---- the rest ---- */

static void layout_pad(struct layouter *l, struct item *item)
{
	resolve(l, item->expr);
	item->place = l->at;
	item->is_sized = item->expr->is_constant;
	if (item->is_sized)
		advance(l, &item->pos, item->size = item->expr->number);
	else
		new_anchor(l);
	if (l->in_covered && !item->is_sized)
		report(l->c, &item->pos, "covered",
		       "what is covered has constant places and sizes");
}

static void layout_align(struct layouter *l, struct item *item)
{
	uint64_t unit = 0;

	item->place = l->at;
	if (!resolve_constant(&l->scope, item->expr, "an alignment", &unit))
		return;
	if (unit == 0 || unit > 65536) {
		report(l->c, &item->pos, "size", "an alignment is 1 to 65536");
		return;
	}
	item->is_sized = l->at.anchor == 0;
	item->size = item->is_sized ? (unit - l->at.delta % unit) % unit : 0;
	if (item->is_sized)
		advance(l, &item->pos, item->size);
	else
		new_anchor(l);
	if (l->in_covered && !item->is_sized)
		report(l->c, &item->pos, "covered",
		       "what is covered has constant places and sizes");
}

static unsigned part_bits(const struct field *part)
{
	return part->kind == FIELD_BIT ? part->width : 8 * part->scalar.bytes;
}

static void layout_join(struct layouter *l, struct item *item)
{
	struct field *field = item->field;
	unsigned bits = 0;

	field->parts = arena_alloc(&l->c->arena, field->part_count * sizeof(struct field *));
	for (unsigned i = 0; i < field->part_count; i++) {
		struct field *part = find_field(l->s, field->part_names[i]);

		if (part == NULL || !part->declared) {
			report(l->c, &field->pos, "unknown-name", "'%s' is no earlier field",
			       field->part_names[i]);
			return;
		}
		if (part->kind == FIELD_JOIN || part->type != TYPE_SCALAR ||
		    part->array != ARRAY_NONE || part->scalar.is_signed) {
			report(l->c, &field->pos, "type", "'%s' is no unsigned scalar", part->name);
			return;
		}
		field->parts[i] = part;
		bits += part_bits(part);
	}
	if (bits > 8 * field->scalar.bytes)
		report(l->c, &field->pos, "size", "the parts have %u bits, the whole only %u", bits,
		       8 * field->scalar.bytes);
	field->guard = l->guard;
	field->declared = true;
}

static void layout_order(struct layouter *l, struct item *item)
{
	struct field *field = find_field(l->s, item->text);

	item->field = field;
	if (l->s->unit->order != ORDER_RUNTIME)
		report(l->c, &item->pos, "order",
		       "only a 'runtime' format has an order to find out");
	else if (field == NULL || !field->declared)
		report(l->c, &item->pos, "unknown-name", "'%s' is no earlier field", item->text);
	else if (field->kind != FIELD_PLAIN || field->constant == NULL ||
		 field->place.anchor != 0 || field->guard != NULL ||
		 field->scalar.order != ORDER_RUNTIME || field->scalar.bytes < 2)
		report(l->c, &item->pos, "order",
		       "'%s' must be a constant of the run-time order at a constant place",
		       item->text);
}

static void layout_item(struct layouter *l, struct item *item)
{
	item->guard = l->guard;
	item->start = l->at;
	switch (item->kind) {
	case ITEM_FIELD:
		layout_field(l, item);
		break;
	case ITEM_BITS:
		layout_bits(l, item);
		break;
	case ITEM_IF:
		layout_if(l, item);
		break;
	case ITEM_WHEN:
		layout_when(l, item);
		break;
	case ITEM_COVERED:
		layout_covered(l, item);
		break;
	case ITEM_UNION:
		layout_union(l, item);
		break;
	case ITEM_PAD:
		layout_pad(l, item);
		break;
	case ITEM_ALIGN:
		layout_align(l, item);
		break;
	case ITEM_JOIN:
		layout_join(l, item);
		break;
	case ITEM_ORDER:
		layout_order(l, item);
		break;
	case ITEM_CHECKSUM:
		item->checksum->guard = l->guard;
		break;
	case ITEM_ASSERT:
	case ITEM_VERSION:
		resolve(l, item->expr);
		break;
	}
	item->end = l->at;
}

static void layout_items(struct layouter *l, struct item *item)
{
	for (; item != NULL; item = item->next)
		layout_item(l, item);
}

/* ---- the whole ---- */

/* The stated size may use fields, so it is resolved after them; a constant one bounds `..`. */
static void early_size(struct layouter *l)
{
	const struct expr *e = l->s->size_expr;

	if (e == NULL || e->kind != EXPR_NUMBER)
		return;
	l->has_limit = true;
	l->limit = e->number;
}

static bool size_can_be_known(const struct expr *e)
{
	const struct field *field =
		e->kind == EXPR_FIELD && e->field_count != 0 ? e->fields[0] : NULL;

	if (e->kind == EXPR_HAS || e->kind == EXPR_OFFSETOF || e->kind == EXPR_ENDOF)
		return false;
	if (field != NULL &&
	    (field->kind == FIELD_JOIN || field->place.anchor != 0 || field->guard != NULL ||
	     (field->kind == FIELD_PLAIN && !field->is_sized)))
		return false;
	return (e->a == NULL || size_can_be_known(e->a)) &&
	       (e->b == NULL || size_can_be_known(e->b)) &&
	       (e->c == NULL || size_can_be_known(e->c));
}

static void finish_size(struct layouter *l)
{
	struct strct *s = l->s;
	uint64_t size = l->reached;

	resolve(l, s->size_expr);
	if (s->size_expr != NULL && !size_can_be_known(s->size_expr))
		report(l->c, &s->size_expr->pos, "size",
		       "a stated size uses parameters, and fields that are always there, at "
		       "constant places");
	s->end = l->at;
	if (s->size_expr != NULL && !s->size_expr->is_constant)
		l->dynamic = true;
	if (s->size_expr != NULL && s->size_expr->is_constant) {
		if (size > s->size_expr->number)
			report(l->c, &s->pos, "size",
			       "the fields take %llu bytes, more than the stated size %llu",
			       (unsigned long long)size, (unsigned long long)s->size_expr->number);
		size = s->size_expr->number;
	}
	s->is_fixed = !l->dynamic;
	s->size = size;
	if (s->is_fixed && size == 0 && l->c->errors == 0)
		report(l->c, &s->pos, "size", "'%s' would have no bytes", s->name);
	if (!s->is_fixed && s->guard_count > WIREC_MAX_GUARDS)
		report(l->c, &s->pos, "limit", "more than %d conditions in a dynamic structure",
		       WIREC_MAX_GUARDS);
}

static void layout_now(struct compiler *c, struct strct *s)
{
	struct layouter l = {.c = c, .s = s};

	l.scope = (struct scope){.c = c, .unit = s->unit, .strct = s};
	s->nesting = 1;
	s->has_checksums = s->checksums != NULL;
	s->takes_order = s->unit->order == ORDER_RUNTIME && s->order_by == NULL;
	early_size(&l);
	layout_items(&l, s->items);
	finish_size(&l);
	check_overlaps(c, s);
	for (struct checksum *sum = s->checksums; sum != NULL; sum = sum->next)
		check_checksum(c, s, sum);
}

void layout_struct(struct compiler *c, struct strct *s)
{
	const unsigned depth = c->depth;

	if (s->layout != PROGRESS_NONE)
		return;
	s->layout = PROGRESS_RUNNING;
	if (depth > WIREC_MAX_DEPTH) {
		report(c, &s->pos, "limit", "structures are nested more than %d deep",
		       WIREC_MAX_NESTING);
		longjmp(c->stop, 1);
	}
	c->depth = depth + 1;
	layout_now(c, s);
	c->depth = depth;
	s->layout = PROGRESS_DONE;
	s->unit->sorted[s->unit->sorted_count++] = s;
}
