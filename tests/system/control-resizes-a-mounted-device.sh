#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A device with a mounted file system grows: the kernel shows the new size, the file system grows into it,
# and what was in it stays.
# guest: timeout=60 mem=512
. "$(dirname "$0")/lib.sh"
need_ublk
need mkfs.ext4
need resize2fs

truncate -s 64M "$work/image"
device=$("$BDUS" run --transport ublk file path="$work/image") || fail 'run'
must mkfs.ext4 -q "$device"
mkdir "$work/mounted"
must mount "$device" "$work/mounted"
head -c 8M /dev/urandom >"$work/mounted/data"
sum=$(cksum <"$work/mounted/data")

step 'it grows'
if ! "$BDUS" resize "$device" 128M 2>"$work/err"; then
	grep -q 'this kernel cannot change' "$work/err" || fail "resize: $(cat "$work/err")"
	[[ $(stat -c %s "$work/image") -eq $((64 << 20)) ]] || fail 'the image has grown in vain'
	umount "$work/mounted"
	"$BDUS" destroy "$device"
	skip "$(cat "$work/err")"
fi
[[ $(blockdev --getsize64 "$device") -eq $((128 << 20)) ]] || fail "the kernel shows $(blockdev --getsize64 "$device") bytes"
must resize2fs "$device"
head -c 80M /dev/zero >"$work/mounted/more" || fail 'what is new cannot be written'
sync -f "$work/mounted/more" || fail 'what is new does not last'
must umount "$work/mounted"
must mount "$device" "$work/mounted"
[[ $(cksum <"$work/mounted/data") == "$sum" ]] || fail 'what was there has changed'
must umount "$work/mounted"
must "$BDUS" destroy "$device"
