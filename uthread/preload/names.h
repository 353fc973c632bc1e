/* SPDX-License-Identifier: MIT */
/*
 * Included before uthread, asys and base where they are part of the preload: what they call of the
 * C library is to be the C library's, not what the preload puts in its place. See real.c.
 */
#ifndef UTHREAD_PRELOAD_NAMES_H
#define UTHREAD_PRELOAD_NAMES_H

#define epoll_wait             preload_real_epoll_wait
#define poll                   preload_real_poll
#define pthread_cond_destroy   preload_real_pthread_cond_destroy
#define pthread_cond_init      preload_real_pthread_cond_init
#define pthread_cond_signal    preload_real_pthread_cond_signal
#define pthread_cond_timedwait preload_real_pthread_cond_timedwait
#define pthread_cond_wait      preload_real_pthread_cond_wait
#define pthread_create         preload_real_pthread_create
#define pthread_exit           preload_real_pthread_exit
#define pthread_join           preload_real_pthread_join
#define pthread_key_create     preload_real_pthread_key_create
#define pthread_mutex_destroy  preload_real_pthread_mutex_destroy
#define pthread_mutex_init     preload_real_pthread_mutex_init
#define pthread_mutex_lock     preload_real_pthread_mutex_lock
#define pthread_mutex_unlock   preload_real_pthread_mutex_unlock
#define pthread_once           preload_real_pthread_once
#define pthread_self           preload_real_pthread_self
#define pthread_setspecific    preload_real_pthread_setspecific
#define pthread_sigmask        preload_real_pthread_sigmask
#define read                   preload_real_read
#define sched_yield            preload_real_sched_yield
#define sigaction              preload_real_sigaction
#define signal                 preload_real_signal
#define write                  preload_real_write
#define close                  preload_real_close

#endif
