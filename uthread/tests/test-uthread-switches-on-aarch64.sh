#!/bin/sh
# SPDX-License-Identifier: MIT
# The library's sources compile for AArch64, and threads keep their registers there; under QEMU.
#
# usage: test-uthread-switches-on-aarch64.sh SOURCE_ROOT
set -eu

root=$1
for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
	command -v "$tool" >/dev/null || {
		echo "SKIP: $tool is not here"
		exit 77
	}
done
echo '#include <stdio.h>' | aarch64-linux-gnu-gcc -fsyntax-only -x c - 2>/dev/null || {
	echo "SKIP: the C library of AArch64 is not here"
	exit 77
}
dir=$(mktemp -d /tmp/uthread-aarch64-XXXXXX)
trap 'rm -rf "$dir"' EXIT

for optimise in -O0 -O2; do
	aarch64-linux-gnu-gcc -static -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror $optimise -g \
		-frounding-math -o "$dir/machine" -I"$root/include" -I"$root/base/include" \
		-I"$root/uthread" -I"$root/uthread/switch/aarch64" -I"$root/uthread/fibers/plain" \
		-I"$root/uthread/probes/none" -I"$root/uthread/valgrind/none" \
		"$root"/uthread/tests/machine.c "$root"/uthread/*.c "$root"/uthread/switch/aarch64/*.[cS] \
		"$root"/base/error.c "$root"/base/thread.c -pthread -lm
	timeout 60 qemu-aarch64 "$dir/machine"
done
