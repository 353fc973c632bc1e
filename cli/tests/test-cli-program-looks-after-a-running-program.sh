#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in a filter is listed, replaced while the device runs, and taken away; its maps are read and
# written; what is wrong is refused and changes nothing.
. "$(dirname "$0")/lib.sh"

cat >"$tmp/count.s" <<'END'
.map counts array 4 8 4
.program main
	stw [r10-4], 1
	mov r2, r10
	add r2, -4
	lddw r1, map counts
	call map_lookup
	jeq r0, 0, out
	mov r1, 1
	atomic_add64 [r0], r1
out:
	mov r0, 0
	exit
END
printf 'mov r0, 3\nexit\n' >"$tmp/refuse.s"
printf 'mov r0, r4\nexit\n' >"$tmp/unsafe.s"

expect 0 "$BDUS" run ram size=16M --transport "$(nbd plain)"
plain=$(cat "$tmp/out")
truncate -s 1M "$tmp/disk"
# A driver with a flush, which `bdus flush` then sends through the filters.
expect 0 "$BDUS" run file "path=$tmp/disk" --transport "$(nbd s)" --filter delay:0ms \
	--filter "opvm:$tmp/count.s,maps=counts:0:7"
device=$(cat "$tmp/out")
number()
{
	"$BDUS" program list "$device" | tr ',{}' '\n' | sed -n "s/^\"$1\"://p"
}

expect 0 "$BDUS" program list "$device"
says out '"program":"main"' '"name":"counts","kind":"array"' '"calls":' '"out_of_fuel":0'
expect 0 "$BDUS" program map get "$device" counts 0
says out 7
expect 0 "$BDUS" program map set "$device" counts 1 1K --filter 1
silent out
expect 0 "$BDUS" flush "$device"
expect 0 "$BDUS" program map get "$device" counts 1
says out 1025

# Refused, and nothing changed.
expect 1 "$BDUS" program load "$device" "$tmp/unsafe.s"
says err unsafe.s r4
expect 1 "$BDUS" program load "$device" "$tmp/missing.s"
says err missing.s
expect 2 "$BDUS" program fly "$device"
says err 'map set'
expect 2 "$BDUS" program map set "$device" counts 1
says err 'DEVICE MAP KEY VALUE'
expect 1 "$BDUS" program map get "$device" colours 1
says err colours
expect 1 "$BDUS" program map get "$device" counts 4
expect 1 "$BDUS" program list "$device" --filter delay
says err 'takes no commands'
[ "$(number replaced)" = 0 ] || fail 'the program was replaced'
"$BDUS" program list "$plain" >"$tmp/out" 2>"$tmp/err" && fail 'a device without filters has a program'
says err 'no filters'
"$BDUS" program list "$device" --filter 2 >"$tmp/out" 2>"$tmp/err" && fail 'there is a third filter'
says err "no filter '2'"

cd "$tmp"
expect 0 "$BDUS" program replace "$device" count.s
expect 0 "$BDUS" program map get "$device" counts 1
says out 1025
expect 0 "$BDUS" program load "$device" count.s main
expect 0 "$BDUS" program map get "$device" counts 1
says out 0
[ "$(number replaced)" = 2 ] || fail "replaced $(number replaced) times"
expect 0 "$BDUS" program load "$device" refuse.s
expect 1 "$BDUS" flush "$device"
[ "$(number failed)" = 1 ] || fail "failed $(number failed) times"
expect 0 "$BDUS" program detach "$device"
expect 0 "$BDUS" flush "$device"
expect 0 "$BDUS" program list "$device"
says out '"program":null'
