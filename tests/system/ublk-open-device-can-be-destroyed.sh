#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A device can be destroyed while somebody has it open: it is gone in bounded time, the opener gets
# errors, and new devices can be made meanwhile and after.
#
# guest: timeout=90 kernels=uml
. "$(dirname "$0")/lib.sh"
need_ublk

bdus_run --transport ublk ram size=16M || fail 'no device'
native=$(readlink -f "$device")
exec 7<>"$native"
begun=$SECONDS
must timeout 40 "$BDUS" destroy "$device"
((SECONDS - begun < 20)) || fail "took $((SECONDS - begun)) s"
[[ ! -e $native ]] || fail "$native is still there"
wait_until 10 eval '[[ -z $(servers) ]]' || fail 'the driver still runs'
must_fail bash -c 'echo anything >&7'

step 'others are not kept from making devices'
bdus_run --transport ublk ram size=16M || fail 'no device while an old one is open'
must dd if=/dev/zero of="$device" bs=1M count=4 oflag=direct status=none
must "$BDUS" destroy "$device"
exec 7>&-
