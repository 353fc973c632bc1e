#!/bin/bash
# SPDX-License-Identifier: MIT
#
# 4 KiB random reads of a null device over ublk, beside other ublk servers' null devices: all of them
# exist at once, in one kernel, and take turns. Prints the median of the ratios of neighbouring turns,
# for reads a second and for reads in a second of the server's processor time, and the ratio of the
# memory that the idle processes take. It gates nothing: figures of one machine say little about
# another's.
#
# Peers, each left out when not given:
#   BDUS_PEER_UBLKSRV   program taking "add -q 1 -d 128 -n NUMBER", as ublksrv's null target does
#   BDUS_PEER_KUBLK     program taking "add -t null -q 1 -d 128 -n NUMBER", as the kernel's own test
#                       server does
#   BDUS_BLOCKING       program that serves a device through bdus_run(), printing nothing but its path:
#                       bench-null-blocking
. "$(dirname "$0")/lib.sh"
need_ublk

start_peer() # NAME NUMBER COMMAND...
{
	local name=$1 number=$2 server
	shift 2
	setsid "$@" -q 1 -d 128 -n "$number" </dev/null >"$work/$name.out" 2>&1 &
	wait_until 20 test -b "/dev/ublkb$number" || fail "no device from $name: $(cat "$work/$name.out")"
	server=$(server_of "$number")
	at_exit kill -9 "$server"
	add "$name" "/dev/ublkb$number" "$server"
}

memory() # PID: private and proportional memory in KiB
{
	awk '/^Pss:/ { pss = $2 } /^Private_Dirty:/ { dirty = $2 } END { print pss, dirty }' \
		"/proc/$1/smaps_rollup"
}

bdus_run --transport ublk null zero=no || fail 'no device'
add bdus "$device" "$(served_by "$device")"
[[ -z ${BDUS_BLOCKING:-} ]] || {
	"$BDUS_BLOCKING" >"$work/blocking.out" &
	at_exit kill "$!"
	wait_until 20 test -s "$work/blocking.out" || fail 'no device from bdus_run()'
	add bdus_run "$(head -n 1 "$work/blocking.out")" "$!"
}
[[ -z ${BDUS_PEER_UBLKSRV:-} ]] || start_peer ublksrv 900 "$BDUS_PEER_UBLKSRV" add
[[ -z ${BDUS_PEER_KUBLK:-} ]] || start_peer kublk 901 "$BDUS_PEER_KUBLK" add -t null

for name in "${names[@]}"; do
	read -r pss dirty <<<"$(memory "${pid[$name]}")"
	echo "idle $name: $pss KiB proportional, $dirty KiB private and dirty"
	echo "$pss" >"$work/$name.memory"
	[[ $name == bdus ]] ||
		echo "ratio memory bdus/$name $(paired bdus "$name" memory) (smaller is better)"
done
for depth in 1 32; do
	take_turns qd$depth --rw=randread --bs=4k --iodepth=$depth
	rates qd$depth
	for name in "${names[@]}"; do
		for ours in bdus bdus_run; do
			[[ $name == bdus* || -z ${disk[$ours]:-} ]] || compare $ours "$name" qd$depth
		done
	done
done
[[ ${#names[@]} -gt 1 ]] || echo 'no peer given: nothing to compare with'
_may_leave=yes
