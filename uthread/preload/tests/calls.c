/* SPDX-License-Identifier: MIT */
/*
 * A program of POSIX and C11 threads that calls what the preload takes the place of, and says what
 * came of it. It knows nothing of uthread: its output has to be the same with and without.
 *
 * usage: calls [NAME...]: all, or those of these names
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			printf("line %d: %s, errno %d\n", __LINE__, #condition, errno); \
			fflush(stdout);                                                 \
			_exit(1);                                                       \
		}                                                                       \
	} while (0)
#define PAIR(thread, start, argument) CHECK(pthread_create(&(thread), NULL, start, argument) == 0)

static void pause_ms(long ms)
{
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

static struct timespec soon(clockid_t clock, long ms)
{
	struct timespec time;

	clock_gettime(clock, &time);
	time.tv_nsec += ms * 1000000;
	time.tv_sec += time.tv_nsec / 1000000000;
	time.tv_nsec %= 1000000000;
	return time;
}

static void *return_argument(void *argument)
{
	return argument;
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *exit_with(void *argument)
{
	pthread_exit(argument);
}

static void *sleep_long(void *argument)
{
	pause_ms(20000);
	return argument;
}

static void *sleep_shortly(void *argument)
{
	pause_ms(30);
	return argument;
}

static void test_create_join(void)
{
	struct timespec when = soon(CLOCK_REALTIME, 10);
	pthread_attr_t attr;
	pthread_t thread;
	void *result;
	char name[16];

	PAIR(thread, exit_with, (void *)7);
	CHECK(pthread_join(thread, &result) == 0 && result == (void *)7);
	PAIR(thread, sleep_shortly, (void *)8);
	CHECK(pthread_tryjoin_np(thread, &result) == EBUSY);
	CHECK(pthread_timedjoin_np(thread, &result, &when) == ETIMEDOUT);
	CHECK(pthread_setname_np(thread, "sleeper") == 0);
	CHECK(pthread_getname_np(thread, name, sizeof(name)) == 0 && strcmp(name, "sleeper") == 0);
	CHECK(pthread_kill(thread, 0) == 0);
	CHECK(pthread_join(thread, &result) == 0 && result == (void *)8);
	CHECK(pthread_join(pthread_self(), NULL) == EDEADLK);
	CHECK(pthread_equal(pthread_self(), pthread_self()));
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	CHECK(pthread_create(&thread, &attr, return_argument, NULL) == 0);
	PAIR(thread, return_argument, NULL);
	CHECK(pthread_detach(thread) == 0);
	pause_ms(5);
}

/* ---- cancellation, clean-up, keys ---------------------------------------------------------------
 */

static unsigned order[8], steps;

static void note(void *number)
{
	order[steps++] = (unsigned)(uintptr_t)number;
}

static void *clean_up(void *unused)
{
	pthread_cleanup_push(note, (void *)1);
	pthread_cleanup_push(note, (void *)2);
	pause_ms(20000);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return unused;
}

static int ends[2];

static void *read_for_ever(void *unused)
{
	char byte;

	pthread_cleanup_push(note, (void *)3);
	CHECK(read(ends[0], &byte, 1) == 1);
	pthread_cleanup_pop(0);
	return unused;
}

static bool cancelled;

static void *hold_out(void *argument)
{
	int old;

	CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old) == 0);
	CHECK(old == PTHREAD_CANCEL_ENABLE);
	while (!__atomic_load_n(&cancelled, __ATOMIC_ACQUIRE))
		pause_ms(1);
	CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old) == 0);
	pthread_testcancel();
	return argument;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void unlock(void *locked)
{
	CHECK(pthread_mutex_unlock(locked) == 0);
	note((void *)4);
}

static void *wait_for_ever(void *unused)
{
	CHECK(pthread_mutex_lock(&mutex) == 0);
	pthread_cleanup_push(unlock, &mutex);
	for (;;)
		pthread_cond_wait(&cond, &mutex);
	pthread_cleanup_pop(0);
	return unused;
}

static void cancel(void *(*start)(void *))
{
	pthread_t thread;
	void *result;

	cancelled = false;
	PAIR(thread, start, NULL);
	pause_ms(5);
	CHECK(pthread_cancel(thread) == 0);
	__atomic_store_n(&cancelled, true, __ATOMIC_RELEASE);
	CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
}

static void test_cancel(void)
{
	CHECK(pipe(ends) == 0);
	steps = 0;
	cancel(sleep_long);
	cancel(clean_up);
	cancel(read_for_ever);
	cancel(hold_out);
	cancel(wait_for_ever);
	CHECK(steps == 4 && order[0] == 2 && order[1] == 1 && order[2] == 3 && order[3] == 4);
	CHECK(pthread_mutex_trylock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
	close(ends[0]);
	close(ends[1]);
}

static pthread_key_t key;

static void *have_value(void *unused)
{
	CHECK(pthread_getspecific(key) == NULL);
	CHECK(pthread_setspecific(key, (void *)5) == 0);
	pause_ms(2);
	CHECK(pthread_getspecific(key) == (void *)5);
	return unused;
}

static void test_keys(void)
{
	pthread_t threads[4];

	steps = 0;
	CHECK(pthread_key_create(&key, note) == 0);
	CHECK(pthread_setspecific(key, (void *)6) == 0);
	for (unsigned i = 0; i < 4; i++)
		PAIR(threads[i], have_value, NULL);
	for (unsigned i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(pthread_getspecific(key) == (void *)6);
	CHECK(steps == 4 && order[3] == 5);
	CHECK(pthread_key_delete(key) == 0);
}

static void *set_errno(void *number)
{
	errno = (int)(intptr_t)number;
	pause_ms(3);
	CHECK(errno == (int)(intptr_t)number);
	return NULL;
}

static void test_errno(void)
{
	pthread_t threads[2];

	PAIR(threads[0], set_errno, (void *)11);
	PAIR(threads[1], set_errno, (void *)12);
	CHECK(pthread_join(threads[0], NULL) == 0 && pthread_join(threads[1], NULL) == 0);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static unsigned onces;

static void count_once(void)
{
	pause_ms(3);
	onces++;
}

static void *call_it_once(void *unused)
{
	CHECK(pthread_once(&once, count_once) == 0 && onces == 1);
	return unused;
}

static void test_once(void)
{
	pthread_t threads[3];

	for (unsigned i = 0; i < 3; i++)
		PAIR(threads[i], call_it_once, NULL);
	for (unsigned i = 0; i < 3; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

/* ---- locks --------------------------------------------------------------------------------------
 */

static unsigned long counter;

static void *count_locked(void *lock)
{
	for (unsigned i = 0; i < 100; i++) {
		unsigned long seen;

		CHECK(pthread_mutex_lock(lock) == 0);
		seen = counter;
		if (i % 10 == 0)
			sched_yield();
		counter = seen + 1;
		CHECK(pthread_mutex_unlock(lock) == 0);
	}
	return NULL;
}

static void *time_out(void *lock)
{
	struct timespec when = soon(CLOCK_REALTIME, 5);

	CHECK(pthread_mutex_trylock(lock) == EBUSY);
	CHECK(pthread_mutex_timedlock(lock, &when) == ETIMEDOUT);
	when = soon(CLOCK_MONOTONIC, 5);
	CHECK(pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &when) == ETIMEDOUT);
	return NULL;
}

static void test_kind(int kind)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t lock;
	pthread_t threads[4];

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, kind);
	CHECK(pthread_mutex_init(&lock, &attr) == 0);
	counter = 0;
	for (unsigned i = 0; i < 4; i++)
		PAIR(threads[i], count_locked, &lock);
	for (unsigned i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(counter == 400);
	CHECK(pthread_mutex_lock(&lock) == 0);
	if (kind == PTHREAD_MUTEX_RECURSIVE)
		CHECK(pthread_mutex_lock(&lock) == 0 && pthread_mutex_unlock(&lock) == 0);
	if (kind == PTHREAD_MUTEX_ERRORCHECK)
		CHECK(pthread_mutex_lock(&lock) == EDEADLK);
	PAIR(threads[0], time_out, &lock);
	CHECK(pthread_join(threads[0], NULL) == 0);
	CHECK(pthread_mutex_unlock(&lock) == 0);
	CHECK(pthread_mutex_destroy(&lock) == 0);
}

static void test_mutex(void)
{
	static pthread_mutex_t again = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

	test_kind(PTHREAD_MUTEX_NORMAL);
	test_kind(PTHREAD_MUTEX_RECURSIVE);
	test_kind(PTHREAD_MUTEX_ERRORCHECK);
	test_kind(PTHREAD_MUTEX_ADAPTIVE_NP);
	CHECK(pthread_mutex_lock(&again) == 0 && pthread_mutex_lock(&again) == 0);
	CHECK(pthread_mutex_unlock(&again) == 0 && pthread_mutex_unlock(&again) == 0);
}

static void *die_with_lock(void *lock)
{
	CHECK(pthread_mutex_lock(lock) == 0);
	_exit(0);
}

/** A mutex in memory that a child shares, which dies with it. */
static void test_robust(void)
{
	pthread_mutex_t *const lock =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attr;
	int status;
	pid_t child;

	CHECK(lock != MAP_FAILED);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	CHECK(pthread_mutex_init(lock, &attr) == 0);
	fflush(stdout);
	child = fork();
	if (child == 0)
		die_with_lock(lock);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	CHECK(pthread_mutex_lock(lock) == EOWNERDEAD);
	CHECK(pthread_mutex_consistent(lock) == 0 && pthread_mutex_unlock(lock) == 0);
	munmap(lock, 4096);
}

static bool flag;

static void *raise_flag(void *unused)
{
	pause_ms(3);
	CHECK(pthread_mutex_lock(&mutex) == 0);
	flag = true;
	CHECK(pthread_cond_broadcast(&cond) == 0);
	CHECK(pthread_mutex_unlock(&mutex) == 0);
	return unused;
}

static void test_cond(void)
{
	pthread_condattr_t attr;
	pthread_cond_t monotonic;
	struct timespec when;
	pthread_t thread;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	CHECK(pthread_cond_init(&monotonic, &attr) == 0);
	CHECK(pthread_mutex_lock(&mutex) == 0);
	when = soon(CLOCK_MONOTONIC, 5);
	CHECK(pthread_cond_timedwait(&monotonic, &mutex, &when) == ETIMEDOUT);
	when = soon(CLOCK_REALTIME, 5);
	CHECK(pthread_cond_timedwait(&cond, &mutex, &when) == ETIMEDOUT);
	when = soon(CLOCK_MONOTONIC, 5);
	CHECK(pthread_cond_clockwait(&cond, &mutex, CLOCK_MONOTONIC, &when) == ETIMEDOUT);
	flag = false;
	PAIR(thread, raise_flag, NULL);
	while (!flag)
		CHECK(pthread_cond_wait(&cond, &mutex) == 0);
	CHECK(pthread_mutex_unlock(&mutex) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(pthread_cond_signal(&monotonic) == 0 && pthread_cond_destroy(&monotonic) == 0);
}

static void *try_rwlock(void *lock)
{
	struct timespec when = soon(CLOCK_REALTIME, 5);

	CHECK(pthread_rwlock_tryrdlock(lock) == EBUSY);
	CHECK(pthread_rwlock_trywrlock(lock) == EBUSY);
	CHECK(pthread_rwlock_timedrdlock(lock, &when) == ETIMEDOUT);
	CHECK(pthread_rwlock_timedwrlock(lock, &when) == ETIMEDOUT);
	CHECK(pthread_rwlock_clockrdlock(lock, CLOCK_REALTIME, &when) == ETIMEDOUT);
	CHECK(pthread_rwlock_clockwrlock(lock, CLOCK_REALTIME, &when) == ETIMEDOUT);
	return NULL;
}

static void test_rwlock(void)
{
	static pthread_rwlock_t fixed = PTHREAD_RWLOCK_INITIALIZER;
	pthread_rwlock_t lock;
	pthread_t thread;

	CHECK(pthread_rwlock_init(&lock, NULL) == 0);
	CHECK(pthread_rwlock_rdlock(&lock) == 0 && pthread_rwlock_rdlock(&lock) == 0);
	CHECK(pthread_rwlock_unlock(&lock) == 0 && pthread_rwlock_unlock(&lock) == 0);
	CHECK(pthread_rwlock_wrlock(&lock) == 0);
	PAIR(thread, try_rwlock, &lock);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(pthread_rwlock_unlock(&lock) == 0 && pthread_rwlock_destroy(&lock) == 0);
	CHECK(pthread_rwlock_wrlock(&fixed) == 0 && pthread_rwlock_unlock(&fixed) == 0);
}

static pthread_barrier_t barrier;
static pthread_spinlock_t spin;

static void *meet(void *unused)
{
	const int result = pthread_barrier_wait(&barrier);

	CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
	CHECK(pthread_spin_lock(&spin) == 0);
	counter += result == PTHREAD_BARRIER_SERIAL_THREAD;
	sched_yield();
	CHECK(pthread_spin_unlock(&spin) == 0);
	return unused;
}

static void test_barrier_and_spin(void)
{
	pthread_t threads[4];

	counter = 0;
	CHECK(pthread_barrier_init(&barrier, NULL, 4) == 0);
	CHECK(pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE) == 0);
	for (unsigned i = 0; i < 4; i++)
		PAIR(threads[i], meet, NULL);
	for (unsigned i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(counter == 1);
	CHECK(pthread_barrier_destroy(&barrier) == 0 && pthread_spin_destroy(&spin) == 0);
}

static sem_t sem;

static void *post(void *unused)
{
	pause_ms(3);
	CHECK(sem_post(&sem) == 0);
	return unused;
}

static void post_in_handler(int number)
{
	(void)number;
	sem_post(&sem);
}

static void test_sem(void)
{
	struct timespec when = soon(CLOCK_REALTIME, 5);
	pthread_t thread;
	int value;

	CHECK(sem_init(&sem, 0, 1) == 0);
	CHECK(sem_wait(&sem) == 0);
	CHECK(sem_trywait(&sem) == -1 && errno == EAGAIN);
	CHECK(sem_timedwait(&sem, &when) == -1 && errno == ETIMEDOUT);
	CHECK(sem_clockwait(&sem, CLOCK_REALTIME, &when) == -1 && errno == ETIMEDOUT);
	PAIR(thread, post, NULL);
	CHECK(sem_wait(&sem) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(signal(SIGUSR2, post_in_handler) != SIG_ERR);
	raise(SIGUSR2);
	while (sem_wait(&sem) != 0)
		CHECK(errno == EINTR);
	CHECK(sem_getvalue(&sem, &value) == 0 && value == 0);
	CHECK(sem_destroy(&sem) == 0);
}

/* ---- C11
 * ------------------------------------------------------------------------------------------ */

static mtx_t plain;
static cnd_t changed;
static once_flag only_once = ONCE_FLAG_INIT;
static tss_t tss;

static int c11_thread(void *argument)
{
	CHECK(tss_set(tss, argument) == thrd_success && tss_get(tss) == argument);
	CHECK(mtx_lock(&plain) == thrd_success);
	flag = true;
	CHECK(cnd_signal(&changed) == thrd_success && cnd_broadcast(&changed) == thrd_success);
	CHECK(mtx_unlock(&plain) == thrd_success);
	thrd_yield();
	thrd_exit(9);
}

static void test_c11(void)
{
	const struct timespec moment = {.tv_nsec = 1000000};
	struct timespec when = soon(CLOCK_REALTIME, 5);
	thrd_t thread;
	int result;

	onces = 0;
	call_once(&only_once, count_once);
	call_once(&only_once, count_once);
	CHECK(onces == 1);
	CHECK(tss_create(&tss, NULL) == thrd_success);
	CHECK(mtx_init(&plain, mtx_timed | mtx_recursive) == thrd_success);
	CHECK(cnd_init(&changed) == thrd_success);
	CHECK(mtx_lock(&plain) == thrd_success);
	CHECK(mtx_trylock(&plain) == thrd_success && mtx_unlock(&plain) == thrd_success);
	CHECK(mtx_timedlock(&plain, &when) == thrd_success && mtx_unlock(&plain) == thrd_success);
	CHECK(cnd_timedwait(&changed, &plain, &when) == thrd_timedout);
	flag = false;
	CHECK(thrd_create(&thread, c11_thread, &tss) == thrd_success);
	while (!flag)
		CHECK(cnd_wait(&changed, &plain) == thrd_success);
	CHECK(mtx_unlock(&plain) == thrd_success);
	CHECK(thrd_join(thread, &result) == thrd_success && result == 9);
	CHECK(thrd_sleep(&moment, NULL) == 0 && thrd_equal(thrd_current(), thrd_current()));
	mtx_destroy(&plain);
	cnd_destroy(&changed);
	tss_delete(tss);
}

/* ---- calls that wait
 * -------------------------------------------------------------------------------- */

static int sockets[2];
static unsigned beats;
static bool beating;

/** Runs beside a call that waits, and shows that others can. */
static void *beat(void *unused)
{
	while (__atomic_load_n(&beating, __ATOMIC_RELAXED)) {
		beats++;
		pause_ms(1);
	}
	return unused;
}

static void *send_late(void *text)
{
	pause_ms(20);
	CHECK(write(sockets[1], text, strlen(text)) == (ssize_t)strlen(text));
	return NULL;
}

static pthread_t late, beater;

static void begin_waiting(const char *text)
{
	beats = 0;
	beating = true;
	PAIR(beater, beat, NULL);
	PAIR(late, send_late, (void *)(uintptr_t)text);
}

static void end_waiting(void)
{
	CHECK(pthread_join(late, NULL) == 0);
	__atomic_store_n(&beating, false, __ATOMIC_RELAXED);
	CHECK(pthread_join(beater, NULL) == 0);
	CHECK(beats > 0);
}

static void drain(void)
{
	char text[16];

	CHECK(recv(sockets[0], text, sizeof(text), MSG_DONTWAIT) > 0);
}

static void test_reads(void)
{
	char text[16];
	struct iovec part = {text, sizeof(text)};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	const struct timeval timeout = {.tv_usec = 10000};

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
	begin_waiting("read");
	CHECK(read(sockets[0], text, sizeof(text)) == 4);
	end_waiting();
	begin_waiting("readv");
	CHECK(readv(sockets[0], &part, 1) == 5);
	end_waiting();
	begin_waiting("recv");
	CHECK(recv(sockets[0], text, sizeof(text), 0) == 4);
	end_waiting();
	begin_waiting("recvfrom");
	CHECK(recvfrom(sockets[0], text, sizeof(text), 0, NULL, NULL) == 8);
	end_waiting();
	begin_waiting("recvmsg");
	CHECK(recvmsg(sockets[0], &header, 0) == 7);
	end_waiting();
	CHECK(setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0);
	PAIR(late, sleep_shortly, NULL);
	CHECK(recv(sockets[0], text, sizeof(text), 0) == -1 && errno == EAGAIN);
	CHECK(pthread_join(late, NULL) == 0);
	CHECK(send(sockets[1], "a", 1, 0) == 1 && sendto(sockets[1], "b", 1, 0, NULL, 0) == 1);
	part.iov_len = 1;
	CHECK(sendmsg(sockets[1], &header, 0) == 1 && writev(sockets[1], &part, 1) == 1);
	CHECK(recv(sockets[0], text, sizeof(text), 0) == 4);
	close(sockets[0]);
	close(sockets[1]);
	CHECK(read(sockets[0], text, 1) == -1 && errno == EBADF);
}

static void test_sets(void)
{
	const struct timespec second = {.tv_sec = 20};
	struct timeval time = {.tv_sec = 20};
	struct pollfd files[2];
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(0);
	fd_set set;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
	files[0] = files[1] = (struct pollfd){.fd = sockets[0], .events = POLLIN};
	CHECK(poll(files, 1, 3) == 0);
	begin_waiting("poll");
	CHECK(poll(files, 1, 20000) == 1 && files[0].revents == POLLIN);
	end_waiting();
	drain();
	begin_waiting("ppoll");
	CHECK(ppoll(files, 2, &second, NULL) == 2);
	end_waiting();
	drain();
	FD_ZERO(&set);
	FD_SET(sockets[0], &set);
	begin_waiting("select");
	CHECK(select(sockets[0] + 1, &set, NULL, NULL, &time) == 1 && FD_ISSET(sockets[0], &set));
	end_waiting();
	drain();
	begin_waiting("pselect");
	CHECK(pselect(sockets[0] + 1, &set, NULL, NULL, NULL, NULL) == 1);
	end_waiting();
	drain();
	CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[0], &event) == 0);
	begin_waiting("epoll");
	CHECK(epoll_wait(epoll, &event, 1, 20000) == 1);
	end_waiting();
	drain();
	CHECK(epoll_wait(epoll, &event, 1, 3) == 0);
	close(epoll);
	close(sockets[0]);
	close(sockets[1]);
}

static void *turn_off(void *on)
{
	pause_ms(5);
	CHECK(recv(sockets[1], &on, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	__atomic_store_n(&beating, false, __ATOMIC_RELAXED);
	return NULL;
}

/** A loop that finds something each time, until another thread ends it. */
static void test_busy_loop(void)
{
	struct epoll_event event = {.events = EPOLLOUT};
	const int epoll = epoll_create1(0);
	struct pollfd file = {.events = POLLOUT};
	pthread_t thread;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
	CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[0], &event) == 0);
	file.fd = sockets[0];
	for (unsigned i = 0; i < 2; i++) {
		beating = true;
		PAIR(thread, turn_off, NULL);
		while (__atomic_load_n(&beating, __ATOMIC_RELAXED))
			CHECK((i == 0 ? epoll_wait(epoll, &event, 1, 1000) : poll(&file, 1, 0)) ==
			      1);
		CHECK(pthread_join(thread, NULL) == 0);
	}
	close(epoll);
	close(sockets[0]);
	close(sockets[1]);
}

static void *connect_late(void *address)
{
	const int file = socket(AF_INET, SOCK_STREAM, 0);

	pause_ms(20);
	CHECK(connect(file, address, sizeof(struct sockaddr_in)) == 0);
	close(file);
	return NULL;
}

static void test_accept(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	const int file = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;

	CHECK(bind(file, (struct sockaddr *)&address, length) == 0 && listen(file, 5) == 0);
	CHECK(getsockname(file, (struct sockaddr *)&address, &length) == 0);
	for (unsigned i = 0; i < 2; i++) {
		struct sockaddr_in peer;
		socklen_t peer_length = sizeof(peer);
		int accepted;

		PAIR(thread, connect_late, &address);
		accepted = i == 0 ? accept(file, (struct sockaddr *)&peer, &peer_length)
				  : accept4(file, NULL, NULL, SOCK_CLOEXEC);
		CHECK(accepted >= 0 && (i != 0 || peer.sin_family == AF_INET));
		close(accepted);
		CHECK(pthread_join(thread, NULL) == 0);
	}
	/* What must not wait does not, though another thread is there. */
	PAIR(thread, sleep_shortly, NULL);
	CHECK(fcntl(file, F_SETFL, O_NONBLOCK) == 0);
	CHECK(accept(file, NULL, NULL) == -1 && errno == EAGAIN);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets) == 0);
	CHECK(read(sockets[0], &address, 1) == -1 && errno == EAGAIN);
	CHECK(recv(sockets[0], &address, 1, 0) == -1 && errno == EAGAIN);
	CHECK(pthread_join(thread, NULL) == 0);
	close(sockets[0]);
	close(sockets[1]);
	close(file);
}

static void test_time(void)
{
	struct timespec when = soon(CLOCK_MONOTONIC, 10);
	struct timespec after;
	pthread_t thread;

	PAIR(thread, sleep_shortly, NULL);
	CHECK(usleep(1000) == 0);
	CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	CHECK(after.tv_sec > when.tv_sec ||
	      (after.tv_sec == when.tv_sec && after.tv_nsec >= when.tv_nsec));
	CHECK(sleep(0) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

/* ---- processes and signals
 * ---------------------------------------------------------------------------- */

static void *child_thread(void *unused)
{
	pause_ms(2);
	return unused;
}

static void test_processes(void)
{
	siginfo_t info;
	pthread_t thread;
	int status;
	pid_t child;

	PAIR(thread, sleep_shortly, NULL);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		PAIR(thread, child_thread, NULL);
		CHECK(pthread_join(thread, NULL) == 0);
		_exit(7);
	}
	CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
	child = fork();
	if (child == 0)
		_exit(8);
	CHECK(waitid(P_PID, (id_t)child, &info, WEXITED) == 0 && info.si_status == 8);
	CHECK(wait(&status) == -1 && errno == ECHILD);
	CHECK(pthread_join(thread, NULL) == 0);
}

static volatile sig_atomic_t handled;

static void handle(int number)
{
	handled = number;
}

static void *signal_late(void *number)
{
	pause_ms(10);
	kill(getpid(), (int)(intptr_t)number);
	pause_ms(10);
	return NULL;
}

static void *has_own_mask(void *unused)
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	pause_ms(10);
	CHECK(pthread_sigmask(SIG_BLOCK, NULL, &old) == 0 && sigismember(&old, SIGUSR2));
	return unused;
}

static void test_signals(void)
{
	struct sigaction action = {.sa_handler = handle}, old;
	pthread_t thread;
	sigset_t set;
	int number;

	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == handle);
	PAIR(thread, has_own_mask, NULL);
	pause_ms(3);
	CHECK(pthread_sigmask(SIG_BLOCK, NULL, &set) == 0 && !sigismember(&set, SIGUSR2));
	CHECK(pthread_join(thread, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	PAIR(thread, signal_late, (void *)SIGALRM);
	CHECK(sigwait(&set, &number) == 0 && number == SIGALRM);
	CHECK(pthread_join(thread, NULL) == 0);
}

/** Only the main thread is sure to be the one that a signal of the process interrupts. */
static void test_interrupted(void)
{
	struct sigaction action = {.sa_handler = handle};
	pthread_t thread;
	sigset_t set;
	char byte;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(pipe(ends) == 0);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	PAIR(thread, signal_late, (void *)SIGUSR1);
	CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
	CHECK(read(ends[0], &byte, 1) == -1 && errno == EINTR && handled == SIGUSR1);
	CHECK(pthread_join(thread, NULL) == 0);
	close(ends[0]);
	close(ends[1]);
}

/* ---- all
 * ---------------------------------------------------------------------------------------------------
 */

static const struct test {
	const char *name;
	void (*run)(void);
} tests[] = {
	{"create_join", test_create_join},
	{"cancel", test_cancel},
	{"keys", test_keys},
	{"errno", test_errno},
	{"once", test_once},
	{"mutex", test_mutex},
	{"robust", test_robust},
	{"cond", test_cond},
	{"rwlock", test_rwlock},
	{"barrier_and_spin", test_barrier_and_spin},
	{"sem", test_sem},
	{"c11", test_c11},
	{"reads", test_reads},
	{"sets", test_sets},
	{"busy_loop", test_busy_loop},
	{"accept", test_accept},
	{"time", test_time},
	{"processes", test_processes},
	{"signals", test_signals},
	{"interrupted", test_interrupted},
};

static void *outlive_main(void *unused)
{
	pause_ms(20);
	puts("the last thread ends the process");
	return unused;
}

static bool is_wanted(const char *name, int count, char **words)
{
	for (int i = 1; i < count; i++)
		if (strcmp(words[i], name) == 0)
			return true;
	return count < 2;
}

int main(int count, char **words)
{
	pthread_t thread;

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (!is_wanted(tests[i].name, count, words))
			continue;
		tests[i].run();
		printf("%s works\n", tests[i].name);
	}
	PAIR(thread, outlive_main, NULL);
	pthread_exit(NULL);
}
