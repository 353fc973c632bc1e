#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The driver `file` over ublk on a raw block device in memory, with and without zero copy, beside
# another ublk server's loop target and the kernel's loop device, each on a block device of its own in
# the same kernel, in turns. Prints the medians of the ratios of neighbouring turns, for transfers a
# second and, of servers, for transfers in a second of their processor time.
#
#   BDUS_PEER_KUBLK     program taking "add -t loop -q 1 -d 128 --auto_zc -n NUMBER FILE", as the
#                       kernel's own test server does
# BDUS_BENCH_ROUNDS (5) and BDUS_BENCH_SECONDS (1) say how long.
. "$(dirname "$0")/../system/lib.sh"
need_ublk
need fio
need losetup
rounds=${BDUS_BENCH_ROUNDS:-5} seconds=${BDUS_BENCH_SECONDS:-1}
modprobe brd rd_nr=4 rd_size=131072 2>/dev/null
modprobe loop 2>/dev/null
[[ -b /dev/ram3 ]] || skip 'no block devices in memory (brd)'
# Pages that were never written are not there to be copied from.
for ram in /dev/ram{0,1,2,3}; do
	dd if=/dev/zero of="$ram" bs=1M status=none oflag=direct 2>/dev/null
done
declare -A disk pid
names=()

# add NAME DISK PID: PID is 0 where the kernel serves
add()
{
	names+=("$1")
	disk[$1]=$2 pid[$1]=$3
}

server_of() # NUMBER: the process that has /dev/ublkcNUMBER open
{
	find /proc/[0-9]*/fd -lname "/dev/ublkc$1" 2>/dev/null | head -n 1 | cut -d/ -f3
}

served_by() # DEVICE: the process that serves it
{
	"$BDUS" info --json "$1" | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p'
}

cpu_ticks() # PID: user and system time; the kernel's threads for its ring count as its own
{
	(($1 != 0)) || {
		echo 0
		return
	}
	awk '{ sub(/^.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
}

# turn NAME KIND BLOCK: adds to $work/NAME.KIND.BLOCK and its .cpu
turn()
{
	local before rate
	before=$(cpu_ticks "${pid[$1]}")
	rate=$(fio --name=x --filename="${disk[$1]}" --rw="$2" --bs="$3" --direct=1 --ioengine=libaio \
		--iodepth=32 --time_based --runtime="$seconds" --minimal --eta=never |
		awk -F';' -v kind="$2" '{ print kind ~ /write/ ? $49 : $8 }')
	echo "$rate" >>"$work/$1.$2.$3"
	awk -v rate="$rate" -v seconds="$seconds" -v before="$before" -v hz="$(getconf CLK_TCK)" \
		-v after="$(cpu_ticks "${pid[$1]}")" \
		'BEGIN { t = after - before; print rate * seconds / ((t > 0 ? t : 1) / hz) }' \
		>>"$work/$1.$2.$3.cpu"
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

paired() # OURS THEIRS SUFFIX
{
	paste "$work/$1.$3" "$work/$2.$3" | awk '{ printf "%.3f\n", $1 / $2 }' | median
}

bdus_run --transport ublk file path=/dev/ram0 queues=1 || fail 'no device'
add bdus "$device" "$(served_by "$device")"
bdus_run --transport ublk,zero-copy=no file path=/dev/ram1 queues=1 || fail 'no device'
add bdus-copying "$device" "$(served_by "$device")"
[[ -z ${BDUS_PEER_KUBLK:-} ]] || {
	setsid "$BDUS_PEER_KUBLK" add -t loop -q 1 -d 128 --auto_zc -n 900 /dev/ram2 \
		</dev/null >"$work/peer.out" 2>&1 &
	wait_until 20 test -b /dev/ublkb900 || fail "no device from the peer: $(cat "$work/peer.out")"
	at_exit kill -9 "$(server_of 900)"
	add kublk /dev/ublkb900 "$(server_of 900)"
}
loop=$(losetup --find --show --direct-io=on /dev/ram3) && {
	at_exit losetup -d "$loop"
	add loop "$loop" 0
}

for block in 4k 128k; do
	for kind in randread randwrite; do
		for ((round = 0; round < rounds; round++)); do
			# Whoever comes first in a round may have it better or worse than the rest.
			for ((i = 0; i < ${#names[@]}; i++)); do
				turn "${names[(round + i) % ${#names[@]}]}" $kind $block
			done
		done
		for name in "${names[@]}"; do
			echo "$kind $block $name: $(median <"$work/$name.$kind.$block")/s"
			[[ $name != bdus ]] || continue
			echo "ratio $kind $block bdus/$name $(paired bdus "$name" "$kind.$block"), per" \
				"processor second $(paired bdus "$name" "$kind.$block.cpu")"
		done
	done
done
_may_leave=yes
