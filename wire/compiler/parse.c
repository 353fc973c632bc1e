/* SPDX-License-Identifier: MIT */
/*
 * Declarations. After a mistake the parser goes on at the next line that starts, in the first
 * column, with a word that begins a declaration.
 */
#include <string.h>

#include "wirec.h"

/* ---- small parts, also for parse_expr.c and parse_items.c ---- */

static const char *describe(struct parser *p)
{
	const struct token *token = &p->lexer.token;
	static const char *const kinds[] = {
		[TOKEN_END] = "the end of the file",
		[TOKEN_NUMBER] = "a number",
		[TOKEN_STRING] = "text in quotes",
	};

	if (token->kind == TOKEN_NAME)
		return arena_format(&p->c->arena, "'%s'", token->name);
	if (token->kind != TOKEN_PUNCT)
		return kinds[token->kind];
	if (token->punct >> 8 == 0)
		return arena_format(&p->c->arena, "'%c'", (char)token->punct);
	return arena_format(&p->c->arena, "'%c%c'", (char)(token->punct >> 8), (char)token->punct);
}

void parse_fail(struct parser *p, const char *format, ...)
{
	struct text *text = &p->c->scratch;
	va_list arguments;

	text->length = 0;
	va_start(arguments, format);
	text_vformat(text, format, arguments);
	va_end(arguments);
	report(p->c, &p->lexer.token.pos, "syntax", "%s",
	       arena_copy(&p->c->arena, text->data, text->length));
	longjmp(p->recover, 1);
}

bool parse_is(const struct parser *p, const char *word)
{
	return p->lexer.token.kind == TOKEN_NAME && strcmp(p->lexer.token.name, word) == 0;
}

bool parse_is_punct(const struct parser *p, unsigned punct)
{
	return p->lexer.token.kind == TOKEN_PUNCT && p->lexer.token.punct == punct;
}

bool parse_take(struct parser *p, const char *word)
{
	if (!parse_is(p, word))
		return false;
	lex_next(&p->lexer);
	return true;
}

bool parse_take_punct(struct parser *p, unsigned punct)
{
	if (!parse_is_punct(p, punct))
		return false;
	lex_next(&p->lexer);
	return true;
}

void parse_expect(struct parser *p, unsigned punct)
{
	if (parse_take_punct(p, punct))
		return;
	if (punct >> 8 == 0)
		parse_fail(p, "'%c' must stand here, not %s", (char)punct, describe(p));
	parse_fail(p, "'%c%c' must stand here, not %s", (char)(punct >> 8), (char)punct,
		   describe(p));
}

static void expect_word(struct parser *p, const char *word)
{
	if (!parse_take(p, word))
		parse_fail(p, "'%s' must stand here, not %s", word, describe(p));
}

const char *parse_name(struct parser *p, const char *what)
{
	const char *name = p->lexer.token.name;

	if (p->lexer.token.kind != TOKEN_NAME)
		parse_fail(p, "%s must stand here, not %s", what, describe(p));
	lex_next(&p->lexer);
	return name;
}

void parse_deeper(struct parser *p)
{
	if (++p->c->depth > WIREC_MAX_DEPTH)
		parse_fail(p, "nested more than %d deep", WIREC_MAX_DEPTH);
}

const char **parse_name_list(struct parser *p, const char *what, unsigned *count)
{
	unsigned room = 4;
	const char **list = arena_alloc(&p->c->arena, room * sizeof(*list));

	*count = 0;
	do {
		if (*count == room) {
			const char **more = arena_alloc(&p->c->arena, 2 * room * sizeof(*list));

			memcpy(more, list, room * sizeof(*list));
			list = more;
			room *= 2;
		}
		list[(*count)++] = parse_name(p, what);
	} while (parse_take_punct(p, PUNCT(0, ',')));
	return list;
}

/** Takes uword or iword, if it is there. */
static bool parse_word(struct parser *p, struct scalar *scalar)
{
	const bool is_signed = parse_is(p, "iword");

	if (!is_signed && !parse_is(p, "uword"))
		return false;
	if (p->word_bytes == 0)
		parse_fail(p,
			   "'%s' is as wide as a client's pointers: the structure has to be "
			   "'compat'",
			   p->lexer.token.name);
	*scalar = (struct scalar){
		.bytes = p->word_bytes, .is_signed = is_signed, .order = p->unit->order};
	lex_next(&p->lexer);
	return true;
}

/** Takes a scalar such as u32be, if there is one. */
bool parse_scalar(struct parser *p, struct scalar *scalar)
{
	const char *name = p->lexer.token.kind == TOKEN_NAME ? p->lexer.token.name : "";
	unsigned bits = 0;
	const char *at = name + 1;

	if (parse_word(p, scalar))
		return true;
	if (name[0] != 'u' && name[0] != 'i')
		return false;
	for (; *at >= '0' && *at <= '9' && bits < 100; at++)
		bits = bits * 10 + (unsigned)(*at - '0');
	if (bits < 8 || bits > 64 || bits % 8 != 0 || name[1] == '0')
		return false;
	*scalar = (struct scalar){
		.bytes = bits / 8, .is_signed = name[0] == 'i', .order = p->unit->order};
	if (strcmp(at, "le") == 0)
		scalar->order = ORDER_LITTLE;
	else if (strcmp(at, "be") == 0)
		scalar->order = ORDER_BIG;
	else if (*at != '\0')
		return false;
	lex_next(&p->lexer);
	return true;
}

static void expect_scalar(struct parser *p, struct scalar *scalar)
{
	if (!parse_scalar(p, scalar))
		parse_fail(p, "a scalar such as u32 must stand here, not %s", describe(p));
}

struct range *parse_ranges(struct parser *p)
{
	struct range *first = NULL, **end = &first;

	do {
		struct range *range = arena_alloc(&p->c->arena, sizeof(*range));

		range->low = range->high = parse_expr(p);
		if (parse_take_punct(p, PUNCT('.', '.')))
			range->high = parse_expr(p);
		*end = range;
		end = &range->next;
	} while (parse_take_punct(p, PUNCT(0, ',')));
	return first;
}

/* ---- declarations ---- */

static void declare(struct parser *p, const struct pos *pos, const char *name, int kind, void *what)
{
	add_symbol(p->c, p->unit,
		   &(struct symbol){.name = name, .pos = *pos, .kind = kind, .what = what});
}

static enum unknown parse_unknown(struct parser *p, bool is_flags)
{
	if (!parse_take(p, "unknown") || parse_take(p, "refuse"))
		return UNKNOWN_REFUSE;
	if (parse_take(p, "keep"))
		return UNKNOWN_KEEP;
	if (is_flags && parse_take(p, "clear"))
		return UNKNOWN_CLEAR;
	parse_fail(p, "refuse%s keep must stand here, not %s", is_flags ? ", clear or" : " or",
		   describe(p));
}

static struct member *parse_member(struct parser *p, bool is_flags)
{
	struct member *member = arena_alloc(&p->c->arena, sizeof(*member));

	member->pos = p->lexer.token.pos;
	member->doc = p->lexer.token.doc;
	member->name = parse_name(p, "a name");
	parse_expect(p, PUNCT(0, '='));
	member->is_bit = is_flags && parse_take(p, "bit");
	member->expr = parse_expr(p);
	return member;
}

void parse_set(struct parser *p, const char *doc, bool is_flags)
{
	struct set *set = arena_alloc(&p->c->arena, sizeof(*set));
	struct set_list *entry = arena_alloc(&p->c->arena, sizeof(*entry));
	struct member **end = &set->members;

	set->unit = p->unit;
	set->doc = doc;
	set->is_flags = is_flags;
	set->pos = p->lexer.token.pos;
	set->name = parse_name(p, "a name");
	set->scalar = arena_alloc(&p->c->arena, sizeof(*set->scalar));
	declare(p, &set->pos, set->name, SYMBOL_SET, set);
	parse_expect(p, PUNCT(0, ':'));
	expect_scalar(p, set->scalar);
	set->unknown = parse_unknown(p, is_flags);
	parse_expect(p, PUNCT(0, '{'));
	do {
		*end = parse_member(p, is_flags);
		end = &(*end)->next;
	} while (parse_take_punct(p, PUNCT(0, ',')) && !parse_is_punct(p, PUNCT(0, '}')));
	parse_expect(p, PUNCT(0, '}'));
	entry->set = set;
	*p->unit->sets_end = entry;
	p->unit->sets_end = &entry->next;
}

static void parse_const(struct parser *p, const char *doc)
{
	struct constant *constant = arena_alloc(&p->c->arena, sizeof(*constant));

	constant->doc = doc;
	constant->pos = p->lexer.token.pos;
	constant->name = parse_name(p, "a name");
	declare(p, &constant->pos, constant->name, SYMBOL_CONST, constant);
	parse_expect(p, PUNCT(0, '='));
	constant->expr = parse_expr(p);
	parse_expect(p, PUNCT(0, ';'));
	*p->unit->constants_end = constant;
	p->unit->constants_end = &constant->next;
}

static const char *expect_string(struct parser *p)
{
	const char *text = p->lexer.token.string;

	if (p->lexer.token.kind != TOKEN_STRING)
		parse_fail(p, "text in quotes must stand here, not %s", describe(p));
	if (strlen(text) != p->lexer.token.string_length || strpbrk(text, "\n\\") != NULL)
		parse_fail(
			p,
			"this text may contain neither line ends nor backslashes nor zero bytes");
	lex_next(&p->lexer);
	return text;
}

static void parse_import(struct parser *p, const char *doc)
{
	struct import *import = arena_alloc(&p->c->arena, sizeof(*import));

	(void)doc;
	import->pos = p->lexer.token.pos;
	import->path = expect_string(p);
	parse_expect(p, PUNCT(0, ';'));
	*p->unit->imports_end = import;
	p->unit->imports_end = &import->next;
}

static void parse_include(struct parser *p, const char *doc)
{
	struct include *include = arena_alloc(&p->c->arena, sizeof(*include));

	(void)doc;
	include->text = expect_string(p);
	parse_expect(p, PUNCT(0, ';'));
	*p->unit->includes_end = include;
	p->unit->includes_end = &include->next;
}

static void parse_extern(struct parser *p, const char *doc)
{
	struct digest *digest = arena_alloc(&p->c->arena, sizeof(*digest));

	(void)doc;
	digest->pos = p->lexer.token.pos;
	digest->name = parse_name(p, "a name");
	declare(p, &digest->pos, digest->name, SYMBOL_DIGEST, digest);
	parse_expect(p, PUNCT(0, '['));
	digest->size = parse_expr(p);
	parse_expect(p, PUNCT(0, ']'));
	parse_expect(p, PUNCT(0, ';'));
	*p->unit->digests_end = digest;
	p->unit->digests_end = &digest->next;
}

static void parse_companion(struct parser *p, const char *doc)
{
	struct companion *companion = arena_alloc(&p->c->arena, sizeof(*companion));

	(void)doc;
	companion->pos = p->lexer.token.pos;
	companion->name = parse_name(p, "a name");
	expect_word(p, "of");
	companion->of = parse_name(p, "the name of a structure");
	parse_expect(p, PUNCT(0, '{'));
	companion->lines = arena_alloc(&p->c->arena, 64 * sizeof(*companion->lines));
	while (!parse_take_punct(p, PUNCT(0, '}'))) {
		if (companion->line_count == 64)
			parse_fail(p, "a companion has at most 64 lines");
		companion->lines[companion->line_count++] = expect_string(p);
		parse_expect(p, PUNCT(0, ';'));
	}
	*p->unit->companions_end = companion;
	p->unit->companions_end = &companion->next;
}

static void parse_operation(struct parser *p, const char *doc)
{
	struct operation *operation = arena_alloc(&p->c->arena, sizeof(*operation));

	operation->doc = doc;
	operation->pos = p->lexer.token.pos;
	operation->name = parse_name(p, "a name");
	parse_expect(p, PUNCT(0, '='));
	operation->code = parse_expr(p);
	parse_expect(p, PUNCT(0, '{'));
	while (!parse_take_punct(p, PUNCT(0, '}'))) {
		if (parse_take(p, "request"))
			operation->request_name = parse_name(p, "the name of a structure");
		else if (parse_take(p, "reply"))
			operation->reply_name = parse_name(p, "the name of a structure");
		else if (parse_take(p, "errors"))
			operation->errors_name = parse_name(p, "the name of an enum");
		else if (parse_take(p, "fds"))
			operation->fds = parse_expr(p);
		else if (parse_take(p, "reply_fds"))
			operation->reply_fds = parse_expr(p);
		else
			parse_fail(
				p,
				"request, reply, errors, fds or reply_fds must stand here, not %s",
				describe(p));
		parse_expect(p, PUNCT(0, ';'));
	}
	*p->unit->operations_end = operation;
	p->unit->operations_end = &operation->next;
}

static void parse_root_defaults(struct parser *p, struct root *root)
{
	struct root_default **end = &root->defaults;

	do {
		struct root_default *value = arena_alloc(&p->c->arena, sizeof(*value));

		value->pos = p->lexer.token.pos;
		value->name = parse_name(p, "the name of a parameter");
		parse_expect(p, PUNCT(0, '='));
		value->value = parse_expr(p);
		*end = value;
		end = &value->next;
	} while (parse_take_punct(p, PUNCT(0, ',')));
	parse_expect(p, PUNCT(0, ')'));
}

static void parse_root(struct parser *p, const char *doc)
{
	struct root *root = arena_alloc(&p->c->arena, sizeof(*root));

	(void)doc;
	root->pos = p->lexer.token.pos;
	root->name = parse_name(p, "the name of a structure");
	if (parse_take_punct(p, PUNCT(0, '(')))
		parse_root_defaults(p, root);
	parse_expect(p, PUNCT(0, ';'));
	*p->unit->roots_end = root;
	p->unit->roots_end = &root->next;
}

static void parse_enum(struct parser *p, const char *doc)
{
	parse_set(p, doc, false);
}

static void parse_flags(struct parser *p, const char *doc)
{
	parse_set(p, doc, true);
}

static const struct {
	const char *word;
	void (*parse)(struct parser *p, const char *doc);
} declarations[] = {
	{"struct", parse_struct}, {"enum", parse_enum},           {"flags", parse_flags},
	{"const", parse_const},   {"import", parse_import},       {"include", parse_include},
	{"extern", parse_extern}, {"companion", parse_companion}, {"operation", parse_operation},
	{"ioctl", parse_ioctl},   {"root", parse_root},
};
#define DECLARATIONS (sizeof(declarations) / sizeof(declarations[0]))

static size_t find_declaration(const struct parser *p)
{
	for (size_t i = 0; i < DECLARATIONS; i++)
		if (parse_is(p, declarations[i].word))
			return i;
	return DECLARATIONS;
}

static void parse_declaration(struct parser *p)
{
	const size_t which = find_declaration(p);
	const char *doc = p->lexer.token.doc;

	if (which == DECLARATIONS)
		parse_fail(p, "a declaration must stand here, not %s", describe(p));
	lex_next(&p->lexer);
	p->word_bytes = 0;
	declarations[which].parse(p, doc);
}

static void parse_format(struct parser *p)
{
	static const char *const orders[] = {"little", "big", "native", "runtime"};

	p->unit->doc = p->lexer.token.doc;
	expect_word(p, "format");
	p->unit->format = parse_name(p, "the name of the format");
	for (unsigned i = 0; i < 4; i++)
		if (parse_take(p, orders[i])) {
			p->unit->order = (enum order)i;
			parse_expect(p, PUNCT(0, ';'));
			return;
		}
	parse_fail(p, "little, big, native or runtime must stand here, not %s", describe(p));
}

static void skip_to_declaration(struct parser *p)
{
	while (p->lexer.token.kind != TOKEN_END &&
	       (p->lexer.token.pos.column != 1 || find_declaration(p) == DECLARATIONS))
		lex_next(&p->lexer);
}

static void unit_init(struct unit *unit)
{
	unit->format = "";
	unit->imports_end = &unit->imports;
	unit->includes_end = &unit->includes;
	unit->constants_end = &unit->constants;
	unit->sets_end = &unit->sets;
	unit->structs_end = &unit->structs;
	unit->digests_end = &unit->digests;
	unit->companions_end = &unit->companions;
	unit->operations_end = &unit->operations;
	unit->ioctls_end = &unit->ioctls;
	unit->roots_end = &unit->roots;
}

void parse_unit(struct compiler *c, struct unit *unit)
{
	struct parser *p = arena_alloc(&c->arena, sizeof(*p));

	unit_init(unit);
	p->c = c;
	p->unit = unit;
	lex_start(&p->lexer, c, &unit->source);
	if (setjmp(p->recover) == 0) {
		c->depth = 0;
		parse_format(p);
	} else {
		skip_to_declaration(p);
	}
	while (p->lexer.token.kind != TOKEN_END) {
		c->depth = 0;
		if (setjmp(p->recover) == 0)
			parse_declaration(p);
		else
			skip_to_declaration(p);
	}
}
