#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A zoned disk in an image keeps zones and data: over an orderly end, and over a kill in the middle of
# writes, after which what was flushed is there, write pointers match, and nothing else shows. An image
# that is corrupt, truncated or no image is refused by name, and stays as it was.
#
# guest: cpus=2 mem=768 timeout=60 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_zones
need blkzone fio
image=$work/image

serve()
{
	bdus_run zoned path="$image" "$@" || fail 'no device'
}

zone() # SECTOR
{
	blkzone report -o "$1" -c 1 "$device"
}

refused() # WORDS COMMAND...
{
	local words=$1 before after
	shift
	before=$(cksum <"$image")
	must_fail "$@"
	[[ $refusal == *"$words"* ]] || fail "refused with: $refusal"
	[[ $refusal == *"$image"* ]] || fail "does not name the image: $refusal"
	after=$(cksum <"$image")
	[[ $before == "$after" ]] || fail 'refused, and changed all the same'
}

step 'an orderly end'
serve create=yes size=128M zone-size=4M zone-capacity=3M conventional=1 max-active=8
head -c 1M /dev/urandom >"$work/data"
must dd if="$work/data" of="$device" bs=64k seek=64 oflag=direct conv=notrunc status=none
must dd if="$work/data" of="$device" bs=64k seek=0 oflag=direct conv=notrunc status=none
must blkzone finish -o 16384 -c 1 "$device"
must "$BDUS" destroy "$device"
serve
[[ $(zone 8192) =~ 'wptr 0x000800'.*zcond:\ ?4 ]] || fail "zone 1 is $(zone 8192)"
[[ $(zone 16384) =~ zcond:14 ]] || fail "zone 2 is $(zone 16384)"
cmp "$work/data" <(dd if="$device" bs=64k skip=64 count=16 iflag=direct status=none) || fail 'other data'
cmp "$work/data" <(dd if="$device" bs=64k count=16 iflag=direct status=none) ||
	fail 'other data in the conventional zone'

step 'a kill under load'
must dd if="$work/data" of="$device" bs=64k seek=256 oflag=direct conv=fsync,notrunc status=none
fio --name=load --filename="$device" --rw=randwrite --bs=16k --direct=1 --zonemode=zbd --ioengine=libaio \
	--iodepth=8 --offset=32M --size=64M --max_open_zones=4 --time_based --runtime=30 \
	--output="$work/fio.out" --eta=never 2>/dev/null &
sleep 2
kill -KILL "$(servers)"
wait
wait_until 30 _no_servers
"$BDUS" destroy "$device" 2>/dev/null
serve
blkzone report "$device" >"$work/report" || fail 'no report after a kill'
(($(grep -c 'zcond: *[23]' "$work/report") == 0)) || fail 'zones are open after a kill'
[[ $(zone 32768) =~ 'wptr 0x000800' ]] || fail "a flushed zone is $(zone 32768)"
cmp "$work/data" <(dd if="$device" bs=64k skip=256 count=16 iflag=direct status=none) ||
	fail 'flushed data is lost'
[[ -z $(dd if="$device" bs=64k skip=272 count=16 iflag=direct status=none | tr -d '\0') ]] ||
	fail 'data shows behind a write pointer'
must dd if="$work/data" of="$device" bs=64k seek=272 oflag=direct conv=notrunc status=none
must fio --name=again --filename="$device" --rw=write --bs=64k --direct=1 --zonemode=zbd --offset=32M \
	--size=12M --verify=crc32c --verify_state_save=0 --output="$work/fio.out" --eta=never
must "$BDUS" destroy "$device"

step 'what cannot be trusted is refused'
cp --sparse=always "$image" "$work/good"
truncate -s 100M "$image"
refused 'is truncated' "$BDUS" run zoned path="$image"
cp --sparse=always "$work/good" "$image"
printf x | dd of="$image" bs=1 seek=$((2 * 4096 + 100)) conv=notrunc status=none
refused 'is corrupt' "$BDUS" run zoned path="$image"
cp --sparse=always "$work/good" "$image"
printf x | dd of="$image" bs=1 seek=100 conv=notrunc status=none
printf x | dd of="$image" bs=1 seek=4200 conv=notrunc status=none
refused 'no image of a zoned disk, or a corrupt one' "$BDUS" run zoned path="$image"
truncate -s 0 "$image"
refused 'no image of a zoned disk' "$BDUS" run zoned path="$image"
cp --sparse=always "$work/good" "$image"
refused 'is of size 134217728, not 67108864' "$BDUS" run zoned path="$image" size=64M
serve
must "$BDUS" destroy "$device"
