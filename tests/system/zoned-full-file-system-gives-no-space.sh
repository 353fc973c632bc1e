#!/bin/bash
# SPDX-License-Identifier: MIT
#
# An image of a zoned disk, which is sparse, on a file system that is full: an image that has no room is
# not made, and nothing is left of it; writes fail with ENOSPC and leave write pointers where they were,
# all that was written is there, before and after a kill; and with some room the disk goes on.
#
# guest: cpus=2 mem=512 timeout=60 kernels=uml
. "$(dirname "$0")/lib.sh"
need_zones
need blkzone

mkdir "$work/small"
must mount -t tmpfs -o size=8M tmpfs "$work/small"
image=$work/small/image

serve()
{
	bdus_run zoned path="$image" "$@" || fail 'no device'
}

pointer() # ZONE, of 4 MiB: sectors from its start
{
	local line
	line=$(blkzone report -o $(($1 * 8192)) -c 1 "$device")
	[[ $line =~ wptr\ 0x([0-9a-f]+) ]] || fail "zone $1 is $line"
	echo $((16#${BASH_REMATCH[1]}))
}

step 'no room for an image'
head -c 8M /dev/zero >"$work/small/fill" 2>/dev/null
must_fail "$BDUS" run zoned path="$image" create=yes size=64M zone-size=4M
[[ $refusal == *"$image"*'No space left on device'* ]] || fail "refused with: $refusal"
[[ ! -e $image ]] || fail 'something of it is left'
rm "$work/small/fill"

step 'writes until there is none'
serve create=yes size=64M zone-size=4M conventional=1
head -c 4M /dev/urandom >"$work/data"
must dd if="$work/data" of="$device" bs=64k seek=64 oflag=direct conv=fsync,notrunc status=none
dd if="$work/data" of="$device" bs=64k seek=128 oflag=direct conv=notrunc status=none 2>"$work/error" &&
	fail 'there was room for all'
grep -qi 'no space' "$work/error" || fail "told: $(cat "$work/error")"
written=$(pointer 2)
((written > 0 && written < 8192 && written % 128 == 0)) || fail "the write pointer is $written"
dd if="$work/data" of="$device" bs=64k oflag=direct conv=notrunc status=none 2>"$work/error" &&
	fail 'there was room in a conventional zone'
grep -qi 'no space' "$work/error" || fail "told: $(cat "$work/error")"

same() # WHEN
{
	cmp "$work/data" <(dd if="$device" bs=64k skip=64 count=64 iflag=direct status=none) ||
		fail "$1: data is lost"
	cmp -n $((written * 512)) "$work/data" <(dd if="$device" bs=64k skip=128 count=$((written / 128)) \
		iflag=direct status=none) || fail "$1: what was written last is lost"
	(($(pointer 1) == 8192 && $(pointer 2) == written)) || fail "$1: $(blkzone report "$device")"
}
same 'while it is full'
must blockdev --flushbufs "$device"
must sync "$device"

step 'after a kill'
kill -KILL "$(servers)"
wait_until 30 _no_servers
"$BDUS" destroy "$device" 2>/dev/null
serve
same 'after a kill'

step 'with room'
must mount -o remount,size=24M "$work/small"
must dd if="$work/data" of="$device" bs=64k seek=$((128 + written / 128)) skip=$((written / 128)) oflag=direct \
	conv=fsync,notrunc status=none
cmp "$work/data" <(dd if="$device" bs=64k skip=128 count=64 iflag=direct status=none) || fail 'other data'
must blkzone reset -o 8192 -c 1 "$device"
must "$BDUS" destroy "$device"
serve
(($(pointer 1) == 0)) || fail 'a zone that was reset is not empty'
cmp "$work/data" <(dd if="$device" bs=64k skip=128 count=64 iflag=direct status=none) || fail 'other data'
must "$BDUS" destroy "$device"
must umount "$work/small"
