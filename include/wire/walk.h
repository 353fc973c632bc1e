/* SPDX-License-Identifier: MIT */
/*
 * Walks over data: what a generated walk tells, and what is built on it: printing and editing.
 * Printing and editing need a C library; they are in libwire.
 */
#ifndef WIRE_WALK_H
#define WIRE_WALK_H

#include "platform.h"

#include "integers.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wire_fault;

enum wire_event {
	WIRE_VALUE,
	WIRE_ENTER,
	WIRE_LEAVE
};

enum wire_kind {
	WIRE_UNSIGNED,
	WIRE_SIGNED,
	WIRE_BYTES,
	WIRE_TEXT,
	WIRE_UTF16,
	WIRE_STRUCT,
	WIRE_ARRAY,
};

enum wire_flavour {
	WIRE_PLAIN,
	WIRE_ENUM,
	WIRE_FLAGS,
	WIRE_JOINED,
	WIRE_ZERO_PADDED,
	WIRE_TERMINATED,
	WIRE_SPACE_PADDED,
	WIRE_EXACT,
};

/** A name of a value, or of bits. Tables end with a NULL. */
struct wire_name {
	const char *name;
	uint64_t value;
};

struct wire_node {
	enum wire_event event;
	enum wire_kind kind;
	const char *name;      /* NULL for an element of an array */
	uint64_t index;        /* of an element */
	uint64_t offset, size; /* bytes from the start of the walk's data; of a joined value, of its
				  first part */
	const unsigned char *data;
	uint64_t value;                /* of numbers, sign-extended */
	unsigned bit_shift, bit_count; /* of numbers: which bits of the integer at @offset */
	enum wire_order order;
	enum wire_flavour flavour;
	const struct wire_name *names; /* or NULL */
};

#define WIRE_MAX_DEPTH 40

/** Zero it, then set @visit, @data and @size. */
struct wire_walk {
	/** Called for each thing; other than 0 ends the walk, which returns it. */
	int (*visit)(struct wire_walk *walk, const struct wire_node *node);
	const unsigned char *data;
	size_t size;
	/* of the walk: where the structures begin that it is in */
	unsigned depth;
	uint64_t base[WIRE_MAX_DEPTH];
	struct wire_node entered[WIRE_MAX_DEPTH];
};

/* For generated code. */
int wire_walk_value(struct wire_walk *w, const char *name, uint64_t index, uint64_t offset,
		    unsigned bytes, unsigned shift, unsigned bits, enum wire_order order,
		    uint64_t value, enum wire_kind kind, enum wire_flavour flavour,
		    const struct wire_name *names);
int wire_walk_bytes(struct wire_walk *w, const char *name, uint64_t offset, uint64_t size,
		    enum wire_kind kind, enum wire_flavour flavour, enum wire_order order);
int wire_walk_enter(struct wire_walk *w, const char *name, uint64_t index, enum wire_kind kind,
		    uint64_t offset, uint64_t size);
int wire_walk_leave(struct wire_walk *w);

struct wire_argument {
	const char *name;
	uint64_t value; /* the default */
};

/** A structure that an image can start with. */
struct wire_format {
	const char *format, *name;
	const struct wire_argument *arguments;
	size_t argument_count;
	int (*check)(const void *data, size_t size, const uint64_t *arguments,
		     struct wire_fault *fault);
	int (*walk)(const void *data, size_t size, const uint64_t *arguments, struct wire_walk *w);
	int (*seal)(void *data, size_t size, const uint64_t *arguments);
};

/** Where printed text goes. */
struct wire_sink {
	void (*put)(struct wire_sink *sink, const char *text, size_t length);
};

/**
 * Print everything in @data, one field a line, or as one JSON object. @arguments may be NULL: the
 * defaults. The data need not be valid as long as its layout can be found; a negative errno
 * otherwise. Numbers that do not fit 53 bits are strings in JSON.
 */
int wire_print_text(const struct wire_format *format, const void *data, size_t size,
		    const uint64_t *arguments, struct wire_sink *sink);
int wire_print_json(const struct wire_format *format, const void *data, size_t size,
		    const uint64_t *arguments, struct wire_sink *sink);

/**
 * Sets the field at @path ("header.entries[3].name") and seals. @value: a number; the name of an
 *enum's value; names of flags and numbers with | between; hexadecimal digits for bytes; text.
 *
 * @return 0; -ENOENT if there is no such field; -EINVAL if @value is none for it; -ERANGE if it
 *does not fit; -ENOTSUP for joined values and structures; what the validator says if the result is
 *refused, in which case the data is changed nevertheless, and @fault (may be NULL) says why
 */
int wire_edit(const struct wire_format *format, void *data, size_t size, const uint64_t *arguments,
	      const char *path, const char *value, struct wire_fault *fault);

#ifdef __cplusplus
}
#endif

#endif
