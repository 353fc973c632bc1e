#!/bin/bash
# SPDX-License-Identifier: MIT
#
# File systems and targets that know zones, on a disk of the driver zoned: zonefs, btrfs, f2fs and
# dm-zoned are made, filled, mounted again and compared. What a kernel or its tools lack is skipped by
# name.
#
# guest: cpus=2 mem=2048 timeout=240 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_zones
need blkzone
ran=0

# What is to be stored: files of all sizes, 24 MiB or, where the processor is slow, 4 MiB.
is_slow && files=50 || files=120
make_tree()
{
	local i
	mkdir -p "$work/tree/a/b"
	for i in $(seq "$files"); do
		head -c $((i * i * 40 + 17)) /dev/urandom >"$work/tree/a/file-$i"
	done
	head -c 3M /dev/urandom >"$work/tree/a/b/large"
	ln -s ../a/file-7 "$work/tree/a/link"
}

try_mount() # TYPE
{
	mkdir -p "$work/mnt"
	mount -t "$1" "$device" "$work/mnt" 2>"$work/error"
}

# Fills what is mounted, removes half of it, mounts it again and compares, twice.
fill_and_compare() # TYPE
{
	for _ in 1 2; do
		rm -rf "$work/mnt/copy"
		cp -a "$work/tree" "$work/mnt/copy" || fail "$1: cannot fill it"
		must umount "$work/mnt"
		try_mount "$1" || fail "$1 cannot be mounted again: $(cat "$work/error")"
		diff -r "$work/tree" "$work/mnt/copy" || fail "$1: other data after mounting again"
	done
	must umount "$work/mnt"
	ran=$((ran + 1))
}

without()
{
	echo "without $1: Linux $(uname -r) or its tools have none"
}

has_filesystem()
{
	modprobe "$1" 2>/dev/null || true
	grep -qw "$1" /proc/filesystems
}

make_tree

# A number of 32 bits, little-endian.
le32()
{
	printf '%b' "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) \
		$(($1 >> 16 & 255)) $(($1 >> 24 & 255)))"
}

# All that a zonefs needs is a superblock in the first zone: a magic number, a CRC-32 without its last
# inversion over everything with zeros in its place, and defaults. gzip ends with a CRC-32.
make_zonefs()
{
	local crc
	{
		printf SFOZ
		head -c 4092 /dev/zero
	} >"$work/super"
	crc=$(gzip -c "$work/super" | tail -c 8 | od -An -tu4 -N4)
	{
		printf SFOZ
		le32 $((~crc & 0xffffffff))
		head -c 4088 /dev/zero
	} >"$work/super"
	must dd if="$work/super" of="$device" bs=4k oflag=direct conv=notrunc status=none
}

step zonefs
if has_filesystem zonefs; then
	bdus_run zoned size=64M zone-size=4M conventional=1 || fail 'no device'
	make_zonefs
	try_mount zonefs || fail "zonefs: $(cat "$work/error")"
	head -c 4M /dev/urandom >"$work/zone"
	must dd if="$work/zone" of="$work/mnt/seq/3" bs=256k oflag=direct conv=notrunc status=none
	must umount "$work/mnt"
	try_mount zonefs || fail "zonefs: $(cat "$work/error")"
	cmp "$work/zone" "$work/mnt/seq/3" || fail 'zonefs: other data'
	must truncate -s 0 "$work/mnt/seq/3"
	must umount "$work/mnt"
	must "$BDUS" destroy "$device"
	ran=$((ran + 1))
else
	without zonefs
fi

# btrfs writes data by appends and believes where they are reported, with checksums of all that it reads:
# several writers at once, each file compared after nothing is cached.
append_from_threads()
{
	local writer appends
	for writer in 1 2 3 4; do
		for _ in 1 2; do cat "$work/tree/a/b/large"; done >"$work/mnt/writer-$writer" &
	done
	wait
	sync
	appends=$("$BDUS" stats "$device" | awk '$1 == "zone-append" { print $2 }')
	((appends > 8)) || fail "btrfs appended ${appends:-0} times"
	step "$appends appends from four writers"
	echo 3 >/proc/sys/vm/drop_caches
	for writer in 1 2 3 4; do
		for _ in 1 2; do cat "$work/tree/a/b/large"; done | cmp - "$work/mnt/writer-$writer" ||
			fail "btrfs: other data of writer $writer"
		rm "$work/mnt/writer-$writer"
	done
}

step btrfs
if has_filesystem btrfs && command -v mkfs.btrfs >/dev/null &&
	[[ -e /sys/fs/btrfs/features/zoned ]]; then
	bdus_run zoned size=1G zone-size=16M max-active=16 || fail 'no device'
	# A checksum that btrfs counts as fast: it computes others, where the processor does not, in
	# workers that mix up the order of a zoned extent's writes (seen in Linux 7.3: the extents of
	# a file point to one another's data).
	if mkfs.btrfs -q -f --csum xxhash -O zoned -d single -m single "$device" >"$work/mkfs" 2>&1 &&
		try_mount btrfs; then
		append_from_threads
		fill_and_compare btrfs
	else
		echo "without btrfs on zones: $(tail -n 1 "$work/mkfs") $(cat "$work/error")"
	fi
	must "$BDUS" destroy "$device"
else
	without 'btrfs on zones'
fi

step f2fs
if has_filesystem f2fs && command -v mkfs.f2fs >/dev/null; then
	bdus_run zoned size=640M zone-size=16M conventional=8 || fail 'no device'
	if mkfs.f2fs -q -f -m "$device" >"$work/mkfs" 2>&1; then
		try_mount f2fs || fail "f2fs: $(cat "$work/error")"
		fill_and_compare f2fs
	else
		fail "mkfs.f2fs: $(cat "$work/mkfs")"
	fi
	must "$BDUS" destroy "$device"
else
	without f2fs
fi

# What dmzadm makes, which few distributions have.
format_dm_zoned() # ZONES ZONE-KIB
{
	local set
	for set in 0 1; do
		must python3 "$(dirname "$0")/dm_zoned_metadata.py" "$1" "$2" "$set" >"$work/super" 2>"$work/chunks"
		must dd if="$work/super" of="$device" bs=4k seek=$((set * $2 / 4)) oflag=direct conv=notrunc \
			status=none
	done
	chunks=$(<"$work/chunks")
}

forget_dm_zoned()
{
	dmsetup info bdus-dm-zoned >/dev/null 2>&1 && dmsetup remove --force bdus-dm-zoned
	true
}

step dm-zoned
modprobe dm-zoned 2>/dev/null || true
if command -v dmsetup python3 >/dev/null && dmsetup targets 2>/dev/null | grep -q '^zoned'; then
	bdus_run zoned size=256M zone-size=4M conventional=12 || fail 'no device'
	zoned=$device
	format_dm_zoned 64 4096
	at_exit forget_dm_zoned
	must dmsetup create bdus-dm-zoned --table "0 $((chunks * 8192)) zoned $(readlink -f "$zoned")"
	device=/dev/mapper/bdus-dm-zoned
	must dmsetup mknodes
	must mkfs.ext4 -q "$device"
	try_mount ext4 || fail "ext4 over dm-zoned: $(cat "$work/error")"
	fill_and_compare ext4
	must dmsetup remove bdus-dm-zoned
	# And once more from what it stored.
	must dmsetup create bdus-dm-zoned --table "0 $((chunks * 8192)) zoned $(readlink -f "$zoned")"
	must dmsetup mknodes
	try_mount ext4 || fail "ext4 over dm-zoned cannot be mounted again: $(cat "$work/error")"
	diff -r "$work/tree" "$work/mnt/copy" || fail 'dm-zoned: other data after it was made again'
	must umount "$work/mnt"
	must dmsetup remove bdus-dm-zoned
	must "$BDUS" destroy "$zoned"
else
	without dm-zoned
fi
((ran > 0)) || skip "Linux $(uname -r) and its tools know no file system on zones"
