/* SPDX-License-Identifier: MIT */
/*
 * opvm: an opcode virtual machine. Small programs in the instruction set of RFC 9669 are verified
 *once, lowered, and then run many times, in a process or inside the Linux kernel.
 *
 *	struct opvm_source source = {.size = sizeof(source), .instructions = code, .count = n};
 *
 *	opvm_program_create(&environment, &source, &log, &program);
 *	opvm_run(program, &context, 1000000, &result);
 *
 * A program is refused unless its memory safety is proven: whatever it is given, it reaches only
 *its stack, its context's fields, regions that the context lends, and values of its maps. Whether
 *it ends is never a reason to refuse it: jumps backwards and calls use up fuel, and a program that
 *runs out of it ends with an outcome that was chosen when it was created.
 *
 * Threads: a program is immutable and may run on any number of threads at once. Maps may be used
 *from any thread while programs use them. Everything else is for one thread at a time.
 *
 * Memory: nothing is allocated after a program or a map has been created. What a source points to
 *is not needed after opvm_program_create(), but maps, and the environment with its helpers, must
 *stay as long as the program.
 *
 * Errors: functions return 0 or a positive count, or a negative errno value; where they take a log
 *they put a sentence into it that names the thing, the value and what was allowed. Outputs are
 *untouched on failure. Nothing is printed.
 */
#ifndef OPVM_H
#define OPVM_H

#include "opvm/platform.h"

#ifdef __cplusplus
extern "C" {
#endif

struct opvm_map;
struct opvm_program;
struct opvm_object;

/** One instruction as RFC 9669, section 3 lays it out, in the byte order of this machine. */
struct opvm_instruction {
	uint8_t opcode;
	/** Destination in the low four bits, source in the high four. */
	uint8_t registers;
	int16_t offset;
	int32_t immediate;
};

enum opvm_limit {
	/** Most instructions of one source. */
	OPVM_MAX_INSTRUCTIONS = 65536,
	/** Most maps of one source. */
	OPVM_MAX_MAPS = 64,
	/** Bytes of stack of each function. */
	OPVM_STACK_BYTES = 512,
	/** Functions that may be entered at once. */
	OPVM_MAX_FRAMES = 8,
	/** Most regions of a context. */
	OPVM_MAX_REGIONS = 4,
	OPVM_MAX_ARGUMENTS = 5
};

/* ---- logs ---------------------------------------------------------------------------------- */

/** Where sentences go. Whoever calls owns the memory; what does not fit is cut. */
struct opvm_log {
	/** Always ends in a zero after a call that took the log, if size_bytes is not 0. */
	char *text;
	size_t size_bytes;
	/** Bytes in use without the zero. A call appends; set it to 0 to begin anew. */
	size_t used_bytes;
};

/* ---- what programs may do: environments ---------------------------------------------------- */

/** What a field of a context holds. */
enum opvm_field_kind {
	/** An integer. */
	OPVM_FIELD_INTEGER = 1,
	/** A pointer to the first byte of a region; 8 bytes. */
	OPVM_FIELD_REGION,
	/** A pointer past the last byte of a region; 8 bytes. */
	OPVM_FIELD_REGION_END,
	/** The length of a region in bytes, an integer of 4 or 8 bytes. */
	OPVM_FIELD_REGION_LENGTH
};

enum opvm_field_flag {
	/** The program may write the field (integers) or what is in the region (OPVM_FIELD_REGION).
	 */
	OPVM_FIELD_WRITABLE = 1 << 0
};

/** A field of a context. Where no field is, a program reads and writes nothing. */
struct opvm_field {
	const char *name;
	uint32_t offset_bytes;
	/** 1, 2, 4 or 8, or any multiple of 8 for an array of bytes. */
	uint32_t size_bytes;
	/** opvm_field_kind. */
	uint8_t kind;
	/** opvm_field_flag. */
	uint8_t flags;
	/** Of regions: which, from 0 to OPVM_MAX_REGIONS - 1. */
	uint8_t region;
	uint8_t reserved;
	/** Of regions: bytes that are always there. */
	uint32_t region_min_bytes;
	/** Of regions: more bytes than this are never there; at most INT32_MAX. */
	uint32_t region_max_bytes;
};

/** The layout of what opvm_run() hands to a program in r1. */
struct opvm_context {
	const char *name;
	uint32_t size_bytes;
	uint32_t fields_count;
	const struct opvm_field *fields;
};

/** What a helper takes. */
enum opvm_argument {
	OPVM_ARGUMENT_NONE,
	/** An integer. */
	OPVM_ARGUMENT_INTEGER,
	/** The program's context, unchanged. */
	OPVM_ARGUMENT_CONTEXT,
	/** A map of the program; the helper gets a struct opvm_map. */
	OPVM_ARGUMENT_MAP,
	/** Readable memory of the map's key size. The map is the nearest argument before. */
	OPVM_ARGUMENT_KEY,
	/** Readable memory of the map's value size. */
	OPVM_ARGUMENT_VALUE,
	/** Memory to read, whose size is the next argument. */
	OPVM_ARGUMENT_READ,
	/** Memory to write, whose size is the next argument; the helper fills it in whole. */
	OPVM_ARGUMENT_WRITE,
	/** The size of the memory before, in bytes, at least 1. */
	OPVM_ARGUMENT_SIZE
};

enum opvm_result {
	/** An integer. */
	OPVM_RESULT_INTEGER,
	/** A value of the map among the arguments, or null. */
	OPVM_RESULT_VALUE_OR_NULL
};

/**
 * A helper. The sixth argument is the context that opvm_run() was given.
 */
typedef uint64_t (*opvm_function)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, void *context);

/** A function of the host that programs call, and its signature. */
struct opvm_helper {
	const char *name;
	opvm_function function;
	/** What `call` names. Numbers of opvm_builtin are taken. */
	uint32_t number;
	/** What `call btf` names; 0 for nothing. */
	uint32_t btf_id;
	/** opvm_argument of r1 to r5; the first OPVM_ARGUMENT_NONE ends them. */
	uint8_t arguments[OPVM_MAX_ARGUMENTS];
	/** opvm_result. */
	uint8_t result;
	/** opvm_map_kind bits (1 << kind) of maps that it takes; 0 for any. */
	uint16_t map_kinds;
};

/** Memory of the host that programs reach by `lddw rN, variable I`. */
struct opvm_variable {
	const char *name;
	void *address;
	uint32_t size_bytes;
	bool writable;
};

/** What programs of one kind may do. Constant; must outlive the programs. */
struct opvm_environment {
	/** sizeof(struct opvm_environment). */
	uint32_t size;
	uint32_t helpers_count;
	uint32_t variables_count;
	/** NULL for programs that get none: r1 is then 0. */
	const struct opvm_context *context;
	const struct opvm_helper *helpers;
	const struct opvm_variable *variables;
};

/** Helpers that every environment has. Numbers below 0x1000 are those of Linux. */
enum opvm_builtin {
	/** void *(map, key): the value of a key, or null. */
	OPVM_CALL_MAP_LOOKUP = 1,
	/** int (map, key, value, flags): 0, or a negative errno; flags as opvm_map_set(). */
	OPVM_CALL_MAP_UPDATE = 2,
	/** int (map, key): 0, or -ENOENT. */
	OPVM_CALL_MAP_DELETE = 3,
	/** u64 (): nanoseconds of CLOCK_MONOTONIC. */
	OPVM_CALL_TIME_NS = 5,
	/** u32 (): a random number, not for secrets. */
	OPVM_CALL_RANDOM = 7,
	/** u32 (): the processor that this runs on. */
	OPVM_CALL_PROCESSOR = 8,
	/** int (ring, data, size, flags 0): 0, or -ENOSPC when the ring is full. */
	OPVM_CALL_RING_OUTPUT = 130,
	/** int (histogram, value): counts the value in the bucket of its highest bit. */
	OPVM_CALL_HISTOGRAM_ADD = 0x1000
};

/* ---- maps ---------------------------------------------------------------------------------- */

enum opvm_map_kind {
	/** Values by index; keys are 4 bytes. All values are there from the start, and zero. */
	OPVM_MAP_ARRAY = 1,
	/** Values by key. */
	OPVM_MAP_HASH,
	/** As an array, with values of its own for each processor. */
	OPVM_MAP_PER_CPU,
	/** 64 counters by the highest bit of what is counted; no key, values are 8 bytes. */
	OPVM_MAP_HISTOGRAM,
	/** Records from programs to one reader; entries is the size in bytes, a power of two. */
	OPVM_MAP_RING
};

struct opvm_map_definition {
	/** Up to 31 characters. */
	char name[32];
	/** opvm_map_kind. */
	uint32_t kind;
	uint32_t key_bytes;
	uint32_t value_bytes;
	uint32_t entries;
};

enum opvm_map_flag {
	OPVM_MAP_ANY = 0,
	/** Only if the key is not there yet, or -EEXIST. */
	OPVM_MAP_ABSENT = 1,
	/** Only if the key is there, or -ENOENT. */
	OPVM_MAP_PRESENT = 2
};

/** Creates a map, with all memory that it will ever have. -EINVAL, -ENOMEM. */
int opvm_map_create(const struct opvm_map_definition *definition, struct opvm_log *log,
		    struct opvm_map **map);

/** No program that uses the map may be there any more. NULL is ignored. */
void opvm_map_destroy(struct opvm_map *map);

/** What the map was created as. Lives as long as the map. */
const struct opvm_map_definition *opvm_map_describe(const struct opvm_map *map);

/**
 * Copies the value of a key. Words of 8 bytes are each copied whole, the value together is not if a
 * program writes it at that moment. Per-CPU maps give the values of all processors one after the
 * other: opvm_map_processors() of them. Histograms take key NULL and give 64 counters of 8 bytes,
 * summed up. -ENOENT without such a key, -EINVAL for rings.
 */
int opvm_map_get(const struct opvm_map *map, const void *key, void *value);

/**
 * Sets the value of a key; flags are an opvm_map_flag. For per-CPU maps it becomes each processor's
 * value. -E2BIG when a hash is full or an index past the end, -EEXIST, -ENOENT; -EINVAL for
 * histograms, rings and unknown flags.
 */
int opvm_map_set(struct opvm_map *map, const void *key, const void *value, uint64_t flags);

/** Removes a key of a hash. -ENOENT; -EINVAL for other maps. */
int opvm_map_delete(struct opvm_map *map, const void *key);

/**
 * The key after @key in no particular order, or the first for NULL or a key that is not there. Keys
 * that come or go meanwhile may be missed or seen twice. -ENOENT after the last.
 */
int opvm_map_next(const struct opvm_map *map, const void *key, void *next_key);

/**
 * Copies all values of an array or hash to another map, one by one, while programs may use both;
 * other keys of that stay. -EINVAL unless both have the same definition but for their names, and
 * for other kinds; -E2BIG when a hash is full; -ENOMEM.
 */
int opvm_map_copy(const struct opvm_map *from, struct opvm_map *to);

/** How many values a key of a per-CPU map has; 1 for others. */
uint32_t opvm_map_processors(const struct opvm_map *map);

/**
 * Takes the oldest record out of a ring. Returns its size in bytes, 0 if there is none, -ENOSPC if
 * it does not fit (it then stays), -EINVAL for other maps. One reader at a time.
 */
int opvm_ring_read(struct opvm_map *map, void *record, uint32_t size_bytes);

/** Records that found the ring full. */
uint64_t opvm_ring_lost(const struct opvm_map *map);

/* ---- programs ------------------------------------------------------------------------------ */

/** Where an instruction comes from; lines are sorted by instruction. */
struct opvm_line {
	uint32_t instruction;
	uint32_t line;
	const char *file;
	/** The line itself, or NULL. */
	const char *text;
};

/** What is to become a program. Zeros mean nothing, or defaults. */
struct opvm_source {
	/** sizeof(struct opvm_source). */
	uint32_t size;
	uint32_t count;
	const struct opvm_instruction *instructions;
	/** Index of the instruction to begin with. */
	uint32_t entry;
	uint32_t maps_count;
	/** What `lddw rN, map I` names by index. */
	struct opvm_map *const *maps;
	const struct opvm_line *lines;
	uint32_t lines_count;
	/** Most steps that verifying may take; 2 million, about a second. */
	uint32_t max_steps;
	/** What opvm_run() gives as result of a program that ran out of fuel. */
	uint64_t exhausted_result;
	/** Only check; creates no program. Its pointer may be NULL then. */
	bool verify_only;
	/** Log each step of verification that is walked, for people who wonder about a refusal. */
	bool explain;
};

/**
 * Verifies, lowers and so creates a program.
 *
 * -EINVAL for what RFC 9669 does not define (reserved bits, unknown opcodes, jumps out of the
 * program); -EACCES for a program whose safety is not proven: the log says which instruction, from
 * which source line, what the registers held and what was needed; -E2BIG for one too long, or whose
 * verification takes more than its limit of steps or of memory (16 MiB); -ENOMEM.
 */
int opvm_program_create(const struct opvm_environment *environment,
			const struct opvm_source *source, struct opvm_log *log,
			struct opvm_program **program);

/** The program must not be running. NULL is ignored. */
void opvm_program_destroy(struct opvm_program *program);

/** What verification found and cost. */
struct opvm_program_info {
	uint32_t instructions;
	/** Operations after lowering. */
	uint32_t operations;
	/** Instructions that verification walked, over all its passes. */
	uint64_t steps;
	/** Most bytes of states that verification kept. */
	uint64_t state_bytes;
	/** Bytes of stack that a run uses. */
	uint32_t stack_bytes;
	/** Whether loops had to be walked one by one to prove safety. */
	bool walked;
	/** Whether opvm_run() runs machine code. */
	bool compiled;
};

void opvm_program_describe(const struct opvm_program *program, struct opvm_program_info *info);

/**
 * Runs a program. @context is of the environment's context type, NULL if there is none; its regions
 * must be as declared. @fuel is roughly how many instructions may be executed: each jump backwards
 * costs its distance, each call of a function that function's length.
 *
 * Returns 0 with r0 in *@result; -ETIME when the fuel ran out, with the source's exhausted_result.
 * What the program did until then remains done.
 */
int opvm_run(const struct opvm_program *program, void *context, uint64_t fuel, uint64_t *result);

/** As opvm_run(), always by the interpreter. */
int opvm_interpret(const struct opvm_program *program, void *context, uint64_t fuel,
		   uint64_t *result);

/**
 * Makes machine code of a program, which opvm_run() uses from then on. The program must not be
 * running and not be in use by other threads meanwhile. -ENOTSUP on machines without a compiler;
 * -ENOMEM. Within the kernel it is the kernel's own compiler that does it; -EOPNOTSUPP where that
 * does not take the program: one with functions, say, or with more than 480 bytes of stack.
 */
int opvm_compile(struct opvm_program *program, struct opvm_log *log);

#ifndef __KERNEL__

/* ---- user space only: text and objects ------------------------------------------------------- */

/** One map or program of an object; strings live as long as the object. */
struct opvm_object_program {
	const char *name;
	/** The ELF section, or "" */
	const char *section;
	uint32_t entry;
};

/**
 * Reads an ELF object as clang -target bpf makes it. @bytes are not needed afterwards. -EINVAL for
 * what is damaged or not understood; -ENOMEM.
 */
int opvm_object_read(const void *bytes, size_t size_bytes, struct opvm_log *log,
		     struct opvm_object **object);

/** Assembles text; opvm(7) describes it. -EINVAL with the line's number in the log. */
int opvm_object_assemble(const char *text, struct opvm_log *log, struct opvm_object **object);

/** Destroys what opvm_object_load() created as well. NULL is ignored. */
void opvm_object_destroy(struct opvm_object *object);

/** The code of all of an object's programs. Lives as long as the object. */
const struct opvm_instruction *opvm_object_code(const struct opvm_object *object, uint32_t *count);

/** Program @index, or NULL past the last. */
const struct opvm_object_program *opvm_object_program(const struct opvm_object *object,
						      uint32_t index);

/** Definition of map @index, or NULL past the last. */
const struct opvm_map_definition *opvm_object_map_definition(const struct opvm_object *object,
							     uint32_t index);

/** The source line of an instruction, or NULL. */
const struct opvm_line *opvm_object_line(const struct opvm_object *object, uint32_t instruction);

/**
 * Creates the object's maps and all its programs. @defaults gives exhausted_result, max_steps and
 * explain, and may be NULL. On failure nothing is created. Errors as opvm_map_create() and
 * opvm_program_create(), and -EBUSY if it is loaded already.
 */
int opvm_object_load(struct opvm_object *object, const struct opvm_environment *environment,
		     const struct opvm_source *defaults, struct opvm_log *log);

/** A loaded program by name, or the first for NULL; NULL if there is none. The object's. */
struct opvm_program *opvm_object_find_program(const struct opvm_object *object, const char *name);

/** A loaded map by name, or NULL. The object's. */
struct opvm_map *opvm_object_find_map(const struct opvm_object *object, const char *name);

/**
 * Writes one instruction as text into @text. Returns how many instructions it takes, 1 or 2;
 * -EINVAL if it is none that RFC 9669 defines, and then writes its bytes.
 */
int opvm_disassemble(const struct opvm_instruction *instructions, uint32_t count, uint32_t index,
		     char *text, size_t size_bytes);

#endif

#ifdef __cplusplus
}
#endif

#endif
