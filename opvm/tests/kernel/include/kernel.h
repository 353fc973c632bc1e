/* SPDX-License-Identifier: MIT */
/*
 * What the tests take from the C library, in a module that runs them within the kernel. Included
 * before everything else.
 */
#ifndef OPVM_TESTS_KERNEL_H
#define OPVM_TESTS_KERNEL_H

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>

#define printf(...)               printk(KERN_ERR __VA_ARGS__)
#define malloc(size_bytes)        kvmalloc(size_bytes, GFP_KERNEL)
#define calloc(count, size_bytes) kvcalloc(count, size_bytes, GFP_KERNEL)
#define free(memory)              kvfree(memory)
#define assert(condition)         BUG_ON(!(condition))

#endif
