#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Programs within kbdus let requests pass, fail them, complete them with zeros and send them to another
# block device, whole and in parts, without the server; their maps can be read and written meanwhile; and
# whatever else is loaded is refused.
#
# guest: timeout=120
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/programs.sh"
need_kbdus
need losetup cmp
modprobe loop 2>/dev/null || true

tool=${BDUS_BUILD:?}/tests/system/kbdus-program
programs=$BDUS_BUILD/examples/programs

truncate -s 16M "$work/disk"
bdus_run file path="$work/disk"
id=${device#/dev/bdus-}
"$tool" status "$id" >/dev/null 2>"$work/why" || {
	grep -q 'Inappropriate ioctl' "$work/why" && skip 'kbdus was built without opvm'
	fail "$(cat "$work/why")"
}

# has WORD: the status has it.
has()
{
	[[ " $("$tool" status "$id") " == *" $1 "* ]] || fail "not $1: $("$tool" status "$id")"
}

load()
{
	must "$tool" load "$id" "$@"
}

pattern() # CHARACTER BYTES
{
	head -c "$2" /dev/zero | tr '\0' "$1"
}

write_at() # CHARACTER KIB KIB_COUNT [DEVICE]
{
	pattern "$1" $(($3 * 1024)) | dd of="${4:-$device}" bs=4k seek=$(($2 / 4)) \
		oflag=direct iflag=fullblock conv=notrunc status=none 2>"$work/why"
}

# same CHARACTER KIB KIB_COUNT [DEVICE]: it holds nothing but that.
same()
{
	dd if="${4:-$device}" bs=4k skip=$(($2 / 4)) count=$(($3 / 4)) iflag=direct status=none >"$work/read" ||
		fail "cannot read $3 KiB at $2 of ${4:-$device}"
	pattern "$1" $(($3 * 1024)) | cmp - "$work/read" || fail "not $1 at $2 KiB of ${4:-$device}"
}

step 'requests pass'
write_at a 0 64 || fail 'cannot write'
printf 'mov r0, 0\nexit\n' >"$work/pass.s"
load "$work/pass.s"
same a 0 64
has instructions=2
has failed=0

step 'requests complete with zeros, and fail'
printf 'ldxw r0, [r1+36]\njne r0, 0, pass\nmov r0, 1\nexit\npass:\nmov r0, 0\nexit\n' >"$work/zero.s"
load "$work/zero.s"
same '\0' 0 64
must "$tool" unload "$id"
same a 0 64
has instructions=0
printf 'mov r2, 28\nstxw [r1+88], r2\nmov r0, 3\nexit\n' >"$work/full.s"
load "$work/full.s"
must_fail write_at b 0 4
grep -q 'No space left' "$work/why" || fail "another error: $(cat "$work/why")"

step 'a program without fuel'
printf 'again:\nja again\n' >"$work/endless.s"
load "$work/endless.s" fuel=1000
must_fail write_at b 0 4
load "$work/endless.s" fuel=1000 exhausted=pass
write_at a 0 4 || fail 'it does not pass'
[[ $("$tool" status "$id") =~ exhausted=[1-9] ]] || fail "not counted: $("$tool" status "$id")"

if [[ -f $programs/hot-cold.o ]]; then
	step 'maps: the examples that protect, inject faults and count'
	load "$programs/protect-partition-table.o"
	must_fail write_at b 0 4
	write_at b 64 4 || fail 'the rest is protected, too'
	must "$tool" set "$id" 0 0 1
	write_at b 0 4 || fail 'it cannot be unlocked'
	load "$programs/fault-injection.o"
	same b 64 4
	must "$tool" set "$id" 0 128 5 4
	must_fail dd if="$device" of=/dev/null bs=4k skip=16 count=1 iflag=direct
	must "$tool" delete "$id" 0 128
	same b 64 4
	load "$programs/latency-histogram.o"
	same b 64 4
fi

step 'redirected, whole'
truncate -s 32M "$work/image"
loop=$(losetup --find --show "$work/image" 2>"$work/why") || skip "no loop device: $(cat "$work/why")"
at_exit losetup -d "$loop"
linear_program 1048576 >"$work/linear.s"
load "$work/linear.s" "backing=$loop"
write_at c 0 512 || fail 'cannot write to the backing device'
write_at d 8192 4 || fail 'cannot write to the backing device'
same c 0 512
must sync -f "$device"
must blockdev --flushbufs "$loop"
same c 1024 512 "$loop"
same d 9216 4 "$loop"
same '\0' 512 512
must_fail "$tool" load "$id" "$work/linear.s" "backing=$device"
# What nobody would flush is refused.
served=$device
bdus_run ram size=16M
[[ $(<"/sys/block/${loop#/dev/}/queue/write_cache") != 'write back' ]] ||
	must_fail "$tool" load "${device#/dev/bdus-}" "$work/linear.s" "backing=$loop"
must "$BDUS" destroy "$device"
device=$served
must "$tool" unload "$id"
same a 8 32

step 'redirected, in parts: stripes of 64 KiB over two halves'
stripe_program $((1 << 24)) >"$work/stripe.s"
load "$work/stripe.s" "backing=$loop"
write_at e 0 256 || fail 'cannot write in stripes'
write_at f 256 64 || fail 'cannot write in stripes'
same e 32 200
same f 256 64
must blockdev --flushbufs "$loop"
same e 0 128 "$loop"
same e 16384 128 "$loop"
same f 128 64 "$loop"
has refused=0

step 'past the end of the backing device'
printf 'lddw r2, 0xfffffffffffff000\nstxdw [r1+72], r2\nmov r0, 2\nexit\n' >"$work/past.s"
load "$work/past.s" "backing=$loop"
must_fail dd if="$device" of=/dev/null bs=4k count=1 iflag=direct

step 'replaced under load'
load "$work/pass.s"
(
	while [[ ! -e $work/enough ]]; do
		write_at a 0 64 && dd if="$device" of=/dev/null bs=4k count=64 iflag=direct status=none || exit 1
	done
) &
busy=$!
for _ in {1..40}; do
	load "$work/linear.s" "backing=$loop"
	load "$work/pass.s"
	must "$tool" unload "$id"
done
touch "$work/enough"
wait $busy || fail "a request failed while programs were replaced: $(cat "$work/why")"

step 'hostile callers'
must "$tool" hostile "$id"
load "$work/linear.s" "backing=$loop"
must "$BDUS" destroy "$device"
