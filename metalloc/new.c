/* SPDX-License-Identifier: MIT */
/*
 * C++: operator new and delete, plain, of arrays, sized, aligned and not throwing, by the names
 * that the Itanium C++ ABI gives them. Those of the C++ library would call malloc() and free(),
 * which is the same but for the way there. Without memory its own operator is called, which calls
 * malloc() once more, then the program's new handler, and throws: C cannot.
 */
#include "entry.h"

#include <dlfcn.h>
#include <stdlib.h>

typedef void *plain_fn(size_t size_bytes);
typedef void *aligned_fn(size_t size_bytes, size_t alignment_bytes);

static void *next(const char *name)
{
	void *const found = dlsym(RTLD_NEXT, name);

	if (found == NULL)
		abort();
	return found;
}

static __attribute__((noinline, cold)) void *plain_failed(const char *name, size_t size_bytes)
{
	return ((plain_fn *)next(name))(size_bytes);
}

static __attribute__((noinline, cold)) void *aligned_failed(const char *name, size_t size_bytes,
							    size_t alignment_bytes)
{
	return ((aligned_fn *)next(name))(size_bytes, alignment_bytes);
}

#define NEW(name)                                               \
	void *name(size_t size_bytes);                          \
	void *name(size_t size_bytes)                           \
	{                                                       \
		void *const block = ENTRY(malloc)(size_bytes);  \
                                                                \
		if (__builtin_expect(block == NULL, 0))         \
			return plain_failed(#name, size_bytes); \
		return block;                                   \
	}

#define NEW_ALIGNED(name)                                                                          \
	void *name(size_t size_bytes, size_t alignment_bytes);                                     \
	void *name(size_t size_bytes, size_t alignment_bytes)                                      \
	{                                                                                          \
		void *const block = ENTRY(memalign)(alignment_bytes, size_bytes);                  \
                                                                                                   \
		return block != NULL ? block : aligned_failed(#name, size_bytes, alignment_bytes); \
	}

#define NEW_NOTHROW(name)                                   \
	void *name(size_t size_bytes, const void *nothrow); \
	void *name(size_t size_bytes, const void *nothrow)  \
	{                                                   \
		(void)nothrow;                              \
		return ENTRY(malloc)(size_bytes);           \
	}

#define NEW_ALIGNED_NOTHROW(name)                                                   \
	void *name(size_t size_bytes, size_t alignment_bytes, const void *nothrow); \
	void *name(size_t size_bytes, size_t alignment_bytes, const void *nothrow)  \
	{                                                                           \
		(void)nothrow;                                                      \
		return ENTRY(memalign)(alignment_bytes, size_bytes);                \
	}

#define DELETE(name, ...)                      \
	void name(void *block, ##__VA_ARGS__); \
	void name(void *block, ##__VA_ARGS__)  \
	{                                      \
		ENTRY(free)(block);            \
	}

#pragma GCC visibility push(default)

/* NOLINTBEGIN(bugprone-reserved-identifier): the ABI's names. */
NEW(_Znwm)
NEW(_Znam)
NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
NEW_NOTHROW(_ZnamRKSt9nothrow_t)
NEW_ALIGNED(_ZnwmSt11align_val_t)
NEW_ALIGNED(_ZnamSt11align_val_t)
NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)

DELETE(_ZdlPv)
DELETE(_ZdaPv)
DELETE(_ZdlPvm, size_t size_bytes __attribute__((unused)))
DELETE(_ZdaPvm, size_t size_bytes __attribute__((unused)))
DELETE(_ZdlPvRKSt9nothrow_t, const void *nothrow __attribute__((unused)))
DELETE(_ZdaPvRKSt9nothrow_t, const void *nothrow __attribute__((unused)))
DELETE(_ZdlPvSt11align_val_t, size_t alignment_bytes __attribute__((unused)))
DELETE(_ZdaPvSt11align_val_t, size_t alignment_bytes __attribute__((unused)))
DELETE(_ZdlPvmSt11align_val_t, size_t size_bytes __attribute__((unused)),
       size_t alignment_bytes __attribute__((unused)))
DELETE(_ZdaPvmSt11align_val_t, size_t size_bytes __attribute__((unused)),
       size_t alignment_bytes __attribute__((unused)))
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, size_t alignment_bytes __attribute__((unused)),
       const void *nothrow __attribute__((unused)))
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, size_t alignment_bytes __attribute__((unused)),
       const void *nothrow __attribute__((unused)))
/* NOLINTEND(bugprone-reserved-identifier) */

#pragma GCC visibility pop
