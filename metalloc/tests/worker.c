/* SPDX-License-Identifier: MIT */
/*
 * A program for the tests to run under libmetalloc: allocates in a way that its arguments name, and
 * ends in one.
 *
 * usage: metalloc-worker LOAD END
 *
 * LOADs: small (many small blocks, in quick turn), big (blocks of some 100 KiB), keep (nothing is
 * released), pingpong (one thread allocates, another releases), mixed. ENDs: exit, _exit, kill,
 * overflow (writes behind a block), twice (releases one twice), late (writes to a block that is
 * released), wild (releases no block).
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LIVE 2000u

static void *blocks[LIVE];

static void turn(unsigned count, unsigned least, unsigned most)
{
	unsigned random = 1;

	for (unsigned i = 0; i < count; i++) {
		const unsigned place = (random = random * 1664525 + 1013904223) >> 8;
		const size_t bytes = least + (random >> 16) % (most - least);

		free(blocks[place % LIVE]);
		blocks[place % LIVE] = malloc(bytes);
		memset(blocks[place % LIVE], 1, bytes);
	}
}

static void *release_all(void *argument)
{
	(void)argument;
	for (unsigned i = 0; i < LIVE; i++)
		free(blocks[i]);
	return NULL;
}

static void pingpong(void)
{
	for (unsigned round = 0; round < 60; round++) {
		pthread_t thread;

		for (unsigned i = 0; i < LIVE; i++)
			blocks[i] = malloc(16 + i % 512);
		pthread_create(&thread, NULL, release_all, NULL);
		pthread_join(thread, NULL);
	}
	memset((void *)blocks, 0, sizeof(blocks));
}

static void load(const char *name)
{
	if (strcmp(name, "small") == 0)
		turn(500000, 1, 300);
	else if (strcmp(name, "big") == 0)
		turn(3000, 40000, 200000);
	else if (strcmp(name, "mixed") == 0)
		turn(50000, 1, 20000);
	else if (strcmp(name, "keep") == 0)
		for (unsigned i = 0; i < 100000; i++)
			*(volatile char *)malloc(1 + i % 200) = 1;
	else if (strcmp(name, "pingpong") == 0)
		pingpong();
}

/** Mistakes that a hardened execution does not survive; others may. */
static void err(const char *how)
{
	char *volatile block = malloc(100);

	if (strcmp(how, "twice") == 0) {
		free(block);
		free(block);
	} else if (strcmp(how, "wild") == 0) {
		free(block + 16);
	} else if (strcmp(how, "late") == 0) {
		free(block);
		block[50] = 1;
		for (unsigned i = 0; i < 5000; i++)
			free(malloc(100));
	} else if (strcmp(how, "overflow") == 0) {
		block = malloc(100000);
		memset(block, 1, 100016);
	}
}

int main(int count, char **arguments)
{
	struct rusage usage;

	if (count != 3)
		return 2;
	load(arguments[1]);
	getrusage(RUSAGE_SELF, &usage);
	printf("%ld %ld\n", usage.ru_maxrss,
	       usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec +
		       usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec);
	fflush(stdout);
	if (strcmp(arguments[2], "_exit") == 0)
		_exit(0);
	if (strcmp(arguments[2], "kill") == 0)
		raise(SIGKILL);
	err(arguments[2]);
	return 0;
}
