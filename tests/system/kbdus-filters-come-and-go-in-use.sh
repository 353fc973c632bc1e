#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: cpus=2 timeout=60 mem=512
# Filters that come and go while a device is in use do so over kbdus as over ublk.
export BDUS_WAY=kbdus
# shellcheck source=tests/system/control-filters-come-and-go-in-use.sh
. "$(dirname "$0")/control-filters-come-and-go-in-use.sh"
