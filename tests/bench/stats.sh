#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What statistics cost on the data path: a null device over NBD without them, with them, and with a reader
# ten times a second, in alternating rounds; and the instructions of the engine alone, where valgrind is.
# usage: stats.sh [SECONDS [ROUNDS [BATCHES]]]
set -u -o pipefail
: "${BENCH_STATS:?is the built bench-stats}" "${NBD_LOAD:?is the built nbd_load}"
seconds=${1:-1} rounds=${2:-9} batches=${3:-1 8 32}

dir=$(mktemp -d /dev/shm/bdus-bench-XXXXXX)
servers=()
finish()
{
	local status=$?
	trap - EXIT INT TERM
	((${#servers[@]} == 0)) || kill "${servers[@]}" 2>/dev/null
	wait
	rm -rf "$dir"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo 'the engine alone:'
"$BENCH_STATS" "$seconds" "$rounds" || exit 1

# instructions MODE BATCH COUNT
instructions()
{
	valgrind --tool=none --log-file=/dev/null true 2>/dev/null || return
	valgrind --tool=callgrind --callgrind-out-file=/dev/null "$BENCH_STATS" count "$@" 2>&1 |
		sed -n 's/.*Collected : //p'
}
if command -v valgrind >/dev/null; then
	for batch in $batches; do
		for mode in off on; do
			less=$(instructions $mode "$batch" 6400)
			more=$(instructions $mode "$batch" 70400)
			[[ -n $less && -n $more ]] && echo "$(((more - less) / 640))"
		done | xargs | awk -v batch="$batch" 'NF == 2 {
			printf "batches of %3d: %.1f instructions a request without, %.1f with: %+.1f\n",
				batch, $1 / 100, $2 / 100, ($2 - $1) / 100
		}'
	done
else
	echo 'no valgrind here to count instructions'
fi

export BDUS_RUNTIME_DIR=$dir/run
for mode in off on read; do
	"$BENCH_STATS" serve $mode "nbd,socket=$dir/$mode" >"$dir/$mode.log" 2>&1 &
	servers+=($!)
	for ((tries = 0; tries < 200; tries++)); do
		[[ -s $dir/$mode.log ]] && break
		sleep 0.05
	done
	[[ -S $dir/$mode ]] || {
		echo "the server did not start: $(cat "$dir/$mode.log")"
		exit 1
	}
done

# The machine has more to do than this: each round compares its neighbours, and the median of these counts.
echo "through NBD, medians of $rounds rounds of $seconds s; the goal is 0.99"
modes=(off on read)
declare -A rate
for depth in 1 8 32; do
	for ((round = 0; round < rounds; round++)); do
		# Who comes first differs, as that alone may make a difference.
		for ((i = 0; i < 3; i++)); do
			mode=${modes[(round + i) % 3]}
			line=$("$NBD_LOAD" "unix:$dir/$mode" read random 4096 $depth 1 "$seconds") || exit 1
			rate[$mode]=${line%% *}
		done
		echo "${rate[off]} ${rate[on]} ${rate[read]}"
	done >"$dir/rates"
	awk '{ print $1 }' "$dir/rates" | sort -n >"$dir/off.sorted"
	awk '{ print $2 / $1 }' "$dir/rates" | sort -n >"$dir/on.sorted"
	awk '{ print $3 / $1 }' "$dir/rates" | sort -n >"$dir/read.sorted"
	middle=$(((rounds + 1) / 2))
	printf 'depth %2d: %7d requests a second without, with statistics %.3f of that, read 10 times a second %.3f\n' \
		$depth "$(sed -n ${middle}p "$dir/off.sorted")" "$(sed -n ${middle}p "$dir/on.sorted")" \
		"$(sed -n ${middle}p "$dir/read.sorted")"
done
