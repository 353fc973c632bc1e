/* SPDX-License-Identifier: MIT */
/*
 * Maps that BTF describes: variables in the section .maps, as libbpf has them, whose type says all.
 *
 *	struct {
 *		__uint(type, BPF_MAP_TYPE_HASH);       a pointer to an array of as many elements
 *		__type(key, uint32_t);                 a pointer to the type
 *		…
 *	} counts SEC(".maps");
 *
 * The layout of BTF is the kernel's (Documentation/bpf/btf.rst). All of it is taken for hostile:
 * what is damaged refuses the object.
 */
#include "object.h"

enum btf_kind {
	BTF_INT = 1,
	BTF_PTR,
	BTF_ARRAY,
	BTF_STRUCT,
	BTF_UNION,
	BTF_ENUM,
	BTF_FWD,
	BTF_TYPEDEF,
	BTF_VOLATILE,
	BTF_CONST,
	BTF_RESTRICT,
	BTF_FUNC,
	BTF_FUNC_PROTO,
	BTF_VAR,
	BTF_DATASEC,
	BTF_FLOAT,
	BTF_DECL_TAG,
	BTF_TYPE_TAG,
	BTF_ENUM64,
	BTF_KINDS
};

#define BTF_MAGIC    0xeb9f
#define HEADER_BYTES 24
#define TYPE_BYTES   12
#define MEMBER_BYTES 12
/** Types that lead from one to another. */
#define MOST_STEPS 32

struct btf {
	const uint8_t *bytes;
	size_t size_bytes;
	uint64_t strings;
	uint64_t strings_bytes;
	/** Where each type lies, from 1 on. */
	uint32_t *places;
	uint32_t count;
	struct opvm_log *log;
};

static int wrong(const struct btf *btf, const char *what)
{
	return opvm_fail(btf->log, EINVAL, "BTF: %s\n", what);
}

/** Within the bytes, as whoever calls knows. */
static uint32_t word_at(const struct btf *btf, uint64_t place)
{
	uint32_t word;

	memcpy(&word, btf->bytes + place, sizeof(word));
	return word;
}

static bool within(uint64_t offset, uint64_t length, uint64_t size)
{
	return offset <= size && length <= size - offset;
}

static const char *string_at(const struct btf *btf, uint32_t offset)
{
	const uint8_t *const text = btf->bytes + btf->strings + offset;

	if (offset >= btf->strings_bytes || memchr(text, 0, btf->strings_bytes - offset) == NULL)
		return "";
	return (const char *)text;
}

/* ---- types --------------------------------------------------------------------------------- */

static unsigned kind_of(const struct btf *btf, uint32_t type)
{
	return word_at(btf, btf->places[type] + 4) >> 24 & 31;
}

static uint32_t length_of(const struct btf *btf, uint32_t type)
{
	return word_at(btf, btf->places[type] + 4) & 0xffff;
}

/** The size of a type, or the type that it leads to. */
static uint32_t size_or_type(const struct btf *btf, uint32_t type)
{
	return word_at(btf, btf->places[type] + 8);
}

/** Bytes of a type after those that all have; UINT64_MAX for a kind that is not known. */
static uint64_t more_bytes(unsigned kind, uint32_t length)
{
	static const uint8_t fixed[BTF_KINDS] = {
		[BTF_INT] = 4, [BTF_ARRAY] = 12, [BTF_VAR] = 4, [BTF_DECL_TAG] = 4};
	static const uint8_t each[BTF_KINDS] = {
		[BTF_STRUCT] = 12,    [BTF_UNION] = 12,   [BTF_ENUM] = 8,
		[BTF_FUNC_PROTO] = 8, [BTF_DATASEC] = 12, [BTF_ENUM64] = 12};

	if (kind == 0 || kind >= BTF_KINDS)
		return UINT64_MAX;
	return fixed[kind] + (uint64_t)each[kind] * length;
}

static int find_types(struct btf *btf, uint64_t place, uint64_t end)
{
	btf->places = calloc((size_t)((end - place) / TYPE_BYTES + 1), sizeof(*btf->places));
	if (btf->places == NULL)
		return opvm_fail(btf->log, ENOMEM, "no memory for types\n");
	while (place < end) {
		const uint32_t type = btf->count + 1;
		uint64_t more;

		if (!within(place, TYPE_BYTES, end))
			return wrong(btf, "its types are damaged");
		btf->places[type] = (uint32_t)place;
		more = more_bytes(kind_of(btf, type), length_of(btf, type));
		place += TYPE_BYTES;
		if (!within(place, more, end))
			return wrong(btf, "a type is damaged, or of a kind that is not known");
		place += more;
		btf->count = type;
	}
	return 0;
}

static int begin(struct btf *btf)
{
	uint64_t types, types_bytes, header_bytes;

	if (btf->size_bytes < HEADER_BYTES || btf->size_bytes > UINT32_MAX ||
	    (word_at(btf, 0) & 0xffff) != BTF_MAGIC)
		return wrong(btf, "it does not begin as such");
	header_bytes = word_at(btf, 4);
	types = header_bytes + word_at(btf, 8);
	types_bytes = word_at(btf, 12);
	btf->strings = header_bytes + word_at(btf, 16);
	btf->strings_bytes = word_at(btf, 20);
	if (!within(types, types_bytes, btf->size_bytes) ||
	    !within(btf->strings, btf->strings_bytes, btf->size_bytes))
		return wrong(btf, "its parts lie past its end");
	return find_types(btf, types, types + types_bytes);
}

static bool is_name_only(unsigned kind)
{
	return kind == BTF_TYPEDEF || kind == BTF_VOLATILE || kind == BTF_CONST ||
	       kind == BTF_RESTRICT || kind == BTF_TYPE_TAG;
}

/** What a type is beneath its names; 0 if that is nothing. */
static uint32_t resolve(const struct btf *btf, uint32_t type)
{
	for (unsigned step = 0; step < MOST_STEPS; step++) {
		if (type == 0 || type > btf->count)
			return 0;
		if (!is_name_only(kind_of(btf, type)))
			return type;
		type = size_or_type(btf, type);
	}
	return 0;
}

/** Bytes of a type; 0 for what has no size. */
static uint32_t size_of(const struct btf *btf, uint32_t type)
{
	uint64_t elements = 1;

	for (unsigned step = 0; step < MOST_STEPS; step++) {
		type = resolve(btf, type);
		if (type == 0)
			return 0;
		switch (kind_of(btf, type)) {
		case BTF_ARRAY:
			elements *= word_at(btf, btf->places[type] + TYPE_BYTES + 8);
			type = word_at(btf, btf->places[type] + TYPE_BYTES);
			break;
		case BTF_PTR:
			elements *= 8;
			return elements <= UINT32_MAX ? (uint32_t)elements : 0;
		case BTF_INT:
		case BTF_STRUCT:
		case BTF_UNION:
		case BTF_ENUM:
		case BTF_ENUM64:
		case BTF_FLOAT:
			elements *= size_or_type(btf, type);
			return elements <= UINT32_MAX ? (uint32_t)elements : 0;
		default:
			return 0;
		}
		if (elements > UINT32_MAX)
			return 0;
	}
	return 0;
}

/* ---- maps ---------------------------------------------------------------------------------- */

/** What a member of a map's structure points to; 0 if it is no pointer. */
static uint32_t pointed_to(const struct btf *btf, uint32_t member)
{
	const uint32_t pointer = resolve(btf, member);

	if (pointer == 0 || kind_of(btf, pointer) != BTF_PTR)
		return 0;
	return size_or_type(btf, pointer);
}

/** The number that a member says by an array's length. */
static bool number_of(const struct btf *btf, uint32_t member, uint32_t *number)
{
	const uint32_t array = resolve(btf, pointed_to(btf, member));

	if (array == 0 || kind_of(btf, array) != BTF_ARRAY)
		return false;
	*number = word_at(btf, btf->places[array] + TYPE_BYTES + 8);
	return true;
}

/** The kind of a map by Linux's number for it; 0 for those that there are not. */
static uint32_t kind_by_number(uint32_t number)
{
	switch (number) {
	case 1: /* BPF_MAP_TYPE_HASH */
		return OPVM_MAP_HASH;
	case 2: /* BPF_MAP_TYPE_ARRAY */
		return OPVM_MAP_ARRAY;
	case 6: /* BPF_MAP_TYPE_PERCPU_ARRAY */
		return OPVM_MAP_PER_CPU;
	case 27: /* BPF_MAP_TYPE_RINGBUF */
		return OPVM_MAP_RING;
	case OPVM_CALL_HISTOGRAM_ADD: /* Linux has none; as the number of its helper. */
		return OPVM_MAP_HISTOGRAM;
	default:
		return 0;
	}
}

static int take_kind(const struct btf *btf, uint32_t number, struct opvm_map_definition *definition)
{
	definition->kind = kind_by_number(number);
	if (definition->kind == 0)
		return opvm_fail(btf->log, EINVAL,
				 "map %s: there are no maps of Linux's type %u here\n",
				 definition->name, number);
	return 0;
}

static int take_member(const struct btf *btf, const char *name, uint32_t type,
		       struct opvm_map_definition *definition)
{
	uint32_t number = 0;
	const bool is_number = number_of(btf, type, &number);

	if (strcmp(name, "key") == 0 && size_of(btf, pointed_to(btf, type)) != 0) {
		definition->key_bytes = size_of(btf, pointed_to(btf, type));
		return 0;
	}
	if (strcmp(name, "value") == 0 && size_of(btf, pointed_to(btf, type)) != 0) {
		definition->value_bytes = size_of(btf, pointed_to(btf, type));
		return 0;
	}
	if (is_number && strcmp(name, "type") == 0)
		return take_kind(btf, number, definition);
	if (is_number && strcmp(name, "max_entries") == 0)
		definition->entries = number;
	else if (is_number && strcmp(name, "key_size") == 0)
		definition->key_bytes = number;
	else if (is_number && strcmp(name, "value_size") == 0)
		definition->value_bytes = number;
	else if (!is_number || number != 0 || strcmp(name, "map_flags") != 0)
		return opvm_fail(btf->log, EINVAL, "map %s: `%s` is not understood\n",
				 definition->name, name);
	return 0;
}

static int take_members(const struct btf *btf, uint32_t type,
			struct opvm_map_definition *definition)
{
	const uint64_t members = btf->places[type] + TYPE_BYTES;
	int error = 0;

	for (uint32_t index = 0; error == 0 && index < length_of(btf, type); index++) {
		const uint64_t member = members + (uint64_t)index * MEMBER_BYTES;

		error = take_member(btf, string_at(btf, word_at(btf, member)),
				    word_at(btf, member + 4), definition);
	}
	if (definition->kind == OPVM_MAP_HISTOGRAM)
		definition->value_bytes = 8;
	return error;
}

static int find_map(const struct btf *btf, const char *name, struct opvm_map_definition *definition)
{
	for (uint32_t type = 1; type <= btf->count; type++) {
		uint32_t structure;

		if (kind_of(btf, type) != BTF_VAR ||
		    strcmp(string_at(btf, word_at(btf, btf->places[type])), name) != 0)
			continue;
		structure = resolve(btf, size_or_type(btf, type));
		if (structure == 0 || kind_of(btf, structure) != BTF_STRUCT)
			return opvm_fail(btf->log, EINVAL, "map %s: it is no structure\n", name);
		return take_members(btf, structure, definition);
	}
	return opvm_fail(btf->log, EINVAL, "map %s: BTF does not describe it; compile with -g\n",
			 name);
}

int opvm_btf_map(const void *bytes, size_t size_bytes, const char *name, struct opvm_log *log,
		 struct opvm_map_definition *definition)
{
	struct btf btf = {.bytes = bytes, .size_bytes = size_bytes, .log = log};
	int error = begin(&btf);

	if (error == 0)
		error = find_map(&btf, name, definition);
	free(btf.places);
	return error;
}
