/* SPDX-License-Identifier: MIT */
/*
 * What the parts of opvm share.
 *
 *	source --decode--> rows --verify--> facts --lower--> operations --interpret--> result
 *
 * A row is an index into the table of instructions (opvm_shapes). What is above the line in
 * opvm/README.md's table is built into the kernel, too, and includes nothing but this file and what
 *it includes.
 */
#ifndef OPVM_INTERNAL_H
#define OPVM_INTERNAL_H

#include "opvm.h"
#include "opvm/opcodes.h"
#include "opvm_host.h"

#define OPVM_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- instructions -------------------------------------------------------------------------- */

enum opvm_selector {
	OPVM_SELECT_NONE,
	OPVM_SELECT_OFFSET,
	OPVM_SELECT_IMMEDIATE,
	OPVM_SELECT_SOURCE
};

/* Fields that carry an operand. W: the second half's immediate. */
enum opvm_form {
	OPVM_FORM_NOTHING = 0,
	OPVM_FORM_D = 1 << 0,
	OPVM_FORM_S = 1 << 1,
	OPVM_FORM_O = 1 << 2,
	OPVM_FORM_I = 1 << 3,
	OPVM_FORM_W = 1 << 4,
	OPVM_FORM_DI = OPVM_FORM_D | OPVM_FORM_I,
	OPVM_FORM_DS = OPVM_FORM_D | OPVM_FORM_S,
	OPVM_FORM_DIO = OPVM_FORM_DI | OPVM_FORM_O,
	OPVM_FORM_DSO = OPVM_FORM_DS | OPVM_FORM_O,
	OPVM_FORM_DW = OPVM_FORM_DI | OPVM_FORM_W
};

enum opvm_group {
	OPVM_GROUP_ALU_K,
	OPVM_GROUP_ALU_X,
	OPVM_GROUP_JUMP,
	OPVM_GROUP_JUMP_K,
	OPVM_GROUP_JUMP_X,
	OPVM_GROUP_CALL,
	OPVM_GROUP_EXIT,
	OPVM_GROUP_WIDE,
	OPVM_GROUP_LOAD,
	OPVM_GROUP_STORE_K,
	OPVM_GROUP_STORE_X,
	OPVM_GROUP_ATOMIC
};

enum opvm_do {
	OPVM_DO_ADD,
	OPVM_DO_SUB,
	OPVM_DO_MUL,
	OPVM_DO_DIV,
	OPVM_DO_SDIV,
	OPVM_DO_OR,
	OPVM_DO_AND,
	OPVM_DO_LSH,
	OPVM_DO_RSH,
	OPVM_DO_NEG,
	OPVM_DO_MOD,
	OPVM_DO_SMOD,
	OPVM_DO_XOR,
	OPVM_DO_MOV,
	OPVM_DO_MOVSX8,
	OPVM_DO_MOVSX16,
	OPVM_DO_MOVSX32,
	OPVM_DO_ARSH,
	OPVM_DO_LE16,
	OPVM_DO_LE32,
	OPVM_DO_LE64,
	OPVM_DO_BE16,
	OPVM_DO_BE32,
	OPVM_DO_BE64,
	OPVM_DO_SWAP16,
	OPVM_DO_SWAP32,
	OPVM_DO_SWAP64,
	OPVM_DO_JA,
	OPVM_DO_JA_FAR,
	OPVM_DO_JEQ,
	OPVM_DO_JNE,
	OPVM_DO_JGT,
	OPVM_DO_JLE,
	OPVM_DO_JGE,
	OPVM_DO_JLT,
	OPVM_DO_JSGT,
	OPVM_DO_JSLE,
	OPVM_DO_JSGE,
	OPVM_DO_JSLT,
	OPVM_DO_JSET,
	OPVM_DO_JCLEAR, /* no instruction: what holds where JSET was not taken */
	OPVM_DO_HELPER,
	OPVM_DO_LOCAL,
	OPVM_DO_BTF,
	OPVM_DO_REGISTER,
	OPVM_DO_EXIT,
	OPVM_DO_IMM64,
	OPVM_DO_MAP_FD,
	OPVM_DO_MAP_FD_VALUE,
	OPVM_DO_VARIABLE,
	OPVM_DO_CODE,
	OPVM_DO_MAP,
	OPVM_DO_MAP_VALUE,
	OPVM_DO_LOAD,
	OPVM_DO_LOAD_SIGNED,
	OPVM_DO_STORE,
	OPVM_DO_ATOMIC_ADD,
	OPVM_DO_ATOMIC_OR,
	OPVM_DO_ATOMIC_AND,
	OPVM_DO_ATOMIC_XOR,
	OPVM_DO_FETCH_ADD,
	OPVM_DO_FETCH_OR,
	OPVM_DO_FETCH_AND,
	OPVM_DO_FETCH_XOR,
	OPVM_DO_XCHG,
	OPVM_DO_CMPXCHG
};

#define OPVM_ROW(name, ...) OPVM_OP_##name,
enum opvm_row {
	OPVM_OPCODES(OPVM_ROW, OPVM_ROW) OPVM_ROWS
};
#undef OPVM_ROW

/** In an array of rows: the second half of a wide instruction. */
#define OPVM_SECOND_HALF 255

_Static_assert(OPVM_ROWS < OPVM_SECOND_HALF, "rows are kept in bytes");

struct opvm_shape {
	const char *text;
	uint8_t opcode;
	uint8_t selector;
	uint8_t selected;
	uint8_t form;
	uint8_t group;
	uint8_t operation;
	uint8_t bits;
};

extern const struct opvm_shape opvm_shapes[OPVM_ROWS];

static inline unsigned opvm_dst(const struct opvm_instruction *instruction)
{
	return instruction->registers & 15;
}

static inline unsigned opvm_src(const struct opvm_instruction *instruction)
{
	return instruction->registers >> 4;
}

/** The 64-bit immediate of a wide instruction. */
static inline uint64_t opvm_wide(const struct opvm_instruction *instruction)
{
	return (uint64_t)(uint32_t)instruction[1].immediate << 32 |
	       (uint32_t)instruction[0].immediate;
}

/** The row of an instruction, or -EINVAL for what the table does not define. */
int opvm_decode(const struct opvm_instruction *instruction);

/**
 * Checks the encoding of all instructions and fills in the row of each. -EINVAL with the reason in
 * the log.
 */
int opvm_decode_all(const struct opvm_instruction *instructions, uint32_t count, uint8_t *rows,
		    struct opvm_log *log);

/** Where a jump or local call goes; only for rows that have a target. May lie outside. */
int64_t opvm_target(const struct opvm_instruction *instruction, uint8_t row, uint32_t at);

/** Whether the row is a jump, a conditional one included. */
bool opvm_is_jump(uint8_t row);

/** opvm_disassemble(), within the kernel as well. */
int opvm_write_instruction(const struct opvm_instruction *instructions, uint32_t count,
			   uint32_t index, char *text, size_t size_bytes);

/* ---- logs ---------------------------------------------------------------------------------- */

void opvm_log(struct opvm_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Writes to the log and returns -@error. */
int opvm_fail(struct opvm_log *log, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** As snprintf(), wherever this runs. */
int opvm_format(char *text, size_t size_bytes, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- maps ---------------------------------------------------------------------------------- */

/** Where the value of @key is for a program on this processor; NULL if there is none. */
void *opvm_map_lookup(struct opvm_map *map, const void *key);

/** The first value of a map that has one value or an array of them, for `map_value`; or NULL. */
void *opvm_map_values(struct opvm_map *map);

/** Bytes from one value of an array to the next. */
uint32_t opvm_map_stride(const struct opvm_map *map);

int opvm_ring_output(struct opvm_map *map, const void *data, uint64_t size_bytes);
int opvm_histogram_add(struct opvm_map *map, uint64_t value);

/* ---- helpers ------------------------------------------------------------------------------- */

extern const struct opvm_helper opvm_builtins[];

/** The helper that a call names, or NULL. */
const struct opvm_helper *opvm_find_helper(const struct opvm_environment *environment,
					   enum opvm_do how, uint32_t number);

/* ---- programs ------------------------------------------------------------------------------ */

/** A lowered instruction. What the fields mean depends on the code: see lower.c. */
struct opvm_operation {
	uint16_t code;
	uint8_t dst;
	uint8_t src;
	int32_t offset;
	union {
		int64_t immediate;
		uint64_t bits;
		const struct opvm_operation *target;
		opvm_function function;
		/** Of calls of functions: fuel, and the stack of the caller. */
		struct {
			uint32_t cost;
			uint32_t stack_bytes;
		} call;
	};
};

/** What verification found out about a program, for lowering. */
struct opvm_facts {
	/** Of each instruction, whether it can be reached. */
	uint8_t *reached;
	/** Of the first instruction of each function, bytes of stack. */
	uint16_t *stack_bytes;
	/** Of each instruction, the first one of its function. */
	uint32_t *function;
	/** Of the first instruction of each function, how many of its instructions can be reached.
	 */
	uint32_t *length;
	uint64_t steps;
	uint64_t state_bytes;
	uint32_t total_stack_bytes;
	bool walked;
	bool has_calls;
};

struct opvm_program {
	struct opvm_operation *operations;
	uint32_t operations_count;
	uint32_t entry;
	uint64_t exhausted_result;
	/** Machine code and its mapping, or NULL. */
	const void *compiled;
	void *code;
	size_t code_bytes;
	struct opvm_program_info info;
};

int opvm_verify(const struct opvm_environment *environment, const struct opvm_source *source,
		const uint8_t *rows, struct opvm_log *log, struct opvm_facts *facts);

int opvm_lower(const struct opvm_environment *environment, const struct opvm_source *source,
	       const uint8_t *rows, const struct opvm_facts *facts, struct opvm_program *program);

/** Runs and frees machine code: of a compiled program only. */
int opvm_run_code(const struct opvm_program *program, void *context, uint64_t fuel,
		  uint64_t *result);
void opvm_release_code(struct opvm_program *program);

#endif
