#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: cpus=2 timeout=90
# File systems on kbdus keep what is written, by commands of io_uring and by ioctl and poll, with one
# queue and with two; and fio, which reads back what it wrote, finds every block right.
. "$(dirname "$0")/lib.sh"
need mkfs.ext4 e2fsck fio
need_kbdus
truncate -s 96M "$work/image"
mkdir "$work/mount"

verify() # PATH
{
	fio --name=verify --filename="$1" --direct=1 --rw=randwrite --bsrange=4k-128k --size=24m \
		--iodepth=16 --ioengine=libaio --verify=crc32c --verify_fatal=1 --verify_state_save=0 --minimal >"$work/fio" ||
		{
			cat "$work/fio"
			fail 'fio found what it had not written'
		}
}

keep_files() # PATH
{
	must mkfs.ext4 -q -F "$1"
	must mount "$1" "$work/mount"
	must cp -r /usr/share/doc/bash /usr/share/misc "$work/mount"
	must umount "$work/mount"
	must mount -o ro "$1" "$work/mount"
	must diff -r --no-dereference /usr/share/doc/bash "$work/mount/bash"
	must umount "$work/mount"
	must e2fsck -fn "$1" >"$work/fsck"
}

for transport in kbdus kbdus,poll=yes; do
	for queues in 1 2; do
		step "$transport, $queues queues"
		bdus_run --transport "$transport" --queues "$queues" file path="$work/image"
		verify "$device"
		keep_files "$device"
		must "$BDUS" destroy "$device"
	done
done
