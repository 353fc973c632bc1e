/* SPDX-License-Identifier: MIT */
/*
 * What the programs do, as the C compiler makes it with -O2. In a file of its own, so that nothing
 * is computed beforehand.
 */
#include "programs.h"

uint64_t native_arithmetic(struct bench_context *context)
{
	uint64_t sum = context->number;

	for (uint64_t at = 0; at < ARITHMETIC_ROUNDS; at++) {
		sum = sum * 6364136223846793005u + 1442695040888963407u;
		sum ^= sum >> 13;
	}
	return sum;
}

uint64_t native_fnv(struct bench_context *context)
{
	uint64_t hash = 14695981039346656037u;

	for (const uint8_t *at = context->data; at < context->data_end; at++)
		hash = (hash ^ *at) * 1099511628211u;
	return hash;
}

uint64_t native_scan(struct bench_context *context)
{
	const uint64_t *at = (const uint64_t *)(const void *)context->data;

	for (; (const uint8_t *)(at + 1) <= context->data_end; at++)
		if (*at == context->number)
			return 1;
	return 0;
}

uint64_t native_filter(struct bench_context *context)
{
	const uint64_t end = context->offset + context->length;

	if (context->operation == 1 && end > context->number)
		return 2;
	if (context->length > 1048576)
		return 3;
	return (context->offset >> 9 & 7) == 5 && context->flags != 0 ? 1 : 0;
}
