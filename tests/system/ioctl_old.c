/* SPDX-License-Identifier: MIT */
/*
 * A driver that takes ioctls by the BDUS 0.1 API, and its client.
 *
 * usage: ioctl-old serve    runs a device, and prints its path
 *        ioctl-old PATH     checks each command
 */
#include <bdus.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static int failures;

static void check(bool holds, const char *what)
{
	if (!holds) {
		printf("FAIL: %s (errno %s)\n", what, strerror(errno));
		failures++;
	}
}

static int run(int fd, unsigned command, void *argument)
{
	errno = 0;
	return ioctl(fd, (unsigned long)command, argument);
}

static bool fails_with(int fd, unsigned command, void *argument, int error)
{
	return run(fd, command, argument) == -1 && errno == error;
}

#define OLD_READ  _IOC(_IOC_READ, 'o', 1, 8)
#define OLD_WRITE _IOC(_IOC_WRITE, 'o', 2, 8)
#define OLD_BOTH  _IOC(_IOC_READ | _IOC_WRITE, 'o', 3, 8)
#define OLD_NONE  _IO('o', 4)

static int serve_ioctl(uint32_t command, void *argument, struct bdus_ctx *ctx)
{
	uint64_t *const number = argument;

	(void)ctx;
	switch (command) {
	case OLD_READ:
		return *number == 5 ? (*number = 6, 0) : ERANGE;
	case OLD_WRITE:
		return *number == 0 ? (*number = 6, 0) : ERANGE;
	case OLD_BOTH:
		*number += 1;
		return *number == 6 ? 0 : EMLINK;
	case OLD_NONE:
		return argument == NULL ? 0 : ERANGE;
	default:
		return -3;
	}
}

static int read_zeros(char *buffer, uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)offset;
	(void)ctx;
	memset(buffer, 0, size);
	return 0;
}

static int serve(void)
{
	const struct bdus_ops ops = {.read = read_zeros, .ioctl = serve_ioctl};
	const struct bdus_attrs attrs = {.logical_block_size = 512, .size = 1 << 20};

	if (bdus_run(&ops, &attrs, NULL))
		return EXIT_SUCCESS;
	fprintf(stderr, "%s\n", bdus_get_error_message());
	return EXIT_FAILURE;
}

static void check_old(int fd)
{
	uint64_t number = 5;

	check(run(fd, OLD_READ, &number) == 0 && number == 5, "with READ, bytes come and stay");
	check(run(fd, OLD_WRITE, &number) == 0 && number == 6, "with WRITE, zeros become bytes");
	number = 5;
	check(run(fd, OLD_BOTH, &number) == 0 && number == 6, "with both, they come and go");
	check(fails_with(fd, OLD_BOTH, &number, EMLINK) && number == 6,
	      "an error comes back as it is, and nothing else");
	check(run(fd, OLD_NONE, &number) == 0, "with none, there is no argument");
	check(fails_with(fd, _IO('o', 5), NULL, EIO), "what is no errno value becomes EIO");
}

int main(int count, char **arguments)
{
	int fd;

	if (count == 2 && strcmp(arguments[1], "serve") == 0)
		return serve();
	fd = count == 2 ? open(arguments[1], O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) {
		fprintf(stderr, "usage: ioctl-old PATH | serve\n");
		return 2;
	}
	check_old(fd);
	return failures != 0;
}
