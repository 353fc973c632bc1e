/* SPDX-License-Identifier: MIT */
/*
 * Arguments of ioctls: what pointers lead to, and the commands themselves.
 */
#include <string.h>

#include "wirec.h"

static bool take_direction(struct parser *p, unsigned *direction)
{
	static const struct {
		const char *word;
		unsigned direction;
	} words[] = {{"in", DIRECTION_IN},
		     {"out", DIRECTION_OUT},
		     {"inout", DIRECTION_IN | DIRECTION_OUT}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (parse_take(p, words[i].word)) {
			*direction = words[i].direction;
			return true;
		}
	return false;
}

/* A type, and how many of it; @owner has the pointer, or is NULL. */
static struct field *parse_target(struct parser *p, struct strct *owner)
{
	struct field *target = arena_alloc(&p->c->arena, sizeof(*target));

	target->kind = FIELD_PLAIN;
	target->owner = owner;
	target->pos = p->lexer.token.pos;
	target->name = "";
	parse_type(p, target);
	if (target->args.count != 0)
		parse_fail(p, "what ioctls carry has no parameters");
	parse_array(p, target, true);
	return target;
}

void parse_pointer(struct parser *p, struct field *field)
{
	if (field->target != NULL)
		parse_fail(p, "a pointer leads to one thing");
	if (!take_direction(p, &field->direction))
		parse_fail(p, "in, out or inout must say which way it goes");
	field->target = parse_target(p, p->strct);
}

/* "(letter, number)", and but for io() what the argument is. */
static void parse_encoding(struct parser *p, struct ioctl *ioctl)
{
	parse_expect(p, PUNCT(0, '('));
	ioctl->letter = parse_expr(p);
	parse_expect(p, PUNCT(0, ','));
	ioctl->number = parse_expr(p);
	if (ioctl->encoded_direction != 0) {
		parse_expect(p, PUNCT(0, ','));
		ioctl->encoded = ioctl->argument = parse_target(p, NULL);
		ioctl->direction = ioctl->encoded_direction;
	}
	parse_expect(p, PUNCT(0, ')'));
}

static void parse_code(struct parser *p, struct ioctl *ioctl)
{
	static const struct {
		const char *word;
		unsigned direction;
	} encodings[] = {{"io", 0},
			 {"ior", DIRECTION_OUT},
			 {"iow", DIRECTION_IN},
			 {"iowr", DIRECTION_IN | DIRECTION_OUT}};

	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
		if (parse_take(p, encodings[i].word)) {
			ioctl->encoded_direction = encodings[i].direction;
			parse_encoding(p, ioctl);
			return;
		}
	ioctl->code = parse_expr(p);
}

void parse_ioctl(struct parser *p, const char *doc)
{
	struct ioctl *ioctl = arena_alloc(&p->c->arena, sizeof(*ioctl));

	ioctl->doc = doc;
	ioctl->pos = p->lexer.token.pos;
	ioctl->name = parse_name(p, "a name");
	parse_expect(p, PUNCT(0, '='));
	parse_code(p, ioctl);
	if (take_direction(p, &ioctl->direction))
		ioctl->argument = parse_target(p, NULL);
	ioctl->is_repeatable = parse_take(p, "repeatable");
	parse_expect(p, PUNCT(0, ';'));
	*p->unit->ioctls_end = ioctl;
	p->unit->ioctls_end = &ioctl->next;
}
