#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Filters do on a block device what they do elsewhere: waiting requests wait and do not hold up others,
# failing ones fail in their place and leave the rest of the disk as it is.
#
# guest: timeout=90
. "$(dirname "$0")/lib.sh"
need_ublk

milliseconds()
{
	local began=${EPOCHREALTIME/./}
	must "$@"
	elapsed=$(((${EPOCHREALTIME/./} - began) / 1000))
}

step 'a write waits, reads go on'
bdus_run ram size=64M --filter delay:write=400ms || fail 'no device'
milliseconds dd if=/dev/urandom of="$device" bs=4k count=1 oflag=direct status=none
((elapsed >= 400)) || fail "the write came back after $elapsed ms"
dd if=/dev/zero of="$device" bs=4k count=1 seek=100 oflag=direct status=none &
milliseconds dd if="$device" of=/dev/null bs=4k count=1 skip=200 iflag=direct status=none
((elapsed < 400)) || fail "a read took $elapsed ms behind a write"
wait
must "$BDUS" destroy "$device"

step 'a bad spot fails, and nothing else'
bdus_run ram size=64M --filter error:operations=read,start=1M,length=4K --filter delay:1ms ||
	fail 'no device'
must dd if=/dev/urandom of="$work/data" bs=1M count=4 status=none
must dd if="$work/data" of="$device" bs=1M oflag=direct status=none
must_fail dd if="$device" of=/dev/null bs=4k skip=256 count=1 iflag=direct
[[ $refusal == *'Input/output error'* ]] || fail "another error: $refusal"
must cmp -n $((1 << 20)) "$device" "$work/data"
must cmp -i $(((1 << 20) + 4096)) -n $((2 << 20)) "$device" "$work/data"
must "$BDUS" destroy "$device"

step 'errors while a file exists'
bdus_run ram size=16M --filter "error:file=$work/fail" || fail 'no device'
must dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none
: >"$work/fail"
must_fail dd if="$device" of=/dev/null bs=4k count=1 iflag=direct
rm "$work/fail"
must dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none
must "$BDUS" destroy "$device"
