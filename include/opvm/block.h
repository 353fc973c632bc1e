/* SPDX-License-Identifier: MIT */
/*
 * For programs on the request path of a block device, compiled by clang -target bpf: what they are
 * given and what they answer. See bdus-filter-opvm(7).
 *
 *	#include "opvm/program.h"
 *	#include "opvm/block.h"
 *
 *	OPVM_PROGRAM uint64_t serve(struct opvm_block *request)
 *	{
 *		return request->operation == OPVM_BLOCK_WRITE ? OPVM_BLOCK_FAIL : OPVM_BLOCK_PASS;
 *	}
 *
 * It can be included outside of programs, too.
 */
#ifndef OPVM_BLOCK_H
#define OPVM_BLOCK_H

#ifdef __bpf__
#include "opvm/program.h"
#else
#include "opvm/platform.h"
#endif

/** What a program returns. */
enum {
	/** The layer below serves the request. */
	OPVM_BLOCK_PASS = 0,
	/** It is done; a read gives zeros, anything else has no effect. */
	OPVM_BLOCK_DONE = 1,
	/**
	 * The layer below, or `backend`, serves it at `target_bytes` instead of its offset. A flush
	 * passes, to all of them.
	 */
	OPVM_BLOCK_REDIRECT = 2,
	/** It fails with `status`. */
	OPVM_BLOCK_FAIL = 3,
};

/** Operations, as BDUS_OP_* of bdus/request.h. */
enum {
	OPVM_BLOCK_READ = 0,
	OPVM_BLOCK_WRITE = 1,
	OPVM_BLOCK_FLUSH = 2,
	OPVM_BLOCK_WRITE_ZEROS = 3,
	OPVM_BLOCK_DISCARD = 4,
	OPVM_BLOCK_SECURE_ERASE = 5,
	OPVM_BLOCK_EXTENTS = 6,
	OPVM_BLOCK_CACHE = 7,
};

/** Flags, as BDUS_REQUEST_* of bdus/request.h. */
enum {
	OPVM_BLOCK_FUA = 1,
	OPVM_BLOCK_MAY_UNMAP = 2,
	OPVM_BLOCK_FAST_ONLY = 4,
	OPVM_BLOCK_NO_WAIT = 8,
};

/** One request, or what is left of it. Laid out by abi/opvm_block.wire. */
struct opvm_block {
	/** Where it starts and how long it is; both 0 for a flush. */
	uint64_t offset_bytes;
	uint64_t length_bytes;
	/** CLOCK_MONOTONIC when the program was called. */
	uint64_t time_ns;
	/** The size of the layer below, and its logical block size. */
	uint64_t device_bytes;
	uint32_t block_bytes;
	uint32_t operation;
	uint32_t flags;
	/** Counts the calls for one request: 0, then 1 and so on for what was left of it. */
	uint32_t part;
	/** The first bytes of what is to be written; both the same where there are none. */
	const uint8_t *payload;
	const uint8_t *payload_end;

	/**
	 * How much of it, from its start, the answer is about: whole blocks; preset to its length.
	 * The program is called again for the rest. Of extents, only the first part is answered.
	 */
	uint64_t covers_bytes;
	/** Where it goes with OPVM_BLOCK_REDIRECT; preset to its offset. */
	uint64_t target_bytes;
	/** How long it waits before, at most an hour; preset to 0. */
	uint64_t delay_ns;
	/** What it fails with, a positive error number; preset to EIO. */
	uint32_t status;

	/**
	 * For the program that is called when a request is back, whose answers mean nothing: what
	 * became of the request, a positive error number or 0, and how long it took.
	 */
	uint32_t result;
	uint64_t elapsed_ns;

	/** How many backends there are besides the layer below. */
	uint32_t backends;
	/**
	 * Which of them serves what OPVM_BLOCK_REDIRECT is the answer to; from 1 on, preset to 0,
	 * the layer below.
	 */
	uint32_t backend;
};

#endif
