#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The command bdus program loads, lists, replaces and detaches programs within kbdus while the device is in
# use, with the values of their maps kept where that is asked for, and reads and writes these.
#
# guest: timeout=120
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/programs.sh"
need_kbdus
need losetup jq
modprobe loop 2>/dev/null || true

truncate -s 16M "$work/disk"
bdus_run file path="$work/disk"
"$BDUS" program list "$device" --kernel >"$work/list" 2>"$work/why" || {
	grep -q 'built without opvm' "$work/why" && skip 'kbdus was built without opvm'
	fail "$(cat "$work/why")"
}

# has FILTER: the list has it, as jq sees it.
has()
{
	"$BDUS" program list "$device" --kernel >"$work/list" || fail 'cannot list'
	jq -e "$1" "$work/list" >/dev/null || fail "not $1: $(cat "$work/list")"
}

program() # VERB... : in the kernel, of the device
{
	must "$BDUS" program "$@" --kernel
}

refused() # WORDS COMMAND...: with a message that has these words
{
	local text=$1
	shift
	must_fail "$BDUS" program "$@"
	[[ $refusal == *"$text"* ]] || fail "no '$text' in: $refusal"
}

read_first()
{
	dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null
}

step 'nothing is there at first'
has '.program == null and .calls == 0'

cat >"$work/count.s" <<'END'
.map calls array 4 8 4
.map busy histogram 0 0 0
.map events ring 0 0 4096
.map each per_cpu 4 8 2
.program count
	mov r6, r1
	stw [r10-4], 0
	mov r2, r10
	add r2, -4
	lddw r1, map calls
	call 1
	jeq r0, 0, out
	ldxdw r2, [r0+0]
	add r2, 1
	stxdw [r0+0], r2
	ldxdw r3, [r0+0]
	stxdw [r10-16], r3
	lddw r1, map busy
	ldxdw r2, [r6+8]
	call 4096
	lddw r1, map events
	mov r2, r10
	add r2, -16
	mov r3, 8
	mov r4, 0
	call 130
out:
	mov r0, 0
	exit
END

step 'a program with maps of each kind is loaded, listed and counts'
program load "$device" "$work/count.s"
has '.program == "count" and .instructions == 26 and .backend == null'
has '[.maps[] | .name + " " + .kind] == ["calls array", "busy histogram", "events ring", "each per_cpu"]'
read_first || fail 'reads do not pass'
read_first || fail 'reads do not pass'
has '.calls >= 2 and .passed >= 2 and .refused_answers == 0'
calls=$(program map get "$device" calls 0)
((calls >= 2)) || fail "it counted $calls"
program map get "$device" busy | jq -e '.[12] >= 2' >/dev/null || fail 'the histogram lacks reads of 4 KiB'
[[ $(program map read "$device" events) == '"0100000000000000"' ]] || fail 'the ring lacks its first record'
program map set "$device" each 1 7
program map get "$device" each 1 | jq -se 'flatten | length >= 1 and all(. == 7)' >/dev/null ||
	fail 'a value for each processor was not set'

step 'machine code, unless it is not wanted or the kernel has no compiler'
compiled=$(jq .compiled "$work/list")
[[ $BDUS_GUEST != [67].* || $compiled == true ]] || fail 'Linux has a compiler, but did not use it'
program replace "$device" "$work/count.s" --interpret
has '.compiled == false and .replaced == 1'

step 'replaced: with the values of its maps, or without'
(($(program map get "$device" calls 0) >= calls)) || fail 'the values were not kept'
program load "$device" "$work/count.s" count --fuel=2K --exhausted=pass
has '.fuel == 2048 and .replaced == 2'
program map set "$device" calls 3 5
[[ $(program map get "$device" calls 3) == 5 ]] || fail 'a value was not set'

step 'what cannot be is refused, and the program stays'
printf 'ldxdw r0, [r10-8]\nldxdw r0, [r1+4096]\nexit\n' >"$work/bad.s"
refused 'bad.s' load "$device" "$work/bad.s" --kernel
refused 'no' load "$device" "$work/count.s" missing --kernel
refused "no 'missing'" load "$device" "$work/count.s" count missing --kernel
refused 'fuel=0' load "$device" "$work/count.s" --kernel --fuel=0
refused 'fuel=2M' load "$device" "$work/count.s" --kernel --fuel=2M
refused 'no block device' load "$device" "$work/count.s" --kernel --backend="$work/disk"
refused 'kbdus itself' load "$device" "$work/count.s" --kernel --backend="$device"
refused 'go with --kernel' load "$device" "$work/count.s" --fuel=3
refused "no map 'nothing'" map get "$device" nothing --kernel
refused 'is no key' map get "$device" calls x --kernel
refused 'map calls' map get "$device" calls 4 --kernel
has '.replaced == 2 and .program == "count"'

step 'replaced while requests are under way'
truncate -s 32M "$work/image"
loop=$(losetup --find --show "$work/image" 2>"$work/why") || skip "no loop device: $(cat "$work/why")"
at_exit losetup -d "$loop"
linear_program 1048576 >"$work/linear.s"
(
	while [[ ! -e $work/enough ]]; do
		read_first || exit 1
	done
) &
busy=$!
for ((i = 0; i < 10; i++)); do
	program load "$device" "$work/linear.s" --backend="$loop"
	program replace "$device" "$work/count.s"
	program detach "$device"
done
touch "$work/enough"
wait $busy || fail 'a read failed while programs were replaced'
has '.program == null'
program load "$device" "$work/linear.s" --backend="$loop"
has '.backend != null'
must "$BDUS" destroy "$device"
