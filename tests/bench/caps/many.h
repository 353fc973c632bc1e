/* SPDX-License-Identifier: MIT */
/*
 * The parts of caps' benchmark beside round trips.
 */
#ifndef BENCH_CAPS_MANY_H
#define BENCH_CAPS_MANY_H

double now_us(void);
void stay_on(int cpu);
double median(double *values, unsigned count);

/** 1 MiB through caps and through a socket. */
void compare_payloads(unsigned rounds, unsigned transfers);
/** Memory of each of many clients, and whether they are served alike in @duration_ms. */
void serve_many(unsigned clients, unsigned duration_ms);

#endif
