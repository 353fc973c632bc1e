#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The thread that makes a device also answers the kernel's first reads of it, while the kernel looks
# for partitions: a driver whose callbacks run one at a time, on that very thread, becomes available
# and gets its partitions.
. "$(dirname "$0")/lib.sh"
need_ublk
need sfdisk

image=${BDUS_BUILD:-}/examples/example-image
[[ -x $image ]] || skip "no $image"
must truncate -s 32M "$work/disk"
printf 'label: gpt\nsize=8M\nsize=8M\n' | sfdisk -q "$work/disk" || fail 'sfdisk'

for driver in "$BDUS run --transport ublk file path=$work/disk" "$image $work/disk"; do
	step "$driver"
	device=$(timeout 40 $driver 2>"$work/notes") || fail "no device: $(cat "$work/notes")"
	name=$(basename "$(readlink -f "$device")")
	wait_until 20 test -b "/dev/${name}p2" || fail "no second partition on $name"
	must dd if="/dev/${name}p2" of=/dev/null bs=1M count=1 iflag=direct status=none
	must "$BDUS" destroy "$device"
done
