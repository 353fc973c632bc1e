#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A device ends at once when its clients are idle or busy, and in a few seconds when one does not read;
# what was written before is there.
. "$(dirname "$0")/lib.sh"
need nbdcopy

step 'with idle clients, one of them in the handshake'
serve ram size=64M
"$HOSTILE" "$socket" waits-in-transmission &
"$HOSTILE" "$socket" waits-in-the-handshake &
wait_until 10 eval '(($(descriptors) >= 9))' || fail 'the clients did not come'
started=$EPOCHREALTIME
stop
((${EPOCHREALTIME/./} - ${started/./} < 1500000)) || fail 'it took more than 1.5 s'
wait

step 'with a busy client'
serve ram size=64M
(while nbdcopy "$uri" "$dir/read"; do :; done) 2>/dev/null &
sleep 0.5
stop
wait

step 'with a client that does not read'
serve ram size=64M
"$HOSTILE" "$socket" requests-without-reading-the-replies >"$dir/hostile" &
hostile=$!
wait_until 30 grep -q waiting "$dir/hostile" || fail 'the client was not made to wait'
started=$EPOCHREALTIME
stop
((${EPOCHREALTIME/./} - ${started/./} < 6000000)) || fail 'it took more than 6 s'
kill "$hostile"
wait "$hostile" 2>/dev/null
exit 0
