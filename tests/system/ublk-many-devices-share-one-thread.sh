#!/bin/bash
# SPDX-License-Identifier: MIT
#
# 64 disks over ublk in one process, on one thread and one ring: each keeps what is written to it while
# all are written to at once, they end one by one while the rest go on, and nothing is left behind.
# guest: timeout=120 mem=1024
. "$(dirname "$0")/lib.sh"
need_ublk
need fio
program=$BDUS_BUILD/tests/system/async-disk
[[ -x $program ]] || skip "there is no $program"
disks=64
# Each takes some 17 descriptors.
ulimit -n 4096
is_slow && disks=16

for ((i = 0; i < disks; i++)); do
	truncate -s 4M "$work/image.$i"
done
: >"$work/out"
"$program" "$work/image" ublk any-payload "count=$disks" >"$work/out" 2>"$work/err" &
server=$!
all_there()
{
	[[ $(wc -l <"$work/out") -ge $disks ]]
}

step "$disks disks come"
wait_until 60 all_there || fail "only $(wc -l <"$work/out") of them: $(cat "$work/err")"
# The kernel's own threads for the ring show up there as well.
threads=$(cat "/proc/$server"/task/*/comm | grep -cv '^iou-')
[[ $threads -eq 1 ]] || fail "$threads threads"

step 'all are written to at once, and read back'
jobs=()
while read -r device; do
	jobs+=("--name=${device##*/}" "--filename=$device")
done < <(head -n "$disks" "$work/out")
must fio --rw=randwrite --bs=4k --size=1m --direct=1 --ioengine=libaio --iodepth=8 --verify=crc32c \
	--verify_fatal=1 --verify_state_save=0 --eta=never --output="$work/fio" "${jobs[@]}"

step 'half of them end while the others serve'
head -n $((disks / 2)) "$work/out" | xargs "$BDUS" destroy || fail 'destroy'
last=$(sed -n "${disks}p" "$work/out")
must fio --name=rest --filename="$last" --rw=randread --bs=4k --size=1m --direct=1 --eta=never \
	--output="$work/fio"

step 'the rest end'
sed -n "$((disks / 2 + 1)),${disks}p" "$work/out" | xargs "$BDUS" destroy || fail 'destroy'
wait "$server" || fail "the program failed: $(cat "$work/err")"
[[ ! -s $work/err ]] || fail "the program complained: $(cat "$work/err")"
