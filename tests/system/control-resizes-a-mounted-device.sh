#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A device with a mounted file system grows while that is written to: the kernel shows the new size, the file
# system grows into it, and what was in it stays. A driver that consents makes its device smaller as well.
# guest: timeout=60 mem=512
. "$(dirname "$0")/lib.sh"
need_ublk
need mkfs.ext4 resize2fs blockdev

truncate -s 64M "$work/image"
device=$("$BDUS" run file path="$work/image") || fail 'run'
must mkfs.ext4 -q "$device"
mkdir "$work/mounted"
must mount "$device" "$work/mounted"
head -c 8M /dev/urandom >"$work/mounted/data"
sum=$(cksum <"$work/mounted/data")

has_size() # BYTES
{
	[[ $(blockdev --getsize64 "$device") -eq $1 ]] || fail "the kernel shows $(blockdev --getsize64 "$device") bytes"
}

write_on()
{
	local i
	for ((i = 0; ; i++)); do
		[[ -e $work/enough ]] && return 0
		dd if="$work/mounted/data" of="$work/mounted/copy" bs=64k conv=fsync status=none || return 1
		[[ $(cksum <"$work/mounted/copy") == "$sum" ]] || return 1
	done
}

step 'it grows'
write_on &
load=$!
if ! "$BDUS" resize "$device" 96M 2>"$work/err"; then
	touch "$work/enough"
	wait "$load" || fail 'writing fails'
	grep -q 'this kernel cannot change' "$work/err" || fail "resize: $(cat "$work/err")"
	[[ $(stat -c %s "$work/image") -eq $((64 << 20)) ]] || fail 'the image has grown in vain'
	umount "$work/mounted"
	"$BDUS" destroy "$device"
	skip "$(cat "$work/err")"
fi
has_size $((96 << 20))
must resize2fs "$device"
must "$BDUS" resize "$device" 128M
has_size $((128 << 20))
must resize2fs "$device"
touch "$work/enough"
wait "$load" || fail 'what was written meanwhile is not there'
head -c 80M /dev/zero >"$work/mounted/more" || fail 'what is new cannot be written'
sync -f "$work/mounted/more" || fail 'what is new does not last'
must umount "$work/mounted"
must mount "$device" "$work/mounted"
[[ $(cksum <"$work/mounted/data") == "$sum" ]] || fail 'what was there has changed'
must umount "$work/mounted"

step 'who does not consent keeps it'
must_fail "$BDUS" resize --shrink "$device" 64M
[[ $refusal == *'at least'* ]] || fail "another reason: $refusal"
has_size $((128 << 20))
must "$BDUS" destroy "$device"

step 'it shrinks'
device=$("$BDUS" run null size=64M) || fail 'run'
must "$BDUS" resize --shrink "$device" 32M
has_size $((32 << 20))
[[ $("$BDUS" info "$device") == *'33554432 bytes'* ]] || fail "$("$BDUS" info "$device")"
must dd if="$device" of=/dev/null bs=64k skip=511 count=1 iflag=direct status=none
must_fail dd if=/dev/zero of="$device" bs=64k seek=512 count=1 oflag=direct status=none
must "$BDUS" destroy "$device"
