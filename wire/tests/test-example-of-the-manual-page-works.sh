#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: test-example-of-the-manual-page-works.sh WIREC SOURCE-ROOT LIBRARY
#
# The description and the program in wirec(1) do what the page says, when built as it says.
set -eu
wirec=$(realpath "$1") root=$2 library=$(realpath "$3")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

display() # NUMBER
{
	awk -v wanted="$1" '/^\.Sh/ { inside = /EXAMPLES/ }
		inside && /^\.Bd -literal/ { shown = ++count; next }
		/^\.Ed/ { shown = 0 }
		inside && shown == wanted' "$root/docs/man/wirec.1" | sed 's/\\e/\\/g'
}

display 1 >note.wire
display 2 >program.c
"$wirec" -o . note.wire
gcc -Wall -Wextra -Werror -I"$root/include" -o note program.c note.c "$library"
./note >out
printf 'sum: at byte 11: is not the checksum of what it covers: %s\nhello\n' X >wanted
sed 's/covers: .*/covers: X/' out | diff - wanted
