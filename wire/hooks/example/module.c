/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The example as a kernel module: it does not load unless the validators do their work there, too.
 */
#include "disk.h"
#include "journal.h"

#include <linux/kernel.h>
#include <linux/module.h>

static int example_check_entry(void)
{
	static const unsigned char image[] = {0, 0, 0, 3, 0, 2, 'a', 'b', 'c'};
	struct journal_entry_view view;

	if (journal_entry_check(&view, image, sizeof(image), NULL) != 0)
		return -EINVAL;
	return journal_entry_what(&view) == JOURNAL_ACTION_DISCARD ? 0 : -EINVAL;
}

static int __init example_init(void)
{
	struct disk_superblock sb;
	struct wire_fault fault;
	char text[120];

	disk_superblock_init(&sb);
	disk_superblock_set_blocks(&sb, 1000);
	if (disk_superblock_seal(&sb) != 0 || disk_superblock_check(&sb, sizeof(sb), &fault) != 0)
		return -EINVAL;
	((unsigned char *)&sb)[20] ^= 1;
	if (disk_superblock_check(&sb, sizeof(sb), &fault) == 0)
		return -EINVAL;
	wire_fault_text(&fault, text, sizeof(text));
	pr_info("wire-example: superblock with a bit flipped: %s\n", text);
	return example_check_entry();
}

static void __exit example_exit(void)
{
}

module_init(example_init);
module_exit(example_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Example of structures that wirec generated");
