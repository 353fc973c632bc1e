/* SPDX-License-Identifier: MIT */
/*
 * Objects: code of several programs with their maps, as the assembler and the reader of ELF make
 * them.
 */
#ifndef OPVM_OBJECT_H
#define OPVM_OBJECT_H

#include "opvm_internal.h"

struct opvm_object {
	struct opvm_instruction *code;
	uint32_t count;
	uint32_t code_room;

	struct opvm_object_program *programs;
	uint32_t programs_count;
	struct opvm_map_definition definitions[OPVM_MAX_MAPS];
	/** What a map's first value is set to on loading, or NULL; of the value's size. */
	uint8_t *contents[OPVM_MAX_MAPS];
	uint32_t maps_count;
	struct opvm_line *lines;
	uint32_t lines_count;
	/** Names and lines; freed with the object. */
	char **strings;
	uint32_t strings_count;

	/* Once loaded: as many as there are definitions and programs. */
	bool loaded;
	struct opvm_map *maps[OPVM_MAX_MAPS];
	struct opvm_program **loaded_programs;
};

struct opvm_object *opvm_object_create(void);

/** Adds one instruction. -E2BIG, -ENOMEM. */
int opvm_object_add(struct opvm_object *object, const struct opvm_instruction *instruction);

/** A copy of @length bytes that the object owns; NULL without memory. */
const char *opvm_object_string(struct opvm_object *object, const char *text, size_t length);

int opvm_object_add_program(struct opvm_object *object, const char *name, const char *section,
			    uint32_t entry);
int opvm_object_add_line(struct opvm_object *object, const struct opvm_line *line);

/**
 * Fills in what BTF says of the map @name; @definition has its name, and is zero otherwise. -EINVAL
 * for what is damaged, missing or not understood, -ENOMEM.
 */
int opvm_btf_map(const void *bytes, size_t size_bytes, const char *name, struct opvm_log *log,
		 struct opvm_map_definition *definition);

#endif
