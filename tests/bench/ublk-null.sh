#!/bin/bash
# SPDX-License-Identifier: MIT
#
# 4 KiB random reads of a null device over ublk, beside other ublk servers' null devices: all of them
# exist at once, in one kernel, and take turns. Prints the median of the ratios of neighbouring turns,
# for reads a second and for reads in a second of the server's processor time, and the ratio of the
# memory that the idle processes take. It gates nothing: figures of one machine say little about
# another's.
#
# Peers, each left out when not given:
#   BDUS_PEER_UBLKSRV   program taking "add -q 1 -d 128 -n NUMBER", as ublksrv's null target does
#   BDUS_PEER_KUBLK     program taking "add -t null -q 1 -d 128 -n NUMBER", as the kernel's own test
#                       server does
#   BDUS_BLOCKING       program that serves a device through bdus_run(), printing nothing but its path:
#                       bench-null-blocking
# BDUS_BENCH_ROUNDS (9) and BDUS_BENCH_SECONDS (1) say how long.
. "$(dirname "$0")/../system/lib.sh"
need_ublk
need fio
rounds=${BDUS_BENCH_ROUNDS:-9} seconds=${BDUS_BENCH_SECONDS:-1}
declare -A disk pid
servers=()

# add NAME DISK PID
add()
{
	servers+=("$1")
	disk[$1]=$2 pid[$1]=$3
}

start_peer() # NAME NUMBER COMMAND...
{
	local name=$1 number=$2 server
	shift 2
	setsid "$@" -q 1 -d 128 -n "$number" </dev/null >"$work/$name.out" 2>&1 &
	wait_until 20 test -b "/dev/ublkb$number" || fail "no device from $name: $(cat "$work/$name.out")"
	server=$(server_of "$number")
	at_exit kill -9 "$server"
	add "$name" "/dev/ublkb$number" "$server"
}

server_of() # NUMBER: the process that has /dev/ublkcNUMBER open
{
	find /proc/[0-9]*/fd -lname "/dev/ublkc$1" 2>/dev/null | head -n 1 | cut -d/ -f3
}

iops() # DISK DEPTH
{
	fio --name=x --filename="$1" --rw=randread --bs=4k --direct=1 --ioengine=libaio \
		--iodepth="$2" --time_based --runtime="$seconds" --minimal |
		awk -F';' '{ print $8 }'
}

cpu_ticks() # PID: user and system time
{
	awk '{ sub(/^.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
}

# turn SERVER DEPTH: reads a second, and reads in a second of the server's processor time
turn()
{
	local before rate
	before=$(cpu_ticks "${pid[$1]}")
	rate=$(iops "${disk[$1]}" "$2") || return
	echo "$rate" >>"$work/$1.$2"
	awk -v rate="$rate" -v seconds="$seconds" -v before="$before" -v hz="$(getconf CLK_TCK)" \
		-v after="$(cpu_ticks "${pid[$1]}")" \
		'BEGIN { t = after - before; print rate * seconds / ((t > 0 ? t : 1) / hz) }' \
		>>"$work/$1.$2.cpu"
}

memory() # PID: private and proportional memory in KiB
{
	awk '/^Pss:/ { pss = $2 } /^Private_Dirty:/ { dirty = $2 } END { print pss, dirty }' \
		"/proc/$1/smaps_rollup"
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

ratio() # OURS THEIRS
{
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'
}

# paired OURS THEIRS DEPTH: the median of the ratios of the turns
paired()
{
	paste "$work/$1.$3" "$work/$2.$3" | awk '{ printf "%.3f\n", $1 / $2 }' | median
}

bdus_run --transport ublk null zero=no || fail 'no device'
add bdus "$device" "$("$BDUS" info --json "$device" | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')"
[[ -z ${BDUS_BLOCKING:-} ]] || {
	"$BDUS_BLOCKING" >"$work/blocking.out" &
	at_exit kill "$!"
	wait_until 20 test -s "$work/blocking.out" || fail 'no device from bdus_run()'
	add bdus_run "$(head -n 1 "$work/blocking.out")" "$!"
}
[[ -z ${BDUS_PEER_UBLKSRV:-} ]] || start_peer ublksrv 900 "$BDUS_PEER_UBLKSRV" add
[[ -z ${BDUS_PEER_KUBLK:-} ]] || start_peer kublk 901 "$BDUS_PEER_KUBLK" add -t null

for server in "${servers[@]}"; do
	read -r pss dirty <<<"$(memory "${pid[$server]}")"
	echo "idle $server: $pss KiB proportional, $dirty KiB private and dirty"
	printf -v "pss_${server//-/_}" %s "$pss"
	[[ $server == bdus ]] ||
		echo "ratio memory bdus/$server $(ratio "$pss_bdus" "$pss") (smaller is better)"
done
for depth in 1 32; do
	for ((round = 0; round < rounds; round++)); do
		# Whoever comes first in a round may have it better or worse than the rest.
		for ((turn = 0; turn < ${#servers[@]}; turn++)); do
			server=${servers[(round + turn) % ${#servers[@]}]}
			turn "$server" "$depth" || fail "fio on $server"
		done
	done
	for server in "${servers[@]}"; do
		echo "qd$depth $server: $(median <"$work/$server.$depth") reads/s" \
			"($(sort -n "$work/$server.$depth" | tr '\n' ' '))"
		for ours in bdus bdus_run; do
			[[ $server != bdus* && -e $work/$ours.$depth ]] || continue
			echo "ratio qd$depth $ours/$server $(paired "$ours" "$server" "$depth")," \
				"per processor second $(paired "$ours" "$server" "$depth.cpu")"
		done
	done
done
[[ ${#servers[@]} -gt 1 ]] || echo 'no peer given: nothing to compare with'
_may_leave=yes
