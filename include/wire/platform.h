/* SPDX-License-Identifier: MIT */
/*
 * Where types, errno values and memcpy() come from: the one seam between programs and the Linux
 * kernel.
 */
#ifndef WIRE_PLATFORM_H
#define WIRE_PLATFORM_H

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/types.h>
#ifndef UINT64_C
#define UINT8_C(value)  value
#define UINT16_C(value) value
#define UINT32_C(value) value##U
#define UINT64_C(value) value##ULL
#endif
#ifndef UINT64_MAX
#define UINT64_MAX UINT64_C(0xffffffffffffffff)
#endif
#ifndef UINT32_MAX
#define UINT32_MAX UINT32_C(0xffffffff)
#define INT32_MAX  0x7fffffff
#define INT64_MAX  0x7fffffffffffffffLL
#endif
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#endif

#ifdef __cplusplus
#define WIRE_STATIC_ASSERT static_assert
#else
#define WIRE_STATIC_ASSERT _Static_assert
#endif

#endif
