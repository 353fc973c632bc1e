/* SPDX-License-Identifier: MIT */
/*
 * Structures and what stands in them.
 */
#include <string.h>

#include "wirec.h"

static struct item *parse_item(struct parser *p);

static struct item *new_item(struct parser *p, enum item_kind kind)
{
	struct item *item = arena_alloc(&p->c->arena, sizeof(*item));

	item->kind = kind;
	item->pos = p->lexer.token.pos;
	return item;
}

static struct field *new_field(struct parser *p, enum field_kind kind)
{
	struct field *field = arena_alloc(&p->c->arena, sizeof(*field));

	field->kind = kind;
	field->owner = p->strct;
	field->pos = p->lexer.token.pos;
	field->doc = p->lexer.token.doc;
	return field;
}

static void add_field(struct parser *p, struct field *field)
{
	const struct field *other = find_field(p->strct, field->name);

	if (other != NULL)
		report(p->c, &field->pos, "duplicate-name", "'%s' is already a field, at line %u",
		       field->name, other->pos.line);
	*p->strct->fields_end = field;
	p->strct->fields_end = &field->next;
}

static struct item *parse_block(struct parser *p)
{
	struct item *first = NULL, **end = &first;

	parse_deeper(p);
	parse_expect(p, PUNCT(0, '{'));
	while (!parse_take_punct(p, PUNCT(0, '}'))) {
		*end = parse_item(p);
		while (*end != NULL)
			end = &(*end)->next;
	}
	p->c->depth--;
	return first;
}

static enum padding parse_padding(struct parser *p)
{
	if (parse_take(p, "keep"))
		return PADDING_KEEP;
	if (parse_take(p, "check"))
		return PADDING_CHECK;
	parse_take(p, "zero");
	return PADDING_ZERO;
}

/* ---- fields ---- */

static void parse_args(struct parser *p, struct args *args)
{
	args->list = arena_alloc(&p->c->arena, 16 * sizeof(struct expr *));
	do {
		if (args->count == 16)
			parse_fail(p, "more than 16 arguments");
		args->list[args->count++] = parse_expr(p);
	} while (parse_take_punct(p, PUNCT(0, ',')));
	parse_expect(p, PUNCT(0, ')'));
}

void parse_type(struct parser *p, struct field *field)
{
	if (parse_scalar(p, &field->scalar))
		return;
	field->scalar = (struct scalar){.bytes = 2, .order = p->unit->order};
	if (parse_take(p, "bytes")) {
		field->type = TYPE_BYTES;
	} else if (parse_take(p, "char")) {
		field->type = TYPE_TEXT;
	} else if (parse_take(p, "utf16")) {
		field->type = TYPE_UTF16;
	} else if (parse_take(p, "utf16le")) {
		field->type = TYPE_UTF16;
		field->scalar.order = ORDER_LITTLE;
	} else if (parse_take(p, "utf16be")) {
		field->type = TYPE_UTF16;
		field->scalar.order = ORDER_BIG;
	} else {
		field->type = TYPE_STRUCT;
		field->type_name = parse_name(p, "a type");
		if (parse_take_punct(p, PUNCT(0, '.'))) {
			field->type_unit = field->type_name;
			field->type_name = parse_name(p, "a type");
		}
		if (parse_take_punct(p, PUNCT(0, '(')))
			parse_args(p, &field->args);
	}
}

void parse_array(struct parser *p, struct field *field, bool is_target)
{
	if (!parse_take_punct(p, PUNCT(0, '[')))
		return;
	field->array = ARRAY_COUNT;
	if (parse_take_punct(p, PUNCT('.', '.'))) {
		field->array = ARRAY_REST;
	} else if (parse_take(p, "until")) {
		field->array = ARRAY_UNTIL;
		field->count = parse_expr(p);
		if (parse_take(p, "max"))
			field->max_count = parse_expr(p);
	} else if (parse_is(p, "size")) {
		/* "size expr", unless it is an expression that starts with the word. */
		const struct lexer before = p->lexer;

		lex_next(&p->lexer);
		if (p->lexer.token.kind == TOKEN_PUNCT && !parse_is_punct(p, PUNCT(0, '(')) &&
		    !parse_is_punct(p, PUNCT(0, '!')) && !parse_is_punct(p, PUNCT(0, '~')))
			p->lexer = before;
		else
			field->array = ARRAY_SIZE;
		field->count = parse_expr(p);
	} else {
		field->count = parse_expr(p);
		if (is_target && parse_take(p, "max"))
			field->max_count = parse_expr(p);
	}
	parse_expect(p, PUNCT(0, ']'));
}

static void parse_constant(struct parser *p, struct field *field)
{
	if (field->constant != NULL || field->string != NULL)
		parse_fail(p, "a field has one constant");
	if (p->lexer.token.kind != TOKEN_STRING) {
		field->constant = parse_expr(p);
		return;
	}
	field->string = p->lexer.token.string;
	field->string_length = p->lexer.token.string_length;
	lex_next(&p->lexer);
}

static bool parse_text_rule(struct parser *p, struct field *field)
{
	static const char *const rules[] = {"zero_padded", "terminated", "space_padded", "exact"};

	for (unsigned i = 0; i < 4; i++)
		if (parse_take(p, rules[i])) {
			if (field->type != TYPE_TEXT && field->type != TYPE_UTF16)
				parse_fail(p, "only char and utf16 are %s", rules[i]);
			field->text_rule = (enum text_rule)i;
			return true;
		}
	return false;
}

/* What since and until mean, in the words of the rest of the language. */
static struct expr *version_test(struct parser *p, const struct pos *pos, unsigned op)
{
	struct expr *e = arena_alloc(&p->c->arena, sizeof(*e));
	struct expr *version = arena_alloc(&p->c->arena, sizeof(*version));

	if (p->strct->version == NULL)
		parse_fail(p, "since and until need a 'version' item before them");
	*version = *p->strct->version;
	e->kind = EXPR_BINARY;
	e->pos = *pos;
	e->op = op;
	e->a = version;
	e->b = parse_expr(p);
	return e;
}

static struct item *versioned(struct parser *p, struct item *inside, struct expr *test)
{
	struct item *item = new_item(p, ITEM_IF);

	item->pos = test->pos;
	item->expr = test;
	item->body = inside;
	return item;
}

static bool parse_constraint(struct parser *p, struct field *field)
{
	if (parse_take_punct(p, PUNCT(0, '='))) {
		parse_constant(p, field);
	} else if (parse_take(p, "in")) {
		field->ranges = parse_ranges(p);
	} else if (parse_take(p, "as")) {
		field->as_name = parse_name(p, "the name of an enum or flags");
		if (parse_take_punct(p, PUNCT(0, '.'))) {
			field->as_unit = field->as_name;
			field->as_name = parse_name(p, "the name of an enum or flags");
		}
	} else if (field->kind == FIELD_PLAIN && parse_take(p, "to")) {
		parse_pointer(p, field);
	} else {
		return parse_text_rule(p, field);
	}
	return true;
}

/* The item of a field; wrapped into conditions if it has since or until. */
static struct item *parse_field(struct parser *p, struct expr *at)
{
	struct item *item = new_item(p, ITEM_FIELD), *result = item;
	struct field *field = new_field(p, FIELD_PLAIN);

	item->at = at;
	item->field = field;
	parse_type(p, field);
	field->pos = item->pos = p->lexer.token.pos;
	field->name = parse_name(p, "the field's name");
	parse_array(p, field, false);
	for (;;) {
		const struct pos pos = p->lexer.token.pos;

		if (parse_constraint(p, field))
			continue;
		if (parse_take(p, "since"))
			result = versioned(p, result, version_test(p, &pos, PUNCT('>', '=')));
		else if (parse_take(p, "until"))
			result = versioned(p, result, version_test(p, &pos, PUNCT('<', '=')));
		else
			break;
	}
	parse_expect(p, PUNCT(0, ';'));
	add_field(p, field);
	return result;
}

/* ---- bits ---- */

static struct bit *parse_bit(struct parser *p, struct item *item)
{
	struct bit *bit = arena_alloc(&p->c->arena, sizeof(*bit));
	struct field *field = new_field(p, FIELD_BIT);

	bit->pos = p->lexer.token.pos;
	field->name = parse_name(p, "the name of bits");
	parse_expect(p, PUNCT(0, ':'));
	bit->width_expr = parse_expr(p);
	if (strcmp(field->name, "pad") == 0) {
		bit->padding = parse_padding(p);
	} else {
		bit->field = field;
		field->bits = item;
		field->scalar = item->scalar;
		while (parse_constraint(p, field))
			;
		add_field(p, field);
	}
	parse_expect(p, PUNCT(0, ';'));
	return bit;
}

static struct item *parse_bits(struct parser *p)
{
	struct item *item = new_item(p, ITEM_BITS);
	struct bit **end = &item->bit_list;

	if (!parse_scalar(p, &item->scalar) || item->scalar.is_signed)
		parse_fail(p, "an unsigned scalar must stand after bits");
	item->msb_first = parse_take(p, "msb");
	if (!item->msb_first && !parse_take(p, "lsb"))
		parse_fail(p, "lsb or msb must say which bits come first");
	if (p->lexer.token.kind == TOKEN_NAME)
		item->text = parse_name(p, "a name");
	parse_expect(p, PUNCT(0, '{'));
	do {
		*end = parse_bit(p, item);
		end = &(*end)->next;
	} while (!parse_take_punct(p, PUNCT(0, '}')));
	return item;
}

/* ---- conditions ---- */

/* A condition in parentheses, and what depends on it. */
static struct item *parse_conditional(struct parser *p, enum item_kind kind)
{
	struct item *item = new_item(p, kind);

	parse_expect(p, PUNCT(0, '('));
	item->expr = parse_expr(p);
	parse_expect(p, PUNCT(0, ')'));
	item->body = parse_block(p);
	return item;
}

static struct item *parse_if(struct parser *p)
{
	struct item *item = parse_conditional(p, ITEM_IF);

	if (!parse_take(p, "else"))
		return item;
	if (!parse_take(p, "if")) {
		item->orelse = parse_block(p);
		return item;
	}
	parse_deeper(p);
	item->orelse = parse_if(p);
	p->c->depth--;
	return item;
}

static struct item *parse_when(struct parser *p)
{
	return parse_conditional(p, ITEM_WHEN);
}

static struct item *parse_covered(struct parser *p)
{
	struct item *item = new_item(p, ITEM_COVERED);

	item->expr = parse_expr(p);
	item->body = parse_block(p);
	return item;
}

static struct arm *parse_arm(struct parser *p)
{
	struct arm *arm = arena_alloc(&p->c->arena, sizeof(*arm));

	arm->pos = p->lexer.token.pos;
	if (parse_take(p, "default"))
		arm->is_default = true;
	else if (parse_take(p, "case"))
		arm->cases = parse_ranges(p);
	else
		parse_fail(p, "case or default must stand here");
	parse_expect(p, PUNCT(0, ':'));
	if (parse_take(p, "refuse")) {
		arm->is_refuse = true;
		parse_expect(p, PUNCT(0, ';'));
	} else {
		arm->body =
			parse_is_punct(p, PUNCT(0, '{')) ? parse_block(p) : parse_field(p, NULL);
	}
	return arm;
}

static struct item *parse_union(struct parser *p)
{
	struct item *item = new_item(p, ITEM_UNION);
	struct arm **end = &item->arms;

	item->pos = p->lexer.token.pos;
	item->text = parse_name(p, "the union's name");
	if (!parse_take(p, "on")) {
		report(p->c, &item->pos, "selector",
		       "the union '%s' has no selector: write 'on' and an expression after its "
		       "name",
		       item->text);
		longjmp(p->recover, 1);
	}
	item->expr = parse_expr(p);
	if (parse_take(p, "size"))
		item->size_expr = parse_expr(p);
	parse_expect(p, PUNCT(0, '{'));
	while (!parse_take_punct(p, PUNCT(0, '}'))) {
		*end = parse_arm(p);
		end = &(*end)->next;
	}
	return item;
}

/* ---- the rest ---- */

static struct item *parse_pad(struct parser *p)
{
	struct item *item = new_item(p, ITEM_PAD);

	parse_expect(p, PUNCT(0, '['));
	item->expr = parse_expr(p);
	parse_expect(p, PUNCT(0, ']'));
	item->padding = parse_padding(p);
	parse_expect(p, PUNCT(0, ';'));
	return item;
}

static struct item *parse_align(struct parser *p)
{
	struct item *item = new_item(p, ITEM_ALIGN);

	item->expr = parse_expr(p);
	item->padding = parse_padding(p);
	parse_expect(p, PUNCT(0, ';'));
	return item;
}

static struct item *parse_join(struct parser *p)
{
	struct item *item = new_item(p, ITEM_JOIN);
	struct field *field = new_field(p, FIELD_JOIN);

	item->field = field;
	if (!parse_scalar(p, &field->scalar))
		parse_fail(p, "a scalar such as u64 must stand after join");
	field->pos = item->pos = p->lexer.token.pos;
	field->name = parse_name(p, "the joined value's name");
	parse_expect(p, PUNCT(0, '{'));
	field->part_names = parse_name_list(p, "the name of a part", &field->part_count);
	parse_expect(p, PUNCT(0, '}'));
	parse_expect(p, PUNCT(0, ';'));
	add_field(p, field);
	return item;
}

static struct item *parse_assert(struct parser *p)
{
	struct item *item = new_item(p, ITEM_ASSERT);

	item->expr = parse_expr(p);
	if (p->lexer.token.kind != TOKEN_STRING)
		parse_fail(p, "text in quotes must say what is wrong");
	item->text = p->lexer.token.string;
	lex_next(&p->lexer);
	parse_expect(p, PUNCT(0, ';'));
	return item;
}

static struct piece *parse_piece(struct parser *p)
{
	static const struct {
		const char *word;
		unsigned bytes;
		bool is_big;
	} values[] = {{"le16", 2, false}, {"le32", 4, false}, {"le64", 8, false},
		      {"be16", 2, true},  {"be32", 4, true},  {"be64", 8, true}};
	struct piece *piece = arena_alloc(&p->c->arena, sizeof(*piece));

	piece->pos = p->lexer.token.pos;
	if (parse_take(p, "self")) {
		piece->kind = PIECE_SELF;
		parse_expect(p, PUNCT(0, '['));
		piece->from = parse_expr(p);
		parse_expect(p, PUNCT('.', '.'));
		piece->to = parse_expr(p);
		parse_expect(p, PUNCT(0, ']'));
		return piece;
	}
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (!parse_take(p, values[i].word))
			continue;
		piece->kind = PIECE_VALUE;
		piece->bytes = values[i].bytes;
		piece->is_big = values[i].is_big;
		parse_expect(p, PUNCT(0, '('));
		piece->from = parse_expr(p);
		parse_expect(p, PUNCT(0, ')'));
		return piece;
	}
	piece->kind = PIECE_BYTES;
	piece->from = parse_expr(p);
	return piece;
}

static struct item *parse_checksum(struct parser *p)
{
	struct item *item = new_item(p, ITEM_CHECKSUM);
	struct checksum *sum = arena_alloc(&p->c->arena, sizeof(*sum));
	struct piece **end = &sum->pieces;

	item->checksum = sum;
	sum->pos = item->pos;
	sum->field_names =
		parse_name_list(p, "the name of the checksum's field", &sum->field_count);
	parse_expect(p, PUNCT(0, '='));
	sum->algorithm = parse_name(p, "the name of an algorithm");
	if (parse_take(p, "seed"))
		sum->seed = parse_expr(p);
	if (!parse_take(p, "over"))
		parse_fail(p, "'over' must say what the checksum covers");
	do {
		*end = parse_piece(p);
		end = &(*end)->next;
	} while (parse_take_punct(p, PUNCT(0, ',')));
	if (parse_take(p, "skip"))
		sum->skip_names = parse_name_list(p, "the name of a field", &sum->skip_count);
	if (parse_take(p, "if"))
		sum->condition = parse_expr(p);
	parse_expect(p, PUNCT(0, ';'));
	*p->strct->checksums_end = sum;
	p->strct->checksums_end = &sum->next;
	return item;
}

static struct item *parse_order(struct parser *p)
{
	struct item *item = new_item(p, ITEM_ORDER);

	if (!parse_take(p, "by"))
		parse_fail(p, "'by' must stand after order");
	item->pos = p->lexer.token.pos;
	item->text = parse_name(p, "the name of a field");
	parse_expect(p, PUNCT(0, ';'));
	if (p->strct->order_by != NULL)
		report(p->c, &item->pos, "order", "a structure has one 'order by'");
	p->strct->order_by = item;
	return item;
}

static struct item *parse_version(struct parser *p)
{
	struct item *item = new_item(p, ITEM_VERSION);

	item->expr = parse_expr(p);
	parse_expect(p, PUNCT(0, ';'));
	p->strct->version = item->expr;
	return item;
}

static struct item *parse_at(struct parser *p)
{
	struct expr *at = parse_expr(p);

	parse_expect(p, PUNCT(0, ':'));
	return parse_field(p, at);
}

static const struct {
	const char *word;
	struct item *(*parse)(struct parser *p);
} items[] = {
	{"bits", parse_bits},
	{"if", parse_if},
	{"when", parse_when},
	{"covered", parse_covered},
	{"union", parse_union},
	{"pad", parse_pad},
	{"align", parse_align},
	{"join", parse_join},
	{"assert", parse_assert},
	{"order", parse_order},
	{"checksum", parse_checksum},
	{"version", parse_version},
	{"at", parse_at},
};

static struct item *parse_item(struct parser *p)
{
	const struct pos pos = p->lexer.token.pos;

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		if (parse_take(p, items[i].word)) {
			struct item *item = items[i].parse(p);

			/* Mistakes in what has a name are shown at the name. */
			if (item->field == NULL && item->kind != ITEM_UNION &&
			    item->kind != ITEM_ORDER)
				item->pos = pos;
			return item;
		}
	return parse_field(p, NULL);
}

static void parse_param(struct parser *p, struct param ***end)
{
	struct param *param = arena_alloc(&p->c->arena, sizeof(*param));
	struct scalar scalar;

	if (parse_take(p, "bool")) {
		param->kind = PARAM_BOOL;
		param->bits = 8;
	} else if (parse_take(p, "bytes")) {
		param->kind = PARAM_BYTES;
	} else if (parse_scalar(p, &scalar) && !scalar.is_signed &&
		   (scalar.bytes & (scalar.bytes - 1)) == 0) {
		param->bits = scalar.bytes * 8;
	} else {
		parse_fail(p, "u8, u16, u32, u64, bool or bytes must stand before a parameter");
	}
	param->pos = p->lexer.token.pos;
	param->name = parse_name(p, "the parameter's name");
	for (const struct param *other = p->strct->params; other != NULL; other = other->next)
		if (other->name == param->name)
			report(p->c, &param->pos, "duplicate-name", "'%s' is already a parameter",
			       param->name);
	**end = param;
	*end = &param->next;
}

/* What follows the name @name, with words of @word_bytes. */
static struct strct *parse_layout(struct parser *p, const struct strct *named, const char *name,
				  unsigned word_bytes)
{
	struct strct *s = arena_alloc(&p->c->arena, sizeof(*s));
	struct param **end = &s->params;

	*s = *named;
	s->name = name;
	s->fields_end = &s->fields;
	s->checksums_end = &s->checksums;
	p->strct = s;
	p->word_bytes = word_bytes;
	if (parse_take_punct(p, PUNCT(0, '('))) {
		do
			parse_param(p, &end);
		while (parse_take_punct(p, PUNCT(0, ',')));
		parse_expect(p, PUNCT(0, ')'));
	}
	if (parse_take(p, "size"))
		s->size_expr = parse_expr(p);
	s->items = parse_block(p);
	add_symbol(
		p->c, p->unit,
		&(struct symbol){.name = s->name, .pos = s->pos, .kind = SYMBOL_STRUCT, .what = s});
	*p->unit->structs_end = s;
	p->unit->structs_end = &s->next;
	p->unit->struct_count++;
	return s;
}

/* One that is `compat` is read twice, once for each width that words have. */
void parse_struct(struct parser *p, const char *doc)
{
	struct strct named = {.unit = p->unit, .doc = doc, .pos = p->lexer.token.pos};
	const char *name = parse_name(p, "the structure's name");
	const bool is_compat = parse_take(p, "compat");
	const struct lexer start = p->lexer;
	const unsigned errors = p->c->errors;
	struct strct *s = parse_layout(p, &named, name, is_compat ? 8 : 0);

	if (!is_compat || p->c->errors != errors)
		return;
	p->lexer = start;
	named.is_narrow = true;
	name = arena_format(&p->c->arena, "%s_32", name);
	name = intern(&p->c->arena, &p->c->names, name, strlen(name));
	s->narrow = parse_layout(p, &named, name, 4);
}
