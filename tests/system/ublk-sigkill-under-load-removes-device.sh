#!/bin/bash
# SPDX-License-Identifier: MIT
#
# When a driver is killed under load, its disk goes away by itself and those who use it get errors in
# bounded time, never a hang; `bdus destroy` then removes what is left, and nothing is.
#
# guest: cpus=2 mem=768 timeout=90
. "$(dirname "$0")/lib.sh"
need_ublk
need fio

load() # DEVICE SECONDS
{
	fio --name=load --filename="$1" --rw=randrw --bs=4k --direct=1 --ioengine=libaio \
		--iodepth=32 --time_based --runtime="$2" --output="$work/fio.out" \
		>"$work/fio.err" 2>&1
}

rounds=3
is_slow && rounds=1
for ((round = 1; round <= rounds; round++)); do
	step "round $round"
	bdus_run --transport ublk ram size=64M || fail 'no device'
	native=$(readlink -f "$device")
	server=$(servers)
	[[ $server =~ ^[0-9]+$ ]] || fail "not one server: $server"
	load "$device" 60 &
	fio=$!
	wait_until 20 awk '$1 > 0 { ok = 1 } END { exit !ok }' "/sys/block/$(basename "$native")/stat" ||
		fail 'fio did not begin'
	must kill -9 "$server"
	wait_until 30 eval "! kill -0 $fio 2>/dev/null" || fail 'fio still runs 30 s after the kill'
	wait "$fio" && fail 'fio noticed nothing'
	grep -q 'error' "$work/fio.err" "$work/fio.out" || fail 'fio reported no errors'

	step 'the disk goes away by itself'
	wait_until 20 test ! -e "$native" || fail "$native is still there"
	must "$BDUS" destroy --no-flush "$device"
	[[ ! -L $device ]] || fail "$device is still there"
	nothing_left || fail 'see above'
done

step 'the link of a killed driver and its kernel name lead to the orphan'
bdus_run --transport ublk ram size=16M || fail 'no device'
native=$(readlink -f "$device")
must kill -9 "$(servers)"
wait_until 20 test ! -e "$native" || fail "$native is still there"
"$BDUS" list | grep -q orphaned || fail "no orphan listed: $("$BDUS" list)"
must "$BDUS" destroy --no-flush "$native"
nothing_left || fail 'see above'
