#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: test-generated-code-compiles-without-warnings.sh WIREC INCLUDE FILE.wire...
#
# What comes of every description compiles as C17 with GCC and Clang, and as C++ where it is included, with every
# warning that they have except:
#   -Wpadded                           views are for the machine, not for disks
#   -Wdeclaration-after-statement      is about C before 1999
#   -Wdocumentation-unknown-command    comments of wire.h name parameters with @
#   -Wunsafe-buffer-usage              would refuse all pointer arithmetic (Clang 16 and later)
set -u
wirec=$1 include=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc=(-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wcast-align=strict -Wcast-qual
	-Wundef -Wvla -Wformat=2 -Wmissing-prototypes -Wstrict-prototypes -Wwrite-strings
	-Wlogical-op -Wduplicated-cond -Wswitch-enum)
clang=(-Weverything -Wno-padded -Wno-declaration-after-statement -Wno-documentation-unknown-command
	-Wno-unknown-warning-option -Wno-unsafe-buffer-usage)
failures=0

compile() # COMPILER FLAGS...
{
	"$@" -Werror -I"$include" -I"$work" -c -o "$work/out.o" || failures=$((failures + 1))
}

folders=()
for file in "$@"; do
	folders+=(-I "$(dirname "$file")")
done
for file in "$@"; do
	name=$(basename "$file" .wire)
	"$wirec" "${folders[@]}" -o "$work" "$file" || failures=$((failures + 1))
done
for file in "$@"; do
	name=$(basename "$file" .wire)
	for source in "$name.c" "${name}_walk.c"; do
		compile gcc -std=c17 -O2 "${gcc[@]}" "$work/$source"
		if command -v clang >/dev/null; then
			compile clang -std=c17 -O1 "${clang[@]}" "$work/$source"
		fi
	done
	printf '#include "%s.h"\n' "$name" >"$work/include.cc"
	if grep -q '^ioctl ' "$file"; then
		"$wirec" --ioctls -o "$work" "$file" || failures=$((failures + 1))
		printf '#include "%s_ioctls.h"\n' "$name" >"$work/include.cc"
		cp "$work/include.cc" "$work/include.c"
		compile gcc -std=c17 -O2 "${gcc[@]}" "$work/include.c"
		if command -v clang >/dev/null; then
			compile clang -std=c17 -O1 "${clang[@]}" "$work/include.c"
		fi
	fi
	if command -v g++ >/dev/null; then
		compile g++ -std=c++17 -Wall -Wextra "$work/include.cc"
	fi
done
echo "$# descriptions, $failures failures"
exit $((failures > 0))
