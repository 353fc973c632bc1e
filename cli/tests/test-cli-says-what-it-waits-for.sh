#!/bin/sh
# SPDX-License-Identifier: MIT
# What takes more than 3 s says so on stderr; a time limit ends the waiting and keeps the device.
. "$(dirname "$0")/lib.sh"

expect 0 "$BDUS" run "$BDUS_SLOW_DRIVER" flush-ms=5000 --transport "$(nbd s)"
uri=$(cat "$tmp/out")
expect 6 "$BDUS" flush --timeout 0.5 "$uri"
says err "$uri"
expect 6 "$BDUS" destroy --timeout 0.5 "$uri"
says err "$uri" "not destroyed"
expect 0 "$BDUS" info "$uri"

# The flushes above go on; the next one waits for nothing but itself.
expect 0 "$BDUS" destroy "$uri"
silent out
grep -Eq "^bdus: still flushing .* \([3-9] s\)" "$tmp/err" || fail "nothing said what is waited for"
says err "$uri"
expect_nothing_left s

# The flush counts against the limit; the removal that has begun goes on after it.
expect 0 "$BDUS" run "$BDUS_SLOW_DRIVER" flush-ms=2000 close-ms=2000 --transport "$(nbd s)"
expect 6 "$BDUS" destroy --timeout 2.5 --all
says err "$(nbd s | cut -d = -f 2)"
eventually sh -c "\"$BDUS\" list | awk 'NR == 2 {exit 1}'"
expect_nothing_left s

expect 0 "$BDUS" run "$BDUS_SLOW_DRIVER" open-ms=4000 --transport "$(nbd s)"
says err "bdus: still creating the device (3 s)"
[ "$(wc -l <"$tmp/out")" -eq 1 ] || fail "run did not print the path alone"
