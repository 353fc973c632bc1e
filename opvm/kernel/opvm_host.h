/* SPDX-License-Identifier: MIT */
/*
 * What opvm takes from its surroundings, in the Linux kernel from 6.1 on. It is all that differs
 * from user space; host/opvm_host.h says what each function promises.
 *
 * Programs are loaded where sleeping is allowed, and run where it may not be: locks keep interrupts
 * of the same processor out, as a program may run in one.
 */
#ifndef OPVM_HOST_H
#define OPVM_HOST_H

#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/objtool.h>
#include <linux/processor.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>

/* The names of the C library for what the kernel calls otherwise; it has some of them itself. */
#undef INT8_MIN
#define INT8_MIN S8_MIN
#undef INT8_MAX
#define INT8_MAX S8_MAX
#undef INT16_MIN
#define INT16_MIN S16_MIN
#undef INT16_MAX
#define INT16_MAX S16_MAX
#undef INT32_MIN
#define INT32_MIN S32_MIN
#undef INT32_MAX
#define INT32_MAX S32_MAX
#undef INT64_MIN
#define INT64_MIN S64_MIN
#undef INT64_MAX
#define INT64_MAX S64_MAX
#undef UINT8_MAX
#define UINT8_MAX U8_MAX
#undef UINT16_MAX
#define UINT16_MAX U16_MAX
#undef UINT32_MAX
#define UINT32_MAX U32_MAX
#undef UINT64_MAX
#define UINT64_MAX U64_MAX

static inline void *opvm_host_allocate(size_t size_bytes)
{
	return kvzalloc(size_bytes, GFP_KERNEL);
}

static inline void opvm_host_free(void *memory)
{
	kvfree(memory);
}

static inline int __printf(3, 0)
	opvm_host_format(char *text, size_t size_bytes, const char *format, va_list arguments)
{
	return vsnprintf(text, size_bytes, format, arguments);
}

static inline uint32_t opvm_host_processors(void)
{
	return nr_cpu_ids;
}

static inline uint32_t opvm_host_processor(void)
{
	return raw_smp_processor_id();
}

static inline uint64_t opvm_host_time_ns(void)
{
	return ktime_get_ns();
}

struct opvm_host_lock {
	raw_spinlock_t lock;
	unsigned long flags;
};

static inline void opvm_host_lock_init(struct opvm_host_lock *lock)
{
	raw_spin_lock_init(&lock->lock);
}

static inline void opvm_host_lock(struct opvm_host_lock *lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&lock->lock, flags);
	lock->flags = flags;
}

static inline void opvm_host_unlock(struct opvm_host_lock *lock)
{
	const unsigned long flags = lock->flags;

	raw_spin_unlock_irqrestore(&lock->lock, flags);
}

/* A function whose jumps between labels look as if they left it. */
#define OPVM_HOST_UNUSUAL_JUMPS(function) STACK_FRAME_NON_STANDARD(function);

static inline void opvm_host_relax(void)
{
	cpu_relax();
}

#endif
