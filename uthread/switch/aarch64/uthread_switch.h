/* SPDX-License-Identifier: MIT */
/*
 * The switch of AArch64, a function of assembly.
 */
#ifndef UTHREAD_SWITCH_H
#define UTHREAD_SWITCH_H

#include <stdint.h>

/** Where a stack that is not in use goes on: all else is on it. */
struct uthread_registers {
	void *sp;
	/** Of one that has not begun. */
	uint64_t fpcr;
};

/** The floating-point environment of what is to begin there. */
static inline void uthread_registers_inherit(struct uthread_registers *registers)
{
	__asm__ volatile("mrs %0, fpcr" : "=r"(registers->fpcr));
}

/** Saves the caller at @from and goes on at @to, where this returns @pass. */
void *uthread_switch(struct uthread_registers *from, struct uthread_registers *to, void *pass);

/** The same from what never goes on. */
static inline __attribute__((always_inline, noreturn)) void uthread_switch_last(
	struct uthread_registers *from, struct uthread_registers *to, void *pass)
{
	uthread_switch(from, to, pass);
	__builtin_unreachable();
}

#endif
