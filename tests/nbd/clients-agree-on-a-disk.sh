#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What one client writes the others read: nbdcopy, qemu-img, qemu-io, nbdinfo and nbd-client -list on one
# sparse file, which is what was written when the server has gone.
. "$(dirname "$0")/lib.sh"
need nbdinfo nbdcopy qemu-img qemu-io nbd-client
size=$((64 << 20))

step 'a disk with data and holes'
truncate -s $size "$dir/source"
for at in 0 3 17 40 63; do
	dd if=/dev/urandom of="$dir/source" bs=1M count=1 seek=$at conv=notrunc status=none
done
truncate -s $size "$dir/image"
serve file path="$dir/image"

step 'nbdinfo'
[[ $(nbdinfo --size "$uri") == "$size" ]] || fail "the size is $(nbdinfo --size "$uri")"
must nbdinfo --list "$uri" | grep -q 'driver file' || fail 'no description'
for feature in flush fua trim zero multi-conn; do
	must nbdinfo --can "$feature" "$uri"
done
nbdinfo --is read-only "$uri" && fail 'read-only'
[[ $(nbdinfo --map --totals "$uri" | awk '$3 == 3 { print $1 }') == "$size" ]] ||
	fail "an empty file is not a hole: $(nbdinfo --map "$uri")"

step 'nbdcopy writes, with several connections; qemu-img compares'
must nbdcopy --connections=4 --requests=32 "$dir/source" "$uri"
must qemu-img compare -q -f raw -F raw "$dir/source" "$uri"
[[ $(nbdinfo --map --totals "$uri" | awk '$3 == 0 { print $1 }') == $((5 << 20)) ]] ||
	fail "other data than five blocks: $(nbdinfo --map "$uri")"
must qemu-img map --output=json -f raw "$uri" >"$dir/map"
[[ $(grep -c '"data": true' "$dir/map") == 5 ]] || fail "qemu-img sees another map: $(cat "$dir/map")"

step 'qemu-io writes with FUA, zeroes, discards, flushes'
must qemu-io -f raw -c 'write -q -f -P 0xa5 1M 64k' -c 'write -q -P 0x5a 1600k 512' \
	-c 'write -q -z 3M 512k' -c 'write -q -z -u 17M 1M' -c 'discard -q 40M 1M' -c flush \
	-c 'read -q -P 0xa5 1M 64k' -c 'read -q -P 0x5a 1600k 512' -c 'read -q -P 0 3M 512k' \
	-c 'read -q -P 0 17M 1M' "$uri" >"$dir/log"
! grep -i 'fail\|error\|mismatch' "$dir/log" || fail 'qemu-io saw something else'

step 'qemu-img converts from it and to it'
must qemu-img convert -f raw -O qcow2 "$uri" "$dir/copy.qcow2"
must qemu-img compare -q -f qcow2 -F raw "$dir/copy.qcow2" "$uri"
must qemu-img convert -n -f raw -O raw "$dir/source" "$uri"
must qemu-img compare -q -f raw -F raw "$dir/source" "$uri"

step 'nbdcopy reads'
must nbdcopy --connections=4 "$uri" "$dir/read"
must cmp "$dir/source" "$dir/read"

step 'nbd-client lists'
must nbd-client -l -unix "$socket" >"$dir/list" 2>&1
grep -q 'driver file' "$dir/list" || fail "$(cat "$dir/list")"

step 'the file, when the server has gone'
stop
must cmp "$dir/source" "$dir/image"
