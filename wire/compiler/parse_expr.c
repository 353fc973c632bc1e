/* SPDX-License-Identifier: MIT */
/*
 * Expressions, by recursive descent; one function per level of the grammar in docs/wire.md.
 */
#include <string.h>

#include "wirec.h"

static struct expr *new_expr(struct parser *p, enum expr_kind kind)
{
	struct expr *e = arena_alloc(&p->c->arena, sizeof(*e));

	e->kind = kind;
	e->pos = p->lexer.token.pos;
	return e;
}

static struct expr *binary(struct parser *p, const struct pos *pos, unsigned op, struct expr *a,
			   struct expr *b)
{
	struct expr *e = new_expr(p, EXPR_BINARY);

	e->pos = *pos;
	e->op = op;
	e->a = a;
	e->b = b;
	return e;
}

static void parse_path(struct parser *p, struct expr *e, const char *first)
{
	const char *names[WIREC_MAX_NESTING + 1];

	if (first != NULL)
		names[e->path_length++] = first;
	while (parse_take_punct(p, PUNCT(0, '.'))) {
		if (e->path_length > WIREC_MAX_NESTING)
			parse_fail(p, "a path of more than %d names", WIREC_MAX_NESTING);
		names[e->path_length++] = parse_name(p, "the name of a field");
	}
	e->path = arena_alloc(&p->c->arena, (e->path_length + 1) * sizeof(*e->path));
	memcpy(e->path, names, e->path_length * sizeof(*names));
}

/* The word has been taken; "(" comes next. */
static struct expr *parse_call(struct parser *p, struct expr *e, enum expr_kind kind)
{
	e->kind = kind;
	parse_expect(p, PUNCT(0, '('));
	if (kind == EXPR_MIN || kind == EXPR_MAX || kind == EXPR_ALIGN) {
		e->a = parse_expr(p);
		parse_expect(p, PUNCT(0, ','));
		e->b = parse_expr(p);
	} else {
		parse_path(p, e, parse_name(p, "a name"));
	}
	parse_expect(p, PUNCT(0, ')'));
	return e;
}

/* "word": how wide a client's pointers are. */
static bool is_word(const struct parser *p, const char *name)
{
	return p->word_bytes != 0 && strcmp(name, "word") == 0 &&
	       find_field(p->strct, name) == NULL;
}

static struct expr *parse_named(struct parser *p)
{
	static const struct {
		const char *word;
		enum expr_kind kind;
	} calls[] = {
		{"sizeof", EXPR_SIZEOF}, {"offsetof", EXPR_OFFSETOF}, {"endof", EXPR_ENDOF},
		{"has", EXPR_HAS},       {"min", EXPR_MIN},           {"max", EXPR_MAX},
		{"align", EXPR_ALIGN},
	};
	struct expr *e = new_expr(p, EXPR_NAME);
	const char *name = parse_name(p, "an expression");

	if (parse_is_punct(p, PUNCT(0, '(')))
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
			if (strcmp(name, calls[i].word) == 0)
				return parse_call(p, e, calls[i].kind);
	if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0) {
		e->kind = EXPR_NUMBER;
		e->number = name[0] == 't';
		return e;
	}
	if (is_word(p, name)) {
		e->kind = EXPR_NUMBER;
		e->number = p->word_bytes;
		return e;
	}
	parse_path(p, e, name);
	if (parse_take_punct(p, PUNCT(0, '['))) {
		e->a = parse_expr(p);
		parse_expect(p, PUNCT(0, ']'));
	}
	return e;
}

static struct expr *parse_primary(struct parser *p)
{
	struct expr *e;

	if (p->lexer.token.kind == TOKEN_NUMBER) {
		e = new_expr(p, EXPR_NUMBER);
		e->number = p->lexer.token.number;
		lex_next(&p->lexer);
		return e;
	}
	if (parse_take_punct(p, PUNCT(0, '('))) {
		e = parse_expr(p);
		parse_expect(p, PUNCT(0, ')'));
		return e;
	}
	return parse_named(p);
}

static struct expr *parse_unary(struct parser *p)
{
	struct expr *e;

	if (!parse_is_punct(p, PUNCT(0, '!')) && !parse_is_punct(p, PUNCT(0, '~')))
		return parse_primary(p);
	e = new_expr(p, EXPR_UNARY);
	e->op = p->lexer.token.punct;
	lex_next(&p->lexer);
	parse_deeper(p);
	e->a = parse_unary(p);
	p->c->depth--;
	return e;
}

/* Levels from the loosest operators to the tightest. */
static const struct level {
	unsigned ops[4];
	bool once; /* a < b < c is refused */
} levels[] = {
	{{PUNCT('|', '|')}, false},
	{{PUNCT('&', '&')}, false},
	{{PUNCT(0, '|')}, false},
	{{PUNCT(0, '^')}, false},
	{{PUNCT(0, '&')}, false},
	{{PUNCT('=', '='), PUNCT('!', '=')}, true},
	{{PUNCT(0, '<'), PUNCT('<', '='), PUNCT(0, '>'), PUNCT('>', '=')}, true},
	{{PUNCT('<', '<'), PUNCT('>', '>')}, false},
	{{PUNCT(0, '+'), PUNCT(0, '-')}, false},
	{{PUNCT(0, '*'), PUNCT(0, '/'), PUNCT(0, '%')}, false},
};
#define LEVELS    (sizeof(levels) / sizeof(levels[0]))
#define LEVEL_AND 4

static bool at_level(const struct parser *p, size_t level)
{
	for (size_t i = 0; i < 4 && levels[level].ops[i] != 0; i++)
		if (parse_is_punct(p, levels[level].ops[i]))
			return true;
	return false;
}

static bool is_comparison(const struct expr *e, const struct pos *start)
{
	return e->kind == EXPR_BINARY && (e->op == PUNCT('=', '=') || e->op == PUNCT('!', '=')) &&
	       e->pos.offset > start->offset;
}

/*
 * @start: where the operand began; an operand in parentheses starts before its operator like any
 * other, so that the parenthesis itself is looked at.
 */
static void refuse_confusing(struct parser *p, const struct expr *operand, const struct pos *start)
{
	if (is_comparison(operand, start) && start->source->data[start->offset] != '(')
		report(p->c, &operand->pos, "syntax",
		       "a comparison beside &, | or ^ needs parentheses to say what is meant");
}

static struct expr *parse_level(struct parser *p, size_t level)
{
	struct pos start = p->lexer.token.pos;
	struct expr *e = level == LEVELS ? parse_unary(p) : parse_level(p, level + 1);

	while (level < LEVELS && at_level(p, level)) {
		const bool is_bitwise = level >= LEVEL_AND - 2 && level <= LEVEL_AND;
		const struct pos pos = p->lexer.token.pos;
		const unsigned op = p->lexer.token.punct;
		struct expr *right;

		if (is_bitwise)
			refuse_confusing(p, e, &start);
		lex_next(&p->lexer);
		start = p->lexer.token.pos;
		right = parse_level(p, level + 1);
		if (is_bitwise)
			refuse_confusing(p, right, &start);
		e = binary(p, &pos, op, e, right);
		if (levels[level].once && at_level(p, level))
			parse_fail(p, "comparisons cannot be chained");
	}
	return e;
}

struct expr *parse_expr(struct parser *p)
{
	struct expr *e, *cond;

	parse_deeper(p);
	e = parse_level(p, 0);
	if (parse_is_punct(p, PUNCT(0, '?'))) {
		cond = new_expr(p, EXPR_COND);
		lex_next(&p->lexer);
		cond->a = e;
		cond->b = parse_expr(p);
		parse_expect(p, PUNCT(0, ':'));
		cond->c = parse_expr(p);
		e = cond;
	}
	p->c->depth--;
	return e;
}
