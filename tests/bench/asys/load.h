/* SPDX-License-Identifier: MIT */
/*
 * One load for asys and its peers: random reads of 4 KiB, or operations that do nothing, so many at
 * once. Each side keeps its own state and writes into `buffers`, one block for each in flight.
 */
#ifndef BENCH_ASYS_LOAD_H
#define BENCH_ASYS_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BLOCK 4096
#define DEPTH 64

struct load {
	int file;
	uint64_t blocks;
	uint8_t *buffers;
	uint64_t operations;
	uint32_t seed;
};

/** Runs the load to its end; false when this side cannot. */
typedef bool load_fn(struct load *load);

load_fn run_asys_reads;
load_fn run_asys_reads_without_ring;
load_fn run_asys_nops;
load_fn run_liburing_reads;
load_fn run_liburing_nops;
load_fn run_libuv_reads;
load_fn run_aio_reads;
load_fn run_pread_reads;

static inline off_t load_next_offset(struct load *load)
{
	load->seed = load->seed * 1664525U + 1013904223U;
	return (off_t)((load->seed >> 8) % load->blocks * BLOCK);
}

static inline uint8_t *load_buffer(const struct load *load, unsigned slot)
{
	return load->buffers + (uint64_t)slot * BLOCK;
}

#endif
