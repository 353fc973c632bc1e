#!/bin/sh
# SPDX-License-Identifier: MIT
# Tables of ways in and of options, and all help texts, fit a terminal of 80 columns; a way in that
# lacks something gives a footnote that exists.
. "$(dirname "$0")/lib.sh"

export LC_ALL=C.UTF-8

fits()
{
	expect 0 "$@"
	[ -s "$tmp/out" ] || fail "no output of: $*"
	longest=$(awk '{ if (length($0) > most) most = length($0) } END { print most }' "$tmp/out")
	[ "$longest" -le 80 ] || {
		# mawk counts bytes.
		longest=$(python3 -c "print(max(map(len, open('$tmp/out').read().split('\n'))))")
		[ "$longest" -le 80 ] || fail "$longest columns: $*"
	}
}

fits "$BDUS" check
for number in $(grep -o '\[[0-9]*\]' "$tmp/out" | sort -u | tr -d '[]'); do
	grep -q "^\[$number\]" "$tmp/out" || fail "footnote $number is missing"
done
says out ublk nbd write-zeros zero-copy
fits "$BDUS" check nbd
fits "$BDUS" check ublk
for driver in ram null file "$BDUS_SLOW_DRIVER"; do
	fits "$BDUS" drivers "$driver"
done
says out colour "red green blue" "4K to 1G"
fits "$BDUS" drivers
fits "$BDUS" filters
for filter in $("$BDUS" __words filters | cut -f 1); do
	fits "$BDUS" filters "$filter"
done
fits "$BDUS" help
for command in $("$BDUS" __words commands | cut -f 1); do
	fits "$BDUS" help "$command"
	fits "$BDUS" "$command" --help
done
