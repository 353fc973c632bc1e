/* SPDX-License-Identifier: MIT */
/*
 * wirec --diff: what a change of a description breaks. Of programs built from the old description:
 *
 *	layout   bytes lie elsewhere or mean something else: nobody understands the other
 *	readers  they refuse or misunderstand what programs built from the new one write
 *	writers  what they write is refused by programs built from the new one
 *
 * Everything that matters is put into words, and words are compared. Changes without such
 *consequences are notes.
 */
#include <stdlib.h>
#include <string.h>

#include "wirec.h"

enum breaks {
	NOTHING = 0,
	LAYOUT = 1,
	READERS = 2,
	WRITERS = 4
};

struct diff {
	struct arena *arena;
	struct text *out;
	const char *owner; /* what is compared, for messages */
	unsigned breaking;
};

__attribute__((format(printf, 4, 5))) static void tell(struct diff *d, unsigned breaks,
						       const struct pos *pos, const char *format,
						       ...)
{
	static const char *const words[] = {
		"note",
		"breaks layout",
		"breaks readers",
		"breaks layout, readers",
		"breaks writers",
		"breaks layout, writers",
		"breaks readers, writers",
		"breaks layout, readers, writers",
	};
	va_list arguments;

	text_format(d->out, "%s:%u:%u: %s: ", pos->source->path, pos->line, pos->column,
		    words[breaks]);
	if (d->owner != NULL)
		text_format(d->out, "%s: ", d->owner);
	va_start(arguments, format);
	text_vformat(d->out, format, arguments);
	va_end(arguments);
	text_put(d->out, "\n", 1);
	d->breaking += breaks != NOTHING;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/** Reports words that differ. */
static void compare_words(struct diff *d, unsigned breaks, const struct pos *pos, const char *what,
			  const char *before, const char *after)
{
	if (!same(before, after))
		tell(d, breaks, pos, "%s: %s before, %s now", what, before, after);
}

/* ---- expressions in words ---- */

static const char *expr_words(struct diff *d, const struct expr *e);

static const char *path_words(struct diff *d, const struct expr *e)
{
	const char *words = "";

	for (unsigned i = 0; i < e->field_count; i++)
		words = arena_format(d->arena, "%s%s%s", words, i == 0 ? "" : ".",
				     e->fields[i]->name);
	for (unsigned i = 0; e->field_count == 0 && i < e->path_length; i++)
		words = arena_format(d->arena, "%s%s%s", words, i == 0 ? "" : ".", e->path[i]);
	if (e->a != NULL)
		words = arena_format(d->arena, "%s[%s]", words, expr_words(d, e->a));
	return words;
}

static const char *operator_words(struct diff *d, unsigned op)
{
	if (op >> 8 == 0)
		return arena_format(d->arena, "%c", (char)op);
	return arena_format(d->arena, "%c%c", (char)(op >> 8), (char)op);
}

static const char *call_words(struct diff *d, const struct expr *e)
{
	static const char *const names[] = {
		[EXPR_SIZEOF] = "sizeof", [EXPR_OFFSETOF] = "offsetof", [EXPR_ENDOF] = "endof",
		[EXPR_HAS] = "has",       [EXPR_MIN] = "min",           [EXPR_MAX] = "max",
		[EXPR_ALIGN] = "align",
	};

	if (e->kind == EXPR_MIN || e->kind == EXPR_MAX || e->kind == EXPR_ALIGN)
		return arena_format(d->arena, "%s(%s, %s)", names[e->kind], expr_words(d, e->a),
				    expr_words(d, e->b));
	return arena_format(d->arena, "%s(%s)", names[e->kind], path_words(d, e));
}

static const char *expr_words(struct diff *d, const struct expr *e)
{
	if (e == NULL)
		return "nothing";
	switch (e->kind) {
	case EXPR_NUMBER:
		return arena_format(d->arena, "%llu", (unsigned long long)e->number);
	case EXPR_NAME:
	case EXPR_FIELD:
		return path_words(d, e);
	case EXPR_PARAM:
		return e->param->name;
	case EXPR_SIZE:
		return "size";
	case EXPR_INDEX:
		return "index";
	case EXPR_IT:
		return arena_format(d->arena, "it.%s", path_words(d, e));
	case EXPR_UNARY:
		return arena_format(d->arena, "%s%s", operator_words(d, e->op),
				    expr_words(d, e->a));
	case EXPR_BINARY:
		return arena_format(d->arena, "(%s %s %s)", expr_words(d, e->a),
				    operator_words(d, e->op), expr_words(d, e->b));
	case EXPR_COND:
		return arena_format(d->arena, "(%s ? %s : %s)", expr_words(d, e->a),
				    expr_words(d, e->b), expr_words(d, e->c));
	default:
		return call_words(d, e);
	}
}

static const char *ranges_words(struct diff *d, const struct range *range)
{
	const char *words = NULL;

	for (; range != NULL; range = range->next) {
		const char *low = expr_words(d, range->low), *high = expr_words(d, range->high);
		const char *one = range->low == range->high
					  ? low
					  : arena_format(d->arena, "%s..%s", low, high);

		words = words == NULL ? one : arena_format(d->arena, "%s, %s", words, one);
	}
	return words == NULL ? "all" : words;
}

/* ---- fields in words ---- */

static const char *place_words(struct diff *d, const struct place *place)
{
	if (place->anchor == 0)
		return arena_format(d->arena, "byte %llu", (unsigned long long)place->delta);
	return arena_format(d->arena, "%llu bytes after part %u of varying size",
			    (unsigned long long)place->delta, place->anchor);
}

static const char *field_place_words(struct diff *d, const struct field *field)
{
	const char *words = place_words(d, &field->place);

	if (field->kind == FIELD_JOIN)
		return "no place of its own";
	if (field->kind != FIELD_BIT)
		return words;
	return arena_format(d->arena, "bits %u to %u of the %u bytes at %s", field->shift,
			    field->shift + field->width - 1, field->bits->scalar.bytes, words);
}

static const char *scalar_words(struct diff *d, const struct scalar *scalar)
{
	static const char *const orders[] = {
		[ORDER_LITTLE] = "le",
		[ORDER_BIG] = "be",
		[ORDER_NATIVE] = " native",
		[ORDER_RUNTIME] = " by magic",
	};

	return arena_format(d->arena, "%c%u%s", scalar->is_signed ? 'i' : 'u', 8 * scalar->bytes,
			    scalar->bytes == 1 ? "" : orders[scalar->order]);
}

static const char *base_type_words(struct diff *d, const struct field *field)
{
	const char *words;

	if (field->kind == FIELD_BIT)
		return arena_format(d->arena, "bits of %s", scalar_words(d, &field->bits->scalar));
	switch (field->type) {
	case TYPE_SCALAR:
		return scalar_words(d, &field->scalar);
	case TYPE_BYTES:
		return "bytes";
	case TYPE_TEXT:
		return "char";
	case TYPE_UTF16:
		return arena_format(d->arena, "utf16 as %s", scalar_words(d, &field->scalar));
	case TYPE_STRUCT:
		break;
	}
	words = arena_format(d->arena, "%s.%s", field->strct->unit->format, field->strct->name);
	for (unsigned i = 0; i < field->args.count; i++)
		words = arena_format(d->arena, "%s%s%s%s", words, i == 0 ? "(" : ", ",
				     expr_words(d, field->args.list[i]),
				     i + 1 == field->args.count ? ")" : "");
	return words;
}

static const char *join_words(struct diff *d, const struct field *field)
{
	const char *words = "join of";

	for (unsigned i = 0; i < field->part_count; i++)
		words = arena_format(d->arena, "%s %s", words, field->part_names[i]);
	return words;
}

static const char *type_words(struct diff *d, const struct field *field)
{
	const char *base = base_type_words(d, field);

	if (field->kind == FIELD_JOIN)
		return join_words(d, field);
	switch (field->array) {
	case ARRAY_NONE:
		return base;
	case ARRAY_COUNT:
		return arena_format(d->arena, "%s[%s]", base, expr_words(d, field->count));
	case ARRAY_REST:
		return arena_format(d->arena, "%s[..]", base);
	case ARRAY_SIZE:
		return arena_format(d->arena, "%s[size %s]", base, expr_words(d, field->count));
	case ARRAY_UNTIL:
		return arena_format(d->arena, "%s[until %s max %s]", base,
				    expr_words(d, field->count), expr_words(d, field->max_count));
	}
	return base;
}

static const char *way_words(unsigned direction)
{
	static const char *const words[] = {
		[0] = "nothing",
		[DIRECTION_IN] = "in",
		[DIRECTION_OUT] = "out",
		[DIRECTION_IN | DIRECTION_OUT] = "inout",
	};

	return words[direction];
}

/** What a pointer leads to, or an ioctl carries. */
static const char *target_words(struct diff *d, unsigned direction, const struct field *target)
{
	const char *words;

	if (target == NULL)
		return "nothing";
	words = arena_format(d->arena, "%s %s", way_words(direction), type_words(d, target));
	if (target->array == ARRAY_COUNT && target->max_count != NULL)
		words = arena_format(d->arena, "%s max %s", words,
				     expr_words(d, target->max_count));
	return words;
}

static const char *guard_words(struct diff *d, const struct guard *guard)
{
	static const char *const names[] = {
		[GUARD_IF] = "if",           [GUARD_ELSE] = "if not", [GUARD_WHEN] = "when",
		[GUARD_COVERED] = "covered", [GUARD_ARM] = "case",
	};
	const char *words = NULL;

	for (; guard != NULL; guard = guard->outer) {
		const char *one = arena_format(d->arena, "%s %s", names[guard->kind],
					       expr_words(d, guard->item->expr));

		if (guard->kind == GUARD_ARM)
			one = arena_format(d->arena, "%s is %s", one,
					   guard->arm->is_default
						   ? "anything else"
						   : ranges_words(d, guard->arm->cases));
		words = words == NULL ? one : arena_format(d->arena, "%s, %s", words, one);
	}
	return words == NULL ? "always" : words;
}

static const char *constant_words(struct diff *d, const struct field *field)
{
	if (field->string != NULL)
		return arena_format(d->arena, "\"%.*s\"", (int)field->string_length, field->string);
	return field->constant != NULL ? expr_words(d, field->constant) : "no constant";
}

/* ---- ranges ---- */

static bool value_allowed(const struct range *ranges, uint64_t value)
{
	for (; ranges != NULL; ranges = ranges->next)
		if (value >= ranges->low->number && value <= ranges->high->number)
			return true;
	return false;
}

static bool ranges_are_constant(const struct range *range)
{
	for (; range != NULL; range = range->next)
		if (!range->low->is_constant || !range->high->is_constant)
			return false;
	return true;
}

/** Whether all that @inner allows, @outer does. No ranges allow everything. */
static bool ranges_within(const struct range *inner, const struct range *outer)
{
	if (outer == NULL)
		return true;
	if (inner == NULL)
		return false;
	for (; inner != NULL; inner = inner->next) {
		uint64_t at = inner->low->number;

		/* From where one outer range ends on to the next. */
		while (value_allowed(outer, at)) {
			for (const struct range *r = outer; r != NULL; r = r->next)
				if (at >= r->low->number && at <= r->high->number)
					at = r->high->number;
			if (at >= inner->high->number)
				break;
			at++;
		}
		if (at < inner->high->number || !value_allowed(outer, at))
			return false;
	}
	return true;
}

static void compare_ranges(struct diff *d, const struct field *old, const struct field *new)
{
	const bool known = ranges_are_constant(old->ranges) && ranges_are_constant(new->ranges);
	const char *before = ranges_words(d, old->ranges), *after = ranges_words(d, new->ranges);
	unsigned breaks = READERS | WRITERS;

	if (same(before, after))
		return;
	if (known && ranges_within(old->ranges, new->ranges))
		breaks &= ~(unsigned)WRITERS;
	if (known && ranges_within(new->ranges, old->ranges))
		breaks &= ~(unsigned)READERS;
	compare_words(d, breaks, &new->pos, "allowed values", before, after);
}

/* ---- fields ---- */

static const char *text_rule_words(const struct field *field)
{
	static const char *const words[] = {
		[TEXT_ZERO_PADDED] = "zero_padded",
		[TEXT_TERMINATED] = "terminated",
		[TEXT_SPACE_PADDED] = "space_padded",
		[TEXT_EXACT] = "exact",
	};

	return words[field->text_rule];
}

static const char *set_words(const struct field *field)
{
	return field->set == NULL ? "none" : field->set->name;
}

static void compare_field(struct diff *d, const struct field *old, const struct field *new)
{
	const char *owner = d->owner;

	d->owner = arena_format(d->arena, "%s.%s", owner, new->name);
	compare_words(d, LAYOUT, &new->pos, "place", field_place_words(d, old),
		      field_place_words(d, new));
	compare_words(d, LAYOUT, &new->pos, "type", type_words(d, old), type_words(d, new));
	compare_words(d, LAYOUT, &new->pos, "is there", guard_words(d, old->guard),
		      guard_words(d, new->guard));
	compare_words(d, READERS | WRITERS, &new->pos, "constant", constant_words(d, old),
		      constant_words(d, new));
	compare_words(d, READERS | WRITERS, &new->pos, "text", text_rule_words(old),
		      text_rule_words(new));
	compare_words(d, READERS | WRITERS, &new->pos, "names of values", set_words(old),
		      set_words(new));
	compare_words(d, READERS | WRITERS, &new->pos, "leads to",
		      target_words(d, old->direction, old->target),
		      target_words(d, new->direction, new->target));
	compare_ranges(d, old, new);
	d->owner = owner;
}

static bool is_at(struct diff *d, const struct field *a, const struct field *b)
{
	return a->kind == b->kind && same(field_place_words(d, a), field_place_words(d, b)) &&
	       same(type_words(d, a), type_words(d, b)) &&
	       same(guard_words(d, a->guard), guard_words(d, b->guard));
}

/** A field of @s that is where @field was, and whose name @other does not have. */
static const struct field *find_renamed(struct diff *d, const struct field *field,
					const struct strct *s, const struct strct *other)
{
	for (const struct field *f = s->fields; f != NULL; f = f->next)
		if (is_at(d, f, field) && find_field(other, f->name) == NULL)
			return f;
	return NULL;
}

/** Whether old data, which has zero bytes there or none, satisfies a new field. */
static bool old_data_fits(const struct field *field, const struct strct *old)
{
	if (field->kind == FIELD_JOIN || field->guard != NULL)
		return true;
	if (field->constant != NULL || field->string != NULL ||
	    (field->ranges != NULL && !value_allowed(field->ranges, 0)))
		return false;
	return old->is_fixed && field->place.anchor == 0 &&
	       field->place.delta + field->size <= old->size;
}

static struct field *find_by_name(const struct strct *s, const char *name)
{
	for (struct field *field = s->fields; field != NULL; field = field->next)
		if (same(field->name, name))
			return field;
	return NULL;
}

static void compare_fields(struct diff *d, const struct strct *old, const struct strct *new)
{
	for (const struct field *field = old->fields; field != NULL; field = field->next) {
		const struct field *now = find_by_name(new, field->name);

		if (now != NULL) {
			compare_field(d, field, now);
			continue;
		}
		now = find_renamed(d, field, new, old);
		if (now != NULL)
			tell(d, NOTHING, &now->pos, "'%s' is now called '%s'", field->name,
			     now->name);
		else
			tell(d, READERS, &field->pos, "'%s' is gone", field->name);
	}
	for (const struct field *field = new->fields; field != NULL; field = field->next)
		if (find_by_name(old, field->name) == NULL &&
		    find_renamed(d, field, old, new) == NULL)
			tell(d, old_data_fits(field, old) ? NOTHING : WRITERS, &field->pos,
			     "'%s' is new", field->name);
}

/* ---- rules: what else a structure insists on ---- */

struct rule {
	struct rule *next;
	const struct pos *pos;
	const char *words;
};

static void add_rule(struct diff *d, struct rule **rules, const struct pos *pos, const char *words)
{
	struct rule *rule = arena_alloc(d->arena, sizeof(*rule));

	*rule = (struct rule){.next = *rules, .pos = pos, .words = words};
	*rules = rule;
}

static const char *names_words(struct diff *d, const char **names, unsigned count)
{
	const char *words = "";

	for (unsigned i = 0; i < count; i++)
		words = arena_format(d->arena, "%s%s%s", words, i == 0 ? "" : ", ", names[i]);
	return words;
}

/** Adds when the rule holds, unless it always does. */
static const char *with_guard(struct diff *d, const char *words, const struct guard *guard)
{
	if (guard == NULL)
		return words;
	return arena_format(d->arena, "%s (%s)", words, guard_words(d, guard));
}

static const char *piece_words(struct diff *d, const struct piece *piece)
{
	switch (piece->kind) {
	case PIECE_SELF:
		return arena_format(d->arena, " self[%s..%s]", expr_words(d, piece->from),
				    expr_words(d, piece->to));
	case PIECE_VALUE:
		return arena_format(d->arena, " %ce%u(%s)", piece->is_big ? 'b' : 'l',
				    8 * piece->bytes, expr_words(d, piece->from));
	case PIECE_BYTES:
		break;
	}
	return arena_format(d->arena, " %s", expr_words(d, piece->from));
}

static const char *checksum_words(struct diff *d, const struct checksum *sum)
{
	const char *words =
		arena_format(d->arena, "checksum %s = %s",
			     names_words(d, sum->field_names, sum->field_count), sum->algorithm);

	if (sum->seed != NULL)
		words = arena_format(d->arena, "%s seed %s", words, expr_words(d, sum->seed));
	words = arena_format(d->arena, "%s over", words);
	for (const struct piece *piece = sum->pieces; piece != NULL; piece = piece->next)
		words = arena_format(d->arena, "%s%s%s", words, piece == sum->pieces ? "" : ",",
				     piece_words(d, piece));
	if (sum->skip_count != 0)
		words = arena_format(d->arena, "%s skip %s", words,
				     names_words(d, sum->skip_names, sum->skip_count));
	if (sum->condition != NULL)
		words = arena_format(d->arena, "%s if %s", words, expr_words(d, sum->condition));
	return with_guard(d, words, sum->guard);
}

static void add_bit_rules(struct diff *d, struct rule **rules, const struct item *item)
{
	for (const struct bit *bit = item->bit_list; bit != NULL; bit = bit->next)
		if (bit->field == NULL && bit->padding == PADDING_CHECK)
			add_rule(d, rules, &bit->pos,
				 arena_format(d->arena, "%u bits from bit %u at %s must be zero",
					      bit->width, bit->shift,
					      place_words(d, &item->place)));
}

static void add_rules(struct diff *d, struct rule **rules, const struct item *item)
{
	for (; item != NULL; item = item->next) {
		if (item->kind == ITEM_ASSERT)
			add_rule(d, rules, &item->pos,
				 with_guard(d,
					    arena_format(d->arena, "assert %s",
							 expr_words(d, item->expr)),
					    item->guard));
		if ((item->kind == ITEM_PAD || item->kind == ITEM_ALIGN) &&
		    item->padding == PADDING_CHECK)
			add_rule(d, rules, &item->pos,
				 arena_format(d->arena, "%llu bytes at %s must be zero",
					      (unsigned long long)item->size,
					      place_words(d, &item->place)));
		if (item->kind == ITEM_CHECKSUM)
			add_rule(d, rules, &item->pos, checksum_words(d, item->checksum));
		if (item->kind == ITEM_BITS)
			add_bit_rules(d, rules, item);
		add_rules(d, rules, item->body);
		add_rules(d, rules, item->orelse);
		for (const struct arm *arm = item->arms; arm != NULL; arm = arm->next)
			add_rules(d, rules, arm->body);
	}
}

static bool has_rule(const struct rule *rules, const char *words)
{
	for (; rules != NULL; rules = rules->next)
		if (same(rules->words, words))
			return true;
	return false;
}

static void compare_rules(struct diff *d, const struct strct *old, const struct strct *new)
{
	struct rule *before = NULL, *after = NULL;

	add_rules(d, &before, old->items);
	add_rules(d, &after, new->items);
	for (const struct rule *rule = before; rule != NULL; rule = rule->next)
		if (!has_rule(after, rule->words))
			tell(d, READERS, rule->pos, "no longer kept: %s", rule->words);
	for (const struct rule *rule = after; rule != NULL; rule = rule->next)
		if (!has_rule(before, rule->words))
			tell(d, WRITERS, rule->pos, "new rule: %s", rule->words);
}

/* ---- structures ---- */

static const char *size_words(struct diff *d, const struct strct *s)
{
	if (s->is_fixed)
		return arena_format(d->arena, "%llu bytes", (unsigned long long)s->size);
	if (s->size_expr != NULL)
		return expr_words(d, s->size_expr);
	return arena_format(d->arena, "up to %s", place_words(d, &s->end));
}

static const char *params_words(struct diff *d, const struct strct *s)
{
	const char *words = "none";

	for (const struct param *param = s->params; param != NULL; param = param->next)
		words = arena_format(d->arena, "%s%s%s", param == s->params ? "" : words,
				     param == s->params ? "" : ", ", param->name);
	return words;
}

static const char *order_words(const struct strct *s)
{
	return s->order_by != NULL ? s->order_by->text : "outside";
}

static void compare_struct(struct diff *d, const struct strct *old, const struct strct *new)
{
	d->owner = new->name;
	compare_words(d, LAYOUT, &new->pos, "size", size_words(d, old), size_words(d, new));
	compare_words(d, LAYOUT, &new->pos, "byte order by", order_words(old), order_words(new));
	compare_words(d, NOTHING, &new->pos, "parameters", params_words(d, old),
		      params_words(d, new));
	compare_fields(d, old, new);
	compare_rules(d, old, new);
	d->owner = NULL;
}

static const struct strct *find_struct(const struct unit *unit, const char *name)
{
	for (const struct strct *s = unit->structs; s != NULL; s = s->next)
		if (same(s->name, name))
			return s;
	return NULL;
}

static void compare_structs(struct diff *d, const struct unit *old, const struct unit *new)
{
	for (const struct strct *s = old->structs; s != NULL; s = s->next) {
		const struct strct *now = find_struct(new, s->name);

		if (now != NULL)
			compare_struct(d, s, now);
		else
			tell(d, READERS | WRITERS, &s->pos, "structure '%s' is gone", s->name);
	}
	for (const struct strct *s = new->structs; s != NULL; s = s->next)
		if (find_struct(old, s->name) == NULL)
			tell(d, NOTHING, &s->pos, "structure '%s' is new", s->name);
}

/* ---- enums and flags ---- */

static const struct set *find_set(const struct unit *unit, const char *name)
{
	for (const struct set_list *list = unit->sets; list != NULL; list = list->next)
		if (same(list->set->name, name))
			return list->set;
	return NULL;
}

static const struct member *find_value(const struct set *set, uint64_t value)
{
	for (const struct member *member = set->members; member != NULL; member = member->next)
		if (member->value == value)
			return member;
	return NULL;
}

static const char *unknown_words(const struct set *set)
{
	static const char *const words[] = {
		[UNKNOWN_REFUSE] = "refuse",
		[UNKNOWN_KEEP] = "keep",
		[UNKNOWN_CLEAR] = "clear",
	};

	return words[set->unknown];
}

/** Members that only one of two sets has, by value: names do not reach the data. */
static void compare_members(struct diff *d, const struct set *old, const struct set *new)
{
	for (const struct member *m = old->members; m != NULL; m = m->next) {
		const struct member *now = find_value(new, m->value);

		if (now == NULL)
			tell(d, new->unknown == UNKNOWN_REFUSE ? WRITERS : NOTHING, &m->pos,
			     "%s (%llu) is gone", m->name, (unsigned long long)m->value);
		else if (!same(m->name, now->name))
			tell(d, NOTHING, &now->pos, "%llu: %s before, %s now",
			     (unsigned long long)m->value, m->name, now->name);
	}
	for (const struct member *m = new->members; m != NULL; m = m->next)
		if (find_value(old, m->value) == NULL)
			tell(d, old->unknown == UNKNOWN_REFUSE ? READERS : NOTHING, &m->pos,
			     "%s (%llu) is new", m->name, (unsigned long long)m->value);
}

static void compare_set(struct diff *d, const struct set *old, const struct set *new)
{
	d->owner = new->name;
	compare_words(d, LAYOUT, &new->pos, "type", scalar_words(d, old->scalar),
		      scalar_words(d, new->scalar));
	compare_words(d, READERS | WRITERS, &new->pos, "kind", old->is_flags ? "flags" : "enum",
		      new->is_flags ? "flags" : "enum");
	compare_words(d, new->unknown == UNKNOWN_REFUSE ? WRITERS : READERS, &new->pos,
		      "unknown values", unknown_words(old), unknown_words(new));
	compare_members(d, old, new);
	d->owner = NULL;
}

static void compare_sets(struct diff *d, const struct unit *old, const struct unit *new)
{
	for (const struct set_list *list = old->sets; list != NULL; list = list->next) {
		const struct set *now = find_set(new, list->set->name);

		if (now != NULL)
			compare_set(d, list->set, now);
		else
			tell(d, NOTHING, &list->set->pos, "'%s' is gone", list->set->name);
	}
}

/* ---- operations ---- */

static const char *operation_words(struct diff *d, const struct operation *operation)
{
	return arena_format(
		d->arena, "code %s, request %s, reply %s, errors %s, fds %s%s%s",
		expr_words(d, operation->code),
		operation->request_name != NULL ? operation->request_name : "none",
		operation->reply_name != NULL ? operation->reply_name : "none",
		operation->errors_name != NULL ? operation->errors_name : "none",
		expr_words(d, operation->fds), operation->reply_fds != NULL ? ", reply_fds " : "",
		operation->reply_fds != NULL ? expr_words(d, operation->reply_fds) : "");
}

static const struct operation *find_operation(const struct unit *unit, const char *name)
{
	for (const struct operation *o = unit->operations; o != NULL; o = o->next)
		if (same(o->name, name))
			return o;
	return NULL;
}

static void compare_operations(struct diff *d, const struct unit *old, const struct unit *new)
{
	for (const struct operation *o = old->operations; o != NULL; o = o->next) {
		const struct operation *now = find_operation(new, o->name);

		if (now == NULL)
			tell(d, WRITERS, &o->pos, "operation '%s' is gone", o->name);
		else
			compare_words(d, READERS | WRITERS, &now->pos, now->name,
				      operation_words(d, o), operation_words(d, now));
	}
	for (const struct operation *o = new->operations; o != NULL; o = o->next)
		if (find_operation(old, o->name) == NULL)
			tell(d, READERS, &o->pos, "operation '%s' is new", o->name);
}

/* ---- ioctls ---- */

static const char *ioctl_words(struct diff *d, const struct ioctl *ioctl)
{
	const char *code = expr_words(d, ioctl->code);

	if (ioctl->code == NULL)
		code = arena_format(d->arena, "%s of %s, %s", way_words(ioctl->encoded_direction),
				    expr_words(d, ioctl->letter), expr_words(d, ioctl->number));
	return arena_format(d->arena, "code %s, carries %s%s", code,
			    target_words(d, ioctl->direction, ioctl->argument),
			    ioctl->is_repeatable ? ", repeatable" : "");
}

static const struct ioctl *find_ioctl(const struct unit *unit, const char *name)
{
	for (const struct ioctl *k = unit->ioctls; k != NULL; k = k->next)
		if (same(k->name, name))
			return k;
	return NULL;
}

/** Drivers read what clients write. */
static void compare_ioctls(struct diff *d, const struct unit *old, const struct unit *new)
{
	for (const struct ioctl *k = old->ioctls; k != NULL; k = k->next) {
		const struct ioctl *now = find_ioctl(new, k->name);

		if (now == NULL)
			tell(d, WRITERS, &k->pos, "ioctl '%s' is gone", k->name);
		else
			compare_words(d, READERS | WRITERS, &now->pos, now->name, ioctl_words(d, k),
				      ioctl_words(d, now));
	}
	for (const struct ioctl *k = new->ioctls; k != NULL; k = k->next)
		if (find_ioctl(old, k->name) == NULL)
			tell(d, READERS, &k->pos, "ioctl '%s' is new", k->name);
}

/* ---- the whole ---- */

static void compare_units(struct diff *d, const struct unit *old, const struct unit *new)
{
	compare_sets(d, old, new);
	compare_structs(d, old, new);
	compare_operations(d, old, new);
	compare_ioctls(d, old, new);
}

static const struct unit *find_format(const struct compiler *c, const char *format)
{
	for (const struct unit *unit = c->units; unit != NULL; unit = unit->next)
		if (same(unit->format, format))
			return unit;
	return NULL;
}

unsigned diff_descriptions(const struct compiler *old, const struct unit *old_unit,
			   struct compiler *new, const struct unit *new_unit, struct text *out)
{
	struct diff d = {.arena = &new->arena, .out = out};

	compare_units(&d, old_unit, new_unit);
	for (const struct unit *unit = old->units; unit != NULL; unit = unit->next) {
		const struct unit *now = find_format(new, unit->format);

		if (unit != old_unit && now != NULL && now != new_unit)
			compare_units(&d, unit, now);
	}
	return d.breaking;
}
