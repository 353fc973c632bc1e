#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Many null devices in one process on one thread, beside as many processes of another ublk server with
# one device each: the memory that they take, idle and after reads, and the system calls that a read
# takes while all devices are read from at once. One kind of server is there at a time.
#
#   BDUS_MANY           bench-null-many
#   BDUS_PEER_KUBLK     program taking "add -t null -q 1 -d 32 -n NUMBER"; nothing to compare with
#                       where it is not given
# BDUS_BENCH_DEVICES (64) and BDUS_BENCH_SECONDS (3) say how much.
. "$(dirname "$0")/../system/lib.sh"
need_ublk
need fio
need strace
devices=${BDUS_BENCH_DEVICES:-64} seconds=${BDUS_BENCH_SECONDS:-3}

# pss PID...: proportional memory of them all, in KiB
pss()
{
	local pid
	for pid; do
		awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup"
	done | awk '{ sum += $1 } END { print sum }'
}

# reads DISK...: reads all of them at once, 32 requests in flight in each; prints how many reads
reads()
{
	local IFS=:
	fio --name=x --filename="$*" --rw=randread --bs=4k --direct=1 --ioengine=libaio \
		--iodepth=$((32 * $#)) --time_based --runtime="$seconds" --minimal --eta=never |
		awk -F';' '{ print $6 / 4 }'
}

# measure NAME PIDS DISKS: sets idle, busy and calls
measure()
{
	local name=$1 pids=$2 disks=$3 tracers=() pid count
	# shellcheck disable=SC2086
	idle=$(pss $pids)
	for pid in $pids; do
		strace -f -c -o "$work/$name.$pid.strace" -p "$pid" 2>/dev/null &
		tracers+=("$!")
	done
	sleep 1
	# shellcheck disable=SC2086
	count=$(reads $disks)
	kill -INT "${tracers[@]}"
	wait "${tracers[@]}"
	# shellcheck disable=SC2086
	busy=$(pss $pids)
	calls=$(awk -v reads="$count" '$1 ~ /^[0-9.]+$/ && $NF != "total" { sum += $4 }
		END { print sum / reads }' "$work/$name".*.strace)
	echo "$name: idle $idle KiB, after reads $busy KiB, $calls system calls a read ($count reads)"
}

need_program()
{
	[[ -x ${BDUS_MANY:-} ]] || skip 'BDUS_MANY does not name bench-null-many'
}

need_program
# Each device takes some 17 descriptors.
ulimit -n 4096
: >"$work/many.out"
"$BDUS_MANY" "$devices" >"$work/many.out" &
many=$!
all_there()
{
	[[ $(wc -l <"$work/many.out") -ge $devices ]]
}
wait_until 60 all_there || fail "only $(wc -l <"$work/many.out") of $devices devices"
measure bdus "$many" "$(tr '\n' ' ' <"$work/many.out")"
our_idle=$idle our_busy=$busy our_calls=$calls
kill "$many"
wait "$many" || fail 'bench-null-many failed'

[[ -n ${BDUS_PEER_KUBLK:-} ]] || {
	echo 'no peer given: nothing to compare with'
	exit 0
}
pids='' disks=''
for ((number = 900; number < 900 + devices; number++)); do
	setsid "$BDUS_PEER_KUBLK" add -t null -q 1 -d 32 -n "$number" </dev/null >"$work/peer.out" 2>&1 &
	wait_until 20 test -b "/dev/ublkb$number" || fail "no device from the peer: $(cat "$work/peer.out")"
	pid=$(find /proc/[0-9]*/fd -lname "/dev/ublkc$number" 2>/dev/null | head -n 1 | cut -d/ -f3)
	at_exit kill -9 "$pid"
	pids+=" $pid" disks+=" /dev/ublkb$number"
done
measure kublk "$pids" "$disks"
awk -v a="$our_idle" -v b="$idle" -v c="$our_busy" -v d="$busy" -v e="$our_calls" -v f="$calls" \
	'BEGIN { printf "ratio idle memory %.3f, after reads %.3f, system calls a read %.3f (smaller is better)\n",
		a / b, c / d, e / f }'
_may_leave=yes
