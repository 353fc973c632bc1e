#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Many devices one after another leave nothing behind, and two hundred at once (on a slow machine 80) work, are listed,
# and are destroyed by one command. BDUS_DEVICES says how many instead.
#
# guest: cpus=2 mem=1024 timeout=180 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_ublk
count=200 in_turn=60
is_slow && count=80 in_turn=20
[[ -n ${BDUS_DEVICES:-} ]] && count=$BDUS_DEVICES in_turn=$BDUS_DEVICES

step "$in_turn devices, one after another"
previous=''
for ((i = 0; i < in_turn; i++)); do
	bdus_run null size=1M || fail "device $i was not created"
	[[ -b $device ]] || fail "device $i is no block device: $device"
	[[ $device != "$previous" ]] || fail "$device came back"
	previous=$device
	must "$BDUS" destroy "$device"
	[[ ! -e $device ]] || fail "$device is still there"
done
nothing_left || fail 'see above'

step "$count devices at once, destroyed by one command"
devices=()
for ((i = 0; i < count; i++)); do
	bdus_run ram size=1M || fail "device $i of $count at once was not created"
	devices+=("$device")
done
for ((i = 0; i < count; i += 20)); do
	echo "block device $i" | dd of="${devices[i]}" bs=4k conv=sync oflag=direct status=none ||
		fail "writing to ${devices[i]}"
done
for ((i = 0; i < count; i += 20)); do
	[[ $(dd if="${devices[i]}" bs=64 count=1 status=none | head -n 1) == "block device $i" ]] ||
		fail "${devices[i]} holds something else"
done
listed=$("$BDUS" list | grep -c /dev/bdus-)
[[ $listed == "$count" ]] || fail "bdus list shows $listed devices"
[[ $(servers | wc -l) == "$count" ]] || fail "$(servers | wc -l) processes serve $count devices"
must "$BDUS" destroy "${devices[@]}"
nothing_left || fail 'see above'
