#!/bin/sh
# SPDX-License-Identifier: MIT
# Two hundred devices exist at once and are destroyed by one command.
. "$(dirname "$0")/lib.sh"

count=200
for number in $(seq $count); do
	"$BDUS" run ram size=1M --transport "$(nbd "$number")" >>"$tmp/paths" ||
		fail "run failed for device $number"
done
[ "$(sort -u "$tmp/paths" | wc -l)" -eq $count ] || fail "paths are not unique"
expect 0 "$BDUS" list
[ "$(tail -n +2 "$tmp/out" | wc -l)" -eq $count ] || fail "not all are listed"
set -- $(cat "$tmp/paths")
expect 0 "$BDUS" destroy "$@"
silent out
silent err
expect_nothing_left $(seq $count)
expect 0 "$BDUS" list
[ "$(wc -l <"$tmp/out")" -eq 1 ] || fail "a device is still listed"
