#!/bin/bash
# SPDX-License-Identifier: MIT
# The compiler for AArch64, under QEMU where this machine is another one: each instruction gives what its data
# says, and random programs do the same as machine code and in both interpreters.
#
# usage: test-opvm-machine-code-of-aarch64-is-right.sh SOURCE_ROOT SOURCE...
set -eu -o pipefail

root=$1
shift
compiler=aarch64-linux-gnu-gcc
for tool in $compiler qemu-aarch64; do
	command -v $tool >/dev/null || {
		echo "SKIP: no $tool here (packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user)"
		exit 77
	}
done
dir=$(mktemp -d /tmp/opvm-aarch64-XXXXXX)
trap 'rm -rf "$dir"' EXIT

tests=$root/opvm/tests
build() # PROGRAM SOURCE...
{
	local program=$1
	shift
	$compiler -static -O1 -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Wconversion -Wsign-conversion -Werror \
		-Wno-missing-field-initializers -I"$root/opvm" -I"$root/opvm/host" -I"$tests" \
		-I"$root/include" -o "$dir/$program" "$@" "$tests/kinds.c" -pthread
}

# All but what takes long is shared.
for source; do
	$compiler -c -O1 -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Wconversion -Wsign-conversion -Werror \
		-Wno-missing-field-initializers -I"$root/opvm" -I"$root/opvm/host" -I"$root/include" \
		-o "$dir/$(basename "$source" .c).o" "$source"
done
build data "$tests/data.c" "$dir"/*.o
build differential "$tests/differential.c" "$tests/random.c" "$tests/checked.c" "$dir"/*.o
qemu-aarch64 "$dir/data" --all-rows "$tests"/{arithmetic,calls,conditions,memory}.data
qemu-aarch64 "$dir/differential" 1 1000 | tee "$dir/log"
grep -q ', [1-9][0-9]* as machine code' "$dir/log" || {
	echo 'FAILED: nothing ran as machine code'
	exit 1
}
