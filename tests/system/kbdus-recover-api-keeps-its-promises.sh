#!/bin/bash
# SPDX-License-Identifier: MIT
# guest: mem=768 timeout=90
# What bdus.h promises of bdus_rerun() and `recoverable` holds over kbdus, where devices that are not
# recoverable are given another driver, too.
export BDUS_WAY=kbdus
# shellcheck source=tests/system/recover-api-keeps-its-promises.sh
. "$(dirname "$0")/recover-api-keeps-its-promises.sh"
