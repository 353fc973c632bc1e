/* SPDX-License-Identifier: MIT */
/*
 * The switch of x86-64, inline: what a function has to preserve (System V ABI) the compiler saves
 * and restores around it, as it is told that all of it is lost, and describes to unwinders as it
 * does for any call. What is left are the stack and frame pointers, the place to go on, and the
 * control words of floating point. It is a jump rather than a call and a return, so that the
 * processor's own stack of return addresses stays right for the functions that are returned from
 * afterwards.
 */
#ifndef UTHREAD_SWITCH_H
#define UTHREAD_SWITCH_H

#include <stddef.h>
#include <stdint.h>

/** Where a stack that is not in use goes on. The assembly knows the offsets. */
struct uthread_registers {
	void *sp;
	void *frame;
	void *next;
	uint32_t mxcsr;
	uint16_t x87_control;
	uint16_t padding;
};

_Static_assert(offsetof(struct uthread_registers, x87_control) == 28, "see the assembly");

/** The floating-point environment of what is to begin there. */
static inline void uthread_registers_inherit(struct uthread_registers *registers)
{
	__asm__ volatile("stmxcsr %0\n\t"
			 "fnstcw %1"
			 : "=m"(registers->mxcsr), "=m"(registers->x87_control));
}

/** Saves the caller at @from and goes on at @to, where this returns @pass. */
static inline __attribute__((always_inline)) void *uthread_switch(struct uthread_registers *from,
								  struct uthread_registers *to,
								  void *pass)
{
	void *passed;

	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
			 "movq %%rsp, 0(%%rdi)\n\t"
			 "movq %%rbp, 8(%%rdi)\n\t"
			 "movq %%rax, 16(%%rdi)\n\t"
			 "stmxcsr 24(%%rdi)\n\t"
			 "fnstcw 28(%%rdi)\n\t"
			 "movq 0(%%rsi), %%rsp\n\t"
			 "movq 8(%%rsi), %%rbp\n\t"
			 "ldmxcsr 24(%%rsi)\n\t"
			 "fldcw 28(%%rsi)\n\t"
			 "jmp *16(%%rsi)\n"
			 "1:"
			 : "=d"(passed), "+D"(from), "+S"(to)
			 : "0"(pass)
			 : "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
			   "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
			   "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
			   "memory", "cc");
	return passed;
}

/** The same from what never goes on: nothing of it is saved. */
static inline __attribute__((always_inline, noreturn)) void uthread_switch_last(
	struct uthread_registers *from, struct uthread_registers *to, void *pass)
{
	(void)from;
	__asm__ volatile("movq 0(%%rsi), %%rsp\n\t"
			 "movq 8(%%rsi), %%rbp\n\t"
			 "ldmxcsr 24(%%rsi)\n\t"
			 "fldcw 28(%%rsi)\n\t"
			 "jmp *16(%%rsi)"
			 :
			 : "S"(to), "d"(pass)
			 : "memory");
	__builtin_unreachable();
}

#endif
