#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each of the programs in examples/programs does what it says over ublk.
#
# guest: timeout=180 kernels=6.1,6.12,7.3
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/programs.sh"
need qemu-io
need_ublk
run_examples ublk
