/* SPDX-License-Identifier: MIT */
/*
 * The switch of AArch64, a function of assembly.
 */
#ifndef UTHREAD_SWITCH_H
#define UTHREAD_SWITCH_H

/** Where a stack that is not in use goes on: all else is on it. */
struct uthread_registers {
	void *sp;
};

/** Saves the caller at @from and goes on at @to, where this returns @pass. */
void *uthread_switch(struct uthread_registers *from, struct uthread_registers *to, void *pass);

#endif
