#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Sequential writes to zones of the driver zoned in memory, 128 KiB, 32 in flight, against the unzoned
# driver ram in the same guest: alternating rounds, the median of the ratios.
#
# usage: tests/vm/run --kernel 7.3 --mem 1536 tests/bench/zoned-writes.sh [ROUNDS]
. "$(dirname "$0")/../system/lib.sh"
need_ublk
need fio jq
rounds=${1:-5}

# MiB/s of one round over the device $1 with the options that follow.
measure()
{
	local file=$1
	shift
	fio --name=w --filename="$file" --rw=write --bs=128k --direct=1 --ioengine=io_uring --iodepth=32 \
		--size=256M --output-format=json --output="$work/out" "$@" >/dev/null 2>&1 || fail 'fio'
	jq '.jobs[0].write.bw_bytes / 1048576 | floor' "$work/out"
}

bdus_run ram size=256M || fail 'no device'
ram=$device
bdus_run zoned size=256M zone-size=32M || fail 'no device'
zoned=$device
# Memory is there after the first round.
measure "$ram" >/dev/null
measure "$zoned" --zonemode=zbd >/dev/null
for ((round = 0; round < rounds; round++)); do
	a=$(measure "$ram")
	must blkzone reset "$zoned"
	b=$(measure "$zoned" --zonemode=zbd)
	echo "ram $a MiB/s, zoned $b MiB/s"
	ratios+=("$((b * 1000 / a))")
done
median=$(printf '%s\n' "${ratios[@]}" | sort -n | sed -n "$(((rounds + 1) / 2))p")
echo "zoned-sequential-writes: $((median / 1000)).$(printf %03d $((median % 1000))) of ram"
must "$BDUS" destroy "$ram"
must "$BDUS" destroy "$zoned"
