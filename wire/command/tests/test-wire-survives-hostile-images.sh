#!/bin/bash
# SPDX-License-Identifier: MIT
# Cut at any length and with any byte changed, an image is either refused or printed, never more; so is
# what is no image at all.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

harmless() # COMMAND...
{
	local status
	"$@" >"$work/out" 2>"$work/err"
	status=$?
	((status <= 1)) || fail "status $status of: $*"
	! grep -q 'runtime error\|AddressSanitizer' "$work/err" || fail "$*"
}

for ((length = 0; length < size; length += length < 80 ? 1 : 71)); do
	head -c "$length" "$image" >"$work/cut"
	harmless "$WIRE" dump sample "$work/cut"
	expect 1 "$WIRE" check sample "$work/cut"
done
found=0
for ((at = 0; at < size; at += at < 80 ? 1 : 47)); do
	for byte in '\377' '\200'; do
		cp "$image" "$work/bad"
		poke "$work/bad" $at "$byte"
		harmless "$WIRE" dump -j sample "$work/bad"
		cmp -s "$image" "$work/bad" && continue
		# The checksum covers all of it.
		expect 1 "$WIRE" check sample "$work/bad"
		((found++))
	done
done
((found > 200)) || fail "only $found changes were made"
head -c 100000 /dev/urandom >"$work/noise"
harmless "$WIRE" dump sample "$work/noise"

expect 3 "$WIRE" check sample "$work/nothing-here"
says 'nothing-here'
expect 3 "$WIRE" check sample "$work"
expect 3 "$WIRE" check sample /dev/null
expect 3 "$WIRE" check sample "$image" --offset $((size + 1))
says "allowed: 0 to $size"
expect 3 "$WIRE" check sample "$image" --length $((size + 1))
expect 1 "$WIRE" check sample "$image" --offset "$size"

# A megabyte or a terabyte costs the same.
truncate -s 1T "$work/large" 2>/dev/null || exit 0
dd if="$image" of="$work/large" bs=4096 seek=200000000 conv=notrunc status=none
expect 0 timeout 20 "$WIRE" dump sample "$work/large" --offset $((200000000 * 4096))
expect 0 timeout 20 "$WIRE" edit sample "$work/large" --offset $((200000000 * 4096)) 'items[119].id=3'
expect 0 timeout 20 "$WIRE" check sample "$work/large" --offset $((200000000 * 4096))
(($(stat -c %b "$work/large") < 1000)) || fail 'the holes are gone'
