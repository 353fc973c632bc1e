#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The file driver on a block device: takes its size and block sizes, keeps others from opening it
# exclusively, refuses it while it is mounted, passes discards and zeros on, and serves blocks smaller
# than those of the device, also when neighbours are written at once.
#
# guest: mem=768 timeout=90 kernels=uml
. "$(dirname "$0")/lib.sh"
need_ublk
need losetup mkfs.ext4 blkdiscard fallocate blockdev fio cmp
need_module loop /dev/loop-control

must truncate -s 32M "$work/image"
loop=$(losetup --find --show --sector-size 4096 --direct-io=off "$work/image") || skip 'no loop device'
at_exit losetup -d "$loop"

step 'size and block sizes are those of the device'
bdus_run file path="$loop" || fail 'no device'
[[ $(blockdev --getsize64 "$device") == $((32 << 20)) ]] || fail 'another size'
[[ $(blockdev --getss "$device") == 4096 ]] || fail 'another logical block size'

step 'a second writer and a mount are refused'
must_fail "$BDUS" run file path="$loop"
[[ $refusal == *"path=$loop"* ]] || fail "refused as: $refusal"
must_fail mount "$loop" /mnt
must mkfs.ext4 -q "$device"
must "$BDUS" destroy "$device"
must mkdir "$work/mnt"
must mount "$loop" "$work/mnt"
must_fail "$BDUS" run file path="$loop"
[[ $refusal == *'exclusive use'* ]] || fail "refused as: $refusal"
must umount "$work/mnt"

step 'discards and zeros reach it'
bdus_run file path="$loop" || fail 'no device'
must dd if=/dev/urandom of="$device" bs=1M count=32 oflag=direct status=none
must blkdiscard -o 8M -l 16M "$device"
sync -f "$work/image"
taken=$(($(stat -c %b "$work/image") >> 11))
((taken >= 16 && taken <= 17)) || fail "$taken MiB taken, not 16"
must fallocate -p -o 24M -l 4M "$device"
must blkdiscard -z -o 28M -l 2M "$device"
cmp -s <(dd if="$loop" bs=1M skip=24 count=6 status=none) <(head -c 6M /dev/zero) ||
	fail 'what was zeroed is not zeros'
must "$BDUS" destroy "$device"

step 'blocks of 512 bytes on a device of 4096'
bdus_run file path="$loop" logical-block-size=512 || fail 'no device'
[[ $(blockdev --getss "$device") == 512 ]] || fail 'another logical block size'
must fio --name=small --filename="$device" --direct=1 --ioengine=libaio --iodepth=16 --size=1M \
	--rw=randwrite --bsrange=512-8k --blockalign=512 --verify=crc32c \
	--verify_state_save=0 --eta=never --output="$work/fio"
must "$BDUS" destroy "$device"

step 'more than there is is refused'
must_fail "$BDUS" run file path="$loop" size=1G create=yes
[[ $refusal == *'size=1073741824 is more than the 33554432 bytes'* ]] || fail "refused as: $refusal"
