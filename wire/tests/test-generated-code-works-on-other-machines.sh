#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: test-generated-code-works-on-other-machines.sh MACHINE WIREC SOURCE-ROOT TABLES
#
# Runs the tests of generated code as programs of a 32-bit machine (MACHINE is "32") or a big-endian one ("big").
# TABLES is the folder of crc_tables.h.
set -u
machine=$1 wirec=$2 root=$3 tables=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tests=$root/wire/tests

skip()
{
	echo "skipped: $1"
	exit 77
}

case $machine in
32)
	# Headers of the kernel are the same for both, and only one package has them where gcc looks.
	compiler=(gcc -m32 -idirafter "/usr/include/$(gcc -print-multiarch)"
		-fsanitize=undefined -fno-sanitize-recover=undefined)
	run=()
	echo 'int main(void) { return 0; }' >"$work/try.c"
	"${compiler[@]}" -o "$work/try" "$work/try.c" 2>/dev/null ||
		skip "gcc cannot make 32-bit programs here (package gcc-multilib)"
	;;
big)
	compiler=(s390x-linux-gnu-gcc -static)
	run=(qemu-s390x)
	command -v "${compiler[0]}" >/dev/null || skip "no gcc-s390x-linux-gnu"
	command -v qemu-s390x >/dev/null || skip "no qemu-s390x (package qemu-user)"
	;;
esac

failures=0
for test in shapes flow turn sums talk calls; do
	"$wirec" -I "$tests" -o "$work" "$tests/$test.wire" || exit 1
	if [[ $test == calls ]]; then
		"$wirec" --ioctls -o "$work" "$tests/$test.wire" || exit 1
	fi
	sources=("$work/$test.c" "$work/${test}_walk.c")
	[[ $test == flow ]] && sources+=("$work/shapes.c" "$work/shapes_walk.c")
	"${compiler[@]}" -std=gnu17 -O1 -Wall -Wextra -Werror -Wno-missing-field-initializers \
		-I"$root/include" -I"$work" -I"$tests" -I"$tables" -o "$work/$test" \
		"$tests/test_$test.c" "${sources[@]}" \
		"$root"/wire/{edit,fault,print,sums,text,walk}.c || exit 1
	"${run[@]}" "$work/$test" || failures=$((failures + 1))
done
exit $((failures > 0))
