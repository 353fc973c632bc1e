/* SPDX-License-Identifier: MIT */
/*
 * What the files of the filter opvm share: the program that is loaded and can be replaced while
 * requests are served, and counters.
 *
 * Threads: requests are served on the threads of their queues, each of which is inside the program
 * for microseconds at a time. Who replaces it puts the new one in its place and waits until every
 * queue has been seen outside; then nobody runs the old one any more. Commands come on one thread.
 */
#ifndef FILTERS_OPVM_FILTER_H
#define FILTERS_OPVM_FILTER_H

#include <bdus/filter.h>
#include <opvm.h>
#include <opvm/block.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/** Most bytes of a payload that a program is shown. */
#define MOST_PAYLOAD_BYTES 4096
/** Queues are spread over these by their address. */
#define LANES 16

/** What is counted, in the order of opvm_counter_names. */
enum counter {
	COUNT_CALLS,
	COUNT_PASSED,
	COUNT_DONE,
	COUNT_REDIRECTED,
	COUNT_FAILED,
	COUNT_DELAYED,
	/** Calls that ran out of fuel. */
	COUNT_EXHAUSTED,
	/** Answers that make no sense. */
	COUNT_REFUSED,
	COUNTERS
};

/** Where the queues of one lane say that they are inside the program, and count. */
struct lane {
	_Alignas(64) atomic_uint inside;
	atomic_uint_fast64_t counters[COUNTERS];
};

/** A program with its maps, as it was loaded from one object. */
struct loaded {
	struct opvm_object *object;
	struct opvm_program *program;
	/** Called when requests are back; NULL for none. */
	struct opvm_program *completion;
	/** The program's name. */
	char name[64];
};

struct filter {
	/** NULL after it was detached: every request is passed on. */
	_Atomic(struct loaded *) loaded;
	struct lane lanes[LANES];
	uint64_t device_bytes;
	uint32_t block_bytes;
	uint32_t payload_bytes;
	/** Where requests can go besides the layer below. */
	unsigned backends;
	/** Which of the layer below (bit 0) and the backends (bits 1 on) have anything to flush. */
	uint32_t flushes;
	uint64_t fuel;
	/** What becomes of a request whose program ran out of fuel: an answer, as OPVM_BLOCK_PASS.
	 */
	uint64_t exhausted_answer;
	/** Do without machine code. */
	bool interpret;
	/** How often the program was replaced. */
	unsigned replaced;
};

extern const char *const opvm_counter_names[COUNTERS];
uint64_t opvm_counter(const struct filter *filter, enum counter counter);

/**
 * Reads a file, as an object or as text, and loads it in an environment of struct opvm_block; the
 * caller destroys it. Negative errno after bdus_config_error().
 */
int opvm_load_object(const char *path, struct opvm_object **object);

/**
 * Loads the program @name (NULL: the first) of the object in the file @path, with @completion
 * (NULL: none) for requests that are back, and puts them in place of those that run, with maps of
 * their own; with @keep_maps, values are copied from the old ones' maps to maps of the same name
 * and definition, before any request meets the new ones. Negative errno after bdus_config_error().
 */
int opvm_filter_load(struct filter *filter, const char *path, const char *name,
		     const char *completion, bool keep_maps);
/** From now on every request is passed on. */
void opvm_filter_detach(struct filter *filter);

/**
 * Sets values of maps: "MAP:KEY:VALUE", several joined by +. Numbers are decimal, hexadecimal after
 * 0x, with K, M, G or T; they are stored in the map's sizes, which have to be 1, 2, 4 or 8 bytes.
 */
int opvm_filter_set(struct filter *filter, const char *words);

/** The filter's `command`. */
int opvm_filter_command(void *instance, const char *const *words, unsigned count, char *answer,
			size_t answer_bytes);

/**
 * A command of the filter, for the program that answers requests of kbdus' device @id within the
 * kernel; with words "backend=PATH", "fuel=NUMBER", "exhausted=pass" and "interpret" for one that
 * is loaded. Negative errno after bdus_config_error().
 */
int opvm_kernel_command(uint64_t id, const char *const *words, unsigned count, char *answer,
			size_t answer_bytes);

/** The filter's `submit`. */
void opvm_filter_submit(void *instance, struct bdus_request *request);

#endif
