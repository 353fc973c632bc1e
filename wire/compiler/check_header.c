/* SPDX-License-Identifier: MIT */
/*
 * wirec --check-header: whether a structure of a C header still has the layout of a description.
 * The C compiler itself says what the header has: preprocessed, for the members' names; compiled,
 * for their places, which stand as digits in the object file, so that nothing has to be run and a
 * compiler for another machine will do.
 *
 * Members and fields are matched by name; a prefix up to the first underscore may be missing. What
 * has no partner by name must agree by place: no field may straddle the bounds of a member, and no
 * member may lie where the description has nothing.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wirec.h"

#define MARK   "wire-facts:"
#define DIGITS 10

struct member_fact {
	const char *name;
	bool is_bits; /* or a flexible array: has no offsetof or no size */
	uint64_t offset, size;
	bool is_described;
};

struct check {
	struct compiler *c;
	const char *header, *name, *cc;
	const struct strct *s;
	const char *source, *output;
	struct member_fact *members;
	unsigned count;
	uint64_t size;
	unsigned differences;
};

__attribute__((format(printf, 2, 3))) static int fail(struct check *k, const char *format, ...)
{
	va_list arguments;

	text_format(&k->c->messages, "wirec: %s: struct %s: ", k->header, k->name);
	va_start(arguments, format);
	text_vformat(&k->c->messages, format, arguments);
	va_end(arguments);
	text_put(&k->c->messages, "\n", 1);
	return -1;
}

__attribute__((format(printf, 2, 3))) static void differ(struct check *k, const char *format, ...)
{
	va_list arguments;

	text_format(&k->c->messages, "%s: struct %s: ", k->header, k->name);
	va_start(arguments, format);
	text_vformat(&k->c->messages, format, arguments);
	va_end(arguments);
	text_put(&k->c->messages, "\n", 1);
	k->differences++;
}

/* ---- the C compiler ---- */

/** Words of @cc, then @more; at most 60. */
static char **make_arguments(struct check *k, const char *const *more)
{
	char **words = arena_alloc(&k->c->arena, 64 * sizeof(*words));
	char *rest = arena_copy(&k->c->arena, k->cc, strlen(k->cc));
	unsigned count = 0;

	for (char *word; count < 48 && (word = strtok_r(rest, " ", &rest)) != NULL;)
		words[count++] = word;
	for (; *more != NULL; more++)
		words[count++] = arena_copy(&k->c->arena, *more, strlen(*more));
	words[count] = NULL;
	return words;
}

static int run_compiler(struct check *k, const char *mode)
{
	const char *const more[] = {mode, "-P", "-w", "-o", k->output, k->source, NULL};
	char **arguments = make_arguments(k, more);
	int status, error;
	pid_t child;

	error = posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ);
	if (error != 0)
		return fail(k, "cannot run '%s': %s", k->cc, strerror(error));
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return fail(k, "lost '%s': %s", k->cc, strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return fail(k, "'%s' refuses the header", k->cc);
	return 0;
}

static int write_source(struct check *k, const struct text *text)
{
	FILE *file = fopen(k->source, "we");
	bool good;

	if (file == NULL)
		return fail(k, "%s: %s", k->source, strerror(errno));
	good = fwrite(text->data, 1, text->length, file) == text->length;
	if (fclose(file) != 0 || !good)
		return fail(k, "%s: cannot write", k->source);
	return 0;
}

/** Compiles "@head @body" and returns what comes out, or NULL. */
static const char *compile_text(struct check *k, const char *mode, const struct text *body,
				size_t *length)
{
	struct text text = {0};
	const char *result = NULL;
	char path[PATH_MAX];

	if (realpath(k->header, path) == NULL) {
		fail(k, "%s", strerror(errno));
		return NULL;
	}
	text_format(&text, "#include <stddef.h>\n#include \"%s\"\n", path);
	if (body != NULL)
		text_put(&text, body->data, body->length);
	if (write_source(k, &text) == 0 && run_compiler(k, mode) == 0) {
		result = k->c->read(&k->c->arena, k->output, length);
		if (result == NULL)
			fail(k, "%s: %s", k->output, strerror(errno));
	}
	text_finish(&text);
	unlink(k->source);
	unlink(k->output);
	return result;
}

/* ---- the members' names ---- */

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/** Behind the brace of "struct NAME {", or NULL. */
static const char *find_body(const struct check *k, const char *text)
{
	const size_t length = strlen(k->name);

	for (const char *p = text; (p = strstr(p, "struct")) != NULL; p++) {
		const char *q = p + 6 + strspn(p + 6, " \t\n");

		if ((p != text && is_word(p[-1])) || strncmp(q, k->name, length) != 0 ||
		    is_word(q[length]))
			continue;
		q += length;
		q += strspn(q, " \t\n");
		if (*q == '{')
			return q + 1;
	}
	return NULL;
}

/** The end of what is in brackets that open at @p. */
static const char *skip_brackets(const char *p)
{
	int depth = 0;

	for (; *p != '\0'; p++) {
		depth += *p == '(' || *p == '[' || *p == '{';
		depth -= *p == ')' || *p == ']' || *p == '}';
		if (depth == 0)
			return p + 1;
	}
	return p;
}

static void add_member(struct check *k, const char *name, size_t length, bool is_bits)
{
	if (k->count % 64 == 0) {
		struct member_fact *more =
			arena_alloc(&k->c->arena, (k->count + 64) * sizeof(*more));

		if (k->count != 0)
			memcpy(more, k->members, k->count * sizeof(*more));
		k->members = more;
	}
	k->members[k->count++] = (struct member_fact){
		.name = arena_copy(&k->c->arena, name, length), .is_bits = is_bits};
}

/** Whether what is in the braces that open at @brace has no name, so that its members are the outer
 * one's. */
static bool is_anonymous(const char *brace)
{
	const char *after = skip_brackets(brace);

	after += strspn(after, " \t\n");
	return *after == ';' || strncmp(after, "__attribute__", 13) == 0;
}

/** Finds the declarators of a body: the last word before [ , ; or :, outside brackets. */
static void find_members(struct check *k, const char *p)
{
	const char *word = NULL;
	size_t length = 0;
	bool is_bits = false;

	while (*p != '\0' && *p != '}') {
		if (strncmp(p, "__attribute__", 13) == 0) {
			p = skip_brackets(p + strcspn(p, "("));
		} else if (is_word(*p)) {
			/* What follows a colon is a width. */
			if (!is_bits) {
				word = p;
				length = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTU"
						   "VWXYZ_0123456789");
			}
			while (is_word(*p))
				p++;
		} else if (*p == '{') {
			if (is_anonymous(p))
				find_members(k, p + 1);
			p = skip_brackets(p);
			word = NULL;
		} else if (*p == ',' || *p == ';') {
			if (word != NULL)
				add_member(k, word, length, is_bits);
			word = NULL;
			is_bits = false;
			p++;
		} else if (*p == '[' || *p == '(') {
			is_bits |= *p == '[' && p[1 + strspn(p + 1, " \t\n")] == ']';
			p = skip_brackets(p);
		} else {
			is_bits |= *p++ == ':';
		}
	}
}

static int learn_names(struct check *k)
{
	size_t length;
	const char *text = compile_text(k, "-E", NULL, &length), *body;

	if (text == NULL)
		return -1;
	body = find_body(k, text);
	if (body == NULL)
		return fail(k, "the header has no such structure");
	find_members(k, body);
	return k->count != 0 ? 0 : fail(k, "has no members");
}

/* ---- the members' places ---- */

static void put_fact(struct text *text, const char *expression)
{
	uint64_t power = 1;

	for (unsigned i = 0; i < DIGITS; i++, power *= 10)
		text_format(text, "(char)('0' + (%s) / %lluULL %% 10),", expression,
			    (unsigned long long)power);
}

static uint64_t take_fact(const char **digits)
{
	uint64_t value = 0, power = 1;

	for (unsigned i = 0; i < DIGITS; i++, power *= 10)
		value += (uint64_t)(*(*digits)++ - '0') * power;
	return value;
}

static void put_facts(struct check *k, struct text *text)
{
	text_format(text, "const char wire_facts[] = {");
	for (const char *c = MARK; *c != '\0'; c++)
		text_format(text, "'%c',", *c);
	put_fact(text, arena_format(&k->c->arena, "sizeof(struct %s)", k->name));
	for (unsigned i = 0; i < k->count; i++) {
		const char *name = k->members[i].name;

		if (k->members[i].is_bits)
			continue;
		put_fact(text,
			 arena_format(&k->c->arena, "offsetof(struct %s, %s)", k->name, name));
		put_fact(text,
			 arena_format(&k->c->arena, "sizeof(((struct %s *)0)->%s)", k->name, name));
	}
	text_format(text, "};\n");
}

static int learn_places(struct check *k)
{
	struct text text = {0};
	const char *object, *facts;
	size_t length;

	put_facts(k, &text);
	object = compile_text(k, "-c", &text, &length);
	text_finish(&text);
	if (object == NULL)
		return -1;
	facts = memmem(object, length, MARK, strlen(MARK));
	if (facts == NULL)
		return fail(k, "'%s' leaves no facts in its output", k->cc);
	facts += strlen(MARK);
	k->size = take_fact(&facts);
	for (unsigned i = 0; i < k->count; i++) {
		if (k->members[i].is_bits)
			continue;
		k->members[i].offset = take_fact(&facts);
		k->members[i].size = take_fact(&facts);
	}
	return 0;
}

/* ---- the comparison ---- */

static bool has_place(const struct field *field)
{
	return field->kind != FIELD_JOIN && field->place.anchor == 0 &&
	       (field->kind == FIELD_BIT || field->is_sized);
}

static uint64_t field_size(const struct field *field)
{
	return field->kind == FIELD_BIT ? field->bits->scalar.bytes : field->size;
}

static bool names_match(const char *member, const char *field)
{
	const char *rest = strchr(member, '_');

	return strcasecmp(member, field) == 0 ||
	       (rest != NULL && rest[1] != '\0' && strcasecmp(rest + 1, field) == 0);
}

static void compare_by_name(struct check *k, struct member_fact *member, const struct field *field)
{
	member->is_described = true;
	if (member->offset != field->place.delta)
		differ(k, "%s: at byte %llu, but '%s' at byte %llu", member->name,
		       (unsigned long long)member->offset, field->name,
		       (unsigned long long)field->place.delta);
	else if (member->size != field_size(field))
		differ(k, "%s: %llu bytes, but '%s' has %llu", member->name,
		       (unsigned long long)member->size, field->name,
		       (unsigned long long)field_size(field));
}

/** A field without a partner must not straddle the bounds of a member. */
static void compare_by_place(struct check *k, struct member_fact *member, const struct field *field)
{
	const uint64_t start = field->place.delta, end = start + field_size(field);
	const uint64_t from = member->offset, to = from + member->size;

	if (start >= to || end <= from)
		return;
	member->is_described = true;
	if ((start < from || end > to) && (from < start || to > end))
		differ(k, "%s: bytes %llu to %llu, but '%s' bytes %llu to %llu", member->name,
		       (unsigned long long)from, (unsigned long long)to - 1, field->name,
		       (unsigned long long)start, (unsigned long long)end - 1);
}

/** Padding of the description stands for members that are called so. */
static bool is_padding(const char *name)
{
	static const char *const words[] = {"pad", "reserved", "rsvd", "resv", "unused", "spare"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasestr(name, words[i]) != NULL)
			return true;
	return false;
}

static void compare_member(struct check *k, struct member_fact *member)
{
	const struct field *field = k->s->fields;

	for (; field != NULL; field = field->next)
		if (has_place(field) && field->kind == FIELD_PLAIN &&
		    names_match(member->name, field->name)) {
			compare_by_name(k, member, field);
			return;
		}
	for (field = k->s->fields; field != NULL; field = field->next)
		if (has_place(field))
			compare_by_place(k, member, field);
	if (!member->is_described && !is_padding(member->name))
		differ(k, "%s: bytes %llu to %llu are not in the description", member->name,
		       (unsigned long long)member->offset,
		       (unsigned long long)(member->offset + member->size) - 1);
}

static void compare(struct check *k)
{
	for (unsigned i = 0; i < k->count; i++)
		if (!k->members[i].is_bits && k->members[i].size != 0)
			compare_member(k, &k->members[i]);
	if (k->s->is_fixed && k->s->size != k->size)
		differ(k, "%llu bytes, but '%s' has %llu", (unsigned long long)k->size, k->s->name,
		       (unsigned long long)k->s->size);
}

int check_header(struct compiler *c, const struct unit *unit, const struct header_check *what)
{
	struct check k = {.c = c, .header = what->header, .name = what->name, .cc = what->cc};
	const char *temporary = getenv("TMPDIR");
	char folder[PATH_MAX];
	int error;

	for (k.s = unit->structs; k.s != NULL; k.s = k.s->next)
		if (strcmp(k.s->name, what->as) == 0)
			break;
	if (k.s == NULL)
		return fail(&k, "%s has no structure '%s'", unit->source.path, what->as);
	snprintf(folder, sizeof(folder), "%s/wirec-XXXXXX", temporary != NULL ? temporary : "/tmp");
	if (mkdtemp(folder) == NULL)
		return fail(&k, "%s: %s", folder, strerror(errno));
	k.source = arena_format(&c->arena, "%s/check.c", folder);
	k.output = arena_format(&c->arena, "%s/check.out", folder);
	error = learn_names(&k);
	if (error == 0)
		error = learn_places(&k);
	if (error == 0)
		compare(&k);
	rmdir(folder);
	return error != 0 ? error : (int)k.differences;
}
