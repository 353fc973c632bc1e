/* SPDX-License-Identifier: MIT */
/*
 * Names in C: none may be a keyword, and no two things may get the same one.
 */
#include <string.h>

#include "emit.h"

static bool is_keyword(const char *name)
{
	static const char *const keywords[] = {
		"auto",    "break",  "case",     "char",   "const",    "continue", "default",
		"do",      "double", "else",     "enum",   "extern",   "float",    "for",
		"goto",    "if",     "inline",   "int",    "long",     "register", "restrict",
		"return",  "short",  "signed",   "sizeof", "static",   "struct",   "switch",
		"typedef", "union",  "unsigned", "void",   "volatile", "while",    "asm",
		"typeof",  "bool",   "true",     "false",  "NULL",
	};

	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (strcmp(keywords[i], name) == 0)
			return true;
	return strncmp(name, "wire_", 5) == 0;
}

/* C names of one file so far, by hash. */
struct taken {
	struct compiler *c;
	struct names names;
};

static void take(struct taken *taken, const struct pos *pos, const char *c_name)
{
	const size_t before = taken->names.used;

	intern(&taken->c->arena, &taken->names, c_name, strlen(c_name));
	if (taken->names.used == before)
		report(taken->c, pos, "duplicate-name",
		       "another thing here is called '%s' in C, too", c_name);
}

static void refuse_keyword(struct compiler *c, const struct pos *pos, const char *name)
{
	if (is_keyword(name))
		report(c, pos, "reserved-name", "'%s' cannot be a name in C", name);
}

static void take_struct(struct emit *e, struct taken *taken, const struct strct *s)
{
	static const char *const tags[] = {"", "_view", "_values"};
	static const char *const own[] = {"check",      "scan",      "open",     "init", "seal",
					  "equal",      "walk",      "copy",     "from", "order",
					  "write",      "measure",   "format",   "put",  "checked",
					  "root_check", "root_walk", "root_seal"};
	const char *p = struct_prefix(e, s);

	refuse_keyword(taken->c, &s->pos, s->name);
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		take(taken, &s->pos, fmt(e, "struct %s%s", p, tags[i]));
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		take(taken, &s->pos, fmt(e, "%s_%s", p, own[i]));
	for (const struct param *param = s->params; param != NULL; param = param->next)
		refuse_keyword(taken->c, &param->pos, param->name);
}

static void take_field(struct emit *e, struct taken *taken, const struct field *field)
{
	const char *p = struct_prefix(e, field->owner);

	refuse_keyword(taken->c, &field->pos, field->name);
	take(taken, &field->pos, fmt(e, "%s_%s", p, field->name));
	take(taken, &field->pos, fmt(e, "%s_set_%s", p, field->name));
	if (field->strct != NULL)
		take(taken, &field->pos, fmt(e, "%s_edit_%s", p, field->name));
	if (field->guard != NULL)
		take(taken, &field->pos, fmt(e, "%s_has_%s", p, field->name));
	if (field->target != NULL)
		take(taken, &field->pos, fmt(e, "%s_at_%s", p, field->name));
	if (field->array != ARRAY_NONE)
		take(taken, &field->pos, fmt(e, "%s_%s_count", p, field->name));
	if (field->strct != NULL && field->array != ARRAY_NONE) {
		take(taken, &field->pos, fmt(e, "%s_%s_next", p, field->name));
		take(taken, &field->pos, fmt(e, "%s_%s_at", p, field->name));
	}
}

static void take_ioctl(struct emit *e, struct taken *taken, const struct ioctl *ioctl)
{
	const char *name = upper(e, fmt(e, "%s_ioctl_%s", e->unit->format, ioctl->name));

	take(taken, &ioctl->pos, name);
	if (has_narrow_number(ioctl))
		take(taken, &ioctl->pos, fmt(e, "%s_32", name));
}

/* Members of the C structure that are no fields: unions and named bits. */
static void check_members(struct emit *e, const struct strct *s, const struct item *item)
{
	for (; item != NULL; item = item->next) {
		if (item->kind == ITEM_WHEN)
			check_members(e, s, item->body);
		if ((item->kind != ITEM_UNION && item->kind != ITEM_BITS) || item->text == NULL)
			continue;
		refuse_keyword(e->c, &item->pos, item->text);
		if (find_field(s, item->text) != NULL)
			report(e->c, &item->pos, "duplicate-name", "'%s' is already a field",
			       item->text);
	}
}

void check_c_names(struct compiler *c, struct unit *unit)
{
	struct emit e = {.c = c, .unit = unit};
	struct taken taken = {.c = c};

	for (const struct strct *s = unit->structs; s != NULL; s = s->next) {
		take_struct(&e, &taken, s);
		for (const struct field *field = s->fields; field != NULL; field = field->next)
			take_field(&e, &taken, field);
		check_members(&e, s, s->items);
	}
	for (const struct set_list *entry = unit->sets; entry != NULL; entry = entry->next) {
		const struct set *set = entry->set;

		take(&taken, &set->pos, fmt(&e, "struct %s_%s", unit->format, set->name));
		take(&taken, &set->pos, fmt(&e, "%s_%s_known", unit->format, set->name));
		for (const struct member *member = set->members; member != NULL;
		     member = member->next)
			take(&taken, &member->pos,
			     upper(&e, fmt(&e, "%s_%s_%s", unit->format, set->name, member->name)));
	}
	for (const struct constant *k = unit->constants; k != NULL; k = k->next)
		take(&taken, &k->pos, upper(&e, fmt(&e, "%s_%s", unit->format, k->name)));
	for (const struct ioctl *k = unit->ioctls; k != NULL; k = k->next)
		take_ioctl(&e, &taken, k);
	for (const struct companion *k = unit->companions; k != NULL; k = k->next) {
		take(&taken, &k->pos, fmt(&e, "struct %s_%s_%s", unit->format, k->of, k->name));
		take(&taken, &k->pos, fmt(&e, "%s_%s_%s_of", unit->format, k->of, k->name));
	}
}
