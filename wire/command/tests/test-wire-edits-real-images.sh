#!/bin/bash
# SPDX-License-Identifier: MIT
# Edits of images that real tools made please the tools' own checks.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
: "${WIRE_COMMAND:?is the command with all formats}"
PATH=$PATH:/usr/sbin:/sbin
done_some=

if command -v mkfs.ext4 >/dev/null && command -v e2fsck >/dev/null; then
	truncate -s 64M "$work/ext4"
	mkfs.ext4 -q -O metadata_csum "$work/ext4" || fail mkfs.ext4
	expect 0 "$WIRE_COMMAND" check ext4.filesystem "$work/ext4"
	expect 0 "$WIRE_COMMAND" edit ext4.superblock --offset 1K "$work/ext4" \
		max_mount_count=20 'on_error=REMOUNT_READ_ONLY'
	expect 0 "$WIRE_COMMAND" check ext4.filesystem "$work/ext4"
	expect 0 e2fsck -fn "$work/ext4"
	expect 0 dumpe2fs -h "$work/ext4"
	shows 'Maximum mount count: *20$'
	shows 'Errors behavior: *Remount read-only'
	poke "$work/ext4" 1100 '\377'
	expect 1 "$WIRE_COMMAND" check ext4.superblock --offset 1K "$work/ext4"
	done_some=yes
fi
if command -v sfdisk >/dev/null; then
	truncate -s 64M "$work/gpt"
	printf 'label: gpt\nsize=10M\n' | sfdisk -q "$work/gpt" || fail sfdisk
	expect 0 "$WIRE_COMMAND" edit gpt.disk "$work/gpt" 'entries[0].name=root'
	expect 0 sfdisk -d "$work/gpt"
	shows 'name="root"'
	done_some=yes
fi
[[ $done_some ]] || skip 'neither mkfs.ext4 nor sfdisk here'
