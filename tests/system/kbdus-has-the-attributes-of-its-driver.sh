#!/bin/bash
# SPDX-License-Identifier: MIT
# What a driver says of its device is what the kernel knows of it; partitions are found and looked for
# no more than wished; any scheduler serves; the module's limit holds and is named when it is met.
. "$(dirname "$0")/lib.sh"
need sfdisk blkdiscard
need_kbdus

attribute() # NAME VALUE
{
	local value
	value=$(<"/sys/class/block/${device##*/}/$1") || fail "no attribute $1"
	[[ $value == "$2" ]] || fail "$1 is $value rather than $2"
}

step 'attributes'
bdus_run ram size=64M
attribute size $((64 << 11))
attribute ro 0
attribute queue/logical_block_size 512
attribute queue/rotational 0
(($(</sys/class/block/"${device##*/}"/queue/discard_max_bytes) > 0)) || fail 'no discard'
(($(</sys/class/block/"${device##*/}"/queue/write_zeroes_max_bytes) > 0)) || fail 'no write zeros'

step 'operations'
must dd if=/dev/urandom of="$device" bs=1M count=4 oflag=direct status=none
must blkdiscard -z -o 1M -l 1M "$device"
must cmp -n $((1 << 20)) "$device" /dev/zero -i $((1 << 20)):0
must blkdiscard -o 2M -l 1M "$device"

step 'schedulers'
for scheduler in $(tr -d '[]' <"/sys/class/block/${device##*/}/queue/scheduler"); do
	echo "$scheduler" >"/sys/class/block/${device##*/}/queue/scheduler" || fail "no $scheduler"
	must dd if="$device" of=/dev/null bs=64k count=64 iflag=direct status=none
done

step 'partitions'
printf '1M,8M\n,8M\n' | sfdisk -q "$device" || fail 'sfdisk'
wait_until 5 test -b "${device}p2" || fail 'no partitions'
must_fail "$BDUS" destroy "${device}p1"
first=$device
[[ $refusal == *'partition 1 of /dev/bdus-'* ]] || fail "refused by: $refusal"
bdus_run ram size=64M
printf '%s\n' 'label: gpt' $(printf 'size=1M %.0s' {1..40}) | sfdisk -q "$device" || fail 'sfdisk'
wait_until 10 test -b "${device}p40" || fail 'not 40 partitions'
[[ $(stat -c %Hr:%Lr "$device" "$device"p* | sort -u | wc -l) == 41 ]] || fail 'numbers are shared'
must dd if=/dev/urandom of="${device}p40" bs=64k count=2 oflag=direct status=none
must "$BDUS" destroy "$device"
device=$first
must "$BDUS" destroy "$device"

step 'read-only'
bdus_run --read-only ram size=16M
attribute ro 1
must_fail dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct
must "$BDUS" destroy "$device"

step 'limits'
must rmmod kbdus
must_fail insmod "$BDUS_KBDUS" max_devices=0
must insmod "$BDUS_KBDUS" max_devices=1
bdus_run null size=1M
must_fail "$BDUS" run null size=1M
[[ $refusal == *max_devices* ]] || fail "refused by: $refusal"
must "$BDUS" destroy "$device"
