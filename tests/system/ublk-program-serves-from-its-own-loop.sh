#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A program with a loop of its own serves a disk over ublk, moving payloads by system calls alone: as
# pages that the kernel registers in its ring, as memory, and in a little memory of its own, for which
# requests have to wait.
# guest: timeout=120
. "$(dirname "$0")/lib.sh"
need_ublk
need fio
program=$BDUS_BUILD/tests/system/async-disk
[[ -x $program ]] || skip "there is no $program"

# serve WORD...: begins to serve $work/image; the device is $device.
serve()
{
	rm -f "$work/out"
	truncate -s 32M "$work/image"
	"$program" "$work/image" "$@" >"$work/out" 2>"$work/err" &
	server=$!
	wait_until 20 test -s "$work/out" || fail "no device: $(cat "$work/err")"
	device=$(head -n 1 "$work/out")
}

# verify DEPTH: writes and reads back with blocks of all sizes.
verify()
{
	must fio --name=verify --filename="$device" --rw=randwrite --bsrange=4k-200k --size=16m \
		--direct=1 --ioengine=libaio --iodepth="$1" --verify=crc32c --verify_fatal=1 \
		--output="$work/fio" --verify_state_save=0 --eta=never
	must sync "$device"
}

# finish: ends the device; what the program told of its payloads is in $told.
finish()
{
	must "$BDUS" destroy "$device"
	wait "$server" || fail "the program failed: $(cat "$work/err")"
	rm "$work/image"
	told=$(tail -n 1 "$work/out")
	[[ ! -s $work/err ]] || fail "the program complained: $(cat "$work/err")"
}

step 'payloads by whatever way'
serve ublk any-payload
verify 16
finish
if "$BDUS" check --json | grep -A2 '"zero-copy"' | grep -q true; then
	[[ $told == *' memory 0 '* && $told != 'registered 0 '* ]] || fail "not all zero copy: $told"
else
	[[ $told == 'registered 0 '* ]] || fail "zero copy where there is none: $told"
fi

step 'payloads as memory'
serve ublk,zero-copy=no any-payload
verify 16
finish
[[ $told == 'registered 0 '* ]] || fail "zero copy though told not to: $told"

step 'memory of the program, for less than two large requests at once'
serve ublk memory=307200
verify 32
finish
[[ $told =~ most\ ([0-9]+)\ left\ 0$ ]] || fail "memory was not given back: $told"
((BASH_REMATCH[1] <= 300 * 1024 && BASH_REMATCH[1] >= 128 * 1024)) ||
	fail "used ${BASH_REMATCH[1]} bytes of 300 KiB"

step 'memory that is too small for the largest request'
truncate -s 32M "$work/image"
must_fail "$program" "$work/image" ublk memory=65536
[[ $refusal == *'262144'* ]] || fail "does not say what is too small: $refusal"
