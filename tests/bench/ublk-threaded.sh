#!/bin/bash
# SPDX-License-Identifier: MIT
#
# 4 KiB random reads of two null devices over ublk, one in the asynchronous style and one in the
# threaded style, in turns within one kernel. Prints the median of the ratios of neighbouring turns,
# for reads a second and for reads in a second of the server's processor time. It gates nothing.
#
# BDUS_STYLES is bench-null-styles.
. "$(dirname "$0")/lib.sh"
need_ublk

serve() # STYLE
{
	"$BDUS_STYLES" "$1" >"$work/$1.out" &
	at_exit kill "$!"
	wait_until 20 test -s "$work/$1.out" || fail "no device in style $1"
	add "$1" "$(cat "$work/$1.out")" "$!"
}

serve async
serve threaded
for depth in 1 32; do
	take_turns qd$depth --rw=randread --bs=4k --iodepth=$depth
	rates qd$depth
	compare threaded async qd$depth
done
_may_leave=yes
