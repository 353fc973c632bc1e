#!/bin/bash
# SPDX-License-Identifier: MIT
# wire edit stores numbers, names, flags, text and bytes, and the image stays valid; what would break a
# rule is refused and leaves every byte as it was.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
cp "$image" "$work/before"

unchanged()
{
	cmp -s "$image" "$work/before" || fail "the image changed: $1"
}

refused() # WORDS EDIT...
{
	local words=$1
	shift
	expect 4 "$WIRE" edit sample "$image" "$@"
	says "$words"
	unchanged "$*"
}

refused 'no field "colour"' colour=1
refused 'no field "items[120].id"' 'items[120].id=1'
refused 'items[3].weight' 'items[3].weight=101'
refused 'does not fit' 'items[3].id=65536'
refused 'label=' label=a-text-that-is-much-too-long
refused 'start must be a whole number of units' start=1000
refused 'items[3].what' 'items[3].what=HOUSE'
# All or nothing, also if only the last is wrong.
refused 'no field' label=second start=4096 nothing=1

expect 0 "$WIRE" edit -n sample "$image" start=4096
unchanged 'dry run'
expect 0 "$WIRE" edit sample "$image" start=4096 label=second 'items[3].what=LINK' \
	'features=FAST|SAFE' id=0807060504030201 'items[119].weight=99'
expect 0 "$WIRE" check sample "$image"
expect 0 "$WIRE" dump sample "$image"
for word in 4096 second LINK 'FAST' '08 ?07 ?06 ?05' 99; do
	shows "$word"
done
[[ $(stat -c %s "$image") == "$size" ]] || fail 'the size changed'

# Two edits of which the first alone would break a rule.
expect 0 "$WIRE" edit sample "$image" --set unit=1000 start=3000
expect 1 "$WIRE" check sample "$image"

# Told so, it writes what breaks a rule; the checksum is right all the same.
expect 0 "$WIRE" edit sample "$image" start=512
expect 0 "$WIRE" edit --force sample "$image" start=513
says 'start must be'
expect 0 "$WIRE" check sample "$image" -s unit=513
