/* SPDX-License-Identifier: MIT */
/*
 * Declared names: the table of each file, and what types, constants, enums and flags stand for.
 */
#include <string.h>

#include "wirec.h"

static size_t slot_of(const struct unit *unit, const char *name)
{
	size_t at = ((uintptr_t)name >> 4) % unit->symbol_room;

	while (unit->symbols[at].name != NULL && unit->symbols[at].name != name)
		at = (at + 1) % unit->symbol_room;
	return at;
}

static void grow(struct compiler *c, struct unit *unit)
{
	struct symbol *old = unit->symbols;
	const size_t room = unit->symbol_room;

	unit->symbol_room = room == 0 ? 64 : room * 2;
	unit->symbols = arena_alloc(&c->arena, unit->symbol_room * sizeof(*old));
	for (size_t i = 0; i < room; i++)
		if (old[i].name != NULL)
			unit->symbols[slot_of(unit, old[i].name)] = old[i];
}

bool add_symbol(struct compiler *c, struct unit *unit, const struct symbol *symbol)
{
	struct symbol *slot;

	if (unit->symbol_count * 2 >= unit->symbol_room)
		grow(c, unit);
	slot = &unit->symbols[slot_of(unit, symbol->name)];
	if (slot->name != NULL) {
		report(c, &symbol->pos, "duplicate-name", "'%s' is already declared, at line %u",
		       symbol->name, slot->pos.line);
		return false;
	}
	*slot = *symbol;
	unit->symbol_count++;
	return true;
}

struct symbol *find_symbol(const struct unit *unit, const char *name)
{
	struct symbol *slot;

	if (unit->symbol_room == 0)
		return NULL;
	slot = &unit->symbols[slot_of(unit, name)];
	return slot->name == NULL ? NULL : slot;
}

struct symbol *find_symbol_in(const struct unit *unit, const char *format, const char *name)
{
	if (format == NULL || format == unit->format)
		return find_symbol(unit, name);
	for (const struct import *import = unit->imports; import != NULL; import = import->next)
		if (import->unit != NULL && import->unit->format == format)
			return find_symbol(import->unit, name);
	return NULL;
}

struct field *find_field(const struct strct *s, const char *name)
{
	for (struct field *field = s->fields; field != NULL; field = field->next)
		if (field->name == name)
			return field;
	return NULL;
}

uint64_t scalar_max(const struct scalar *scalar)
{
	return scalar->bytes == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * scalar->bytes)) - 1;
}

struct strct *struct_for(struct strct *s, bool narrow)
{
	return narrow && s->narrow != NULL ? s->narrow : s;
}

static bool resolve_as(struct compiler *c, struct unit *unit, struct field *field)
{
	const struct symbol *symbol;

	if (field->as_name == NULL)
		return true;
	symbol = find_symbol_in(unit, field->as_unit, field->as_name);
	if (symbol == NULL || symbol->kind != SYMBOL_SET) {
		report(c, &field->pos, "unknown-name", "there is no enum and no flags '%s'",
		       field->as_name);
		return false;
	}
	if (field->type != TYPE_SCALAR || field->scalar.is_signed) {
		report(c, &field->pos, "type",
		       "only unsigned scalars and bits can be 'as' something");
		return false;
	}
	field->set = symbol->what;
	return true;
}

bool resolve_type(struct compiler *c, struct unit *unit, struct field *field)
{
	const struct symbol *symbol;

	if (field->type != TYPE_STRUCT)
		return resolve_as(c, unit, field);
	symbol = find_symbol_in(unit, field->type_unit, field->type_name);
	if (symbol == NULL || (symbol->kind != SYMBOL_STRUCT && symbol->kind != SYMBOL_SET)) {
		report(c, &field->pos, "unknown-name", "there is no type '%s%s%s'",
		       field->type_unit == NULL ? "" : field->type_unit,
		       field->type_unit == NULL ? "" : ".", field->type_name);
		return false;
	}
	if (symbol->kind == SYMBOL_STRUCT) {
		field->strct =
			struct_for(symbol->what, field->owner != NULL && field->owner->is_narrow);
		return true;
	}
	field->set = symbol->what;
	field->type = TYPE_SCALAR;
	field->scalar = *field->set->scalar;
	return true;
}

static void resolve_set(struct scope *scope, struct set *set)
{
	const uint64_t limit = scalar_max(set->scalar);

	if (set->scalar->is_signed)
		report(scope->c, &set->pos, "type", "enums and flags are unsigned");
	for (struct member *member = set->members; member != NULL; member = member->next) {
		for (const struct member *other = set->members; other != member;
		     other = other->next)
			if (other->name == member->name)
				report(scope->c, &member->pos, "duplicate-name",
				       "'%s' already stands in line %u", member->name,
				       other->pos.line);
		if (!resolve_constant(scope, member->expr, "the value of a name", &member->value))
			continue;
		if (member->is_bit && member->value > 63)
			report(scope->c, &member->pos, "range", "there is no bit %llu",
			       (unsigned long long)member->value);
		else if (member->is_bit)
			member->value = UINT64_C(1) << member->value;
		if (member->value > limit)
			report(scope->c, &member->pos, "range", "%llu does not fit into %u bits",
			       (unsigned long long)member->value, 8 * set->scalar->bytes);
		set->mask |= member->value;
	}
}

static void resolve_digests(struct scope *scope, struct digest *digest)
{
	uint64_t size;

	for (; digest != NULL; digest = digest->next)
		if (resolve_constant(scope, digest->size, "the size of a digest", &size) &&
		    (size == 0 || size > 64))
			report(scope->c, &digest->pos, "size",
			       "a digest has 1 to 64 bytes, not %llu", (unsigned long long)size);
}

static struct strct *named_struct(struct compiler *c, struct unit *unit, const struct pos *pos,
				  const char *name)
{
	const struct symbol *symbol = find_symbol(unit, name);

	if (symbol != NULL && symbol->kind == SYMBOL_STRUCT)
		return symbol->what;
	report(c, pos, "unknown-name", "there is no structure '%s'", name);
	return NULL;
}

static struct strct *operand(struct compiler *c, struct unit *unit,
			     const struct operation *operation, const char *name)
{
	struct strct *s = name == NULL ? NULL : named_struct(c, unit, &operation->pos, name);

	if (s == NULL)
		return NULL;
	if (s->params != NULL || s->takes_order)
		report(c, &operation->pos, "type",
		       "'%s' has parameters or the byte order of something else; operations have "
		       "nothing to give it",
		       name);
	return s;
}

static void resolve_operation(struct scope *scope, struct operation *operation)
{
	struct unit *unit = scope->unit;
	const struct symbol *symbol;
	uint64_t code;

	operation->request = operand(scope->c, unit, operation, operation->request_name);
	operation->reply = operand(scope->c, unit, operation, operation->reply_name);
	if (resolve_constant(scope, operation->code, "the code of an operation", &code) &&
	    code > INT32_MAX)
		report(scope->c, &operation->pos, "range", "codes of operations go up to %d",
		       INT32_MAX);
	if (operation->fds != NULL)
		resolve_constant(scope, operation->fds, "the number of file descriptors", &code);
	if (operation->reply_fds != NULL)
		resolve_constant(scope, operation->reply_fds, "the number of file descriptors",
				 &code);
	if (operation->errors_name == NULL)
		return;
	symbol = find_symbol(unit, operation->errors_name);
	if (symbol == NULL || symbol->kind != SYMBOL_SET)
		report(scope->c, &operation->pos, "unknown-name", "there is no enum '%s'",
		       operation->errors_name);
	else
		operation->errors = symbol->what;
}

static void resolve_root(struct scope *scope, struct root *root)
{
	const struct param *param;

	root->strct = named_struct(scope->c, scope->unit, &root->pos, root->name);
	if (root->strct == NULL)
		return;
	for (struct root_default *value = root->defaults; value != NULL; value = value->next) {
		uint64_t number;

		for (param = root->strct->params; param != NULL && param->name != value->name;)
			param = param->next;
		if (param == NULL)
			report(scope->c, &value->pos, "unknown-name", "'%s' has no parameter '%s'",
			       root->name, value->name);
		resolve_constant(scope, value->value, "a default", &number);
	}
	for (param = root->strct->params; param != NULL; param = param->next)
		if (param->kind == PARAM_BYTES)
			report(scope->c, &root->pos, "type",
			       "a root cannot have parameters of bytes");
	if (root->strct->takes_order)
		report(scope->c, &root->pos, "order",
		       "a root must say its byte order: 'order by' is missing");
}

static void load_imports(struct compiler *c, struct unit *unit)
{
	for (struct import *import = unit->imports; import != NULL; import = import->next) {
		import->unit = load_import(c, unit, import);
		if (import->unit == NULL)
			continue;
		if (import->unit->progress == PROGRESS_RUNNING)
			report(c, &import->pos, "cycle", "'%s' imports this file", import->path);
	}
}

void resolve_unit(struct compiler *c, struct unit *unit)
{
	struct scope scope = {.c = c, .unit = unit};
	uint64_t ignored;

	unit->progress = PROGRESS_RUNNING;
	load_imports(c, unit);
	unit->sorted = arena_alloc(&c->arena, (unit->struct_count + 1) * sizeof(struct strct *));
	for (struct constant *k = unit->constants; k != NULL; k = k->next)
		resolve_constant(&scope, k->expr, "a constant", &ignored);
	for (struct set_list *entry = unit->sets; entry != NULL; entry = entry->next)
		resolve_set(&scope, entry->set);
	resolve_digests(&scope, unit->digests);
	for (struct strct *s = unit->structs; s != NULL; s = s->next)
		layout_struct(c, s);
	for (struct companion *k = unit->companions; k != NULL; k = k->next)
		k->strct = named_struct(c, unit, &k->pos, k->of);
	for (struct operation *k = unit->operations; k != NULL; k = k->next)
		resolve_operation(&scope, k);
	resolve_ioctls(c, unit);
	for (struct root *k = unit->roots; k != NULL; k = k->next)
		resolve_root(&scope, k);
	unit->progress = PROGRESS_DONE;
}
