#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A device can hold swap: what is swapped out to it comes back unchanged, and the driver, its memory
# locked, is the last that the kernel would kill.
#
# guest: cpus=2 mem=1024 timeout=120
. "$(dirname "$0")/lib.sh"
need_ublk
need mkswap swapon python3

cat >"$work/pages.py" <<'PYTHON'
import mmap, random, sys
size = 96 << 20
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
stamp = random.Random(7).randbytes(4088)
for page in range(size // 4096):
    memory[page * 4096:(page + 1) * 4096] = page.to_bytes(8, "little") + stamp
memory.madvise(21)  # MADV_PAGEOUT
used = sum(int(line.split()[3]) for line in open("/proc/swaps").readlines()[1:])
print("swapped out", used, "KiB", flush=True)
if used < 32 << 10:
    sys.exit("hardly anything was swapped out")
for page in range(size // 4096):
    if memory[page * 4096:(page + 1) * 4096] != page.to_bytes(8, "little") + stamp:
        sys.exit(f"page {page} came back changed")
PYTHON

bdus_run --transport ublk --lock-memory --depth 32 ram size=160M || fail 'no device'
server=$(servers)
[[ $(cat "/proc/$server/oom_score_adj") == -1000 ]] ||
	fail "oom_score_adj is $(cat "/proc/$server/oom_score_adj")"
locked=$(awk '/^VmLck:/ { print $2 }' "/proc/$server/status")
((locked > 0)) || fail 'no memory is locked'
must mkswap "$device" >/dev/null
must swapon "$device"
must python3 "$work/pages.py"
must swapoff "$(readlink -f "$device")"
must "$BDUS" destroy "$device"
