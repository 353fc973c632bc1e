#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The process of a ram device takes memory for what is written, gives it back on discard, takes none
# for reading what was never written, and gives "no space left" where its limit is reached.
#
# guest: mem=768 timeout=60 kernels=uml
. "$(dirname "$0")/lib.sh"
need_ublk
need blkdiscard

resident() # MiB of the device's process
{
	awk '/^VmRSS:/ { print int($2 / 1024) }' "/proc/$(servers)/status"
}

expect_resident() # MIB WHAT: more than at the beginning, give or take 8
{
	local more=$(($(resident) - before))
	((more >= $1 - 8 && more <= $1 + 8)) || fail "$2: $more MiB more resident, not $1"
}

# Few requests in flight, so that their payloads take little.
bdus_run --queues 1 --depth 4 ram size=1T limit=64M || fail 'no device'
before=$(resident)

step 'reading'
must dd if="$device" of=/dev/null bs=1M count=64 iflag=direct status=none
expect_resident 0 'read'

step 'writing and discarding'
must dd if=/dev/urandom of="$device" bs=1M seek=500000 count=48 oflag=direct status=none
expect_resident 48 'written'
must blkdiscard -o 500000M -l 32M "$device"
expect_resident 16 'discarded'
must blkdiscard -o 500000M -l 48M "$device"
expect_resident 0 'all discarded'

step 'the limit'
must_fail dd if=/dev/urandom of="$device" bs=1M count=128 oflag=direct
[[ $refusal == *'No space left on device'* ]] || fail "refused as: $refusal"
expect_resident 64 'full'
must blkdiscard -l 128M "$device"
must dd if=/dev/urandom of="$device" bs=1M count=32 oflag=direct status=none
must "$BDUS" destroy "$device"
