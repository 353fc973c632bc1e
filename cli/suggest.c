/* SPDX-License-Identifier: MIT */
/*
 * Finds the word that a mistyped one was probably meant to be: the one that the fewest slips away
 * (a letter wrong, missing, too much, or two swapped), if that is few enough for its length.
 */
#include "cli_internal.h"

#include <stdio.h>
#include <string.h>

#define LONGEST 32

static unsigned smallest(unsigned a, unsigned b, unsigned c)
{
	const unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/** The number of slips between two words of at most LONGEST letters. */
static unsigned slips_between(const char *a, size_t a_length, const char *b, size_t b_length)
{
	/* rows[i % 3][j]: between the first i letters of a and the first j letters of b */
	unsigned rows[3][LONGEST + 1];

	for (unsigned j = 0; j <= b_length; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= a_length; i++) {
		unsigned *const row = rows[i % 3];
		const unsigned *const above = rows[(i + 2) % 3];
		const unsigned *const above_that = rows[(i + 1) % 3];

		row[0] = i;
		for (unsigned j = 1; j <= b_length; j++) {
			const unsigned differs = a[i - 1] != b[j - 1];

			row[j] = smallest(above[j] + 1, row[j - 1] + 1, above[j - 1] + differs);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    above_that[j - 2] + 1 < row[j])
				row[j] = above_that[j - 2] + 1;
		}
	}
	return rows[a_length % 3][b_length];
}

void cli_suggest(struct cli_suggestion *suggestion, const char *candidate)
{
	const size_t word_length = strlen(suggestion->word);
	const size_t length = strlen(candidate);
	unsigned distance;

	if (word_length == 0 || word_length > LONGEST || length > LONGEST)
		return;
	/* A beginning of a word is a good guess however much is missing. */
	if (word_length >= 2 && word_length < length &&
	    strncmp(candidate, suggestion->word, word_length) == 0)
		distance = 1;
	else
		distance = slips_between(suggestion->word, word_length, candidate, length);
	if (distance > (length <= 3 ? 1 : length <= 6 ? 2 : 3))
		return;
	if (suggestion->best == NULL || distance < suggestion->distance) {
		suggestion->best = candidate;
		suggestion->distance = distance;
	}
}

const char *cli_suggestion_text(const struct cli_suggestion *suggestion)
{
	static char text[LONGEST + 32];

	text[0] = '\0';
	if (suggestion->best != NULL)
		snprintf(text, sizeof(text), "; did you mean \"%s\"?", suggestion->best);
	return text;
}
