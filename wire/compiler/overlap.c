/* SPDX-License-Identifier: MIT */
/*
 * What must not share bytes: fields at constant places, and a checksum with what it covers.
 */
#include <stdlib.h>
#include <string.h>

#include "wirec.h"

struct extent {
	uint64_t start, end;
	const struct item *item;
};

struct extents {
	struct compiler *c;
	struct extent *list;
	size_t count, room;
};

/* Arms of one union, and the two branches of one `if`, exclude each other. */
bool guards_exclude(const struct guard *a, const struct guard *b)
{
	for (; a != NULL; a = a->outer)
		for (const struct guard *other = b; other != NULL; other = other->outer)
			if (a->item == other->item &&
			    (a->kind != other->kind || a->arm != other->arm))
				return true;
	return false;
}

static void add_extent(struct extents *e, const struct item *item)
{
	if (item->place.anchor != 0 || !item->is_sized || item->size == 0)
		return;
	if (e->count == e->room) {
		struct extent *more;

		e->room = e->room == 0 ? 64 : 2 * e->room;
		more = arena_alloc(&e->c->arena, e->room * sizeof(*more));
		if (e->count != 0)
			memcpy(more, e->list, e->count * sizeof(*more));
		e->list = more;
	}
	e->list[e->count++] =
		(struct extent){item->place.delta, item->place.delta + item->size, item};
}

static void collect(struct extents *e, const struct item *item)
{
	for (; item != NULL; item = item->next) {
		switch (item->kind) {
		case ITEM_IF:
		case ITEM_WHEN:
		case ITEM_COVERED:
			collect(e, item->body);
			collect(e, item->orelse);
			break;
		case ITEM_UNION:
			for (const struct arm *arm = item->arms; arm != NULL; arm = arm->next)
				collect(e, arm->body);
			break;
		case ITEM_FIELD:
		case ITEM_BITS:
			add_extent(e, item);
			break;
		default:
			break;
		}
	}
}

static int by_start(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->item->pos.offset < y->item->pos.offset ? -1 : 1;
}

static const char *item_name(const struct item *item)
{
	return item->field != NULL ? item->field->name : item->text != NULL ? item->text : "bits";
}

static void report_overlap(struct compiler *c, const struct extent *a, const struct extent *b)
{
	const struct extent *first = a->item->pos.offset < b->item->pos.offset ? a : b;
	const struct extent *second = first == a ? b : a;

	report(c, &second->item->pos, "overlap", "'%s' overlaps '%s', which has bytes %llu to %llu",
	       item_name(second->item), item_name(first->item), (unsigned long long)first->start,
	       (unsigned long long)first->end - 1);
}

void check_overlaps(struct compiler *c, struct strct *s)
{
	struct extents e = {.c = c};

	collect(&e, s->items);
	if (e.count != 0)
		qsort(e.list, e.count, sizeof(*e.list), by_start);
	for (size_t i = 0; i < e.count; i++)
		for (size_t j = i + 1; j < e.count && e.list[j].start < e.list[i].end; j++)
			if (!guards_exclude(e.list[i].item->guard, e.list[j].item->guard)) {
				report_overlap(c, &e.list[i], &e.list[j]);
				break;
			}
}

/* ---- checksums ---- */

static const struct algorithm algorithms[] = {
	{"crc32", 32, "0", "wire_crc32"},
	{"crc32_raw", 32, "UINT32_C(0xffffffff)", "wire_crc32_raw"},
	{"crc32c", 32, "0", "wire_crc32c"},
	{"crc32c_raw", 32, "UINT32_C(0xffffffff)", "wire_crc32c_raw"},
	{"crc16", 16, "0", "wire_crc16"},
	{"sum8", 8, "0", "wire_sum8"},
	{"sum16le", 16, "0", "wire_sum16le"},
	{"sum16be", 16, "0", "wire_sum16be"},
	{"sum32le", 32, "0", "wire_sum32le"},
	{"sum32be", 32, "0", "wire_sum32be"},
	{"xor8", 8, "0", "wire_xor8"},
	{"xor16le", 16, "0", "wire_xor16le"},
	{"xor16be", 16, "0", "wire_xor16be"},
	{"xor32le", 32, "0", "wire_xor32le"},
	{"xor32be", 32, "0", "wire_xor32be"},
};

const struct algorithm *find_algorithm(const char *name)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (strcmp(algorithms[i].name, name) == 0)
			return &algorithms[i];
	return NULL;
}

static struct field **resolve_names(struct compiler *c, struct strct *s, const struct checksum *sum,
				    const char **names, unsigned count)
{
	struct field **fields = arena_alloc(&c->arena, (count + 1) * sizeof(struct field *));

	for (unsigned i = 0; i < count; i++) {
		fields[i] = find_field(s, names[i]);
		if (fields[i] == NULL) {
			report(c, &sum->pos, "unknown-name", "there is no field '%s'", names[i]);
			return NULL;
		}
		if (fields[i]->kind != FIELD_PLAIN) {
			report(c, &sum->pos, "type", "'%s' is no field of its own", names[i]);
			return NULL;
		}
	}
	return fields;
}

static void resolve_pieces(struct scope *scope, struct checksum *sum)
{
	for (struct piece *piece = sum->pieces; piece != NULL; piece = piece->next) {
		resolve_expr(scope, piece->from);
		if (piece->to != NULL)
			resolve_expr(scope, piece->to);
		if (piece->from->is_bytes != (piece->kind == PIECE_BYTES) ||
		    (piece->to != NULL && piece->to->is_bytes))
			report(scope->c, &piece->pos, "type", "this piece is %s",
			       piece->from->is_bytes ? "bytes, and has to be a number"
						     : "a number, and has to be bytes");
	}
}

static bool is_skipped(const struct checksum *sum, const struct field *field)
{
	for (unsigned i = 0; i < sum->skip_count; i++)
		if (sum->skips[i] == field)
			return true;
	return false;
}

/* Reports a checksum field that lies in a piece of constant bounds and is not skipped. */
static void refuse_self_cover(struct compiler *c, const struct checksum *sum,
			      const struct field *field)
{
	const bool known = field->place.anchor == 0 && field->is_sized;

	if (is_skipped(sum, field))
		return;
	for (const struct piece *piece = sum->pieces; piece != NULL; piece = piece->next) {
		if (piece->kind == PIECE_BYTES && piece->from->kind == EXPR_FIELD &&
		    piece->from->field_count > 0 && piece->from->fields[0] == field)
			report(c, &piece->pos, "self-cover", "the checksum '%s' covers itself",
			       field->name);
		if (piece->kind != PIECE_SELF || !known || !piece->from->is_constant)
			continue;
		if (field->place.delta + field->size <= piece->from->number)
			continue;
		if (piece->to->is_constant ? field->place.delta < piece->to->number
					   : field->place.delta == piece->from->number)
			report(c, &piece->pos, "self-cover",
			       "the checksum '%s' lies in what it covers: it needs 'skip %s'",
			       field->name, field->name);
	}
}

static void check_scalar_fields(struct compiler *c, const struct checksum *sum)
{
	for (unsigned i = 0; i < sum->field_count; i++) {
		const struct field *field = sum->fields[i];

		if (field->type != TYPE_SCALAR || field->array != ARRAY_NONE ||
		    field->scalar.is_signed)
			report(c, &sum->pos, "type", "'%s' is no unsigned scalar", field->name);
		if (field->constant != NULL || field->ranges != NULL || field->set != NULL)
			report(c, &sum->pos, "type", "a checksum has no other rules");
	}
}

static void check_digest_field(struct scope *scope, const struct checksum *sum)
{
	const struct field *field = sum->fields[0];
	uint64_t size = 0;

	resolve_constant(scope, sum->digest->size, "the size of a digest", &size);
	if (sum->field_count != 1 || field->type != TYPE_BYTES || !field->is_sized ||
	    field->size < size)
		report(scope->c, &sum->pos, "type",
		       "'%s' must be %llu bytes at least, of constant size", field->name,
		       (unsigned long long)size);
	if (sum->seed != NULL)
		report(scope->c, &sum->pos, "type", "'%s' takes no seed", sum->algorithm);
}

static void check_algorithm(struct scope *scope, struct checksum *sum)
{
	const struct symbol *symbol = find_symbol(scope->unit, sum->algorithm);

	sum->known = find_algorithm(sum->algorithm);
	if (symbol != NULL && symbol->kind == SYMBOL_DIGEST) {
		sum->digest = symbol->what;
		check_digest_field(scope, sum);
	} else if (sum->known != NULL) {
		check_scalar_fields(scope->c, sum);
	} else {
		report(scope->c, &sum->pos, "unknown-name", "there is no algorithm '%s'",
		       sum->algorithm);
	}
}

void check_checksum(struct compiler *c, struct strct *s, struct checksum *sum)
{
	struct scope scope = {.c = c, .unit = s->unit, .strct = s};

	sum->fields = resolve_names(c, s, sum, sum->field_names, sum->field_count);
	sum->skips = resolve_names(c, s, sum, sum->skip_names, sum->skip_count);
	if (sum->fields == NULL || sum->skips == NULL)
		return;
	check_algorithm(&scope, sum);
	if (sum->seed != NULL)
		resolve_expr(&scope, sum->seed);
	if (sum->condition != NULL)
		resolve_expr(&scope, sum->condition);
	resolve_pieces(&scope, sum);
	for (unsigned i = 0; i < sum->field_count; i++) {
		sum->fields[i]->is_checksum = true;
		refuse_self_cover(c, sum, sum->fields[i]);
	}
}
