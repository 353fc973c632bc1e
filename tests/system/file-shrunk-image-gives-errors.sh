#!/bin/bash
# SPDX-License-Identifier: MIT
#
# When the file of a device is cut short under it, reads and writes fail; no zeros appear in place of
# what was lost, and no write makes the file longer again. The device can be destroyed as ever.
#
# guest: mem=768 timeout=60 kernels=uml
. "$(dirname "$0")/lib.sh"
need_ublk

bdus_run file path="$work/image" size=16M create=yes || fail 'no device'
must dd if=/dev/urandom of="$device" bs=1M count=16 oflag=direct status=none
must truncate -s 8M "$work/image"
must_fail dd if=/dev/zero of="$device" bs=1M seek=12 count=1 oflag=direct
[[ $refusal == *'Input/output error'* ]] || fail "the write failed as: $refusal"
must_fail dd if="$device" of=/dev/null bs=1M skip=10 count=1 iflag=direct
[[ $refusal == *'Input/output error'* ]] || fail "the read failed as: $refusal"
[[ $(stat -c %s "$work/image") == $((8 << 20)) ]] || fail 'the file became longer again'
"$BDUS" destroy --no-flush "$device" || fail "cannot be destroyed"
