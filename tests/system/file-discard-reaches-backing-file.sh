#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What is discarded on a device of the file driver becomes holes in its file; zeros that may be
# deallocated do too, and zeros that may not keep their blocks. On tmpfs and on ext4.
#
# guest: mem=768 timeout=60 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_ublk
need blkdiscard fallocate mkfs.ext4 losetup cmp

blocks() # FILE: MiB that it takes, rounded
{
	sync -f "$1"
	echo $((($(stat -c %b "$1") * 512 + 524288) / 1048576))
}

expect_blocks() # MIB WHAT
{
	local got
	got=$(blocks "$image")
	((got >= $1 && got <= $1 + 1)) || fail "$2: the file takes $got MiB, not $1"
}

expect_zeros() # OFFSET-MIB COUNT-MIB
{
	cmp -s <(dd if="$device" bs=1M skip="$1" count="$2" iflag=direct status=none) \
		<(head -c "$2M" /dev/zero) || fail "$2 MiB at $1 MiB are not zeros"
}

check_in() # FOLDER
{
	image=$1/image
	bdus_run file path="$image" size=32M create=yes || fail "no device in $1"
	expect_blocks 0 'new'
	must dd if=/dev/urandom of="$device" bs=1M count=16 oflag=direct status=none
	expect_blocks 16 'written'
	must blkdiscard -o 2M -l 4M "$device"
	expect_blocks 12 'discarded'
	must fallocate -p -o 8M -l 2M "$device"
	expect_blocks 10 'zeros that may be deallocated'
	expect_zeros 8 2
	must blkdiscard -z -o 12M -l 2M "$device"
	expect_blocks 10 'zeros that may not be deallocated'
	expect_zeros 12 2
	must blkdiscard "$device"
	expect_blocks 0 'all discarded'
	must "$BDUS" destroy "$device"
	[[ $(stat -c %s "$image") == $((32 << 20)) ]] || fail 'the length of the file changed'
	rm "$image"
}

step 'on tmpfs'
check_in "$work"

step 'on ext4'
need_filesystem ext4
need_module loop /dev/loop-control
must truncate -s 64M "$work/ext4"
must mkfs.ext4 -q "$work/ext4"
must mkdir "$work/mnt"
must mount -o loop "$work/ext4" "$work/mnt"
check_in "$work/mnt"
