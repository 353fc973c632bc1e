#!/bin/bash
# SPDX-License-Identifier: MIT
#
# 4 KiB random reads that a program sends elsewhere on a null_blk: within kbdus against the same program as a
# filter of a server, and a program of stripes within kbdus against dm-stripe. All exist at once, in one
# kernel, and take turns. Prints the medians of the ratios of neighbouring turns, for reads a second and for
# reads in a second of all processors' time, fio's included. It gates nothing.
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../system/programs.sh"
need dmsetup
need_kbdus
[[ -b /dev/nullb1 ]] || modprobe null_blk nr_devices=2 2>/dev/null
need_module null_blk /dev/nullb0
# The server and dm-stripe each want one for themselves.
if [[ ! -b /dev/nullb1 ]]; then
	mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
	folder=/sys/kernel/config/nullb/nullb1
	mkdir "$folder" 2>/dev/null && echo 1024 >"$folder/size" && echo 0 >"$folder/irqmode" &&
		echo 1 >"$folder/power" || skip 'no second null_blk'
	at_exit rmdir "$folder"
fi
at_exit "$BDUS" destroy --all --no-flush
half=$(($(blockdev --getsz /dev/nullb0) / 2 / 128 * 128))
((half > 1 << 20)) && half=$((1 << 20))

linear_program 1048576 >"$work/linear.s"
stripe_program $((half * 512)) >"$work/stripe.s"

bdus_run null size=128M
add program "$device" all
must "$BDUS" program load "$device" "$work/linear.s" --kernel --backend=/dev/nullb0
bdus_run null size=128M
add stripes "$device" all
must "$BDUS" program load "$device" "$work/stripe.s" --kernel --backend=/dev/nullb0
bdus_run file path=/dev/nullb1 --filter "opvm:$work/linear.s,size=128M"
add server "$device" all
must dmsetup create bdus-bench --table "0 262144 striped 2 128 /dev/nullb0 0 /dev/nullb0 $half"
at_exit dmsetup remove bdus-bench
stripes=/dev/mapper/bdus-bench
[[ -b $stripes ]] || stripes=/dev/dm-0
[[ -b $stripes ]] || dmsetup mknodes
add dm-stripe "$stripes" all

for depth in 1 32; do
	take_turns qd$depth --size=128M --rw=randread --bs=4k --iodepth=$depth
	rates qd$depth
	compare program server qd$depth
	compare stripes dm-stripe qd$depth
done
