#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A write to a device whose file has no room left fails as "no space left"; what was written before
# is intact, and after a discard there is room again.
#
# guest: mem=768 timeout=60 kernels=uml
. "$(dirname "$0")/lib.sh"
need_ublk
need blkdiscard cmp

must mkdir "$work/small"
must mount -t tmpfs -o size=16M none "$work/small"
bdus_run file path="$work/small/image" size=64M create=yes || fail 'no device'
must dd if=/dev/urandom of="$work/data" bs=1M count=12 status=none
must dd if="$work/data" of="$device" bs=1M oflag=direct status=none

step 'more than fits'
must_fail dd if=/dev/zero of="$device" bs=1M seek=32 count=16 oflag=direct
[[ $refusal == *'No space left on device'* ]] || fail "refused as: $refusal"
cmp -n $((12 << 20)) "$work/data" "$device" || fail 'what was written before is damaged'

step 'room again'
must blkdiscard -o 32M -l 32M "$device"
must dd if="$work/data" of="$device" bs=1M seek=12 count=2 oflag=direct status=none
cmp -n $((12 << 20)) "$work/data" "$device" || fail 'what was written before is damaged'
must "$BDUS" destroy "$device"
must umount "$work/small"
