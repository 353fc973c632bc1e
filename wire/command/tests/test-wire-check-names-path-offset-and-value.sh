#!/bin/bash
# SPDX-License-Identifier: MIT
# wire check says which field breaks which rule, where it is, what was found and what is allowed.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

expect 0 "$WIRE" check sample "$image"
shows 'valid sample\.box'
expect 0 "$WIRE" check -q sample "$image"
[[ ! -s $work/out ]] || fail 'quiet is not'

# The weight of item 7 lies at 48 + 7 * 16 + 1.
at=$((48 + 7 * 16 + 1))
cp "$image" "$work/bad"
poke "$work/bad" $at '\311'
expect 1 "$WIRE" check sample "$work/bad"
says 'items[7].weight'
says "$at"
says 201
says 100
says "$work/bad: sample.box: "
expect 1 "$WIRE" check -q sample "$work/bad"
[[ ! -s $work/err && ! -s $work/out ]] || fail 'quiet is not'

{ head -c 1000 /dev/zero && cat "$work/bad"; } >"$work/shifted"
expect 1 "$WIRE" check sample "$work/shifted" --offset=1000
says "byte $((1000 + at)) of the image"

if command -v jq >/dev/null; then
	expect 1 "$WIRE" check --json sample "$work/bad"
	[[ $(jq -c '[.valid, .offset, .value, .allowed]' "$work/out") == "[false,$at,201,100]" ]] ||
		fail 'JSON of a fault'
	expect 0 "$WIRE" check --json sample "$image"
	[[ $(jq -c .valid "$work/out") == true ]] || fail 'JSON of a valid image'
fi

# An argument decides: the start is no multiple of 2048.
expect 1 "$WIRE" check sample "$image" --set unit=2K
says 'start must be a whole number of units'
