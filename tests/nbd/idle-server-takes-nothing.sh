#!/bin/bash
# SPDX-License-Identifier: MIT
#
# After a load of large requests a server whose clients are silent sleeps, and has given back the memory
# of the requests.
. "$(dirname "$0")/lib.sh"
need nbdcopy

ticks()
{
	awk '{ print $14 + $15 }' "/proc/$server/stat"
}

nbd_options=busy-poll=1000
serve null size=2G
"$HOSTILE" "$socket" waits-in-transmission &
client=$!
before=$(resident_kib)
must nbdcopy --no-extents --connections=4 --requests=16 --request-size=4194304 "$uri" null:
[[ $(ticks) -gt 0 ]] || fail 'there was no load'

step 'memory'
gave_back()
{
	(($(resident_kib) < before + ${ALLOWANCE_KIB:-4096}))
}
wait_until 10 gave_back || fail "it has $(resident_kib) KiB, $before before the load"

step 'time'
started=$(ticks)
sleep 2
# A server that did not sleep would take 200; one that is built to be watched looks around by itself.
(($(ticks) - started <= 10)) || fail "$(($(ticks) - started)) ticks in two idle seconds"
stop
wait "$client"
