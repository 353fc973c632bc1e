#!/bin/bash
# SPDX-License-Identifier: MIT
#
# File systems that know nothing of zones, on the filter zonefold over the driver zoned: ext4 and xfs are
# made, filled, deleted from and filled again until garbage has to be collected, mounted again and
# compared, over an end of the driver in between. A map on a full file system: ENOSPC, with the error
# named, and nothing lost.
#
# guest: cpus=2 mem=1536 timeout=120 kernels=uml
. "$(dirname "$0")/lib.sh"
need_ublk
need_filesystem ext4
need mkfs.ext4 mkfs.xfs fio
files=60
is_slow && files=40

run_folded() # SIZE ZONE-SIZE [WORDS]
{
	bdus_run zoned path="$work/image" create=yes size="$1" zone-size="$2" conventional=1 \
		max-open=6 max-active=8 --filter "zonefold:map=$work/map${3:+,$3}" || fail 'no device'
}

status() # MEMBER
{
	"$BDUS" info "$device" | sed -n "s/^  $1  *//p"
}

make_tree() # DIRECTORY
{
	local i
	mkdir -p "$1"
	for i in $(seq "$files"); do
		head -c $((i * i * 60 + 17)) /dev/urandom >"$1/file-$i"
	done
}

sum_of()
{
	(cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum
}

carries() # TYPE SIZE ZONE-SIZE ROUNDS
{
	local round sum
	need_filesystem "$1"
	step "$1"
	rm -f "$work"/image "$work"/map*
	run_folded "$2" "$3" create=yes
	# Whatever is written from here on takes the place of something.
	dd if=/dev/zero of="$device" bs=1M oflag=direct status=none 2>/dev/null
	case $1 in
	ext4) must mkfs.ext4 -q -E nodiscard "$device" ;;
	xfs) must mkfs.xfs -q -K "$device" ;;
	esac
	mkdir -p "$work/mnt"
	for round in $(seq "$4"); do
		must mount -t "$1" "$device" "$work/mnt"
		rm -rf "${work:?}/mnt/$((round - 1))"
		make_tree "$work/mnt/$round"
		make_tree "$work/mnt/kept-$((round % 2))"
		must umount "$work/mnt"
	done
	must mount -t "$1" "$device" "$work/mnt"
	# Here and there, so that no zone is left without anything valid.
	must fio --name=scattered --filename="$work/mnt/scattered" --rw=randwrite --bs=4k --size=12M \
		--io_size=24M --norandommap --direct=1 --ioengine=libaio --iodepth=16 --eta=never \
		--output="$work/fio"
	sum=$(sum_of "$work/mnt")
	must umount "$work/mnt"
	step "$("$BDUS" info "$device" | grep -E 'amplif|collected|resets' | tr -s ' \n' ' ')"
	collected=$(status 'collected zones')
	must "$BDUS" destroy "$device"
	run_folded "$2" "$3"
	must mount -t "$1" "$device" "$work/mnt"
	[[ $(sum_of "$work/mnt") == "$sum" ]] || fail "$1: other data after the driver came back"
	must umount "$work/mnt"
	case $1 in
	ext4) e2fsck -fn "$device" >"$work/check" 2>&1 || fail "$(cat "$work/check")" ;;
	xfs) xfs_repair -n "$device" >"$work/check" 2>&1 || fail "$(cat "$work/check")" ;;
	esac
	must "$BDUS" destroy "$device"
}

carries ext4 65M 1M 2
((collected > 0)) || fail 'nothing was collected'
is_slow || carries xfs 416M 8M 1

step 'a map on a full file system'
rm -f "$work"/image "$work"/map*
mkdir -p "$work/small"
must mount -t tmpfs -o size=1M tmpfs "$work/small"
bdus_run zoned path="$work/image" create=yes size=128M zone-size=4M \
	--filter "zonefold:map=$work/small/map,create=yes" || fail 'no device'
head -c 4M /dev/urandom >"$work/data"
must dd if="$work/data" of="$device" bs=64k oflag=direct conv=fsync,notrunc status=none
dd if=/dev/zero of="$work/small/fill" bs=4k 2>/dev/null
# Single blocks, far apart, so that each is a page of the map of its own.
for i in $(seq 40 2 240); do
	dd if="$work/data" of="$device" bs=4k count=1 seek=$((i * 64)) oflag=direct conv=notrunc status=none ||
		fail 'a write that is not flushed failed'
done
dd if="$work/data" of="$device" bs=4k count=1 seek=1100 oflag=direct conv=notrunc,fsync status=none \
	2>"$work/error" && fail 'a flush succeeded without room for the map'
grep -qi 'no space' "$work/error" || fail "told: $(cat "$work/error")"
[[ $(status 'last error') == *"$work/small/map"* ]] || fail "info tells: $(status 'last error')"
cmp "$work/data" <(dd if="$device" bs=64k count=64 iflag=direct status=none) || fail 'data is lost'
rm "$work/small/fill"
must dd if="$work/data" of="$device" bs=4k count=1 seek=1100 oflag=direct conv=notrunc,fsync status=none
must "$BDUS" destroy "$device"
bdus_run zoned path="$work/image" --filter "zonefold:map=$work/small/map" || fail 'no device'
cmp "$work/data" <(dd if="$device" bs=64k count=64 iflag=direct status=none) || fail 'data is lost'
for i in 40 132 240; do
	cmp -n 4096 "$work/data" <(dd if="$device" bs=4k count=1 skip=$((i * 64)) iflag=direct status=none) ||
		fail "block $((i * 64)) is lost"
done
must "$BDUS" destroy "$device"
must umount "$work/small"
