/* SPDX-License-Identifier: MIT */
/*
 * What the calls of a handle give, whatever carries them out. Run once for each way; see
 * TEST_MAIN().
 */
#include "asys_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

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

static const struct CMUnitTest tests[] = {
	TEST_CASE(test_nop_completes_and_leaves_the_user_pointer_alone),
	TEST_CASE(test_more_messages_than_a_ring_holds_complete_once_each),
	TEST_CASE(test_disk_files_give_what_pread_gives),
	TEST_CASE(test_memory_files_give_what_pread_gives),
	TEST_CASE(test_flags_of_reads_and_writes_of_one_buffer_are_kept),
	TEST_CASE(test_position_moves_as_with_read_and_write),
	TEST_CASE(test_an_offset_on_a_pipe_is_refused),
	TEST_CASE(test_fixed_files_and_buffers_work_after_close),
	TEST_CASE(test_only_commands_repeat_and_pick_memory),
	TEST_CASE(test_a_fixed_file_can_be_replaced),
	TEST_CASE(test_files_are_opened_extended_synced_and_closed),
	TEST_CASE(test_a_descriptor_used_again_is_another_file),
	TEST_CASE(test_any_call_can_be_named_by_its_number),
	TEST_CASE(test_a_read_waits_for_what_is_written_later),
	TEST_CASE(test_many_waiting_reads_do_not_keep_a_write_from_running),
	TEST_CASE(test_what_must_not_wait_says_so),
	TEST_CASE(test_messages_wait_for_non_blocking_files_as_well),
	TEST_CASE(test_event_descriptors_are_read_when_they_are_written),
	TEST_CASE(test_sockets_send_and_receive),
	TEST_CASE(test_a_connection_is_accepted_and_connected),
	TEST_CASE(test_polls_tell_of_readiness),
	TEST_CASE(test_timeouts_complete_in_the_order_of_time),
	TEST_CASE(test_futexes_wait_and_wake),
	TEST_CASE(test_splice_moves_from_an_offset_to_a_pipe),
};

TEST_MAIN(tests)
