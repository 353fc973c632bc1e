#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A driver that does not answer keeps its device, but not those who want to be rid of it: `bdus destroy`
# with a time limit ends in time and says what it waited for, and once the driver is killed the device
# can be removed.
#
# guest: timeout=90 kernels=uml
. "$(dirname "$0")/lib.sh"
need_ublk

bdus_run --transport ublk ram size=16M || fail 'no device'
server=$(servers)
must kill -STOP "$server"
dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none 2>"$work/dd" &
reader=$!
sleep 0.3

step 'destroy gives up in time'
begun=$SECONDS
must_fail timeout -s KILL 30 "$BDUS" destroy --no-flush --timeout 2 "$device"
((SECONDS - begun < 20)) || fail "took $((SECONDS - begun)) s"
[[ $refusal == *wait* ]] || fail "does not say what it waited for: $refusal"
echo "$refusal"

step 'when the driver is gone, so is the device'
must kill -9 "$server"
wait_until 30 eval "! kill -0 $reader 2>/dev/null" || fail 'the reader hangs'
wait "$reader" && fail 'the reader noticed nothing'
must "$BDUS" destroy --no-flush --timeout 30 "$device"
