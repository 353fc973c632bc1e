#!/bin/bash
# SPDX-License-Identifier: MIT
#
# 4 KiB random reads of two null devices over ublk, one in the asynchronous style and one in the
# threaded style, in turns within one kernel. Prints the median of the ratios of neighbouring turns,
# for reads a second and for reads in a second of the server's processor time. It gates nothing.
#
# BDUS_STYLES is bench-null-styles; BDUS_BENCH_ROUNDS (9) and BDUS_BENCH_SECONDS (1) say how long.
. "$(dirname "$0")/../system/lib.sh"
need_ublk
need fio
rounds=${BDUS_BENCH_ROUNDS:-9} seconds=${BDUS_BENCH_SECONDS:-1}
declare -A disk pid

serve() # STYLE
{
	"$BDUS_STYLES" "$1" >"$work/$1.out" &
	pid[$1]=$!
	at_exit kill "$!"
	wait_until 20 test -s "$work/$1.out" || fail "no device in style $1"
	disk[$1]=$(cat "$work/$1.out")
}

cpu_ticks() # PID: user and system time
{
	awk '{ sub(/^.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
}

# turn STYLE DEPTH: reads a second, and reads in a second of the server's processor time
turn()
{
	local before rate
	before=$(cpu_ticks "${pid[$1]}")
	rate=$(fio --name=x --filename="${disk[$1]}" --rw=randread --bs=4k --direct=1 --ioengine=libaio \
		--iodepth="$2" --time_based --runtime="$seconds" --minimal | awk -F';' '{ print $8 }')
	[[ $rate -gt 0 ]] || fail "fio on $1"
	echo "$rate" >>"$work/$1.$2"
	awk -v rate="$rate" -v seconds="$seconds" -v before="$before" -v hz="$(getconf CLK_TCK)" \
		-v after="$(cpu_ticks "${pid[$1]}")" \
		'BEGIN { t = after - before; print rate * seconds / ((t > 0 ? t : 1) / hz) }' \
		>>"$work/$1.$2.cpu"
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

paired() # DEPTH
{
	paste "$work/threaded.$1" "$work/async.$1" | awk '{ printf "%.3f\n", $1 / $2 }' | median
}

serve async
serve threaded
for depth in 1 32; do
	for ((round = 0; round < rounds; round++)); do
		# Whoever comes first in a round may have it better or worse.
		((round % 2)) && order='threaded async' || order='async threaded'
		for style in $order; do
			turn "$style" "$depth"
		done
	done
	for style in async threaded; do
		echo "qd$depth $style: $(median <"$work/$style.$depth") reads/s" \
			"($(sort -n "$work/$style.$depth" | tr '\n' ' '))"
	done
	echo "ratio qd$depth threaded/async $(paired "$depth")," \
		"per processor second $(paired "$depth.cpu")"
done
_may_leave=yes
