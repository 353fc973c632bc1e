#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: cpus=2 timeout=90
# Many devices at a time, made and destroyed side by side, each with an id of its own that no other gets.
. "$(dirname "$0")/lib.sh"
need_kbdus
count=24
is_slow && count=10

make_one()
{
	"$BDUS" run ram size=4M >"$work/device.$1"
}

for round in 1 2; do
	step "round $round: $count at a time"
	for ((i = 0; i < count; i++)); do
		make_one "$i" &
	done
	wait
	[[ $(cat "$work"/device.* | sort -u | wc -l) == "$count" ]] || fail 'ids are shared'
	for device in $(cat "$work"/device.*); do
		dd if=/dev/zero of="$device" bs=64k count=4 oflag=direct status=none &
	done
	wait
	for device in $(cat "$work"/device.*); do
		"$BDUS" destroy "$device" --no-flush &
	done
	wait
	[[ -z $(compgen -G '/dev/bdus-[0-9]*') ]] || fail 'some are left'
done
must rmmod kbdus
must insmod "$BDUS_KBDUS"
