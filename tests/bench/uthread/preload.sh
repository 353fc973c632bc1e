#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What creating and joining a thread takes in a program of 10,000 threads, with the preload and without,
# in turns; the medians, and their ratio. UTHREAD_PEER_PRELOAD names a library of another project that
# is preloaded in the same way.
#
# usage: preload.sh UTHREAD PRELOAD-CREATES [ROUNDS]
set -eu -o pipefail
uthread=$1 program=$2 rounds=${3:-5} peer=${UTHREAD_PEER_PRELOAD:-}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# tell FIELD RESULT...: the median of that field.
tell()
{
	local field=$1
	shift
	printf '%s\n' "$@" | awk -v f="$field" '{ print $f }' | median
}

real=() carried=() peers=()
for ((i = 0; i < rounds; i++)); do
	real+=("$("$program" 1)")
	carried+=("$("$uthread" run "$program" 7)")
	[[ -z $peer ]] || peers+=("$(LD_PRELOAD=$peer MYTH_NUM_WORKERS=1 "$program" 7)")
done
for field in 1 2; do
	ours=$(tell $field "${carried[@]}")
	[[ $field == 1 ]] && what='one after the other' || what='10,000 at once'
	awk -v o="$ours" -v t="$(tell $field "${real[@]}")" -v w="$what" \
		'BEGIN { printf "create and join, %s: %.1f ns, pthread %.1f ns, ratio %.4f\n", w, o, t, o / t }'
	[[ -z $peer ]] || awk -v o="$ours" -v t="$(tell $field "${peers[@]}")" -v n="${peer##*/}" \
		'BEGIN { printf "  %s: %.1f ns, ratio %.3f\n", n, t, o / t }'
done
