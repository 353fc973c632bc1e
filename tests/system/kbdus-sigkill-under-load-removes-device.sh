#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: cpus=2 timeout=90
# When a server is killed with requests in flight, its clients get errors, the disk goes, and nothing
# is left: no process, no device, no hold of the module. By both ways of waiting.
. "$(dirname "$0")/lib.sh"
need fio
need_kbdus

gone()
{
	[[ ! -e $device ]]
}

for transport in kbdus kbdus,poll=yes; do
	for round in 1 2 3; do
		step "$transport, round $round"
		bdus_run --transport "$transport" ram size=64M
		fio --name=load --filename="$device" --direct=1 --rw=randrw --bs=4k --iodepth=32 \
			--ioengine=libaio --time_based --runtime=60 --minimal >"$work/fio" 2>&1 &
		load=$!
		sleep 0.$((RANDOM % 8 + 1))
		kill -KILL $(servers)
		wait $load && fail 'the load did not notice'
		wait_until 20 gone || fail "$device is still there"
		must "$BDUS" destroy --all --no-flush
	done
done
must rmmod kbdus
must insmod "$BDUS_KBDUS"
