#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: mem=768 timeout=90 kernels=uml
# What another driver of a device must be like, and that a driver which dies is started again, over kbdus as over
# ublk.
export BDUS_WAY=kbdus
# shellcheck source=tests/system/recover-driver-fits-or-is-refused.sh
. "$(dirname "$0")/recover-driver-fits-or-is-refused.sh"
