#!/bin/bash
# SPDX-License-Identifier: MIT
#
# NBD over a Unix socket with the ram driver, against nbdkit's memory plugin and qemu-nbd on a raw file
# in memory. The same client (nbd_load.c) loads each server in turn, in rounds; what is printed are the
# medians, the ratio to the better of the two peers, and what it should be at least. For figures that
# mean something the machine should be quiet.
set -u -o pipefail
: "${BDUS:?is the bdus command to measure}" "${NBD_LOAD:?is the built nbd_load}"

usage()
{
	cat <<-'USAGE'
		usage: nbd.sh [--seconds S] [--rounds N] [--size BYTES] [--only WORDS]
		  --seconds S   of each single measurement; 1
		  --rounds N    of which the median is taken; 5
		  --size BYTES  of the disk; 256 MiB
		  --only WORDS  only the lines that contain this, such as "random read"
	USAGE
	exit 2
}

seconds=1 rounds=5 size=$((256 << 20)) only=''
while (($#)); do
	(($# > 1)) || usage
	case $1 in
	--seconds) seconds=$2 ;;
	--rounds) rounds=$2 ;;
	--size) size=$2 ;;
	--only) only=$2 ;;
	*) usage ;;
	esac
	shift 2
done

for tool in nbdkit qemu-nbd; do
	command -v "$tool" >/dev/null || {
		echo "SKIP: no $tool here to compare with"
		exit 77
	}
done

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

start() # NAME COMMAND...
{
	local name=$1
	shift
	"$@" >"$dir/$name.log" 2>&1 &
	servers+=($!)
	for ((tries = 0; tries < 200; tries++)); do
		if [[ -S $dir/$name ]] && "$NBD_LOAD" "unix:$dir/$name" fill sequential 1048576 4 1 1 \
			>/dev/null 2>&1; then
			return
		fi
		sleep 0.05
	done
	echo "$name did not start: $(cat "$dir/$name.log")"
	exit 1
}

# rate NAME ARGUMENTS: one measurement, in requests per second.
rate()
{
	local line name=$1
	shift
	line=$("$NBD_LOAD" "unix:$dir/$name" "$@" "$seconds") || {
		echo "$name failed" >&2
		exit 1
	}
	echo "${line%% *}"
}

median()
{
	sort -n | awk '{ rates[NR] = $1 } END { print rates[int((NR + 1) / 2)] }'
}

# compare WORDS TARGET LOAD-ARGUMENTS...
compare()
{
	local words=$1 target=$2 name round
	shift 2
	[[ -z $only || $words == *"$only"* ]] || return 0
	for ((round = 0; round < rounds; round++)); do
		for name in bdus nbdkit qemu-nbd; do
			rate "$name" "$@" >>"$dir/$name.rates" || exit 1
		done
	done
	for name in bdus nbdkit qemu-nbd; do
		median <"$dir/$name.rates"
		rm "$dir/$name.rates"
	done | xargs | awk -v words="$words" -v target="$target" '{
		better = $2 > $3 ? $2 : $3
		printf "%-44s %9d %9d %9d   %5.2f   %4.1f\n", words, $1, $2, $3, $1 / better, target
	}'
}

truncate -s "$size" "$dir/image"
export BDUS_RUNTIME_DIR=$dir/run
start bdus "$BDUS" run -f -q -t "nbd,socket=$dir/bdus,max-connections=128" ram size="$size"
start nbdkit nbdkit -f -U "$dir/nbdkit" memory "$size"
start qemu-nbd qemu-nbd -t -e 128 -f raw -k "$dir/qemu-nbd" "$dir/image"

echo "requests a second, medians of $rounds rounds of $seconds s"
printf '%-44s %9s %9s %9s   %5s   %4s\n' '' bdus nbdkit qemu-nbd ratio goal
for what in read write; do
	for depth in 1 32; do
		for connections in 1 4; do
			compare "random $what, 4 KiB, depth $depth, connections $connections" \
				$((depth == 1 ? 1 : 2)) $what random 4096 $depth $connections
		done
	done
	compare "random $what, 4 KiB, depth 1, connections 64" 1 $what random 4096 1 64
	for depth in 1 4; do
		compare "sequential $what, 1 MiB, depth $depth" 1.2 $what sequential 1048576 $depth 1
	done
done
