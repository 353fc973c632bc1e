#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The driver file over a zoned block device, which is here one of our own: zones are reported alike above
# and below, requests on zones arrive there, fio verifies in its mode for zones, the device's limits give
# the errors that they give below; and what cannot be passed through is refused by name.
#
# guest: cpus=2 mem=768 timeout=60 kernels=uml
. "$(dirname "$0")/lib.sh"
need_zones
need blkzone fio

same_reports()
{
	blkzone report "$below" >"$work/below" || fail 'no report below'
	blkzone report "$device" >"$work/above" || fail 'no report above'
	diff "$work/below" "$work/above" || fail "$1: zones are not alike"
}

attr() # DEVICE NAME
{
	cat "/sys/block/$(basename "$(readlink -f "$1")")/queue/$2"
}

bdus_run zoned size=128M zone-size=4M zone-capacity=3M conventional=2 max-open=3 max-active=5 ||
	fail 'no device'
below=$device
head -c 1M /dev/urandom >"$work/data"
must dd if="$work/data" of="$below" bs=64k seek=128 oflag=direct conv=notrunc status=none
bdus_run file path="$below" || fail 'it is not passed through'

step 'attributes and reports'
for name in zoned nr_zones chunk_sectors max_open_zones max_active_zones logical_block_size; do
	[[ $(attr "$device" "$name") == "$(attr "$below" "$name")" ]] ||
		fail "$name is $(attr "$device" "$name"), and below $(attr "$below" "$name")"
done
same_reports 'at first'
cmp "$work/data" <(dd if="$device" bs=64k skip=128 count=16 iflag=direct status=none) || fail 'other data'

step 'requests on zones'
must dd if="$work/data" of="$device" bs=64k seek=144 oflag=direct conv=notrunc status=none
dd if="$work/data" of="$device" bs=64k seek=144 count=1 oflag=direct conv=notrunc status=none 2>/dev/null &&
	fail 'written twice at one place'
must blkzone open -o $((8192 * 4)) -c 1 "$device"
same_reports 'after opening'
must blkzone close -o $((8192 * 4)) -c 1 "$device"
must blkzone finish -o $((8192 * 2)) -c 1 "$device"
same_reports 'after finishing'
cmp "$work/data" <(dd if="$device" bs=64k skip=144 count=16 iflag=direct status=none) || fail 'other data'
must blkzone reset -o $((8192 * 2)) -c 1 "$device"
same_reports 'after resetting'

step 'limits'
for zone in 3 4 5; do
	must blkzone open -o $((zone * 8192)) -c 1 "$device"
done
blkzone open -o $((6 * 8192)) -c 1 "$device" 2>/dev/null && fail 'a fourth zone was opened'
must blkzone reset -o 16384 "$device"
same_reports 'after resetting all'

step 'fio'
is_slow && size=8M || size=24M
must fio --name=zbd --filename="$device" --direct=1 --zonemode=zbd --max_open_zones=2 --offset=8M \
	--rw=randwrite --bs=16k --ioengine=libaio --iodepth=8 --size="$size" --io_size="$size" \
	--verify=crc32c --verify_state_save=0 --eta=never --output="$work/fio"
same_reports 'after fio'
must "$BDUS" destroy "$device"

step 'a conventional device above it'
must blkzone reset -o 16384 "$below"
bdus_run file path="$below" --filter "zonefold:map=$work/map,create=yes" || fail 'no zonefold over it'
must fio --name=random --filename="$device" --direct=1 --rw=randwrite --bs=4k --ioengine=libaio --iodepth=16 \
	--size="$size" --verify=crc32c --verify_state_save=0 --eta=never --output="$work/fio"
must "$BDUS" destroy "$device"

step 'what cannot be passed through'
must_fail "$BDUS" run file path="$below" direct=no
[[ $refusal == *'direct transfers'* ]] || fail "refused with: $refusal"
must_fail "$BDUS" run file path="$below" size=6M
[[ $refusal == *'whole zones'* ]] || fail "refused with: $refusal"
must_fail "$BDUS" run --transport nbd,socket="$work/s" file path="$below"
[[ $refusal == *'NBD cannot carry the zones'* ]] || fail "refused with: $refusal"
bdus_run file path="$below" read-only=yes || fail 'it cannot be read'
must "$BDUS" destroy "$device"
must "$BDUS" destroy "$below"
