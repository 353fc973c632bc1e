#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A device with several queues, each served by a thread of its own, carries data of all processors at
# once and ends in good order.
#
# guest: cpus=2 mem=768 timeout=120 kernels=uml
. "$(dirname "$0")/lib.sh"
need_ublk
need fio

bdus_run --transport ublk --queues 2 --depth 16 ram size=64M queues=2 || fail 'no device'
queues=$("$BDUS" info --json "$device" | sed -n 's/.*"queues": *\([0-9]*\).*/\1/p')
processors=$(getconf _NPROCESSORS_CONF)
((queues == (processors < 2 ? processors : 2))) || fail "$queues queues with $processors processors"
(($(find "/sys/block/$(basename "$(readlink -f "$device")")/mq" -maxdepth 1 -name '[0-9]*' | wc -l) ==
	queues)) || fail 'the kernel sees another number of queues'
must fio --name=many --filename="$device" --rw=randrw --bs=4k --direct=1 --ioengine=libaio \
	--iodepth=32 --numjobs=4 --offset_increment=16M --size=16M --verify=crc32c --verify_state_save=0 \
	--output="$work/fio.out"
must "$BDUS" destroy "$device"
