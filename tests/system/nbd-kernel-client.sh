#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The kernel's NBD client on a device of ours, over several connections: a file system with a source
# tree, fio with verification, discards and zeroes seen in the image, reconnecting, 4 KiB blocks, a
# read-only export, and a server that is killed under load: errors, no hang.
#
# guest: cpus=2 mem=1024 timeout=120
. "$(dirname "$0")/lib.sh"
need nbd-client mkfs.ext4 e2fsck fio blkdiscard blockdev
need_nbd
nbd=/dev/nbd0
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

forget()
{
	nbd-client -d $nbd >/dev/null 2>&1
}
at_exit forget

# connect [OPTION]...: the kernel's client to the server at $work/s.
connect()
{
	must nbd-client -unix "$work/s" $nbd -C 4 "$@" >/dev/null 2>"$work/client" ||
		fail "$(cat "$work/client")"
	wait_until 10 eval '[[ $(blockdev --getsize64 $nbd) != 0 ]]' || fail "$nbd stays empty"
}

disconnect()
{
	must nbd-client -d $nbd >/dev/null
	wait_until 10 eval '[[ ! -e /sys/block/nbd0/pid ]]' || fail "$nbd stays connected"
}

allocated()
{
	echo $(($(stat -c %b "$work/image") * 512))
}

step 'a file system over the kernel client'
truncate -s 256M "$work/image"
bdus_run file path="$work/image" -t "nbd,socket=$work/s" || fail 'not served'
connect
[[ $(blockdev --getsize64 $nbd) == $((256 << 20)) ]] || fail 'another size'
must mkfs.ext4 -q $nbd
mkdir "$work/mnt"
must mount $nbd "$work/mnt"
mkdir "$work/mnt/tree"
for room in include device transports drivers cli tests; do
	must cp -r "$repository/$room" "$work/mnt/tree/"
done
(cd "$work/mnt" && find tree -type f -print0 | sort -z | xargs -0 sha256sum) >"$work/sums"
[[ $(wc -l <"$work/sums") -gt 100 ]] || fail 'hardly any files were copied'
must umount "$work/mnt"

step 'after reconnecting to another server process'
disconnect
must "$BDUS" destroy "$device"
bdus_run file path="$work/image" -t "nbd,socket=$work/s" || fail 'not served again'
connect
must e2fsck -fn $nbd >"$work/log" 2>&1
must mount $nbd "$work/mnt"
(cd "$work/mnt" && must sha256sum --quiet -c "$work/sums")
must umount "$work/mnt"

step 'fio verifies what it wrote, with flushes between'
must fio --name=verify --filename=$nbd --rw=randwrite --bsrange=512-256k \
	--blockalign=512 --direct=1 --ioengine=libaio --iodepth=32 --size=32M --fsync=200 \
	--verify=crc32c --do_verify=1 --verify_fatal=1 --verify_state_save=0 --eta=never \
	--output="$work/fio"

step 'discards and zeroes reach the image'
must dd if=/dev/urandom of=$nbd bs=1M count=64 oflag=direct status=none
before=$(allocated)
must blkdiscard -o 0 -l 32M $nbd
wait_until 5 eval '(($(allocated) <= before - (30 << 20)))' ||
	fail "the image has $(allocated) bytes after a discard, $before before"
must blkdiscard -z -o 32M -l 32M $nbd
cmp -n $((32 << 20)) <(dd if=$nbd bs=1M skip=32 count=32 iflag=direct status=none) /dev/zero ||
	fail 'a zeroed range does not read as zeros'
disconnect
must "$BDUS" destroy "$device"

step 'logical blocks of 4 KiB'
bdus_run ram size=32M logical-block-size=4096 -t "nbd,socket=$work/s" || fail 'not served'
connect -b 4096
[[ $(blockdev --getss $nbd) == 4096 ]] || fail "the block size is $(blockdev --getss $nbd)"
must mkfs.ext4 -q $nbd
must e2fsck -fn $nbd >"$work/log" 2>&1
disconnect
must "$BDUS" destroy "$device"

step 'a read-only export'
bdus_run file path="$work/image" --read-only -t "nbd,socket=$work/s" || fail 'not served'
connect
[[ $(blockdev --getro $nbd) == 1 ]] || fail 'the kernel may write'
must_fail dd if=/dev/zero of=$nbd bs=4k count=1 oflag=direct
must dd if=$nbd of=/dev/null bs=1M count=16 iflag=direct status=none
disconnect
must "$BDUS" destroy "$device"

step 'the server is killed under load: errors, no hang'
bdus_run ram size=64M -t "nbd,socket=$work/s" || fail 'not served'
# What was in flight when a connection ends, the kernel gives up after this many seconds.
connect -t 3
fio --name=load --filename=$nbd --rw=randrw --bs=4k --direct=1 --ioengine=libaio --iodepth=32 \
	--time_based --runtime=60 --eta=never --output="$work/fio" 2>/dev/null &
load=$!
sleep 1
must kill -9 "$(servers | head -n 1)"
wait_until 20 eval '! kill -0 $load 2>/dev/null' || fail 'fio hangs'
wait $load && fail 'fio saw no error'
must_fail timeout 10 dd if=$nbd of=/dev/null bs=4k count=1 iflag=direct
nbd-client -d $nbd >/dev/null 2>&1
must "$BDUS" destroy "$device" --no-flush
[[ ! -e $work/s ]] || rm "$work/s"
