#!/bin/bash
# SPDX-License-Identifier: MIT
#
# 4 KiB random reads that a program sends elsewhere on a null_blk: within kbdus against the same program as a
# filter of a server, and a program of stripes within kbdus against dm-stripe. All exist at once, in one
# kernel, and take turns. Prints the medians of the ratios of neighbouring turns, for reads a second and for
# reads in a second of all processors' time, fio's included. It gates nothing.
#
# BDUS_BENCH_ROUNDS (7) and BDUS_BENCH_SECONDS (1) say how long.
. "$(dirname "$0")/../system/lib.sh"
need fio dmsetup
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
tool=${BDUS_BUILD:?}/tests/system/kbdus-program
rounds=${BDUS_BENCH_ROUNDS:-7} seconds=${BDUS_BENCH_SECONDS:-1}
declare -A disk
names=(program server stripes dm-stripe)
half=$(($(blockdev --getsz /dev/nullb0) / 2 / 128 * 128))
((half > 1 << 20)) && half=$((1 << 20))

printf 'ldxdw r2, [r1+0]\nadd r2, 1048576\nstxdw [r1+72], r2\nmov r0, 2\nexit\n' >"$work/linear.s"
cat >"$work/stripe.s" <<END
	ldxdw r2, [r1+0]
	ldxdw r3, [r1+8]
	mov r4, r2
	and r4, 65535
	mov r5, 65536
	sub r5, r4
	jle r3, r5, whole
	stxdw [r1+64], r5
whole:
	rsh r2, 16
	mov r3, r2
	and r3, 1
	mul r3, $((half * 512))
	rsh r2, 1
	lsh r2, 16
	add r2, r3
	add r2, r4
	stxdw [r1+72], r2
	mov r0, 2
	exit
END

bdus_run null size=128M
disk[program]=$device
must "$tool" load "${device#/dev/bdus-}" "$work/linear.s" backing=/dev/nullb0
bdus_run null size=128M
disk[stripes]=$device
must "$tool" load "${device#/dev/bdus-}" "$work/stripe.s" backing=/dev/nullb0
bdus_run file path=/dev/nullb1 --filter "opvm:$work/linear.s,size=128M"
disk[server]=$device
must dmsetup create bdus-bench --table "0 262144 striped 2 128 /dev/nullb0 0 /dev/nullb0 $half"
at_exit dmsetup remove bdus-bench
disk[dm-stripe]=/dev/mapper/bdus-bench
[[ -b /dev/mapper/bdus-bench ]] || disk[dm-stripe]=/dev/dm-0
[[ -b ${disk[dm-stripe]} ]] || dmsetup mknodes

busy_ticks()
{
	awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 }' /proc/stat
}

turn() # NAME DEPTH
{
	local before rate
	before=$(busy_ticks)
	rate=$(fio --name=x --filename="${disk[$1]}" --size=128M --rw=randread --bs=4k --direct=1 \
		--ioengine=libaio --iodepth="$2" --time_based --runtime="$seconds" --minimal |
		awk -F';' '{ print $8 }') || return
	echo "$rate" >>"$work/$1.$2"
	awk -v rate="$rate" -v seconds="$seconds" -v before="$before" -v hz="$(getconf CLK_TCK)" \
		-v after="$(busy_ticks)" \
		'BEGIN { t = after - before; print rate * seconds / ((t > 0 ? t : 1) / hz) }' >>"$work/$1.$2.cpu"
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

ratio() # FILE FILE
{
	paste "$1" "$2" | awk '$2 > 0 { print $1 / $2 }' | median
}

compare() # NAME PEER DEPTH
{
	printf '%-8s / %-9s QD %-2s  reads %.2f  reads a CPU second %.2f\n' "$1" "$2" "$3" \
		"$(ratio "$work/$1.$3" "$work/$2.$3")" "$(ratio "$work/$1.$3.cpu" "$work/$2.$3.cpu")"
}

for depth in 1 32; do
	for ((round = 0; round < rounds; round++)); do
		for name in "${names[@]}"; do
			turn "$name" "$depth" || fail "no figure from $name"
		done
	done
done
echo "Linux $(uname -r), $(nproc) processors, $rounds rounds of $seconds s; medians of reads a second:"
for depth in 1 32; do
	for name in "${names[@]}"; do
		printf '%-9s QD %-2s %s\n' "$name" "$depth" "$(median <"$work/$name.$depth")"
	done
	compare program server $depth
	compare stripes dm-stripe $depth
done
