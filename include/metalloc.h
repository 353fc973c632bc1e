/* SPDX-License-Identifier: MIT */
/*
 * metalloc: simple allocators, matched to a program by what its earlier executions did.
 *
 * libmetalloc.so defines malloc() and its whole family, as C17, POSIX.1-2024, glibc and the C++ ABI
 * have them, so that a program is linked with it or started with LD_PRELOAD, and needs none of what
 * is declared here. This header is for programs that want to know or to steer what serves them,
 * that bring an allocator of their own, or that need pools of payload buffers (metalloc/pool.h).
 *
 * An allocator is a descriptor: the sizes that it takes, its alignment, flags, and three functions.
 * Each size class of a program is served by one allocator. Which one is chosen before main() by the
 * program's profile, or by a seed; without either, a class starts on `bump` and is moved to `lists`
 * when it recurs.
 *
 * Errors: functions return 0 or a positive count, or a negative errno value. Outputs are untouched
 * on failure. Nothing here prints.
 */
#ifndef METALLOC_H
#define METALLOC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/** What an allocator is good at, or makes sure of. */
enum metalloc_flag {
	/** What is released is not used again soon: for programs that hardly release anything. */
	METALLOC_NO_REUSE = 1 << 0,
	/** At its best where the thread that allocates also releases. */
	METALLOC_SINGLE_THREAD = 1 << 1,
	/** At its best where other threads release. */
	METALLOC_CROSS_THREAD = 1 << 2,
	/** At its best with blocks of many pages that come and go. */
	METALLOC_BIG_CHURN = 1 << 3,
	/** Blocks do not move, and their pages stay in memory. */
	METALLOC_PINNED = 1 << 4,
	/** Blocks are zero when they are allocated. */
	METALLOC_ZEROED = 1 << 5,
	/** Gives memory back early. */
	METALLOC_LOW_MEMORY = 1 << 6,
	/** Ends the program when a block is released twice, or something that is no block. */
	METALLOC_CHECKED = 1 << 7
};

/** Blocks of one size class come from groups: METALLOC_GROUP_BYTES of memory, aligned to that. */
#define METALLOC_GROUP_BYTES 65536

/** Larger blocks than this do not come from groups. */
#define METALLOC_MOST_BYTES 28672

/** An allocator. All of it must stay valid, and the same, from metalloc_register() on. */
struct metalloc_allocator {
	/** Lower-case letters, digits and '-'; at most 15 characters. */
	const char *name;
	/** Sizes that it takes, in bytes; most_bytes is METALLOC_MOST_BYTES or less. */
	size_t least_bytes;
	size_t most_bytes;
	/** Of every block: a power of two of 16 or more. */
	size_t alignment_bytes;
	/** metalloc_flag. */
	unsigned flags;

	/*
	 * Called by any thread at any time after a fork or before main(), several at once; they
	 * must neither call malloc() and its kin nor lock what is held while those are called.
	 */

	/**
	 * A block of at least @size_bytes in a group of its own (metalloc_group_take()), or NULL
	 * when there is no memory. @size_bytes is between least_bytes and most_bytes.
	 */
	void *(*allocate)(const struct metalloc_allocator *self, size_t size_bytes);
	/** Takes back a block in one of its groups, or what the program holds for one. */
	void (*release)(const struct metalloc_allocator *self, void *block);
	/** The bytes that the owner of @block may use: at least what was asked for. */
	size_t (*usable)(const struct metalloc_allocator *self, const void *block);
};

/**
 * Adds an allocator of the program's own; it serves nothing until metalloc_use() names it. Any
 * thread.
 *
 * -EINVAL: a member is not as described above. -EEXIST: there is one of that name. -ENOSPC: there
 * are as many as there can be (16, with those that are built in).
 */
int metalloc_register(const struct metalloc_allocator *allocator);

/**
 * Has the calling thread's blocks of @least_bytes to @most_bytes allocated by the allocator @name,
 * from now on, whatever the profile says; and those of threads that start later. Blocks that exist
 * are released where they came from. Any thread.
 *
 * -ENOENT: no such allocator. -ERANGE: it does not take all of these sizes. -EINVAL: least_bytes is
 * more than most_bytes. -ENOMEM.
 */
int metalloc_use(const char *name, size_t least_bytes, size_t most_bytes);

/** The allocator number @index, counted from 0: first those that are built in; NULL past the last.
 */
const struct metalloc_allocator *metalloc_allocator(unsigned index);

/**
 * The allocator that gave @block, which is allocated; its name is "big" or "pages" for blocks of
 * more than METALLOC_MOST_BYTES. Any thread.
 */
const struct metalloc_allocator *metalloc_allocator_of(const void *block);

/**
 * For an allocator's own functions: a group of its own. Its first *@header_bytes bytes are
 * metalloc's; the others, up to METALLOC_GROUP_BYTES, are the allocator's, and zero. A block must
 * lie in them entirely and not begin at a multiple of METALLOC_GROUP_BYTES. NULL when there is no
 * memory.
 */
void *metalloc_group_take(const struct metalloc_allocator *self, size_t *header_bytes);

/** Gives back a group in which no block is allocated. */
void metalloc_group_give(void *group);

/** What a process holds at the moment, in bytes. */
struct metalloc_usage {
	/** Address space mapped for blocks. */
	uint64_t mapped_bytes;
	/** Of that, what is in use by allocators, in whole groups. */
	uint64_t used_bytes;
	/** Most used_bytes so far. */
	uint64_t peak_bytes;
	/** Of what is not in use, what may still occupy memory. */
	uint64_t kept_bytes;
	/** Threads that have allocated and have not ended. */
	uint64_t threads;
};

/** Any thread. */
void metalloc_usage(struct metalloc_usage *usage);

/** Gives all memory that is not in use back to the system, as malloc_trim() does. Any thread. */
void metalloc_trim(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
