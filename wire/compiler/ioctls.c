/* SPDX-License-Identifier: MIT */
/*
 * What the arguments of ioctls are made of. From a command's argument on, each pointer is followed
 * to what it leads to, and that is a part of the command; the kernel follows them in the same
 * order. Where a structure on the way is `compat`, 32-bit clients have parts of their own.
 */
#include <string.h>

#include "wirec.h"

/* What a driver may ask of the kernel, as <bdus/ioctl.h> says. */
#define IOCTL_PARTS 1024
#define IOCTL_DEPTH 4
#define IOCTL_BYTES (UINT64_C(1) << 20)
/* _IOC_SIZEBITS where these are fewest. */
#define ENCODED_BYTES ((UINT64_C(1) << 13) - 1)

/* ---- targets ---- */

static bool is_text(const struct field *field)
{
	return field->type != TYPE_SCALAR && field->type != TYPE_STRUCT;
}

static bool check_struct(struct compiler *c, const struct field *target)
{
	const struct strct *s = target->strct;

	if (s == NULL || (s->is_fixed && s->params == NULL && !s->takes_order))
		return true;
	report(c, &target->pos, "ioctl",
	       "'%s' has parameters, places that vary, or the byte order of something else; ioctls "
	       "carry none such",
	       s->name);
	return false;
}

/* "char[until 0 max 256]" */
static bool check_string(struct scope *scope, struct field *target)
{
	uint64_t end = 1, max = 0;

	if (target->type == TYPE_TEXT && target->max_count != NULL &&
	    resolve_constant(scope, target->count, "where text ends", &end) && end == 0 &&
	    resolve_constant(scope, target->max_count, "the greatest length", &max) && max != 0 &&
	    max <= IOCTL_BYTES)
		return true;
	report(scope->c, &target->pos, "ioctl",
	       "only char can go on, until 0 and with a 'max' of 1 to %llu bytes",
	       (unsigned long long)IOCTL_BYTES);
	return false;
}

/* The field that says how many there are; NULL if that is constant. */
static const struct field *counter_of(const struct field *target)
{
	const struct expr *count = target->count;

	return count != NULL && count->kind == EXPR_FIELD && count->field_count == 1 &&
			       count->a == NULL
		       ? count->fields[0]
		       : NULL;
}

static bool is_machine_number(const struct field *field)
{
	return field->kind == FIELD_PLAIN && field->type == TYPE_SCALAR &&
	       field->array == ARRAY_NONE && !field->scalar.is_signed && field->guard == NULL &&
	       (field->scalar.bytes & (field->scalar.bytes - 1)) == 0 &&
	       (field->scalar.order == ORDER_NATIVE || field->scalar.bytes == 1);
}

static bool check_counter(struct scope *scope, struct field *target)
{
	const struct field *counter = counter_of(target);
	uint64_t max = 0;

	if (counter == NULL || !is_machine_number(counter) || target->max_count == NULL) {
		report(scope->c, &target->pos, "ioctl",
		       "a number of elements is constant, or an unsigned scalar beside the "
		       "pointer, "
		       "in the machine's order and always there, with a 'max'");
		return false;
	}
	if (!resolve_constant(scope, target->max_count, "the greatest number", &max))
		return false;
	if (max != 0 && max <= IOCTL_BYTES)
		return true;
	report(scope->c, &target->max_count->pos, "ioctl", "1 to %llu elements can be carried",
	       (unsigned long long)IOCTL_BYTES);
	return false;
}

static bool check_number(struct scope *scope, struct field *target)
{
	if (target->array == ARRAY_NONE && is_text(target)) {
		report(scope->c, &target->pos, "size", "this needs a size in brackets");
		return false;
	}
	if (target->array == ARRAY_NONE)
		return true;
	if (target->array == ARRAY_UNTIL)
		return check_string(scope, target);
	if (target->array != ARRAY_COUNT) {
		report(scope->c, &target->pos, "ioctl", "the number of elements is to be said");
		return false;
	}
	resolve_expr(scope, target->count);
	if (!target->count->is_constant)
		return check_counter(scope, target);
	if (target->max_count == NULL && target->count->number != 0 &&
	    target->count->number <= IOCTL_BYTES)
		return true;
	report(scope->c, &target->count->pos, "ioctl",
	       "1 to %llu elements can be carried; what is constant has no 'max'",
	       (unsigned long long)IOCTL_BYTES);
	return false;
}

static bool resolve_target(struct scope *scope, struct field *target)
{
	return resolve_type(scope->c, scope->unit, target) && check_struct(scope->c, target) &&
	       check_number(scope, target);
}

static void resolve_pointer(struct compiler *c, struct strct *s, struct field *field)
{
	struct scope scope = {.c = c, .unit = s->unit, .strct = s};

	if (!is_machine_number(field) || field->scalar.bytes < 4 || field->set != NULL)
		report(c, &field->pos, "ioctl",
		       "a pointer is a u32, u64 or uword of the machine's order, and always there");
	else if (!s->is_fixed)
		report(c, &field->pos, "ioctl", "'%s' has places that vary; its pointers cannot",
		       s->name);
	resolve_target(&scope, field->target);
}

/* ---- parts ---- */

struct builder {
	struct compiler *c;
	struct ioctl *ioctl;
	struct ioctl_part *first, **end;
	unsigned count;
	bool narrow;
	bool differs; /* a structure on the way is `compat` */
	bool failed;
};

static uint64_t element_bytes(const struct field *target, bool narrow)
{
	if (target->type == TYPE_STRUCT)
		return struct_for(target->strct, narrow)->size;
	return target->type == TYPE_BYTES || target->type == TYPE_TEXT ? 1 : target->scalar.bytes;
}

static void fail(struct builder *b, const struct pos *pos, const char *what)
{
	if (!b->failed)
		report(b->c, pos, "ioctl", "'%s': %s", b->ioctl->name, what);
	b->failed = true;
}

static uint64_t element_count(const struct field *target)
{
	if (target->array == ARRAY_NONE)
		return 1;
	return target->max_count != NULL ? target->max_count->number : target->count->number;
}

/* Asked once of each structure, since one may be in many. */
static bool has_pointers(struct strct *s)
{
	for (const struct field *field = s->fields; field != NULL && !s->pointers_known;
	     field = field->next)
		s->has_pointers |= field->target != NULL ||
				   (field->strct != NULL && has_pointers(field->strct));
	s->pointers_known = true;
	return s->has_pointers;
}

static void add_parts_of(struct builder *b, const struct ioctl_part *parent, const struct strct *s,
			 uint64_t at, const char *path);

static void add_part(struct builder *b, const struct ioctl_part *plan, const struct field *target)
{
	struct ioctl_part *part = arena_alloc(&b->c->arena, sizeof(*part));
	struct strct *s = target->strct;

	*part = *plan;
	part->is_string = target->array == ARRAY_UNTIL;
	part->element_bytes = element_bytes(target, b->narrow);
	part->count = element_count(target);
	part->index = b->count++;
	if (part->pointer == NULL) {
		part->element_bytes *= part->count;
		part->count = 1;
	}
	if (part->element_bytes > IOCTL_BYTES || part->depth > IOCTL_DEPTH ||
	    b->count > IOCTL_PARTS)
		fail(b, &target->pos,
		     "there are at most 1024 parts, 4 pointers deep, of at most 1 MiB each");
	if (b->failed)
		return;
	*b->end = part;
	b->end = &part->next;
	if (s == NULL)
		return;
	b->differs |= s->narrow != NULL;
	s = struct_for(s, b->narrow);
	if (has_pointers(s) && !(part->direction & DIRECTION_IN))
		fail(b, &target->pos, "pointers in what only goes out do not come to be followed");
	else if (has_pointers(s))
		add_parts_of(b, part, s, 0, part->path);
}

static void add_pointed(struct builder *b, const struct ioctl_part *parent,
			const struct field *pointer, uint64_t at, const char *path)
{
	const struct field *counter = counter_of(pointer->target);
	struct ioctl_part plan = {
		.path = path,
		.pointer = pointer,
		.direction = pointer->direction,
		.parent = parent->index,
		.depth = parent->depth + 1,
		.pointer_at = at + pointer->place.delta,
	};

	if (counter != NULL) {
		plan.count_width = counter->scalar.bytes;
		plan.count_at = at + counter->place.delta;
	}
	if (pointer->target->array == ARRAY_UNTIL && plan.direction != DIRECTION_IN)
		fail(b, &pointer->target->pos, "text that goes on until 0 only goes in");
	add_part(b, &plan, pointer->target);
}

/* The structure @s, at @at of what @parent is an element of. */
static void add_parts_of(struct builder *b, const struct ioctl_part *parent, const struct strct *s,
			 uint64_t at, const char *path)
{
	for (const struct field *field = s->fields; field != NULL && !b->failed;
	     field = field->next) {
		const char *own = arena_format(&b->c->arena, "%s.%s", path, field->name);

		if (field->target != NULL)
			add_pointed(b, parent, field, at, own);
		if (field->strct == NULL || !has_pointers(field->strct))
			continue;
		if (field->guard != NULL)
			fail(b, &field->pos, "pointers cannot depend on something else");
		for (uint64_t i = 0; i < field->length && !b->failed; i++)
			add_parts_of(b, parent, field->strct,
				     at + field->place.delta + i * field->unit_size,
				     field->array == ARRAY_NONE
					     ? own
					     : arena_format(&b->c->arena, "%s[%llu]", own,
							    (unsigned long long)i));
	}
}

static struct ioctl_part *build(struct builder *b, struct ioctl *ioctl)
{
	const struct ioctl_part plan = {.path = ioctl->name, .direction = ioctl->direction};

	b->ioctl = ioctl;
	b->first = NULL;
	b->end = &b->first;
	b->count = 0;
	add_part(b, &plan, ioctl->argument);
	return b->first;
}

/* ---- commands ---- */

/* The argument is one element for the kernel, and no count stands beside it. */
static bool resolve_argument(struct scope *scope, struct field *argument)
{
	if (!resolve_target(scope, argument))
		return false;
	if (argument->array == ARRAY_NONE || (argument->array == ARRAY_COUNT && is_text(argument)))
		return true;
	report(scope->c, &argument->pos, "ioctl",
	       "an argument is a structure, a scalar, or so many bytes");
	return false;
}

static void resolve_byte(struct scope *scope, struct expr *e)
{
	uint64_t value = 0;

	if (resolve_constant(scope, e, "a part of a number", &value) && value > 255)
		report(scope->c, &e->pos, "range", "%llu does not fit into 8 bits",
		       (unsigned long long)value);
}

static void resolve_code(struct scope *scope, struct ioctl *ioctl)
{
	uint64_t value = 0;

	if (ioctl->code == NULL) {
		resolve_byte(scope, ioctl->letter);
		resolve_byte(scope, ioctl->number);
		if (ioctl->encoded != NULL && ioctl->encoded != ioctl->argument)
			resolve_argument(scope, ioctl->encoded);
	} else if (resolve_constant(scope, ioctl->code, "the number of an ioctl", &value) &&
		   value > UINT32_MAX) {
		report(scope->c, &ioctl->code->pos, "range", "%llu does not fit into 32 bits",
		       (unsigned long long)value);
	}
}

static void check_encoding(struct scope *scope, const struct ioctl *ioctl)
{
	const struct field *what = ioctl->encoded;

	if (what != NULL && element_bytes(what, false) * element_count(what) > ENCODED_BYTES)
		report(scope->c, &what->pos, "ioctl",
		       "a number can say that there are up to %llu bytes",
		       (unsigned long long)ENCODED_BYTES);
	if (ioctl->argument == NULL && ioctl->is_repeatable)
		report(scope->c, &ioctl->pos, "ioctl",
		       "'%s' has no argument, which would be described as repeatable", ioctl->name);
}

static void resolve_ioctl(struct scope *scope, struct ioctl *ioctl)
{
	struct builder b = {.c = scope->c};
	const unsigned errors = scope->c->errors;

	resolve_code(scope, ioctl);
	if (ioctl->argument != NULL)
		resolve_argument(scope, ioctl->argument);
	if (scope->c->errors != errors)
		return;
	check_encoding(scope, ioctl);
	if (ioctl->argument == NULL)
		return;
	ioctl->parts = build(&b, ioctl);
	if (!b.differs || b.failed)
		return;
	b.narrow = true;
	ioctl->narrow_parts = build(&b, ioctl);
}

void resolve_ioctls(struct compiler *c, struct unit *unit)
{
	struct scope scope = {.c = c, .unit = unit};

	for (struct strct *s = unit->structs; s != NULL; s = s->next)
		for (struct field *field = s->fields; field != NULL; field = field->next)
			if (field->target != NULL)
				resolve_pointer(c, s, field);
	/* What is made of structures and pointers that are wrong would only repeat that. */
	if (c->errors != 0)
		return;
	for (struct ioctl *ioctl = unit->ioctls; ioctl != NULL; ioctl = ioctl->next)
		resolve_ioctl(&scope, ioctl);
}
