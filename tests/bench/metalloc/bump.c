/* SPDX-License-Identifier: MIT */
/*
 * The least that a malloc can do, as what others are measured over: one thread, blocks one after
 * the other, again from the start when they end, nothing released. For the loop of `loads pairs`
 * alone.
 */
#include <stddef.h>

#define ARENA_BYTES ((size_t)1 << 20)

void *malloc(size_t size_bytes);
void free(void *block);

static _Alignas(16) char arena[ARENA_BYTES];
static __thread size_t used __attribute__((tls_model("initial-exec")));

void *malloc(size_t size_bytes)
{
	const size_t bytes = (size_bytes + 15) & ~(size_t)15;
	size_t start = used;

	if (__builtin_expect(bytes > ARENA_BYTES - start, 0))
		start = 0;
	used = start + bytes;
	return arena + start;
}

void free(void *block)
{
	(void)block;
}
