/* SPDX-License-Identifier: MIT */
/*
 * Operations as Markdown for people, and as JSON for programs that have not been compiled with them
 * (the `caps` command). The JSON lists the items of a structure in their order; what it has no word
 * for is "other", and such a structure can only be sent and shown as bytes.
 */
#include <string.h>

#include "emit.h"

/** Structures and sets that operations reach, each once. */
struct reach {
	const struct strct *structs[256];
	const struct set *sets[256];
	unsigned struct_count, set_count;
};

static void reach_set(struct reach *reach, const struct set *set)
{
	for (unsigned i = 0; i < reach->set_count; i++)
		if (reach->sets[i] == set)
			return;
	if (set != NULL && reach->set_count < 256)
		reach->sets[reach->set_count++] = set;
}

static void reach_struct(struct reach *reach, const struct strct *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < reach->struct_count; i++)
		if (reach->structs[i] == s)
			return;
	if (reach->struct_count == 256)
		return;
	reach->structs[reach->struct_count++] = s;
	for (const struct field *field = s->fields; field != NULL; field = field->next) {
		reach_set(reach, field->set);
		reach_struct(reach, field->strct);
	}
}

static void reach_all(struct reach *reach, const struct unit *unit)
{
	for (const struct operation *o = unit->operations; o != NULL; o = o->next) {
		reach_struct(reach, o->request);
		reach_struct(reach, o->reply);
		reach_set(reach, o->errors);
	}
}

/* ---- JSON ---- */

static void json_string(struct text *out, const char *text, size_t length)
{
	text_put(out, "\"", 1);
	for (size_t i = 0; i < length; i++) {
		const unsigned char byte = (unsigned char)text[i];

		if (byte == '"' || byte == '\\')
			text_format(out, "\\%c", byte);
		else if (byte < 32 || byte == 127)
			text_format(out, "\\u%04x", byte);
		else
			text_put(out, text + i, 1);
	}
	text_put(out, "\"", 1);
}

static void json_member(struct text *out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	text_format(out, ",\"%s\":", name);
	json_string(out, value, strlen(value));
}

/* The names of imported things have their format before them. */
static void json_owned(struct text *out, const struct unit *unit, const char *key,
		       const struct unit *owner, const char *name)
{
	if (owner == unit)
		text_format(out, "%s\"%s\"", key, name);
	else
		text_format(out, "%s\"%s.%s\"", key, owner->format, name);
}

/* How many elements, or bytes: a number, the field that says it, or all that is left. */
static bool json_count(struct text *out, const struct field *field)
{
	const bool in_bytes = field->array == ARRAY_SIZE;

	if (field->array == ARRAY_REST) {
		text_format(out, ",\"count\":\"..\"");
		return true;
	}
	if (field->array == ARRAY_UNTIL)
		return false;
	if (field->count->is_constant && !in_bytes) {
		text_format(out, ",\"count\":%llu", (unsigned long long)field->count->number);
		return true;
	}
	if (field->count->kind != EXPR_FIELD || field->count->field_count != 1 ||
	    field->count->a != NULL || (in_bytes && field->unit_size != 1))
		return false;
	text_format(out, ",\"count\":\"%s\"", field->count->fields[0]->name);
	return true;
}

static bool json_scalar(struct text *out, const struct scalar *scalar)
{
	static const char *const orders[] = {"little", "big", "native"};

	if (scalar->order == ORDER_RUNTIME)
		return false;
	text_format(out, ",\"bytes\":%u,\"order\":\"%s\"", scalar->bytes, orders[scalar->order]);
	if (scalar->is_signed)
		text_format(out, ",\"signed\":true");
	return true;
}

static void json_constant(struct text *out, const struct field *field)
{
	if (field->string != NULL) {
		text_format(out, ",\"constant\":");
		json_string(out, field->string, field->string_length);
	} else if (field->constant != NULL) {
		text_format(out, ",\"constant\":%llu", (unsigned long long)field->constant->number);
	}
}

static bool json_type(struct text *out, const struct unit *unit, const struct field *field)
{
	static const char *const rules[] = {"zero_padded", "terminated", "space_padded", "exact"};

	switch (field->type) {
	case TYPE_SCALAR:
		text_format(out, "\"type\":\"scalar\"");
		return json_scalar(out, &field->scalar);
	case TYPE_BYTES:
		text_format(out, "\"type\":\"bytes\"");
		return true;
	case TYPE_TEXT:
		text_format(out, "\"type\":\"text\",\"rule\":\"%s\"", rules[field->text_rule]);
		return !field->until_zero;
	case TYPE_STRUCT:
		json_owned(out, unit, "\"type\":\"struct\",\"struct\":", field->strct->unit,
			   field->strct->name);
		return field->args.count == 0;
	case TYPE_UTF16:
		break;
	}
	return false;
}

static bool json_field(struct text *out, const struct unit *unit, const struct field *field)
{
	bool known = json_type(out, unit, field);

	json_member(out, "name", field->name);
	json_member(out, "doc", field->doc);
	if (field->set != NULL)
		json_owned(out, unit, ",\"set\":", field->set->unit, field->set->name);
	if (field->array != ARRAY_NONE)
		known = json_count(out, field) && known;
	json_constant(out, field);
	return known && field->guard == NULL;
}

static bool json_bits(struct text *out, const struct unit *unit, const struct item *item)
{
	const char *comma = "";
	bool known;

	text_format(out, "\"type\":\"bits\"");
	known = json_scalar(out, &item->scalar);
	text_format(out, ",\"bits\":[");
	for (const struct bit *bit = item->bit_list; bit != NULL; bit = bit->next) {
		if (bit->field == NULL)
			continue;
		text_format(out, "%s{\"name\":\"%s\",\"shift\":%u,\"width\":%u", comma,
			    bit->field->name, bit->shift, bit->width);
		if (bit->field->set != NULL)
			json_owned(out, unit, ",\"set\":", bit->field->set->unit,
				   bit->field->set->name);
		json_constant(out, bit->field);
		text_format(out, "}");
		comma = ",";
	}
	text_format(out, "]");
	return known;
}

static bool json_pad(struct text *out, const struct item *item)
{
	if (!item->is_sized)
		return false;
	text_format(out, "\"type\":\"pad\",\"count\":%llu", (unsigned long long)item->size);
	return true;
}

/* False: there is no word for it. */
static bool json_item(struct text *out, const struct unit *unit, const struct item *item)
{
	if (item->at != NULL)
		return false;
	switch (item->kind) {
	case ITEM_FIELD:
		return json_field(out, unit, item->field);
	case ITEM_BITS:
		return json_bits(out, unit, item);
	case ITEM_PAD:
	case ITEM_ALIGN:
		return json_pad(out, item);
	default:
		return false;
	}
}

static void json_items(struct text *out, const struct unit *unit, const struct strct *s)
{
	const char *comma = "";

	for (const struct item *item = s->items; item != NULL; item = item->next) {
		struct text one = {0};

		if (item->kind == ITEM_ASSERT)
			continue;
		if (json_item(&one, unit, item))
			text_format(out, "%s{%s}", comma, one.data);
		else
			text_format(out, "%s{\"type\":\"other\"}", comma);
		text_finish(&one);
		comma = ",";
	}
}

static void json_struct(struct text *out, const struct unit *unit, const struct strct *s)
{
	json_owned(out, unit, "{\"name\":", s->unit, s->name);
	json_member(out, "doc", s->doc);
	if (s->is_fixed)
		text_format(out, ",\"size\":%llu", (unsigned long long)s->size);
	text_format(out, ",\"items\":[");
	json_items(out, unit, s);
	text_format(out, "]}");
}

static void json_set(struct text *out, const struct unit *unit, const struct set *set)
{
	const char *comma = "";

	json_owned(out, unit, "{\"name\":", set->unit, set->name);
	text_format(out, ",\"flags\":%s,\"values\":{", set->is_flags ? "true" : "false");
	for (const struct member *m = set->members; m != NULL; m = m->next) {
		text_format(out, "%s\"%s\":%llu", comma, m->name, (unsigned long long)m->value);
		comma = ",";
	}
	text_format(out, "}}");
}

static void json_operation(struct text *out, const struct unit *unit, const struct operation *o)
{
	text_format(out, "{\"name\":\"%s\",\"code\":%llu,\"fds\":%llu,\"reply_fds\":%llu", o->name,
		    (unsigned long long)o->code->number,
		    (unsigned long long)(o->fds != NULL ? o->fds->number : 0),
		    (unsigned long long)(o->reply_fds != NULL ? o->reply_fds->number : 0));
	json_member(out, "doc", o->doc);
	if (o->request != NULL)
		json_owned(out, unit, ",\"request\":", o->request->unit, o->request->name);
	if (o->reply != NULL)
		json_owned(out, unit, ",\"reply\":", o->reply->unit, o->reply->name);
	if (o->errors != NULL)
		json_owned(out, unit, ",\"errors\":", o->errors->unit, o->errors->name);
	text_format(out, "}");
}

void describe_json(struct compiler *c, const struct unit *unit, struct text *out)
{
	struct reach *reach = arena_alloc(&c->arena, sizeof(*reach));
	const char *comma = "";

	reach_all(reach, unit);
	text_format(out, "{\"format\":\"%s\"", unit->format);
	json_member(out, "doc", unit->doc);
	text_format(out, ",\"operations\":[");
	for (const struct operation *o = unit->operations; o != NULL; o = o->next, comma = ",") {
		text_format(out, "%s", comma);
		json_operation(out, unit, o);
	}
	text_format(out, "],\"structs\":[");
	for (unsigned i = 0; i < reach->struct_count; i++) {
		text_format(out, "%s", i == 0 ? "" : ",");
		json_struct(out, unit, reach->structs[i]);
	}
	text_format(out, "],\"sets\":[");
	for (unsigned i = 0; i < reach->set_count; i++) {
		text_format(out, "%s", i == 0 ? "" : ",");
		json_set(out, unit, reach->sets[i]);
	}
	text_format(out, "]}");
}

/* ---- Markdown ---- */

/* Lines become one; what would end a cell of a table is escaped. */
static void put_cell(struct text *out, const char *text)
{
	for (; text != NULL && *text != '\0'; text++)
		text_format(out, *text == '|' ? "\\%c" : "%c", *text == '\n' ? ' ' : *text);
}

static void md_link(struct text *out, const char *what, const char *name)
{
	if (name != NULL)
		text_format(out, "- %s: [`%s`](#%s)\n", what, name, name);
}

static void md_operation(struct text *out, const struct operation *o)
{
	text_format(out, "## `%s`\n\nOperation %llu.", o->name,
		    (unsigned long long)o->code->number);
	if (o->doc != NULL)
		text_format(out, " %s", o->doc);
	text_format(out, "\n\n");
	md_link(out, "request", o->request != NULL ? o->request->name : NULL);
	md_link(out, "reply", o->reply != NULL ? o->reply->name : NULL);
	md_link(out, "errors", o->errors != NULL ? o->errors->name : NULL);
	if (o->fds != NULL)
		text_format(out, "- descriptors with the request: %llu\n",
			    (unsigned long long)o->fds->number);
	if (o->reply_fds != NULL)
		text_format(out, "- descriptors with the reply: %llu\n",
			    (unsigned long long)o->reply_fds->number);
	text_format(out, "\n");
}

static void md_type(struct text *out, const struct field *field)
{
	if (field->kind == FIELD_BIT)
		text_format(out, "%u bits", field->width);
	else if (field->set != NULL)
		text_format(out, "[`%s`](#%s)", field->set->name, field->set->name);
	else if (field->type == TYPE_STRUCT)
		text_format(out, "[`%s`](#%s)", field->strct->name, field->strct->name);
	else if (field->type == TYPE_SCALAR)
		text_format(out, "%c%u", field->scalar.is_signed ? 'i' : 'u',
			    8 * field->scalar.bytes);
	else
		text_format(out, "%s", field->type == TYPE_BYTES ? "bytes" : "text");
	if (field->array == ARRAY_NONE)
		return;
	if (field->is_sized)
		text_format(out, "[%llu]", (unsigned long long)field->length);
	else if (field->count != NULL && field->count->kind == EXPR_FIELD)
		text_format(out, "[%s]", field->count->fields[0]->name);
	else
		text_format(out, "[..]");
}

static void md_struct(struct text *out, const struct strct *s)
{
	text_format(out, "## `%s`\n\n", s->name);
	if (s->doc != NULL)
		text_format(out, "%s\n\n", s->doc);
	if (s->is_fixed)
		text_format(out, "%llu bytes.\n\n", (unsigned long long)s->size);
	text_format(out, "| field | type | |\n| --- | --- | --- |\n");
	for (const struct field *field = s->fields; field != NULL; field = field->next) {
		text_format(out, "| `%s` | ", field->name);
		md_type(out, field);
		text_format(out, " | ");
		put_cell(out, field->doc);
		text_format(out, " |\n");
	}
	text_format(out, "\n");
}

static void md_set(struct text *out, const struct set *set)
{
	text_format(out, "## `%s`\n\n", set->name);
	if (set->doc != NULL)
		text_format(out, "%s\n\n", set->doc);
	text_format(out, "| name | value | |\n| --- | --- | --- |\n");
	for (const struct member *m = set->members; m != NULL; m = m->next) {
		text_format(out, set->is_flags ? "| `%s` | 0x%llx | " : "| `%s` | %llu | ", m->name,
			    (unsigned long long)m->value);
		put_cell(out, m->doc);
		text_format(out, " |\n");
	}
	text_format(out, "\n");
}

void emit_reference(struct compiler *c, struct unit *unit, struct text *out)
{
	struct reach *reach = arena_alloc(&c->arena, sizeof(*reach));

	reach_all(reach, unit);
	text_format(out, "<!-- Generated by wirec from %s.wire: edit that. -->\n# %s\n\n",
		    unit->base, unit->format);
	if (unit->doc != NULL)
		text_format(out, "%s\n\n", unit->doc);
	for (const struct operation *o = unit->operations; o != NULL; o = o->next)
		md_operation(out, o);
	for (unsigned i = 0; i < reach->struct_count; i++)
		md_struct(out, reach->structs[i]);
	for (unsigned i = 0; i < reach->set_count; i++)
		md_set(out, reach->sets[i]);
}
