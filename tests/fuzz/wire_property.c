/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: generated code on any data. What the validator lets through can be walked, printed,
 * compared and sealed without a step outside the data; laying out agrees with validating.
 */
#include <stdlib.h>

#include "property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t touched;

static int touch(struct wire_walk *w, const struct wire_node *node)
{
	(void)w;
	if (node->size != 0 && node->data == NULL)
		abort();
	for (uint64_t i = 0; i < node->size; i++)
		touched += node->data[i];
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char *copy = malloc(size == 0 ? 1 : size);
	struct wire_walk walk = {.visit = touch, .data = copy, .size = size};
	struct property_root_view checked, opened;
	struct wire_fault fault;

	if (copy == NULL)
		abort();
	if (size != 0)
		memcpy(copy, data, size);
	if (property_root_check(&checked, copy, size, &fault) == 0) {
		if (property_root_open(&opened, copy, size, NULL) != 0 ||
		    opened.length != checked.length || !property_root_equal(&checked, &opened) ||
		    property_root_walk(&checked, &walk) != 0)
			abort();
		/* Setting what is right already changes nothing. */
		if (property_root_seal(&checked) != 0 ||
		    (size != 0 && memcmp(copy, data, size) != 0))
			abort();
	} else if (property_root_open(&opened, copy, size, NULL) == 0) {
		if (property_root_walk(&opened, &walk) != 0 || opened.length > size)
			abort();
		(void)property_root_seal(&opened);
	}
	free(copy);
	return 0;
}
