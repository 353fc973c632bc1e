/* SPDX-License-Identifier: MIT */
/*
 * What the parts of wirec share: memory, names, messages, the syntax tree and what later stages add
 * to it. A compilation goes lexer -> parser -> names (names.c) -> layout (layout.c) -> emitters.
 * Nothing is freed before the whole compilation is; nothing is global.
 */
#ifndef WIREC_H
#define WIREC_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIREC_MAX_ERRORS 20
/** How deep blocks and expressions may nest; more is refused, so that no source exhausts the stack.
 */
#define WIREC_MAX_DEPTH 64
/** How deep structures may nest: the steps that a fault's path has room for. */
#define WIREC_MAX_NESTING 15
/** Largest constant place or size in a structure. */
#define WIREC_MAX_BYTES (UINT64_C(1) << 30)
/** Conditions with a bit of their own in one dynamic structure. */
#define WIREC_MAX_GUARDS 64

/* ---- memory and text (text.c) ---- */

struct arena_block;
struct arena {
	struct arena_block *blocks;
};

void *arena_alloc(struct arena *arena, size_t size);
char *arena_copy(struct arena *arena, const char *text, size_t length);
__attribute__((format(printf, 2, 3))) const char *arena_format(struct arena *arena,
							       const char *format, ...);
void arena_finish(struct arena *arena);

/** Text that grows. @data is NULL until something is put. */
struct text {
	char *data;
	size_t length, room;
};

void text_put(struct text *text, const char *data, size_t length);
__attribute__((format(printf, 2, 3))) void text_format(struct text *text, const char *format, ...);
__attribute__((format(printf, 2, 0))) void text_vformat(struct text *text, const char *format,
							va_list arguments);
void text_finish(struct text *text);

/** Names are interned: two equal ones have one address. */
struct names {
	const char **slots;
	size_t used, room;
};

const char *intern(struct arena *arena, struct names *names, const char *text, size_t length);

/* ---- sources and tokens (lex.c) ---- */

struct source {
	const char *path;
	const char *data;
	size_t length;
};

struct pos {
	const struct source *source;
	unsigned line, column;
	size_t offset; /* of the first byte in the source */
};

enum token_kind {
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_NUMBER,
	TOKEN_STRING,
	TOKEN_PUNCT, /* @punct: up to two characters, first in the high byte */
};

#define PUNCT(a, b) (((unsigned)(a) << 8) | (unsigned)(b))

struct token {
	enum token_kind kind;
	struct pos pos;
	const char *name; /* interned */
	uint64_t number;
	const char *string;
	size_t string_length;
	unsigned punct;
	const char *doc; /* of the lines before, or NULL */
};

/* ---- the syntax tree ---- */

enum order {
	ORDER_LITTLE,
	ORDER_BIG,
	ORDER_NATIVE,
	ORDER_RUNTIME
};

enum expr_kind {
	EXPR_NUMBER,
	EXPR_NAME, /* before names.c */
	EXPR_FIELD,
	EXPR_PARAM,
	EXPR_SIZE,
	EXPR_INDEX,
	EXPR_IT,
	EXPR_UNARY,
	EXPR_BINARY,
	EXPR_COND,
	EXPR_SIZEOF,
	EXPR_OFFSETOF,
	EXPR_ENDOF,
	EXPR_HAS,
	EXPR_MIN,
	EXPR_MAX,
	EXPR_ALIGN,
};

/* Operators of two characters are as PUNCT() has them; of one, PUNCT(0, c). */
struct expr {
	enum expr_kind kind;
	struct pos pos;
	unsigned op;
	uint64_t number;
	struct expr *a, *b, *c; /* operands; @a of EXPR_FIELD: the element's index */
	const char **path;      /* of EXPR_NAME, EXPR_IT (after "it"), EXPR_SIZEOF, … */
	unsigned path_length;
	struct field **fields; /* resolved, from the structure inwards */
	unsigned field_count;
	struct param *param;
	bool is_resolved, is_bytes;
	bool is_constant; /* then @kind is EXPR_NUMBER */
	bool may_fail;
	uint64_t max; /* no value is larger */
};

struct range {
	struct range *next;
	struct expr *low, *high; /* the same if it is one value */
};

struct member {
	struct member *next;
	struct pos pos;
	const char *name, *doc;
	struct expr *expr;
	bool is_bit;
	uint64_t value;
};

enum unknown {
	UNKNOWN_REFUSE,
	UNKNOWN_KEEP,
	UNKNOWN_CLEAR
};

/** An enum or flags. */
struct set {
	struct unit *unit;
	struct pos pos;
	const char *name, *doc;
	bool is_flags;
	enum unknown unknown;
	struct scalar *scalar;
	struct member *members;
	uint64_t mask; /* of flags: the known bits */
};

struct scalar {
	unsigned bytes;
	bool is_signed;
	enum order order;
};

enum type_kind {
	TYPE_SCALAR,
	TYPE_BYTES,
	TYPE_TEXT,
	TYPE_UTF16,
	TYPE_STRUCT
};
enum array_kind {
	ARRAY_NONE,
	ARRAY_COUNT,
	ARRAY_REST,
	ARRAY_SIZE,
	ARRAY_UNTIL
};
enum text_rule {
	TEXT_ZERO_PADDED,
	TEXT_TERMINATED,
	TEXT_SPACE_PADDED,
	TEXT_EXACT
};
enum field_kind {
	FIELD_PLAIN,
	FIELD_BIT,
	FIELD_JOIN
};
enum padding {
	PADDING_ZERO,
	PADDING_KEEP,
	PADDING_CHECK
};

struct args {
	struct expr **list;
	unsigned count;
};

/** Which way goes what a pointer leads to, as the driver of an ioctl sees it: bits. */
enum direction {
	DIRECTION_IN = 1,
	DIRECTION_OUT = 2
};

/** Where something is: @delta bytes after anchor @anchor; anchor 0 is the structure's start. */
struct place {
	unsigned anchor;
	uint64_t delta;
};

/** Everything that has a name and a getter: fields, bit fields, joins. */
struct field {
	struct field *next; /* in the structure's list of names */
	enum field_kind kind;
	struct strct *owner;
	struct pos pos;
	const char *name, *doc;
	/* as written */
	const char *type_unit, *type_name; /* of sets and structures */
	enum type_kind type;
	struct scalar scalar;
	struct args args;
	enum array_kind array;
	struct expr *count, *max_count;
	struct expr *constant;
	const char *string; /* constant text or bytes */
	size_t string_length;
	struct range *ranges;
	const char *as_unit, *as_name;
	enum text_rule text_rule;
	/* bit fields */
	struct item *bits;
	struct expr *width_expr;
	unsigned shift, width;
	/* joins */
	const char **part_names;
	struct field **parts;
	unsigned part_count;
	/* pointers: what they lead to, a field without a name and a place, and which way that goes
	 */
	struct field *target;
	unsigned direction;
	/* resolved */
	struct set *set;
	struct strct *strct;
	struct guard *guard;
	bool declared; /* passed by names.c: may be used in expressions */
	bool until_zero;
	/* laid out */
	struct place place, place_end;
	bool is_sized;      /* the size is constant: */
	uint64_t size;      /* all of it */
	uint64_t unit_size; /* of one element; 0 if it varies */
	uint64_t length;    /* elements of a constant array */
	bool is_checksum;
	bool is_derived; /* a writer computes it from @derived_from */
	struct field *derived_from;
};

enum guard_kind {
	GUARD_IF,
	GUARD_ELSE,
	GUARD_WHEN,
	GUARD_COVERED,
	GUARD_ARM
};

/** Under which condition something is there. @outer must hold as well. */
struct guard {
	enum guard_kind kind;
	struct guard *outer;
	struct item *item;
	struct arm *arm;
	int bit;        /* in the view's `has`, or -1 */
	unsigned cover; /* index among the structure's covered blocks */
};

struct arm {
	struct arm *next;
	struct pos pos;
	bool is_default, is_refuse;
	struct range *cases;
	struct item *body;
	struct guard *guard;
};

struct piece {
	struct piece *next;
	struct pos pos;
	enum {
		PIECE_SELF,
		PIECE_VALUE,
		PIECE_BYTES
	} kind;
	struct expr *from, *to; /* @from also of the others */
	unsigned bytes;
	bool is_big;
};

struct checksum {
	struct checksum *next;
	struct pos pos;
	const char **field_names, **skip_names, *algorithm;
	unsigned field_count, skip_count;
	struct field **fields, **skips;
	struct expr *seed, *condition;
	struct piece *pieces;
	const struct algorithm *known;
	struct digest *digest;
	struct guard *guard;
};

enum item_kind {
	ITEM_FIELD,
	ITEM_BITS,
	ITEM_IF,
	ITEM_WHEN,
	ITEM_COVERED,
	ITEM_UNION,
	ITEM_PAD,
	ITEM_ALIGN,
	ITEM_JOIN,
	ITEM_ASSERT,
	ITEM_CHECKSUM,
	ITEM_ORDER,
	ITEM_VERSION,
};

struct item {
	struct item *next;
	enum item_kind kind;
	struct pos pos;
	struct expr *at; /* "at expr:" */
	struct expr *expr;
	struct field *field; /* also of ITEM_ORDER: the constant; ITEM_JOIN */
	struct item *body, *orelse;
	struct guard *guard;              /* of what is around it */
	struct guard *inner, *inner_else; /* of body and orelse */
	struct arm *arms;
	struct expr *size_expr; /* unions */
	enum padding padding;
	const char *text; /* of an assert, name of a union or of bits */
	struct checksum *checksum;
	/* bits */
	struct scalar scalar;
	bool msb_first;
	struct field
		*bit_fields; /* in their order, chained by @next_bit; unnamed ones are padding */
	struct bit *bit_list;
	/* laid out */
	struct place start, place, end; /* before it, its own, of what follows */
	struct place cover_end;
	bool is_sized;
	uint64_t size;
};

struct bit {
	struct bit *next;
	struct pos pos;
	struct field *field; /* NULL: padding */
	struct expr *width_expr;
	enum padding padding;
	unsigned shift, width;
};

enum param_kind {
	PARAM_INT,
	PARAM_BOOL,
	PARAM_BYTES
};

struct param {
	struct param *next;
	struct pos pos;
	const char *name;
	enum param_kind kind;
	unsigned bits;
};

enum progress {
	PROGRESS_NONE,
	PROGRESS_RUNNING,
	PROGRESS_DONE
};

struct strct {
	struct strct *next;
	struct unit *unit;
	struct pos pos;
	const char *name, *doc;
	struct strct *narrow; /* of a `compat` one: as 32-bit programs have it */
	bool is_narrow;
	struct param *params;
	struct expr *size_expr;
	struct item *items;
	struct field *fields, **fields_end;
	struct item *order_by;
	struct expr *version;
	struct checksum *checksums, **checksums_end;
	/* resolved and laid out */
	enum progress names, layout;
	bool is_fixed;
	bool needs_fault; /* some check can fail */
	uint64_t size;    /* of a fixed one */
	struct place end;
	unsigned anchor_count;
	int guard_count;
	unsigned cover_count;
	unsigned nesting;
	bool takes_order; /* run-time byte order from outside */
	bool has_order;   /* some field has run-time order */
	bool has_writer;
	const char *no_writer; /* why not */
	bool has_checksums;    /* its own or of what is in it */
	bool has_pointers;     /* likewise, once they are looked for: */
	bool pointers_known;
};

struct constant {
	struct constant *next;
	struct pos pos;
	const char *name, *doc;
	struct expr *expr;
	enum progress progress;
};

struct digest {
	struct digest *next;
	struct pos pos;
	const char *name;
	struct expr *size;
};

struct companion {
	struct companion *next;
	struct pos pos;
	const char *name, *of;
	const char **lines;
	unsigned line_count;
	struct strct *strct;
};

struct operation {
	struct operation *next;
	struct pos pos;
	const char *name, *doc;
	struct expr *code, *fds, *reply_fds;
	const char *request_name, *reply_name, *errors_name;
	struct strct *request, *reply;
	struct set *errors;
};

/** Something that the argument of an ioctl is made of; the first is the argument itself. */
struct ioctl_part {
	struct ioctl_part *next;
	const char *path; /* "query.names" */
	const struct field *pointer;
	unsigned direction;
	bool is_string;
	uint64_t element_bytes, count;
	unsigned index, parent, depth;
	unsigned count_width;
	uint64_t pointer_at, count_at;
};

struct ioctl {
	struct ioctl *next;
	struct pos pos;
	const char *name, *doc;
	/* the number: as it is, or encoded from these */
	struct expr *code;
	struct expr *letter, *number;
	unsigned encoded_direction;
	struct field *encoded; /* whose size it has; NULL: none */
	struct field *argument;
	unsigned direction;
	bool is_repeatable;
	/* resolved: for 64-bit clients, or all; for 32-bit ones, if they have others */
	struct ioctl_part *parts, *narrow_parts;
};

struct root_default {
	struct root_default *next;
	struct pos pos;
	const char *name;
	struct expr *value;
};

struct root {
	struct root *next;
	struct pos pos;
	const char *name;
	struct root_default *defaults;
	struct strct *strct;
};

struct import {
	struct import *next;
	struct pos pos;
	const char *path;
	struct unit *unit;
};

struct include {
	struct include *next;
	const char *text;
};

/** Something with a name, declared in a file. */
struct symbol {
	const char *name;
	struct pos pos;
	enum {
		SYMBOL_STRUCT,
		SYMBOL_SET,
		SYMBOL_CONST,
		SYMBOL_MEMBER,
		SYMBOL_DIGEST
	} kind;
	void *what;
};

/** One .wire file. */
struct unit {
	struct unit *next;
	struct source source;
	const char *format, *doc;
	const char *base; /* the file's name without folder and ".wire" */
	enum order order;
	enum progress progress;
	struct import *imports, **imports_end;
	struct include *includes, **includes_end;
	struct constant *constants, **constants_end;
	struct set_list *sets, **sets_end;
	struct strct *structs, **structs_end;
	struct strct **sorted; /* each after those that it uses */
	unsigned sorted_count, struct_count;
	struct digest *digests, **digests_end;
	struct companion *companions, **companions_end;
	struct operation *operations, **operations_end;
	struct ioctl *ioctls, **ioctls_end;
	struct root *roots, **roots_end;
	struct symbol *symbols; /* hashed by name */
	size_t symbol_room, symbol_count;
};

struct set_list {
	struct set_list *next;
	struct set *set;
};

/** Reads a file: its content from the arena, or NULL with errno. */
typedef const char *wirec_read(struct arena *arena, const char *path, size_t *length);

/** What is made of a description: its structures, its operations over libcaps, or its ioctls. */
enum outputs {
	OUTPUTS_STRUCTS,
	OUTPUTS_CAPS,
	OUTPUTS_IOCTLS
};

struct compiler {
	struct arena arena;
	struct names names;
	wirec_read *read;
	const char **folders;
	unsigned folder_count;
	struct unit *units;
	struct text messages;
	struct text scratch; /* of the lexer */
	unsigned errors;
	unsigned depth;
	enum outputs outputs;
	jmp_buf stop; /* too many mistakes, or a file that cannot be read */
};

/* ---- messages (report.c) ---- */

/** Notes a mistake at @pos; @rule is a short name for it. */
__attribute__((format(printf, 4, 5))) void report(struct compiler *c, const struct pos *pos,
						  const char *rule, const char *format, ...);

/* ---- stages ---- */

struct lexer {
	struct compiler *c;
	const struct source *source;
	size_t at;
	unsigned line;
	size_t line_start;
	const char *doc;
	struct token token; /* the current one */
};

/** Makes the first token current. */
void lex_start(struct lexer *lexer, struct compiler *c, const struct source *source);
/** Goes on to the next token; reports what is none. */
void lex_next(struct lexer *lexer);

struct parser {
	struct lexer lexer;
	struct compiler *c;
	struct unit *unit;
	struct strct *strct;
	unsigned word_bytes; /* of the clients of a `compat` structure; else 0 */
	jmp_buf recover;
};

void parse_unit(struct compiler *c, struct unit *unit);
struct expr *parse_expr(struct parser *p);
/** For the parts of the parser. */
_Noreturn __attribute__((format(printf, 2, 3))) void parse_fail(struct parser *p,
								const char *format, ...);
bool parse_is(const struct parser *p, const char *word);
bool parse_is_punct(const struct parser *p, unsigned punct);
bool parse_take(struct parser *p, const char *word);
bool parse_take_punct(struct parser *p, unsigned punct);
void parse_expect(struct parser *p, unsigned punct);
const char *parse_name(struct parser *p, const char *what);
void parse_deeper(struct parser *p);
const char **parse_name_list(struct parser *p, const char *what, unsigned *count);
void parse_struct(struct parser *p, const char *doc);
bool parse_scalar(struct parser *p, struct scalar *scalar);
void parse_type(struct parser *p, struct field *field);
/** @is_target: of a pointer, whose number is a field with a `max`. */
void parse_array(struct parser *p, struct field *field, bool is_target);
void parse_pointer(struct parser *p, struct field *field);
void parse_ioctl(struct parser *p, const char *doc);
void parse_set(struct parser *p, const char *doc, bool is_flags);
struct range *parse_ranges(struct parser *p);

/** Compiles @path and what it imports up to the layout. NULL if anything was reported. */
struct unit *compile(struct compiler *c, const char *path);
void compiler_finish(struct compiler *c);
/** Loads a file that @pos of @importer imports; parses it and resolves it. */
struct unit *load_import(struct compiler *c, const struct unit *importer,
			 const struct import *import);

/** What expressions of some place may use. */
struct scope {
	struct compiler *c;
	struct unit *unit;
	struct strct *strct; /* NULL outside structures */
	struct field *it;    /* the array whose elements "it" stands for */
	bool has_index;
};

void resolve_unit(struct compiler *c, struct unit *unit);
/** What a field's type and "as" name. False after a report. */
bool resolve_type(struct compiler *c, struct unit *unit, struct field *field);
void resolve_ranges(struct scope *scope, struct range *range);
struct symbol *find_symbol(const struct unit *unit, const char *name);
/** Of this unit, or of the imported one whose format is @format. */
struct symbol *find_symbol_in(const struct unit *unit, const char *format, const char *name);
struct field *find_field(const struct strct *s, const char *name);
bool add_symbol(struct compiler *c, struct unit *unit, const struct symbol *symbol);

void resolve_expr(struct scope *scope, struct expr *e);
/** Resolves what must be a constant; reports and returns false if it is none. */
bool resolve_constant(struct scope *scope, struct expr *e, const char *what, uint64_t *value);
uint64_t scalar_max(const struct scalar *scalar);

/** Resolves what is in @s and finds the places of its fields; first those of the structures in it.
 */
void layout_struct(struct compiler *c, struct strct *s);
/** What pointers lead to, and what the arguments of ioctls are made of; all structures of @unit are
 * laid out. */
void resolve_ioctls(struct compiler *c, struct unit *unit);
/** The layout of @s for clients of 64 or of 32 bits. */
struct strct *struct_for(struct strct *s, bool narrow);
void check_overlaps(struct compiler *c, struct strct *s);
/** Whether two things can never be there at the same time. */
bool guards_exclude(const struct guard *a, const struct guard *b);
bool guard_is_layout(const struct guard *guard);

struct algorithm {
	const char *name;
	unsigned bits;
	const char *seed; /* the default, as C */
	const char *function;
};

const struct algorithm *find_algorithm(const char *name);
void check_checksum(struct compiler *c, struct strct *s, struct checksum *sum);

/** Names of outputs, without a folder; NULL where there are no more. */
#define WIREC_OUTPUTS 3
const char *output_name(struct compiler *c, const struct unit *unit, unsigned index);
/** Reports names in C that two things would share. */
void check_c_names(struct compiler *c, struct unit *unit);

/** All outputs, in their order; false after a report. */
bool emit_all(struct compiler *c, struct unit *unit, struct text outputs[WIREC_OUTPUTS]);
void emit_header(struct compiler *c, struct unit *unit, struct text *out);
void emit_source(struct compiler *c, struct unit *unit, struct text *out);
void emit_walk(struct compiler *c, struct unit *unit, struct text *out);
/** With OUTPUTS_IOCTLS: what a driver needs of them. */
void emit_ioctls(struct compiler *c, struct unit *unit, struct text *out);
/** With OUTPUTS_CAPS: the two ends of a connection, and a reference in Markdown. */
void emit_caps_header(struct compiler *c, struct unit *unit, struct text *out);
void emit_caps_source(struct compiler *c, struct unit *unit, struct text *out);
void emit_reference(struct compiler *c, struct unit *unit, struct text *out);
/** Operations as JSON, without a newline. */
void describe_json(struct compiler *c, const struct unit *unit, struct text *out);

/* ---- comparisons (diff.c, check_header.c) ---- */

/** Writes what differs, a line each; returns how many of them break something. Allocates from @new.
 */
unsigned diff_descriptions(const struct compiler *old, const struct unit *old_unit,
			   struct compiler *new, const struct unit *new_unit, struct text *out);

struct header_check {
	const char *header, *name, *as, *cc;
};

/** The number of differences, told in the compiler's messages; negative if the header is of no use.
 */
int check_header(struct compiler *c, const struct unit *unit, const struct header_check *what);

#endif
