#!/bin/sh
# SPDX-License-Identifier: MIT
# A device never gets an id that an earlier one had, and options may stand after operands.
. "$(dirname "$0")/lib.sh"

last=-1
for _ in 1 2 3; do
	expect 0 "$BDUS" run null "$@" --transport="$(nbd s)" size=1M
	expect 0 "$BDUS" list
	id=$(awk 'NR == 2 {print $1}' "$tmp/out")
	[ "$id" -gt "$last" ] || fail "id $id after $last"
	last=$id
	expect 0 "$BDUS" destroy --all
done
