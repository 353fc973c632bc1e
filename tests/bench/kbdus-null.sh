#!/bin/bash
# SPDX-License-Identifier: MIT
#
# 4 KiB random reads of our null device over kbdus and over ublk, and of the kernel's own null_blk: all
# exist at once, in one kernel, and take turns. Prints the medians of the ratios of neighbouring turns, for
# reads a second, for latency, and for reads in a second of the server's processor time. It gates nothing.
#
#   BDUS_BLOCKING       program that serves a device through bdus_run(), printing nothing but its path:
#                       bench-null-blocking
# BDUS_BENCH_ROUNDS (9) and BDUS_BENCH_SECONDS (1) say how long.
. "$(dirname "$0")/../system/lib.sh"
need fio
need_ublk
need_kbdus
unset BDUS_TRANSPORT
at_exit "$BDUS" destroy --all --no-flush
rounds=${BDUS_BENCH_ROUNDS:-9} seconds=${BDUS_BENCH_SECONDS:-1}
declare -A disk pid
names=()

# add NAME DISK PID: PID is 0 where the kernel serves
add()
{
	names+=("$1")
	disk[$1]=$2 pid[$1]=$3
}

serve() # NAME TRANSPORT
{
	device=$("$BDUS" run --transport "$2" --queues 1 null size=64G) || fail "no device over $2"
	add "$1" "$device" "$("$BDUS" info --json "$device" | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')"
}

serve_blocking() # NAME TRANSPORT
{
	local server
	BDUS_TRANSPORT=$2 setsid "$BDUS_BLOCKING" </dev/null >"$work/$1.out" 2>&1 &
	server=$!
	at_exit kill "$server"
	wait_until 20 grep -q /dev/ "$work/$1.out" || fail "no device from $1: $(cat "$work/$1.out")"
	add "$1" "$(grep -o '/dev/[^ ]*' "$work/$1.out")" "$server"
}

add_null_blk()
{
	modprobe null_blk 2>/dev/null
	[[ ! -b /dev/nullb0 ]] || add null_blk /dev/nullb0 0
}

cpu_ticks() # PID: user and system time
{
	(($1 != 0)) || {
		echo 0
		return
	}
	awk '{ sub(/^.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
}

# turn NAME DEPTH
turn()
{
	local before rate
	before=$(cpu_ticks "${pid[$1]}")
	rate=$(fio --name=x --filename="${disk[$1]}" --rw=randread --bs=4k --direct=1 --ioengine=libaio \
		--iodepth="$2" --time_based --runtime="$seconds" --minimal | awk -F';' '{ print $8 }') || return
	echo "$rate" >>"$work/$1.$2"
	awk -v rate="$rate" -v seconds="$seconds" -v before="$before" -v hz="$(getconf CLK_TCK)" \
		-v after="$(cpu_ticks "${pid[$1]}")" \
		'BEGIN { t = after - before; print rate * seconds / ((t > 0 ? t : 1) / hz) }' >>"$work/$1.$2.cpu"
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

ratio() # FILE FILE: the median of the quotients of neighbouring turns
{
	paste "$1" "$2" | awk '$2 > 0 { print $1 / $2 }' | median
}

compare() # NAME PEER DEPTH
{
	printf '%-15s / %-14s QD %-2s  reads %.2f' "$1" "$2" "$3" "$(ratio "$work/$1.$3" "$work/$2.$3")"
	((pid[$2] == 0)) || printf '  reads a CPU second %.2f' "$(ratio "$work/$1.$3.cpu" "$work/$2.$3.cpu")"
	echo
}

serve kbdus kbdus
serve ublk ublk
serve kbdus-poll kbdus,poll=yes
if [[ -x ${BDUS_BLOCKING:-} ]]; then
	serve_blocking kbdus-blocking kbdus
	serve_blocking ublk-blocking ublk
fi
add_null_blk
for depth in 1 32; do
	for ((round = 0; round < rounds; round++)); do
		for name in "${names[@]}"; do
			turn "$name" "$depth" || fail "no figure from $name"
		done
	done
done
echo "Linux $(uname -r), $(nproc) processors, $rounds rounds of $seconds s; medians of reads a second:"
for depth in 1 32; do
	for name in "${names[@]}"; do
		printf '%-15s QD %-2s %s\n' "$name" "$depth" "$(median <"$work/$name.$depth")"
	done
	compare kbdus ublk $depth
	compare kbdus-poll ublk $depth
	[[ -z ${disk[kbdus-blocking]:-} ]] || compare kbdus-blocking ublk-blocking $depth
	[[ -z ${disk[null_blk]:-} ]] || compare kbdus null_blk $depth
done
