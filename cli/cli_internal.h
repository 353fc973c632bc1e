/* SPDX-License-Identifier: MIT */
/*
 * What the files of the command share: commands and their options, exit statuses, messages, tables
 * and JSON. The command has one thread. Running out of memory ends it with CLI_FAILED.
 */
#ifndef CLI_INTERNAL_H
#define CLI_INTERNAL_H

#include <bdus/filter.h>
#include <bdus/manage.h>
#include <bdus/stats.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Exit statuses; documented in bdus(1). */
enum cli_status {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NO_DEVICE = 3,
	CLI_NOT_PERMITTED = 4,
	CLI_UNSUPPORTED = 5,
	CLI_TIMED_OUT = 6,
};

/* ---- commands and their words (args.c) ----------------------------------------------------- */

#define CLI_MAX_OPTIONS 16

/** An option of a command. Tables of them end with CLI_OPTIONS_END. */
struct cli_option {
	const char *name;
	/** Its one-letter form, or 0. */
	char letter;
	/** What its argument is called; NULL when it takes none. */
	const char *argument;
	const char *help;
};

#define CLI_OPTIONS_END                                  \
	{"help", 'h', NULL, "Print this help and exit"}, \
	{                                                \
		NULL, 0, NULL, NULL                      \
	}

struct cli_args;

struct cli_command {
	const char *name;
	/** The operands in the usage line; empty when there are none. */
	const char *operands;
	unsigned min_operands;
	unsigned max_operands;
	const char *summary;
	/** Paragraphs for the help text; may be NULL. */
	const char *details;
	const struct cli_option *options;
	/** Returns an exit status; what it prints to stdout is flushed and checked by main(). */
	int (*run)(const struct cli_args *args);
	/** For shell completions: not shown in the help. */
	bool hidden;
};

/** All commands, ended by an entry without a name. In main.c. */
extern const struct cli_command cli_commands[];

const struct cli_command *cli_command_find(const char *name);

/** The words after the command's name, sorted out. */
struct cli_args {
	const struct cli_command *command;
	/** For each option of the command its last argument, "" for a plain one, NULL when absent.
	 */
	const char *values[CLI_MAX_OPTIONS];
	const char *const *operands;
	unsigned operand_count;
	/** Each time that an option was given, in order: its place in the table, its argument. */
	struct cli_given {
		size_t index;
		const char *value;
	} * given;
	unsigned given_count;
};

/**
 * Sorts out @words (which it reorders): options may stand anywhere before "--". Returns CLI_OK, or
 * CLI_USAGE after a message. With --help, the number of operands is not checked.
 */
int cli_args_parse(struct cli_args *args, const struct cli_command *command, char **words,
		   unsigned count);

bool cli_args_has(const struct cli_args *args, const char *option);
/** The argument of an option; NULL when it was not given. */
const char *cli_args_value(const struct cli_args *args, const char *option);
/**
 * The argument of an option that may be given several times: the next one from *@position on, which
 * starts 0; NULL after the last.
 */
const char *cli_args_next(const struct cli_args *args, const char *option, unsigned *position);
/** As cli_args_value(), a decimal number from 1 to @maximum; 0 when it was not given. */
int cli_args_number(const struct cli_args *args, const char *option, uint32_t maximum,
		    uint32_t *number);
/** As cli_args_value(), seconds with up to three decimals; 0 when it was not given. */
int cli_args_seconds(const struct cli_args *args, const char *option, uint64_t *milliseconds);

/* ---- nearest words (suggest.c) ------------------------------------------------------------- */

/** Looks for the candidate that @word may be a slip of. Begin with `best` NULL. */
struct cli_suggestion {
	const char *word;
	const char *best;
	unsigned distance;
};

void cli_suggest(struct cli_suggestion *suggestion, const char *candidate);
/** `; did you mean "x"?`, or an empty string. Valid until the next call. */
const char *cli_suggestion_text(const struct cli_suggestion *suggestion);

/* ---- messages and statuses (messages.c) ---------------------------------------------------- */

/** Writes "bdus: " and a line to stderr. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** The same, and returns CLI_USAGE. */
int cli_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Writes the library's message for a negative errno, after "CONTEXT: " where that is not NULL. */
void cli_say_library_error(const char *context, int error);
/** The exit status for a negative errno of an operation on a device that exists. */
int cli_status_of(int error);
/** Several devices: the status all failures have in common, else CLI_FAILED. */
void cli_status_merge(int *status, int other);

/** Opens whichever of the standard streams is closed, so that no other file takes its number. */
void cli_guard_streams(void);
/** Writes out what was printed to stdout. Returns 0, or -errno also for what failed before. */
int cli_flush_stdout(void);

/** For a bdus_progress_fn: says what is waited for after 3 s, and again from time to time. */
struct cli_progress {
	const char *doing;
	const char *device;
	uint64_t next_ms;
};

void cli_progress_begin(struct cli_progress *progress, const char *doing, const char *device);
void cli_progress_fn(uint64_t waited_ms, const char *waiting_for, void *progress);

/* ---- memory that lives until the end (memory.c) -------------------------------------------- */

/** Memory of @bytes; never NULL. */
void *cli_allocate(size_t bytes);
/** A copy of @memory, which cli_allocate() or this call returned, or NULL, in a larger place. */
void *cli_grow(void *memory, size_t bytes);
/** A formatted string; never NULL. */
char *cli_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *cli_format_va(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));
/** Gives back everything that the calls above returned. */
void cli_free_all(void);

/* ---- text on stdout (output.c) ------------------------------------------------------------- */

#define CLI_WIDTH 80

/** Replaces control characters, so that a name cannot drive the terminal. Returns @text. */
char *cli_make_printable(char *text);

/** Prints words from column @column on (the cursor stands there), wrapped to CLI_WIDTH. */
void cli_print_wrapped(const char *text, unsigned column);

#define CLI_TABLE_COLUMNS 8

struct cli_table {
	unsigned columns;
	/** Bit mask of columns that are set flush right. */
	unsigned right;
	/** Whether the last column is wrapped to CLI_WIDTH. */
	bool wrap;
	char **cells;
	unsigned count;
	unsigned capacity;
};

/** Adds the next cell, from left to right, row after row. */
void cli_table_add(struct cli_table *table, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/** Prints the table and empties it. */
void cli_table_print(struct cli_table *table);

#define CLI_SIZE_TEXT 32

/** "16 MiB", "1.5 GiB", "512 bytes". Returns @text. */
const char *cli_size_text(uint64_t bytes, char text[static CLI_SIZE_TEXT]);

/** "512 to 4096", "at least 1"; empty for no limit. Valid until the next call. */
const char *cli_option_range(const struct bdus_option *option);
const char *cli_option_kind(const struct bdus_option *option);
/** Prints a driver's or a way in's `key=value` words. */
void cli_print_options(const struct bdus_option *options);

/** The names of bits, as JSON and `bdus info` show them; NULL for a bit without a name. */
const char *cli_flag_name(unsigned bit);
/** "write-zeros". Valid until the next call. */
const char *cli_op_name(unsigned op);

/* ---- JSON (json.c) ------------------------------------------------------------------------- */

/** A string; bytes that are not UTF-8 become U+FFFD. NULL or empty gives null. */
json_t *cli_json_text(const char *text);
/** A number, or null when it has no place in a signed 64-bit integer. */
json_t *cli_json_number(uint64_t value);
/** As cli_json_number(), with 0 for unknown. */
json_t *cli_json_known(uint64_t value);
json_t *cli_json_device(const struct bdus_device_info *info);
json_t *cli_json_options(const struct bdus_option *options);
/** Adds @value, which it takes over, and ends the command when memory is out. */
void cli_json_set(json_t *object, const char *key, json_t *value);
void cli_json_append(json_t *array, json_t *value);
/** Prints one document and a newline, and gives it back. */
void cli_json_print(json_t *document);

/* ---- drivers (drivers.c, table.c) ---------------------------------------------------------- */

/** The drivers that this command has built in, ended by NULL. */
extern const struct bdus_driver *const cli_driver_table[];

/** Whether @word is a path to a shared object rather than a name. */
bool cli_is_driver_path(const char *word);
/** Finds or loads a driver. Returns CLI_OK, or an exit status after a message. */
int cli_driver_find(const char *word, const struct bdus_driver **driver);

/** The name of the built-in thing of a table at @index; NULL past its end. */
typedef const char *cli_name_at(size_t index);

/** Finds the built-in @kind called @name; if there is none, says so and which there are. */
int cli_find_built_in(const char *kind, const char *name, cli_name_at *name_at, size_t *index);

/** The status after loading a shared object; says what was wrong with it. */
int cli_loaded(int error);

/* ---- filters (filters.c, table.c) ---------------------------------------------------------- */

/** The filters that this command has built in, ended by NULL. */
extern const struct bdus_filter *const cli_filter_table[];

/** A command for the program that answers requests of kbdus' device @id within the kernel. */
int cli_kernel_command(uint64_t id, const char *const *words, unsigned count, char *answer,
		       size_t answer_bytes);

/** Finds or loads a filter. Returns CLI_OK, or an exit status after a message. */
int cli_filter_find(const char *word, const struct bdus_filter **filter);
/**
 * Cuts "NAME[:KEY=VALUE[,KEY=VALUE]…]"; the first word after the colon may be the value of the
 * first key alone. Returns CLI_OK, or an exit status after a message.
 */
/** For `struct bdus_run_options`; says nothing itself. */
int cli_filter_for_device(const char *name, const struct bdus_filter **filter);
int cli_filter_parse(const char *spec, struct bdus_filter_use *use);
/** The same for a backend, whose name is that of a driver. */
int cli_backend_parse(const char *spec, struct bdus_backend_use *use);

/* ---- devices (devices.c) ------------------------------------------------------------------- */

struct cli_devices {
	struct bdus_device_info *infos;
	unsigned count;
	unsigned capacity;
};

/** Its path, or the name that the way in uses. */
const char *cli_device_name(const struct bdus_device_info *info);
/** All devices of the user, by id. Returns CLI_OK, or an exit status after a message. */
int cli_devices_list(struct cli_devices *devices);
/**
 * The devices that operands or --all name, each once; says which names have none, calls @missing
 * (may be NULL) for each of them, and returns the status.
 */
int cli_devices_select(const struct cli_args *args, struct cli_devices *devices,
		       void (*missing)(const char *name, int status, void *opaque), void *opaque);

/* ---- statistics (samples.c, metrics.c) ----------------------------------------------------- */

/** Statistics of one device: all that it did, and what it did since the last look. */
struct cli_sample {
	struct bdus_device_info info;
	struct bdus_stats *stats;
	struct bdus_queue_stats before;
	struct bdus_queue_stats queue;
	struct bdus_op_stats last[BDUS_OP_COUNT];
	struct bdus_op_stats total[BDUS_OP_COUNT];
	struct bdus_op_stats since[BDUS_OP_COUNT];
	unsigned filter_count;
	struct bdus_filter_stats filters[BDUS_STATS_FILTERS];
	struct bdus_filter_stats filters_since[BDUS_STATS_FILTERS];
};

/** NULL with the library's @error when the device's process does not answer. */
struct cli_sample *cli_sample_open(const struct bdus_device_info *info, uint64_t timeout_ms,
				   int *error);
/** Takes NULL. The memory stays until the end. */
void cli_sample_close(struct cli_sample *sample);
/** Takes another look. */
void cli_sample_read(struct cli_sample *sample);
/** Time between the last two looks. */
double cli_sample_seconds(const struct cli_sample *sample);
/** The sum of all operations. */
void cli_sample_sum(const struct bdus_op_stats *ops, struct bdus_op_stats *sum);

#define CLI_TIME_TEXT 24
/** "12.3 us". Returns @text. */
const char *cli_time_text(double ns, char text[static CLI_TIME_TEXT]);

/** Serves metrics at @address until SIGTERM or SIGINT. */
int cli_metrics_serve(const struct cli_args *args, const char *address);

/* ---- the commands -------------------------------------------------------------------------- */

extern const struct cli_option cli_run_options[];
extern const struct cli_option cli_replace_options[];
extern const struct cli_option cli_recover_options[];
extern const struct cli_option cli_list_options[];
extern const struct cli_option cli_info_options[];
extern const struct cli_option cli_destroy_options[];
extern const struct cli_option cli_flush_options[];
extern const struct cli_option cli_log_options[];
extern const struct cli_option cli_resize_options[];
extern const struct cli_option cli_stats_options[];
extern const struct cli_option cli_top_options[];
extern const struct cli_option cli_check_options[];
extern const struct cli_option cli_drivers_options[];
extern const struct cli_option cli_filters_options[];
extern const struct cli_option cli_filter_options[];
extern const struct cli_option cli_program_options[];
extern const struct cli_option cli_version_options[];
extern const struct cli_option cli_help_options[];

int cli_cmd_run(const struct cli_args *args);
int cli_cmd_replace(const struct cli_args *args);
int cli_cmd_recover(const struct cli_args *args);
int cli_cmd_list(const struct cli_args *args);
int cli_cmd_info(const struct cli_args *args);
int cli_cmd_destroy(const struct cli_args *args);
int cli_cmd_flush(const struct cli_args *args);
/** "info" and the like (cmd_log.c); reading returns an exit status, after a message. */
const char *cli_log_level_name(enum bdus_log_level level);
int cli_log_level_read(const char *name, enum bdus_log_level *level);
int cli_cmd_log(const struct cli_args *args);
int cli_cmd_resize(const struct cli_args *args);
int cli_cmd_stats(const struct cli_args *args);
int cli_cmd_top(const struct cli_args *args);
int cli_cmd_check(const struct cli_args *args);
int cli_cmd_drivers(const struct cli_args *args);
int cli_cmd_filters(const struct cli_args *args);
int cli_cmd_filter(const struct cli_args *args);
int cli_cmd_program(const struct cli_args *args);
int cli_cmd_version(const struct cli_args *args);
int cli_cmd_help(const struct cli_args *args);
int cli_cmd_words(const struct cli_args *args);

/** Prints the help of one command. */
void cli_print_help(const struct cli_command *command);

#endif
