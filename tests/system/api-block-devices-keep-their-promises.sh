#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What bdus.h promises of block devices, and of attributes, one case after the other: see
# tests/api/test_block.c and tests/api/test_attrs.c.
#
# guest: mem=768 timeout=90 kernels=uml,6.12,7.3
. "$(dirname "$0")/lib.sh"
need_ublk

program=$BDUS_BUILD/tests/api/test-api-block
[[ -x $program ]] || skip 'built without libnbd'
must "$program"
must "$BDUS_BUILD/tests/api/test-api-attributes-keep-their-rules" block
