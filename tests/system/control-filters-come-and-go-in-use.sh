#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Filters are attached to a block device and detached from it while it is written to and verified on
# several queues: nobody sees anything of it. A filter does what it is for while it is there, and what
# the kernel knows of the device is not changed by one.
# guest: cpus=2 timeout=60 mem=512
. "$(dirname "$0")/lib.sh"
need_ublk
need fio

"$BDUS" run --queues 2 ram size=64M >"$work/device" || fail 'run'
device=$(cat "$work/device")
turns=12
is_slow && turns=4

filter()
{
	"$BDUS" filter "$@" 2>"$work/err" || fail "filter $*: $(cat "$work/err")"
}

step 'filters come and go under load'
fio --name=load --filename="$device" --direct=1 --rw=randwrite --bs=4k --size=8M --numjobs=2 --offset_increment=16M \
	--ioengine=libaio --iodepth=8 --verify=crc32c --do_verify=1 --verify_backlog=64 --time_based --runtime=600 \
	>"$work/fio" 2>&1 &
load=$!
end_load()
{
	kill -INT "$load" 2>/dev/null
	wait "$load"
}
at_exit end_load
sleep 1
for ((turn = 0; turn < turns; turn++)); do
	filter attach "$device" delay:write=1ms
	filter attach "$device" error:operations=discard
	"$BDUS" stats "$device" >"$work/stats"
	grep -q '0 error' "$work/stats" && grep -q '1 delay' "$work/stats" || fail "$(cat "$work/stats")"
	filter detach "$device" $((turn % 2))
	filter detach "$device" 0
done
"$BDUS" stats --json "$device" >"$work/stats"
grep -q '"write": *{' "$work/stats" || fail "nothing was written: $(cat "$work/stats")"
end_load
grep -qiE 'verify.*failed|bad (magic|header)|error' "$work/fio" && fail "$(cat "$work/fio")"
grep -qE 'err= 0' "$work/fio" || fail "$(cat "$work/fio")"

step 'a filter does what it is for, and no longer'
filter attach "$device" error:operations=write
must_fail dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct status=none
filter detach "$device" error
must dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct status=none

step 'a change waits for what is in a filter'
filter attach "$device" delay:read=700ms
dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none &
sleep 0.1
began=${EPOCHREALTIME/./}
filter detach "$device" delay
((${EPOCHREALTIME/./} - began > 200000)) || fail 'it did not wait'
wait $! || fail 'a read failed'

step 'a device ends with filters and without'
filter attach "$device" delay:read=1us
must "$BDUS" destroy "$device"
