/* SPDX-License-Identifier: MIT */
/*
 * The outermost frame of a thread on x86-64: unwinding ends here. uthread_begin() gets what the switch
 * passed. It is jumped to with a return address that it never uses, for the processor's sake (see
 * uthread_switch.h).
 */
	.text
	.globl	uthread_context_start
	.hidden	uthread_context_start
	.type	uthread_context_start, @function
	.p2align 4
uthread_context_start:
	.cfi_startproc
	.cfi_undefined %rip
	movq	%rdx, %rdi
	leaq	1f(%rip), %rax
	pushq	%rax
	.cfi_adjust_cfa_offset 8
	jmp	uthread_begin
	nop
1:	ud2
	.cfi_endproc
	.size	uthread_context_start, . - uthread_context_start

	.section .note.GNU-stack, "", @progbits
