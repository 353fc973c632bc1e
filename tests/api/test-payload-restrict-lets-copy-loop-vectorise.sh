#!/bin/sh
# SPDX-License-Identifier: MIT
# The two read callbacks of examples/payload.c differ in BDUS_RESTRICT alone. The compiler's own
# remarks must say that the loop with it was vectorised and the loop without it was not. Run with
# every compiler of the two that is here.
#
# usage: test-payload-restrict-lets-copy-loop-vectorise.sh SOURCE_ROOT
set -eu

root=$1
example=$root/examples/payload.c
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The line of the first loop after the line that begins with function $1.
loop_line() {
	awk -v start="static int $1(" 'index($0, start) == 1 { inside = 1 }
		inside && /for \(/ { print NR; exit }' "$example"
}

# Remarks of compiler $1 on loops that it vectorised, one "LINE" each.
vectorised_lines() {
	case $1 in
	gcc) remarks=-fopt-info-vec-optimized ;;
	clang) remarks=-Rpass=loop-vectorize ;;
	esac
	"$1" -std=gnu17 -O3 -I "$root/include" "$remarks" -c -o "$dir/$1.o" "$example" 2>"$dir/$1.txt"
	sed -n 's/^[^:]*payload\.c:\([0-9]*\):.*\(loop vectorized\|vectorized loop\).*/\1/p' "$dir/$1.txt"
}

check() {
	lines=$(vectorised_lines "$1")
	echo "$lines" | grep -qx "$(loop_line read_restrict)" || {
		echo "$1 did not vectorise the loop of read_restrict():"
		cat "$dir/$1.txt"
		exit 1
	}
	if echo "$lines" | grep -qx "$(loop_line read_plain)"; then
		echo "$1 vectorised read_plain(), too: the example shows nothing"
		exit 1
	fi
	echo "$1: read_restrict() vectorised, read_plain() not"
}

tried=0
for compiler in gcc clang; do
	command -v "$compiler" >/dev/null || continue
	check "$compiler"
	tried=1
done
if [ "$tried" = 0 ]; then
	echo "SKIP: neither gcc nor clang is here"
	exit 77
fi
