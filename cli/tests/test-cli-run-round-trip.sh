#!/bin/sh
# SPDX-License-Identifier: MIT
# A device is run, listed, described, flushed and destroyed, and then nothing of it is left.
. "$(dirname "$0")/lib.sh"

expect 0 "$BDUS" run ram size=16M --transport "$(nbd s)"
silent err
[ "$(wc -l <"$tmp/out")" -eq 1 ] || fail "run prints more than the path"
uri=$(cat "$tmp/out")
[ "${uri#nbd+unix://}" != "$uri" ] || fail "run printed no NBD URI: $uri"

expect 0 "$BDUS" list
says out "$uri" available "16 MiB" ram nbd
id=$(awk 'NR == 2 {print $1}' "$tmp/out")

for name in "$id" "$uri"; do
	expect 0 "$BDUS" info "$name"
	says out "$uri" "16777216 bytes (16 MiB)" available ram nbd
	expect 0 "$BDUS" flush "$name"
	silent out
	silent err
done
pid=$(awk '$1 == "process" {print $2}' "$tmp/out" || true)
expect 0 "$BDUS" info "$id"
pid=$(awk '$1 == "process" {print $2}' "$tmp/out")
kill -0 "$pid" || fail "no process $pid serves the device"

expect 0 "$BDUS" destroy "$uri"
silent out
silent err
eventually no_process "$pid"
expect_nothing_left s
expect 0 "$BDUS" list
[ "$(wc -l <"$tmp/out")" -eq 1 ] || fail "the device is still listed"
expect 3 "$BDUS" info "$id"
says err "$id"
expect 3 "$BDUS" flush "$id"
expect 3 "$BDUS" destroy "$id"

# A driver in the working directory needs no slash before its name.
cp "$BDUS_SLOW_DRIVER" "$tmp/my-own.so"
cd "$tmp"
expect 0 "$BDUS" drivers my-own.so
expect 0 "$BDUS" run my-own.so size=2M --transport "$(nbd s)"
expect 0 "$BDUS" list
says out slow "2 MiB"
expect 0 "$BDUS" destroy --all
expect_nothing_left s
