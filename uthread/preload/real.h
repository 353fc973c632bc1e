/* SPDX-License-Identifier: MIT */
/*
 * The functions that this library takes the place of, and that it and what is linked into it still
 * need: real.NAME is the C library's. The list is one of X(result, name, parameters).
 */
#ifndef UTHREAD_PRELOAD_REAL_H
#define UTHREAD_PRELOAD_REAL_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef void *start_fn(void *);
typedef struct msghdr msghdr;

#define PRELOAD_REAL(X)                                                                          \
	X(int, pthread_create, (pthread_t *, const pthread_attr_t *, start_fn *, void *))        \
	X(int, pthread_join, (pthread_t, void **))                                               \
	X(int, pthread_clockjoin_np, (pthread_t, void **, clockid_t, const struct timespec *))   \
	X(int, pthread_tryjoin_np, (pthread_t, void **))                                         \
	X(int, pthread_detach, (pthread_t))                                                      \
	X(void, pthread_exit, (void *))                                                          \
	X(pthread_t, pthread_self, (void))                                                       \
	X(int, pthread_cancel, (pthread_t))                                                      \
	X(int, pthread_setcancelstate, (int, int *))                                             \
	X(int, pthread_setcanceltype, (int, int *))                                              \
	X(void, pthread_testcancel, (void))                                                      \
	X(int, pthread_key_create, (pthread_key_t *, void (*)(void *)))                          \
	X(int, pthread_key_delete, (pthread_key_t))                                              \
	X(void *, pthread_getspecific, (pthread_key_t))                                          \
	X(int, pthread_setspecific, (pthread_key_t, const void *))                               \
	X(int, pthread_once, (pthread_once_t *, void (*)(void)))                                 \
	X(int, pthread_kill, (pthread_t, int))                                                   \
	X(int, pthread_sigmask, (int, const sigset_t *, sigset_t *))                             \
	X(int, pthread_setname_np, (pthread_t, const char *))                                    \
	X(int, pthread_getname_np, (pthread_t, char *, size_t))                                  \
	X(int, pthread_setaffinity_np, (pthread_t, size_t, const cpu_set_t *))                   \
	X(int, pthread_getaffinity_np, (pthread_t, size_t, cpu_set_t *))                         \
	X(int, pthread_setschedparam, (pthread_t, int, const struct sched_param *))              \
	X(int, pthread_getschedparam, (pthread_t, int *, struct sched_param *))                  \
	X(int, pthread_setschedprio, (pthread_t, int))                                           \
	X(int, pthread_getattr_np, (pthread_t, pthread_attr_t *))                                \
	X(int, pthread_getcpuclockid, (pthread_t, clockid_t *))                                  \
	X(int, pthread_mutex_init, (pthread_mutex_t *, const pthread_mutexattr_t *))             \
	X(int, pthread_mutex_destroy, (pthread_mutex_t *))                                       \
	X(int, pthread_mutex_lock, (pthread_mutex_t *))                                          \
	X(int, pthread_mutex_trylock, (pthread_mutex_t *))                                       \
	X(int, pthread_mutex_clocklock, (pthread_mutex_t *, clockid_t, const struct timespec *)) \
	X(int, pthread_mutex_unlock, (pthread_mutex_t *))                                        \
	X(int, pthread_cond_init, (pthread_cond_t *, const pthread_condattr_t *))                \
	X(int, pthread_cond_destroy, (pthread_cond_t *))                                         \
	X(int, pthread_cond_wait, (pthread_cond_t *, pthread_mutex_t *))                         \
	X(int, pthread_cond_timedwait,                                                           \
	  (pthread_cond_t *, pthread_mutex_t *, const struct timespec *))                        \
	X(int, pthread_cond_clockwait,                                                           \
	  (pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *))             \
	X(int, pthread_cond_signal, (pthread_cond_t *))                                          \
	X(int, pthread_cond_broadcast, (pthread_cond_t *))                                       \
	X(int, pthread_rwlock_init, (pthread_rwlock_t *, const pthread_rwlockattr_t *))          \
	X(int, pthread_rwlock_destroy, (pthread_rwlock_t *))                                     \
	X(int, pthread_rwlock_rdlock, (pthread_rwlock_t *))                                      \
	X(int, pthread_rwlock_wrlock, (pthread_rwlock_t *))                                      \
	X(int, pthread_rwlock_tryrdlock, (pthread_rwlock_t *))                                   \
	X(int, pthread_rwlock_trywrlock, (pthread_rwlock_t *))                                   \
	X(int, pthread_rwlock_clockrdlock,                                                       \
	  (pthread_rwlock_t *, clockid_t, const struct timespec *))                              \
	X(int, pthread_rwlock_clockwrlock,                                                       \
	  (pthread_rwlock_t *, clockid_t, const struct timespec *))                              \
	X(int, pthread_rwlock_unlock, (pthread_rwlock_t *))                                      \
	X(int, pthread_barrier_init,                                                             \
	  (pthread_barrier_t *, const pthread_barrierattr_t *, unsigned))                        \
	X(int, pthread_barrier_destroy, (pthread_barrier_t *))                                   \
	X(int, pthread_barrier_wait, (pthread_barrier_t *))                                      \
	X(int, sem_init, (sem_t *, int, unsigned))                                               \
	X(int, sem_destroy, (sem_t *))                                                           \
	X(int, sem_wait, (sem_t *))                                                              \
	X(int, sem_trywait, (sem_t *))                                                           \
	X(int, sem_clockwait, (sem_t *, clockid_t, const struct timespec *))                     \
	X(int, sem_post, (sem_t *))                                                              \
	X(int, sem_getvalue, (sem_t *, int *))                                                   \
	X(int, sched_yield, (void))                                                              \
	X(pid_t, fork, (void))                                                                   \
	X(int, sigaction, (int, const struct sigaction *, struct sigaction *))                   \
	X(ssize_t, read, (int, void *, size_t))                                                  \
	X(ssize_t, write, (int, const void *, size_t))                                           \
	X(ssize_t, readv, (int, const struct iovec *, int))                                      \
	X(ssize_t, writev, (int, const struct iovec *, int))                                     \
	X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))         \
	X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t)) \
	X(ssize_t, recvmsg, (int, struct msghdr *, int))                                         \
	X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                   \
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int))                              \
	X(int, connect, (int, const struct sockaddr *, socklen_t))                               \
	X(int, poll, (struct pollfd *, nfds_t, int))                                             \
	X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))      \
	X(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                    \
	X(int, pselect,                                                                          \
	  (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))        \
	X(int, epoll_wait, (int, struct epoll_event *, int, int))                                \
	X(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))             \
	X(int, clock_nanosleep, (clockid_t, int, const struct timespec *, struct timespec *))    \
	X(pid_t, wait4, (pid_t, int *, int, struct rusage *))                                    \
	X(int, waitid, (idtype_t, id_t, siginfo_t *, int))                                       \
	X(int, close, (int))                                                                     \
	X(int, flock, (int, int))                                                                \
	X(int, pause, (void))                                                                    \
	X(int, sigtimedwait, (const sigset_t *, siginfo_t *, const struct timespec *))           \
	X(int, sigsuspend, (const sigset_t *))

struct real_calls {
#define X(result, name, parameters) result(*name) parameters;
	PRELOAD_REAL(X)
#undef X
};

extern struct real_calls real_functions;
extern bool real_found;

void real_find(void);

/** Constructors of other libraries, and allocators, may be earlier than ours. */
static inline struct real_calls *real_table(void)
{
	if (__builtin_expect(!real_found, 0))
		real_find();
	return &real_functions;
}

#define real (*real_table())

#endif
