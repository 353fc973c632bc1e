#!/bin/sh
# SPDX-License-Identifier: MIT
# Filters are attached to a device and detached from it while clients write and verify, on all its queues; who
# would change what clients see is refused.
. "$(dirname "$0")/lib.sh"

command -v nbdcopy >/dev/null || skip "nbdcopy is not installed"
expect 0 "$BDUS" run ram size=8M --transport "$(nbd s)"
uri=$(cat "$tmp/out")
head -c 8388608 /dev/urandom >"$tmp/data"
(
	while [ ! -e "$tmp/enough" ]; do
		nbdcopy --connections=4 "$tmp/data" "$uri" && nbdcopy --no-extents --connections=4 "$uri" "$tmp/back" &&
			cmp "$tmp/data" "$tmp/back" || exit 1
	done
) &
load=$!
for turn in 1 2 3 4 5 6 7 8; do
	expect 0 "$BDUS" filter attach "$uri" delay:read=1ms
	expect 0 "$BDUS" filter attach "$uri" error:operations=discard
	expect 0 "$BDUS" stats "$uri"
	says out '0 error' '1 delay'
	expect 0 "$BDUS" filter detach "$uri" $((turn % 2))
	expect 0 "$BDUS" filter detach "$uri" 0
	expect 0 "$BDUS" stats "$uri"
	grep -q FILTER "$tmp/out" && fail "filters are left"
done
touch "$tmp/enough"
wait "$load" || fail "clients saw something of it"

# It does what it is for, and no longer.
expect 0 "$BDUS" filter attach "$uri" error:operations=write
expect 0 "$BDUS" stats --json "$uri"
python3 "$tests/check-json.py" stats "$tmp/out" 'd["devices"][0]["filters"][0]["operations"] == 0' ||
	fail "it counts what others did"
nbdcopy "$tmp/data" "$uri" 2>/dev/null && fail "writes succeed"
expect 0 "$BDUS" filter detach "$uri" error
nbdcopy "$tmp/data" "$uri" || fail "writes fail"

expect 3 "$BDUS" filter detach "$uri" error
says err 'no filter'
expect 2 "$BDUS" filter attach "$uri" nothing
expect 1 "$BDUS" filter attach "$uri" error:operations=nonsense
expect 2 "$BDUS" filter swap "$uri" error
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
	expect 0 "$BDUS" filter attach "$uri" delay:read=1us
done
expect 1 "$BDUS" filter attach "$uri" delay
says err 'at most 16'
nbdcopy --no-extents "$uri" "$tmp/back"
cmp "$tmp/data" "$tmp/back" || fail "the disk is another one"
expect 0 "$BDUS" destroy "$uri"

# A change waits for what is in a filter; meanwhile there is no other, and the device can end.
expect 0 "$BDUS" run ram size=1M --filter delay:read=3s --transport "$(nbd s)"
uri=$(cat "$tmp/out")
head -c 1048576 "$tmp/data" >"$tmp/early"
nbdcopy "$tmp/early" "$uri"
nbdcopy --no-extents --connections=1 "$uri" "$tmp/late" &
late=$!
sleep 1
expect 6 "$BDUS" filter detach --timeout 0.5 "$uri" delay
expect 1 "$BDUS" filter attach "$uri" error
says err 'another change'
expect 0 "$BDUS" info "$uri"
expect 0 "$BDUS" destroy "$uri"
# What was in the filter is answered. That the device ends before its client says goodbye is an error to that.
wait "$late" || :
cmp "$tmp/early" "$tmp/late" || fail "what the filter held is lost"
expect_nothing_left s
