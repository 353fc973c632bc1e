#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Makes an ext4 image with files and reads its inode tables with bench-inodes.
#
# usage: inodes.sh [--size BYTES] [--files N] [--rounds N]
set -u -o pipefail
: "${BENCH_INODES:?is the built bench-inodes}"
PATH=$PATH:/usr/sbin:/sbin
size=1G files=20000 rounds=21
while (($# > 1)); do
	case $1 in
	--size) size=$2 ;;
	--files) files=$2 ;;
	--rounds) rounds=$2 ;;
	*)
		sed -n 's/^# \(usage: .*\)/\1/p' "$0" >&2
		exit 2
		;;
	esac
	shift 2
done
command -v mkfs.ext4 >/dev/null || {
	echo 'SKIP: no mkfs.ext4 here'
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
for ((i = 0; i < files; i++)); do
	((i % 500 == 0)) && folder=$work/tree/$i && mkdir "$folder" && ln -s "$i" "$folder/link"
	echo $i >"$folder/$i"
done
truncate -s "$size" "$work/image"
mkfs.ext4 -q -O metadata_csum -d "$work/tree" "$work/image" || exit 1
"$BENCH_INODES" "$work/image" "$rounds"
