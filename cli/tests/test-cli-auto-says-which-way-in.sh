#!/bin/sh
# SPDX-License-Identifier: MIT
# With --transport auto, stderr names the way in that was taken and every other with the reason,
# unless --quiet; a way in that was asked for needs no words.
. "$(dirname "$0")/lib.sh"

start=0
"$BDUS" run ram size=1M >"$tmp/out" 2>"$tmp/err" || start=$?
[ "$start" -ne 5 ] || skip "no way in works here: $(cat "$tmp/err")"
[ "$start" -eq 0 ] || fail "status $start"
[ "$(wc -l <"$tmp/out")" -eq 1 ] || fail "stdout is not the path alone"
expect_words=$(cat "$tmp/err")
expect 0 "$BDUS" list
taken=$(awk 'NR == 2 { for (i = 1; i < NF; i++) if ($i == "ram") print $(i + 1) }' "$tmp/out")
echo "$expect_words" | grep -qx "bdus: way in: $taken" || fail "it is not said that $taken was taken"
for other in $("$BDUS" __words transports | cut -f 1); do
	[ "$other" != auto ] && [ "$other" != "$taken" ] || continue
	echo "$expect_words" | grep -q "^bdus: not taken: $other: ." || fail "nothing on $other"
done
expect 0 "$BDUS" destroy --all
expect 0 "$BDUS" run ram size=1M --transport auto --quiet
silent out
silent err
expect 0 "$BDUS" destroy --all
expect 0 env BDUS_TRANSPORT="$(nbd s)" "$BDUS" run ram size=1M
silent err
says out "$tmp/s"
