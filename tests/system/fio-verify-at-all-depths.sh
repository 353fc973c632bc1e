#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What fio writes in random order at several block sizes and depths, also mixed with reads and trims, it
# reads back, over `ram` and over `file`, and over `file` once more after the driver was restarted.
#
# guest: cpus=2 mem=1024 timeout=120 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_ublk
need fio

engine=io_uring
[[ $(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0) == 0 ]] || engine=libaio
unit=4M
is_slow && unit=1M

# Options of all jobs, for a file of jobs.
common() # DEVICE
{
	cat <<-END
		[global]
		filename=$1
		ioengine=$engine
		direct=1
		rw=randwrite
		size=$unit
		verify=crc32c
		verify_fatal=1
		verify_state_save=0
		randseed=12
		stonewall
	END
}

run_fio() # WHAT: the jobs are in $work/jobs
{
	step "$1"
	fio --minimal "$work/jobs" >"$work/fio" 2>&1 || {
		cat "$work/fio"
		fail "$1"
	}
}

all_shapes() # DEVICE
{
	{
		common "$1"
		printf '[%s]\nbs=%s\niodepth=%s\nsize=%s\n' sectors 512 1 256K single 4k 1 1M
		printf '[%s]\nbs=%s\niodepth=%s\n' deep 4k 32 middle 64k 8 large 256k 4
		printf '[%s]\nbs=%s\niodepth=%s\nsize=%s\n' larger 1m 4 16M split 4m 2 16M
		printf '[mixed sizes]\nbsrange=512-256k\niodepth=128\n'
		printf '[reads and writes]\nbs=4k\niodepth=16\nrw=randrw\n'
		# A device may carry out a trim and a write of the same block in any order.
		printf '[trims and writes]\nbs=4k\niodepth=32\nrw=randtrimwrite\nserialize_overlap=1\n'
		printf '[four at once]\nbs=16k\niodepth=16\nnumjobs=4\noffset_increment=%s\nfsync=64\n' $unit
	} >"$work/jobs"
	run_fio "$1: eleven shapes of load, verified"
}

one_shape() # DEVICE OPTION...
{
	{
		common "$1"
		printf '[restart]\nbs=8k\niodepth=16\nrandseed=77\n'
		printf '%s\n' "${@:2}"
	} >"$work/jobs"
	run_fio "$1: blocks of 8k ${*:2}"
}

step 'ram'
bdus_run ram size=64M --queues 2 || fail 'no device'
all_shapes "$device"
must "$BDUS" destroy "$device"

step 'file'
must truncate -s 64M "$work/image"
bdus_run file path="$work/image" || fail 'no device'
all_shapes "$device"
one_shape "$device"
must "$BDUS" destroy "$device"
bdus_run file path="$work/image" || fail 'no device the second time'
one_shape "$device" verify_only=1
step 'a verification that must fail, to see that it can'
must dd if=/dev/urandom of="$device" bs=8k seek=100 count=1 oflag=direct status=none
must_fail one_shape "$device" verify_only=1
must "$BDUS" destroy "$device"
