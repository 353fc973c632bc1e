#!/bin/bash
# SPDX-License-Identifier: MIT
#
# With batch=yes, requests and results go many at a time: data is whole with payloads in memory of
# ours, in memory of clients (zero copy), and at any depth; the device ends in good order, also under
# load and when its driver is killed; where the kernel lacks the commands, that is said.
#
# guest: cpus=2 mem=768 timeout=180 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_ublk
need fio

verify() # DEVICE DEPTH
{
	must fio --name=batch --filename="$1" --rw=randrw --bsrange=4k-256k --direct=1 --ioengine=libaio \
		--iodepth="$2" --size=32M --verify=crc32c --verify_state_save=0 --output="$work/fio.out"
}

if ! device=$("$BDUS" run --transport ublk,batch=yes ram size=64M 2>"$work/refusal"); then
	grep -q 'batch=yes needs commands that this kernel does not have' "$work/refusal" ||
		fail "refused for another reason than the kernel: $(cat "$work/refusal")"
	exit
fi
for depth in 1 7 64; do
	verify "$device" "$depth"
done
must "$BDUS" destroy "$device"

bdus_run --transport ublk,batch=yes --depth 3 --queues 2 ram size=64M queues=2 || fail 'no device of depth 3'
verify "$device" 32
must "$BDUS" destroy "$device"

truncate -s 64M "$work/disk"
bdus_run --transport ublk,batch=yes file path="$work/disk" || fail 'no device of a file'
verify "$device" 32
cmp <(head -c 32M "$work/disk") <(head -c 32M "$device") || fail 'the file has other data than the device'
must "$BDUS" destroy "$device"

# A zone's appends come back with where they went.
if "$BDUS" check ublk | grep -q '^ *zones  *yes'; then
	bdus_run --transport ublk,batch=yes zoned size=64M zone-size=4M || fail 'no zoned device'
	must fio --name=zones --filename="$device" --rw=write --bs=64k --direct=1 --zonemode=zbd \
		--ioengine=libaio --iodepth=1 --size=32M --verify=crc32c --verify_state_save=0 \
		--output="$work/fio.out"
	must "$BDUS" destroy "$device"
fi

for how in destroy kill; do
	step "the end under load, by $how"
	bdus_run --transport ublk,batch=yes ram size=64M || fail "no device to $how"
	native=$(readlink -f "$device")
	fio --name=load --filename="$device" --rw=randread --bs=4k --direct=1 --ioengine=libaio --iodepth=64 \
		--time_based --runtime=60 --output="$work/fio.out" >"$work/fio.err" 2>&1 &
	load=$!
	wait_until 20 awk '$1 > 0 { ok = 1 } END { exit !ok }' "/sys/block/$(basename "$native")/stat" ||
		fail 'fio did not begin'
	[[ $how == destroy ]] || must kill -9 "$(servers)"
	must "$BDUS" destroy --no-flush "$device"
	wait_until 30 eval "! kill -0 $load 2>/dev/null" || fail "fio still runs 30 s after the $how"
	nothing_left || fail 'see above'
done
