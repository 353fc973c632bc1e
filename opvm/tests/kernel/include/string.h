/* SPDX-License-Identifier: MIT */
/*
 * The kernel has what is in there: see kernel.h.
 */
