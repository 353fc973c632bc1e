#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Each of the programs in examples/programs does what it says as a filter of a device of kbdus.
#
# guest: timeout=300
BDUS_WAY=kbdus
. "$(dirname "$0")/program-examples-on-a-block-device.sh"
