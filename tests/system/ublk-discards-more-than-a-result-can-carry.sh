#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Discards and write zeros of many GiB reach the file below in pieces whose length a signed 32-bit
# result can carry, and all of the range is done.
#
# guest: mem=1024 timeout=120 kernels=uml
. "$(dirname "$0")/lib.sh"
need_ublk
need blkdiscard fallocate

blocks() # of the image, in KiB
{
	du -k "$work/image" | cut -f1
}

# Writes a marker at every GiB and at the last MiB.
mark()
{
	local gib
	for gib in 0 1 2 3 4 5; do
		must dd if=/dev/urandom of="$device" bs=1M count=2 seek=$((gib * 1024)) conv=fsync \
			oflag=direct status=none
	done
	must dd if=/dev/urandom of="$device" bs=1M count=1 seek=6143 oflag=direct status=none
}

must truncate -s 6G "$work/image"
bdus_run --transport ublk file path="$work/image" || fail 'no device'
queue=/sys/block/$(basename "$(readlink -f "$device")")/queue
for limit in discard_max_bytes write_zeroes_max_bytes; do
	value=$(cat "$queue/$limit")
	((value > 0 && value <= 2147483647)) || fail "$limit is $value"
done

mark
before=$(blocks)
((before >= 12 * 1024)) || fail "only $before KiB were written"
must blkdiscard "$device"
(($(blocks) < 1024)) || fail "$(blocks) KiB are left of $before"

mark
must fallocate -p -o 0 -l 6G "$device"
(($(blocks) < 1024)) || fail "$(blocks) KiB are left after write zeros"
stride=511
is_slow && stride=1022
for ((mib = 0; mib < 6144; mib += stride)); do
	dd if="$device" bs=1M skip="$mib" count=1 iflag=direct status=none | cmp -n 1048576 - /dev/zero ||
		fail "not zero at MiB $mib"
done
must "$BDUS" destroy "$device"
