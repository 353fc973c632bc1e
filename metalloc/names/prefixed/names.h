/* SPDX-License-Identifier: MIT */
/*
 * Under which names the entry points are linked: in unit tests, beside the C library's, so that
 * sanitizers keep their own.
 */
#ifndef NAMES_H
#define NAMES_H

#define ENTRY(name) metalloc_##name

#endif
