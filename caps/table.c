/* SPDX-License-Identifier: MIT */
/*
 * Finds records by their id. The links lie in the records; ids count up, so that their low bits
 * spread them.
 */
#include <errno.h>
#include <stdlib.h>

#include "caps_internal.h"

#define FIRST_ROOM 64

int caps_table_init(struct caps_table *table)
{
	table->slots = calloc(FIRST_ROOM, sizeof(struct caps_node *));
	if (table->slots == NULL)
		return base_error(ENOMEM, "no memory for messages");
	table->room = FIRST_ROOM;
	table->count = 0;
	return 0;
}

void caps_table_finish(struct caps_table *table)
{
	free(table->slots);
	table->slots = NULL;
}

static void put(struct caps_table *table, struct caps_node *node)
{
	struct caps_node **slot = &table->slots[node->id & (table->room - 1)];

	node->next = *slot;
	*slot = node;
}

/* Without memory it stays as it is, only slower. */
static void grow(struct caps_table *table)
{
	struct caps_table larger = {.room = table->room * 2};

	larger.slots = calloc(larger.room, sizeof(struct caps_node *));
	if (larger.slots == NULL)
		return;
	for (size_t i = 0; i < table->room; i++)
		for (struct caps_node *node = table->slots[i], *next; node != NULL; node = next) {
			next = node->next;
			put(&larger, node);
		}
	free(table->slots);
	table->slots = larger.slots;
	table->room = larger.room;
}

void caps_table_add(struct caps_table *table, struct caps_node *node)
{
	if (table->count++ == table->room)
		grow(table);
	put(table, node);
}

void caps_table_remove(struct caps_table *table, struct caps_node *node)
{
	struct caps_node **slot = &table->slots[node->id & (table->room - 1)];

	while (*slot != node)
		slot = &(*slot)->next;
	*slot = node->next;
	table->count--;
}
