#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What another driver of a device must be like, who may give it one, and what is left when that fails. A
# device that cannot outlive its driver is replaced over kbdus, and not over ublk; one that has a driver is
# not recovered; one of several that recover a device at once gets it; a driver that does not open leaves
# the device waiting; an orphan can be destroyed, and its clients get errors then.
#
# guest: mem=768 timeout=60 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_ublk

refused() # WORDS COMMAND...
{
	local words=$1
	shift
	must_fail "$@"
	[[ $refusal == *"$words"* ]] || fail "refused with: $refusal"
}

is_in_state() # STATE
{
	"$BDUS" info --json "$device" | grep -q "\"state\": *\"$1\""
}

kill_driver()
{
	must kill -9 "$("$BDUS" info --json "$device" | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*$')"
	wait_until 10 is_in_state orphaned || fail "not orphaned: $("$BDUS" list)"
}

step 'a device that ends with its driver'
bdus_run ram size=16M || fail 'no device'
if [[ $BDUS_TRANSPORT == kbdus ]]; then
	must "$BDUS" replace --quiet "$device" ram size=16M
else
	refused 'not made recoverable' "$BDUS" replace "$device" ram size=16M
fi
must dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct status=none
must "$BDUS" destroy "$device"

step 'drivers that do not fit'
truncate -s 16M "$work/image"
truncate -s 17M "$work/other"
file=(file "path=$work/image")
bdus_run --recoverable "${file[@]}" || fail 'no device'
refused 'has a driver' "$BDUS" recover "$device" "${file[@]}"
refused 'unknown' "$BDUS" replace "$device" file path="$work/image" colour=red
is_in_state available || fail 'a wrong word ended the driver'
refused 'its size is' "$BDUS" replace "$device" file path="$work/other"
is_in_state orphaned || fail 'not orphaned after a driver that does not fit'
refused 'does not fit' "$BDUS" recover "$device" "${file[@]}" read-only=yes
refused 'missing' "$BDUS" recover "$device" file path="$work/missing"
is_in_state orphaned || fail 'not orphaned after drivers that do not open'

step 'a request waits for the driver that comes'
dd if=/dev/urandom of="$work/data" bs=64k count=1 status=none
dd if="$work/data" of="$device" bs=64k count=1 oflag=direct conv=notrunc status=none &
writer=$!
sleep 0.3
kill -0 "$writer" 2>/dev/null || fail 'a write was answered without a driver'
must "$BDUS" recover --quiet "$device" "${file[@]}"
wait "$writer" || fail 'the write failed'
cmp -n 65536 "$work/data" "$work/image" || fail 'other data'

step 'one of many gets it'
kill_driver
for i in 1 2 3 4 5 6; do
	"$BDUS" recover --quiet "$device" "${file[@]}" lock=no 2>"$work/error.$i" && : >"$work/got.$i" &
done
wait
got=("$work"/got.*)
((${#got[@]} == 1)) && [[ -e ${got[0]} ]] || fail "${#got[@]} got it: $(cat "$work"/error.*)"
is_in_state available || fail "$("$BDUS" list)"
cmp -n 65536 "$work/data" <(dd if="$device" bs=64k count=1 iflag=direct status=none) || fail 'other data'

step 'other runs leave an orphan alone'
kill_driver
orphan=$device
bdus_run ram size=1M || fail 'no device'
must "$BDUS" destroy "$device"
device=$orphan
is_in_state orphaned || fail 'swept'

step 'an orphan that is destroyed'
dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none 2>"$work/error" &
reader=$!
sleep 0.3
kill -0 "$reader" 2>/dev/null || fail 'a read was answered without a driver'
must "$BDUS" destroy "$device"
wait "$reader" && fail 'a read without a driver succeeded'
nothing_left || fail 'see above'

step 'a driver that is started again'
bdus_run --restart "${file[@]}" || fail 'no device'
for round in 1 2 3; do
	before=$("$BDUS" info --json "$device" | grep -o '"pid": *[0-9]*')
	must kill -9 "${before##* }"
	must dd if="$device" of="$work/read" bs=64k count=1 iflag=direct status=none
	cmp -n 65536 "$work/data" "$work/read" || fail "other data in round $round"
	wait_until 10 is_in_state available || fail "$("$BDUS" list)"
	[[ $("$BDUS" info --json "$device" | grep -o '"pid": *[0-9]*') != "$before" ]] || fail 'the same process'
done
must "$BDUS" destroy "$device"
nothing_left || fail 'see above'

step 'one that does not come up again is given up'
bdus_run --restart "${file[@]}" || fail 'no device'
mv "$work/image" "$work/gone"
must kill -9 "$("$BDUS" info --json "$device" | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*$')"
wait_until 20 _no_servers || fail 'still tried'
is_in_state orphaned || fail "$("$BDUS" list)"
mv "$work/gone" "$work/image"
must "$BDUS" recover --quiet "$device" "${file[@]}"
must "$BDUS" destroy "$device"

step 'SIGTERM ends a driver that would be started again, and its device'
bdus_run --restart "${file[@]}" || fail 'no device'
must kill -TERM "$("$BDUS" info --json "$device" | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*$')"
nothing_left || fail 'see above'
