/* SPDX-License-Identifier: MIT */
/*
 * What every handle promises, whatever carries its messages out. Run once for each way; see
 * test_choose_way().
 *
 * usage: conformance WAY [PATTERN]
 */
#include "asys_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

/* ---- results ------------------------------------------------------------------------------- */

static void test_nop_completes_and_leaves_the_user_pointer_alone(void **state)
{
	struct asys_message message;
	int mine;

	message.user = &mine;
	asys_prep_nop(&message);
	assert_int_equal(test_result(*state, &message), 0);
	assert_ptr_equal(message.user, &mine);
	assert_int_equal(asys_pending(*state), 0);
}

static void test_more_messages_than_a_ring_holds_complete_once_each(void **state)
{
	enum {
		COUNT = 5000
	};
	struct asys_message *const messages = calloc(COUNT, sizeof(*messages));
	struct asys_message **const batch = calloc(COUNT, sizeof(*batch));
	struct asys_message *completed[37];
	unsigned seen = 0;

	for (unsigned i = 0; i < COUNT; i++) {
		asys_prep_nop(&messages[i]);
		messages[i].user = NULL;
		batch[i] = &messages[i];
	}
	assert_int_equal(asys_send(*state, batch, COUNT), COUNT);
	while (seen < COUNT) {
		const int count = test_wait(*state, completed, 37);

		assert_in_range(count, 1, 37);
		for (int i = 0; i < count; i++) {
			assert_null(completed[i]->user);
			completed[i]->user = completed;
		}
		seen += (unsigned)count;
	}
	assert_int_equal(seen, COUNT);
	assert_int_equal(asys_reap(*state, completed, 37), 0);
	free(messages);
	free(batch);
}

static void check_file(struct asys *asys, const char *directory)
{
	enum {
		SIZE = 64 * 1024
	};
	struct asys_message message;
	const int file = test_file(directory, SIZE);
	uint8_t buffer[8192];
	struct iovec vectors[2] = {{buffer, 100}, {buffer + 100, 200}};

	asys_prep_read(&message, file, buffer, 4096, 12288);
	assert_int_equal(test_result(asys, &message), 4096);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(buffer[i], test_byte(12288 + i));
	asys_prep_read(&message, file, buffer, 8192, SIZE - 1000);
	assert_int_equal(test_result(asys, &message), 1000);
	asys_prep_read(&message, file, buffer, 8192, SIZE + 5);
	assert_int_equal(test_result(asys, &message), 0);
	asys_prep_write(&message, file, "hello", 5, 3);
	assert_int_equal(test_result(asys, &message), 5);
	assert_int_equal(pread(file, buffer, 5, 3), 5);
	assert_memory_equal(buffer, "hello", 5);
	asys_prep_readv(&message, file, vectors, 2, 4096, 0);
	assert_int_equal(test_result(asys, &message), 300);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(buffer[i], test_byte(4096 + i));
	asys_prep_writev(&message, file, vectors, 2, 0, 0);
	assert_int_equal(test_result(asys, &message), 300);
	asys_prep(&message, SYS_pread64, asys_signed(file), asys_pointer(buffer), 10,
		  asys_signed(-1), 0, 0);
	assert_int_equal(test_result(asys, &message), -EINVAL);
	asys_prep_read(&message, file, (void *)16, 4096, 0);
	assert_int_equal(test_result(asys, &message), -EFAULT);
	asys_prep_read(&message, file, buffer, 0, 0);
	assert_int_equal(test_result(asys, &message), 0);
	close(file);
	asys_prep_read(&message, 9999, buffer, 4096, 0);
	assert_int_equal(test_result(asys, &message), -EBADF);
}

static void test_disk_files_give_what_pread_gives(void **state)
{
	check_file(*state, "/var/tmp");
}

static void test_memory_files_give_what_pread_gives(void **state)
{
	check_file(*state, "/dev/shm");
}

/* An append shows that the flags arrived: it goes to the end whatever the offset says. */
static void check_flags(struct asys *asys, const char *directory)
{
	static uint8_t memory[4096] __attribute__((aligned(4096)));
	const struct iovec registered = {memory, sizeof(memory)};
	const int file = test_file(directory, 8192);
	struct asys_message message;

	asys_prep_write_flags(&message, file, "abc", 3, 100, RWF_APPEND);
	assert_int_equal(test_result(asys, &message), 3);
	asys_prep_read_flags(&message, file, memory, 4096, 8192, 0);
	assert_int_equal(test_result(asys, &message), 3);
	assert_memory_equal(memory, "abc", 3);
	assert_int_equal(asys_register_buffers(asys, &registered, 1), 0);
	asys_prep_write_flags(&message, file, memory, 2, 0, RWF_APPEND | RWF_DSYNC);
	message.flags = ASYS_FIXED_BUFFER;
	message.buffer_index = 0;
	assert_int_equal(test_result(asys, &message), 2);
	asys_prep_read_flags(&message, file, memory, 4096, 8195, 0);
	message.flags = ASYS_FIXED_BUFFER;
	message.buffer_index = 0;
	assert_int_equal(test_result(asys, &message), 2);
	assert_memory_equal(memory, "ab", 2);
	assert_int_equal(asys_register_buffers(asys, NULL, 0), 0);
	assert_int_equal(lseek(file, 50, SEEK_SET), 50);
	asys_prep_read_flags(&message, file, memory, 10, -1, 0);
	assert_int_equal(test_result(asys, &message), 10);
	assert_int_equal(memory[3], test_byte(53));
	assert_int_equal(lseek(file, 0, SEEK_CUR), 60);
	asys_prep_read_flags(&message, file, memory, 10, 0, 0x40000000);
	assert_int_equal(test_result(asys, &message), -EOPNOTSUPP);
	close(file);
}

static void test_flags_of_reads_and_writes_of_one_buffer_are_kept(void **state)
{
	check_flags(*state, "/var/tmp");
	check_flags(*state, "/dev/shm");
}

static void test_position_moves_as_with_read_and_write(void **state)
{
	const char *const directories[] = {"/var/tmp", "/dev/shm"};

	for (unsigned i = 0; i < 2; i++) {
		const int file = test_file(directories[i], 8192);
		struct asys_message message;
		uint8_t buffer[4096];

		asys_prep_read(&message, file, buffer, 100, -1);
		assert_int_equal(test_result(*state, &message), 100);
		asys_prep_read(&message, file, buffer, 100, -1);
		assert_int_equal(test_result(*state, &message), 100);
		assert_int_equal(buffer[0], test_byte(100));
		asys_prep_write(&message, file, "x", 1, -1);
		assert_int_equal(test_result(*state, &message), 1);
		assert_int_equal(lseek(file, 0, SEEK_CUR), 201);
		close(file);
	}
}

static void test_an_offset_on_a_pipe_is_refused(void **state)
{
	struct asys_message message;
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_read(&message, ends[0], &byte, 1, 0);
	assert_int_equal(test_result(*state, &message), -ESPIPE);
	asys_prep_write(&message, ends[1], "x", 1, 0);
	assert_int_equal(test_result(*state, &message), -ESPIPE);
	close(ends[0]);
	close(ends[1]);
}

static void test_fixed_files_and_buffers_work_after_close(void **state)
{
	static uint8_t memory[2][4096] __attribute__((aligned(4096)));
	const struct iovec buffers[2] = {{memory[0], 4096}, {memory[1], 4096}};
	const int disk = test_file("/var/tmp", 8192);
	const int shared = test_file("/dev/shm", 8192);
	const int files[3] = {disk, -1, shared};
	struct asys_message message;

	assert_int_equal(asys_register_files(*state, files, 3), 0);
	assert_int_equal(asys_register_buffers(*state, buffers, 2), 0);
	close(disk);
	close(shared);
	for (int i = 0; i < 3; i += 2) {
		asys_prep_read_fixed(&message, i, memory[1], 4096, 4096, 1);
		message.flags |= ASYS_FIXED_FILE;
		assert_int_equal(test_result(*state, &message), 4096);
		assert_int_equal(memory[1][77], test_byte(4096 + 77));
		asys_prep_write_fixed(&message, i, memory[0], 512, 0, 0);
		message.flags |= ASYS_FIXED_FILE;
		assert_int_equal(test_result(*state, &message), 512);
	}
	asys_prep_read(&message, 1, memory[0], 10, 0);
	message.flags |= ASYS_FIXED_FILE;
	assert_int_equal(test_result(*state, &message), -EBADF);
	asys_prep_read(&message, 3, memory[0], 10, 0);
	message.flags |= ASYS_FIXED_FILE;
	assert_int_equal(test_result(*state, &message), -EBADF);
	asys_prep_read_fixed(&message, disk, memory[0], 10, 0, 2);
	assert_int_equal(test_result(*state, &message), -EFAULT);
	assert_int_equal(asys_register_buffers(*state, NULL, 0), 0);
	assert_int_equal(asys_register_files(*state, NULL, 0), 0);
	assert_int_equal(asys_register_files(*state, (const int[]){9999}, 1), -EBADF);
	assert_non_null(strstr(asys_error(), "9999"));
}

/* What a driver makes of the flags is seen where there is one: the tests of ublk. */
static void test_only_commands_repeat_and_pick_memory(void **state)
{
	static uint8_t memory[4][64];
	const int file = test_file("/dev/shm", 64);
	struct asys_message message;
	struct asys_info info;

	assert_int_equal(asys_describe(*state, &info), 0);
	asys_prep_nop(&message);
	message.flags = ASYS_REPEAT;
	assert_int_equal(test_result(*state, &message), -EINVAL);
	asys_prep_read(&message, 0, memory, 64, 0);
	message.flags = ASYS_PICK_BUFFER;
	assert_int_equal(test_result(*state, &message), -EINVAL);
	asys_prep_uring_cmd(&message, file, 1, memory, 16, 0);
	message.flags = ASYS_PICK_BUFFER;
	message.buffer_index = 3;
	assert_int_equal(test_result(*state, &message), -ENOBUFS);
	asys_prep_uring_cmd(&message, file, 1, memory, 16, 0);
	message.flags = ASYS_REPEAT;
	message.deadline_ns = asys_deadline(1000);
	assert_int_equal(test_result(*state, &message), -EINVAL);
	assert_int_equal(asys_provide_buffers(*state, 16, memory, 64, 4), -EINVAL);
	assert_int_equal(asys_provide_buffers(*state, 0, memory, 64, 3), -EINVAL);
	if (info.ring_error != 0) {
		assert_int_equal(asys_provide_buffers(*state, 3, memory, 64, 4), -EOPNOTSUPP);
		close(file);
		return;
	}
	assert_int_equal(asys_provide_buffers(*state, 3, memory, 64, 4), 0);
	assert_int_equal(asys_provide_buffers(*state, 3, memory, 64, 2), 0);
	/* A file without commands: the memory stays where it is. */
	asys_prep_uring_cmd(&message, file, 1, memory, 16, 0);
	message.flags = ASYS_PICK_BUFFER | ASYS_REPEAT;
	message.buffer_index = 3;
	assert_true(test_result(*state, &message) < 0);
	assert_false(message.more);
	assert_int_equal(message.picked_buffer, -1);
	assert_int_equal(asys_provide_buffers(*state, 3, NULL, 0, 0), 0);
	close(file);
}

static void test_a_fixed_file_can_be_replaced(void **state)
{
	const int first = test_file("/var/tmp", 4096);
	const int second = test_file("/dev/shm", 8192);
	struct asys_message message;
	uint8_t buffer[4096];

	assert_int_equal(asys_register_files(*state, &first, 1), 0);
	assert_int_equal(asys_update_file(*state, 0, second), 0);
	asys_prep_read(&message, 0, buffer, 4096, 4096);
	message.flags |= ASYS_FIXED_FILE;
	assert_int_equal(test_result(*state, &message), 4096);
	assert_int_equal(asys_update_file(*state, 1, second), -EINVAL);
	assert_int_equal(asys_update_file(*state, 0, -1), 0);
	assert_int_equal(test_result(*state, &message), -EBADF);
	close(first);
	close(second);
}

static void check_file_calls(struct asys *asys, const char *directory)
{
	struct asys_message message;
	struct statx status;
	char path[64];
	int file;

	snprintf(path, sizeof(path), "%s/asys-open-%d", directory, (int)getpid());
	asys_prep_openat(&message, AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	file = (int)test_result(asys, &message);
	assert_true(file >= 0);
	assert_int_equal(test_result(asys, &message), -EEXIST);
	asys_prep_fallocate(&message, file, 0, 0, 12345);
	assert_int_equal(test_result(asys, &message), 0);
	asys_prep_fsync(&message, file);
	assert_int_equal(test_result(asys, &message), 0);
	asys_prep_fdatasync(&message, file);
	assert_int_equal(test_result(asys, &message), 0);
	asys_prep_statx(&message, AT_FDCWD, path, 0, STATX_SIZE, &status);
	assert_int_equal(test_result(asys, &message), 0);
	assert_int_equal(status.stx_size, 12345);
	asys_prep(&message, SYS_unlinkat, asys_signed(AT_FDCWD), asys_pointer(path), 0, 0, 0, 0);
	assert_int_equal(test_result(asys, &message), 0);
	asys_prep_statx(&message, AT_FDCWD, path, 0, STATX_SIZE, &status);
	assert_int_equal(test_result(asys, &message), -ENOENT);
	asys_prep_close(&message, file);
	assert_int_equal(test_result(asys, &message), 0);
	asys_prep_close(&message, 9999);
	assert_int_equal(test_result(asys, &message), -EBADF);
}

static void test_files_are_opened_extended_synced_and_closed(void **state)
{
	check_file_calls(*state, "/var/tmp");
	check_file_calls(*state, "/dev/shm");
}

static void test_a_descriptor_used_again_is_another_file(void **state)
{
	struct asys_message message;
	uint8_t buffer[16];
	int file = test_file("/dev/shm", 4096);
	const int number = file;
	int ends[2];

	asys_prep_read(&message, file, buffer, 16, 0);
	assert_int_equal(test_result(*state, &message), 16);
	asys_prep_close(&message, file);
	assert_int_equal(test_result(*state, &message), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[0], number), number);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	asys_prep_read(&message, number, buffer, 16, -1);
	assert_int_equal(test_result(*state, &message), 3);
	close(number);
	close(ends[0]);
	close(ends[1]);
	/* Closed behind asys' back: still the right bytes. */
	file = test_file("/var/tmp", 8192);
	asys_prep_read(&message, file, buffer, 16, 4096);
	assert_int_equal(test_result(*state, &message), 16);
	assert_int_equal(buffer[0], test_byte(4096));
	assert_int_equal(asys_forget_file(*state, file), 0);
	close(file);
}

static void test_any_call_can_be_named_by_its_number(void **state)
{
	const int file = test_file("/dev/shm", 0);
	struct asys_message message;
	int available = -1;
	int ends[2];

	asys_prep(&message, SYS_getppid, 0, 0, 0, 0, 0, 0);
	assert_int_equal(test_result(*state, &message), getppid());
	asys_prep(&message, SYS_lseek, asys_signed(file), UINT64_C(1) << 40, SEEK_SET, 0, 0, 0);
	assert_true(test_result(*state, &message) == INT64_C(1) << 40);
	asys_prep(&message, 4095, 0, 0, 0, 0, 0, 0);
	assert_int_equal(test_result(*state, &message), -ENOSYS);
	asys_prep(&message, 0xffff, 0, 0, 0, 0, 0, 0);
	assert_int_equal(test_result(*state, &message), -ENOSYS);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "12345", 5), 5);
	asys_prep_ioctl(&message, ends[0], FIONREAD, asys_pointer(&available));
	assert_int_equal(test_result(*state, &message), 0);
	assert_int_equal(available, 5);
	close(file);
	close(ends[0]);
	close(ends[1]);
}

/* ---- pipes, sockets, polls, time, futexes -------------------------------------------------- */

static void test_a_read_waits_for_what_is_written_later(void **state)
{
	struct asys_message message, later;
	char buffer[16];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_read(&message, ends[0], buffer, 16, -1);
	test_send(*state, &message);
	assert_int_equal(asys_wait(*state, (struct asys_message *[1]){NULL}, 1, 20), 0);
	asys_prep_write(&later, ends[1], "hello", 5, -1);
	test_send(*state, &later);
	test_wait_one(*state);
	test_wait_one(*state);
	assert_int_equal(message.result, 5);
	assert_int_equal(later.result, 5);
	assert_memory_equal(buffer, "hello", 5);
	close(ends[1]);
	asys_prep_read(&message, ends[0], buffer, 16, -1);
	assert_int_equal(test_result(*state, &message), 0);
	close(ends[0]);
}

static void test_many_waiting_reads_do_not_keep_a_write_from_running(void **state)
{
	enum {
		COUNT = 300
	};
	struct asys_message *const messages = calloc(COUNT, sizeof(*messages));
	char buffers[COUNT];
	struct asys_message write_all;
	char text[COUNT] = "";
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		asys_prep_read(&messages[i], ends[0], &buffers[i], 1, -1);
		test_send(*state, &messages[i]);
	}
	asys_prep_write(&write_all, ends[1], text, COUNT, -1);
	test_send(*state, &write_all);
	for (unsigned i = 0; i < COUNT + 1; i++)
		test_wait_one(*state);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(messages[i].result, 1);
	free(messages);
	close(ends[0]);
	close(ends[1]);
}

static void test_what_must_not_wait_says_so(void **state)
{
	struct asys_message message;
	char buffer[16];
	struct iovec vector = {buffer, 16};
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_readv(&message, ends[0], &vector, 1, -1, RWF_NOWAIT);
	assert_int_equal(test_result(*state, &message), -EAGAIN);
	asys_prep_read_flags(&message, ends[0], buffer, 16, -1, RWF_NOWAIT);
	assert_int_equal(test_result(*state, &message), -EAGAIN);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	asys_prep_recv(&message, ends[0], buffer, 16, MSG_DONTWAIT);
	assert_int_equal(test_result(*state, &message), -EAGAIN);
	close(ends[0]);
	close(ends[1]);
}

static void test_messages_wait_for_non_blocking_files_as_well(void **state)
{
	struct asys_message message;
	char buffer[16];
	int ends[2], sockets[2];

	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets), 0);
	asys_prep_read(&message, ends[0], buffer, 16, -1);
	test_send(*state, &message);
	assert_int_equal(asys_wait(*state, (struct asys_message *[1]){NULL}, 1, 10), 0);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	assert_int_equal(test_wait_one(*state)->result, 3);
	asys_prep_recv(&message, sockets[0], buffer, 16, 0);
	test_send(*state, &message);
	assert_int_equal(asys_wait(*state, (struct asys_message *[1]){NULL}, 1, 10), 0);
	assert_int_equal(write(sockets[1], "abcd", 4), 4);
	assert_int_equal(test_wait_one(*state)->result, 4);
	for (unsigned i = 0; i < 2; i++) {
		close(ends[i]);
		close(sockets[i]);
	}
}

static void test_event_descriptors_are_read_when_they_are_written(void **state)
{
	const int event = eventfd(0, EFD_CLOEXEC);
	struct asys_message message;
	uint64_t value = 0;

	asys_prep_read(&message, event, &value, sizeof(value), -1);
	test_send(*state, &message);
	assert_int_equal(asys_wait(*state, (struct asys_message *[1]){NULL}, 1, 5), 0);
	assert_int_equal(eventfd_write(event, 42), 0);
	assert_ptr_equal(test_wait_one(*state), &message);
	assert_int_equal(message.result, 8);
	assert_true(value == 42);
	close(event);
}

static void test_sockets_send_and_receive(void **state)
{
	struct asys_message message, other;
	char buffer[16] = "";
	struct iovec vector = {buffer, 16};
	struct iovec sent = {(char[4]){"pong"}, 4};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
	const struct msghdr sent_header = {.msg_iov = &sent, .msg_iovlen = 1};
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	asys_prep_recv(&message, ends[0], buffer, 16, 0);
	test_send(*state, &message);
	asys_prep_send(&other, ends[1], "ping", 4, 0);
	test_send(*state, &other);
	test_wait_one(*state);
	test_wait_one(*state);
	assert_int_equal(message.result, 4);
	assert_memory_equal(buffer, "ping", 4);
	asys_prep_recvmsg(&message, ends[1], &header, 0);
	test_send(*state, &message);
	asys_prep_sendmsg(&other, ends[0], &sent_header, 0);
	test_send(*state, &other);
	test_wait_one(*state);
	test_wait_one(*state);
	assert_int_equal(other.result, 4);
	assert_int_equal(message.result, 4);
	assert_memory_equal(buffer, "pong", 4);
	asys_prep_shutdown(&message, ends[0], SHUT_WR);
	assert_int_equal(test_result(*state, &message), 0);
	asys_prep_recv(&message, ends[1], buffer, 16, 0);
	assert_int_equal(test_result(*state, &message), 0);
	close(ends[0]);
	/* No signal ends the program. */
	asys_prep_send(&message, ends[1], "x", 1, 0);
	assert_int_equal(test_result(*state, &message), -EPIPE);
	close(ends[1]);
}

static void connect_and_accept(struct asys *asys, int type)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	struct asys_message accepting, message;
	int listener, client;

	asys_prep_socket(&message, AF_INET, type, 0);
	listener = (int)test_result(asys, &message);
	assert_true(listener >= 0);
	client = (int)test_result(asys, &message);
	assert_true(client >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	asys_prep_accept(&accepting, listener, NULL, NULL, SOCK_CLOEXEC);
	test_send(asys, &accepting);
	asys_prep_connect(&message, client, (struct sockaddr *)&address, sizeof(address));
	test_send(asys, &message);
	test_wait_one(asys);
	test_wait_one(asys);
	assert_int_equal(message.result, 0);
	assert_true(accepting.result >= 0);
	close((int)accepting.result);
	close(listener);
	assert_int_equal(test_result(asys, &message), -EISCONN);
	close(client);
	client = socket(AF_INET, type, 0);
	message.arguments[0] = asys_signed(client);
	assert_int_equal(test_result(asys, &message), -ECONNREFUSED);
	close(client);
}

static void test_a_connection_is_accepted_and_connected(void **state)
{
	connect_and_accept(*state, SOCK_STREAM | SOCK_CLOEXEC);
	connect_and_accept(*state, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void test_polls_tell_of_readiness(void **state)
{
	const int file = test_file("/var/tmp", 10);
	struct asys_message message, both;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_poll(&message, ends[0], POLLIN);
	test_send(*state, &message);
	asys_prep_poll(&both, ends[1], POLLIN | POLLOUT);
	test_send(*state, &both);
	assert_ptr_equal(test_wait_one(*state), &both);
	assert_int_equal(both.result, POLLOUT);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_ptr_equal(test_wait_one(*state), &message);
	assert_int_equal(message.result, POLLIN);
	asys_prep_poll(&message, file, POLLIN);
	assert_int_equal(test_result(*state, &message), POLLIN);
	asys_prep_poll(&message, 9999, POLLIN);
	assert_int_equal(test_result(*state, &message), -EBADF);
	close(file);
	close(ends[0]);
	close(ends[1]);
}

static void test_timeouts_complete_in_the_order_of_time(void **state)
{
	struct asys_message messages[5];
	const unsigned order[5] = {30, 10, 50, 20, 40};
	const uint64_t begin = test_now_ns();
	struct asys_message *batch[5];
	unsigned last = 0;

	for (unsigned i = 0; i < 5; i++) {
		asys_prep_timeout(&messages[i], begin + order[i] * MS);
		messages[i].user = (void *)(uintptr_t)order[i];
		batch[i] = &messages[i];
	}
	assert_int_equal(asys_send(*state, batch, 5), 5);
	for (unsigned i = 0; i < 5; i++) {
		struct asys_message *const one = test_wait_one(*state);

		assert_int_equal(one->result, 0);
		assert_in_range((uintptr_t)one->user, last + 1, 50);
		last = (unsigned)(uintptr_t)one->user;
		assert_true(test_now_ns() >= begin + last * MS);
	}
}

static void test_futexes_wait_and_wake(void **state)
{
	uint32_t word = 7;
	struct asys_message waiting, message;

	asys_prep_futex_wait(&message, &word, 8);
	assert_int_equal(test_result(*state, &message), -EAGAIN);
	asys_prep_futex_wait(&waiting, &word, 7);
	test_send(*state, &waiting);
	do {
		usleep(1000);
		asys_prep_futex_wake(&message, &word, 1);
		test_send(*state, &message);
		if (test_wait_one(*state) == &waiting)
			break;
	} while (message.result != 1);
	test_wait_one(*state);
	assert_int_equal(message.result, 1);
	assert_int_equal(waiting.result, 0);
	asys_prep_futex_wait(&waiting, &word, 7);
	test_send(*state, &waiting);
	usleep(20000);
	assert_int_equal(asys_cancel(*state, &waiting), 0);
	assert_ptr_equal(test_wait_one(*state), &waiting);
	assert_int_equal(waiting.result, -ECANCELED);
}

static void test_splice_moves_from_an_offset_to_a_pipe(void **state)
{
	const int file = test_file("/var/tmp", 8192);
	struct asys_message message;
	uint8_t buffer[100];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_splice(&message, file, 4096, ends[1], -1, 100, 0);
	assert_int_equal(test_result(*state, &message), 100);
	assert_int_equal(read(ends[0], buffer, 100), 100);
	assert_int_equal(buffer[99], test_byte(4096 + 99));
	assert_int_equal(lseek(file, 0, SEEK_CUR), 0);
	close(file);
	close(ends[0]);
	close(ends[1]);
}

/* ---- links --------------------------------------------------------------------------------- */

static void test_linked_writes_and_reads_run_in_order(void **state)
{
	const char *const directories[] = {"/var/tmp", "/dev/shm"};

	for (unsigned round = 0; round < 20; round++) {
		const int file = test_file(directories[round % 2], 0);
		struct asys_message messages[9];
		uint64_t in[8], out;

		for (unsigned i = 0; i < 8; i++) {
			in[i] = round * 1000 + i;
			asys_prep_write(&messages[i], file, &in[i], sizeof(in[i]), 0);
			messages[i].flags = i % 3 == 0   ? ASYS_LINK_SUCCESS
					    : i % 3 == 1 ? ASYS_LINK_AFTER
							 : ASYS_LINK_HARD;
		}
		asys_prep_read(&messages[8], file, &out, sizeof(out), 0);
		test_run(*state, messages, 9);
		for (unsigned i = 0; i < 9; i++)
			assert_int_equal(messages[i].result, 8);
		assert_true(out == in[7]);
		close(file);
	}
}

static void test_links_join_calls_of_all_kinds(void **state)
{
	struct asys_message messages[5];
	const uint64_t begin = test_now_ns();
	char buffer[4] = "";
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_timeout(&messages[0], begin + 10 * MS);
	messages[0].flags = ASYS_LINK_SUCCESS;
	asys_prep(&messages[1], SYS_getppid, 0, 0, 0, 0, 0, 0);
	messages[1].flags = ASYS_LINK_SUCCESS;
	asys_prep_nop(&messages[2]);
	messages[2].flags = ASYS_LINK_SUCCESS;
	asys_prep_write(&messages[3], ends[1], "abc", 3, -1);
	messages[3].flags = ASYS_LINK_SUCCESS;
	asys_prep_read(&messages[4], ends[0], buffer, 3, -1);
	test_run(*state, messages, 5);
	assert_true(test_now_ns() >= begin + 10 * MS);
	assert_int_equal(messages[1].result, getppid());
	assert_int_equal(messages[4].result, 3);
	assert_string_equal(buffer, "abc");
	close(ends[0]);
	close(ends[1]);
}

static void test_success_links_end_at_an_error_or_a_short_read(void **state)
{
	const int file = test_file("/var/tmp", 100);
	struct asys_message messages[4];
	char buffer[200];

	asys_prep_read(&messages[0], file, buffer, 200, 0);
	messages[0].flags = ASYS_LINK_SUCCESS;
	asys_prep_nop(&messages[1]);
	messages[1].flags = ASYS_LINK_SUCCESS;
	asys_prep_nop(&messages[2]);
	messages[2].flags = ASYS_LINK_HARD;
	asys_prep_nop(&messages[3]);
	test_run(*state, messages, 4);
	assert_int_equal(messages[0].result, 100);
	assert_int_equal(messages[1].result, -ECANCELED);
	assert_int_equal(messages[2].result, -ECANCELED);
	assert_int_equal(messages[3].result, 0);
	asys_prep_read(&messages[0], -1, buffer, 200, 0);
	messages[0].flags = ASYS_LINK_SUCCESS;
	asys_prep_nop(&messages[1]);
	test_run(*state, messages, 2);
	assert_int_equal(messages[0].result, -EBADF);
	assert_int_equal(messages[1].result, -ECANCELED);
	close(file);
}

static void test_after_links_pass_errors_but_not_cancels(void **state)
{
	struct asys_message messages[3], *batch[3];
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_read(&messages[0], -1, &byte, 1, 0);
	messages[0].flags = ASYS_LINK_AFTER;
	asys_prep_read(&messages[1], ends[0], &byte, 1, -1);
	messages[1].flags = ASYS_LINK_AFTER;
	messages[1].deadline_ns = asys_deadline(10);
	asys_prep_nop(&messages[2]);
	test_run(*state, messages, 3);
	assert_int_equal(messages[0].result, -EBADF);
	assert_int_equal(messages[1].result, -ETIMEDOUT);
	assert_int_equal(messages[2].result, -ECANCELED);

	asys_prep_read(&messages[0], ends[0], &byte, 1, -1);
	messages[0].flags = ASYS_LINK_HARD;
	asys_prep_nop(&messages[1]);
	messages[1].flags = ASYS_LINK_AFTER;
	asys_prep_nop(&messages[2]);
	for (unsigned i = 0; i < 3; i++)
		batch[i] = &messages[i];
	assert_int_equal(asys_send(*state, batch, 3), 3);
	/* Stopped before its turn, it still completes in its turn. */
	assert_int_equal(asys_cancel(*state, &messages[1]), 0);
	assert_int_equal(asys_reap(*state, batch, 3), 0);
	assert_int_equal(asys_cancel(*state, &messages[0]), 0);
	assert_ptr_equal(test_wait_one(*state), &messages[0]);
	assert_ptr_equal(test_wait_one(*state), &messages[1]);
	assert_ptr_equal(test_wait_one(*state), &messages[2]);
	assert_int_equal(messages[0].result, -ECANCELED);
	assert_int_equal(messages[1].result, -ECANCELED);
	assert_int_equal(messages[2].result, -ECANCELED);
	close(ends[0]);
	close(ends[1]);
}

static void test_a_link_to_nothing_is_refused(void **state)
{
	struct asys_message messages[2], *batch[2] = {&messages[0], &messages[1]};

	asys_prep_nop(&messages[0]);
	asys_prep_nop(&messages[1]);
	messages[1].flags = ASYS_LINK_AFTER;
	assert_int_equal(asys_send(*state, batch, 2), -EINVAL);
	messages[1].flags = 0;
	messages[0].flags = ASYS_LINK_AFTER | ASYS_LINK_HARD;
	assert_int_equal(asys_send(*state, batch, 2), -EINVAL);
	assert_int_equal(asys_pending(*state), 0);
	messages[0].flags = ASYS_LINK_AFTER;
	test_run(*state, messages, 2);
}

/* ---- cancelling and deadlines -------------------------------------------------------------- */

static void cancel_waiting(struct asys *asys, struct asys_message *message)
{
	test_send(asys, message);
	usleep(2000);
	assert_int_equal(asys_cancel(asys, message), 0);
	assert_ptr_equal(test_wait_one(asys), message);
	assert_int_equal(message->result, -ECANCELED);
	assert_int_equal(asys_cancel(asys, message), -ENOENT);
}

static void test_what_waits_can_be_cancelled(void **state)
{
	struct asys_message message;
	char byte;
	int ends[2], sockets[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	asys_prep_read(&message, ends[0], &byte, 1, -1);
	cancel_waiting(*state, &message);
	asys_prep_poll(&message, ends[0], POLLIN);
	cancel_waiting(*state, &message);
	asys_prep_recv(&message, sockets[0], &byte, 1, 0);
	cancel_waiting(*state, &message);
	asys_prep_timeout(&message, asys_deadline(100000));
	cancel_waiting(*state, &message);
	close(ends[0]);
	close(ends[1]);
	close(sockets[0]);
	close(sockets[1]);
}

static void test_a_call_in_a_worker_is_said_not_to_be_cancellable(void **state)
{
	struct timespec pause = {0, 400000000};
	struct asys_message message;

	asys_prep(&message, SYS_nanosleep, asys_pointer(&pause), 0, 0, 0, 0, 0);
	test_send(*state, &message);
	usleep(100000);
	assert_int_equal(asys_cancel(*state, &message), -EALREADY);
	assert_ptr_equal(test_wait_one(*state), &message);
	assert_int_equal(message.result, 0);
}

static void test_what_completed_is_not_cancelled(void **state)
{
	struct asys_message message;

	asys_prep_nop(&message);
	assert_int_equal(asys_cancel(*state, &message), -ENOENT);
	test_send(*state, &message);
	usleep(100000);
	assert_int_equal(asys_cancel(*state, &message), -EALREADY);
	assert_ptr_equal(test_wait_one(*state), &message);
	assert_int_equal(message.result, 0);
}

static void test_a_message_cancels_another(void **state)
{
	struct asys_message message, cancel;
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_read(&message, ends[0], &byte, 1, -1);
	test_send(*state, &message);
	usleep(2000);
	asys_prep_cancel(&cancel, &message);
	test_send(*state, &cancel);
	test_wait_one(*state);
	test_wait_one(*state);
	assert_int_equal(cancel.result, 0);
	assert_int_equal(message.result, -ECANCELED);
	close(ends[0]);
	close(ends[1]);
}

static void test_deadlines_end_what_waits(void **state)
{
	struct asys_message message;
	uint64_t begin;
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_read(&message, ends[0], &byte, 1, -1);
	message.deadline_ns = begin = asys_deadline(20);
	assert_int_equal(test_result(*state, &message), -ETIMEDOUT);
	assert_true(test_now_ns() >= begin);
	message.deadline_ns = 1;
	assert_int_equal(test_result(*state, &message), -ETIMEDOUT);
	assert_int_equal(write(ends[1], "x", 1), 1);
	message.deadline_ns = asys_deadline(100000);
	assert_int_equal(test_result(*state, &message), 1);
	asys_prep_timeout(&message, asys_deadline(100000));
	message.deadline_ns = asys_deadline(5);
	assert_int_equal(test_result(*state, &message), -ETIMEDOUT);
	close(ends[0]);
	close(ends[1]);
}

static void test_a_call_that_cannot_be_stopped_outlives_its_deadline(void **state)
{
	struct timespec pause = {0, 500000000};
	struct asys_message message;

	asys_prep(&message, SYS_nanosleep, asys_pointer(&pause), 0, 0, 0, 0, 0);
	message.deadline_ns = asys_deadline(250);
	assert_int_equal(test_result(*state, &message), 0);
}

static void test_many_deadlines_are_each_kept(void **state)
{
	enum {
		COUNT = 200
	};
	struct asys_message *const messages = calloc(COUNT, sizeof(*messages));
	const uint64_t begin = test_now_ns();
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		asys_prep_read(&messages[i], ends[0], &byte, 1, -1);
		messages[i].deadline_ns = begin + ((i * 7919) % 50 + 1) * MS;
		test_send(*state, &messages[i]);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		struct asys_message *const one = test_wait_one(*state);

		assert_int_equal(one->result, -ETIMEDOUT);
		assert_true(test_now_ns() >= one->deadline_ns);
	}
	free(messages);
	close(ends[0]);
	close(ends[1]);
}

/* ---- other threads ------------------------------------------------------------------------- */

enum {
	POSTERS = 4,
	POSTED = 2000
};

struct poster {
	struct asys *asys;
	pthread_t thread;
	struct asys_message *messages;
};

static void *post_all(void *argument)
{
	struct poster *const poster = argument;
	struct asys_message *pair[2];

	for (unsigned i = 0; i < POSTED; i += 2) {
		pair[0] = &poster->messages[i];
		pair[1] = &poster->messages[i + 1];
		asys_prep_nop(pair[0]);
		pair[0]->flags = (i % 4) ? ASYS_LINK_AFTER : 0;
		asys_prep(pair[1], SYS_getppid, 0, 0, 0, 0, 0, 0);
		if (i % 64)
			asys_prep_nop(pair[1]);
		if (asys_post(poster->asys, pair, 2) != 2)
			abort();
	}
	return NULL;
}

static void test_messages_posted_by_threads_complete_once_each(void **state)
{
	struct poster posters[POSTERS];
	struct asys_message *completed[64];
	unsigned seen = 0;

	for (unsigned i = 0; i < POSTERS; i++) {
		posters[i].asys = *state;
		posters[i].messages = calloc(POSTED, sizeof(struct asys_message));
		pthread_create(&posters[i].thread, NULL, post_all, &posters[i]);
	}
	while (seen < POSTERS * POSTED) {
		const int count = test_wait(*state, completed, 64);

		assert_in_range(count, 1, 64);
		for (int i = 0; i < count; i++) {
			assert_null(completed[i]->user);
			completed[i]->user = completed;
		}
		seen += (unsigned)count;
	}
	for (unsigned i = 0; i < POSTERS; i++) {
		pthread_join(posters[i].thread, NULL);
		free(posters[i].messages);
	}
	assert_int_equal(asys_pending(*state), 0);
}

static void *post_one_later(void *argument)
{
	struct poster *const poster = argument;

	usleep(20000);
	asys_prep_nop(poster->messages);
	if (asys_post(poster->asys, &poster->messages, 1) != 1)
		abort();
	return NULL;
}

static void test_a_post_wakes_an_owner_that_waits_for_ever(void **state)
{
	struct asys_message message, *completed;
	struct poster poster = {.asys = *state, .messages = &message};

	pthread_create(&poster.thread, NULL, post_one_later, &poster);
	while (asys_wait(*state, &completed, 1, -1) == 0)
		;
	assert_ptr_equal(completed, &message);
	pthread_join(poster.thread, NULL);
	assert_int_equal(asys_ready(*state), 0);
}

static void *wake_later(void *argument)
{
	usleep(20000);
	if (asys_wake(argument) != 0)
		abort();
	return NULL;
}

static void test_a_wake_ends_one_wait_whether_it_comes_before_or_during(void **state)
{
	struct asys_message *completed;
	pthread_t thread;

	assert_int_equal(asys_wake(*state), 0);
	assert_int_equal(asys_wake(*state), 0);
	assert_int_equal(asys_wait(*state, &completed, 1, -1), 0);
	pthread_create(&thread, NULL, wake_later, *state);
	assert_int_equal(asys_wait(*state, &completed, 1, -1), 0);
	pthread_join(thread, NULL);
	assert_int_equal(asys_wait(*state, &completed, 1, 10), 0);
	assert_int_equal(asys_pending(*state), 0);
}

/* ---- the descriptor ------------------------------------------------------------------------ */

static bool is_readable(int file, int timeout_ms)
{
	struct pollfd look = {.fd = file, .events = POLLIN};

	return poll(&look, 1, timeout_ms) == 1;
}

static void test_the_descriptor_tells_of_a_wake(void **state)
{
	struct asys_message *completed;
	const int file = asys_fd(*state);

	assert_true(file >= 0);
	while (is_readable(file, 0))
		assert_int_equal(asys_reap(*state, &completed, 1), 0);
	assert_int_equal(asys_wake(*state), 0);
	assert_true(is_readable(file, PATIENCE_MS));
	for (unsigned turns = 0; is_readable(file, 0); turns++) {
		assert_true(turns < 8);
		assert_int_equal(asys_reap(*state, &completed, 1), 0);
	}
}

/** Waits by the descriptor alone, as a program with a loop of its own. */
static struct asys_message *poll_one(struct asys *asys, int file)
{
	struct asys_message *completed;

	while (asys_reap(asys, &completed, 1) == 0)
		if (!is_readable(file, PATIENCE_MS))
			fail_msg("the descriptor does not tell");
	return completed;
}

/** Reaps nothing, until the descriptor says so, too. */
static void assert_quiet(struct asys *asys, int file)
{
	struct asys_message *completed;

	for (unsigned i = 0; i < 10 && is_readable(file, 5); i++)
		assert_int_equal(asys_reap(asys, &completed, 1), 0);
	assert_false(is_readable(file, 0));
}

static void test_the_descriptor_tells_of_every_completion(void **state)
{
	const int shared = test_file("/dev/shm", 4096);
	const int disk = test_file("/var/tmp", 4096);
	const int file = asys_fd(*state);
	struct asys_message message, message2;
	struct poster poster = {.asys = *state, .messages = &message};
	uint8_t buffer[16], buffer2[16];
	int ends[2];

	assert_true(file >= 0);
	assert_int_equal(pipe(ends), 0);
	assert_quiet(*state, file);
	asys_prep_read(&message, shared, buffer, 16, 0);
	test_send(*state, &message);
	assert_true(is_readable(file, PATIENCE_MS));
	assert_ptr_equal(poll_one(*state, file), &message);
	assert_quiet(*state, file);
	asys_prep_read(&message, disk, buffer, 16, 0);
	asys_prep_read(&message2, shared, buffer2, 16, 0);
	test_send(*state, &message);
	test_send(*state, &message2);
	poll_one(*state, file);
	assert_true(is_readable(file, PATIENCE_MS));
	poll_one(*state, file);
	assert_quiet(*state, file);
	asys_prep(&message, SYS_getppid, 0, 0, 0, 0, 0, 0);
	test_send(*state, &message);
	assert_ptr_equal(poll_one(*state, file), &message);
	asys_prep_read(&message, ends[0], buffer, 1, -1);
	test_send(*state, &message);
	assert_quiet(*state, file);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_ptr_equal(poll_one(*state, file), &message);
	message.deadline_ns = asys_deadline(20);
	test_send(*state, &message);
	assert_ptr_equal(poll_one(*state, file), &message);
	assert_int_equal(message.result, -ETIMEDOUT);
	asys_prep_timeout(&message, asys_deadline(20));
	test_send(*state, &message);
	assert_ptr_equal(poll_one(*state, file), &message);
	for (unsigned i = 0; i < 3; i++) {
		assert_quiet(*state, file);
		pthread_create(&poster.thread, NULL, post_one_later, &poster);
		assert_ptr_equal(poll_one(*state, file), &message);
		pthread_join(poster.thread, NULL);
	}
	close(shared);
	close(disk);
	close(ends[0]);
	close(ends[1]);
}

static void test_chains_run_by_the_descriptor_alone(void **state)
{
	const int file = asys_fd(*state);
	const int disk = test_file("/var/tmp", 4096);
	struct asys_message messages[6], *batch[6];
	uint8_t buffer[16];

	for (unsigned i = 0; i < 6; i++) {
		asys_prep_read(&messages[i], disk, buffer, 16, 0);
		if (i % 2)
			asys_prep(&messages[i], SYS_getppid, 0, 0, 0, 0, 0, 0);
		messages[i].flags = i < 5 ? ASYS_LINK_SUCCESS : 0;
		batch[i] = &messages[i];
	}
	assert_int_equal(asys_send(*state, batch, 6), 6);
	for (unsigned i = 0; i < 6; i++)
		assert_ptr_equal(poll_one(*state, file), &messages[i]);
	close(disk);
}

static void test_queued_messages_go_with_the_wait(void **state)
{
	const int disk = test_file("/var/tmp", 4096);
	struct asys_message message, *batch = &message;
	uint8_t buffer[16];

	asys_prep_read(&message, disk, buffer, 16, 0);
	assert_int_equal(asys_queue(*state, &batch, 1), 1);
	assert_ptr_equal(test_wait_one(*state), &message);
	assert_int_equal(message.result, 16);
	close(disk);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void test_closing_drains_when_asked(void **state)
{
	struct asys_message messages[2], *batch[2] = {&messages[0], &messages[1]};

	asys_prep_timeout(&messages[0], asys_deadline(20));
	messages[0].flags = ASYS_LINK_SUCCESS;
	asys_prep(&messages[1], SYS_getppid, 0, 0, 0, 0, 0, 0);
	assert_int_equal(asys_send(*state, batch, 2), 2);
	assert_int_equal(asys_close(*state, ASYS_CLOSE_DRAIN), 0);
	test_wait_one(*state);
	test_wait_one(*state);
	assert_int_equal(messages[0].result, 0);
	assert_int_equal(messages[1].result, getppid());
	assert_int_equal(asys_send(*state, batch, 2), -ESHUTDOWN);
	assert_int_equal(asys_post(*state, batch, 2), 2);
	test_wait_one(*state);
	test_wait_one(*state);
	assert_int_equal(messages[0].result, -ESHUTDOWN);
}

static void test_closing_cancels_when_asked(void **state)
{
	struct asys_message messages[4], *batch[4];
	char byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	asys_prep_read(&messages[0], ends[0], &byte, 1, -1);
	messages[0].flags = ASYS_LINK_HARD;
	asys_prep_nop(&messages[1]);
	asys_prep_timeout(&messages[2], asys_deadline(100000));
	asys_prep_poll(&messages[3], ends[0], POLLIN);
	for (unsigned i = 0; i < 4; i++)
		batch[i] = &messages[i];
	assert_int_equal(asys_send(*state, batch, 4), 4);
	usleep(2000);
	assert_int_equal(asys_close(*state, ASYS_CLOSE_CANCEL), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(test_wait_one(*state)->result, -ECANCELED);
	assert_int_equal(asys_pending(*state), 0);
	close(ends[0]);
	close(ends[1]);
}

static void test_destroying_waits_for_what_uses_memory(void **state)
{
	struct timespec pause = {0, 300000000};
	struct asys_message messages[4], *batch[4];
	struct asys *asys;
	uint32_t word = 0;
	char byte;
	int ends[2];

	(void)state;
	assert_int_equal(asys_create(&test_options, &asys), 0);
	assert_int_equal(pipe(ends), 0);
	asys_prep_read(&messages[0], ends[0], &byte, 1, -1);
	asys_prep(&messages[1], SYS_nanosleep, asys_pointer(&pause), 0, 0, 0, 0, 0);
	asys_prep_futex_wait(&messages[2], &word, 0);
	asys_prep_timeout(&messages[3], asys_deadline(100000));
	for (unsigned i = 0; i < 4; i++)
		batch[i] = &messages[i];
	assert_int_equal(asys_send(asys, batch, 4), 4);
	/* A worker has to be in the call. */
	usleep(100000);
	asys_destroy(asys);
	assert_int_equal(messages[0].result, -ECANCELED);
	assert_int_equal(messages[1].result, 0);
	assert_int_equal(messages[2].result, -ECANCELED);
	assert_int_equal(messages[3].result, -ECANCELED);
	close(ends[0]);
	close(ends[1]);
	asys_destroy(NULL);
}

/** ThreadSanitizer does not bear threads in the child of a process that has some. */
#ifdef __SANITIZE_THREAD__
static const bool child_may_have_threads = false;
#else
static const bool child_may_have_threads = true;
#endif

static int as_child(struct asys *asys, struct asys_message *message)
{
	struct asys_message *completed;
	bool right = asys_send(asys, &message, 1) == -EBADF;

	right = right && strstr(asys_error(), "fork") != NULL;
	right = right && asys_post(asys, &message, 1) == -EBADF;
	right = right && asys_wait(asys, &completed, 1, -1) == -EBADF;
	right = right && asys_fd(asys) == -EBADF && asys_pending(asys) == -EBADF;
	asys_destroy(asys);
	if (right && child_may_have_threads) {
		if (asys_create(&test_options, &asys) != 0)
			return 1;
		asys_prep_nop(message);
		right = asys_send(asys, &message, 1) == 1 && test_wait(asys, &completed, 1) == 1;
		asys_destroy(asys);
	}
	return right ? 0 : 1;
}

static void test_the_child_of_a_fork_has_a_closed_handle(void **state)
{
	struct asys_message message, own;
	char byte;
	int ends[2], status;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	asys_prep(&own, SYS_getppid, 0, 0, 0, 0, 0, 0);
	test_result(*state, &own);
	asys_prep_read(&message, ends[0], &byte, 1, -1);
	test_send(*state, &message);
	asys_prep_nop(&own);
	child = fork();
	if (child == 0)
		_exit(as_child(*state, &own));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_ptr_equal(test_wait_one(*state), &message);
	assert_int_equal(message.result, 1);
	close(ends[0]);
	close(ends[1]);
}

static void test_sending_twice_is_refused_or_aborts(void **state)
{
	struct asys_message message, *batch = &message;
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct asys *asys;

		freopen("/dev/null", "w", stderr);
		signal(SIGABRT, SIG_DFL);
		if (asys_create(&test_options, &asys) != 0)
			_exit(1);
		asys_prep_timeout(&message, asys_deadline(100000));
		asys_send(asys, &batch, 1);
		_exit(asys_send(asys, &batch, 1) == -EALREADY ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (BDUS_DEBUG_CHECKS)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	(void)state;
}

static void test_options_out_of_range_are_refused_by_name(void **state)
{
	struct asys_options options = test_options;
	struct asys *asys = NULL;

	(void)state;
	options.depth = 100000;
	assert_int_equal(asys_create(&options, &asys), -EINVAL);
	assert_non_null(strstr(asys_error(), "depth is 100000"));
	options = test_options;
	options.flags |= 1 << 30;
	assert_int_equal(asys_create(&options, &asys), -EINVAL);
	options.size = 3;
	assert_int_equal(asys_create(&options, &asys), -EINVAL);
	assert_null(asys);
}

/* ---- all at once --------------------------------------------------------------------------- */

struct storm {
	struct asys_message message;
	bool in_flight;
	uint64_t buffer;
};

static void prepare_any(struct storm *one, unsigned *seed, const int files[2], const int ends[2])
{
	struct asys_message *const message = &one->message;
	const int64_t offset = rand_r(seed) % 1000 * 8;

	switch (rand_r(seed) % 8) {
	case 0:
		asys_prep_nop(message);
		break;
	case 1:
	case 2:
		asys_prep_read(message, files[rand_r(seed) % 2], &one->buffer, 8, offset);
		break;
	case 3:
		asys_prep_write(message, files[rand_r(seed) % 2], &one->buffer, 8, offset);
		break;
	case 4:
		asys_prep_read(message, ends[0], &one->buffer, 1, -1);
		break;
	case 5:
		asys_prep_write(message, ends[1], &one->buffer, 1, -1);
		break;
	case 6:
		asys_prep_timeout(message, test_now_ns() + (unsigned)rand_r(seed) % 1000 * 1000U);
		break;
	default:
		asys_prep(message, SYS_getppid, 0, 0, 0, 0, 0, 0);
		break;
	}
	if (rand_r(seed) % 4 == 0)
		message->deadline_ns = test_now_ns() + (unsigned)rand_r(seed) % 3000 * 1000U;
}

static unsigned send_some(struct asys *asys, struct storm storms[], unsigned count, unsigned *seed,
			  const int files[2], const int ends[2])
{
	struct asys_message *batch[8];
	unsigned chosen = 0;

	for (unsigned tries = 0; tries < 16 && chosen < 8; tries++) {
		struct storm *const one = &storms[(unsigned)rand_r(seed) % count];

		if (one->in_flight)
			continue;
		prepare_any(one, seed, files, ends);
		one->message.flags = (uint16_t)((unsigned[]){0, ASYS_LINK_AFTER, ASYS_LINK_SUCCESS,
							     ASYS_LINK_HARD}[rand_r(seed) % 4]);
		one->in_flight = true;
		batch[chosen++] = &one->message;
	}
	if (chosen == 0)
		return 0;
	batch[chosen - 1]->flags = 0;
	assert_int_equal(asys_send(asys, batch, chosen), chosen);
	return chosen;
}

static unsigned reap_some(struct asys *asys, struct storm storms[], int timeout_ms)
{
	struct asys_message *completed[16];
	const int count = asys_wait(asys, completed, 16, timeout_ms);

	assert_in_range(count, 0, 16);
	for (int i = 0; i < count; i++) {
		struct storm *const one = (struct storm *)(void *)completed[i];

		assert_true(one >= storms && one->in_flight);
		one->in_flight = false;
	}
	return (unsigned)count;
}

static void test_a_storm_with_cancels_and_deadlines_completes_once_each(void **state)
{
	enum {
		COUNT = 128,
		ROUNDS = 3000
	};
	struct storm *const storms = calloc(COUNT, sizeof(*storms));
	const int files[2] = {test_file("/var/tmp", 8192), test_file("/dev/shm", 8192)};
	unsigned seed = 20261122, sent = 0, seen = 0;
	uint64_t limit;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct storm *const victim = &storms[(unsigned)rand_r(&seed) % COUNT];

		sent += send_some(*state, storms, COUNT, &seed, files, ends);
		if (rand_r(&seed) % 4 == 0 && victim->in_flight)
			asys_cancel(*state, &victim->message);
		seen += reap_some(*state, storms, round % 32 == 0 ? 1 : 0);
	}
	assert_int_equal(asys_close(*state, ASYS_CLOSE_CANCEL), 0);
	limit = asys_deadline(PATIENCE_MS);
	while (seen < sent) {
		assert_true(test_now_ns() < limit);
		seen += reap_some(*state, storms, 1000);
	}
	assert_int_equal(asys_pending(*state), 0);
	free(storms);
	for (unsigned i = 0; i < 2; i++) {
		close(files[i]);
		close(ends[i]);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, test_create, test_destroy)

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nop_completes_and_leaves_the_user_pointer_alone),
		CASE(test_more_messages_than_a_ring_holds_complete_once_each),
		CASE(test_disk_files_give_what_pread_gives),
		CASE(test_memory_files_give_what_pread_gives),
		CASE(test_flags_of_reads_and_writes_of_one_buffer_are_kept),
		CASE(test_position_moves_as_with_read_and_write),
		CASE(test_an_offset_on_a_pipe_is_refused),
		CASE(test_fixed_files_and_buffers_work_after_close),
		CASE(test_only_commands_repeat_and_pick_memory),
		CASE(test_a_fixed_file_can_be_replaced),
		CASE(test_files_are_opened_extended_synced_and_closed),
		CASE(test_a_descriptor_used_again_is_another_file),
		CASE(test_any_call_can_be_named_by_its_number),
		CASE(test_a_read_waits_for_what_is_written_later),
		CASE(test_many_waiting_reads_do_not_keep_a_write_from_running),
		CASE(test_what_must_not_wait_says_so),
		CASE(test_messages_wait_for_non_blocking_files_as_well),
		CASE(test_event_descriptors_are_read_when_they_are_written),
		CASE(test_sockets_send_and_receive),
		CASE(test_a_connection_is_accepted_and_connected),
		CASE(test_polls_tell_of_readiness),
		CASE(test_timeouts_complete_in_the_order_of_time),
		CASE(test_futexes_wait_and_wake),
		CASE(test_splice_moves_from_an_offset_to_a_pipe),
		CASE(test_linked_writes_and_reads_run_in_order),
		CASE(test_links_join_calls_of_all_kinds),
		CASE(test_success_links_end_at_an_error_or_a_short_read),
		CASE(test_after_links_pass_errors_but_not_cancels),
		CASE(test_a_link_to_nothing_is_refused),
		CASE(test_what_waits_can_be_cancelled),
		CASE(test_a_call_in_a_worker_is_said_not_to_be_cancellable),
		CASE(test_what_completed_is_not_cancelled),
		CASE(test_a_message_cancels_another),
		CASE(test_deadlines_end_what_waits),
		CASE(test_a_call_that_cannot_be_stopped_outlives_its_deadline),
		CASE(test_many_deadlines_are_each_kept),
		CASE(test_messages_posted_by_threads_complete_once_each),
		CASE(test_a_post_wakes_an_owner_that_waits_for_ever),
		CASE(test_a_wake_ends_one_wait_whether_it_comes_before_or_during),
		CASE(test_the_descriptor_tells_of_a_wake),
		CASE(test_the_descriptor_tells_of_every_completion),
		CASE(test_chains_run_by_the_descriptor_alone),
		CASE(test_queued_messages_go_with_the_wait),
		CASE(test_closing_drains_when_asked),
		CASE(test_closing_cancels_when_asked),
		CASE(test_destroying_waits_for_what_uses_memory),
		CASE(test_the_child_of_a_fork_has_a_closed_handle),
		CASE(test_sending_twice_is_refused_or_aborts),
		CASE(test_options_out_of_range_are_refused_by_name),
		CASE(test_a_storm_with_cancels_and_deadlines_completes_once_each),
	};

	if (count != 2 && count != 3) {
		fputs("usage: conformance WAY [PATTERN]\n", stderr);
		return 2;
	}
	if (count == 3)
		cmocka_set_test_filter(arguments[2]);
	if (!test_choose_way(arguments[1]))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
