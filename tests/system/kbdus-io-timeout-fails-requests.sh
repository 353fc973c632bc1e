#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: timeout=60
# A request that takes longer than queue/io_timeout fails, with the error for that; the device goes on
# when its server does, and what the server answers too late is for nobody.
. "$(dirname "$0")/lib.sh"
need_kbdus

bdus_run ram size=16M
must dd if=/dev/zero of="$device" bs=4k count=4 oflag=direct status=none
echo 500 >"/sys/class/block/${device##*/}/queue/io_timeout" || fail 'io_timeout cannot be set'
kill -STOP $(servers)
go_on()
{
	kill -CONT $(servers) 2>/dev/null
}
at_exit go_on
began=${EPOCHREALTIME/./}
must_fail timeout 30 dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none
took=$(((${EPOCHREALTIME/./} - began) / 1000))
[[ $refusal == *'timed out'* ]] || fail "failed by: $refusal"
((took >= 400 && took < 20000)) || fail "it took $took ms"
kill -CONT $(servers)
echo 30000 >"/sys/class/block/${device##*/}/queue/io_timeout"
must dd if="$device" of=/dev/null bs=4k count=64 iflag=direct status=none
must "$BDUS" destroy "$device"
