#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: cpus=2 mem=512 timeout=90 kernels=uml
# A zoned device keeps what was flushed over kills of its driver on kbdus, too.
export BDUS_WAY=kbdus
# shellcheck source=tests/system/recover-zoned-device-keeps-flushed-data.sh
. "$(dirname "$0")/recover-zoned-device-keeps-flushed-data.sh"
