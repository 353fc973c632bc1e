#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A driver that is killed at any moment of its device's creation leaves nothing that `bdus destroy`
# cannot find and remove, also when all files of BDUS about it are lost.
#
# guest: cpus=2 mem=768 timeout=120
. "$(dirname "$0")/lib.sh"
need_ublk
shopt -s nullglob
step_ms=3 rounds=12
is_slow && step_ms=20 rounds=4

count_nodes()
{
	local nodes=(/dev/ublkc*)
	echo "${#nodes[@]}"
}

remove_all()
{
	"$BDUS" destroy --all --no-flush >"$work/destroy" 2>&1 || fail "destroy: $(cat "$work/destroy")"
	nothing_left || fail "after $1"
}

step 'killed at some moment'
for ((delay_ms = 0; delay_ms < 60; delay_ms += step_ms)); do
	"$BDUS" run -q -f --transport ublk ram size=16M &
	driver=$!
	sleep "0.0$(printf '%02d' "$delay_ms")"
	kill -9 "$driver"
	wait "$driver" 2>/dev/null
	remove_all "$delay_ms ms"
done

step 'killed as soon as the kernel has the device'
orphans=0
for ((round = 0; round < rounds; round++)); do
	"$BDUS" run -q -f --transport ublk ram size=16M &
	driver=$!
	wait_until 20 eval '[[ $(count_nodes) -gt 0 ]]' || fail 'the kernel has no device'
	kill -9 "$driver"
	wait "$driver" 2>/dev/null
	orphans=$((orphans + $(count_nodes)))
	# Odd rounds: nothing is left but what the kernel knows.
	((round % 2 == 0)) || rm -rf /run/bdus /dev/bdus-*
	wait_until 20 eval '[[ ! -e /dev/ublkb0 ]]' || true
	remove_all "round $round"
done
((orphans > 0)) || fail 'no orphan was ever left; the test shows nothing'
echo "$orphans orphans removed"
