#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: cpus=2 mem=512 timeout=60 kernels=uml,6.12
# What holds of the zones of a device over ublk holds over kbdus.
export BDUS_WAY=kbdus
# shellcheck source=tests/system/zoned-zones-keep-their-rules.sh
. "$(dirname "$0")/zoned-zones-keep-their-rules.sh"
