#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Payload memory that a burst of large requests took goes back to the system when the device has been
# idle for a while, and data that comes afterwards is right.
#
# guest: timeout=120 kernels=uml
. "$(dirname "$0")/lib.sh"
need_ublk
need fio

resident_kib()
{
	awk '/^RssAnon:/ { print $2 }' "/proc/$1/status"
}

is_small() # PID
{
	(($(resident_kib "$1") < 4096))
}

must truncate -s 64M "$work/image"
# Without copies there would be no payload memory to speak of.
bdus_run --transport ublk,zero-copy=no file path="$work/image" || fail 'no device'
server=$(servers)
idle=$(resident_kib "$server")
must fio --name=burst --filename="$device" --rw=randwrite --bs=1M --direct=1 --ioengine=libaio \
	--iodepth=32 --size=64M --loops=3 --output="$work/fio.out"
busy=$(resident_kib "$server")
((busy > idle + 8192)) || fail "the burst took no memory: $idle KiB, then $busy KiB"
wait_until 60 is_small "$server" || fail "$(resident_kib "$server") KiB of $busy KiB are still there"
echo "idle $idle KiB, busy $busy KiB, then $(resident_kib "$server") KiB"
must fio --name=verify --filename="$device" --rw=randwrite --bs=4k-1M --direct=1 \
	--ioengine=libaio --iodepth=16 --size=64M --verify=crc32c --verify_state_save=0 --output="$work/fio.out"
must "$BDUS" destroy "$device"
