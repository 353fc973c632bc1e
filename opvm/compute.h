/* SPDX-License-Identifier: MIT */
/*
 * What operations compute and compare: RFC 9669, sections 4.1 to 4.3. Always inlined, and called
 * with constants, so that nothing is left of the switches. Whoever gives semantics to an
 * instruction takes them from here.
 */
#ifndef OPVM_COMPUTE_H
#define OPVM_COMPUTE_H

#include "opvm_internal.h"

#define OPVM_INLINE static inline __attribute__((always_inline))

#define OPVM_IS_LITTLE_ENDIAN (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

OPVM_INLINE uint64_t opvm_divide(unsigned bits, uint64_t a, uint64_t b)
{
	if (bits == 32)
		return (uint32_t)b == 0 ? 0 : (uint32_t)a / (uint32_t)b;
	return b == 0 ? 0 : a / b;
}

OPVM_INLINE uint64_t opvm_remain(unsigned bits, uint64_t a, uint64_t b)
{
	if (bits == 32)
		return (uint32_t)b == 0 ? (uint32_t)a : (uint32_t)a % (uint32_t)b;
	return b == 0 ? a : a % b;
}

OPVM_INLINE uint64_t opvm_divide_signed(unsigned bits, uint64_t a, uint64_t b)
{
	if (bits == 32 && (int32_t)b == -1)
		return 0 - (uint32_t)a;
	if (bits == 32)
		return (uint32_t)b == 0 ? 0 : (uint32_t)((int32_t)a / (int32_t)b);
	if ((int64_t)b == -1)
		return 0 - a;
	return b == 0 ? 0 : (uint64_t)((int64_t)a / (int64_t)b);
}

OPVM_INLINE uint64_t opvm_remain_signed(unsigned bits, uint64_t a, uint64_t b)
{
	if (bits == 32 && (int32_t)b == -1)
		return 0;
	if (bits == 32)
		return (uint32_t)b == 0 ? (uint32_t)a : (uint32_t)((int32_t)a % (int32_t)b);
	if ((int64_t)b == -1)
		return 0;
	return b == 0 ? a : (uint64_t)((int64_t)a % (int64_t)b);
}

OPVM_INLINE uint64_t opvm_swap(enum opvm_do operation, uint64_t a)
{
	switch (operation) {
	case OPVM_DO_LE16:
		return OPVM_IS_LITTLE_ENDIAN ? (uint16_t)a : __builtin_bswap16((uint16_t)a);
	case OPVM_DO_LE32:
		return OPVM_IS_LITTLE_ENDIAN ? (uint32_t)a : __builtin_bswap32((uint32_t)a);
	case OPVM_DO_LE64:
		return OPVM_IS_LITTLE_ENDIAN ? a : __builtin_bswap64(a);
	case OPVM_DO_BE16:
		return OPVM_IS_LITTLE_ENDIAN ? __builtin_bswap16((uint16_t)a) : (uint16_t)a;
	case OPVM_DO_BE32:
		return OPVM_IS_LITTLE_ENDIAN ? __builtin_bswap32((uint32_t)a) : (uint32_t)a;
	case OPVM_DO_BE64:
		return OPVM_IS_LITTLE_ENDIAN ? __builtin_bswap64(a) : a;
	case OPVM_DO_SWAP16:
		return __builtin_bswap16((uint16_t)a);
	case OPVM_DO_SWAP32:
		return __builtin_bswap32((uint32_t)a);
	default:
		return __builtin_bswap64(a);
	}
}

OPVM_INLINE uint64_t opvm_shift(enum opvm_do operation, unsigned bits, uint64_t a, uint64_t b)
{
	const unsigned by = (unsigned)b & (bits - 1);

	if (operation == OPVM_DO_LSH)
		return a << by;
	if (operation == OPVM_DO_RSH)
		return bits == 32 ? (uint32_t)a >> by : a >> by;
	return bits == 32 ? (uint32_t)((int32_t)a >> by) : (uint64_t)((int64_t)a >> by);
}

/** What an ALU operation of @bits makes of dst @a and the operand @b. */
OPVM_INLINE uint64_t opvm_compute_wide(enum opvm_do operation, unsigned bits, uint64_t a,
				       uint64_t b)
{
	switch (operation) {
	case OPVM_DO_ADD:
		return a + b;
	case OPVM_DO_SUB:
		return a - b;
	case OPVM_DO_MUL:
		return a * b;
	case OPVM_DO_DIV:
		return opvm_divide(bits, a, b);
	case OPVM_DO_SDIV:
		return opvm_divide_signed(bits, a, b);
	case OPVM_DO_MOD:
		return opvm_remain(bits, a, b);
	case OPVM_DO_SMOD:
		return opvm_remain_signed(bits, a, b);
	case OPVM_DO_OR:
		return a | b;
	case OPVM_DO_AND:
		return a & b;
	case OPVM_DO_XOR:
		return a ^ b;
	case OPVM_DO_LSH:
	case OPVM_DO_RSH:
	case OPVM_DO_ARSH:
		return opvm_shift(operation, bits, a, b);
	case OPVM_DO_NEG:
		return 0 - a;
	case OPVM_DO_MOV:
		return b;
	case OPVM_DO_MOVSX8:
		return (uint64_t)(int8_t)b;
	case OPVM_DO_MOVSX16:
		return (uint64_t)(int16_t)b;
	case OPVM_DO_MOVSX32:
		return (uint64_t)(int32_t)b;
	default:
		return opvm_swap(operation, a);
	}
}

OPVM_INLINE uint64_t opvm_compute(enum opvm_do operation, unsigned bits, uint64_t a, uint64_t b)
{
	const uint64_t result = opvm_compute_wide(operation, bits, a, b);

	return bits == 32 ? (uint32_t)result : result;
}

/** Whether a condition holds between 64-bit values. */
OPVM_INLINE bool opvm_holds(enum opvm_do operation, uint64_t a, uint64_t b)
{
	switch (operation) {
	case OPVM_DO_JEQ:
		return a == b;
	case OPVM_DO_JNE:
		return a != b;
	case OPVM_DO_JGT:
		return a > b;
	case OPVM_DO_JGE:
		return a >= b;
	case OPVM_DO_JLT:
		return a < b;
	case OPVM_DO_JLE:
		return a <= b;
	case OPVM_DO_JSET:
		return (a & b) != 0;
	case OPVM_DO_JCLEAR:
		return (a & b) == 0;
	case OPVM_DO_JSGT:
		return (int64_t)a > (int64_t)b;
	case OPVM_DO_JSGE:
		return (int64_t)a >= (int64_t)b;
	case OPVM_DO_JSLT:
		return (int64_t)a < (int64_t)b;
	default:
		return (int64_t)a <= (int64_t)b;
	}
}

/** Whether a condition of @bits holds. */
OPVM_INLINE bool opvm_compare(enum opvm_do operation, unsigned bits, uint64_t a, uint64_t b)
{
	if (bits == 32) {
		a = (uint64_t)(int32_t)a;
		b = (uint64_t)(int32_t)b;
	}
	/* Sign-extended words compare as the words do, also without sign. */
	return opvm_holds(operation, a, b);
}

/* Memory of any alignment. */
#define OPVM_DEFINE_MEMORY(bits)                                                                 \
	struct opvm_memory##bits {                                                               \
		uint##bits##_t value;                                                            \
	} __attribute__((packed, may_alias));                                                    \
	OPVM_INLINE uint##bits##_t opvm_load##bits(uint64_t address)                             \
	{                                                                                        \
		return ((const struct opvm_memory##bits *)(uintptr_t)address)->value;            \
	}                                                                                        \
	OPVM_INLINE void opvm_store##bits(uint64_t address, uint64_t value)                      \
	{                                                                                        \
		((struct opvm_memory##bits *)(uintptr_t)address)->value = (uint##bits##_t)value; \
	}
OPVM_DEFINE_MEMORY(8)
OPVM_DEFINE_MEMORY(16)
OPVM_DEFINE_MEMORY(32)
OPVM_DEFINE_MEMORY(64)
#undef OPVM_DEFINE_MEMORY

OPVM_INLINE uint64_t opvm_load(unsigned bits, bool is_signed, uint64_t address)
{
	switch (bits) {
	case 8:
		return is_signed ? (uint64_t)(int8_t)opvm_load8(address) : opvm_load8(address);
	case 16:
		return is_signed ? (uint64_t)(int16_t)opvm_load16(address) : opvm_load16(address);
	case 32:
		return is_signed ? (uint64_t)(int32_t)opvm_load32(address) : opvm_load32(address);
	default:
		return opvm_load64(address);
	}
}

OPVM_INLINE void opvm_store(unsigned bits, uint64_t address, uint64_t value)
{
	switch (bits) {
	case 8:
		opvm_store8(address, value);
		break;
	case 16:
		opvm_store16(address, value);
		break;
	case 32:
		opvm_store32(address, value);
		break;
	default:
		opvm_store64(address, value);
		break;
	}
}

#define OPVM_DEFINE_ATOMIC(bits)                                                                \
	OPVM_INLINE uint64_t opvm_atomic##bits(enum opvm_do operation, uint64_t address,        \
					       uint64_t source, uint64_t expected)              \
	{                                                                                       \
		uint##bits##_t *const at = (uint##bits##_t *)(uintptr_t)address;                \
		const uint##bits##_t operand = (uint##bits##_t)source;                          \
		uint##bits##_t old = (uint##bits##_t)expected;                                  \
                                                                                                \
		switch (operation) {                                                            \
		case OPVM_DO_ATOMIC_ADD:                                                        \
			return __atomic_fetch_add(at, operand, __ATOMIC_RELAXED);               \
		case OPVM_DO_ATOMIC_OR:                                                         \
			return __atomic_fetch_or(at, operand, __ATOMIC_RELAXED);                \
		case OPVM_DO_ATOMIC_AND:                                                        \
			return __atomic_fetch_and(at, operand, __ATOMIC_RELAXED);               \
		case OPVM_DO_ATOMIC_XOR:                                                        \
			return __atomic_fetch_xor(at, operand, __ATOMIC_RELAXED);               \
		case OPVM_DO_FETCH_ADD:                                                         \
			return __atomic_fetch_add(at, operand, __ATOMIC_SEQ_CST);               \
		case OPVM_DO_FETCH_OR:                                                          \
			return __atomic_fetch_or(at, operand, __ATOMIC_SEQ_CST);                \
		case OPVM_DO_FETCH_AND:                                                         \
			return __atomic_fetch_and(at, operand, __ATOMIC_SEQ_CST);               \
		case OPVM_DO_FETCH_XOR:                                                         \
			return __atomic_fetch_xor(at, operand, __ATOMIC_SEQ_CST);               \
		case OPVM_DO_XCHG:                                                              \
			return __atomic_exchange_n(at, operand, __ATOMIC_SEQ_CST);              \
		default:                                                                        \
			__atomic_compare_exchange_n(at, &old, operand, false, __ATOMIC_SEQ_CST, \
						    __ATOMIC_SEQ_CST);                          \
			return old;                                                             \
		}                                                                               \
	}
OPVM_DEFINE_ATOMIC(32)
OPVM_DEFINE_ATOMIC(64)
#undef OPVM_DEFINE_ATOMIC

/** What was at @address before; the others than the fetching ones ignore it. */
OPVM_INLINE uint64_t opvm_atomic(enum opvm_do operation, unsigned bits, uint64_t address,
				 uint64_t source, uint64_t expected)
{
	return bits == 32 ? opvm_atomic32(operation, address, source, expected)
			  : opvm_atomic64(operation, address, source, expected);
}

#endif
