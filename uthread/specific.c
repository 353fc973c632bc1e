/* SPDX-License-Identifier: MIT */
/*
 * Thread-specific data. Keys are the process's; a key's sequence number tells values that were set
 * for it from those of an earlier key of the same index. A thread has an array from its first value
 * on.
 */
#include "uthread_internal.h"

#include <stdlib.h>

/** Even: free. Changes under the lock. */
struct key {
	_Atomic(uint64_t) sequence;
	_Atomic(void (*)(void *)) destructor;
};

static pthread_mutex_t keys_lock = PTHREAD_MUTEX_INITIALIZER;
static struct key keys[UTHREAD_KEYS_MAX];

static bool is_used(uint64_t sequence)
{
	return sequence % 2 != 0;
}

int uthread_key_create(uthread_key_t *key, void (*destructor)(void *))
{
	int result = -EAGAIN;

	pthread_mutex_lock(&keys_lock);
	for (uint32_t i = 0; i < UTHREAD_KEYS_MAX; i++) {
		const uint64_t sequence = atomic_load(&keys[i].sequence);

		if (is_used(sequence))
			continue;
		atomic_store(&keys[i].destructor, destructor);
		atomic_store(&keys[i].sequence, sequence + 1);
		*key = i;
		result = 0;
		break;
	}
	pthread_mutex_unlock(&keys_lock);
	return result == 0 ? 0 : base_error(EAGAIN, "all %u keys are in use", UTHREAD_KEYS_MAX);
}

int uthread_key_delete(uthread_key_t key)
{
	uint64_t sequence = 0;

	pthread_mutex_lock(&keys_lock);
	if (key < UTHREAD_KEYS_MAX)
		sequence = atomic_load(&keys[key].sequence);
	if (is_used(sequence))
		atomic_store(&keys[key].sequence, sequence + 1);
	pthread_mutex_unlock(&keys_lock);
	return is_used(sequence) ? 0 : base_error(EINVAL, "key %u is not in use", key);
}

static int make_room(struct uthread *self, uint32_t count)
{
	const uint32_t rounded = (uint32_t)base_align_up(count, 8);
	struct uthread_specific *const grown =
		realloc(self->own->specific, rounded * sizeof(*self->own->specific));

	if (grown == NULL)
		return base_error(ENOMEM, "no memory for %u values of a thread", rounded);
	memset(grown + self->own->specific_count, 0,
	       (rounded - self->own->specific_count) * sizeof(*grown));
	self->own->specific = grown;
	self->own->specific_count = rounded;
	return 0;
}

int uthread_setspecific(uthread_key_t key, const void *value)
{
	struct uthread *const self = uthread_current();
	uint64_t sequence;
	int error = 0;

	if (self == NULL)
		return uthread_no_thread();
	sequence = key < UTHREAD_KEYS_MAX ? atomic_load(&keys[key].sequence) : 0;
	if (!is_used(sequence))
		return base_error(EINVAL, "key %u is not in use", key);
	if (key >= self->own->specific_count)
		error = make_room(self, key + 1);
	if (error != 0)
		return error;
	self->own->specific[key] = (struct uthread_specific){sequence, (void *)(uintptr_t)value};
	return 0;
}

void *uthread_getspecific(uthread_key_t key)
{
	const struct uthread *const self = uthread_current();

	if (self == NULL || key >= self->own->specific_count ||
	    self->own->specific[key].sequence !=
		    atomic_load_explicit(&keys[key].sequence, memory_order_relaxed))
		return NULL;
	return self->own->specific[key].value;
}

/** Calls the destructors of what is there; whether there was anything. */
static bool destroy_values(struct uthread *self)
{
	bool any = false;

	for (uint32_t i = 0; i < self->own->specific_count; i++) {
		const struct uthread_specific entry = self->own->specific[i];
		void (*const destructor)(void *) = atomic_load(&keys[i].destructor);

		self->own->specific[i].value = NULL;
		if (entry.value == NULL || entry.sequence != atomic_load(&keys[i].sequence) ||
		    destructor == NULL)
			continue;
		any = true;
		destructor(entry.value);
	}
	return any;
}

void uthread_specific_finish(struct uthread *self)
{
	for (unsigned i = 0; i < UTHREAD_DESTRUCTOR_ITERATIONS && destroy_values(self); i++)
		;
	free(self->own->specific);
	self->own->specific = NULL;
	self->own->specific_count = 0;
}
