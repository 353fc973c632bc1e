/* SPDX-License-Identifier: MIT */
/*
 * Makes a superblock and an entry of a journal, checks both, and shows what the validators say of
 * damage. Exits with 0 if all is as it should be.
 */
#include "disk.h"
#include "example.h"

#include <stdio.h>

static int check_superblock(void)
{
	struct disk_superblock sb;
	struct wire_fault fault;
	char text[200];

	disk_superblock_init(&sb);
	disk_superblock_set_blocks(&sb, 1000);
	units_stamp_set_seconds(disk_superblock_edit_made(&sb), 1795000000);
	if (disk_superblock_seal(&sb) != 0 || disk_superblock_check(&sb, sizeof(sb), &fault) != 0)
		return 1;
	((unsigned char *)&sb)[20] ^= 1;
	if (disk_superblock_check(&sb, sizeof(sb), &fault) == 0)
		return 1;
	wire_fault_text(&fault, text, sizeof(text));
	printf("superblock with a bit flipped: %s\n", text);
	return 0;
}

int main(void)
{
	return check_superblock() | check_entry();
}
