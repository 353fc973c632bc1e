/* SPDX-License-Identifier: MIT */
/*
 * A client of the ioctls of ioctl_driver.c, well-behaved and otherwise; and a driver and client of
 * the BDUS 0.1 API's.
 *
 * usage: ioctl-client PATH          checks each command
 *        ioctl-client PATH compat   those of 32-bit clients, too
 *        ioctl-client PATH hang     sends one that is not answered; the exit status is its errno
 *        ioctl-client PATH again    likewise one that is answered by the next driver
 *        ioctl-client PATH refused  likewise one that the device may not have
 *        ioctl-client serve         serves ioctls by bdus.h
 *        ioctl-client PATH old      checks those
 */
#include "ioctl_commands.h"

#include <bdus.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

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

static struct name name_of(char *text)
{
	return (struct name){.text = (uintptr_t)text, .length = (uint32_t)strlen(text), .sum = 7};
}

static void pointers_are_followed(int fd)
{
	char first[] = "first", second[] = "the second one";
	struct name names[] = {name_of(first), {.length = 9}, name_of(second)};
	struct query query = {.count = 3, .names = (uintptr_t)names};

	check(run(fd, COMMAND_QUERY, &query) == 0, "a query is answered");
	check(strcmp(first, "FIRST") == 0 && strcmp(second, "THE SECOND ONE") == 0,
	      "what is pointed to by what is pointed to comes back");
	check(names[0].sum == 'f' + 'i' + 'r' + 's' + 't' && names[1].sum == 0,
	      "so does what is pointed to");
	check(query.sum == names[0].sum + names[2].sum, "and the argument");
	check(query.names == (uintptr_t)names && names[0].text == (uintptr_t)first &&
		      names[1].text == 0,
	      "pointers are as they were");
	query = (struct query){.count = 5};
	check(run(fd, COMMAND_QUERY, &query) == 0 && query.sum == 0, "nothing is nothing");
}

static void numbers_tell_the_rest(int fd)
{
	unsigned char bytes[ODD_BYTES] = {1, 2, 3};
	uint64_t number = 21;

	check(run(fd, COMMAND_TWICE, &number) == 0 && number == 42, "the number says the length");
	check(run(fd, COMMAND_ODD, bytes) == 0 && bytes[0] == 2 && bytes[23] == 1,
	      "or the description does");
	check(fails_with(fd, COMMAND_FAIL, NULL, EXDEV), "any error comes back");
	check(fails_with(fd, _IO('b', 99), NULL, ENOTTY), "there is no such command");
	check(fails_with(fd, COMMAND_TWICE, NULL, EFAULT), "nothing is no argument");
}

static void limits_hold(int fd)
{
	static struct name names[NAMES_MOST];
	char *const text = calloc(1, TEXT_MOST + 1);
	char letter = 'x';
	struct query query = {.count = NAMES_MOST + 1, .names = (uintptr_t)names};

	check(fails_with(fd, COMMAND_QUERY, &query, E2BIG), "counts are limited");
	for (unsigned i = 0; i < NAMES_MOST; i++)
		names[i] = (struct name){.text = (uintptr_t)&letter, .length = 1};
	query.count = NAMES_MOST;
	check(fails_with(fd, COMMAND_QUERY, &query, E2BIG), "pieces are limited");
	check(letter == 'x' && names[0].sum == 0, "nothing comes back of what was refused");
	query.count = 2;
	names[0].length = TEXT_MOST + 1;
	check(fails_with(fd, COMMAND_QUERY, &query, E2BIG), "lengths are limited");
	names[0] = (struct name){.text = (uintptr_t)text, .length = TEXT_MOST - 64};
	check(run(fd, COMMAND_QUERY, &query) == 0, "nearly a mebibyte is carried");
	names[1] = names[0];
	check(fails_with(fd, COMMAND_QUERY, &query, E2BIG), "bytes are limited");
	names[1] = (struct name){.text = 8, .length = 1};
	check(fails_with(fd, COMMAND_QUERY, &query, EFAULT), "what is not there is not copied");
	names[1].text = UINT64_C(0xffffffff81000000);
	check(fails_with(fd, COMMAND_QUERY, &query, EFAULT), "memory of the kernel is not, either");
	query.names = 12345;
	check(fails_with(fd, COMMAND_QUERY, &query, EFAULT), "nor is a bad array");
	free(text);
}

static void memory_that_cannot_be_written_is_an_error(int fd)
{
	struct query *const query = mmap(NULL, sizeof(*query), PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(query, sizeof(*query), PROT_READ);
	check(fails_with(fd, COMMAND_QUERY, query, EFAULT), "what goes back has to have a place");
	munmap(query, sizeof(*query));
}

static void notes_hold_pointers(int fd)
{
	char text[] = "abc";
	struct note note = {.text = text, .length = 3};

	check(run(fd, COMMAND_NOTE, &note) == 0 && note.sum == 'a' + 'b' + 'c',
	      "pointers as wide as the client's are followed");
	check(strcmp(text, "abc") == 0, "what only comes does not go back");
	check(fails_with(fd, COMMAND_NOTE_32, &note, ENOTTY) || errno == EPROTO,
	      "what 32-bit clients have is not for others");
}

#ifdef __x86_64__
/* A process may call the kernel as a 32-bit one would, in memory that such a one could have. */
static long run_32(int fd, unsigned command, void *argument)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(54L), "b"((long)fd), "c"((long)command), "d"((long)argument)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

static void clients_of_32_bits_are_served(int fd)
{
	char *const page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	struct note_32 *const note = (void *)(page + 128);
	struct name *const name = (void *)(page + 256);
	struct query *const query = (void *)(page + 512);

	memcpy(page, "abc", 4);
	*note = (struct note_32){.text = (uint32_t)(uintptr_t)page, .length = 3};
	check(run_32(fd, COMMAND_NOTE_32, note) == 0 && note->sum == 'a' + 'b' + 'c',
	      "their pointers are followed");
	check(note->text == (uint32_t)(uintptr_t)page, "and kept");
	*name = name_of(page);
	*query = (struct query){.count = 1, .names = (uintptr_t)name};
	check(run_32(fd, COMMAND_QUERY, query) == 0 && query->sum == note->sum &&
		      strcmp(page, "ABC") == 0,
	      "one description serves both, where pointers are as wide");
	munmap(page, 4096);
}
#else
static void clients_of_32_bits_are_served(int fd)
{
	(void)fd;
}
#endif

/* ---- BDUS 0.1 ------------------------------------------------------------------------------ */

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
	const char *const what = count > 2 ? arguments[2] : "";
	uint64_t number = 1;
	int fd;

	if (count == 2 && strcmp(arguments[1], "serve") == 0)
		return serve();
	fd = count > 1 ? open(arguments[1], O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) {
		fprintf(stderr,
			"usage: ioctl-client PATH [compat|hang|again|refused|old] | serve\n");
		return 2;
	}
	if (strcmp(what, "hang") == 0)
		return run(fd, COMMAND_HANG, NULL) == 0 ? 0 : errno;
	if (strcmp(what, "again") == 0)
		return run(fd, COMMAND_AGAIN, &number) == 0 ? number != 2 : errno;
	if (strcmp(what, "refused") == 0)
		return run(fd, COMMAND_TWICE, &number) == 0 ? 0 : errno;
	if (strcmp(what, "old") == 0) {
		check_old(fd);
		return failures != 0;
	}
	pointers_are_followed(fd);
	numbers_tell_the_rest(fd);
	limits_hold(fd);
	memory_that_cannot_be_written_is_an_error(fd);
	notes_hold_pointers(fd);
	if (strcmp(what, "compat") == 0)
		clients_of_32_bits_are_served(fd);
	return failures != 0;
}
