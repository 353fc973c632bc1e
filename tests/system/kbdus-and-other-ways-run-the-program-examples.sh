#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each of the programs in examples/programs does what it says, over ublk, NBD and kbdus: as a filter, and within
# the kernel.
#
# guest: timeout=180 kernels=uml
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/programs.sh"
need qemu-io losetup jq
need_ublk
need_kbdus
modprobe loop 2>/dev/null || true

for way in ublk nbd kbdus-filter kbdus; do
	run_examples "$way" || exit
done
