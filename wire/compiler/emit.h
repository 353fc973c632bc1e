/* SPDX-License-Identifier: MIT */
/*
 * What the emitters share: how expressions, places, conditions and parameters look in C.
 */
#ifndef WIREC_EMIT_H
#define WIREC_EMIT_H

#include "wirec.h"

struct emit {
	struct compiler *c;
	struct unit *unit;
	struct strct *s;
	struct text *out;
	const char *self;       /* "s" of fixed structures, "v" of views */
	const char *index;      /* C of "index" in expressions */
	const struct field *it; /* the array whose element is @it_value */
	const char *it_value;   /* C of a scalar element, or of a pointer to a structure or view */
	const char *size;       /* C of "size" */
	bool in_writer, in_seal;
	unsigned indent, temporaries;
	/* of the validator, see emit_scan.c */
	struct place proved;
	const char *limit;
	bool in_covered;
};

__attribute__((format(printf, 2, 3))) void line(struct emit *e, const char *format, ...);
void blank(struct emit *e);
void open_block(struct emit *e);
void close_block(struct emit *e);
/** Text in the arena. */
__attribute__((format(printf, 2, 3))) const char *fmt(struct emit *e, const char *format, ...);

/** "format_structure". */
const char *struct_prefix(struct emit *e, const struct strct *s);
const char *upper(struct emit *e, const char *text);
/** The type that getters return: "uint32_t". */
const char *c_type(struct emit *e, unsigned bits, bool is_signed);
unsigned value_bits(const struct field *field);
bool value_is_signed(const struct field *field);

/** Whether functions on @s take the order as a parameter. */
bool getter_takes_order(const struct strct *s);
/** "le", "be", "ne" or "rt". */
const char *order_letters(enum order order);
/** An enum wire_order of a scalar in the structure at hand. */
const char *order_value(struct emit *e, enum order order);
/** "order" of the structure at hand. */
const char *own_order(struct emit *e);

/** Parameters as they are declared (", uint32_t p_x") and passed (", p_x"), with a comma before
 * each. */
const char *declared_params(struct emit *e, const struct strct *s);
const char *passed_params(struct emit *e, const struct strct *s);
/** Arguments for the structure of @field, with the order if it takes one; and whether they can
 * fail. */
const char *passed_args(struct emit *e, const struct field *field, bool *may_fail);

/** A literal of 64 bits, or plain where it is small. */
const char *number(struct emit *e, uint64_t value);
/** Bytes from the structure's start, as C. */
const char *place_offset(struct emit *e, const struct place *place);
/** Where that is in memory. */
const char *place_pointer(struct emit *e, const struct place *place);
/** Calls of getters. */
const char *getter(struct emit *e, const struct field *field, const char *index);
/** C of an expression; where it may fail it sets a bool named "bad". */
const char *expression(struct emit *e, const struct expr *expr);
/** Of bytes: a struct wire_bytes. */
const char *bytes_expression(struct emit *e, const struct expr *expr);

/** C of whether the field is there as far as the layout goes; NULL if it always is. */
const char *layout_condition(struct emit *e, const struct field *field);
/** C of whether the field means something; NULL if it always does. */
const char *meaning_condition(struct emit *e, const struct field *field);
/** Of one guard without those around it; of a covered one for something that ends at @end. */
const char *guard_condition(struct emit *e, const struct guard *guard, const struct place *end);
/** The covered block around something, or NULL. */
const struct guard *covered_guard(const struct guard *guard);
/** Whether that needs the structure's parameters. */
bool guard_uses_params(const struct guard *guard);
bool expr_uses_params(const struct expr *expr);
bool expr_uses_fields(const struct expr *expr);
struct place field_end(const struct field *field);

const char *c_string(struct emit *e, const char *text, size_t length);
/** Constant bytes of a field, padded to its size: "{0x41, …}". */
const char *constant_bytes(struct emit *e, const struct field *field);

/** Whether elements of the array can be found by their index. */
bool has_stride(const struct field *field);
/** The number of elements, as C. */
const char *element_count(struct emit *e, const struct field *field);
/** Bytes of one element whose size follows from arguments. */
const char *stride(struct emit *e, const struct field *field);

/**
 * Calls @leaf for each item that is no block, within the conditions around it.
 */
void each_leaf(struct emit *e, const struct item *item,
	       void (*leaf)(struct emit *e, const struct item *item));

/** Returns a fault from the function if the condition holds. @values: C of the value and of what
 * was allowed. */
__attribute__((format(printf, 7, 8))) void fault_if(struct emit *e, const char *error,
						    const char *name, const char *offset,
						    const char *rule, const char *values,
						    const char *condition, ...);
/** A name for the value of @expr, which is computed here; a fault of @name if that fails. */
const char *evaluate(struct emit *e, const struct expr *expr, const char *name, const char *offset);
void fail_if_bad(struct emit *e, bool may_fail, const char *name, const char *offset);

void emit_checks(struct emit *e);
/** Members of a fixed structure, with names for what has none. */
const char *bits_name(struct emit *e, const struct item *item);
/** Bytes from the structure's start on that the fields in @expr take; their places are constant. */
uint64_t fields_end_of(const struct expr *expr);
void emit_checksums(struct emit *e, bool seal);
void emit_seal(struct emit *e);
void emit_equal(struct emit *e);
void emit_writer(struct emit *e);
void emit_writer_types(struct emit *e);
void emit_accessors(struct emit *e);
void emit_init(struct emit *e);
void emit_operations(struct emit *e);
void emit_ioctl_numbers(struct emit *e);
/** Whether 32-bit clients have a number of their own. */
bool has_narrow_number(const struct ioctl *ioctl);
/** What a writer computes from the array that @field counts; @from: "in->" or "in->other.". */
const char *derived_value(struct emit *e, const char *from, const struct field *field);
/** A comment from the description, if there is one. */
void put_doc(struct emit *e, const char *doc);
/** Notes for each structure whether it has a writer. */
void find_writers(struct unit *unit);

#endif
