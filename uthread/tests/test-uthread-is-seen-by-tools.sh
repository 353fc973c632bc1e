#!/bin/sh
# SPDX-License-Identifier: MIT
# Valgrind knows the stacks of threads: it finds no error in a program that switches among many. Tracers
# find the probes in the library.
#
# usage: test-uthread-is-seen-by-tools.sh LIBRARY PROGRAM HAS_PROBES
set -eu

library=$1
program=$2
ran=
if [ "$3" = 1 ] && command -v readelf >/dev/null; then
	for probe in create switch park wake steal; do
		readelf --notes --wide "$library" | grep -A 1 'Provider: uthread' |
			grep -q "Name: $probe\$" || {
			echo "FAILED: the library has no probe $probe"
			exit 1
		}
	done
	ran="$ran probes"
fi
if command -v valgrind >/dev/null; then
	output=$(timeout 100 valgrind --quiet --error-exitcode=9 "$program" without-rounding 2>&1) || {
		echo "FAILED: Valgrind ends with $?: $output"
		exit 1
	}
	[ "$output" = works ] || {
		echo "FAILED: Valgrind has something to say: $output"
		exit 1
	}
	ran="$ran valgrind"
fi
[ -n "$ran" ] || {
	echo "SKIP: neither readelf with probes nor valgrind are here"
	exit 77
}
echo "seen by:$ran"
