#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The driver `file` over ublk on a raw block device in memory, with and without zero copy, beside
# another ublk server's loop target and the kernel's loop device, each on a block device of its own in
# the same kernel, in turns. Prints the medians of the ratios of neighbouring turns, for transfers a
# second and, of servers, for transfers in a second of their processor time.
#
#   BDUS_PEER_KUBLK     program taking "add -t loop -q 1 -d 128 --auto_zc -n NUMBER FILE", as the
#                       kernel's own test server does
: "${BDUS_BENCH_ROUNDS:=5}"
. "$(dirname "$0")/lib.sh"
need_ublk
need losetup
modprobe brd rd_nr=4 rd_size=131072 2>/dev/null
modprobe loop 2>/dev/null
[[ -b /dev/ram3 ]] || skip 'no block devices in memory (brd)'
# Pages that were never written are not there to be copied from.
for ram in /dev/ram{0,1,2,3}; do
	dd if=/dev/zero of="$ram" bs=1M status=none oflag=direct 2>/dev/null
done
bdus_run --transport ublk file path=/dev/ram0 queues=1 || fail 'no device'
add bdus "$device" "$(served_by "$device")"
bdus_run --transport ublk,zero-copy=no file path=/dev/ram1 queues=1 || fail 'no device'
add bdus-copying "$device" "$(served_by "$device")"
[[ -z ${BDUS_PEER_KUBLK:-} ]] || {
	setsid "$BDUS_PEER_KUBLK" add -t loop -q 1 -d 128 --auto_zc -n 900 /dev/ram2 \
		</dev/null >"$work/peer.out" 2>&1 &
	wait_until 20 test -b /dev/ublkb900 || fail "no device from the peer: $(cat "$work/peer.out")"
	at_exit kill -9 "$(server_of 900)"
	add kublk /dev/ublkb900 "$(server_of 900)"
}
loop=$(losetup --find --show --direct-io=on /dev/ram3) && {
	at_exit losetup -d "$loop"
	add loop "$loop" 0
}

for block in 4k 128k; do
	for kind in randread randwrite; do
		take_turns $kind-$block --rw=$kind --bs=$block --iodepth=32
		rates $kind-$block
		for name in "${names[@]}"; do
			[[ $name == bdus ]] || compare bdus "$name" $kind-$block
		done
	done
done
_may_leave=yes
