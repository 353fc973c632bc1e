#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each of the programs in examples/programs does what it says within kbdus, in the kernel.
#
# guest: timeout=180 kernels=6.1,6.12,7.3
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/programs.sh"
need qemu-io losetup jq
need_kbdus
modprobe loop 2>/dev/null || true
run_examples kbdus
