/* SPDX-License-Identifier: MIT */
/*
 * Writes a valid image of sample.wire with 120 items, which take several sectors, to stdout.
 */
#include "sample.h"

#include <stdio.h>

#define ITEMS        120
#define HEADER_BYTES 48
#define COUNT_OFFSET 8

int main(void)
{
	static unsigned char image[HEADER_BYTES + ITEMS * SAMPLE_ITEM_SIZE] = "SMPL";
	struct sample_box_view box;

	image[COUNT_OFFSET] = ITEMS;
	if (sample_box_open(&box, image, sizeof(image), 512, NULL) != 0)
		return 1;
	sample_box_set_features(&box, SAMPLE_FEATURE_SAFE);
	sample_box_set_start(&box, 1024);
	if (sample_box_set_label(&box, (struct wire_text){"first", 5}) != 0 ||
	    sample_box_set_id(&box, wire_bytes("\1\2\3\4\5\6\7\10", 8)) != 0)
		return 1;
	for (size_t i = 0; i < ITEMS; i++) {
		struct sample_item *const item = sample_box_edit_items(&box, i);

		sample_item_set_what(item, SAMPLE_KIND_DATA);
		sample_item_set_id(item, (uint16_t)i);
		if (sample_item_set_name(item, (struct wire_text){"thing", 5}) != 0)
			return 1;
	}
	if (sample_box_seal(&box) != 0 ||
	    sample_box_check(&box, image, sizeof(image), 512, NULL) != 0)
		return 1;
	return fwrite(image, 1, sizeof(image), stdout) == sizeof(image) ? 0 : 1;
}
