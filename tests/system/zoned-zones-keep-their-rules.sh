#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The driver zoned over ublk: blkzone, libzbd's tool and sysfs see the geometry that was asked for;
# requests on zones lead where the rules say; what breaks a rule is refused and changes nothing.
#
# guest: cpus=2 mem=512 timeout=60 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_zones
need blkzone

# The fields of blkzone's report for the zone that starts at sector $1.
zone()
{
	blkzone report -o "$1" -c 1 "$device"
}

expect_zone() # SECTOR PATTERN
{
	local line
	line=$(zone "$1")
	[[ $line =~ $2 ]] || fail "zone at $1 is \"$line\", expected $2"
}

expect_attr() # NAME VALUE
{
	local found
	found=$(<"/sys/block/$name/queue/$1")
	[[ $found == "$2" ]] || fail "$1 is $found, expected $2"
}

# write_at OFFSET_KIB LENGTH_KIB: the client's pattern there.
write_at()
{
	dd if="$work/data" of="$device" bs=4k seek=$(($1 / 4)) count=$(($2 / 4)) oflag=direct \
		conv=notrunc status=none 2>"$work/error"
}

head -c 4M /dev/urandom >"$work/data"

step 'geometry'
bdus_run zoned size=128M zone-size=4M zone-capacity=3M conventional=2 max-open=3 max-active=5 \
	max-append=64K || fail 'no device'
name=$(basename "$(readlink -f "$device")")
expect_attr zoned host-managed
expect_attr nr_zones 32
expect_attr chunk_sectors 8192
expect_attr max_open_zones 3
expect_attr max_active_zones 5
expect_attr zone_append_max_bytes 65536
blkzone report "$device" >"$work/report"
(($(wc -l <"$work/report") == 32)) || fail "$(cat "$work/report")"
(($(grep -c 'CONVENTIONAL' "$work/report") == 2)) || fail 'not 2 conventional zones'
(($(grep -c 'cap 0x001800.*SEQ_WRITE_REQUIRED' "$work/report") == 30)) || fail 'not 30 sequential ones'
if command -v zbd >/dev/null; then
	zbd report "$device" >"$work/zbd" || fail 'zbd cannot report'
	(($(grep -c 'Zone 000' "$work/zbd") == 32)) || fail "$(cat "$work/zbd")"
fi

step 'writes at the write pointer, and nowhere else'
write_at 8192 64 || fail "$(cat "$work/error")"
expect_zone 16384 'wptr 0x000080.*zcond: ?2'
write_at 8192 64 && fail 'written twice at one place'
write_at 8320 64 && fail 'written past the write pointer'
write_at $((8192 + 64)) 3072 && fail 'written past the capacity'
expect_zone 16384 'wptr 0x000080.*zcond: ?2'
cmp -n 65536 "$work/data" <(dd if="$device" bs=4k skip=2048 count=16 iflag=direct status=none) ||
	fail 'other data'
[[ -z $(dd if="$device" bs=4k skip=2064 count=16 iflag=direct status=none | tr -d '\0') ]] ||
	fail 'what was never written is not zeros'
write_at 4096 64 || fail 'a conventional zone cannot be written'
write_at 4096 64 || fail 'nor again'

step 'open, close, finish, reset'
blkzone open -o 24576 -c 1 "$device" || fail 'open'
expect_zone 24576 'wptr 0x000000.*zcond: ?3'
blkzone close -o 24576 -c 1 "$device" || fail 'close'
expect_zone 24576 'zcond: ?1'
blkzone close -o 16384 -c 1 "$device" || fail 'close of a written zone'
expect_zone 16384 'wptr 0x000080.*zcond: ?4'
blkzone finish -o 16384 -c 1 "$device" || fail 'finish'
expect_zone 16384 'zcond:14'
write_at $((8192 + 64)) 64 && fail 'written to a full zone'
cmp -n 65536 "$work/data" <(dd if="$device" bs=4k skip=2048 count=16 iflag=direct status=none) ||
	fail 'a finished zone lost its data'
blkzone reset -o 16384 -c 1 "$device" || fail 'reset'
expect_zone 16384 'wptr 0x000000.*zcond: ?1'
write_at 8192 64 || fail 'a zone that was reset cannot be written'
blkzone reset -o 0 -c 1 "$device" 2>/dev/null && fail 'a conventional zone was reset'

step 'limits'
for zone in 3 4 5; do
	blkzone open -o $((zone * 8192)) -c 1 "$device" || fail "zone $zone cannot be opened"
done
blkzone open -o $((6 * 8192)) -c 1 "$device" 2>"$work/error" && fail 'a fourth zone was opened'
grep -qi 'too many references' "$work/error" || fail "told: $(cat "$work/error")"
for zone in 3 4 5; do
	write_at $((zone * 4096)) 4 || fail "an open zone cannot be written: $(cat "$work/error")"
	blkzone close -o $((zone * 8192)) -c 1 "$device" || fail "zone $zone cannot be closed"
done
write_at $((6 * 4096)) 4 || fail "a fifth active zone cannot be written: $(cat "$work/error")"
blkzone open -o $((7 * 8192)) -c 1 "$device" 2>"$work/error" && fail 'a sixth zone became active'
grep -qi 'too large' "$work/error" || fail "told: $(cat "$work/error")"
blkzone reset "$device" 2>/dev/null
blkzone reset -o 16384 "$device" || fail 'reset of all sequential zones'
(($(blkzone report "$device" | grep -c 'zcond: *1(em)') == 30)) || fail 'not all zones are empty'
must "$BDUS" destroy "$device"

step 'broken zones'
bdus_run zoned size=64M zone-size=4M read-only-zones=3:4 offline-zones=5 || fail 'no device'
expect_zone $((3 * 8192)) 'zcond:13'
expect_zone $((5 * 8192)) 'zcond:15'
write_at $((3 * 4096)) 4 && fail 'a read-only zone was written'
blkzone reset -o $((4 * 8192)) -c 1 "$device" 2>/dev/null && fail 'a read-only zone was reset'
dd if="$device" of=/dev/null bs=4k skip=$((5 * 1024)) count=1 iflag=direct status=none 2>/dev/null &&
	fail 'an offline zone was read'
write_at 0 4 || fail 'and others cannot be written'
must "$BDUS" destroy "$device"

step 'what cannot be is refused by name'
must_fail "$BDUS" run --transport nbd,socket="$work/s" zoned size=64M zone-size=4M
[[ $refusal == *'NBD cannot carry the zones'* ]] || fail "refused with: $refusal"
must_fail "$BDUS" run zoned size=66M zone-size=4M
[[ $refusal == *'multiple of the zone size'* ]] || fail "refused with: $refusal"
must_fail "$BDUS" run zoned size=64M zone-size=4M max-open=17
[[ $refusal == *'number of sequential zones, 16'* ]] || fail "refused with: $refusal"
