/* SPDX-License-Identifier: MIT */
/*
 * Two operations in one: which first ones go with which second ones. A chain is a pair of which the
 * second works on the first's result, which then never leaves the processor's registers.
 *
 * The lists are what loops and filters of compilers consist of. They are short, as a function with
 * hundreds of labels takes compilers minutes.
 */
#ifndef OPVM_FUSE_H
#define OPVM_FUSE_H

#include "opvm_internal.h"

/* X(first row, second row): _BACK for jumps backwards. */
#define OPVM_CHAINS(X)           \
	X(MUL64_X, ADD64_X)      \
	X(XOR64_X, MUL64_X)      \
	X(MOV64_X, RSH64_K)      \
	X(MOV64_X, ADD64_K)      \
	X(MOV64_X, AND64_K)      \
	X(MOV64_X, ADD64_X)      \
	X(AND64_K, JEQ64_K)      \
	X(AND64_K, JNE64_K)      \
	X(ADD64_K, JNE64_K_BACK) \
	X(ADD64_K, JNE64_X_BACK) \
	X(ADD64_K, JLT64_X_BACK) \
	X(ADD64_K, JLE64_X_BACK) \
	X(ADD64_K, JGT64_X)      \
	X(ADD64_X, LDXB)         \
	X(ADD64_X, LDXDW)        \
	X(LDXB, JEQ64_K)         \
	X(LDXB, JNE64_K)         \
	X(LDXW, JEQ64_K)         \
	X(LDXW, JNE64_K)         \
	X(LDXDW, JEQ64_K)        \
	X(LDXDW, JEQ64_X)

#define OPVM_PAIRS(X)       \
	X(LDXDW, LDXDW)     \
	X(LDXDW, LDXW)      \
	X(LDXW, LDXW)       \
	X(LDXW, LDXDW)      \
	X(LDXDW, MOV64_K)   \
	X(LDXB, XOR64_X)    \
	X(LDXB, ADD64_X)    \
	X(MOV64_K, JGT64_X) \
	X(MOV64_K, JGT64_K) \
	X(MOV64_K, AND64_K) \
	X(MOV64_K, MOV64_K) \
	X(MOV64_X, MOV64_X) \
	X(ADD64_K, MOV64_X) \
	X(ADD64_X, ADD64_K)

/* How each of them is done: group, operation, bits. */
#define OPVM_AS_MOV64_X      ALU_X, MOV, 64
#define OPVM_AS_MOV64_K      ALU_K, MOV, 64
#define OPVM_AS_ADD64_K      ALU_K, ADD, 64
#define OPVM_AS_ADD64_X      ALU_X, ADD, 64
#define OPVM_AS_MUL64_X      ALU_X, MUL, 64
#define OPVM_AS_XOR64_X      ALU_X, XOR, 64
#define OPVM_AS_AND64_K      ALU_K, AND, 64
#define OPVM_AS_RSH64_K      ALU_K, RSH, 64
#define OPVM_AS_LDXB         LOAD, LOAD, 8
#define OPVM_AS_LDXW         LOAD, LOAD, 32
#define OPVM_AS_LDXDW        LOAD, LOAD, 64
#define OPVM_AS_JEQ64_K      JUMP_K, JEQ, 64
#define OPVM_AS_JNE64_K      JUMP_K, JNE, 64
#define OPVM_AS_JGT64_K      JUMP_K, JGT, 64
#define OPVM_AS_JEQ64_X      JUMP_X, JEQ, 64
#define OPVM_AS_JGT64_X      JUMP_X, JGT, 64
#define OPVM_AS_JNE64_K_BACK BACK_K, JNE, 64
#define OPVM_AS_JNE64_X_BACK BACK_X, JNE, 64
#define OPVM_AS_JLT64_X_BACK BACK_X, JLT, 64
#define OPVM_AS_JLE64_X_BACK BACK_X, JLE, 64

#endif
