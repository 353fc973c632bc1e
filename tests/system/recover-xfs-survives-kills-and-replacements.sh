#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A mounted xfs is written to and verified while the driver below it is replaced and killed at random: no
# client sees an error, and no byte is wrong. BDUS_LONG=SECONDS makes it last longer, BDUS_SEED=N
# repeats a run. Linux 6.7 to 6.14 may lose requests that are on their way to a server as it is killed, and then has
# to be started again; there, drivers are stopped for a moment first (see bdus-replace(7)), unless BDUS_AT_ONCE is set.
#
# guest: cpus=2 mem=1024 timeout=120 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_ublk
need fio mkfs.xfs
need_filesystem xfs

RANDOM=${BDUS_SEED:-$RANDOM}
seed=$RANDOM
RANDOM=$seed
seconds=12
is_slow && seconds=20
seconds=${BDUS_LONG:-$seconds}
echo "seed $seed, $seconds s"

truncate -s 320M "$work/image"
driver=(file "path=$work/image")
bdus_run --recoverable --queues 2 "${driver[@]}" || fail 'no device'
dmesg -C 2>/dev/null
must mkfs.xfs -q "$device"
mkdir "$work/mnt"
must mount "$device" "$work/mnt"

step 'load'
# Both write, then read back what they wrote and check it, over and over.
fio --directory="$work/mnt" --size=24M --bsrange=4k-64k --verify=crc32c --verify_fatal=1 \
	--ioengine=libaio --iodepth=32 --time_based --runtime="$seconds" --output="$work/fio.out" \
	--name=direct --rw=randwrite --direct=1 --name=cached --rw=randrw --direct=0 --fsync=64 \
	>"$work/fio.err" 2>&1 &
fio=$!
wait_until 20 eval '[[ -e $work/mnt/direct.0.0 ]]' || fail 'fio did not begin'

state()
{
	"$BDUS" info --json "$device" | grep -o '"state": *"[a-z]*"' | cut -d'"' -f4
}
is_orphaned()
{
	[[ $(state) == orphaned ]]
}

loses_requests()
{
	[[ $BDUS_TRANSPORT == ublk && ! ${BDUS_AT_ONCE:-} && $(uname -r) =~ ^6\.([7-9]|1[0-4])[^0-9] ]]
}
kill_driver() # PID
{
	if loses_requests; then
		must kill -STOP "$1"
		sleep 0.3
	fi
	must kill -9 "$1"
}

kills=0 replacements=0
while kill -0 "$fio" 2>/dev/null; do
	sleep "0.$((RANDOM % 9))"
	if ((RANDOM % 2)); then
		must "$BDUS" replace --quiet "$device" "${driver[@]}"
		((++replacements))
	else
		server=$(servers)
		[[ $server =~ ^[0-9]+$ ]] || fail "not one server: $server"
		kill_driver "$server"
		wait_until 10 is_orphaned || fail "state $(state) after the kill"
		must "$BDUS" recover --quiet "$device" "${driver[@]}"
		((++kills))
	fi
done
wait "$fio" || fail "fio: status $?: $(tail -20 "$work/fio.err" "$work/fio.out")"
grep -qiE 'error|verify:.*fail' "$work/fio.err" && fail "fio: $(cat "$work/fio.err")"
echo "$kills kills, $replacements replacements"
((kills > 0 && replacements > 0)) || fail 'too little happened'

step 'what was written is there for another driver, too'
(cd "$work/mnt" && sha256sum -- *) >"$work/sums"
must umount "$work/mnt"
must "$BDUS" replace --quiet "$device" "${driver[@]}"
must mount "$device" "$work/mnt"
(cd "$work/mnt" && sha256sum --quiet -c "$work/sums") || fail 'other content'
must umount "$work/mnt"
if command -v xfs_repair >/dev/null; then
	must xfs_repair -n "$device" >/dev/null 2>&1
fi
dmesg | grep -iE 'I/O error|XFS.*(error|corrupt|shut)|BUG:|Oops|hung task' && fail 'the kernel complains'
must "$BDUS" destroy "$device"
