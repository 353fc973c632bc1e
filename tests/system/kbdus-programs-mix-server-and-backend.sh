#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Programs within kbdus have the server serve parts of requests, between parts that go to another block
# device and parts that are delayed; they are told when requests are back, with what became of them; and
# what is delayed ends when the server is killed.
#
# guest: timeout=120
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/programs.sh"
need_kbdus
need losetup jq fio
modprobe loop 2>/dev/null || true

# The fields of struct opvm_block that are used: offset_bytes 0, length_bytes 8, operation 36, part 44,
# covers_bytes 64, delay_ns 80, status 88, result 92.
cat >"$work/mixed.s" <<'END'
.map back array 4 8 2
.program mixed
	ldxdw r2, [r1+0]
	ldxdw r3, [r1+8]
	ldxw r4, [r1+36]
	jeq r4, 2, pass
	mov r5, r2
	and r5, 4095
	mov r6, 4096
	sub r6, r5
	jle r3, r6, whole
	stxdw [r1+64], r6
whole:
	mov r5, r2
	and r5, 2097151
	jne r5, 0, soon
	lddw r5, 3000000
	stxdw [r1+80], r5
soon:
	rsh r2, 12
	and r2, 1
	jeq r2, 0, pass
	mov r0, 2
	exit
pass:
	mov r0, 0
	exit
.program told
	ldxdw r6, [r1+8]
	ldxw r7, [r1+92]
	mov r2, 0
	jeq r7, 0, good
	mov r2, 1
	mov r6, r7
good:
	stxw [r10-4], r2
	mov r2, r10
	add r2, -4
	lddw r1, map back
	call 1
	jeq r0, 0, out
	atomic_add64 [r0+0], r6
out:
	mov r0, 0
	exit
.program full
	mov r2, 28
	stxw [r1+88], r2
	mov r0, 3
	exit
.program late
	lddw r2, 3000000000000
	stxdw [r1+80], r2
	mov r0, 0
	exit
.program too_late
	lddw r2, 3600000000001
	stxdw [r1+80], r2
	mov r0, 0
	exit
END

program() # VERB...: in the kernel
{
	must "$BDUS" program "$@" --kernel
}

has() # FILTER: the list has it, as jq sees it
{
	"$BDUS" program list "$device" --kernel >"$work/list" || fail 'cannot list'
	jq -e "$1" "$work/list" >/dev/null || fail "not $1: $(cat "$work/list")"
}

has_delayed()
{
	"$BDUS" program list "$device" --kernel | jq -e '.delayed > 0' >/dev/null
}

megabytes=16
is_slow && megabytes=4
truncate -s 16M "$work/disk" "$work/image"
loop=$(losetup --find --show "$work/image" 2>"$work/why") || skip "no loop device: $(cat "$work/why")"
at_exit losetup -d "$loop"
bdus_run file path="$work/disk" || fail "no device"
"$BDUS" program list "$device" --kernel >/dev/null 2>"$work/why" || skip "$(cat "$work/why")"

step 'every other block of requests of all lengths is on the backing device, some after a delay'
program load "$device" "$work/mixed.s" mixed told --backend="$loop"
must fio --name=mixed --filename="$device" --rw=randwrite --bsrange=4k-128k \
	--size=${megabytes}m --direct=1 --ioengine=libaio --iodepth=8 --verify=crc32c --verify_fatal=1 \
	--verify_state_save=0 --eta=never --output="$work/fio"
has '.redirected > 0 and .passed > 0 and .delayed > 0 and .refused_answers == 0 and .out_of_fuel == 0'
must dd if=/dev/urandom of="$work/random" bs=1M count=1 status=none
must dd if="$work/random" of="$device" bs=1M oflag=direct conv=notrunc status=none
must blockdev --flushbufs "$device" "$loop"
must sync "$device" "$loop"
for ((block = 0; block < 256; block += 15)); do
	holder=$work/disk
	((block % 2 == 0)) || holder=$work/image
	cmp -n 4096 "$work/random" "$holder" $((block * 4096)) $((block * 4096)) ||
		fail "block $block is not where it belongs"
done

step 'the program is told of all that was read and written, once'
program load "$device" "$work/mixed.s" mixed told --backend="$loop"
must dd if="$device" of=/dev/null bs=64k count=40 iflag=direct status=none
[[ $(program map get "$device" back 0) == 2621440 ]] ||
	fail "told of $(program map get "$device" back 0) bytes of 2621440"
[[ $(program map get "$device" back 1) == 0 ]] || fail 'told of an error'

step 'and of errors'
program load "$device" "$work/mixed.s" full told
must_fail dd if="$work/random" of="$device" bs=4k count=1 oflag=direct status=none
[[ $(program map get "$device" back 1) == 28 ]] ||
	fail "told of error $(program map get "$device" back 1), not 28"

step 'more than an hour is refused'
program load "$device" "$work/mixed.s" too_late
must_fail dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none
has '.refused_answers > 0'

step 'a server that is killed takes what is delayed with it'
program load "$device" "$work/mixed.s" late told
dd if="$device" of=/dev/null bs=4k count=1 iflag=direct status=none 2>"$work/why" &
reader=$!
wait_until 20 has_delayed || fail 'nothing was delayed'
kill -KILL $(servers)
began=$SECONDS
wait $reader && fail 'a read that was delayed succeeded after the server was killed'
((SECONDS - began < 30)) || fail "it took $((SECONDS - began)) s to fail"
wait_until 30 test ! -e "$device" || fail 'the device is still there'
must "$BDUS" destroy --all --no-flush
