/* SPDX-License-Identifier: MIT */
/*
 * What the files of the `wire` command share: exit statuses, the words of a command line, formats,
 * images. The command has one thread.
 */
#ifndef COMMAND_INTERNAL_H
#define COMMAND_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wire.h>

/** Exit statuses; documented in wire(1). */
enum status {
	STATUS_OK = 0,
	STATUS_INVALID = 1, /* the image breaks a rule of its format */
	STATUS_USAGE = 2,
	STATUS_IO = 3,      /* an image cannot be read or written */
	STATUS_REFUSED = 4, /* an edit names no field, has no such value, or would break a rule */
};

/* ---- formats (formats.c, table.c) ---- */

/** The formats that this command knows, ended by NULL. */
extern const struct wire_format *const format_table[];

/** Most arguments that a format may have. */
#define MOST_ARGUMENTS 16

/** "gpt.disk". Valid until the next call. */
const char *format_title(const struct wire_format *format);
/**
 * Finds a format by "gpt.disk", or "gpt" if only one of its structures is known. Returns STATUS_OK,
 * or STATUS_USAGE after a message.
 */
int format_find(const char *name, const struct wire_format **format);
/** Fills @arguments with the defaults. */
void format_defaults(const struct wire_format *format, uint64_t *arguments);
/** Changes an argument by a word "name=value". */
int format_set(const struct wire_format *format, uint64_t *arguments, const char *word);

/* ---- words (words.c) ---- */

#define MOST_SETTINGS 32

/** A command line, sorted out. */
struct words {
	const char *const *operands;
	unsigned operand_count;
	const char *settings[MOST_SETTINGS]; /* of --set */
	unsigned setting_count;
	uint64_t offset;
	uint64_t length; /* of what is looked at; UINT64_MAX: up to the end */
	bool json, force, quiet, dry_run, help;
};

/** One bit for each option, by which a command says what it takes. */
enum option_bit {
	OPTION_JSON = 1,
	OPTION_FORCE = 2,
	OPTION_QUIET = 4,
	OPTION_DRY_RUN = 8,
	OPTION_OFFSET = 16,
	OPTION_LENGTH = 32,
	OPTION_SET = 64,
	OPTION_HELP = 128,
	OPTIONS_IMAGE = OPTION_OFFSET | OPTION_LENGTH | OPTION_SET | OPTION_HELP,
};

struct option_info {
	enum option_bit bit;
	const char *name;
	char letter; /* or 0 */
	const char *argument;
	const char *help;
};

/** All options, ended by one without a name. */
extern const struct option_info option_table[];

struct command {
	const char *name;
	const char *operands;
	unsigned min_operands, max_operands;
	unsigned options;
	const char *summary;
	int (*run)(const struct words *words);
	bool hidden;
};

/** All commands, ended by one without a name. In main.c. */
extern const struct command command_table[];
const struct command *command_find(const char *name);

/** Sorts out @line, which it reorders. Returns STATUS_OK, or STATUS_USAGE after a message. */
int words_parse(struct words *words, const struct command *command, char **line, unsigned count);
/** Decimal, 0x…, 0o…, 0b…, with K, M, G or T. False if it is none or does not fit. */
bool parse_number(const char *text, uint64_t *number);

/** Writes "wire: " and a line to stderr; control characters are replaced. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** The same; returns STATUS_USAGE. */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- images (image.c, store.c) ---- */

/** An image, or a part of it, in memory. Changes stay in memory until image_store(). */
struct image {
	const char *path;
	int fd;
	unsigned char *mapping;
	uint64_t mapped;     /* bytes; 0: nothing is mapped */
	unsigned char *data; /* of the part that is looked at */
	size_t size;
	uint64_t offset; /* of @data in the image */
	bool is_device;
};

/** Opens and maps; to edit, also locks. Returns STATUS_OK, or an exit status after a message. */
int image_open(struct image *image, const struct words *words, bool to_edit);
void image_close(struct image *image);
/**
 * Writes what differs from the file among the first @extent bytes of @data. On failure the image is
 * as before, unless the message says otherwise.
 */
int image_store(struct image *image, size_t extent);

/* ---- what commands have in common (subject.c) ---- */

/** A format, its arguments, and an image. */
struct subject {
	const struct wire_format *format;
	uint64_t arguments[MOST_ARGUMENTS];
	struct image image;
};

/** Finds the format and opens the image that the first two operands name. */
int subject_open(struct subject *subject, const struct words *words, bool to_edit);
void subject_close(struct subject *subject);
/** Says what is wrong with the image. */
void subject_say_fault(const struct subject *subject, const struct wire_fault *fault);
/** The text of a fault, with the place in the image if that differs. Valid until the next call. */
const char *subject_fault_text(const struct subject *subject, const struct wire_fault *fault);

/* ---- the commands ---- */

int command_check(const struct words *words);
int command_dump(const struct words *words);
int command_edit(const struct words *words);
int command_formats(const struct words *words);
int command_help(const struct words *words);
int command_words(const struct words *words);

#endif
