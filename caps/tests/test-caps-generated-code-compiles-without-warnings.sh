#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: test-caps-generated-code-compiles-without-warnings.sh WIREC INCLUDE FILE.wire...
#
# What wirec makes of operations is C17 without a warning from GCC and Clang, is the same each time, and
# its description is JSON.
set -eu
wirec=$1
include=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for file in "$@"; do
	base=$(basename "$file" .wire)
	"$wirec" -o "$work" "$file"
	"$wirec" --caps -o "$work" "$file"
	"$wirec" --caps --check -o "$work" "$file"
	[ "$("$wirec" --caps --list-outputs "$file" | tr '\n' ' ')" = "${base}_caps.h ${base}_caps.c $base.md " ] || {
		echo "FAILED: outputs are named otherwise"
		exit 1
	}
	if command -v gcc >/dev/null; then
		gcc -std=c17 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror \
			-I "$include" -c -o "$work/out.o" "$work/${base}_caps.c"
	fi
	if command -v clang >/dev/null; then
		clang -std=c17 -O1 -Weverything -Wno-padded -Wno-declaration-after-statement \
			-Wno-unknown-warning-option -Wno-documentation-unknown-command \
			-Wno-unsafe-buffer-usage -Werror -I "$include" -c -o "$work/out.o" \
			"$work/${base}_caps.c"
	fi
	grep -q '^## `' "$work/$base.md" || {
		echo "FAILED: $base.md names no operation"
		exit 1
	}
done
