/* SPDX-License-Identifier: MIT */
/*
 * Reads ELF objects of clang -target bpf. Every offset and size in them is taken for hostile.
 *
 * The code of all executable sections is put one after the other, so that calls from one to another
 * only have to be moved. Functions with external linkage outside of .text are programs. Structures
 * in the section opvm_maps (opvm/program.h) are maps, as is what BTF describes in the section
 * .maps, and sections of data are arrays with one value. Relocations of CO-RE are left as they are:
 * the contexts of opvm have the layout that programs were compiled with.
 */
#include "object.h"

#include <elf.h>

#define MAX_SECTIONS    1024
#define RELOCATION_64   1
#define RELOCATION_CALL 10
#define MAP_SECTION     "opvm_maps"
#define BTF_MAP_SECTION ".maps"
#define BTF_MAGIC       0xeb9f
#define NO_INDEX        UINT32_MAX

struct section {
	const char *name;
	uint32_t type;
	uint64_t flags;
	/** NULL for those without bytes in the file. */
	const uint8_t *bytes;
	uint64_t size_bytes;
	uint32_t link;
	uint32_t info;
	/** Of code: index of its first instruction. Of data: its map. Else NO_INDEX. */
	uint32_t base;
};

struct symbol {
	const char *name;
	uint64_t value;
	uint8_t type;
	uint8_t binding;
	/** NULL for those that are in no section of the file. */
	struct section *section;
};

struct elf {
	const uint8_t *bytes;
	size_t size_bytes;
	struct opvm_log *log;
	struct opvm_object *object;
	struct section sections[MAX_SECTIONS];
	uint32_t sections_count;
	const struct section *symbols;
	const struct section *strings;
};

static int wrong(const struct elf *elf, const char *what)
{
	return opvm_fail(elf->log, EINVAL, "ELF object: %s\n", what);
}

/* ---- sections ------------------------------------------------------------------------------ */

static bool within(uint64_t offset, uint64_t length, uint64_t size)
{
	return offset <= size && length <= size - offset;
}

/** The string at @offset of a section; NULL if it does not end there. */
static const char *string_at(const uint8_t *strings, uint64_t size_bytes, uint64_t offset)
{
	if (strings == NULL || offset >= size_bytes ||
	    memchr(strings + offset, 0, (size_t)(size_bytes - offset)) == NULL)
		return NULL;
	return (const char *)strings + offset;
}

static int read_header(const struct elf *elf, Elf64_Ehdr *header)
{
	if (elf->size_bytes < sizeof(*header))
		return wrong(elf, "it is too short for a header");
	memcpy(header, elf->bytes, sizeof(*header));
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return wrong(elf, "it does not begin as one");
	if (header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_ident[EI_DATA] !=
		    (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB))
		return wrong(elf, "it is not of 64 bits in this machine's byte order");
	if (header->e_machine != EM_BPF || header->e_type != ET_REL)
		return wrong(elf, "it is not what clang -target bpf -c makes");
	if (header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shnum > MAX_SECTIONS ||
	    !within(header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr),
		    elf->size_bytes) ||
	    header->e_shstrndx >= header->e_shnum)
		return wrong(elf, "its table of sections is damaged");
	return 0;
}

static int read_section(struct elf *elf, const Elf64_Shdr *header, struct section *section)
{
	section->type = header->sh_type;
	section->flags = header->sh_flags;
	section->size_bytes = header->sh_size;
	section->link = header->sh_link;
	section->info = header->sh_info;
	section->base = NO_INDEX;
	section->bytes = NULL;
	if (header->sh_type == SHT_NOBITS || header->sh_type == SHT_NULL)
		return 0;
	if (!within(header->sh_offset, header->sh_size, elf->size_bytes))
		return wrong(elf, "a section lies past its end");
	section->bytes = elf->bytes + header->sh_offset;
	return 0;
}

static int read_sections(struct elf *elf)
{
	Elf64_Shdr headers[1];
	Elf64_Ehdr header;
	int error = read_header(elf, &header);

	for (uint32_t index = 0; error == 0 && index < header.e_shnum; index++) {
		memcpy(headers, elf->bytes + header.e_shoff + index * sizeof(headers[0]),
		       sizeof(headers[0]));
		error = read_section(elf, &headers[0], &elf->sections[index]);
		elf->sections_count = index + 1;
	}
	for (uint32_t index = 0; error == 0 && index < header.e_shnum; index++) {
		const struct section *const names = &elf->sections[header.e_shstrndx];
		Elf64_Word name;

		memcpy(&name, elf->bytes + header.e_shoff + index * sizeof(headers[0]),
		       sizeof(name));
		elf->sections[index].name = string_at(names->bytes, names->size_bytes, name);
		if (elf->sections[index].name == NULL)
			error = wrong(elf, "the name of a section is damaged");
	}
	return error;
}

static int find_symbols(struct elf *elf)
{
	for (uint32_t index = 0; index < elf->sections_count; index++) {
		const struct section *const section = &elf->sections[index];

		if (section->type != SHT_SYMTAB)
			continue;
		if (section->link >= elf->sections_count)
			return wrong(elf, "its symbols have no names");
		elf->symbols = section;
		elf->strings = &elf->sections[section->link];
		return 0;
	}
	return wrong(elf, "it has no symbols");
}

static uint64_t symbols_count(const struct elf *elf)
{
	return elf->symbols->size_bytes / sizeof(Elf64_Sym);
}

static int read_symbol(struct elf *elf, uint64_t index, struct symbol *symbol)
{
	Elf64_Sym raw;

	if (index >= symbols_count(elf))
		return wrong(elf, "a symbol is named that there is not");
	memcpy(&raw, elf->symbols->bytes + index * sizeof(raw), sizeof(raw));
	symbol->name = string_at(elf->strings->bytes, elf->strings->size_bytes, raw.st_name);
	if (symbol->name == NULL)
		return wrong(elf, "the name of a symbol is damaged");
	symbol->value = raw.st_value;
	symbol->type = ELF64_ST_TYPE(raw.st_info);
	symbol->binding = ELF64_ST_BIND(raw.st_info);
	symbol->section = raw.st_shndx > 0 && raw.st_shndx < elf->sections_count
				  ? &elf->sections[raw.st_shndx]
				  : NULL;
	return 0;
}

/* ---- code, maps and programs --------------------------------------------------------------- */

static bool is_code(const struct section *section)
{
	return section->type == SHT_PROGBITS && (section->flags & SHF_EXECINSTR) != 0;
}

static bool holds_maps(const struct section *section)
{
	return strcmp(section->name, MAP_SECTION) == 0 ||
	       strcmp(section->name, BTF_MAP_SECTION) == 0;
}

static bool is_data(const struct section *section)
{
	return (section->flags & SHF_ALLOC) != 0 && !is_code(section) && section->size_bytes > 0 &&
	       (section->type == SHT_PROGBITS || section->type == SHT_NOBITS) &&
	       !holds_maps(section) && section->name[0] == '.';
}

static int add_code(struct elf *elf, struct section *section)
{
	if (section->size_bytes % sizeof(struct opvm_instruction) != 0)
		return wrong(elf, "its code is not a multiple of 8 bytes");
	section->base = elf->object->count;
	for (uint64_t at = 0; at < section->size_bytes; at += sizeof(struct opvm_instruction)) {
		struct opvm_instruction instruction;
		int error;

		memcpy(&instruction, section->bytes + at, sizeof(instruction));
		/* Older compilers name the register of CALLX in the immediate. */
		if (instruction.opcode == 0x8d && instruction.registers == 0 &&
		    instruction.immediate > 0 && instruction.immediate <= 10) {
			instruction.registers = (uint8_t)instruction.immediate;
			instruction.immediate = 0;
		}
		error = opvm_object_add(elf->object, &instruction);
		if (error != 0)
			return opvm_fail(elf->log, -error, "ELF object: its code is too long\n");
	}
	return 0;
}

/** Room for another map, whose name is cut if need be; NULL if there are too many. */
static struct opvm_map_definition *new_map(struct elf *elf, const char *name)
{
	struct opvm_map_definition *definition;

	if (elf->object->maps_count == OPVM_MAX_MAPS)
		return NULL;
	definition = &elf->object->definitions[elf->object->maps_count];
	memset(definition, 0, sizeof(*definition));
	opvm_format(definition->name, sizeof(definition->name), "%s", name);
	return definition;
}

static int add_data(struct elf *elf, struct section *section)
{
	struct opvm_map_definition *const definition = new_map(elf, section->name);
	uint8_t *contents;

	if (definition == NULL || section->size_bytes > 65536)
		return wrong(elf, "too many maps and data, or more than 64 KiB in one section");
	definition->kind = OPVM_MAP_ARRAY;
	definition->key_bytes = 4;
	definition->value_bytes = (uint32_t)section->size_bytes;
	definition->entries = 1;
	contents = calloc(1, (size_t)section->size_bytes);
	if (contents == NULL)
		return opvm_fail(elf->log, ENOMEM, "no memory for data\n");
	if (section->bytes != NULL)
		memcpy(contents, section->bytes, (size_t)section->size_bytes);
	section->base = elf->object->maps_count;
	elf->object->contents[elf->object->maps_count++] = contents;
	return 0;
}

static int add_contents(struct elf *elf)
{
	int error = 0;

	for (uint32_t index = 0; error == 0 && index < elf->sections_count; index++) {
		struct section *const section = &elf->sections[index];

		if (is_code(section))
			error = add_code(elf, section);
		else if (is_data(section))
			error = add_data(elf, section);
	}
	return error;
}

static const struct section *find_section(const struct elf *elf, const char *name)
{
	for (uint32_t index = 0; index < elf->sections_count; index++)
		if (elf->sections[index].bytes != NULL && elf->sections[index].name != NULL &&
		    strcmp(elf->sections[index].name, name) == 0)
			return &elf->sections[index];
	return NULL;
}

/** A map that BTF describes. */
static int describe_map(struct elf *elf, const struct symbol *symbol,
			struct opvm_map_definition *definition)
{
	const struct section *const btf = find_section(elf, ".BTF");
	int error;

	if (btf == NULL)
		return wrong(elf, "there is a section .maps, but no BTF; compile with -g");
	error = opvm_btf_map(btf->bytes, (size_t)btf->size_bytes, symbol->name, elf->log,
			     definition);
	elf->object->maps_count += error == 0;
	return error;
}

static int add_map(struct elf *elf, const struct symbol *symbol)
{
	struct opvm_map_definition *const definition = new_map(elf, symbol->name);
	const size_t name_bytes = sizeof(definition->name);

	if (definition == NULL)
		return wrong(elf, "too many maps");
	if (strcmp(symbol->section->name, BTF_MAP_SECTION) == 0)
		return describe_map(elf, symbol, definition);
	if (symbol->section->bytes == NULL ||
	    !within(symbol->value, sizeof(*definition), symbol->section->size_bytes))
		return wrong(elf, "a map lies past the end of its section");
	memcpy((uint8_t *)definition + name_bytes,
	       symbol->section->bytes + symbol->value + name_bytes,
	       sizeof(*definition) - name_bytes);
	elf->object->maps_count++;
	return 0;
}

static int add_program(struct elf *elf, const struct symbol *symbol)
{
	const char *const name =
		opvm_object_string(elf->object, symbol->name, strlen(symbol->name));
	const char *const section = opvm_object_string(elf->object, symbol->section->name,
						       strlen(symbol->section->name));

	if (symbol->value % 8 != 0 || symbol->value >= symbol->section->size_bytes)
		return wrong(elf, "a program lies past the end of its section");
	if (name == NULL || section == NULL ||
	    opvm_object_add_program(elf->object, name, section,
				    symbol->section->base + (uint32_t)(symbol->value / 8)) != 0)
		return opvm_fail(elf->log, ENOMEM, "no memory for a program\n");
	return 0;
}

static int add_symbols(struct elf *elf)
{
	int error = 0;

	for (uint64_t index = 1; error == 0 && index < symbols_count(elf); index++) {
		struct symbol symbol;

		error = read_symbol(elf, index, &symbol);
		if (error != 0 || symbol.section == NULL)
			continue;
		if (symbol.type == STT_OBJECT && holds_maps(symbol.section))
			error = add_map(elf, &symbol);
		else if (symbol.type == STT_FUNC && symbol.binding != STB_LOCAL &&
			 is_code(symbol.section) && strcmp(symbol.section->name, ".text") != 0)
			error = add_program(elf, &symbol);
	}
	return error;
}

/* ---- relocations --------------------------------------------------------------------------- */

/** The index of the map that a symbol is; NO_INDEX if it is none. */
static uint32_t map_of(const struct elf *elf, const struct symbol *symbol)
{
	for (uint32_t index = 0; index < elf->object->maps_count; index++)
		if (elf->object->contents[index] == NULL &&
		    strncmp(elf->object->definitions[index].name, symbol->name, 31) == 0)
			return index;
	return NO_INDEX;
}

static void set_source(struct opvm_instruction *instruction, unsigned source)
{
	instruction->registers = (uint8_t)((instruction->registers & 15) | source << 4);
}

static int relocate_wide(struct elf *elf, uint32_t at, const struct symbol *symbol)
{
	struct opvm_instruction *const halves = &elf->object->code[at];
	const uint64_t value = symbol->value + (uint32_t)halves->immediate;

	if (halves->opcode != 0x18 || at + 1 >= elf->object->count || symbol->section == NULL)
		return wrong(elf, "a relocation of what is no address");
	if (holds_maps(symbol->section)) {
		const uint32_t map = map_of(elf, symbol);

		if (map == NO_INDEX)
			return wrong(elf, "a relocation to a map that there is not");
		set_source(halves, 5);
		halves[0].immediate = (int32_t)map;
		halves[1].immediate = 0;
	} else if (is_code(symbol->section) && symbol->section->base != NO_INDEX) {
		set_source(halves, 4);
		halves[0].immediate =
			(int32_t)((uint32_t)(value / 8) + symbol->section->base - at - 1);
		halves[1].immediate = 0;
	} else if (symbol->section->base != NO_INDEX) {
		set_source(halves, 6);
		halves[0].immediate = (int32_t)symbol->section->base;
		halves[1].immediate = (int32_t)(uint32_t)value;
	} else {
		return wrong(elf, "a relocation to something outside");
	}
	return 0;
}

static int relocate_call(struct elf *elf, uint32_t at, const struct symbol *symbol)
{
	struct opvm_instruction *const call = &elf->object->code[at];

	if (call->opcode != 0x85 || symbol->section == NULL || !is_code(symbol->section) ||
	    symbol->section->base == NO_INDEX)
		return opvm_fail(elf->log, EINVAL,
				 "ELF object: it calls %s, which it does not have\n", symbol->name);
	set_source(call, 1);
	call->immediate = (int32_t)(symbol->section->base + (uint32_t)(symbol->value / 8) +
				    (uint32_t)call->immediate + 1 - at - 1);
	return 0;
}

static int relocate(struct elf *elf, const struct section *target, const Elf64_Rel *relocation)
{
	const uint32_t type = (uint32_t)ELF64_R_TYPE(relocation->r_info);
	struct symbol symbol;
	uint32_t at;
	int error = read_symbol(elf, ELF64_R_SYM(relocation->r_info), &symbol);

	if (error != 0)
		return error;
	if (relocation->r_offset % 8 != 0 || relocation->r_offset >= target->size_bytes)
		return wrong(elf, "a relocation past the end of its section");
	at = target->base + (uint32_t)(relocation->r_offset / 8);
	if (type == RELOCATION_64)
		return relocate_wide(elf, at, &symbol);
	if (type == RELOCATION_CALL)
		return relocate_call(elf, at, &symbol);
	return opvm_fail(elf->log, EINVAL, "ELF object: relocation of kind %u is not known\n",
			 type);
}

static int relocate_section(struct elf *elf, const struct section *section)
{
	const struct section *target;
	int error = 0;

	if (section->type != SHT_REL || section->info >= elf->sections_count)
		return 0;
	target = &elf->sections[section->info];
	if (!is_code(target))
		return 0;
	for (uint64_t at = 0; error == 0 && within(at, sizeof(Elf64_Rel), section->size_bytes);
	     at += sizeof(Elf64_Rel)) {
		Elf64_Rel relocation;

		memcpy(&relocation, section->bytes + at, sizeof(relocation));
		error = relocate(elf, target, &relocation);
	}
	return error;
}

/* ---- lines --------------------------------------------------------------------------------- */

static uint32_t word_at(const struct section *section, uint64_t offset)
{
	uint32_t word = 0;

	if (within(offset, sizeof(word), section->size_bytes))
		memcpy(&word, section->bytes + offset, sizeof(word));
	return word;
}

/** String @offset of BTF's own; NULL if it is damaged. */
static const char *btf_string(const struct section *btf, uint32_t offset)
{
	const uint64_t header = word_at(btf, 4), strings = header + word_at(btf, 16);
	const uint64_t length = word_at(btf, 20);

	if (!within(strings, length, btf->size_bytes))
		return NULL;
	return string_at(btf->bytes + strings, length, offset);
}

static const char *own_string(struct elf *elf, const char *text)
{
	if (text == NULL)
		return NULL;
	while (*text == ' ' || *text == '\t')
		text++;
	return opvm_object_string(elf->object, text, strlen(text));
}

/** A record of a line: offset, file, text, line and column. */
static int add_line(struct elf *elf, const struct section *btf, const struct section *ext,
		    uint64_t at, const struct section *code)
{
	const uint32_t offset = word_at(ext, at);
	struct opvm_line line;

	if (code == NULL || code->base == NO_INDEX || offset >= code->size_bytes)
		return 0;
	line.instruction = code->base + offset / 8;
	line.line = word_at(ext, at + 12) >> 10;
	line.file = own_string(elf, btf_string(btf, word_at(ext, at + 4)));
	line.text = own_string(elf, btf_string(btf, word_at(ext, at + 8)));
	return opvm_object_add_line(elf->object, &line);
}

static int compare_lines(const void *a, const void *b)
{
	const struct opvm_line *const first = a, *const second = b;

	return first->instruction < second->instruction ? -1
							: first->instruction > second->instruction;
}

/** Lines are for people: what is damaged in them is left out. */
static int read_lines(struct elf *elf)
{
	const struct section *const btf = find_section(elf, ".BTF");
	const struct section *const ext = find_section(elf, ".BTF.ext");
	uint64_t at, end, record_bytes;

	if (btf == NULL || ext == NULL || (word_at(btf, 0) & 0xffff) != BTF_MAGIC ||
	    (word_at(ext, 0) & 0xffff) != BTF_MAGIC)
		return 0;
	at = (uint64_t)word_at(ext, 4) + word_at(ext, 16);
	end = at + word_at(ext, 20);
	record_bytes = word_at(ext, at);
	if (!within(at, end - at, ext->size_bytes) || record_bytes < 16)
		return 0;
	for (at += 4; at + 8 <= end;) {
		const char *const name = btf_string(btf, word_at(ext, at));
		const struct section *const code = name != NULL ? find_section(elf, name) : NULL;
		uint32_t count = word_at(ext, at + 4);

		for (at += 8; count > 0 && at + record_bytes <= end; count--, at += record_bytes)
			if (add_line(elf, btf, ext, at, code) != 0)
				return opvm_fail(elf->log, ENOMEM, "no memory for lines\n");
	}
	if (elf->object->lines_count > 0)
		qsort(elf->object->lines, elf->object->lines_count, sizeof(struct opvm_line),
		      compare_lines);
	return 0;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int read_all(struct elf *elf)
{
	int error = read_sections(elf);

	if (error == 0)
		error = find_symbols(elf);
	if (error == 0)
		error = add_contents(elf);
	if (error == 0)
		error = add_symbols(elf);
	for (uint32_t index = 0; error == 0 && index < elf->sections_count; index++)
		error = relocate_section(elf, &elf->sections[index]);
	if (error == 0)
		error = read_lines(elf);
	if (error == 0 && elf->object->programs_count == 0)
		error = wrong(elf, "no function in it is a program: those are outside of .text and "
				   "not static");
	return error;
}

int opvm_object_read(const void *bytes, size_t size_bytes, struct opvm_log *log,
		     struct opvm_object **object)
{
	struct elf *const elf = calloc(1, sizeof(*elf));
	int error;

	if (elf == NULL)
		return opvm_fail(log, ENOMEM, "no memory for an object\n");
	elf->bytes = bytes;
	elf->size_bytes = size_bytes;
	elf->log = log;
	elf->object = opvm_object_create();
	error = elf->object != NULL ? read_all(elf) : -ENOMEM;
	if (error != 0)
		opvm_object_destroy(elf->object);
	else
		*object = elf->object;
	free(elf);
	return error;
}
