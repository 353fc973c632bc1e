#!/bin/sh
# SPDX-License-Identifier: MIT
# A name without a device does not keep the others, is named with its reason, and decides the status.
. "$(dirname "$0")/lib.sh"

for name in a b c; do
	expect 0 "$BDUS" run ram size=1M --transport "$(nbd $name)"
done
expect 0 "$BDUS" list
ids=$(awk 'NR > 1 {print $1}' "$tmp/out")
set -- $ids
expect 3 "$BDUS" destroy "$1" 987654321 "$2" "$1" nonsense "$3"
says err 987654321 nonsense
[ "$(wc -l <"$tmp/err")" -eq 2 ] || fail "not one message for each bad name"
expect_nothing_left a b c
expect 0 "$BDUS" list
[ "$(wc -l <"$tmp/out")" -eq 1 ] || fail "a device is still listed"
