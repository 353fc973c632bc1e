#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: cpus=2 timeout=120
# `bdus destroy` returns when the module is not in use any more: unloading it then succeeds every time,
# also with processes that open and close the device, and after a server was killed.
# BDUS_UNLOADS says how often by the command, BDUS_QUICK_UNLOADS how often by the module's own commands,
# which loses no time between the end of the device and unloading.
. "$(dirname "$0")/lib.sh"
need_kbdus
times=${BDUS_UNLOADS:-30}
is_slow && times=${BDUS_UNLOADS:-15}
must rmmod kbdus

# Somebody who looks at whatever there is, all the time.
look()
{
	local path
	while [[ ! -e $work/stop ]]; do
		for path in /dev/bdus-[0-9]*; do
			[[ -b $path ]] && head -c 512 "$path" >/dev/null 2>&1
			cat "/sys/class/block/${path##*/}/size" "/sys/class/block/${path##*/}/queue/scheduler"
		done
		sleep 0.01
	done >/dev/null 2>&1
}
look &
looker=$!

unload() # ROUND: those who had the device open at its end let it go in a moment
{
	local try
	for try in 1 2 3 4 5 6 7 8 9 10; do
		rmmod kbdus 2>"$work/rmmod" && return
		[[ $2 == quiet ]] && break
		sleep 0.05
	done
	cat "$work/rmmod"
	fail "round $1: the module is in use"
}

one_life() # ROUND quiet|busy
{
	must insmod "$BDUS_KBDUS"
	bdus_run null size=1G
	if (($1 % 4 == 3)); then
		kill -KILL $(servers)
	fi
	must "$BDUS" destroy "$device" --no-flush
	unload "$1" "$2"
}

step "$times times with openers"
for ((round = 0; round < times / 2; round++)); do
	one_life "$round" busy
done
touch "$work/stop"
wait $looker
step "$times times without"
for ((round = 0; round < times - times / 2; round++)); do
	one_life "$round" quiet
done
times=${BDUS_QUICK_UNLOADS:-150}
is_slow && times=${BDUS_QUICK_UNLOADS:-40}
step "$times times without the command"
must "$BDUS_BUILD/tests/system/kbdus-hostile" unload "$times" "$BDUS_KBDUS"
must insmod "$BDUS_KBDUS"
