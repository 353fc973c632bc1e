#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The driver file does not carry zones on: a zoned block device is refused by name for writing, and can
# be read.
#
# guest: cpus=1 mem=512 timeout=60 kernels=uml
. "$(dirname "$0")/lib.sh"
need_ublk
need blkzone
"$BDUS" check ublk 2>/dev/null | grep -q '^ *zones  *yes' || skip "ublk of Linux $(uname -r) has no zones"

bdus_run zoned size=64M zone-size=4M || fail 'no device'
zoned=$device
head -c 1M /dev/urandom >"$work/data"
must dd if="$work/data" of="$zoned" bs=64k oflag=direct conv=notrunc status=none
must_fail "$BDUS" run file path="$zoned"
[[ $refusal == *"$zoned is a zoned block device"* ]] || fail "refused with: $refusal"
bdus_run file path="$zoned" read-only=yes || fail 'it cannot be read'
cmp "$work/data" <(dd if="$device" bs=64k count=16 iflag=direct status=none) || fail 'other data'
must "$BDUS" destroy "$device"
must "$BDUS" destroy "$zoned"
