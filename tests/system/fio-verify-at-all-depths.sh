#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What fio writes in random order at several block sizes and depths, mixed with reads and trims, it
# reads back, over `ram` and over `file`, and over `file` once more after the driver was restarted.
#
# guest: cpus=2 mem=1024 timeout=180 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_ublk
need fio

engine=io_uring
[[ $(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0) == 0 ]] || engine=libaio

run_fio() # DEVICE BLOCK-SIZE DEPTH [OPTION...]
{
	local block=$2 depth=$3
	step "$1: blocks of $block, depth $depth ${*:4}"
	fio --name=verify --filename="$1" --ioengine=$engine --direct=1 \
		--rw=randwrite --bs="$block" --iodepth="$depth" --verify=crc32c --verify_fatal=1 --do_verify=1 \
		--randseed=12 --minimal --size=16M "${@:4}" >"$work/fio" 2>&1 || {
		cat "$work/fio"
		fail "fio at blocks of $block, depth $depth on $1"
	}
}

all_shapes() # DEVICE
{
	run_fio "$1" 512 1 --size=512K
	run_fio "$1" 4k 1 --size=4M
	run_fio "$1" 4k 32
	run_fio "$1" 64k 8
	run_fio "$1" 1m 4
	run_fio "$1" 4m 2
	run_fio "$1" 512-256k 128
	run_fio "$1" 4k 16 --rw=randrw --rwmixread=50
	run_fio "$1" 4k 32 --rw=randtrimwrite
	run_fio "$1" 16k 16 --numjobs=4 --offset_increment=16M --fsync=64
}

step 'ram'
bdus_run ram size=64M --queues 2 || fail 'no device'
all_shapes "$device"
must "$BDUS" destroy "$device"

step 'file'
must truncate -s 64M "$work/image"
bdus_run file path="$work/image" || fail 'no device'
all_shapes "$device"
run_fio "$device" 8k 16 --randseed=77
must "$BDUS" destroy "$device"
bdus_run file path="$work/image" || fail 'no device the second time'
run_fio "$device" 8k 16 --randseed=77 --verify_only=1
step 'a verification that must fail, to see that it can'
must dd if=/dev/urandom of="$device" bs=8k seek=100 count=1 oflag=direct status=none
must_fail run_fio "$device" 8k 16 --randseed=77 --verify_only=1
must "$BDUS" destroy "$device"
