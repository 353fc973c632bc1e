#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fio in its mode for zones, with verification, on a disk with limits: sequential and random writes
# that reset zones as they go, from several jobs; and appends of many threads through zonefs, or the
# kernel's own, land where they are reported.
#
# guest: cpus=2 mem=1024 timeout=120 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_zones
need blkzone fio
is_slow && size=32M || size=128M

bdus_run zoned size=256M zone-size=4M zone-capacity=3M conventional=4 max-open=8 max-active=12 ||
	fail 'no device'
zones=(--eta=never --filename="$device" --direct=1 --zonemode=zbd --max_open_zones=6 --verify=crc32c
	--verify_state_save=0 --output="$work/fio.out" --offset=16M)

step 'sequential writes, verified'
must fio --name=seq --rw=write --bs=64k --ioengine=libaio --iodepth=8 --size="$size" "${zones[@]}"
step 'random writes, which reset zones'
must fio --name=random --rw=randwrite --bs=16k --ioengine=libaio --iodepth=16 --size="$size" \
	--io_size="$size" "${zones[@]}"
step 'four jobs'
must fio --name=jobs --rw=randwrite --bs=8k --ioengine=psync --numjobs=4 --size=16M \
	--zonesize=4M "${zones[@]}" --offset_increment=32M --max_open_zones=2 --do_verify=1

step 'the checksums are still there after all that'
blkzone report "$device" | grep -q 'zcond: *14' || fail 'no zone is full'
must "$BDUS" destroy "$device"
