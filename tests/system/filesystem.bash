# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# What the tests of file systems share: a real source tree of some tens of megabytes with small and
# large files, and the life of a file system on a device from mkfs to the last comparison.

_repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Fills a directory with this repository, headers of the system, and some large files.
fill() # DIRECTORY
{
	local room program path large=(bash perl python3 git fio qemu-img clang nbdkit)
	for room in include base abi device transports drivers cli docs tests; do
		must cp -r "$_repository/$room" "$1/"
	done
	if is_slow; then
		must cp -rL /usr/include/asm-generic "$1/headers"
		large=(bash fio git)
	else
		must cp -rL /usr/include/linux "$1/headers"
	fi
	for program in "${large[@]}"; do
		path=$(command -v "$program") || continue
		must cp -L "$path" "$1/large-$program"
	done
	must mkdir "$1/nested"
	must ln -s ../headers "$1/nested/link"
	must touch "$1/nested/empty"
}

# One sum over names, kinds and contents of all that is in a directory.
sum_of() # DIRECTORY
{
	(
		cd "$1" || exit
		find . -path ./lost+found -prune -o -printf '%y %p %l\n' | sort
		find . -type f -print0 | sort -z | xargs -0 sha256sum
	) | sha256sum | cut -d' ' -f1
}

make_filesystem() # TYPE DEVICE
{
	case $1 in
	ext4) must mkfs.ext4 -q "$2" ;;
	xfs) must mkfs.xfs -q "$2" ;;
	btrfs) must mkfs.btrfs -q "$2" >"$work/mkfs" ;;
	esac
}

check_filesystem() # TYPE DEVICE
{
	case $1 in
	ext4) e2fsck -fn "$2" ;;
	xfs) xfs_repair -n "$2" ;;
	btrfs) btrfs check --readonly "$2" ;;
	esac >"$work/check" 2>&1 || {
		cat "$work/check"
		fail "the $1 on $2 is damaged"
	}
}

# Make, fill, unmount, check.
begin_filesystem() # TYPE DEVICE
{
	make_filesystem "$1" "$2"
	must mkdir -p "$work/mnt"
	must mount -t "$1" "$2" "$work/mnt"
	fill "$work/mnt"
	sum=$(sum_of "$work/mnt")
	step "$1 on $2: $(find "$work/mnt" -type f | wc -l) files, $(du -sm "$work/mnt" | cut -f1) MiB, $sum"
	must umount "$work/mnt"
	check_filesystem "$1" "$2"
}

# Mount again with nothing cached, compare, delete most, trim, unmount, check. How much was deleted is
# in $removed, in bytes.
end_filesystem() # TYPE DEVICE
{
	local again
	check_filesystem "$1" "$2"
	echo 3 >/proc/sys/vm/drop_caches
	must mount -t "$1" "$2" "$work/mnt"
	again=$(sum_of "$work/mnt")
	[[ $again == "$sum" ]] || fail "$2 holds $again after it was mounted again, not $sum"
	step "the same $sum when mounted again"
	removed=$(du -cb "$work/mnt"/large-* "$work/mnt/headers" | tail -n 1 | cut -f1)
	must rm -r "$work/mnt"/large-* "$work/mnt/headers"
	sum=$(sum_of "$work/mnt")
	sync # what is freed but not committed is not trimmed
	must fstrim "$work/mnt"
	echo 3 >/proc/sys/vm/drop_caches
	[[ $(sum_of "$work/mnt") == "$sum" ]] || fail "trimming changed what is on $2"
	must umount "$work/mnt"
	check_filesystem "$1" "$2"
}

# The whole test of one type of file system: on memory, and on a file with a driver that comes and goes.
filesystem_test() # TYPE
{
	local before after
	need_ublk
	need_filesystem "$1"
	need "mkfs.$1" fstrim

	if ! is_slow; then
		step "$1 over the ram driver"
		bdus_run ram size=640M || fail 'no device'
		begin_filesystem "$1" "$device"
		end_filesystem "$1" "$device"
		must "$BDUS" destroy "$device"
	fi

	step "$1 over the file driver, restarted in between"
	must truncate -s 640M "$work/image"
	bdus_run file path="$work/image" || fail 'no device'
	begin_filesystem "$1" "$device"
	must "$BDUS" destroy "$device"
	before=$(stat -c %b "$work/image")
	bdus_run file path="$work/image" || fail 'no device the second time'
	end_filesystem "$1" "$device"
	must "$BDUS" destroy "$device"
	after=$(stat -c %b "$work/image")
	(((before - after) * 512 > removed / 2)) ||
		fail "trimming freed too little: $before blocks before, $after after, $removed bytes gone"
	step "trimming took the file from $((before / 2048)) to $((after / 2048)) MiB"
	nothing_left
}
