#!/bin/bash
# SPDX-License-Identifier: MIT
#
# 4 KiB random reads of our null device over kbdus and over ublk, and of the kernel's own null_blk: all
# exist at once, in one kernel, and take turns. Prints the medians of the ratios of neighbouring turns, for
# reads a second, for latency, and for reads in a second of the server's processor time. It gates nothing.
# Nobody fills payloads, so that what is measured is the way. A round trip takes an emulated machine some
# hundred microseconds, so kbdus may look for the next request for as long as that, where it is "kbdus".
#
# QEMU emulates string instructions byte by byte, which the kernel copies to and from user space by and
# ublk does not: boot the guest with clearcpuid=erms. BDUS_BENCH_DEPTHS ("1 32") says how deep.
#
#   BDUS_BLOCKING       program that serves a device through bdus_run(), printing nothing but its path:
#                       bench-null-blocking
. "$(dirname "$0")/lib.sh"
need_ublk
need_kbdus
unset BDUS_TRANSPORT
at_exit "$BDUS" destroy --all --no-flush
awake=kbdus,busy-poll=1000

serve() # NAME TRANSPORT
{
	device=$("$BDUS" run --transport "$2" --queues 1 null zero=no size=64G) || fail "no device over $2"
	add "$1" "$device" "$(served_by "$device")"
}

serve_blocking() # NAME TRANSPORT
{
	local server
	BDUS_TRANSPORT=$2 setsid "$BDUS_BLOCKING" </dev/null >"$work/$1.out" 2>&1 &
	server=$!
	at_exit kill "$server"
	wait_until 20 grep -q /dev/ "$work/$1.out" || fail "no device from $1: $(cat "$work/$1.out")"
	add "$1" "$(grep -o '/dev/[^ ]*' "$work/$1.out")" "$server"
}

add_null_blk()
{
	modprobe null_blk 2>/dev/null
	[[ ! -b /dev/nullb0 ]] || add null_blk /dev/nullb0 0
}

serve kbdus "$awake"
serve kbdus-asleep kbdus,busy-poll=0
serve ublk ublk
serve kbdus-poll kbdus,poll=yes
if [[ -x ${BDUS_BLOCKING:-} ]]; then
	serve_blocking kbdus-blocking "$awake"
	serve_blocking ublk-blocking ublk
fi
add_null_blk
echo "Linux $(uname -r), $(nproc) processors, $rounds rounds of $seconds s"
for depth in ${BDUS_BENCH_DEPTHS:-1 32}; do
	take_turns qd$depth --rw=randread --bs=4k --iodepth=$depth
	rates qd$depth
	compare kbdus ublk qd$depth
	compare kbdus-asleep ublk qd$depth
	compare kbdus-poll ublk qd$depth
	[[ -z ${disk[kbdus-blocking]:-} ]] || compare kbdus-blocking ublk-blocking qd$depth
	[[ -z ${disk[null_blk]:-} ]] || compare kbdus null_blk qd$depth
done
