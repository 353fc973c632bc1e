#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What creating and joining a thread takes in a program of 10,000 threads, with the preload and without,
# in turns; the medians, and their ratio.
#
# usage: preload.sh UTHREAD PRELOAD-CREATES [ROUNDS]
set -eu -o pipefail
uthread=$1 program=$2 rounds=${3:-5}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

real=() carried=()
for ((i = 0; i < rounds; i++)); do
	real+=("$("$program" 1)")
	carried+=("$("$uthread" run "$program" 7)")
done
for field in 1 2; do
	theirs=$(printf '%s\n' "${real[@]}" | awk -v f=$field '{ print $f }' | median)
	ours=$(printf '%s\n' "${carried[@]}" | awk -v f=$field '{ print $f }' | median)
	[[ $field == 1 ]] && what='one after the other' || what='10,000 at once'
	awk -v o="$ours" -v t="$theirs" -v w="$what" \
		'BEGIN { printf "create and join, %s: %.1f ns, pthread %.1f ns, ratio %.4f\n", w, o, t, o / t }'
done
