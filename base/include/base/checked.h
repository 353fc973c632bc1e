/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic that says when it overflowed: each returns true when the result did not fit.
 */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#define base_add_overflows(a, b, result) __builtin_add_overflow((a), (b), (result))
#define base_sub_overflows(a, b, result) __builtin_sub_overflow((a), (b), (result))
#define base_mul_overflows(a, b, result) __builtin_mul_overflow((a), (b), (result))

#endif
