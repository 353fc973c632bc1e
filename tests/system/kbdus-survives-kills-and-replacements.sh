#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: cpus=2 mem=1024 timeout=120 kernels=uml
# What holds of replacement and recovery over ublk holds over kbdus: a mounted xfs is written to and
# verified while its driver is replaced and killed at random.
export BDUS_WAY=kbdus
# shellcheck source=tests/system/recover-xfs-survives-kills-and-replacements.sh
. "$(dirname "$0")/recover-xfs-survives-kills-and-replacements.sh"
