/* SPDX-License-Identifier: MIT */
/*
 * Characters to tokens.
 */
#include <string.h>

#include "wirec.h"

static bool is_letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static int peek(const struct lexer *lexer, size_t ahead)
{
	return lexer->at + ahead < lexer->source->length
		       ? (unsigned char)lexer->source->data[lexer->at + ahead]
		       : -1;
}

static struct pos here(const struct lexer *lexer)
{
	return (struct pos){
		.source = lexer->source,
		.line = lexer->line,
		.column = (unsigned)(lexer->at - lexer->line_start) + 1,
		.offset = lexer->at,
	};
}

static void step(struct lexer *lexer)
{
	if (peek(lexer, 0) == '\n') {
		lexer->line++;
		lexer->line_start = lexer->at + 1;
	}
	lexer->at++;
}

/* Text after "///" up to the line's end joins what earlier such lines said. */
static void take_doc(struct lexer *lexer, size_t start)
{
	size_t end = lexer->at;

	while (start < end && lexer->source->data[start] == ' ')
		start++;
	while (end > start &&
	       (lexer->source->data[end - 1] == ' ' || lexer->source->data[end - 1] == '\r'))
		end--;
	const char *line = arena_copy(&lexer->c->arena, lexer->source->data + start, end - start);

	lexer->doc = lexer->doc == NULL
			     ? line
			     : arena_format(&lexer->c->arena, "%s\n%s", lexer->doc, line);
}

static void skip_line_comment(struct lexer *lexer)
{
	const bool is_doc = peek(lexer, 2) == '/' && peek(lexer, 3) != '/';
	const size_t start = lexer->at + 3;

	while (peek(lexer, 0) >= 0 && peek(lexer, 0) != '\n')
		step(lexer);
	if (is_doc)
		take_doc(lexer, start);
}

static void skip_block_comment(struct lexer *lexer)
{
	const struct pos start = here(lexer);

	lexer->at += 2;
	while (peek(lexer, 0) >= 0 && !(peek(lexer, 0) == '*' && peek(lexer, 1) == '/'))
		step(lexer);
	if (peek(lexer, 0) < 0)
		report(lexer->c, &start, "syntax", "this comment does not end");
	else
		lexer->at += 2;
}

static void skip_space(struct lexer *lexer)
{
	for (;;) {
		const int c = peek(lexer, 0);

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
			step(lexer);
		else if (c == '/' && peek(lexer, 1) == '/')
			skip_line_comment(lexer);
		else if (c == '/' && peek(lexer, 1) == '*')
			skip_block_comment(lexer);
		else
			return;
	}
}

static int digit_value(int c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

static unsigned number_base(struct lexer *lexer)
{
	static const struct {
		char letter;
		unsigned base;
	} bases[] = {{'x', 16}, {'o', 8}, {'b', 2}};

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++)
		if (peek(lexer, 0) == '0' && peek(lexer, 1) == bases[i].letter) {
			lexer->at += 2;
			return bases[i].base;
		}
	return 10;
}

static unsigned number_suffix(struct lexer *lexer)
{
	static const char suffixes[] = "KMGT";
	const int c = peek(lexer, 0);
	const char *found = c > 0 ? strchr(suffixes, c) : NULL;

	if (found == NULL)
		return 0;
	lexer->at++;
	return 10 * (unsigned)(found - suffixes + 1);
}

static void lex_number(struct lexer *lexer)
{
	const unsigned base = number_base(lexer);
	uint64_t value = 0;
	bool overflow = false;
	unsigned digits = 0, shift;

	for (; digit_value(peek(lexer, 0)) < (int)base || peek(lexer, 0) == '_'; lexer->at++) {
		if (peek(lexer, 0) == '_')
			continue;
		overflow |= __builtin_mul_overflow(value, base, &value);
		overflow |= __builtin_add_overflow(value, (uint64_t)digit_value(peek(lexer, 0)),
						   &value);
		digits++;
	}
	shift = number_suffix(lexer);
	overflow |= shift != 0 && value >> (64 - shift) != 0;
	if (digits == 0 || is_letter(peek(lexer, 0)) || is_digit(peek(lexer, 0)))
		report(lexer->c, &lexer->token.pos, "syntax", "this is not a number");
	else if (overflow)
		report(lexer->c, &lexer->token.pos, "syntax", "this number has more than 64 bits");
	while (is_letter(peek(lexer, 0)) || is_digit(peek(lexer, 0)))
		lexer->at++;
	lexer->token.kind = TOKEN_NUMBER;
	lexer->token.number = value << shift;
}

static int lex_escape(struct lexer *lexer)
{
	static const char letters[] = "nt0\\\"'", values[] = "\n\t\0\\\"'";
	const struct pos pos = here(lexer);
	const int c = peek(lexer, 1);
	const char *found = c > 0 ? strchr(letters, c) : NULL;

	if (c == 'x' && digit_value(peek(lexer, 2)) < 16 && digit_value(peek(lexer, 3)) < 16) {
		lexer->at += 4;
		return digit_value((unsigned char)lexer->source->data[lexer->at - 2]) * 16 +
		       digit_value((unsigned char)lexer->source->data[lexer->at - 1]);
	}
	if (found != NULL) {
		lexer->at += 2;
		return (unsigned char)values[found - letters];
	}
	report(lexer->c, &pos, "syntax",
	       "only \\n \\t \\0 \\\\ \\\" \\' and \\xHH may follow a \\");
	lexer->at++;
	return 0;
}

static void lex_string(struct lexer *lexer, int quote)
{
	struct text *text = &lexer->c->scratch;

	text->length = 0;
	lexer->at++;
	while (peek(lexer, 0) != quote) {
		char c;

		if (peek(lexer, 0) < 0 || peek(lexer, 0) == '\n') {
			report(lexer->c, &lexer->token.pos, "syntax", "this text does not end");
			break;
		}
		c = (char)peek(lexer, 0);
		if (c == '\\')
			c = (char)lex_escape(lexer);
		else
			lexer->at++;
		text_put(text, &c, 1);
	}
	if (peek(lexer, 0) == quote)
		lexer->at++;
	lexer->token.kind = TOKEN_STRING;
	lexer->token.string = arena_copy(&lexer->c->arena, text->data, text->length);
	lexer->token.string_length = text->length;
}

static void lex_character(struct lexer *lexer)
{
	lex_string(lexer, '\'');
	if (lexer->token.string_length != 1)
		report(lexer->c, &lexer->token.pos, "syntax",
		       "one character stands between ' and '");
	lexer->token.kind = TOKEN_NUMBER;
	lexer->token.number = (unsigned char)lexer->token.string[0];
}

static void lex_name(struct lexer *lexer)
{
	const size_t start = lexer->at;

	while (is_letter(peek(lexer, 0)) || is_digit(peek(lexer, 0)))
		lexer->at++;
	lexer->token.kind = TOKEN_NAME;
	lexer->token.name = intern(&lexer->c->arena, &lexer->c->names, lexer->source->data + start,
				   lexer->at - start);
}

static void lex_punct(struct lexer *lexer)
{
	static const char *const doubles[] = {"..", "==", "!=", "<=", ">=", "<<", ">>", "&&", "||"};
	static const char singles[] = "{}()[];:,=.+-*/%<>!~&|^?";
	const int a = peek(lexer, 0), b = peek(lexer, 1);

	lexer->token.kind = TOKEN_PUNCT;
	for (size_t i = 0; i < sizeof(doubles) / sizeof(doubles[0]); i++)
		if (a == doubles[i][0] && b == doubles[i][1]) {
			lexer->token.punct = PUNCT(a, b);
			lexer->at += 2;
			return;
		}
	lexer->at++;
	if (a > 0 && strchr(singles, a) != NULL) {
		lexer->token.punct = PUNCT(0, a);
		return;
	}
	report(lexer->c, &lexer->token.pos, "syntax", "no character of the language");
	lex_next(lexer);
}

void lex_next(struct lexer *lexer)
{
	int c;

	skip_space(lexer);
	lexer->token = (struct token){.pos = here(lexer), .doc = lexer->doc};
	lexer->doc = NULL;
	c = peek(lexer, 0);
	if (c < 0)
		lexer->token.kind = TOKEN_END;
	else if (is_letter(c))
		lex_name(lexer);
	else if (is_digit(c))
		lex_number(lexer);
	else if (c == '"')
		lex_string(lexer, c);
	else if (c == '\'')
		lex_character(lexer);
	else
		lex_punct(lexer);
}

void lex_start(struct lexer *lexer, struct compiler *c, const struct source *source)
{
	*lexer = (struct lexer){.c = c, .source = source, .line = 1};
	lex_next(lexer);
}
