#!/bin/bash
# SPDX-License-Identifier: MIT
# wire dump prints each field with its name, as text and as JSON that a parser takes; an image that
# breaks a rule is printed nevertheless.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

expect 0 "$WIRE" dump sample.box "$image"
for word in magic crc count features label start id 'items' SAFE DATA first 1024 thing; do
	shows "$word"
done
(($(grep -c weight "$work/out") == 120)) || fail 'not all items are there'

if command -v jq >/dev/null; then
	expect 0 "$WIRE" dump --json sample "$image"
	[[ $(jq -r '.. | .label? // empty' "$work/out") == first ]] || fail 'label in JSON'
	[[ $(jq -r '[.. | .id? // empty] | length' "$work/out") -ge 120 ]] || fail 'items in JSON'
fi

# What lies at an offset is the same, and only the stated length is looked at.
{ head -c 700 /dev/zero && cat "$image"; } >"$work/shifted"
expect 0 "$WIRE" dump sample "$image"
cp "$work/out" "$work/plain"
expect 0 "$WIRE" dump sample --offset 700 "$work/shifted"
cmp -s "$work/plain" "$work/out" || fail 'an offset changes what is shown'
expect 0 "$WIRE" dump sample -o700 -l "$size" "$work/shifted"
expect 1 "$WIRE" check sample -o 700 -l $((size - 1)) "$work/shifted"

# Colours and bells of an image do not reach the terminal.
poke "$image" 16 '\033[31m\007'
expect 1 "$WIRE" dump sample "$image"
says crc
shows items
! grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$work/out" || fail 'control characters'
expect 1 "$WIRE" dump -j sample "$image"
! grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$work/out" || fail 'control characters in JSON'
