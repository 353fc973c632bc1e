/* SPDX-License-Identifier: MIT */
/*
 * The one table of instructions: RFC 9669 without its legacy packet group, and CALLX, which
 *compilers emit for calls of function pointers. Everything that has to know instructions is made of
 *it: the check of encodings, assembler, disassembler, verifier, interpreter and tests.
 *
 *	X(name, opcode, selector, selected, form, group, operation, bits, text)
 *
 * name       of the row: OPVM_OP_name
 * opcode     the instruction's first byte
 * selector   which other field tells rows of one opcode apart, and
 * selected   the value that this field then has
 * form       the fields that carry an operand (OPVM_FORM_); all others have to be zero
 * group      OPVM_GROUP_
 * operation  OPVM_DO_: what is computed or compared
 * bits       width of the operation or of the memory that is reached
 * text       how it is written: %d %s registers, %i immediate, %I 64-bit immediate, %o offset with
 *its sign, %t and %T jump targets (in offset, in immediate), %c function
 *
 * OPVM_OPCODES(X, Y) gives the first row of each opcode to X and further ones to Y.
 */
#ifndef OPVM_OPCODES_H
#define OPVM_OPCODES_H

/* A binary operation has four encodings: 64 or 32 bits, an immediate or a register. */
#define OPVM_BINARY(X, name, code, text)                                             \
	X(name##64_K, 0x07 | (code), NONE, 0, DI, ALU_K, name, 64, text " %d, %i")   \
	X(name##64_X, 0x0f | (code), NONE, 0, DS, ALU_X, name, 64, text " %d, %s")   \
	X(name##32_K, 0x04 | (code), NONE, 0, DI, ALU_K, name, 32, text "32 %d, %i") \
	X(name##32_X, 0x0c | (code), NONE, 0, DS, ALU_X, name, 32, text "32 %d, %s")

/* The same where an offset of 1 means signed operands. */
#define OPVM_DIVISION(X, Y, name, code, text)                                                    \
	X(name##64_K, 0x07 | (code), OFFSET, 0, DI, ALU_K, name, 64, text " %d, %i")             \
	Y(S##name##64_K, 0x07 | (code), OFFSET, 1, DI, ALU_K, S##name, 64, "s" text " %d, %i")   \
	X(name##64_X, 0x0f | (code), OFFSET, 0, DS, ALU_X, name, 64, text " %d, %s")             \
	Y(S##name##64_X, 0x0f | (code), OFFSET, 1, DS, ALU_X, S##name, 64, "s" text " %d, %s")   \
	X(name##32_K, 0x04 | (code), OFFSET, 0, DI, ALU_K, name, 32, text "32 %d, %i")           \
	Y(S##name##32_K, 0x04 | (code), OFFSET, 1, DI, ALU_K, S##name, 32, "s" text "32 %d, %i") \
	X(name##32_X, 0x0c | (code), OFFSET, 0, DS, ALU_X, name, 32, text "32 %d, %s")           \
	Y(S##name##32_X, 0x0c | (code), OFFSET, 1, DS, ALU_X, S##name, 32, "s" text "32 %d, %s")

#define OPVM_CONDITION(X, name, code, text)                                                \
	X(name##64_K, 0x05 | (code), NONE, 0, DIO, JUMP_K, name, 64, text " %d, %i, %t")   \
	X(name##64_X, 0x0d | (code), NONE, 0, DSO, JUMP_X, name, 64, text " %d, %s, %t")   \
	X(name##32_K, 0x06 | (code), NONE, 0, DIO, JUMP_K, name, 32, text "32 %d, %i, %t") \
	X(name##32_X, 0x0e | (code), NONE, 0, DSO, JUMP_X, name, 32, text "32 %d, %s, %t")

#define OPVM_ATOMIC_PAIR(X, Y, name, action, text)                                        \
	X(name##32, 0xc3, IMMEDIATE, action, DSO, ATOMIC, name, 32, text "32 [%d%o], %s") \
	Y(name##64, 0xdb, IMMEDIATE, action, DSO, ATOMIC, name, 64, text "64 [%d%o], %s")

#define OPVM_OPCODES(X, Y)                                                                         \
	OPVM_BINARY(X, ADD, 0x00, "add")                                                           \
	OPVM_BINARY(X, SUB, 0x10, "sub")                                                           \
	OPVM_BINARY(X, MUL, 0x20, "mul")                                                           \
	OPVM_DIVISION(X, Y, DIV, 0x30, "div")                                                      \
	OPVM_BINARY(X, OR, 0x40, "or")                                                             \
	OPVM_BINARY(X, AND, 0x50, "and")                                                           \
	OPVM_BINARY(X, LSH, 0x60, "lsh")                                                           \
	OPVM_BINARY(X, RSH, 0x70, "rsh")                                                           \
	X(NEG64, 0x87, NONE, 0, D, ALU_K, NEG, 64, "neg %d")                                       \
	X(NEG32, 0x84, NONE, 0, D, ALU_K, NEG, 32, "neg32 %d")                                     \
	OPVM_DIVISION(X, Y, MOD, 0x90, "mod")                                                      \
	OPVM_BINARY(X, XOR, 0xa0, "xor")                                                           \
	X(MOV64_K, 0xb7, NONE, 0, DI, ALU_K, MOV, 64, "mov %d, %i")                                \
	X(MOV64_X, 0xbf, OFFSET, 0, DS, ALU_X, MOV, 64, "mov %d, %s")                              \
	Y(MOVSX8_64, 0xbf, OFFSET, 8, DS, ALU_X, MOVSX8, 64, "movsx8 %d, %s")                      \
	Y(MOVSX16_64, 0xbf, OFFSET, 16, DS, ALU_X, MOVSX16, 64, "movsx16 %d, %s")                  \
	Y(MOVSX32_64, 0xbf, OFFSET, 32, DS, ALU_X, MOVSX32, 64, "movsx32 %d, %s")                  \
	X(MOV32_K, 0xb4, NONE, 0, DI, ALU_K, MOV, 32, "mov32 %d, %i")                              \
	X(MOV32_X, 0xbc, OFFSET, 0, DS, ALU_X, MOV, 32, "mov32 %d, %s")                            \
	Y(MOVSX8_32, 0xbc, OFFSET, 8, DS, ALU_X, MOVSX8, 32, "movsx8_32 %d, %s")                   \
	Y(MOVSX16_32, 0xbc, OFFSET, 16, DS, ALU_X, MOVSX16, 32, "movsx16_32 %d, %s")               \
	OPVM_BINARY(X, ARSH, 0xc0, "arsh")                                                         \
	X(LE16, 0xd4, IMMEDIATE, 16, D, ALU_K, LE16, 64, "le16 %d")                                \
	Y(LE32, 0xd4, IMMEDIATE, 32, D, ALU_K, LE32, 64, "le32 %d")                                \
	Y(LE64, 0xd4, IMMEDIATE, 64, D, ALU_K, LE64, 64, "le64 %d")                                \
	X(BE16, 0xdc, IMMEDIATE, 16, D, ALU_K, BE16, 64, "be16 %d")                                \
	Y(BE32, 0xdc, IMMEDIATE, 32, D, ALU_K, BE32, 64, "be32 %d")                                \
	Y(BE64, 0xdc, IMMEDIATE, 64, D, ALU_K, BE64, 64, "be64 %d")                                \
	X(SWAP16, 0xd7, IMMEDIATE, 16, D, ALU_K, SWAP16, 64, "swap16 %d")                          \
	Y(SWAP32, 0xd7, IMMEDIATE, 32, D, ALU_K, SWAP32, 64, "swap32 %d")                          \
	Y(SWAP64, 0xd7, IMMEDIATE, 64, D, ALU_K, SWAP64, 64, "swap64 %d")                          \
	X(JA, 0x05, NONE, 0, O, JUMP, JA, 64, "ja %t")                                             \
	X(JA_FAR, 0x06, NONE, 0, I, JUMP, JA_FAR, 32, "ja32 %T")                                   \
	OPVM_CONDITION(X, JEQ, 0x10, "jeq")                                                        \
	OPVM_CONDITION(X, JGT, 0x20, "jgt")                                                        \
	OPVM_CONDITION(X, JGE, 0x30, "jge")                                                        \
	OPVM_CONDITION(X, JSET, 0x40, "jset")                                                      \
	OPVM_CONDITION(X, JNE, 0x50, "jne")                                                        \
	OPVM_CONDITION(X, JSGT, 0x60, "jsgt")                                                      \
	OPVM_CONDITION(X, JSGE, 0x70, "jsge")                                                      \
	OPVM_CONDITION(X, JLT, 0xa0, "jlt")                                                        \
	OPVM_CONDITION(X, JLE, 0xb0, "jle")                                                        \
	OPVM_CONDITION(X, JSLT, 0xc0, "jslt")                                                      \
	OPVM_CONDITION(X, JSLE, 0xd0, "jsle")                                                      \
	X(CALL, 0x85, SOURCE, 0, I, CALL, HELPER, 64, "call %i")                                   \
	Y(CALL_LOCAL, 0x85, SOURCE, 1, I, CALL, LOCAL, 64, "call local %c")                        \
	Y(CALL_BTF, 0x85, SOURCE, 2, I, CALL, BTF, 64, "call btf %i")                              \
	X(CALLX, 0x8d, NONE, 0, D, CALL, REGISTER, 64, "callx %d")                                 \
	X(EXIT, 0x95, NONE, 0, NOTHING, EXIT, EXIT, 64, "exit")                                    \
	X(LDDW, 0x18, SOURCE, 0, DW, WIDE, IMM64, 64, "lddw %d, %I")                               \
	Y(LDDW_MAP, 0x18, SOURCE, 1, DI, WIDE, MAP_FD, 64, "lddw %d, map_fd %i")                   \
	Y(LDDW_MAP_VALUE, 0x18, SOURCE, 2, DW, WIDE, MAP_FD_VALUE, 64, "lddw %d, map_fd_value %I") \
	Y(LDDW_VARIABLE, 0x18, SOURCE, 3, DI, WIDE, VARIABLE, 64, "lddw %d, variable %i")          \
	Y(LDDW_CODE, 0x18, SOURCE, 4, DI, WIDE, CODE, 64, "lddw %d, code %c")                      \
	Y(LDDW_INDEX, 0x18, SOURCE, 5, DI, WIDE, MAP, 64, "lddw %d, map %i")                       \
	Y(LDDW_INDEX_VALUE, 0x18, SOURCE, 6, DW, WIDE, MAP_VALUE, 64, "lddw %d, map_value %I")     \
	X(LDXB, 0x71, NONE, 0, DSO, LOAD, LOAD, 8, "ldxb %d, [%s%o]")                              \
	X(LDXH, 0x69, NONE, 0, DSO, LOAD, LOAD, 16, "ldxh %d, [%s%o]")                             \
	X(LDXW, 0x61, NONE, 0, DSO, LOAD, LOAD, 32, "ldxw %d, [%s%o]")                             \
	X(LDXDW, 0x79, NONE, 0, DSO, LOAD, LOAD, 64, "ldxdw %d, [%s%o]")                           \
	X(LDXSB, 0x91, NONE, 0, DSO, LOAD, LOAD_SIGNED, 8, "ldxsb %d, [%s%o]")                     \
	X(LDXSH, 0x89, NONE, 0, DSO, LOAD, LOAD_SIGNED, 16, "ldxsh %d, [%s%o]")                    \
	X(LDXSW, 0x81, NONE, 0, DSO, LOAD, LOAD_SIGNED, 32, "ldxsw %d, [%s%o]")                    \
	X(STB, 0x72, NONE, 0, DIO, STORE_K, STORE, 8, "stb [%d%o], %i")                            \
	X(STH, 0x6a, NONE, 0, DIO, STORE_K, STORE, 16, "sth [%d%o], %i")                           \
	X(STW, 0x62, NONE, 0, DIO, STORE_K, STORE, 32, "stw [%d%o], %i")                           \
	X(STDW, 0x7a, NONE, 0, DIO, STORE_K, STORE, 64, "stdw [%d%o], %i")                         \
	X(STXB, 0x73, NONE, 0, DSO, STORE_X, STORE, 8, "stxb [%d%o], %s")                          \
	X(STXH, 0x6b, NONE, 0, DSO, STORE_X, STORE, 16, "stxh [%d%o], %s")                         \
	X(STXW, 0x63, NONE, 0, DSO, STORE_X, STORE, 32, "stxw [%d%o], %s")                         \
	X(STXDW, 0x7b, NONE, 0, DSO, STORE_X, STORE, 64, "stxdw [%d%o], %s")                       \
	OPVM_ATOMIC_PAIR(X, X, ATOMIC_ADD, 0x00, "atomic_add")                                     \
	OPVM_ATOMIC_PAIR(Y, Y, ATOMIC_OR, 0x40, "atomic_or")                                       \
	OPVM_ATOMIC_PAIR(Y, Y, ATOMIC_AND, 0x50, "atomic_and")                                     \
	OPVM_ATOMIC_PAIR(Y, Y, ATOMIC_XOR, 0xa0, "atomic_xor")                                     \
	OPVM_ATOMIC_PAIR(Y, Y, FETCH_ADD, 0x01, "fetch_add")                                       \
	OPVM_ATOMIC_PAIR(Y, Y, FETCH_OR, 0x41, "fetch_or")                                         \
	OPVM_ATOMIC_PAIR(Y, Y, FETCH_AND, 0x51, "fetch_and")                                       \
	OPVM_ATOMIC_PAIR(Y, Y, FETCH_XOR, 0xa1, "fetch_xor")                                       \
	OPVM_ATOMIC_PAIR(Y, Y, XCHG, 0xe1, "xchg")                                                 \
	OPVM_ATOMIC_PAIR(Y, Y, CMPXCHG, 0xf1, "cmpxchg")

#endif
