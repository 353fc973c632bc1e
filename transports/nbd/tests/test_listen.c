/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets: files of others are not touched, nothing is left behind, and clients are told
 * an address that works.
 */
#include "base/error.h"
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/bdus-test-listen-XXXXXX";
static char path[64];
static struct nbd_listeners listeners;

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) == NULL ? -1 : 0;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

static int set_up(void **state)
{
	(void)state;
	memset(&listeners, 0, sizeof(listeners));
	snprintf(path, sizeof(path), "%s/s", directory);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	nbd_listen_close(&listeners);
	unlink(path);
	return 0;
}

static bool exists(void)
{
	struct stat status;

	return lstat(path, &status) == 0;
}

static void test_socket_file_has_its_mode_and_goes(void **state)
{
	struct stat status;
	const mode_t old = umask(0077);

	(void)state;
	assert_int_equal(nbd_listen_unix(&listeners, path, 0666), 0);
	umask(old);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0666);
	nbd_listen_close(&listeners);
	assert_false(exists());
}

static void test_live_socket_is_refused_by_name(void **state)
{
	struct nbd_listeners second = {.count = 0};

	(void)state;
	assert_int_equal(nbd_listen_unix(&listeners, path, 0600), 0);
	assert_int_equal(nbd_listen_unix(&second, path, 0600), -EADDRINUSE);
	assert_non_null(strstr(base_error_message(), path));
	assert_int_equal(second.count, 0);
	assert_true(exists());
}

static void test_socket_of_a_dead_server_is_replaced(void **state)
{
	(void)state;
	if (fork() == 0) {
		nbd_listen_unix(&listeners, path, 0600);
		_exit(0);
	}
	wait(NULL);
	assert_true(exists());
	assert_int_equal(nbd_listen_unix(&listeners, path, 0600), 0);
}

static void test_files_that_are_no_sockets_are_left_alone(void **state)
{
	const int fd = open(path, O_CREAT | O_WRONLY, 0600);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(nbd_listen_unix(&listeners, path, 0600), -EADDRINUSE);
	assert_non_null(strstr(base_error_message(), "not a socket"));
	assert_true(exists());
	assert_int_equal(nbd_listen_unix(&listeners, directory, 0600), -EADDRINUSE);
}

static void test_file_that_another_server_put_there_stays(void **state)
{
	struct nbd_listeners second = {.count = 0};

	(void)state;
	assert_int_equal(nbd_listen_unix(&listeners, path, 0600), 0);
	unlink(path);
	assert_int_equal(nbd_listen_unix(&second, path, 0600), 0);
	nbd_listen_close(&listeners);
	assert_true(exists());
	nbd_listen_close(&second);
	assert_false(exists());
}

static void test_long_and_impossible_paths_are_refused(void **state)
{
	char long_path[200];

	(void)state;
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(nbd_listen_unix(&listeners, long_path, 0600), -ENAMETOOLONG);
	assert_int_equal(nbd_listen_unix(&listeners, "/nowhere/s", 0600), -ENOENT);
	assert_int_equal(listeners.count, 0);
}

static void test_uris_are_escaped(void **state)
{
	char uri[192];

	(void)state;
	snprintf(path, sizeof(path), "%s/a b%%&?", directory);
	assert_int_equal(nbd_listen_unix(&listeners, path, 0600), 0);
	assert_int_equal(nbd_listen_uri(&listeners, "x/#y", uri, sizeof(uri)), 0);
	assert_int_equal(strncmp(uri, "nbd+unix:///x/%23y?socket=/tmp/", 30), 0);
	assert_non_null(strstr(uri, "/a%20b%25%26%3F"));
	assert_int_equal(nbd_listen_uri(&listeners, "x", uri, 30), -ENAMETOOLONG);
}

static void test_free_port_is_told(void **state)
{
	struct nbd_listeners second = {.count = 0};
	static const char start[] = "nbd://127.0.0.1:";
	char uri[192];
	unsigned long port;

	(void)state;
	assert_int_equal(nbd_listen_tcp(&listeners, "127.0.0.1", 0), 0);
	assert_int_equal(nbd_listen_uri(&listeners, "", uri, sizeof(uri)), 0);
	assert_memory_equal(uri, start, strlen(start));
	port = strtoul(uri + strlen(start), NULL, 10);
	assert_in_range(port, 1, UINT16_MAX);
	assert_int_equal(nbd_listen_tcp(&second, "127.0.0.1", (uint16_t)port), -EADDRINUSE);
	assert_non_null(strstr(base_error_message(), "127.0.0.1"));
	nbd_listen_close(&listeners);
	/* A socket that listens on all addresses is reached at the loopback. */
	assert_int_equal(nbd_listen_tcp(&listeners, "0.0.0.0", 0), 0);
	assert_int_equal(nbd_listen_uri(&listeners, "", uri, sizeof(uri)), 0);
	assert_memory_equal(uri, start, strlen(start));
	assert_int_equal(nbd_listen_tcp(&second, "host.invalid", 0), -EADDRNOTAVAIL);
}

/* ---- socket activation; each in a process of its own, as descriptor 3 is taken ------------- */

/** Runs @body in a child with descriptor 3 being @fd; its result becomes the exit status. */
static int in_child(int fd, int (*body)(void))
{
	const pid_t child = fork();
	int status = -1;

	if (child == 0) {
		if (fd < 0)
			close(3);
		else
			dup2(fd, 3);
		_exit(body());
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void set_number(const char *name, long number)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", number);
	setenv(name, text, 1);
}

static int takes_over(void)
{
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_FDNAMES", "x", 1);
	set_number("LISTEN_PID", getpid());
	if (nbd_listen_inherit(&listeners) != 1 || listeners.fds[0] != 3)
		return 1;
	if (!(fcntl(3, F_GETFD) & FD_CLOEXEC) || !(fcntl(3, F_GETFL) & O_NONBLOCK))
		return 2;
	if (getenv("LISTEN_FDS") || getenv("LISTEN_PID") || getenv("LISTEN_FDNAMES"))
		return 3;
	return listeners.path[0] == '\0' ? 0 : 4;
}

static int takes_over_from_parent(void)
{
	setenv("LISTEN_FDS", "1", 1);
	set_number("LISTEN_PID", getppid());
	return nbd_listen_inherit(&listeners) == 1 ? 0 : 1;
}

static int ignores_what_is_for_others(void)
{
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_PID", "1", 1);
	return getppid() != 1 && nbd_listen_inherit(&listeners) != 0;
}

static int refuses(void)
{
	setenv("LISTEN_FDS", "1", 1);
	set_number("LISTEN_PID", getpid());
	if (nbd_listen_inherit(&listeners) != -ENOTSOCK)
		return 1;
	return listeners.count == 0 && getenv("LISTEN_FDS") == NULL ? 0 : 2;
}

static void test_activated_socket_is_taken_over(void **state)
{
	struct nbd_listeners manager = {.count = 0};

	(void)state;
	assert_int_equal(nbd_listen_unix(&manager, path, 0600), 0);
	assert_int_equal(in_child(manager.fds[0], takes_over), 0);
	assert_int_equal(in_child(manager.fds[0], takes_over_from_parent), 0);
	assert_int_equal(in_child(manager.fds[0], ignores_what_is_for_others), 0);
	/* The file belongs to the manager. */
	assert_true(exists());
	nbd_listen_close(&manager);
}

static void test_activation_with_anything_else_is_refused(void **state)
{
	const int plain = open("/dev/null", O_RDWR);
	const int unconnected = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(in_child(plain, refuses), 0);
	assert_int_equal(in_child(unconnected, refuses), 0);
	assert_int_equal(in_child(-1, refuses), 0);
	close(plain);
	close(unconnected);
}

#define PROPERTY(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROPERTY(socket_file_has_its_mode_and_goes),
		PROPERTY(live_socket_is_refused_by_name),
		PROPERTY(socket_of_a_dead_server_is_replaced),
		PROPERTY(files_that_are_no_sockets_are_left_alone),
		PROPERTY(file_that_another_server_put_there_stays),
		PROPERTY(long_and_impossible_paths_are_refused),
		PROPERTY(uris_are_escaped),
		PROPERTY(free_port_is_told),
		PROPERTY(activated_socket_is_taken_over),
		PROPERTY(activation_with_anything_else_is_refused),
	};

	return cmocka_run_group_tests_name("nbd-listen", tests, make_directory, remove_directory);
}
