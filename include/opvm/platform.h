/* SPDX-License-Identifier: MIT */
/*
 * Where opvm's public header takes types and errno values from: the seam between programs and the
 * Linux kernel.
 */
#ifndef OPVM_PLATFORM_H
#define OPVM_PLATFORM_H

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/stddef.h>
#include <linux/types.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

#endif
