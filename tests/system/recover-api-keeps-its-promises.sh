#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What bdus.h promises of bdus_rerun() and `recoverable`, one case after the other: see
# tests/api/test_rerun.c.
#
# guest: mem=768 timeout=90 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_ublk

program=$BDUS_BUILD/tests/api/test-api-rerun
[[ -x $program ]] || skip 'built without libnbd'
must "$program"
