#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: cpus=2 mem=2048 timeout=240 kernels=uml
# File systems and targets that know zones keep their data over kbdus as they do over ublk: reports,
# appends from several writers at once, resets.
export BDUS_WAY=kbdus
# shellcheck source=tests/system/zoned-filesystems-keep-their-data.sh
. "$(dirname "$0")/zoned-filesystems-keep-their-data.sh"
