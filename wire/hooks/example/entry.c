/* SPDX-License-Identifier: MIT */
/*
 * The part of the example that knows the journal and nothing of the disk.
 */
#include "example.h"
#include "journal.h"

#include <stdio.h>

int check_entry(void)
{
	static const unsigned char image[] = {0, 0, 0, 3, 0, 2, 'a', 'b', 'c'};
	struct journal_entry_view view;
	struct wire_fault fault;
	char text[200];

	if (journal_entry_check(&view, image, sizeof(image), &fault) != 0 ||
	    journal_entry_what(&view) != JOURNAL_ACTION_DISCARD)
		return 1;
	if (journal_entry_check(&view, image, sizeof(image) - 1, &fault) == 0)
		return 1;
	wire_fault_text(&fault, text, sizeof(text));
	printf("journal entry cut short: %s\n", text);
	return 0;
}
