/* SPDX-License-Identifier: MIT */
/*
 * What the files of the example share.
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

int check_entry(void);

#endif
