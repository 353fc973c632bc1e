#!/bin/sh
# SPDX-License-Identifier: MIT
# Images and shared objects that are missing or wrong are refused by name, and nothing is left.
. "$(dirname "$0")/lib.sh"

refused()
{
	name=$1
	shift
	for mode in --foreground --quiet; do
		actual=0
		"$BDUS" run "$@" "$mode" --transport "$(nbd s)" >"$tmp/out" 2>"$tmp/err" || actual=$?
		[ "$actual" -ne 0 ] || fail "not refused: $*"
		[ "$actual" -lt 126 ] || fail "died: $*"
		silent out
		says err "$name"
		expect_nothing_left s
	done
}

refused "$tmp/missing.img" file path="$tmp/missing.img"
mkdir "$tmp/directory"
refused "$tmp/directory" file path="$tmp/directory"
refused "$tmp/missing.so" "$tmp/missing.so"
echo "no shared object" >"$tmp/text.so"
refused "$tmp/text.so" "$tmp/text.so"
refused "$BDUS_NO_DRIVER" "$BDUS_NO_DRIVER"
refused 999 "$BDUS_ALIEN_DRIVER"
cd "$tmp"
refused text.so text.so
expect 1 "$BDUS" drivers ./missing.so
