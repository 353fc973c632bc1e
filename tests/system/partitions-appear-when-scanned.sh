#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A partition table written to a device gives partitions that hold data, also when the device is made
# anew from the same file; with scanning off there are none.
#
# guest: mem=768 timeout=60 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_ublk
need sfdisk mkfs.ext4

native_name() # DEVICE: the kernel's own name of it, such as ublkb0
{
	basename "$(readlink -f "/sys/dev/block/$(stat -Lc '%Hr:%Lr' "$1")")"
}

partitions() # DEVICE
{
	local name
	name=$(native_name "$1")
	find "/sys/block/$name/" -maxdepth 1 -name "${name}p*" -printf '%f\n' | sort | tr '\n' ' '
}

must truncate -s 64M "$work/image"
bdus_run file path="$work/image" || fail 'no device'
[[ $(partitions "$device") == '' ]] || fail 'partitions before there was a table'
printf 'label: gpt\nsize=16M\nsize=24M\n' | sfdisk -q "$device" || fail 'sfdisk'
name=$(native_name "$device")
wait_until 5 test -b "/dev/${name}p2" || fail "no partitions on $name: $(partitions "$device")"
[[ $(partitions "$device") == "${name}p1 ${name}p2 " ]] || fail "partitions: $(partitions "$device")"
must mkfs.ext4 -q "/dev/${name}p2"
must mkdir "$work/mnt"
must mount "/dev/${name}p2" "$work/mnt"
echo 'on the second partition' >"$work/mnt/note"
must umount "$work/mnt"
must "$BDUS" destroy "$device"

step 'the table is found when the device is made'
bdus_run file path="$work/image" || fail 'no device the second time'
name=$(native_name "$device")
wait_until 5 test -b "/dev/${name}p2" || fail "no partitions on $name"
must mount -o ro "/dev/${name}p2" "$work/mnt"
grep -q 'on the second partition' "$work/mnt/note" || fail 'the file is gone'
must umount "$work/mnt"
must "$BDUS" destroy "$device"

step 'with scanning off there are none'
if ! bdus_run --no-partition-scan file path="$work/image" 2>"$work/refusal"; then
	cat "$work/refusal"
	grep -q 'partition' "$work/refusal" || fail 'refused, but not for the scanning'
	skip "Linux $(uname -r) always scans; all else passed"
fi
sleep 0.5
[[ $(partitions "$device") == '' ]] || fail "partitions in spite of it: $(partitions "$device")"
sfdisk -d "$device" | grep -q 'size= *49152' || fail 'the table itself is not there'
must "$BDUS" destroy "$device"
