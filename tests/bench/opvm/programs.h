/* SPDX-License-Identifier: MIT */
/*
 * What is measured: four programs, in assembly and in C.
 */
#ifndef BENCH_OPVM_PROGRAMS_H
#define BENCH_OPVM_PROGRAMS_H

#include <stdint.h>

#define ARITHMETIC_ROUNDS 1000

struct bench_context {
	const uint8_t *data;
	const uint8_t *data_end;
	uint64_t number;
	uint64_t offset;
	uint32_t length;
	uint32_t operation;
	uint32_t flags;
	uint32_t reserved;
};

uint64_t native_arithmetic(struct bench_context *context);
uint64_t native_fnv(struct bench_context *context);
uint64_t native_scan(struct bench_context *context);
uint64_t native_filter(struct bench_context *context);

#endif
