/* SPDX-License-Identifier: MIT */
/*
 * The verifier's parts: values and states (state.c), reaching memory (reach.c), calls
 * (verify_call.c), refusals (refuse.c), and the walk through the program (verify.c), which opens
 * with how it works.
 */
#ifndef OPVM_VERIFY_H
#define OPVM_VERIFY_H

#include "range.h"

enum opvm_type {
	/** Nothing that may be used. */
	OPVM_TYPE_NOTHING,
	OPVM_TYPE_INTEGER,
	OPVM_TYPE_CONTEXT,
	/** index: the frame, 0 for the first. */
	OPVM_TYPE_STACK,
	/** index: which map. */
	OPVM_TYPE_MAP,
	/** A value of map index. */
	OPVM_TYPE_VALUE,
	/** index: which region. */
	OPVM_TYPE_REGION,
	OPVM_TYPE_REGION_END,
	/** index: which variable. */
	OPVM_TYPE_VARIABLE,
	/** index: the function's first instruction. */
	OPVM_TYPE_CODE
};

#define OPVM_NO_ROOM INT32_MIN

/**
 * What is known of a register. Numbers are integers' values and pointers' offsets from the first
 * byte of what they point to; a stack's are counted from r10, and so negative.
 */
struct opvm_value {
	struct opvm_range range;
	uint8_t type;
	/** OPVM_TYPE_VALUE that may be null instead. */
	bool or_null;
	/** Region of room + 1, or 0. */
	uint8_t room_region;
	/** An integer that is region (this - 1)'s length + length_delta; 0 for none. */
	uint8_t length_region;
	uint32_t index;
	/** Numbers of the same id differ by what their deltas do; 0 is nobody's. */
	uint32_t id;
	int32_t delta;
	/** The number plus this does not exceed the region's length; or OPVM_NO_ROOM. */
	int32_t room;
	int32_t length_delta;
};

/** Eight bytes of stack. */
struct opvm_slot {
	/** What was stored there, if `kept_bytes` is not 0. */
	struct opvm_value value;
	/** Bytes that were ever written. */
	uint8_t written;
	/** 8 or, for the lower half of a slot, 4: `value` was stored whole. */
	uint8_t kept_bytes;
};

#define OPVM_SLOTS (OPVM_STACK_BYTES / 8)

struct opvm_frame {
	struct opvm_value registers[11];
	/** The calling instruction; unused in the first frame. */
	uint32_t call_at;
	/** First instruction of the function. */
	uint32_t function;
	/** Slots in use, counted from r10 downwards: slot 0 is at r10 - 8. */
	uint32_t used;
	struct opvm_slot slots[OPVM_SLOTS];
};

/** All that is known at an instruction. */
struct opvm_state {
	uint32_t at;
	uint32_t frames_count;
	/** Bytes that regions are known to have. */
	uint32_t region_bytes[OPVM_MAX_REGIONS];
	struct opvm_frame frames[OPVM_MAX_FRAMES];
};

/** A state as it is kept: only its used slots, one after the other. */
struct opvm_kept {
	/** The next one at the same instruction, or the next one to be walked. */
	struct opvm_kept *next;
	uint32_t bytes;
	/** How often it was widened. */
	uint32_t widened;
	uint32_t at;
	uint32_t frames_count;
	uint32_t region_bytes[OPVM_MAX_REGIONS];
	/* frames_count times: a kept frame, then its slots. */
	uint64_t data[];
};

struct opvm_region {
	const char *name;
	uint32_t min_bytes;
	uint32_t max_bytes;
	bool writable;
	bool declared;
};

struct opvm_edge {
	uint32_t caller;
	uint32_t callee;
	/** Stack of the callee and of all below. */
	uint32_t bytes;
};

/** Most relations between the ids of two states that are told apart. */
#define OPVM_MAX_PAIRS 512

/** Which id of one state stands for which of another, or of a join. */
struct opvm_pair {
	uint32_t a;
	uint32_t b;
	int64_t difference;
	uint32_t joined;
};

/** Too large for a stack of the kernel. */
struct opvm_pairs {
	struct opvm_pair pairs[OPVM_MAX_PAIRS];
	uint32_t count;
};

struct opvm_verifier {
	const struct opvm_environment *environment;
	const struct opvm_source *source;
	const uint8_t *rows;
	struct opvm_log *log;
	struct opvm_facts *facts;
	struct opvm_region regions[OPVM_MAX_REGIONS];

	/** The state that is being walked, and one to compare with. */
	struct opvm_state *state;
	struct opvm_state *other;
	/** For comparing and joining states. */
	struct opvm_pairs *pairs;
	/** Of each instruction: bits of what is known of it (verify.c), live registers, kept
	 * states. */
	uint8_t *marks;
	uint16_t *live;
	struct opvm_kept **kept;
	/** States that still have to be walked. */
	struct opvm_kept *pending;
	uint64_t *thresholds;
	uint32_t thresholds_count;
	uint32_t next_id;
	/** Walk loops one by one instead of widening. */
	bool walk;
	uint64_t steps;
	uint64_t steps_left;
	uint64_t kept_bytes;
	uint64_t kept_bytes_most;
	/** Functions that call others. */
	struct opvm_edge *edges;
	uint32_t edges_count;
};

#define OPVM_MAX_EDGES 1024

static inline struct opvm_frame *opvm_top(struct opvm_state *state)
{
	return &state->frames[state->frames_count - 1];
}

/* ---- state.c ------------------------------------------------------------------------------- */

struct opvm_value opvm_value_nothing(void);
struct opvm_value opvm_value_integer(struct opvm_range range);
struct opvm_value opvm_value_pointer(enum opvm_type type, uint32_t index);

/** Room of a number below a region's length, be it by its range; or OPVM_NO_ROOM. */
int32_t opvm_value_room(const uint32_t *region_bytes, const struct opvm_value *value,
			unsigned region);

/** NULL if memory or its limit ran out. */
struct opvm_kept *opvm_state_keep(struct opvm_verifier *verifier, const struct opvm_state *state);
void opvm_state_restore(struct opvm_state *state, const struct opvm_kept *kept);
void opvm_kept_free(struct opvm_verifier *verifier, struct opvm_kept *kept);

/** Whether both are in the same functions, called from the same places. */
bool opvm_state_same_calls(const struct opvm_state *a, const struct opvm_state *b);
/** Whether all that may happen from @inner may happen from @outer. */
bool opvm_state_includes(struct opvm_verifier *verifier, const struct opvm_state *outer,
			 const struct opvm_state *inner);
/** Whether joining would lose no more than numbers. */
bool opvm_state_same_shape(const struct opvm_state *a, const struct opvm_state *b);
/** Makes of @state one that includes both; with thresholds, widens what is more than in @old. */
void opvm_state_join(struct opvm_verifier *verifier, const struct opvm_state *old,
		     struct opvm_state *state, bool widen, bool give_up);

/** For each value in the state, all frames' registers and kept slots. */
typedef void (*opvm_visit)(struct opvm_value *value, void *data);
void opvm_state_visit(struct opvm_state *state, opvm_visit visit, void *data);

/* ---- refuse.c ------------------------------------------------------------------------------ */

/** Refuses the program at the state's instruction: what was needed. Returns -EACCES. */
int opvm_refuse(struct opvm_verifier *verifier, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Writes what a value is, for people. */
void opvm_value_write(const struct opvm_verifier *verifier, const struct opvm_value *value,
		      char *text, size_t size_bytes);

/** Writes one line with the instruction and what it uses. */
void opvm_explain(struct opvm_verifier *verifier);

/* ---- reach.c ------------------------------------------------------------------------------- */

enum opvm_access {
	OPVM_ACCESS_READ = 1,
	OPVM_ACCESS_WRITE = 2,
	/** By a helper: bytes, not a value. */
	OPVM_ACCESS_BYTES = 4
};

/**
 * Proves that @bytes at register + @offset may be reached. For a read that is not of bytes,
 * *@result is what is there; for a write that is not, @stored is put there.
 */
int opvm_reach(struct opvm_verifier *verifier, unsigned reg, int32_t offset, uint32_t bytes,
	       unsigned access, const struct opvm_value *stored, struct opvm_value *result);

/* ---- verify_call.c ------------------------------------------------------------------------- */

int opvm_verify_helper(struct opvm_verifier *verifier, enum opvm_do how, uint32_t number);

#endif
