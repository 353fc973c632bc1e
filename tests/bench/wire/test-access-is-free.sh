#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Reading a field through its accessor compiles to the same instructions as reading a member of a
# structure written by hand, with each compiler that is here: access.c has the pairs.
set -u -o pipefail
: "${ACCESS_H:?is the folder of access.h}" "${WIRE_INCLUDE:?is the folder of wire.h}"
[[ $(uname -m) == x86_64 ]] || {
	echo "SKIP: compares instructions of x86-64, not of $(uname -m)"
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tried=0 failed=0

# The instructions of each function, one a line, as "function: a; b; c"; the address of a jump is none.
instructions()
{
	objdump -d --no-show-raw-insn --no-addresses "$1" | awk '
		/^<.*>:$/ { name = substr($0, 2, length($0) - 3); next }
		NF && name { sub(/^[ \t]+/, ""); if ($0 !~ /^(nop|data16|xchg +%ax)/) code[name] = code[name] "; " $0 }
		END { for (name in code) print name ": " code[name] }'
}

for compiler in gcc clang; do
	command -v $compiler >/dev/null || continue
	$compiler -std=gnu17 -O2 -fno-asynchronous-unwind-tables -fcf-protection=none \
		-I"$ACCESS_H" -I"$WIRE_INCLUDE" -c "$(dirname "$0")/access.c" \
		-o "$work/$compiler.o" || exit 1
	instructions "$work/$compiler.o" >"$work/$compiler"
	while read -r name; do
		wire=$(sed -n "s/^field_$name: //p" "$work/$compiler")
		hand=$(sed -n "s/^hand_$name: //p" "$work/$compiler")
		((tried++))
		[[ -n $hand && $wire == "$hand" ]] && continue
		printf '%s, %s:\n  accessor: %s\n  by hand:  %s\n' $compiler "$name" "$wire" "$hand"
		failed=1
	done < <(sed -n 's/^hand_\([a-z_]*\):.*/\1/p' "$work/$compiler")
done
((tried)) || {
	echo 'SKIP: neither gcc nor clang here'
	exit 77
}
echo "$tried pairs compared"
((tried >= 11)) || failed=1
exit $failed
