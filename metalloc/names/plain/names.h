/* SPDX-License-Identifier: MIT */
/*
 * Under which names the entry points are linked: in libmetalloc.so, the C library's own.
 */
#ifndef NAMES_H
#define NAMES_H

#define ENTRY(name) name

#endif
