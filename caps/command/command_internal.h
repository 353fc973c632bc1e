/* SPDX-License-Identifier: MIT */
/*
 * What the files of the `caps` command share.
 */
#ifndef CAPS_COMMAND_INTERNAL_H
#define CAPS_COMMAND_INTERNAL_H

#include <caps.h>
#include <jansson.h>
#include <stdio.h>

enum {
	STATUS_GOOD,
	STATUS_FAILED,
	STATUS_USAGE
};

/** What the command line says. */
struct options {
	const char *directory; /* a namespace of its own */
	bool system;           /* that of the system alone */
	bool json;
	int timeout_ms;
	unsigned count; /* of calls, or of messages; 0: no end */
	int fds[CAPS_MAX_FDS];
	unsigned fd_count;
	char **operands;
	unsigned operand_count;
};

/**
 * Prints what a service says. That is not to drive the terminal: control characters, those of two
 * bytes in UTF-8 among them, become question marks. Takes NULL.
 */
void put_printable(FILE *to, const char *text);
/** Says it as "caps: …" and returns STATUS_FAILED. */
__attribute__((format(printf, 1, 2))) int fail(const char *format, ...);
/** Options of a client, with what the command line says; @users is room that has to stay. */
struct caps_client_options client_options(const struct options *options, uid_t users[1]);
int connect_to(const struct options *options, struct caps_port **port);
double now_ms(void);

int command_list(const struct options *options);
int command_describe(const struct options *options);
int command_call(const struct options *options);
int command_monitor(const struct options *options);
int command_bench(const struct options *options);

/* ---- descriptions (describe.c) ---- */

/** Asks a service: NULL after a message. */
json_t *ask_description(struct caps_port *port, int timeout_ms);
/** By name, or by number: NULL after a message. */
const json_t *find_operation(const json_t *description, const char *word);
const json_t *find_code(const json_t *description, uint32_t code);
/** An element of "structs" or "sets"; NULL if there is none. */
const json_t *find_named(const json_t *description, const char *list, const char *name);
/** A value of an enum or of flags, or a member of a request: NULL at the end. */
struct member {
	void *at;
	const char *key;
	const json_t *value;
};
bool first_member(const json_t *object, struct member *member);
bool next_member(const json_t *object, struct member *member);
/** A member that is text, or NULL. */
const char *text_of(const json_t *object, const char *key);
uint64_t number_of(const json_t *object, const char *key);

/* ---- bodies (encode.c, decode.c) ---- */

struct body {
	unsigned char *data;
	size_t length, room;
};

void body_finish(struct body *body);
/** @value as the bytes of structure @name: STATUS_GOOD, or after a message STATUS_FAILED. */
int encode(const json_t *description, const char *name, const json_t *value, struct body *body);
/** Bytes as JSON; what there are no words for as {"hex": …}. A new reference. */
json_t *decode(const json_t *description, const char *name, const void *data, size_t length);
json_t *hex_text(const unsigned char *data, size_t length);
/** The value of what an operation says with a positive error, by name if it has one. */
json_t *error_json(const json_t *description, const json_t *operation, int32_t error);
/** Integers of @bytes bytes. */
uint64_t load(const unsigned char *data, unsigned bytes, bool big);
void store(unsigned char *data, unsigned bytes, bool big, uint64_t value);
bool is_big(const json_t *item);

#endif
