#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The message of the flatbuffers benchmark: verifying and reading it, and encoding it, against other
# programs that do the same. BDUS_PEER_FLATCC and BDUS_PEER_PROTOBUF_C name them; they take the same
# arguments and print the same as bench-message: nanoseconds, bytes, sum. All run in alternating rounds;
# what is printed are medians, and ratios of the peer's to ours.
set -u -o pipefail
: "${BENCH_MESSAGE:?is the built bench-message}"
times=1000000 rounds=7
while (($# > 1)); do
	case $1 in
	--times) times=$2 ;;
	--rounds) rounds=$2 ;;
	*)
		echo 'usage: message.sh [--times N] [--rounds N]' >&2
		exit 2
		;;
	esac
	shift 2
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
names=(wire) programs=("$BENCH_MESSAGE")
[[ -z ${BDUS_PEER_FLATCC:-} ]] || names+=(flatcc) programs+=("$BDUS_PEER_FLATCC")
[[ -z ${BDUS_PEER_PROTOBUF_C:-} ]] || names+=(protobuf-c) programs+=("$BDUS_PEER_PROTOBUF_C")

median()
{
	sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

for what in read encode; do
	for ((round = 0; round < rounds; round++)); do
		for i in "${!names[@]}"; do
			read -r ns _ sum < <("${programs[i]}" $what "$times") || exit 1
			echo "$ns" >>"$work/${names[i]}.$what"
			[[ ${wanted:=$sum} == "$sum" ]] || {
				echo "${names[i]} reads other values: $sum instead of $wanted"
				exit 1
			}
		done
	done
	ours=$(median "$work/wire.$what")
	for name in "${names[@]}"; do
		ns=$(median "$work/$name.$what")
		awk -v what=$what -v name="$name" -v ns="$ns" -v ours="$ours" \
			'BEGIN { printf "%-7s %-11s %9.1f ns   ratio %.2f\n", what, name, ns, ns / ours }'
	done
done
[[ ${#names[@]} -gt 1 ]] || echo 'no peer given: nothing to compare with'
