#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A source tree copied to xfs over `ram` and over `file` is the same after unmounting, restarting the
# driver and mounting again; the file system is sound; trimming gives memory back and hurts nothing.
#
# guest: cpus=2 mem=1536 timeout=120 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/filesystem.bash"
filesystem_test xfs
