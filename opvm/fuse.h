/* SPDX-License-Identifier: MIT */
/*
 * Two operations in one: which first ones go with which second ones. A chain is a pair of which the
 * second works on the first's result, which then never leaves the processor's registers.
 *
 * The lists are what loops and filters of compilers consist of. Every combination costs some 60
 * bytes.
 */
#ifndef OPVM_FUSE_H
#define OPVM_FUSE_H

#include "opvm_internal.h"

/* X(row, kind of value, operation, bits, …) */
#define OPVM_FUSE_FIRST(X)         \
	X(MOV64_X, ALU_X, MOV, 64) \
	X(MOV64_K, ALU_K, MOV, 64) \
	X(ADD64_K, ALU_K, ADD, 64) \
	X(ADD64_X, ALU_X, ADD, 64) \
	X(MUL64_X, ALU_X, MUL, 64) \
	X(XOR64_X, ALU_X, XOR, 64) \
	X(AND64_K, ALU_K, AND, 64) \
	X(RSH64_K, ALU_K, RSH, 64) \
	X(LSH64_K, ALU_K, LSH, 64) \
	X(ADD32_K, ALU_K, ADD, 32) \
	X(LDXB, LOAD, LOAD, 8)     \
	X(LDXW, LOAD, LOAD, 32)    \
	X(LDXDW, LOAD, LOAD, 64)

/* Y(arguments of the first in brackets, row, group, operation, bits); _BACK for jumps backwards. */
#define OPVM_FUSE_SECOND(Y, first)              \
	Y(first, ADD64_K, ALU_K, ADD, 64)       \
	Y(first, ADD64_X, ALU_X, ADD, 64)       \
	Y(first, MUL64_X, ALU_X, MUL, 64)       \
	Y(first, XOR64_X, ALU_X, XOR, 64)       \
	Y(first, AND64_K, ALU_K, AND, 64)       \
	Y(first, RSH64_K, ALU_K, RSH, 64)       \
	Y(first, MOV64_X, ALU_X, MOV, 64)       \
	Y(first, LDXB, LOAD, LOAD, 8)           \
	Y(first, LDXW, LOAD, LOAD, 32)          \
	Y(first, LDXDW, LOAD, LOAD, 64)         \
	Y(first, JEQ64_K, JUMP_K, JEQ, 64)      \
	Y(first, JNE64_K, JUMP_K, JNE, 64)      \
	Y(first, JGT64_K, JUMP_K, JGT, 64)      \
	Y(first, JEQ64_X, JUMP_X, JEQ, 64)      \
	Y(first, JGT64_X, JUMP_X, JGT, 64)      \
	Y(first, JNE64_K_BACK, BACK_K, JNE, 64) \
	Y(first, JLT64_K_BACK, BACK_K, JLT, 64) \
	Y(first, JNE64_X_BACK, BACK_X, JNE, 64) \
	Y(first, JLT64_X_BACK, BACK_X, JLT, 64) \
	Y(first, JLE64_X_BACK, BACK_X, JLE, 64) \
	Y(first, JGT64_X_BACK, BACK_X, JGT, 64)

#define OPVM_BRACKETS(...) __VA_ARGS__

#endif
