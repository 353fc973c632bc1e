#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: timeout=60 mem=512
# A device that is in use has another size, if its driver consents, over kbdus as over ublk.
export BDUS_WAY=kbdus
# shellcheck source=tests/system/control-resizes-a-mounted-device.sh
. "$(dirname "$0")/control-resizes-a-mounted-device.sh"
