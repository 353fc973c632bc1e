/* SPDX-License-Identifier: MIT */
/*
 * The switch of AArch64. What a function has to preserve (AAPCS64) is kept on the stack that is left:
 *
 *	sp -> x29, x30, x19 … x28, d8 … d15, fpcr, unused
 */
	.text

#define FRAME 176

/* void *uthread_switch(struct uthread_registers *from, struct uthread_registers *to, void *pass) */
	.globl	uthread_switch
	.hidden	uthread_switch
	.type	uthread_switch, %function
	.p2align 6
uthread_switch:
	.cfi_startproc
	stp	x29, x30, [sp, #-FRAME]!
	.cfi_def_cfa_offset FRAME
	.cfi_offset x29, -FRAME
	.cfi_offset x30, -FRAME + 8
	mov	x29, sp
	stp	x19, x20, [sp, #16]
	.cfi_offset x19, -FRAME + 16
	.cfi_offset x20, -FRAME + 24
	stp	x21, x22, [sp, #32]
	.cfi_offset x21, -FRAME + 32
	.cfi_offset x22, -FRAME + 40
	stp	x23, x24, [sp, #48]
	.cfi_offset x23, -FRAME + 48
	.cfi_offset x24, -FRAME + 56
	stp	x25, x26, [sp, #64]
	.cfi_offset x25, -FRAME + 64
	.cfi_offset x26, -FRAME + 72
	stp	x27, x28, [sp, #80]
	.cfi_offset x27, -FRAME + 80
	.cfi_offset x28, -FRAME + 88
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mrs	x9, fpcr
	str	x9, [sp, #160]
	mov	x10, sp
	str	x10, [x0]
	mov	x0, x2
	ldr	x10, [x1]
	mov	sp, x10
	ldr	x10, [sp, #160]
	cmp	x9, x10
	b.eq	1f
	msr	fpcr, x10
1:	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #FRAME
	.cfi_def_cfa_offset 0
	.cfi_restore x19
	.cfi_restore x20
	.cfi_restore x21
	.cfi_restore x22
	.cfi_restore x23
	.cfi_restore x24
	.cfi_restore x25
	.cfi_restore x26
	.cfi_restore x27
	.cfi_restore x28
	.cfi_restore x29
	.cfi_restore x30
	ret
	.cfi_endproc
	.size	uthread_switch, . - uthread_switch

/* The outermost frame of a thread: unwinding ends here. */
	.globl	uthread_context_start
	.hidden	uthread_context_start
	.type	uthread_context_start, %function
	.p2align 4
uthread_context_start:
	.cfi_startproc
	.cfi_undefined x30
	mov	x29, xzr
	mov	x30, xzr
	bl	uthread_begin
	brk	#1
	.cfi_endproc
	.size	uthread_context_start, . - uthread_context_start

	.section .note.GNU-stack, "", %progbits
