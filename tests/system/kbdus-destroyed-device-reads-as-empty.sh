#!/bin/bash
# SPDX-License-Identifier: MIT
# Who has a device open while it is destroyed finds it empty, and keeps nobody from anything: not
# `bdus destroy` from returning, not the id from being gone.
. "$(dirname "$0")/lib.sh"
need_kbdus

bdus_run ram size=16M
exec {open}<"$device"
must "$BDUS" destroy "$device" --no-flush
[[ ! -e $device ]] || fail "$device is still there"
[[ $(head -c 4096 <&$open | wc -c) == 0 ]] || fail 'something was read from it'
must_fail blockdev --flushbufs /dev/fd/$open
[[ $(blockdev --getsize64 /dev/fd/$open 2>/dev/null || echo 0) == 0 ]] || fail 'it still has a size'
must_fail rmmod kbdus
exec {open}<&-
must rmmod kbdus
must insmod "$BDUS_KBDUS"
