/* SPDX-License-Identifier: MIT */
/*
 * A client of the ioctls of ioctl_driver.c, well-behaved and otherwise. Compiled for 32 bits, it is
 * one of those that have other arguments.
 *
 * usage: ioctl-client PATH          checks each command
 *        ioctl-client PATH compat   those of 32-bit clients, too
 *        ioctl-client PATH hang     sends one that is not answered; the exit status is its errno
 *        ioctl-client PATH again    likewise one that is answered by the next driver
 *        ioctl-client PATH refused  likewise one that the device may not have
 */
#include "ioctl_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
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

static void pointers_are_followed_three_deep(int fd)
{
	char first[] = "one", second[] = "two", third[] = "three", title[] = "titles";
	struct name on_first[] = {name_of(first), name_of(second)}, on_third = name_of(third);
	struct shelf shelves[] = {
		{.count = 2, .names = (uintptr_t)on_first},
		{.count = 3},
		{.count = 1, .names = (uintptr_t)&on_third},
	};
	uint32_t sums[3] = {7, 7, 7};
	struct catalog catalog = {.count = 3, .title = title, .shelves = shelves, .sums = sums};

	check(run(fd, COMMAND_CATALOG, &catalog) == 0, "a catalog is answered");
	check(strcmp(first, "ONE") == 0 && strcmp(second, "TWO") == 0 &&
		      strcmp(third, "THREE") == 0,
	      "what is three pointers away comes back");
	check(sums[0] == on_first[0].sum + on_first[1].sum && sums[1] == 0 &&
		      sums[2] == on_third.sum && on_third.sum == 't' + 'h' + 'r' + 'e' + 'e',
	      "what only goes out does");
	check(catalog.sum == sums[0] + sums[2] + strlen(title), "text goes in up to its end");
	check(strcmp(title, "titles") == 0 && catalog.shelves == shelves && catalog.sums == sums &&
		      shelves[0].names == (uintptr_t)on_first,
	      "pointers, and what only goes in, are as they were");
	catalog = (struct catalog){.count = 3};
	check(run(fd, COMMAND_CATALOG, &catalog) == 0 && catalog.sum == 0,
	      "nothing is nothing, at any depth");
}

/** Text whose end is the end of the client's memory, and text that has none. */
static void text_ends_where_it_ends(int fd)
{
	char *const pages =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct catalog catalog = {.title = pages + 4096 - TITLE_MOST};

	munmap(pages + 4096, 4096);
	memcpy(catalog.title, "1234567", TITLE_MOST);
	check(run(fd, COMMAND_CATALOG, &catalog) == 0 && catalog.sum == 7,
	      "text may be as long as is described");
	catalog.title[TITLE_MOST - 1] = '8';
	check(fails_with(fd, COMMAND_CATALOG, &catalog, E2BIG), "and not longer");
	catalog.title++;
	check(fails_with(fd, COMMAND_CATALOG, &catalog, EFAULT), "all of it has to be there");
	catalog.title = (char *)(uintptr_t)UINT64_C(0xffffffff81000000);
	check(fails_with(fd, COMMAND_CATALOG, &catalog, EFAULT), "and to be the client's");
	catalog.title = pages;
	check(run(fd, COMMAND_CATALOG, &catalog) == 0 && catalog.sum == 0, "it may be empty");
	munmap(pages, 4096);
}

static void counts_are_limited_at_any_depth(int fd)
{
	struct name names[SHELF_MOST + 1] = {{0}};
	struct shelf shelves[SHELVES_MOST + 1] = {
		{.count = SHELF_MOST + 1, .names = (uintptr_t)names}};
	struct catalog catalog = {.count = SHELVES_MOST + 1, .shelves = shelves};

	check(fails_with(fd, COMMAND_CATALOG, &catalog, E2BIG), "one pointer away");
	catalog.count = 1;
	check(fails_with(fd, COMMAND_CATALOG, &catalog, E2BIG), "two pointers away");
	shelves[0].count--;
	names[SHELF_MOST - 1].length = TEXT_MOST + 1;
	check(fails_with(fd, COMMAND_CATALOG, &catalog, E2BIG), "three pointers away");
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
	check(sizeof(long) == 4 || fails_with(fd, COMMAND_NOTE_32, &note, ENOTTY) ||
		      errno == EPROTO,
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

static void catalogs_of_32_bits_are_served(int fd, char *page)
{
	struct catalog_32 *const catalog = (void *)(page + 1024);
	struct shelf *const shelf = (void *)(page + 1152);
	struct name *const name = (void *)(page + 1280);
	uint32_t *const sum = (void *)(page + 1408);

	memcpy(page, "xyz\0title", 10);
	*name = name_of(page);
	*shelf = (struct shelf){.count = 1, .names = (uintptr_t)name};
	*catalog = (struct catalog_32){
		.count = 1,
		.title = (uint32_t)(uintptr_t)page + 4,
		.shelves = (uint32_t)(uintptr_t)shelf,
		.sums = (uint32_t)(uintptr_t)sum,
	};
	check(run_32(fd, COMMAND_CATALOG, catalog) == 0 && strcmp(page, "XYZ") == 0 &&
		      *sum == 'x' + 'y' + 'z' && catalog->sum == *sum + 5,
	      "pointers of either width are followed where numbers do not tell");
	check(catalog->sums == (uint32_t)(uintptr_t)sum && shelf->names == (uintptr_t)name,
	      "and are as they were");
	catalog->title = 8;
	check(run_32(fd, COMMAND_CATALOG, catalog) == -EFAULT, "if they lead anywhere");
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
	catalogs_of_32_bits_are_served(fd, page);
	munmap(page, 4096);
}
#else
static void clients_of_32_bits_are_served(int fd)
{
	(void)fd;
}
#endif

int main(int count, char **arguments)
{
	const char *const what = count > 2 ? arguments[2] : "";
	uint64_t number = 1;
	int fd;

	fd = count > 1 ? open(arguments[1], O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) {
		fprintf(stderr, "usage: ioctl-client PATH [compat|hang|again|refused]\n");
		return 2;
	}
	if (strcmp(what, "hang") == 0)
		return run(fd, COMMAND_HANG, NULL) == 0 ? 0 : errno;
	if (strcmp(what, "again") == 0)
		return run(fd, COMMAND_AGAIN, &number) == 0 ? number != 2 : errno;
	if (strcmp(what, "refused") == 0)
		return run(fd, COMMAND_TWICE, &number) == 0 ? 0 : errno;
	pointers_are_followed(fd);
	pointers_are_followed_three_deep(fd);
	text_ends_where_it_ends(fd);
	counts_are_limited_at_any_depth(fd);
	numbers_tell_the_rest(fd);
	limits_hold(fd);
	memory_that_cannot_be_written_is_an_error(fd);
	notes_hold_pointers(fd);
	if (strcmp(what, "compat") == 0)
		clients_of_32_bits_are_served(fd);
	return failures != 0;
}
