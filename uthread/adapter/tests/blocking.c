/* SPDX-License-Identifier: MIT */
/*
 * System calls block the thread that makes them, and no other: in every way that argument 1 names,
 * with a ring and without.
 */
#include "uthread/asys.h"
#include "uthread_test.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY   50
#define ROUNDS 40

static int pipes[MANY][2];

/* ---- pipes: each reader waits for a writer -------------------------------------------------- */

static void *read_pipe(void *argument)
{
	const uintptr_t index = (uintptr_t)argument;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t value = 0;

		CHECK_INT(uthread_read(pipes[index][0], &value, sizeof(value)), sizeof(value));
		CHECK_INT(value, index * ROUNDS + i);
	}
	return NULL;
}

static void *write_pipes(void *unused)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		for (unsigned index = 0; index < MANY; index++) {
			const uint32_t value = index * ROUNDS + i;

			CHECK_INT(uthread_write(pipes[index][1], &value, sizeof(value)),
				  sizeof(value));
		}
	return unused;
}

static void *readers_wait_for_writer(void *argument)
{
	uthread_t readers[MANY], writer;

	for (uintptr_t i = 0; i < MANY; i++) {
		CHECK_INT(pipe(pipes[i]), 0);
		CHECK_INT(uthread_create(&readers[i], NULL, read_pipe, (void *)i), 0);
	}
	CHECK_INT(uthread_create(&writer, NULL, write_pipes, NULL), 0);
	CHECK_INT(uthread_join(writer, NULL), 0);
	for (uintptr_t i = 0; i < MANY; i++) {
		CHECK_INT(uthread_join(readers[i], NULL), 0);
		CHECK_INT(uthread_close(pipes[i][0]), 0);
		CHECK_INT(uthread_close(pipes[i][1]), 0);
	}
	return argument;
}

static void test_readers_of_pipes_wait_for_the_writer(void **state)
{
	(void)state;
	test_run(readers_wait_for_writer);
}

/* ---- files, sockets, any number ------------------------------------------------------------- */

static void *files_and_sockets(void *argument)
{
	char path[] = "/tmp/uthread-asys-XXXXXX", text[16] = "";
	int sockets[2];
	int file = mkstemp(path);

	CHECK(file >= 0);
	CHECK_INT(uthread_close(file), 0);
	file = (int)uthread_openat(AT_FDCWD, path, O_RDWR, 0);
	CHECK(file >= 0);
	CHECK_INT(uthread_pwrite(file, "0123456789", 10, 5), 10);
	CHECK_INT(uthread_fsync(file), 0);
	CHECK_INT(uthread_pread(file, text, sizeof(text), 8), 7);
	CHECK(strcmp(text, "3456789") == 0);
	CHECK_INT(uthread_syscall(SYS_ftruncate, (uint64_t)file, 3, 0, 0, 0, 0), 0);
	CHECK_INT(uthread_syscall(SYS_lseek, (uint64_t)file, 0, SEEK_END, 0, 0, 0), 3);
	CHECK_INT(uthread_close(file), 0);
	CHECK_INT(uthread_close(1 << 20), -EBADF);
	CHECK_INT(uthread_openat(AT_FDCWD, "/nonexistent", O_RDONLY, 0), -ENOENT);
	unlink(path);

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	CHECK_INT(uthread_poll(sockets[0], POLLIN, uthread_deadline(3)), -ETIMEDOUT);
	CHECK_INT(uthread_send(sockets[1], "ping", 4, 0), 4);
	CHECK_INT(uthread_poll(sockets[0], POLLIN, UTHREAD_NEVER), POLLIN);
	CHECK_INT(uthread_recv(sockets[0], text, sizeof(text), 0), 4);
	CHECK_INT(uthread_close(sockets[0]), 0);
	CHECK_INT(uthread_close(sockets[1]), 0);
	return argument;
}

static void test_files_sockets_and_any_system_call(void **state)
{
	(void)state;
	test_run(files_and_sockets);
}

/* ---- a child process that is waited for ----------------------------------------------------- */

static unsigned long turns;
static bool done;

static void *count_turns(void *unused)
{
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		turns++;
		uthread_yield();
	}
	return unused;
}

static void *wait_for_child(void *argument)
{
	uthread_t thread;
	int status = 0;
	pid_t child;

	turns = 0;
	done = false;
	child = fork();
	if (child == 0) {
		usleep(20000);
		_exit(7);
	}
	CHECK_INT(uthread_create(&thread, NULL, count_turns, NULL), 0);
	CHECK_INT(uthread_syscall(SYS_wait4, (uint64_t)child, (uintptr_t)&status, 0, 0, 0, 0),
		  child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	CHECK_INT(uthread_join(thread, NULL), 0);
	CHECK(turns > 10);
	return argument;
}

static void test_others_run_while_one_waits_for_a_process(void **state)
{
	(void)state;
	test_run(wait_for_child);
}

/* ---- cancellation, time --------------------------------------------------------------------- */

static void *read_for_ever(void *argument)
{
	char byte;

	uthread_read(*(int *)argument, &byte, 1);
	CHECK(argument == NULL);
	return NULL;
}

static uthread_sem_t told;

static void *read_until_told(void *argument)
{
	char byte;

	CHECK_INT(uthread_setcanceltype(UTHREAD_CANCEL_RETURNS, NULL), 0);
	CHECK_INT(uthread_read(*(int *)argument, &byte, 1), -ECANCELED);
	CHECK_INT(uthread_sem_post(&told), 0);
	/* The descriptor and the thread are as good as before. */
	CHECK_INT(uthread_read(*(int *)argument, &byte, 1), 1);
	return NULL;
}

static void *cancelling(void *argument)
{
	uthread_t thread;
	void *result;

	CHECK_INT(uthread_sem_init(&told, 0), 0);
	CHECK_INT(pipe(pipes[0]), 0);
	CHECK_INT(uthread_create(&thread, NULL, read_for_ever, &pipes[0][0]), 0);
	CHECK_INT(uthread_sleep_ms(3), 0);
	CHECK_INT(uthread_cancel(thread), 0);
	CHECK_INT(uthread_join(thread, &result), 0);
	CHECK(result == UTHREAD_CANCELED);
	CHECK_INT(uthread_create(&thread, NULL, read_until_told, &pipes[0][0]), 0);
	CHECK_INT(uthread_sleep_ms(3), 0);
	CHECK_INT(uthread_cancel(thread), 0);
	CHECK_INT(uthread_sem_wait(&told), 0);
	CHECK_INT(uthread_write(pipes[0][1], "x", 1), 1);
	CHECK_INT(uthread_join(thread, NULL), 0);
	CHECK_INT(uthread_close(pipes[0][0]), 0);
	CHECK_INT(uthread_close(pipes[0][1]), 0);
	return argument;
}

static void test_cancelled_calls_stop(void **state)
{
	(void)state;
	test_run(cancelling);
}

static void *sleep_a_little(void *argument)
{
	const uint64_t started = uthread_deadline(0);

	CHECK_INT(uthread_sleep_ms(5), 0);
	CHECK(uthread_deadline(0) - started >= UINT64_C(5000000));
	CHECK(uthread_deadline(0) - started < UINT64_C(10000000000));
	return argument;
}

static void test_time_goes_on_with_these_hooks(void **state)
{
	(void)state;
	test_run(sleep_a_little);
}

static void test_other_callers_are_refused(void **state)
{
	char byte;

	(void)state;
	CHECK_INT(uthread_read(0, &byte, 1), -EPERM);
}

int main(int count, char **arguments)
{
	struct asys_options without_ring = {.size = sizeof(without_ring), .flags = ASYS_NO_RING};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_of_pipes_wait_for_the_writer),
		cmocka_unit_test(test_files_sockets_and_any_system_call),
		cmocka_unit_test(test_others_run_while_one_waits_for_a_process),
		cmocka_unit_test(test_cancelled_calls_stop),
		cmocka_unit_test(test_time_goes_on_with_these_hooks),
		cmocka_unit_test(test_other_callers_are_refused),
	};
	int failed;

	if (!test_choose_way(count > 1 ? arguments[1] : "one-worker"))
		return 2;
	test_options.hooks = &uthread_asys_hooks;
	failed = cmocka_run_group_tests_name("with a ring", tests, NULL, NULL);
	test_options.hooks_context = &without_ring;
	return failed + cmocka_run_group_tests_name("without a ring", tests, NULL, NULL);
}
