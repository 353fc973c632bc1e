/* SPDX-License-Identifier: MIT */
/*
 * One malloc() and one free() at a time, for counting instructions: usage: pairs COUNT
 */
#include <stdlib.h>

int main(int count, char **words)
{
	const unsigned long pairs = count == 2 ? strtoul(words[1], NULL, 10) : 0;

	for (unsigned long i = 0; i < pairs; i++) {
		void *volatile block = malloc(48);

		free(block);
	}
	return pairs == 0;
}
